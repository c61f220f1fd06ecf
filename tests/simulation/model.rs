//! What the journal says, read by other code than the store's: the referee of its index and its counters.
//!
//! It also checks that every delivery's life is one that may be lived (I4): nothing is worked on that ended, nothing
//! ends twice, nothing happens to what was never accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use meshd::domain::ids::{DeliveryId, MailboxId, MessageId};
use meshd::domain::settlement::DeathCause;
use meshd::ports::disk::Disk;
use meshd::ports::store::{Location, MailboxOccupancy, SetAsideKind};
use meshd::store::journal::event::{Acceptance, Event, GroupPlace, Replay};
use meshd::store::journal::{Records, segments};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    Queued,
    Working {
        alone: bool,
    },
    Suspect,
    Held,
    Dead(DeathCause),
    Delivered,
    Discarded,
    /// Discarded by a person.
    GivenUp,
    /// Its payload is another one's now.
    Replayed,
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
    /// Who has its payload now, if it has not.
    replayed_as: Option<DeliveryId>,
}

/// The whole journal.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) lives: BTreeMap<DeliveryId, Life>,
    pub(crate) refused: BTreeMap<(MailboxId, MessageId), u32>,
    pub(crate) totals: BTreeMap<MailboxId, MailboxOccupancy>,
    /// Groups moved from volume to volume.
    pub(crate) moves: u64,
    /// The numbers that monitors saw, in the order of the journal.
    pub(crate) numbers: Vec<u64>,
    /// What operators did.
    pub(crate) acts: u64,
    /// A restored state's epoch begins: until the run does, mail is held and moved wherever it stands.
    begins_epoch: bool,
    /// Mailboxes whose deliveries are handled in the order of acceptance.
    strict: BTreeSet<MailboxId>,
    /// Mailboxes that operators have rest.
    pub(crate) suspended: BTreeSet<MailboxId>,
}

impl Model {
    /// Reads the journal in `directory` from its first record; these mailboxes keep the order of acceptance.
    pub(crate) fn read(disk: &dyn Disk, directory: &Path, strict: BTreeSet<MailboxId>) -> Result<Self, String> {
        let mut model = Self { strict, ..Self::default() };
        let first = segments(disk, directory).map_err(|halt| halt.0)?.first().map_or(1, |name| name.first);
        assert_eq!(first, 1, "the simulation keeps its whole journal");
        let mut records = Records::from(disk, directory, 1).map_err(|halt| halt.0)?;
        while let Some(record) = records.read().map_err(|halt| halt.0)? {
            let sequence = record.frame.sequence;
            model.add(sequence, record.event).map_err(|problem| format!("record {sequence}: {problem}"))?;
        }
        Ok(model)
    }

    /// The numbers between the first that was seen and the highest that never were.
    pub(crate) fn missing(&self) -> Vec<u64> {
        let (first, highest) = (self.numbers.first().copied(), self.numbers.iter().max().copied());
        let between = first.unwrap_or_default()..highest.unwrap_or_default();
        between.filter(|number| !self.numbers.contains(number)).collect()
    }

