//! Payloads that an operator brings in.
//!
//! **In the place of a delivery**, which is handled anew with other bytes, such as those that a person mended. It is
//! allowed where a replay is (see `store::acts`), and where the delivery's own bytes do not decode. The old
//! delivery ends as discarded and keeps its payload until its time; the new one continues it.
//!
//! **By itself**, such as from an export of another daemon: it is held, and a person who looked at it releases it. A
//! message that is here already is not brought in a second time, unless its payload is lost or a person gave it up.
//!
//! Either is one record, which names who did it, and the digests of both payloads where there are two. What is remembered
//! of the message are the bytes that MESH presented: should it present them again, they are no others.
//!
//! What comes large is sealed beside what the message may have already, and taken over under a life of its own kind
//! ([`BESIDE`]), as what is sealed again.

use super::acts::is_poison;
use super::committer::{Committer, Moment, Stop};
use super::journal::event::{Acceptance, Aside, BroughtIn, Event, Presented, Replaced};
use super::plan::Placed;
use super::reseal::BESIDE;
use super::spool::Beside;
use super::state::{Ending, Place, Row};
use crate::domain::digest::{ContentDigest, hex};
use crate::domain::envelope::Envelope;
use crate::domain::fault::FaultCode;
use crate::domain::ids::DeliveryId;
use crate::domain::settlement::Reason;
use crate::ports::spool::SpoolError;
use crate::ports::store::{BringIn, IncomingBody, Location, NotAllowed, NotBroughtIn, Replaces, SetAsideKind};

impl Committer {
    /// Whether it may be brought in; the delivery that it replaces, if it is to.
    pub(super) fn may_bring_in(&self, wish: &BringIn) -> Result<Result<Option<Row>, NotBroughtIn>, Stop> {
        let (mailbox, message) = (&wish.envelope.mailbox, &wish.envelope.message_id);
        if let Some(Replaces { delivery, force, again }) = wish.replaces {
            let is_its = |row: &Row| (&row.delivery.mailbox, &row.delivery.message_id) == (mailbox, message);
            let row = self.state.row(self.index.as_ref(), delivery)?.filter(is_its);
            let Some(row) = row else { return Ok(Err(NotAllowed::Unknown.into())) };
            let permitted = self.may_be_replaced(&row, force, again, &wish.why);
            return Ok(permitted.map(|()| Some(row)).map_err(NotBroughtIn::from));
        }
        let Some(entry) = self.seen.find(mailbox, message)? else { return Ok(Ok(None)) };
        let row = self.state.row(self.index.as_ref(), entry.delivery)?;
        let is_here = |row: &Row| !row.is_lost() && !matches!(row.place, Place::Ended { how: Ending::GivenUp, .. });
        Ok(if row.is_some_and(|row| is_here(&row)) { Err(NotBroughtIn::Here(entry.delivery)) } else { Ok(None) })
    }

    /// Keeps what an operator brings in.
    pub(super) fn bring_in(
        &mut self,
        moment: Moment,
        wish: BringIn,
        placed: Placed,
    ) -> Result<Result<DeliveryId, NotBroughtIn>, Stop> {
        // Once more: an earlier command of this commit may have changed it.
        let replaced = match self.may_bring_in(&wish)? {
            Ok(replaced) => replaced,
            Err(no) => return Ok(Err(no)),
        };
        let presented = self.presented(&wish, replaced.as_ref())?;
        let BringIn { envelope, body, by, why, .. } = wish;
        let continues = match &replaced {
            Some(row) => Some(row.delivery.id),
            None => self.seen.find(&envelope.mailbox, &envelope.message_id)?.map(|entry| entry.delivery),
        };
        let (length, mut digests) = self.measure(&body);
        let location = match self.take_over(&envelope, body, placed)? {
            Ok(location) => location,
            Err(why) => return Ok(Err(why)),
        };
        let held = || {
            let reason = Reason::new(FaultCode::OperatorHeld, format!("brought in: {}", why.as_str()));
            Aside { kind: SetAsideKind::Held, reason, keep: None }
        };
        let kept = Acceptance {
            continues,
            aside: replaced.is_none().then(held),
            ..self.acceptance(moment, &envelope, (length, digests.swap_remove(0)), location)
        };
        let replaces = replaced.map(|row| {
            let (keep, alone) = (self.keep_after(moment, &row), is_poison(&row));
            Replaced { id: row.delivery.id, keep, alone }
        });
        let event = Event::BroughtIn(Box::new(BroughtIn { kept, replaces, presented, by, why }));
        Ok(Ok(DeliveryId(self.record(moment, &event)?)))
    }

    /// Where the spool has what came from here, and not from MESH: beside what else it may have of the message.
    pub(super) fn take_over(
        &mut self,
        envelope: &Envelope,
        body: IncomingBody,
        placed: Placed,
    ) -> Result<Result<Location, NotBroughtIn>, Stop> {
        Ok(match (body, placed) {
            (IncomingBody::Large(sealed), _) => {
                let life = BESIDE | self.journal.next_sequence();
                match self.appender.adopt_beside(Beside::BroughtIn, &envelope.mailbox, &envelope.message_id, life) {
                    Ok(()) => Ok(Location::Parts { parts: sealed.parts, life }),
                    Err(SpoolError::Failed(halt)) => return Err(halt.into()),
                    Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
                        Err(NotBroughtIn::Failed(error.to_string()))
                    }
                }
            }
            (IncomingBody::Small(_), Placed::At(location)) => Ok(location),
            (IncomingBody::Small(_), Placed::NoRoom(why)) => Err(NotBroughtIn::Failed(why)),
            // As this commit began it was not allowed yet.
            (IncomingBody::Small(_), Placed::Nothing | Placed::Known(_)) => Err(NotAllowed::InWork.into()),
        })
    }

    /// What is to be remembered of the message: not the bytes that take the place of those that MESH presented. Nothing
    /// if another life of the message, or none, is remembered.
    fn presented(&self, wish: &BringIn, replaced: Option<&Row>) -> Result<Option<Presented>, Stop> {
        let entry = self.seen.find(&wish.envelope.mailbox, &wish.envelope.message_id)?;
        Ok(match (entry, replaced) {
            (Some(entry), Some(row)) if entry.reopened || entry.delivery != row.delivery.id => None,
            (Some(entry), None) if entry.reopened => None,
            (Some(entry), _) => Some(Presented { length: entry.length, digest: ContentDigest(hex(&entry.digest)) }),
            (None, Some(_)) => None,
            (None, None) => {
                let (length, mut digests) = self.measure(&wish.body);
                let mut digest = digests.swap_remove(0);
                digest.0.truncate(32);
                Some(Presented { length, digest })
            }
        })
    }
}
