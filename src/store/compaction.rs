//! What lives in a mostly dead volume is moved to the open one, so that a single dead letter does not keep 64 MiB of
//! others' payloads for 30 days. The emptied volume then goes as any other without a live delivery.
//!
//! A group is copied as it is, sealed, and as a whole: the copy is synced before the record that names it, and the old
//! volume goes in a later commit than that record's. A crash leaves either place whole. A copy that no record names is
//! dead weight in its volume.
//!
//! A group that holds a payload which someone had removed is copied nowhere: see [`super::expunge`]. The same is true of
//! one whose payloads were all sealed again: what is left of it may open with a key that nobody should need any more, so
//! what else lives in its volume is moved out.
//!
//! A delivery in work stays where its lease says it is, and its group with it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::committer::{Committer, Moment, Stop};
use super::journal::event::{Event, GroupPlace};
use super::state::{Place, VolumeRow};
use crate::domain::ids::DeliveryId;
use crate::ports::disk::Shortage;
use crate::ports::spool::SpoolError;

/// Bytes copied in one commit, but for the last group: a few milliseconds.
const COPIED: u64 = 256 * 1024;
/// Groups looked at in one commit.
const GROUPS: usize = 64;
/// Deliveries moved in one commit, but for the last group's: one batch of the index must stay below 256 KB.
const DELIVERIES: usize = 256;
/// A volume is moved when this many times what lives of it is still less than all of it.
const DEAD_ENOUGH: u64 = 4;
/// The same while the disk is near its floor.
const DEAD_ENOUGH_WHEN_SHORT: u64 = 2;

/// Nothing is moved for so long after a payload was sealed again, unless room is short: what is about to be sealed again
/// itself would be copied in vain, and what was just sealed again once more.
const AFTER_RESEALING: Duration = Duration::from_secs(60);

/// What bounds the moving in this run.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Volumes that stay as they are: one of their live groups does not read.
    unmovable: BTreeSet<u64>,
    /// Nothing is moved before then, by the monotonic clock.
    not_before: Duration,
}

impl Committer {
    /// Moves a few live groups out of a mostly dead volume. Says whether there were any.
    pub(super) fn compact(&mut self, moment: Moment, shortage: Option<Shortage>) -> Result<bool, Stop> {
        let free_bytes = self.disk.space(&self.settings.directory).map_or(0, |space| space.free_bytes);
        let times = if shortage == Some(Shortage::Bytes) { DEAD_ENOUGH_WHEN_SHORT } else { DEAD_ENOUGH };
        if shortage.is_none() && self.time.monotonic() < self.compaction.not_before {
            return Ok(false);
        }
        if self.state.has_unwanted(self.appender.open_volume()) {
            self.appender.close();
        }
        let open = self.appender.open_volume();
        let is_sparse = |(volume, row): &(u64, VolumeRow)| {
            let length = self.appender.length_of(*volume).unwrap_or(0);
            // The copies lie beside the old volume for a while.
            let is_sparse = row.bytes.saturating_mul(times) < length || self.state.has_unwanted(*volume);
            row.live > 0 && is_sparse && length < free_bytes
        };
        let movable = |(volume, _): &(u64, VolumeRow)| *volume != open && !self.compaction.unmovable.contains(volume);
        let sparse: Vec<u64> =
            self.state.volumes().filter(movable).filter(is_sparse).map(|(volume, _)| volume).collect();
        for volume in sparse {
            if self.move_groups(moment, volume)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A payload was sealed again, and more may be.
    pub(super) fn rest_after_resealing(&mut self) {
        self.compaction.not_before = self.time.monotonic() + AFTER_RESEALING;
    }

    fn move_groups(&mut self, moment: Moment, volume: u64) -> Result<bool, Stop> {
        let (mut bytes, mut deliveries) = (0, 0);
        for (offset, ids) in self.state.groups_of(self.index.as_ref(), volume, GROUPS)? {
            if bytes >= COPIED || deliveries >= DELIVERIES {
                break;
            }
            if self.state.is_unwanted(GroupPlace { volume, offset }) || self.is_in_work(&ids)? {
                continue;
            }
            let copied = match self.appender.copy((volume, offset)) {
                Ok(copied) => copied,
                Err(SpoolError::Failed(halt)) => return Err(halt.into()),
                Err(SpoolError::NoRoom(_)) => break,
                Err(SpoolError::Unreadable(why)) => {
                    tracing::error!(volume, offset, why, "group does not read, so its volume stays as it is");
                    self.compaction.unmovable.insert(volume);
                    break;
                }
            };
            deliveries += ids.len();
            bytes += copied.length;
            let from = GroupPlace { volume, offset };
            let to = GroupPlace { volume: copied.volume, offset: copied.offset };
            self.record(moment, &Event::Moved { ids, from, to })?;
        }
        Ok(deliveries > 0)
    }

    fn is_in_work(&self, ids: &[DeliveryId]) -> Result<bool, Stop> {
        for id in ids {
            let row = self.state.row(self.index.as_ref(), *id)?;
            if row.is_some_and(|row| matches!(row.place, Place::Working { .. })) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
