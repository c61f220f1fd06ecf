//! What the journal says, read by other code than the store's: the referee of its index and its counters.
//!
//! It also checks that every delivery's life is one that may be lived (I4): nothing is worked on that ended, nothing
//! ends twice, nothing happens to what was never accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use meshd::domain::digest::ContentDigest;
use meshd::domain::ids::{DeliveryId, JobId, MailboxId, MessageId};
use meshd::domain::legal_hold::{HoldScope, LegalHoldId};
use meshd::domain::settlement::DeathCause;
use meshd::ports::disk::Disk;
use meshd::ports::store::{LeftBehind, Location, MailboxOccupancy, SetAsideKind};
use meshd::store::journal::event::{Acceptance, BroughtIn, Event, GroupPlace, Replaced, Replay, SendQueued};
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
    /// Legal holds that keep it by a mark.
    kept_by: BTreeSet<LegalHoldId>,
    /// Its time is over, and a legal hold keeps it.
    is_spared: bool,
    /// It is sent, and no pipeline has it.
    goes_out: bool,
    /// Something was sent on for it.
    is_sent_on: bool,
    /// Who has its payload now, if it has not.
    replayed_as: Option<DeliveryId>,
    /// The record that last changed where it stands.
    since: u64,
}

impl Life {
    fn begin(id: DeliveryId, accepted: Acceptance, stands: Stands, story: Vec<&'static str>) -> Self {
        let location = accepted.location.clone();
        let kept_by = BTreeSet::new();
        Self {
            accepted,
            stands,
            story,
            solo_deaths: 0,
            location,
            kept_by,
            is_spared: false,
            goes_out: false,
            is_sent_on: false,
            replayed_as: None,
            since: id.0,
        }
    }
}

