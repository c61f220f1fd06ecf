//! Payloads as the spool keeps them.

use super::Location;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};

/// Where a delivery's payload is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPayload {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its mailbox.
    pub mailbox: MailboxId,
    /// Its message.
    pub message: MessageId,
    /// Where in the spool.
    pub location: Location,
    /// Decoded length, bytes.
    pub length: u64,
}
