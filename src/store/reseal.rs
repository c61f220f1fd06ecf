//! Payloads sealed again, for the recipients that their mailboxes have now.
//!
//! The store is given what was opened, or chunks that were sealed anew beside the old ones, and moves the delivery to
//! them: first the sealed bytes are durable, then the record that names them, then the index follows; the old ones go in
//! a later commit. A crash leaves either place whole. A new place that no record names is dead weight in its volume, or a
//! chunk directory of its own kind ([`BESIDE`]), which goes at the next look for what is abandoned.
//!
//! A delivery in work stays where its lease says it is.

use super::committer::{Committer, Moment, Stop};
use super::journal::event::{Event, Move};
use super::plan::Placed;
use super::spool::Beside;
use super::state::{Place, Row};
use crate::ports::spool::SpoolError;
use crate::ports::store::{IncomingBody, Location, Reseal, Resealed};

/// Lives of chunk directories from here on are of payloads that were sealed here beside those that came from MESH:
/// sealed again, or brought in. Nobody will fetch such a message anew.
/// Below it are the ids of deliveries.
pub(super) const BESIDE: u64 = 1 << 52;

impl Committer {
    /// Whether a payload may leave the place it was read from.
    pub(super) fn may_reseal(&self, reseal: &Reseal) -> Result<bool, Stop> {
        let row = self.state.row(self.index.as_ref(), reseal.delivery)?;
        let is_there = |row: &Row| row.payload() == Some(&reseal.from) && !row.is_lost();
        Ok(row.is_some_and(|row| is_there(&row) && !matches!(row.place, Place::Working { .. })))
    }

    /// Puts what is sealed again in the place of the old.
    pub(super) fn reseal(&mut self, moment: Moment, reseal: Reseal, placed: Placed) -> Result<Resealed, Stop> {
        // Once more: an earlier command of this commit may have leased it.
        if !self.may_reseal(&reseal)? {
            return Ok(Resealed::Elsewhere);
        }
        let Reseal { delivery: id, from, envelope, body } = reseal;
        let (mailbox, message) = (envelope.mailbox, envelope.message_id);
        let to = match (body, placed) {
            (IncomingBody::Large(sealed), _) => {
                let life = BESIDE | self.journal.next_sequence();
                match self.appender.adopt_beside(Beside::Resealed, &mailbox, &message, life) {
                    Ok(()) => Location::Parts { parts: sealed.parts, life },
                    Err(SpoolError::Failed(halt)) => return Err(halt.into()),
                    Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
                        return Ok(Resealed::NotKept(error.to_string()));
                    }
                }
            }
            (IncomingBody::Small(_), Placed::At(location)) => location,
            (IncomingBody::Small(_), Placed::NoRoom(why)) => return Ok(Resealed::NotKept(why)),
            (IncomingBody::Small(_), Placed::Nothing | Placed::Known(_)) => return Ok(Resealed::Elsewhere),
        };
        self.record(moment, &Event::Resealed(Box::new(Move { id, mailbox, message, from, to })))?;
        self.rest_after_resealing();
        Ok(Resealed::Done)
    }

    /// What was sealed again is not there, but what it was made from is.
    pub(super) fn seal_back(&mut self, moment: Moment, lost: Move) -> Result<(), Stop> {
        let Move { id, mailbox, message, from, to } = lost;
        // Purged, or moved on, since.
        let row = self.holder(id)?;
        if let Some(row) = row.filter(|row| row.payload() == Some(&to)) {
            let back = Move { id: row.delivery.id, mailbox, message, from: to, to: from };
            self.record(moment, &Event::Resealed(Box::new(back)))?;
        }
        Ok(())
    }
}