/// One bulk act.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bulk {
    pub(crate) done: u64,
    pub(crate) left: LeftBehind,
    pub(crate) reached: Option<DeliveryId>,
    pub(crate) has_ended: bool,
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
    /// Bulk acts.
    pub(crate) jobs: BTreeMap<JobId, Bulk>,
    /// The record that is read.
    sequence: u64,
    /// A restored state's epoch begins: until the run does, mail is held and moved wherever it stands.
    begins_epoch: bool,
    /// Mailboxes whose deliveries are handled in the order of acceptance.
    strict: BTreeSet<MailboxId>,
    /// Mailboxes that operators have rest.
    pub(crate) suspended: BTreeSet<MailboxId>,
    /// Legal holds that stand, and whether what they keep is found.
    pub(crate) legal_holds: BTreeMap<LegalHoldId, (HoldScope, bool)>,
    /// How often a legal hold kept what would have gone.
    pub(crate) spared: u64,
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
        self.sequence = sequence;
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
                let goes_out = self.life(id)?.goes_out;
                let total = self.total(id)?;
                total.sent_total += u64::from(goes_out);
                total.delivered_total += u64::from(!goes_out);
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
            Event::Purged { id, asked, .. } => {
                self.may_go(id)?;
                // By itself nothing held goes; at somebody's wish nothing whose payload is another's.
                let either = if asked.is_some() { Stands::Held } else { Stands::Replayed };
                let from = [Stands::Delivered, Stands::Discarded, Stands::GivenUp, either];
                let dead = matches!(self.life(id)?.stands, Stands::Dead(_));
                let stands = self.life(id)?.stands;
                self.go(id, "purged", if dead { std::slice::from_ref(&stands) } else { &from }, Stands::Purged)
            }
            Event::Replayed(replay) => self.replayed(DeliveryId(sequence), *replay),
            Event::BroughtIn(brought) => self.brought_in(DeliveryId(sequence), *brought),
            Event::SendQueued(queued) => self.send_queued(DeliveryId(sequence), *queued),
            Event::SendResolved { id, .. } => {
                self.acts += 1;
                self.go(id, "resolved", &[Stands::Held], Stands::Delivered)?;
                self.total(id)?.sent_total += 1;
                Ok(())
            }
            Event::Sending { id, .. } | Event::PairPutAway { id } => match self.life(id)?.goes_out {
                true => Ok(()),
                false => Err(format!("{id} does not go out")),
            },
            Event::OperatorReleased { id, alone, job, .. } => {
                self.acts += 1;
                self.acted(job, id)?;
                self.go(id, "released by hand", &[Stands::Held], if alone { Stands::Suspect } else { Stands::Queued })
            }
            Event::OperatorHeld { id, job, .. } => {
                self.acts += 1;
                self.acted(job, id)?;
                let from = [Stands::Queued, self.dead(id)?];
                self.go(id, "held by hand", &from, Stands::Held)
            }
            Event::OperatorDiscarded { id, job, .. } => {
                self.acts += 1;
                self.acted(job, id)?;
                let from = [Stands::Held, self.dead(id)?];
                self.go(id, "discarded by hand", &from, Stands::GivenUp)
            }
            Event::JobBegun(_) => {
                self.jobs.insert(JobId(sequence), Bulk::default());
                Ok(())
            }
            Event::JobPassed { job, to, left } => {
                let bulk = self.goes_on(job, to)?;
                left.into_iter().for_each(|(why, count)| *bulk.left.entry(why).or_default() += count);
                Ok(())
            }
            Event::JobEnded { job, done, left, .. } => {
                let bulk = self.jobs.get_mut(&job).filter(|bulk| !bulk.has_ended).ok_or("what is not open ended")?;
                bulk.has_ended = true;
                if (bulk.done, &bulk.left) == (done, &left) { Ok(()) } else { Err(format!("{job} counts wrongly")) }
            }
            Event::Moved { ids, from, to } => {
                self.moves += 1;
                ids.into_iter().try_for_each(|id| self.moved(id, from, to))
            }
            Event::LegalHoldAdded { scope, .. } => {
                let hold = LegalHoldId(sequence);
                let is_complete = !matches!(scope, HoldScope::Patients(_));
                if let HoldScope::Delivery(id) = &scope {
                    self.mark(hold, *id);
                }
                self.legal_holds.insert(hold, (scope, is_complete));
                Ok(())
            }
            Event::LegalHoldTook { hold, ids } => {
                ids.into_iter().for_each(|id| self.mark(hold, id));
                self.legal_hold(hold).map(drop)
            }
            Event::LegalHoldComplete { hold } => {
                self.legal_hold(hold)?.1 = true;
                Ok(())
            }
            Event::LegalHoldRemoved { hold, .. } => {
                self.legal_hold(hold)?;
                self.legal_holds.remove(&hold);
                Ok(())
            }
            Event::Spared { ids } => {
                self.spared += ids.len() as u64;
                ids.into_iter().try_for_each(|id| self.spare(id))
            }
            Event::Concerns { id, patients, .. } => self.concerns(id, &patients),
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
            | Event::SubjectSought { .. }
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
        self.lives.insert(id, Life::begin(id, accepted, stands, vec!["accepted"]));
        Ok(())
    }

    fn send_queued(&mut self, id: DeliveryId, queued: SendQueued) -> Result<(), String> {
        self.totals.entry(queued.kept.mailbox.clone()).or_default();
        if let Some(onward) = &queued.outgoing.onward {
            let of = self.life(onward.delivery)?;
            if !WORKING.contains(&of.stands) || std::mem::replace(&mut of.is_sent_on, true) {
                return Err(format!("{} was sent on twice, or while {:?}", onward.delivery, of.stands));
            }
        }
        let life = Life::begin(id, queued.kept, Stands::Queued, vec!["queued to be sent", "acknowledged"]);
        self.lives.insert(id, Life { goes_out: true, ..life });
        Ok(())
    }

    /// Whoever is replaced keeps its payload and ends; the new one has nothing of its history.
    fn brought_in(&mut self, id: DeliveryId, brought: BroughtIn) -> Result<(), String> {
        self.acts += 1;
        let BroughtIn { kept, replaces, .. } = brought;
        self.totals.entry(kept.mailbox.clone()).or_default();
        let Some(Replaced { id: old, alone, .. }) = replaces else {
            let life = Life::begin(id, kept, Stands::Held, vec!["brought in", "acknowledged"]);
            self.lives.insert(id, life);
            return Ok(());
        };
        let from = [Stands::Held, Stands::Delivered, Stands::Discarded, self.dead(old)?];
        self.go(old, "replaced by hand", &from, Stands::GivenUp)?;
        let Life { accepted: before, story, kept_by, goes_out, .. } = self.life(old)?.clone();
        if (&before.mailbox, &before.message) != (&kept.mailbox, &kept.message) {
            return Err(format!("{id} replaces another message than {old}"));
        }
        let mut words = vec!["brought in"];
        words.extend(story.contains(&"acknowledged").then_some("acknowledged"));
        let stands = if alone { Stands::Suspect } else { Stands::Queued };
        self.lives.insert(id, Life { kept_by, goes_out, ..Life::begin(id, kept, stands, words) });
        Ok(())
    }

    /// The old delivery ends, and the new one has its payload: one owner at any time.
    fn replayed(&mut self, id: DeliveryId, replay: Replay) -> Result<(), String> {
        self.acts += 1;
        self.acted(replay.job, replay.of)?;
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
        let fresh = Life {
            stands,
            story,
            solo_deaths: 0,
            since: id.0,
            is_spared: false,
            is_sent_on: false,
            replayed_as: None,
            ..old
        };
        self.lives.insert(id, fresh);
        Ok(())
    }

    /// A bulk act goes on, and never back; it does nothing after its end.
    fn goes_on(&mut self, job: JobId, to: DeliveryId) -> Result<&mut Bulk, String> {
        let bulk = self.jobs.get_mut(&job).ok_or_else(|| format!("{job} never began"))?;
        if bulk.has_ended || bulk.reached >= Some(to) {
            return Err(format!("{job} went to {to} from {:?}", bulk.reached));
        }
        bulk.reached = Some(to);
        Ok(bulk)
    }

    /// A bulk act meets what was set aside before it began, and nothing twice; by hand, if no job is named.
    fn acted(&mut self, job: Option<JobId>, id: DeliveryId) -> Result<(), String> {
        let Some(job) = job else { return Ok(()) };
        self.goes_on(job, id)?.done += 1;
        let life = self.life(id)?;
        let is_aside = matches!(life.stands, Stands::Held | Stands::Dead(_));
        if is_aside && life.since < job.0 { Ok(()) } else { Err(format!("{job} met {id}, which it does not cover")) }
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
        let sequence = self.sequence;
        let life = self.life(id)?;
        if !from.contains(&life.stands) {
            return Err(format!("{id} is {:?}, so it cannot become {what}: {:?}", life.stands, life.story));
        }
        life.story.push(what);
        (life.stands, life.since) = (to, sequence);
        life.is_spared = false;
        Ok(())
    }

    fn legal_hold(&mut self, hold: LegalHoldId) -> Result<&mut (HoldScope, bool), String> {
        self.legal_holds.get_mut(&hold).ok_or_else(|| format!("legal hold {hold} does not stand"))
    }

    /// Whoever has the payload by now is kept, too.
    fn mark(&mut self, hold: LegalHoldId, id: DeliveryId) {
        let mut next = Some(id);
        while let Some(life) = next.and_then(|id| self.lives.get_mut(&id)).filter(|life| life.stands != Stands::Purged)
        {
            life.kept_by.insert(hold);
            next = life.replayed_as;
        }
    }

    fn is_kept(&self, life: &Life) -> bool {
        self.legal_holds.iter().any(|(hold, (scope, _))| match scope {
            HoldScope::Mailbox(mailbox) => *mailbox == life.accepted.mailbox,
            HoldScope::Delivery(_) | HoldScope::Patients(_) => life.kept_by.contains(hold),
        })
    }

    /// Nothing goes that a legal hold keeps, or may keep.
    fn may_go(&mut self, id: DeliveryId) -> Result<(), String> {
        let life = self.life(id)?.clone();
        if self.is_kept(&life) || self.legal_holds.values().any(|(_, is_complete)| !is_complete) {
            return Err(format!("{id} was purged under a legal hold"));
        }
        Ok(())
    }

    fn spare(&mut self, id: DeliveryId) -> Result<(), String> {
        let life = self.life(id)?.clone();
        if life.is_spared || !self.is_kept(&life) {
            return Err(format!("{id} was spared, and no legal hold keeps it, or again"));
        }
        self.life(id)?.is_spared = true;
        Ok(())
    }

    /// Whoever holds mail about these people keeps it before it is connected with them.
    fn concerns(&mut self, id: DeliveryId, patients: &[ContentDigest]) -> Result<(), String> {
        let kept_by = self.life(id)?.kept_by.clone();
        for (hold, (scope, _)) in &self.legal_holds {
            if let HoldScope::Patients(people) = scope
                && people.iter().any(|person| patients.contains(person))
                && !kept_by.contains(hold)
            {
                return Err(format!("{id} concerns whom {hold} is about, and is not kept"));
            }
        }
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
        if self.life(id)?.goes_out {
            return Ok(());
        }
        let waits = |life: &Life| {
            let has_no_end = WORKING.contains(&life.stands) || matches!(life.stands, Stands::Queued | Stands::Suspect);
            has_no_end && !life.goes_out
        };
        let before = self.lives.range(..id).find(|(_, life)| life.accepted.mailbox == mailbox && waits(life));
        match before {
            Some((before, _)) if self.strict.contains(&mailbox) => Err(format!("{id} was worked on before {before}")),
            Some(_) | None => Ok(()),
        }
    }

    fn in_work(&self) -> usize {
        self.lives.values().filter(|life| WORKING.contains(&life.stands) && !life.goes_out).count()
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
                Stands::Queued | Stands::Working { .. } | Stands::Suspect if life.goes_out => &mut counters.sending,
                Stands::Queued | Stands::Working { .. } | Stands::Suspect => &mut counters.queued,
                Stands::Held => &mut counters.held,
                Stands::Dead(_) => &mut counters.dead,
                Stands::Delivered | Stands::Discarded | Stands::GivenUp | Stands::Replayed => &mut counters.retained,
                Stands::Purged => continue,
            };
            amount.messages += 1;
            let bytes = if life.stands == Stands::Replayed { 0 } else { life.accepted.length };
            amount.bytes += bytes;
            if life.is_spared {
                counters.spared.messages += 1;
                counters.spared.bytes += bytes;
            }
        }
        for (mailbox, _) in self.refused.keys() {
            counted.entry(mailbox.clone()).or_default().refused += 1;
        }
        counted
    }
}

const WORKING: &[Stands] = &[Stands::Working { alone: false }, Stands::Working { alone: true }];
