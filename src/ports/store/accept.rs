//! Keeping a message: what comes in, the proof that it is kept, and what is known of listed ids.

use bytes::Bytes;

use crate::domain::course::Arrival;
use crate::domain::envelope::Envelope;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::settlement::Reason;
use crate::domain::time::Timestamp;
use crate::ports::spool::Sealed;

/// A message ready to be kept.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its headers.
    pub envelope: Envelope,
    /// Its bytes.
    pub body: IncomingBody,
    /// Set when it is already known to be bad mail: kept as a dead letter, never worked on.
    pub verdict: Option<Reason>,
    /// How it came.
    pub arrival: Arrival,
}

/// The bytes of a message ready to be kept.
#[derive(Debug, Clone)]
pub enum IncomingBody {
    /// At most [`crate::ports::spool::SMALL`] bytes, sealed with others at the next commit.
    Small(Bytes),
    /// Already sealed and durable, chunk by chunk.
    Large(Sealed),
}

/// What came of [`super::Store::accept`]. With a proof, MESH may now hear "acknowledged".
#[derive(Debug)]
pub enum Acceptance {
    /// Kept as a new delivery.
    New(Accepted),
    /// We have had it, with the same bytes, and it ended well: noted, nothing new to do.
    Repeated(Accepted),
    /// Not kept, and nothing left behind: there is no room now, or its sealed parts do not read. MESH still has it.
    NotKept(String),
}

impl Acceptance {
    /// The proof, if the message is kept.
    pub fn proof(&self) -> Option<&Accepted> {
        match self {
            Self::New(accepted) | Self::Repeated(accepted) => Some(accepted),
            Self::NotKept(_) => None,
        }
    }
}

/// Proof that a message is on stable storage (I1). Only the committer makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    mailbox: MailboxId,
    message_id: MessageId,
    delivery: DeliveryId,
}

impl Accepted {
    /// Called by `store::committer` alone, after its syncs; `tests/architecture.rs` holds it to that.
    pub(crate) fn attest(mailbox: MailboxId, message_id: MessageId, delivery: DeliveryId) -> Self {
        Self { mailbox, message_id, delivery }
    }

    /// A proof of nothing, so that an adapter's test can acknowledge without a store. No release has the feature.
    #[cfg(feature = "simulator")]
    pub fn for_tests(mailbox: MailboxId, message_id: MessageId) -> Self {
        Self::attest(mailbox, message_id, DeliveryId(0))
    }

    /// The mailbox it came to.
    pub fn mailbox(&self) -> &MailboxId {
        &self.mailbox
    }

    /// MESH's id of it.
    pub fn message_id(&self) -> &MessageId {
        &self.message_id
    }

    /// Our handling of it.
    pub fn delivery(&self) -> DeliveryId {
        self.delivery
    }
}

/// What we know of a listed id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Never seen: fetch it.
    New,
    /// Kept, but MESH may not have heard: acknowledge, do not fetch.
    Kept(Accepted),
    /// Acknowledged before. Should MESH still have it, fetch it and let [`super::Store::accept`] compare.
    Presented,
    /// Refused before; do not fetch before this time.
    Refused {
        /// Not before.
        until: Timestamp,
        /// How often it was refused.
        times: u32,
        /// First refused: MESH keeps it five days from its delivery (mesh-api 7.2).
        first: Timestamp,
        /// We have it, and it is one that was presented again.
        presented: bool,
        /// MESH did not serve it any more: it waits for nothing.
        lost: bool,
    },
}

/// A message we leave at MESH for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub message_id: MessageId,
    /// Why.
    pub reason: Reason,
    /// Not fetched again before.
    pub until: Timestamp,
    /// MESH does not serve it any more (410, mesh-api 9.4).
    pub lost: bool,
}
