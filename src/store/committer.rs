//! The committer: the one place where anything becomes durable, and the core of the store without a thread.
//!
//! [`Committer::commit`] takes what waits, writes and syncs the sealed group, writes and syncs the journal records,
//! applies one batch to the index, and only then answers. The order is the promise:
//!
//! 1. a record never names a payload that is not on stable storage;
//! 2. nobody hears of anything before payload and record are on stable storage (I1);
//! 3. the index hears of it last, so it never knows what the journal might lose (I9).
//!
//! **A departure:** the syncs follow each other instead of running side by side. Side by side, a cut between them
//! leaves a durable record of a payload that is not there, for a message that MESH would list again and that we would
//! then acknowledge as kept. After a *failed* sync of the spool it would even read well until the next power cut, so no
//! check at the start could find it. The price is one more sync in a commit that accepts small messages.
//!
//! **A failed write or sync is final.** What the disk holds is then unknown: this commit and all later ones are
//! answered with [`Halt`], nothing is tried again, and the next start recovers. A full disk is no exception, but for
//! one: the spool's saying that it has no room, before anything of this commit was written, costs only the messages
//! of this commit. Admission keeps room free, so neither should be met.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::command::{Answer, Command, Planned, Standing};
use super::index::{Index, IndexError};
use super::journal::checkpoint::Draft;
use super::journal::compress::Compressor;
use super::journal::event::{Event, Release};
use super::journal::seen::Seen;
use super::journal::{Head, Journal, Stamp};
use super::spool::{Appender, Spool};
use super::state::{Place, State};
use super::time::StoreTime;
use super::{StoreSettings, abandoned, compaction, retention, room};
use crate::domain::digest::DigestKey;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::disk::Disk;
use crate::ports::store::{Acceptance, Accepted, DroppedLeases, Extent, Halt, Known, Lease, NextSend, Occupancy, Pin};
use tokio::sync::watch;

/// No commit takes more commands; a batch of the index must stay below half of sled's segment of 512 KiB.
pub const MOST_COMMANDS: usize = 256;
/// No commit takes more payload, but for a single larger one.
pub const MOST_BYTES: usize = 256 * 1024;
/// The index may be this far behind stable storage: a second of journal is applied again in milliseconds.
const INDEX_SYNC: Duration = Duration::from_secs(1);

/// Why a commit stops.
pub(super) enum Stop {
    /// Stable storage failed.
    Halt(Halt),
    /// The index is damaged: it is made anew at the next start.
    Index(IndexError),
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<IndexError> for Stop {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

/// The store without its thread. Deterministic, given its disk, clock and index.
pub struct Committer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) time: StoreTime,
    pub(super) key: DigestKey,
    pub(super) spool: Spool,
    pub(super) appender: Appender,
    pub(super) index: Box<dyn Index>,
    pub(super) journal: Journal,
    pub(super) seen: Seen,
    pub(super) state: State,
    pub(super) compressor: Compressor,
    pub(super) settings: StoreSettings,
    pub(super) retention: retention::Progress,
    /// The checkpoint on its way.
    pub(super) checkpoint: Option<Draft>,
    pub(super) search: room::Search,
    pub(super) compaction: compaction::Bounds,
    pub(super) sweep: abandoned::Sweep,
    pub(super) dropped: DroppedLeases,
    pub(super) dropped_leases: u64,
    pub(super) occupancy: watch::Sender<Arc<Occupancy>>,
    pub(super) index_synced: Option<Duration>,
    pub(super) halted: Option<Halt>,
    /// One clone of it for each backup under way.
    pub(super) pins: Arc<()>,
}

/// The moment of one commit.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// As records say it.
    pub(super) stamp: Stamp,
    /// In the store's own time.
    pub(super) now: Timestamp,
}

impl Committer {
    /// Carries out `commands` in their order. Durable on return, all of them; or [`Halt`], and then for good.
    ///
    /// Without commands it does what is due by itself: dropped leases, ends of retention, compression; and, since a
    /// batch of the index is bounded, only then it makes room and looks for what is
    /// abandoned.
    pub fn commit(&mut self, commands: Vec<Command>) -> Result<Vec<Answer>, Halt> {
        if let Some(halt) = &self.halted {
            return Err(halt.clone());
        }
        let planned = self.try_commit(commands).map_err(|stop| self.halt(stop))?;
        let pin = || Pin::new(self.extent(), Arc::clone(&self.pins));
        Ok(planned.into_iter().map(|planned| planned.answer(&self.dropped, pin)).collect())
    }

