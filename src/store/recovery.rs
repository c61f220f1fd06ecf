//! Opening the store after whatever happened (I9, I10).
//!
//! 1. The journal: its torn tail is cut, the chain of its last segment checked.
//! 2. The index: if it is empty, unreadable, of another format, from another journal, or does not agree with itself,
//!    it is made anew from the newest checkpoint that fits; either way the records it lacks are applied.
//!    An index that contains *more* than the journal is not made anew: records that were durable are lost, and a
//!    person must know. Removing the index directory accepts the loss.
//! 3. What was in work when the run before ended becomes a suspect, unless that run stopped in order. One that was in
//!    work alone, on the same boot of the machine, in a run that the store itself did not halt, has a death of its
//!    own; at two it is a dead letter.
//! 4. If the state was restored from a backup, a new epoch begins before anything else: see [`super::epoch`].
//! 5. Volumes no record names are removed: they hold only what was never acknowledged. One that holds what the journal
//!    says was accepted, and the index does not know, stays. A large message that was
//!    taken over but never recorded is fetched again, and taken over in its place; if MESH has it no more, it goes later.
//!
//! All of it can be interrupted and done again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::committer::{Committer, Moment, Stop, halted_mark, spool_failed};
use super::epoch::Mark;
use super::index::keys::{self, kind};
use super::index::{Index, IndexError, Order};
use super::journal::compress::Compressor;
use super::journal::event::{Event, GroupPlace, Move, Release};
use super::journal::record::Hash;
use super::journal::seen::Seen;
use super::journal::segment::Record;
use super::journal::{Head, Journal, Records, Stamp, checkpoint, segments};
use super::spool::{Appender, Removal};
use super::state::{Ending, Place, Row, State, for_each};
use super::time::StoreTime;
use super::{StoreParts, abandoned, compaction, retention, room};
use crate::domain::fault::FaultCode;
use crate::domain::ids::DeliveryId;
use crate::domain::settlement::{DeathCause, Reason};
use crate::domain::step::Step;
use crate::ports::disk::Disk;
use crate::ports::spool::SpoolError;
use crate::ports::store::{DroppedLeases, Halt, Location};

/// Records applied to the index in one batch of a replay.
const REPLAY_BATCH: u64 = 128;
/// Deaths alone that make a delivery poison.
const POISON_AFTER: u32 = 2;

impl Committer {
    /// Opens the store and recovers. Durable on return: this run has begun.
    pub fn open(parts: StoreParts) -> Result<Self, Halt> {
        let StoreParts { disk, clock, key, spool: (spool, appender), mut index, settings } = parts;
        let directory = settings.directory.join("journal");
        let restored = Mark::read_whole(disk.as_ref(), &settings.directory)?;
        let (journal, found) = Journal::open(disk.clone(), &directory, &settings.boot, clock.wall())?;
        let (mut state, rebuilt) = recover(disk.as_ref(), &directory, journal.head(), index.as_mut())?;
        state.keep_order(settings.strict.clone());
        if !state.meta.key.is_empty() && key.named(&state.meta.key).is_none() {
            let (ours, theirs) = (key.id(), &state.meta.key);
            return Err(Halt(format!(
                "the journal was written with HMAC key {theirs}, but key {ours} is configured, and that one not among the retired"
            )));
        }
        let last = (state.meta.run > 0).then_some(state.meta.last);
        let time = StoreTime::new(clock, last);
        for (former, since) in &state.meta.former_keys {
            let until = since.plus(settings.retention.seen);
            if key.named(former).is_none() && time.now() < until {
                let until = time.wall_of(until);
                return Err(Halt(format!(
                    "messages that MESH may present again until {until} are known by HMAC key {former}: \
                     keep it in keys.retired_hmac until then"
                )));
            }
            if key.named(former).is_none()
                && state.has_pair_since_before(index.as_ref(), *since).map_err(|error| Halt(error.to_string()))?
            {
                return Err(Halt(format!(
                    "files in OUT that were sent are known by HMAC key {former}, and would be sent again: keep it in \
                     keys.retired_hmac until `meshd sent list` has nothing of then that waits or is held"
                )));
            }
        }
        let open_from = journal.open_from();
        let oldest = time.now().minus(settings.retention.seen);
        let mut seen = Seen::open(disk.clone(), &directory, key.clone(), open_from, oldest)?;
        let mut records = Records::from(disk.as_ref(), &directory, open_from)?;
        let settled = found.last.as_ref().map_or(0, |record| record.frame.settled);
        let mut lost = Vec::new();
        while let Some(record) = records.read()? {
            seen.note(record.frame.sequence, &record.event);
            // What a restored spool has not is told by where its backup ended.
            if record.frame.sequence > settled && restored.is_none() {
                lost.extend(lost_by(&appender, record)?);
            }
        }
        drop(records);
        let compressor = Compressor::new(disk.clone(), &directory, open_from)?;
        let retention = checkpoint_progress(disk.as_ref(), &directory, open_from)?;
        let (occupancy, _) = watch::channel(Arc::new(state.occupancy(0, |due| time.wall_of(due))));
        let mut committer = Self {
            disk,
            time,
            key,
            spool,
            appender,
            index,
            journal,
            seen,
            state,
            compressor,
            settings,
            retention,
            checkpoint: None,
            search: room::Search::default(),
            compaction: compaction::Bounds::default(),
            sweep: abandoned::Sweep::default(),
            dropped: DroppedLeases::default(),
            dropped_leases: 0,
            occupancy,
            index_synced: None,
            halted: None,
            pins: Arc::new(()),
        };
        match committer.begin_run(found.tail_cut, rebuilt, lost, restored) {
            Ok(()) => Ok(committer),
            Err(Stop::Halt(halt)) => Err(halt),
            Err(Stop::Index(error)) => {
                committer.index.condemn();
                Err(Halt(error.to_string()))
            }
        }
    }

