//! Removing a payload before its time, because of the person it is about.
//!
//! | It is | |
//! |---|---|
//! | waiting for work, in work, or to be tried alone | no: let it come to its end, or hold it and ask again |
//! | staged for an output and not yet published | no: a person decides what becomes of it first |
//! | replayed | no: the delivery that replays it has the payload |
//! | under a legal hold, or one is still searched for | no |
//! | held, dead, delivered or discarded | yes |
//!
//! A large payload's chunks leave the spool with the next commit. A small one lies sealed with others in a group, which
//! can only be kept or removed whole: the group is *unwanted* from then on, and never copied. What else lives in its
//! volume is moved out at once, and the volume goes with the last delivery that shares an unwanted group.
//! The journal keeps its records: they name nobody but by keyed digests.

use super::committer::{Committer, Moment, Stop};
use super::journal::event::ByHand;
use super::state::{Ending, Place, Row};
use crate::domain::ids::DeliveryId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::time::Timestamp;
use crate::ports::store::{Expunged, Location, NotExpunged};

impl Committer {
    /// Removes the payload of a delivery, or says why not.
    pub(super) fn expunge(
        &mut self,
        moment: Moment,
        id: DeliveryId,
        by: Operator,
        why: Remark,
    ) -> Result<Result<Expunged, NotExpunged>, Stop> {
        let Some(row) = self.state.row(self.index.as_ref(), id)? else { return Ok(Err(NotExpunged::Unknown)) };
        if let Err(refused) = self.may_expunge(&row) {
            return Ok(Err(refused));
        }
        let location = row.delivery.location.clone();
        self.record_purge(moment, row, Some(ByHand { by, why }))?;
        match location {
            Location::Parts { .. } => Ok(Ok(Expunged::Now)),
            Location::Group { volume, offset, .. } => self.remains(volume, offset).map(Ok),
        }
    }

    fn may_expunge(&self, row: &Row) -> Result<(), NotExpunged> {
        match row.place {
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect => return Err(NotExpunged::OnItsWay),
            Place::Ended { how: Ending::Replayed(to), .. } => return Err(NotExpunged::ReplayedAs(to)),
            Place::Aside { .. } | Place::Ended { .. } => {}
        }
        if row.is_staged() {
            return Err(NotExpunged::Staged);
        }
        if self.may_not_go(row) { Err(NotExpunged::LegallyHeld) } else { Ok(()) }
    }

    /// What keeps an unwanted group: those that share it, and until when they are kept.
    fn remains(&mut self, volume: u64, offset: u64) -> Result<Expunged, Stop> {
        let (mut shared_by, mut until) = (0, Some(Timestamp(0)));
        for id in self.state.members_of(self.index.as_ref(), volume, offset)? {
            let Some(row) = self.state.row(self.index.as_ref(), id)? else { continue };
            shared_by += 1;
            let keep = row.keep().filter(|_| !self.state.is_kept(&row)).map(|keep| self.time.wall_of(keep));
            until = until.zip(keep).map(|(one, other)| one.max(other));
        }
        Ok(if shared_by == 0 { Expunged::WithVolume { volume } } else { Expunged::Shared { volume, shared_by, until } })
    }
}