    /// Makes the index durable, at an orderly end.
    pub fn finish(&mut self) -> Result<(), Halt> {
        if let Some(halt) = &self.halted {
            return Err(halt.clone());
        }
        let given_up = match self.checkpoint.take() {
            Some(draft) => draft.give_up(self.disk.as_ref()),
            None => Ok(()),
        };
        given_up.map_err(Stop::from).and_then(|()| self.sync_index()).map_err(|stop| self.halt(stop))
    }

    /// The end of the journal.
    pub fn head(&self) -> Head {
        self.journal.head()
    }

    /// How full we are, now and later.
    pub fn watch(&self) -> watch::Receiver<Arc<Occupancy>> {
        self.occupancy.subscribe()
    }

    fn try_commit(&mut self, commands: Vec<Command>) -> Result<Vec<Planned>, Stop> {
        // What a backup copies stays as it is.
        let is_pinned = self.is_pinned();
        if !is_pinned {
            self.roll_if_full()?;
        }
        let moment = Moment { stamp: self.time.stamp(), now: self.time.now() };
        if !is_pinned {
            self.remove_payloads(moment)?;
        }
        self.release_dropped(moment)?;
        let is_idle = commands.is_empty();
        let placed = self.place_small(&commands)?;
        let mut planned = Vec::with_capacity(commands.len());
        for (command, placed) in commands.into_iter().zip(placed) {
            planned.push(self.plan(moment, command, placed)?);
        }
        if is_idle && !is_pinned {
            self.make_room(moment)?;
            self.sweep(moment)?;
            self.purge_spared(moment)?;
        }
        self.purge(moment)?;
        self.make_durable()?;
        if !is_pinned {
            self.keep_up_journal()?;
        }
        Ok(planned)
    }

    fn keep_up_journal(&mut self) -> Result<(), Stop> {
        self.go_on_with_checkpoint()?;
        if self.compressor.is_busy() {
            self.compressor.step()?;
        }
        Ok(())
    }

    /// Whether a backup is under way.
    fn is_pinned(&self) -> bool {
        Arc::strong_count(&self.pins) > 1
    }

    /// Everything that is durable now.
    fn extent(&self) -> Extent {
        let head = self.journal.head();
        let (volume, volume_bytes) = self.appender.last_volume().unwrap_or_default();
        Extent {
            head: head.to_string(),
            sequence: head.sequence,
            segment: self.journal.open_from(),
            segment_bytes: self.journal.length(),
            volume,
            volume_bytes,
        }
    }

    /// Adds a record to this commit and lets it take effect in the state. Its sequence is returned.
    pub(super) fn record(&mut self, moment: Moment, event: &Event) -> Result<u64, Stop> {
        let sequence = self.journal.add(moment.stamp, event)?;
        self.state.apply(self.index.as_ref(), sequence, moment.stamp, event)?;
        self.state.lived(self.journal.run().number, moment.stamp);
        self.seen.note(sequence, event);
        Ok(sequence)
    }

    /// Writes and syncs what was recorded, then applies it to the index. Durable on return.
    pub(super) fn make_durable(&mut self) -> Result<(), Stop> {
        if let Some((step, volume)) = self.appender.dirty() {
            volume.sync(step).map_err(|error| Halt(format!("sync the spool: {error}")))?;
            self.appender.synced().map_err(spool_failed)?;
        }
        if !self.journal.is_dirty() {
            return Ok(());
        }
        self.journal.write()?;
        let file = self.journal.file();
        file.sync(Step::JournalSync).map_err(|error| Halt(format!("sync the journal: {error}")))?;
        self.journal.synced();
        self.apply_batch()
    }

    /// Applies what waits in the state to the index, and tells who watches.
    pub(super) fn apply_batch(&mut self) -> Result<(), Stop> {
        let batch = self.state.batch(self.index.as_ref(), self.journal.head())?;
        if let Some(draft) = &mut self.checkpoint {
            draft.before(&batch, self.index.as_ref())?;
        }
        self.index.apply(&batch)?;
        let occupancy = self.state.occupancy(self.dropped_leases, |due| self.time.wall_of(due));
        self.occupancy.send_replace(Arc::new(occupancy));
        let monotonic = self.time.monotonic();
        if self.index_synced.is_none_or(|at| monotonic.saturating_sub(at) >= INDEX_SYNC) {
            self.sync_index()?;
        }
        Ok(())
    }