    fn begin_run(
        &mut self,
        tail_cut: Option<Event>,
        rebuilt: Option<String>,
        lost: Vec<Lost>,
        restored: Option<Mark>,
    ) -> Result<(), Stop> {
        let moment = Moment { stamp: self.time.stamp(), now: self.time.now() };
        // Before orphans are looked for: volumes that groups go back to are none.
        if let Some(mark) = &restored {
            self.begin_epoch(moment, mark)?;
        }
        self.remove_orphan_volumes()?;
        if let Some(event) = tail_cut {
            self.record(moment, &event)?;
        }
        if let Some(why) = rebuilt {
            self.record(moment, &Event::Rebuilt { why })?;
        }
        let clean = self.state.meta.stopped;
        let mark = halted_mark(self.journal.directory());
        let halted = self.disk.entry(&mark).map_err(|error| Halt(format!("look for the mark of a halt: {error}")))?;
        // Before the record that begins this run: what the last one left is judged by the boot of the last one.
        for id in self.in_work()? {
            let row = self
                .state
                .row(self.index.as_ref(), id)?
                .ok_or_else(|| IndexError(format!("delivery {id} is missing")))?;
            let event = if clean {
                Event::Released { id, due: moment.now, why: Release::Stopped }
            } else {
                self.suspect(moment, &row, halted.is_some())
            };
            self.record(moment, &event)?;
        }
        self.take_up_sends(moment)?;
        let (run, key) = (self.journal.run().clone(), self.key.id().to_owned());
        self.record(moment, &Event::Run { run: run.number, boot: run.boot, clean, key, time: moment.now })?;
        for lost in lost {
            match lost {
                Lost::Payload(ids) => ids.into_iter().try_for_each(|id| self.hold_lost(moment, id))?,
                Lost::Seal(moved) => {
                    tracing::error!(delivery = %moved.id, "the disk lost a payload sealed again that it had said was durable");
                    self.seal_back(moment, *moved)?;
                }
                Lost::Copy { ids, from, to } => {
                    tracing::error!(volume = to.volume, "the disk lost a moved group that it had said was durable");
                    self.move_back(moment, ids, from, to)?;
                }
            }
        }
        self.make_durable()?;
        if restored.is_some() {
            Mark::remove(self.disk.as_ref(), &self.settings.directory)?;
        }
        if halted.is_some() {
            self.disk
                .remove(Step::StateDirectory, &mark)
                .map_err(|error| Halt(format!("remove the mark of a halt: {error}")))?;
        }
        Ok(())
    }