    fn add(&mut self, sequence: u64, event: Event) -> Result<(), String> {
        let seen = event.handling().into_iter().flat_map(|(_, handling)| &handling.seen);
        self.numbers.extend(seen.filter_map(|sighting| sighting.number.as_ref()).map(|numbered| numbered.number));
        match event {
            Event::Accepted(accepted) => self.accepted(DeliveryId(sequence), *accepted),
            Event::Acknowledged { id } => {
                self.total(id)?.acknowledged_total += 1;
                // Whoever has its payload by now is acknowledged with it.
                let mut next = Some(id);
                while let Some(id) = next {
                    let life = self.life(id)?;
                    life.story.push("acknowledged");
                    next = life.replayed_as;
                }
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
                    self.in_turn(id)?;
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
            Event::Restored { .. } => {
                self.begins_epoch = true;
                Ok(())
            }
            Event::Run { .. } => {
                self.begins_epoch = false;
                Ok(())
            }
            Event::Held { id, .. } if self.begins_epoch => {
                let stands = self.life(id)?.stands;
                let may = match stands {
                    Stands::Queued | Stands::Working { .. } | Stands::Suspect | Stands::Held | Stands::Dead(_) => true,
                    Stands::Delivered | Stands::Discarded | Stands::GivenUp | Stands::Replayed | Stands::Purged => {
                        false
                    }
                };
                self.go(id, "held", if may { std::slice::from_ref(&stands) } else { WORKING }, Stands::Held)
            }
            Event::Held { id, .. } => self.go(id, "held", WORKING, Stands::Held),
            Event::Dead { id, cause, .. } => self.go(id, "dead", WORKING, Stands::Dead(cause)),
            Event::Purged { id, .. } => {
                let from = [Stands::Delivered, Stands::Discarded, Stands::GivenUp, Stands::Replayed];
                let dead = matches!(self.life(id)?.stands, Stands::Dead(_));
                let stands = self.life(id)?.stands;
                self.go(id, "purged", if dead { std::slice::from_ref(&stands) } else { &from }, Stands::Purged)
            }
            Event::Replayed(replay) => self.replayed(DeliveryId(sequence), *replay),
            Event::OperatorReleased { id, alone, .. } => {
                self.acts += 1;
                self.go(id, "released by hand", &[Stands::Held], if alone { Stands::Suspect } else { Stands::Queued })
            }
            Event::OperatorHeld { id, .. } => {
                self.acts += 1;
                let from = [Stands::Queued, self.dead(id)?];
                self.go(id, "held by hand", &from, Stands::Held)
            }
            Event::OperatorDiscarded { id, .. } => {
                self.acts += 1;
                let from = [Stands::Held, self.dead(id)?];
                self.go(id, "discarded by hand", &from, Stands::GivenUp)
            }
            Event::Moved { ids, from, to } => {
                self.moves += 1;
                ids.into_iter().try_for_each(|id| self.moved(id, from, to))
            }
            Event::Resealed(moved) => {
                let life = self.life(moved.id)?;
                if matches!(life.stands, Stands::Replayed | Stands::Purged) || life.location != moved.from {
                    return Err(format!(
                        "{:?} was sealed again, but is {:?} at {:?}",
                        moved, life.stands, life.location
                    ));
                }
                life.location = moved.to;
                Ok(())
            }
            Event::MailboxSuspended { mailbox, .. } => {
                self.suspended.insert(mailbox.clone());
                self.totals.entry(mailbox).or_default();
                Ok(())
            }
            Event::MailboxResumed { mailbox, .. } => {
                self.suspended.remove(&mailbox);
                self.totals.entry(mailbox).or_default();
                Ok(())
            }
            Event::HandshakeTried { mailbox } | Event::Handshake { mailbox } | Event::Listed { mailbox } => {
                self.totals.entry(mailbox).or_default();
                Ok(())
            }
            Event::Repeated { .. }
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
            | Event::Configured { .. }
            | Event::Suspended { .. }
            | Event::Resumed { .. }
            | Event::BackupBegun { .. }
            | Event::BackupEnded { .. }
            | Event::AuditRead { .. }
            | Event::Revealed { .. }
            | Event::Concerns { .. }
            | Event::Alarmed { .. }
            | Event::KeyMade { .. }
            | Event::RewrapBegun { .. }
            | Event::Monitor { .. } => Ok(()),
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
        self.lives.insert(
            id,
            Life { accepted, stands, story: vec!["accepted"], solo_deaths: 0, location, replayed_as: None },
        );
        Ok(())
    }

    /// The old delivery ends, and the new one has its payload: one owner at any time.
    fn replayed(&mut self, id: DeliveryId, replay: Replay) -> Result<(), String> {
        self.acts += 1;
        let from = [Stands::Held, Stands::Delivered, Stands::Discarded, self.dead(replay.of)?];
        self.go(replay.of, "replayed", &from, Stands::Replayed)?;
        let old = self.life(replay.of)?.clone();
        self.life(replay.of)?.replayed_as = Some(id);
        let Acceptance { mailbox, message, length, digest, .. } = &old.accepted;
        if (mailbox, message, *length, digest) != (&replay.mailbox, &replay.message, replay.length, &replay.digest) {
            return Err(format!("{id} replays another message than {}", replay.of));
        }
        let mut story = vec!["replays"];
        story.extend(old.story.contains(&"acknowledged").then_some("acknowledged"));
        let stands = if replay.alone { Stands::Suspect } else { Stands::Queued };
        self.lives.insert(id, Life { stands, story, solo_deaths: 0, ..old });
        Ok(())
    }

    /// How it is dead, if it is; else what no delivery is in any table of acts.
    fn dead(&mut self, id: DeliveryId) -> Result<Stands, String> {
        let stands = self.life(id)?.stands;
        Ok(if matches!(stands, Stands::Dead(_)) { stands } else { Stands::Dead(DeathCause::Permanent) })
    }

    fn moved(&mut self, id: DeliveryId, from: GroupPlace, to: GroupPlace) -> Result<(), String> {
        let begins_epoch = self.begins_epoch;
        let life = self.life(id)?;
        let is_in_work = matches!(life.stands, Stands::Working { .. }) && !begins_epoch;
        if is_in_work || matches!(life.stands, Stands::Replayed | Stands::Purged) {
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

    /// Nothing is worked on while its mailbox rests; nor, where order is kept, while anything accepted before it waits.
    fn in_turn(&mut self, id: DeliveryId) -> Result<(), String> {
        let mailbox = self.life(id)?.accepted.mailbox.clone();
        if self.suspended.contains(&mailbox) {
            return Err(format!("{id} was worked on though its mailbox rests"));
        }
        let waits =
            |life: &Life| WORKING.contains(&life.stands) || matches!(life.stands, Stands::Queued | Stands::Suspect);
        let before = self.lives.range(..id).find(|(_, life)| life.accepted.mailbox == mailbox && waits(life));
        match before {
            Some((before, _)) if self.strict.contains(&mailbox) => Err(format!("{id} was worked on before {before}")),
            Some(_) | None => Ok(()),
        }
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
                Stands::Delivered | Stands::Discarded | Stands::GivenUp | Stands::Replayed => &mut counters.retained,
                Stands::Purged => continue,
            };
            amount.messages += 1;
            amount.bytes += if life.stands == Stands::Replayed { 0 } else { life.accepted.length };
        }
        for (mailbox, _) in self.refused.keys() {
            counted.entry(mailbox.clone()).or_default().refused += 1;
        }
        counted
    }
}

const WORKING: &[Stands] = &[Stands::Working { alone: false }, Stands::Working { alone: true }];