    fn sync_index(&mut self) -> Result<(), Stop> {
        self.index.sync()?;
        self.index_synced = Some(self.time.monotonic());
        Ok(())
    }

    fn release_dropped(&mut self, moment: Moment) -> Result<(), Stop> {
        for id in self.dropped.take() {
            let row = self.state.row(self.index.as_ref(), id)?;
            if row.is_some_and(|row| matches!(row.place, Place::Working { .. })) {
                self.dropped_leases += 1;
                self.record(moment, &Event::Released { id, due: moment.now, why: Release::Dropped })?;
            }
        }
        Ok(())
    }

    fn halt(&mut self, stop: Stop) -> Halt {
        let halt = match stop {
            Stop::Halt(halt) => halt,
            Stop::Index(error) => {
                self.index.condemn();
                Halt(error.to_string())
            }
        };
        // The best that can be done on a failing disk: without the mark the next start takes this end for a death.
        if let Err(error) = self.disk.create_folder(Step::StateDirectory, &halted_mark(self.journal.directory())) {
            tracing::error!(%error, "halt could not be marked");
        }
        self.halted = Some(halt.clone());
        halt
    }
}

impl Drop for Committer {
    /// A panic here is most likely sled's, on damage that would make it panic again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.index.condemn();
        }
    }
}

/// A folder of this name says that the run ended by a halt, which is no delivery's doing (I10).
pub(super) fn halted_mark(journal: &Path) -> PathBuf {
    journal.join("halted")
}

/// What the spool says when the committer itself depends on it.
pub(super) fn spool_failed(error: crate::ports::spool::SpoolError) -> Halt {
    match error {
        crate::ports::spool::SpoolError::Failed(halt) => halt,
        other @ (crate::ports::spool::SpoolError::NoRoom(_) | crate::ports::spool::SpoolError::Unreadable(_)) => {
            Halt(other.to_string())
        }
    }
}

impl Planned {
    /// The answer. Called after the syncs and nowhere else: here alone are proofs and leases made (I1).
    fn answer(self, dropped: &DroppedLeases, pin: impl Fn() -> Pin) -> Answer {
        match self {
            Self::Accepted { repeated, mailbox, message, delivery } => {
                let proof = Accepted::attest(mailbox, message, delivery);
                Answer::Accepted(if repeated { Acceptance::Repeated(proof) } else { Acceptance::New(proof) })
            }
            Self::NotKept(why) => Answer::Accepted(Acceptance::NotKept(why)),
            Self::Known(mailbox, standings) => {
                let known = |(message, standing)| match standing {
                    Standing::Kept(delivery) => Known::Kept(Accepted::attest(mailbox.clone(), message, delivery)),
                    Standing::Other(known) => known,
                };
                Answer::Known(standings.into_iter().map(known).collect())
            }
            Self::Leases(deliveries) => Answer::Leases(
                deliveries.into_iter().map(|(delivery, age)| Lease::attest(delivery, age, dropped.clone())).collect(),
            ),
            Self::SetAside(page) => Answer::SetAside(page),
            Self::Groups(groups) => Answer::Groups(groups),
            Self::Queue(page) => Answer::Queue(page),
            Self::Payloads(page) => Answer::Payloads(page),
            Self::Resealed(resealed) => Answer::Resealed(resealed),
            Self::Acted(acted) => Answer::Acted(acted),
            Self::BroughtIn(brought) => Answer::BroughtIn(brought),
            Self::Job(answer) => Answer::Job(answer),
            Self::Tally(found) => Answer::Tally(found),
            Self::SendQueued(queued) => Answer::SendQueued(queued),
            Self::NextSend(next) => Answer::NextSend(match next {
                Ok(due) => NextSend::Lease(Box::new(Lease::attest(due.0, due.1, dropped.clone()))),
                Err(until) => NextSend::NotBefore(until),
            }),
            Self::SendResolved(done) => Answer::SendResolved(done),
            Self::Sends(page) => Answer::Sends(page),
            Self::LookedUp(kept) => Answer::LookedUp(kept),
            Self::Expunged(done) => Answer::Expunged(done),
            Self::LegalHold(done) => Answer::LegalHold(done),
            Self::Pinned => Answer::Pinned(pin()),
            Self::Done => Answer::Done,
            Self::Declined(why) => Answer::Declined(Halt(why)),
        }
    }
}