    /// One lost payload must not keep the daemon from all other mail.
    fn hold_lost(&mut self, moment: Moment, id: DeliveryId) -> Result<(), Stop> {
        let Some(Row { delivery, place, .. }) = self.state.row(self.index.as_ref(), id)? else { return Ok(()) };
        match place {
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect => {}
            // The payload was handed on since, and is lost to whoever has it now.
            Place::Ended { how: Ending::Replayed(to), .. } => return self.hold_lost(moment, to),
            // It had its end without the payload, or by it; or an earlier start held it.
            Place::Aside { .. } | Place::Ended { .. } => return Ok(()),
        }
        let (code, message_id) = (FaultCode::SpoolLost, &delivery.message_id);
        tracing::error!(delivery = %id, mailbox = %delivery.mailbox, %message_id, %code, "payload lost: the disk lost what it had said was durable");
        let reason = Reason::new(code, "it is not in the spool, though its record is in the journal");
        self.record(moment, &Event::Held { id, reason, outputs: delivery.outputs, handling: None })?;
        Ok(())
    }

    /// Who has the payload of a delivery by now: it, or the last of those that replay it.
    pub(super) fn holder(&self, mut id: DeliveryId) -> Result<Option<Row>, Stop> {
        loop {
            match self.state.row(self.index.as_ref(), id)? {
                Some(Row { place: Place::Ended { how: Ending::Replayed(to), .. }, .. }) => id = to,
                found => return Ok(found),
            }
        }
    }

    /// The copy is lost, but what it was made from is not.
    pub(super) fn move_back(
        &mut self,
        moment: Moment,
        ids: Vec<DeliveryId>,
        from: GroupPlace,
        to: GroupPlace,
    ) -> Result<(), Stop> {
        let mut there = Vec::new();
        for id in ids {
            // Purged, or moved back, since.
            let row = self.holder(id)?;
            let row = row.filter(|row| group_of(&row.delivery.location) == Some((to.volume, to.offset)));
            there.extend(row.map(|row| row.delivery.id));
        }
        if !there.is_empty() {
            self.record(moment, &Event::Moved { ids: there, from: to, to: from })?;
        }
        Ok(())
    }

    fn suspect(&self, moment: Moment, row: &Row, halted: bool) -> Event {
        let alone = matches!(row.place, Place::Working { alone: true });
        let State { meta, .. } = &self.state;
        let died_alone = alone && !halted && !meta.stopping && meta.boot == self.settings.boot;
        let id = row.delivery.id;
        if died_alone && row.delivery.solo_deaths + 1 >= POISON_AFTER {
            let reason = Reason::new(FaultCode::MsgPoison, "the daemon died twice while it was handled alone");
            let keep = moment.now.plus(self.settings.retention.dead);
            return Event::Dead { id, cause: DeathCause::Poison, reason, keep, handling: None };
        }
        Event::Suspect { id, died_alone }
    }

    fn in_work(&self) -> Result<Vec<DeliveryId>, Stop> {
        let mut ids = Vec::new();
        for_each(self.index.as_ref(), kind::WORKING, |key, _| {
            ids.extend(keys::number_of(key).map(DeliveryId));
            Ok(())
        })?;
        Ok(ids)
    }

    fn remove_orphan_volumes(&mut self) -> Result<(), Stop> {
        let open = self.appender.open_volume();
        for volume in self.appender.volumes() {
            let known = self.index.get(&keys::numbered(kind::VOLUME, volume))?.is_some();
            if known || volume == open {
                continue;
            }
            if self.may_hold_accepted(volume)? {
                tracing::error!(volume, "volume kept that the index does not know: mail in it was accepted");
            } else {
                self.appender.remove(Removal::Volume(volume)).map_err(spool_failed)?;
            }
        }
        Ok(())
    }

