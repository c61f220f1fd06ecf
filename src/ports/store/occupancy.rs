//! How full the store is, and what it did.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ids::MailboxId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::time::Timestamp;
use crate::ports::store::{LegalHolds, Monitors};

/// How full we are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Occupancy {
    /// Per mailbox.
    pub mailboxes: BTreeMap<MailboxId, MailboxOccupancy>,
    /// Journal sequence this is true for.
    pub sequence: u64,
    /// Suspects not yet cleared: while there are any, they run alone.
    pub suspects: u64,
    /// Leases dropped unsettled since the start: a defect if not 0.
    pub dropped_leases: u64,
    /// When this run began: in the store's own time, and by the monotonic clock, milliseconds.
    pub began: (Timestamp, u64),
    /// What monitors know. Shared, since it is read seldom and told with every commit.
    #[serde(skip)]
    pub monitors: Arc<Monitors>,
    /// Legal holds. Shared likewise.
    #[serde(skip)]
    pub legal_holds: Arc<LegalHolds>,
}

impl Occupancy {
    /// Who has a mailbox rest, if someone does.
    pub fn suspension(&self, mailbox: &MailboxId) -> Option<&MailboxSuspension> {
        self.mailboxes.get(mailbox)?.suspended.as_ref()
    }
}

/// How full one mailbox is, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailboxOccupancy {
    /// Accepted and not settled: messages.
    pub queued: Amount,
    /// To be sent, and not settled.
    pub sending: Amount,
    /// Of what is queued, parked on an answer.
    pub parked: Amount,
    /// Held for a person.
    pub held: Amount,
    /// Dead letters.
    pub dead: Amount,
    /// Settled, kept for their retention.
    pub retained: Amount,
    /// Of what is dead or retained: beyond its time, and kept by a legal hold alone.
    pub spared: Amount,
    /// Refused and left at MESH.
    pub refused: u64,
    /// Accepted ever; with `delivered` a pair of counters (style: metrics).
    pub accepted_total: u64,
    /// Acknowledged ever.
    pub acknowledged_total: u64,
    /// Delivered ever.
    pub delivered_total: u64,
    /// Sent ever: accepted by MESH.
    pub sent_total: u64,
    /// Of what was sent, given up by MESH ever.
    pub undelivered_total: u64,
    /// Discarded by rule ever.
    pub discarded_total: u64,
    /// Outputs ever taken for published because both names were gone: most likely the consumer was quick after a crash.
    pub inferred_total: u64,
    /// Outputs ever published once more, after their own disk lost power (`OUT-REPUBLISHED`).
    pub republished_total: u64,
    /// Earliest time something becomes due; `None` when nothing waits, or only what must not come out of turn.
    pub next_due: Option<Timestamp>,
    /// Last handshake that was answered.
    pub handshake_at: Option<Timestamp>,
    /// Last list.
    pub listed_at: Option<Timestamp>,
    /// Last handshake that was tried.
    pub handshake_tried_at: Option<Timestamp>,
    /// An operator has it rest: nothing is taken in or worked on.
    pub suspended: Option<MailboxSuspension>,
}

/// Who has a mailbox rest, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxSuspension {
    /// Since when.
    pub since: Timestamp,
    /// Who.
    pub by: Operator,
    /// Why, in their words.
    pub why: Remark,
}

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// How many.
    pub messages: u64,
    /// Decoded bytes of their payloads.
    pub bytes: u64,
}
