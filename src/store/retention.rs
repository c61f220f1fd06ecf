//! What goes when its time is over, a bounded part of it at each commit.
//!
//! A payload that ended is purged first in the journal and the index, and leaves the spool after that was durable:
//! its chunk directory in a later commit, its volume when no live delivery is left in it. A crash between leaves the
//! row that says so, and the removal is done then. Nothing held ever goes by itself, nor
//! anything that a legal hold keeps: see [`super::legal_holds`].

use std::time::Duration;

use super::committer::{Committer, Moment, Stop};
use super::index::Order;
use super::index::keys::{self, kind};
use super::journal::checkpoint::{self, Draft};
use super::journal::event::{ByHand, Event};
use super::journal::segment::{HEADER, Name, Reader};
use super::journal::segments;
use super::spool::Removal;
use super::state::{Ending, Expiring, PartsRow, Place, Row};
use crate::domain::ids::DeliveryId;
use crate::domain::step::Step;
use crate::ports::spool::SpoolError;
use crate::ports::store::{Delivery, Halt};

/// Deliveries and refusals purged in one commit: faster than any commit accepts on average.
pub(super) const PURGES: usize = 64;
/// Volumes, and chunk directories, removed in one commit: each costs up to a few milliseconds.
pub(super) const REMOVALS: usize = 4;

/// How long a removal rests for which this machine was short of something.
const SHORT: Duration = Duration::from_secs(60);

/// How far the upkeep of the journal has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes of closed segments since the last checkpoint.
    pub(super) since_checkpoint: u64,
    /// Length of the last checkpoint.
    pub(super) checkpoint_length: u64,
    /// Nothing is removed from the spool before then, by the monotonic clock: this machine was short of something.
    pub(super) not_before: Duration,
    /// Where the last commit's look at what legal holds spare ended.
    pub(super) spared_from: Option<Vec<u8>>,
}

/// Whether it is gone. What this machine is too short of something to remove now is removed at a later commit.
pub(super) fn removed(answer: Result<(), SpoolError>) -> Result<bool, Halt> {
    match answer {
        Ok(()) => Ok(true),
        Err(SpoolError::Failed(halt)) => Err(halt),
        Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
            tracing::warn!(%error, "something was not removed from the spool, and stays for now");
            Ok(false)
        }
    }
}

impl Committer {
    /// Purges what is due. Recorded only; the payloads leave the spool in later commits.
    pub(super) fn purge(&mut self, moment: Moment) -> Result<(), Stop> {
        let to = keys::purge_until(moment.now);
        let due = self.state.scan(self.index.as_ref(), &[kind::PURGE], &to, Order::Ascending, PURGES)?;
        let mut spared = Vec::new();
        for (_, value) in due {
            match keys::decode(&value)? {
                Expiring::Refusal(mailbox, message) => {
                    self.record(moment, &Event::Forgotten { mailbox, message })?;
                }
                Expiring::Delivery(id) => match self.state.row(self.index.as_ref(), id)? {
                    Some(row) if self.state.is_kept(&row) => spared.push(id),
                    Some(row) if !self.state.is_looking() => self.record_purge(moment, row, None)?,
                    Some(_) | None => {}
                },
            }
        }
        if !spared.is_empty() {
            self.record(moment, &Event::Spared { ids: spared })?;
        }
        Ok(())
    }

    pub(super) fn record_purge(&mut self, moment: Moment, row: Row, asked: Option<ByHand>) -> Result<(), Stop> {
        let reopened = self.would_reopen(&row)?;
        let Delivery { id, mailbox, message_id: message, .. } = row.delivery;
        self.record(moment, &Event::Purged { id, mailbox, message, reopened, asked: asked.map(Box::new) })?;
        Ok(())
    }

    /// Whether a message, when it comes again, begins another life: its newest one was not delivered.
    fn would_reopen(&self, row: &Row) -> Result<bool, Stop> {
        if matches!(row.place, Place::Ended { how: Ending::Delivered, .. }) {
            return Ok(false);
        }
        let newest = self.seen.find(&row.delivery.mailbox, &row.delivery.message_id)?;
        Ok(newest.is_none_or(|entry| entry.delivery == row.delivery.id))
    }

    /// Removes from the spool what earlier commits purged.
    pub(super) fn remove_payloads(&mut self, moment: Moment) -> Result<(), Stop> {
        if self.time.monotonic() < self.retention.not_before {
            return Ok(());
        }
        let parts = self.index.scan(&[kind::REMOVAL], &[kind::REMOVAL + 1], Order::Ascending, REMOVALS)?;
        for (key, value) in parts {
            let Some(id) = keys::number_of(&key).map(DeliveryId) else { continue };
            let PartsRow { mailbox, message, life } = keys::decode(&value)?;
            let what = Removal::Parts { mailbox, message_id: message, life };
            if !self.remove(what)? {
                return Ok(());
            }
            self.record(moment, &Event::PartsRemoved { id })?;
        }
        for volume in self.empty_volumes().take(REMOVALS).collect::<Vec<_>>() {
            if !self.remove(Removal::Volume(volume))? {
                return Ok(());
            }
            self.record(moment, &Event::VolumeRemoved { volume })?;
        }
        Ok(())
    }

