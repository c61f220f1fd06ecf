//! What the journal says, read by other code than the store's: the referee of its index and its counters.
//!
//! It also checks that every delivery's life is one that may be lived (I4): nothing is worked on that ended, nothing
//! ends twice, nothing happens to what was never accepted.

use std::collections::BTreeMap;
use std::path::Path;

use meshd::domain::ids::{DeliveryId, MailboxId, MessageId};
use meshd::domain::settlement::DeathCause;
use meshd::ports::disk::Disk;
use meshd::ports::store::{Location, MailboxOccupancy, SetAsideKind};
use meshd::store::journal::event::{Acceptance, Event, GroupPlace};
use meshd::store::journal::{Records, segments};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    Queued,
    Working { alone: bool },
    Suspect,
    Held,
    Dead(DeathCause),
    Delivered,
    Discarded,
    Purged,
}

/// One delivery's life.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) accepted: Acceptance,
    pub(crate) stands: Stands,
    /// What happened, by short names, in order.
    pub(crate) story: Vec<&'static str>,
    pub(crate) solo_deaths: u32,
    /// Where its payload lies.
    pub(crate) location: Location,
}

/// The whole journal.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) lives: BTreeMap<DeliveryId, Life>,
    pub(crate) refused: BTreeMap<(MailboxId, MessageId), u32>,
    pub(crate) totals: BTreeMap<MailboxId, MailboxOccupancy>,
    /// Groups moved from volume to volume.
    pub(crate) moves: u64,
}

impl Model {
    /// Reads the journal in `directory` from its first record.
    pub(crate) fn read(disk: &dyn Disk, directory: &Path) -> Result<Self, String> {
        let mut model = Self::default();
        let first = segments(disk, directory).map_err(|halt| halt.0)?.first().map_or(1, |name| name.first);
        assert_eq!(first, 1, "the simulation keeps its whole journal");
        let mut records = Records::from(disk, directory, 1).map_err(|halt| halt.0)?;
        while let Some(record) = records.read().map_err(|halt| halt.0)? {
            let sequence = record.frame.sequence;
            model.add(sequence, record.event).map_err(|problem| format!("record {sequence}: {problem}"))?;
        }
        Ok(model)
    }

    fn add(&mut self, sequence: u64, event: Event) -> Result<(), String> {
        match event {
            Event::Accepted(accepted) => self.accepted(DeliveryId(sequence), *accepted),
            Event::Acknowledged { id } => {
                let life = self.life(id)?;
                life.story.push("acknowledged");
                let mailbox = life.accepted.mailbox.clone();
                self.totals.entry(mailbox).or_default().acknowledged_total += 1;
                Ok(())
            }
            Event::Refused { mailbox, message, .. } => {
                *self.refused.entry((mailbox.clone(), message)).or_default() += 1;
                self.totals.entry(mailbox).or_default();
                Ok(())
            }
            Event::Forgotten { mailbox, message } => {
                self.refused.remove(&(mailbox, message)).map(drop).ok_or_else(|| "forgot what it never refused".into())
            }
            Event::Working { ids, alone } => {
                if alone && (ids.len() != 1 || self.in_work() > 0) {
                    return Err("a suspect was not alone".into());
                }
                for id in ids {
                    let from: &[Stands] = if alone { &[Stands::Suspect] } else { &[Stands::Queued] };
                    self.go(id, "working", from, Stands::Working { alone })?;
                }
                Ok(())
            }
            Event::Suspect { id, died_alone } => {
                let life = self.life(id)?;
                life.solo_deaths += u32::from(died_alone);
                self.go(id, "suspect", WORKING, Stands::Suspect)
            }
            Event::Staged { id, .. } => {
                let life = self.life(id)?;
                life.story.push("staged");
                if WORKING.contains(&life.stands) { Ok(()) } else { Err(format!("staged while {:?}", life.stands)) }
            }
            Event::Delivered { id, .. } => {
                self.go(id, "delivered", WORKING, Stands::Delivered)?;
                self.total(id)?.delivered_total += 1;
                Ok(())
            }
            Event::Discarded { id, .. } => {
                self.go(id, "discarded", WORKING, Stands::Discarded)?;
                self.total(id)?.discarded_total += 1;
                Ok(())
            }
            Event::Retry { id, .. } => self.go(id, "retry", WORKING, Stands::Queued),
            Event::Deferred { id, .. } => self.go(id, "deferred", WORKING, Stands::Queued),
            Event::Released { id, .. } => {
                let alone = self.life(id)?.stands == Stands::Working { alone: true };
                self.go(id, "released", WORKING, if alone { Stands::Suspect } else { Stands::Queued })
            }
            Event::Held { id, .. } => self.go(id, "held", WORKING, Stands::Held),
            Event::Dead { id, cause, .. } => self.go(id, "dead", WORKING, Stands::Dead(cause)),
            Event::Purged { id, .. } => {
                let from = [Stands::Delivered, Stands::Discarded];
                let dead = matches!(self.life(id)?.stands, Stands::Dead(_));
                let stands = self.life(id)?.stands;
                self.go(id, "purged", if dead { std::slice::from_ref(&stands) } else { &from }, Stands::Purged)
            }
            Event::Moved { ids, from, to } => {
                self.moves += 1;
                ids.into_iter().try_for_each(|id| self.moved(id, from, to))
            }
            Event::HandshakeTried { mailbox } | Event::Handshake { mailbox } | Event::Listed { mailbox } => {
                self.totals.entry(mailbox).or_default();
                Ok(())
            }
            Event::Repeated { .. }
            | Event::Run { .. }
            | Event::Started { .. }
            | Event::Stopping
            | Event::Stopped
            | Event::VolumeRemoved { .. }
            | Event::PartsRemoved { .. }
            | Event::Abandoned { .. }
            | Event::TailCut { .. }
            | Event::Rebuilt { .. }
            | Event::SegmentRemoved { .. }
            | Event::ClockStep { .. }
            | Event::Configured { .. } => Ok(()),
        }
    }