    /// Whether a volume that the index does not know holds a message that was accepted and is kept nowhere else. What
    /// the journal says of it does not come from the index.
    fn may_hold_accepted(&self, volume: u64) -> Result<bool, Stop> {
        let mut members = Vec::new();
        let walked = self.appender.for_each_in(volume, |mailbox, message, location| {
            members.push((mailbox.clone(), message.clone(), location));
        });
        match walked {
            Ok(()) => {}
            Err(SpoolError::Failed(halt)) => return Err(halt.into()),
            Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
                tracing::warn!(volume, %error, "volume that the index does not know does not read");
                return Ok(true);
            }
        }
        for group in members.chunk_by(|one, other| group_of(&one.2) == group_of(&other.2)) {
            let (mut is_copy, mut is_missing) = (false, false);
            for (mailbox, message, here) in group {
                // Purged undelivered and come again: this is the new life, which no record names.
                let newest = self.seen.find(mailbox, message)?.filter(|entry| !entry.reopened);
                let Some(entry) = newest else { continue };
                match self.state.row(self.index.as_ref(), entry.delivery)? {
                    Some(row) if row.delivery.location != *here => {
                        let place = &row.delivery.location;
                        // Copied as it was, or sealed again.
                        is_copy |= is_copy_of(here, place)
                            || self.appender.holds(mailbox, message, place).map_err(spool_failed)?;
                    }
                    // The one has no row, the other lies in a volume that has none.
                    None | Some(_) => is_missing = true,
                }
            }
            // What was delivered and purged has no row, but such a group is only copied with one that has.
            if is_missing && !is_copy {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The volume and offset of a group.
fn group_of(location: &Location) -> Option<(u64, u64)> {
    match location {
        Location::Group { volume, offset, .. } => Some((*volume, *offset)),
        Location::Parts { .. } => None,
    }
}

/// Whether one place may hold a copy of the other's group, cut short before its record.
fn is_copy_of(one: &Location, other: &Location) -> bool {
    let shape = |location: &Location| match location {
        Location::Group { length, member, .. } => Some((*length, *member)),
        Location::Parts { .. } => None,
    };
    shape(one) == shape(other) && group_of(one) != group_of(other)
}

/// What the disk lost though it had said that it was durable.
enum Lost {
    /// The payload of these.
    Payload(Vec<DeliveryId>),
    /// What was sealed again. What it was made from is whole.
    Seal(Box<Move>),
    /// The copy of a group. The group is whole.
    Copy { ids: Vec<DeliveryId>, from: GroupPlace, to: GroupPlace },
}

/// A record of the last commit names a payload that was synced before it; a drive that lies about that shows here.
fn lost_by(appender: &Appender, record: Record) -> Result<Option<Lost>, Halt> {
    // Of the other events none says where a payload is.
    let kept = if let Event::Accepted(accepted) = &record.event {
        Some(&**accepted)
    } else if let Event::BroughtIn(brought) = &record.event {
        Some(&brought.kept)
    } else if let Event::SendQueued(queued) = &record.event {
        Some(&queued.kept)
    } else {
        None
    };
    if let Some(accepted) = kept {
        let holds = appender.holds(&accepted.mailbox, &accepted.message, &accepted.location);
        let lost = || Lost::Payload(vec![DeliveryId(record.frame.sequence)]);
        Ok((!holds.map_err(spool_failed)?).then(lost))
    } else if let Event::Resealed(moved) = record.event {
        let holds = |place: &Location| appender.holds(&moved.mailbox, &moved.message, place).map_err(spool_failed);
        if holds(&moved.to)? {
            return Ok(None);
        }
        Ok(Some(if holds(&moved.from)? { Lost::Seal(moved) } else { Lost::Payload(vec![moved.id]) }))
    } else if let Event::Moved { ids, from, to } = record.event {
        let holds = |place: GroupPlace| appender.holds_group((place.volume, place.offset)).map_err(spool_failed);
        if holds(to)? {
            return Ok(None);
        }
        Ok(Some(if holds(from)? { Lost::Copy { ids, from, to } } else { Lost::Payload(ids) }))
    } else {
        Ok(None)
    }
}

/// The state at `head`, and why the index had to be made anew, if it had to.
fn recover(
    disk: &dyn Disk,
    directory: &Path,
    head: Head,
    index: &mut dyn Index,
) -> Result<(State, Option<String>), Halt> {
    // sled panics on some damage; that is no other than an error.
    let caught = catch_unwind(AssertUnwindSafe(|| catch_up(disk, directory, head, index)));
    match caught.unwrap_or_else(|_| Err(IndexError("panicked".into()).into())) {
        Ok(state) => Ok((state, None)),
        Err(Stop::Halt(halt)) => Err(halt),
        Err(Stop::Index(error)) if head.sequence > 0 => {
            tracing::warn!(%error, "index is made anew from the journal");
            let state = rebuild(disk, directory, head, index).map_err(|stop| match stop {
                Stop::Halt(halt) => halt,
                Stop::Index(again) => Halt(format!("the journal does not make an index: {again}")),
            })?;
            Ok((state, Some(error.0)))
        }
        Err(Stop::Index(error)) => Err(Halt(error.to_string())),
    }
}

fn catch_up(disk: &dyn Disk, directory: &Path, head: Head, index: &mut dyn Index) -> Result<State, Stop> {
    let Some(state) = State::load(index)? else {
        let empty = index.scan(&[], keys::END, Order::Ascending, 1)?.is_empty();
        return match head.sequence {
            0 if empty => Ok(State::default()),
            0 => Err(Halt("the journal is empty, but the index is not: records were lost".into()).into()),
            _ => Err(IndexError("is empty".into()).into()),
        };
    };
    let contained = Head { sequence: state.meta.sequence, hash: state.meta.hash };
    if contained.sequence > head.sequence {
        return Err(Halt(format!(
            "the index contains record {}, but the journal ends at {}: records that were durable are lost; \
             remove the index directory to go on without them",
            contained.sequence, head.sequence
        ))
        .into());
    }
    if hash_at(disk, directory, contained.sequence)? != Some(contained.hash) {
        return Err(IndexError("belongs to another journal".into()).into());
    }
    let state = replay(disk, directory, state, contained.sequence + 1, index)?;
    if !state.meta.stopped {
        state.audit(index)?;
    }
    Ok(state)
}

fn rebuild(disk: &dyn Disk, directory: &Path, head: Head, index: &mut dyn Index) -> Result<State, Stop> {
    for sequence in checkpoint::list(disk, directory)? {
        index.clear()?;
        let loaded = checkpoint::load(disk, directory, sequence, index);
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::warn!(sequence, %error, "checkpoint does not serve");
                continue;
            }
        };
        if sequence <= head.sequence && hash_at(disk, directory, sequence)? == Some(loaded.head.hash) {
            loaded.complete(index)?;
            let state = State::load(index)?.ok_or_else(|| IndexError("a checkpoint without its first row".into()))?;
            return replay(disk, directory, state, sequence + 1, index);
        }
    }
    index.clear()?;
    match segments(disk, directory)?.first() {
        Some(name) if name.first > 1 => Err(Halt(format!(
            "the journal begins at record {} and no checkpoint fits: the queue cannot be made again",
            name.first
        ))
        .into()),
        Some(_) | None => replay(disk, directory, State::default(), 1, index),
    }
}

/// Applies the records from `from` on.
fn replay(
    disk: &dyn Disk,
    directory: &Path,
    mut state: State,
    from: u64,
    index: &mut dyn Index,
) -> Result<State, Stop> {
    let mut records = Records::from(disk, directory, from)?;
    let mut head = None;
    while let Some(record) = records.read()? {
        let sequence = record.frame.sequence;
        let at = Stamp { wall: record.frame.wall, monotonic_ms: record.frame.monotonic_ms };
        state.apply(index, sequence, at, &record.event)?;
        state.lived(record.frame.run, at);
        head = Some(Head { sequence, hash: record.hash });
        if sequence.is_multiple_of(REPLAY_BATCH) {
            let batch = state.batch(index, Head { sequence, hash: record.hash })?;
            index.apply(&batch)?;
            head = None;
        }
    }
    if let Some(head) = head {
        let batch = state.batch(index, head)?;
        index.apply(&batch)?;
    }
    Ok(state)
}

/// The hash of a record, if the journal still has it. Of record 0, the beginning: zeros.
fn hash_at(disk: &dyn Disk, directory: &Path, sequence: u64) -> Result<Option<Hash>, Halt> {
    if sequence == 0 {
        return Ok(Some(Hash::default()));
    }
    let record = Records::from(disk, directory, sequence)?.read()?;
    Ok(record.filter(|record| record.frame.sequence == sequence).map(|record| record.hash))
}

/// Where the rhythm of checkpoints stands: a draft that a stop gave up counts for nothing. Of a compressed segment only
/// its present length is known, so the next checkpoint may come a few segments late.
fn checkpoint_progress(disk: &dyn Disk, directory: &Path, open_from: u64) -> Result<retention::Progress, Halt> {
    let newest = checkpoint::list(disk, directory)?.first().copied().unwrap_or(0);
    let mut since_checkpoint = 0;
    for name in segments(disk, directory)?.iter().filter(|name| name.first > newest && name.first < open_from) {
        let entry = disk.entry(&name.path(directory));
        let entry = entry.map_err(|error| Halt(format!("look at a journal segment: {error}")))?;
        since_checkpoint += entry.map_or(0, |entry| entry.length);
    }
    let checkpoint_length = checkpoint::length(disk, directory, newest)?;
    Ok(retention::Progress { since_checkpoint, checkpoint_length, ..retention::Progress::default() })
}