    /// Whether it is gone; if not, removals rest for a while.
    fn remove(&mut self, what: Removal) -> Result<bool, Stop> {
        let is_gone = removed(self.appender.remove(what))?;
        if !is_gone {
            self.retention.not_before = self.time.monotonic() + SHORT;
        }
        Ok(is_gone)
    }

    /// Whether something purged still takes room.
    pub(super) fn is_removing(&self) -> Result<bool, Stop> {
        let parts = self.index.scan(&[kind::REMOVAL], &[kind::REMOVAL + 1], Order::Ascending, 1)?;
        Ok(!parts.is_empty() || self.empty_volumes().next().is_some())
    }

    /// Closed volumes without a live delivery.
    fn empty_volumes(&self) -> impl Iterator<Item = u64> + '_ {
        let open = self.appender.open_volume();
        self.state.volumes().filter(move |(volume, row)| row.live == 0 && *volume != open).map(|(volume, _)| volume)
    }

    /// Closes a journal segment that reached its size, with what goes beside it. Durable on return.
    pub(super) fn roll_if_full(&mut self) -> Result<(), Stop> {
        if self.journal.length() < self.settings.segment_bytes.max(HEADER as u64 + 1) {
            return Ok(());
        }
        let (now, head) = (self.time.now(), self.journal.head());
        let length = self.journal.length();
        let closed = self.journal.roll(self.time.stamp().wall, now)?;
        self.seen.close(closed.first, head.sequence, now)?;
        self.compressor.add(closed);
        self.retention.since_checkpoint += length;
        // A checkpoint costs as much as the live rows are long. Waiting until as much was journalled keeps its share
        // of the writing bounded, however long the queue is.
        if self.checkpoint.is_none() && self.retention.since_checkpoint >= self.retention.checkpoint_length {
            self.checkpoint = Some(Draft::begin(self.disk.as_ref(), self.journal.directory(), head)?);
            self.retention.since_checkpoint = 0;
        }
        let first_live = self.index.scan(&[kind::DELIVERY], &[kind::DELIVERY + 1], Order::Ascending, 1)?;
        let first_live = first_live.first().and_then(|(key, _)| keys::number_of(key)).map(DeliveryId);
        self.seen.forget(now.minus(self.settings.retention.seen), first_live)?;
        self.drop_old_segment()
    }

    /// Adds some rows to the checkpoint that is on its way, if one is.
    pub(super) fn go_on_with_checkpoint(&mut self) -> Result<(), Stop> {
        let Some(draft) = &mut self.checkpoint else { return Ok(()) };
        if draft.add_rows(self.index.as_ref(), self.settings.checkpoint_rows * draft.pace())?
            && let Some(draft) = self.checkpoint.take()
        {
            self.retention.checkpoint_length = draft.finish(self.disk.as_ref())?;
        }
        Ok(())
    }

    /// Removes the oldest segment if its retention is over, no legal hold stands, and no rebuild would need it.
    fn drop_old_segment(&mut self) -> Result<(), Stop> {
        if !self.state.legal_holds().is_empty() {
            return Ok(());
        }
        let directory = self.journal.directory().to_owned();
        let names = segments(self.disk.as_ref(), &directory)?;
        let [oldest, next, ..] = names.as_slice() else { return Ok(()) };
        let checkpoints = checkpoint::list(self.disk.as_ref(), &directory)?;
        // Its own record is looked up again before a checkpoint is believed.
        let needed = checkpoints.last().is_none_or(|sequence| *sequence < next.first);
        let closed = Reader::open(self.disk.as_ref(), &directory, next)
            .map_err(|trouble| Halt(format!("read a journal header: {trouble}")))?
            .header()
            .time;
        if needed || self.time.now().since(closed) < self.settings.retention.journal {
            return Ok(());
        }
        self.remove_segment(oldest, next.first)
    }

    fn remove_segment(&mut self, name: &Name, next: u64) -> Result<(), Stop> {
        let path = name.path(self.journal.directory());
        let moment = Moment { stamp: self.time.stamp(), now: self.time.now() };
        let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
        self.record(moment, &Event::SegmentRemoved { file, next })?;
        self.make_durable()?;
        self.disk
            .remove(Step::SegmentCompress, &path)
            .map_err(|error| Halt(format!("remove a journal segment: {error}")).into())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_shortage_leaves_it_for_later_and_a_failure_is_final() {
        assert_eq!(removed(Ok(())), Ok(true));
        assert_eq!(removed(Err(SpoolError::NoRoom(io::Error::from_raw_os_error(libc::EMFILE)))), Ok(false));
        let halt = Halt("remove a volume: EIO".to_owned());
        assert_eq!(removed(Err(SpoolError::Failed(halt.clone()))), Err(halt));
    }
}