    fn accepted(&mut self, id: DeliveryId, accepted: Acceptance) -> Result<(), String> {
        let stands = match accepted.aside.as_ref().map(|aside| aside.kind) {
            None => Stands::Queued,
            Some(SetAsideKind::Held) => Stands::Held,
            Some(SetAsideKind::Dead(cause)) => Stands::Dead(cause),
        };
        self.totals.entry(accepted.mailbox.clone()).or_default().accepted_total += 1;
        self.refused.remove(&(accepted.mailbox.clone(), accepted.message.clone()));
        let location = accepted.location.clone();
        self.lives.insert(id, Life { accepted, stands, story: vec!["accepted"], solo_deaths: 0, location });
        Ok(())
    }

    fn moved(&mut self, id: DeliveryId, from: GroupPlace, to: GroupPlace) -> Result<(), String> {
        let life = self.life(id)?;
        if matches!(life.stands, Stands::Working { .. } | Stands::Purged) {
            return Err(format!("{id} is {:?}, and was moved", life.stands));
        }
        match &mut life.location {
            Location::Group { volume, offset, .. } if (*volume, *offset) == (from.volume, from.offset) => {
                (*volume, *offset) = (to.volume, to.offset);
                Ok(())
            }
            elsewhere @ (Location::Group { .. } | Location::Parts { .. }) => {
                Err(format!("{id} was moved from {from:?}, but is at {elsewhere:?}"))
            }
        }
    }

    fn go(&mut self, id: DeliveryId, what: &'static str, from: &[Stands], to: Stands) -> Result<(), String> {
        let life = self.life(id)?;
        if !from.contains(&life.stands) {
            return Err(format!("{id} is {:?}, so it cannot become {what}: {:?}", life.stands, life.story));
        }
        life.story.push(what);
        life.stands = to;
        Ok(())
    }

    fn life(&mut self, id: DeliveryId) -> Result<&mut Life, String> {
        self.lives.get_mut(&id).ok_or_else(|| format!("{id} was never accepted"))
    }

    fn total(&mut self, id: DeliveryId) -> Result<&mut MailboxOccupancy, String> {
        let mailbox = self.life(id)?.accepted.mailbox.clone();
        Ok(self.totals.entry(mailbox).or_default())
    }

    fn in_work(&self) -> usize {
        self.lives.values().filter(|life| WORKING.contains(&life.stands)).count()
    }

    /// How many suspects there are, waiting or in work.
    pub(crate) fn suspects(&self) -> u64 {
        let is = |life: &&Life| matches!(life.stands, Stands::Suspect | Stands::Working { alone: true });
        self.lives.values().filter(is).count() as u64
    }

    /// The counters, counted anew.
    pub(crate) fn recount(&self) -> BTreeMap<MailboxId, MailboxOccupancy> {
        let mut counted = self.totals.clone();
        for life in self.lives.values() {
            let counters = counted.entry(life.accepted.mailbox.clone()).or_default();
            let amount = match life.stands {
                Stands::Queued | Stands::Working { .. } | Stands::Suspect => &mut counters.queued,
                Stands::Held => &mut counters.held,
                Stands::Dead(_) => &mut counters.dead,
                Stands::Delivered | Stands::Discarded => &mut counters.retained,
                Stands::Purged => continue,
            };
            amount.messages += 1;
            amount.bytes += life.accepted.length;
        }
        for (mailbox, _) in self.refused.keys() {
            counted.entry(mailbox.clone()).or_default().refused += 1;
        }
        counted
    }
}

const WORKING: &[Stands] = &[Stands::Working { alone: false }, Stands::Working { alone: true }];
