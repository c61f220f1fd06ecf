//! Is this message new?
//!
//! The key is mailbox and message id. A message that came again with the same bytes has nothing new to do while its
//! delivery is on its way or was delivered, and as long as MESH has not heard our acknowledge: then it never left.
//! One whose delivery ended otherwise begins another, linked to it. Other bytes under a known id are kept, but
//! set aside: one of the two is not what its sender meant.

use super::committer::{Committer, Stop};
use super::journal::event::Aside;
use super::journal::seen::{self, Entry};
use super::state::{Ending, Place, Row};
use crate::domain::digest::ContentDigest;
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::settlement::{DeathCause, Reason};
use crate::domain::time::Timestamp;
use crate::ports::store::SetAsideKind;

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing new: it has this delivery.
    Repeated(DeliveryId),
    /// A new delivery.
    New {
        /// The one it continues.
        continues: Option<DeliveryId>,
        /// It came with other bytes than before.
        reused: bool,
    },
}

impl Committer {
    /// Decides about a message of these bytes, by their digests under each key: whichever is remembered was made with one
    /// of them.
    pub(super) fn decide(
        &self,
        mailbox: &MailboxId,
        message: &MessageId,
        length: u64,
        digests: &[ContentDigest],
    ) -> Result<Decision, Stop> {
        let Some(entry) = self.seen.find(mailbox, message)? else {
            return Ok(Decision::New { continues: None, reused: false });
        };
        let row = self.state.row(self.index.as_ref(), entry.delivery)?;
        let same = entry.length == length && digests.iter().any(|digest| entry.digest == seen::cut(digest));
        Ok(decide(&entry, row.as_ref(), same))
    }
}

fn decide(entry: &Entry, row: Option<&Row>, same: bool) -> Decision {
    let again = Decision::New { continues: Some(entry.delivery), reused: false };
    if entry.reopened {
        return again;
    }
    // What was kept as served does not have the bytes that its sender meant: nothing to compare with.
    if !same && row.is_some_and(|row| row.as_served) {
        return again;
    }
    if !same {
        return Decision::New { continues: Some(entry.delivery), reused: true };
    }
    match row {
        // Delivered, and its payload's time is over: an undelivered one would be reopened.
        None => Decision::Repeated(entry.delivery),
        Some(row) if row.is_lost() => again,
        Some(row) if !row.acknowledged => Decision::Repeated(entry.delivery),
        Some(row) => match row.place {
            Place::Queued { .. }
            | Place::Working { .. }
            | Place::Suspect
            | Place::Ended { how: Ending::Delivered, .. } => Decision::Repeated(entry.delivery),
            // What was replayed is not what is remembered: that is the delivery which replays it.
            Place::Aside { .. }
            | Place::Ended { how: Ending::Discarded | Ending::GivenUp | Ending::Replayed(_), .. } => again,
        },
    }
}

/// How a new delivery is set aside at once, if it is.
pub(super) fn aside(verdict: Option<&Reason>, reused: bool, keep: Timestamp) -> Option<Aside> {
    let held = || {
        let reason = Reason::new(FaultCode::MsgIdReused, "the message id came before with other content");
        Aside { kind: SetAsideKind::Held, reason, keep: None }
    };
    let dead = |reason: &Reason| Aside {
        kind: SetAsideKind::Dead(DeathCause::Permanent),
        reason: reason.clone(),
        keep: Some(keep),
    };
    verdict.map(dead).or_else(|| reused.then(held))
}
