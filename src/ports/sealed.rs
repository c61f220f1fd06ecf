//! For whom the kept payloads are sealed.

use serde::{Deserialize, Serialize};

use super::store::Amount;
use crate::domain::ids::DeliveryId;
use crate::domain::recipient::{Holder, RecipientTag};

/// Some of the kept payloads, in the order of their deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPage {
    /// The identities that the daemon has loaded.
    pub holders: Vec<Holder>,
    /// What is sealed alike, each set of recipients at most twice: what has the present recipients of its mailbox, and
    /// what has not.
    pub sets: Vec<SealedSet>,
    /// Payloads whose recipients do not read, though they are kept.
    pub unreadable: Amount,
    /// The page ends with this delivery, and there may be more.
    pub last: Option<DeliveryId>,
}

/// Payloads that are sealed for the same recipients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSet {
    /// Whom; none where the spool does not say.
    pub recipients: Vec<RecipientTag>,
    /// They are those that new mail of the same mailboxes is sealed for.
    pub is_present: bool,
    /// How much: messages, and decoded bytes.
    pub amount: Amount,
}

/// How far sealing again has come, of what is not sealed for the present recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rewrapping {
    /// It goes on.
    pub is_running: bool,
    /// What was sealed again since it was asked for last.
    pub resealed: Amount,
    /// What was in work at the last look, and is looked at again.
    pub in_work: Amount,
    /// What does not open, or is of a mailbox that is not configured, at the last look.
    pub left: Amount,
    /// It ended early: there was no room.
    pub lacked_room: bool,
}
