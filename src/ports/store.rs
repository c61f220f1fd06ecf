//! What happened to each message, kept. The one place where a delivery changes state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::spool::Sealed;
use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, WorkflowId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::output::OutputState;
use crate::domain::settlement::{DeathCause, Reason, Settlement};
use crate::domain::time::Timestamp;

/// An answer that arrives once the commit it rode on is durable.
pub type Reply<T> = BoxFuture<'static, Result<T, Halt>>;

/// The store can no longer promise anything: stop, say so, restart, recover. Never retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stable storage failed: {0}")]
pub struct Halt(pub String);

/// Every state change of every delivery. A PostgreSQL engine must be able to stand here (D5).
pub trait Store: Send + Sync {
    /// Keeps a message. Durable on reply (I1).
    fn accept(&self, incoming: Incoming) -> Reply<Acceptance>;
    /// What we know of listed ids, in their order.
    fn known(&self, mailbox: &MailboxId, ids: Vec<MessageId>) -> Reply<Vec<Known>>;
    /// Notes that MESH heard our acknowledge. Rides with the next commit: losing it only repeats the acknowledge.
    fn acknowledged(&self, accepted: &Accepted) -> Reply<()>;
    /// Notes that a message stays at MESH, and why. Durable on reply.
    fn refuse(&self, refusal: Refusal) -> Reply<()>;
    /// A look at a mailbox's whole inbox named, of the messages refused, only `listed`: some or all of the others are
    /// forgotten, for MESH has them no more. Durable on reply.
    fn forget_refused(&self, mailbox: &MailboxId, listed: BTreeSet<MessageId>) -> Reply<()>;
    /// Takes up to `wish.count` due deliveries of one mailbox. `started` is durable on reply, before any work.
    fn lease(&self, wish: LeaseWish) -> Reply<Vec<Lease>>;
    /// Notes outputs that are whole in staging. Durable on reply, before any rename.
    fn staged(&self, delivery: DeliveryId, outputs: Vec<OutputState>) -> Reply<()>;
    /// Ends a lease. Durable on reply.
    fn settle(&self, lease: Lease, settlement: Settlement) -> Reply<()>;
    /// Notes what the daemon itself did: start, stop, handshake, configuration, clock step. Durable on reply.
    fn note(&self, note: Note) -> Reply<()>;
    /// Deliveries that a person must look at, newest first, after `page.after`.
    fn set_aside(&self, page: SetAsidePage) -> Reply<Vec<SetAside>>;
    /// Does what an operator says with one delivery, or says why not. Durable on reply, together with who did it.
    fn act(&self, order: Order) -> Reply<Result<Acted, NotAllowed>>;
    /// How full we are, as of the last commit. Cheap.
    fn occupancy(&self) -> Arc<Occupancy>;
    /// Resolves when the store changed since the last call on this watch: new work, or work done.
    fn watch(&self) -> tokio::sync::watch::Receiver<Arc<Occupancy>>;
    /// Resolves once everything handed over before is durable.
    fn barrier(&self) -> Reply<()>;
    /// Resolves when the store has halted.
    fn halted(&self) -> BoxFuture<'static, Halt>;
}

/// A message ready to be kept.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its headers.
    pub envelope: Envelope,
    /// Its bytes.
    pub body: IncomingBody,
    /// Set when it is already known to be bad mail: kept as a dead letter, never worked on (design 6, "Refused").
    pub verdict: Option<Reason>,
}

/// The bytes of a message ready to be kept.
#[derive(Debug, Clone)]
pub enum IncomingBody {
    /// At most [`super::spool::SMALL`] bytes, sealed with others at the next commit.
    Small(Bytes),
    /// Already sealed and durable, chunk by chunk.
    Large(Sealed),
}

/// What came of [`Store::accept`]. With a proof, MESH may now hear "acknowledged".
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
    /// Acknowledged before. Should MESH still have it, fetch it and let [`Store::accept`] compare.
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
}

/// What a worker would like to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWish {
    /// The lane.
    pub mailbox: MailboxId,
    /// At most so many.
    pub count: usize,
    /// Stop adding once their payloads reach this many bytes (at least one is given).
    pub bytes: u64,
    /// Only those started before without an end, one at a time (design 6, "Suspects").
    pub suspects: bool,
}

/// The right to work on one delivery. Neither `Clone` nor `Copy`; settling consumes it.
///
/// One that is dropped unsettled is released by the store and counted.
#[derive(Debug)]
pub struct Lease {
    /// What is known without opening the payload.
    pub delivery: Delivery,
    ticket: Option<Ticket>,
}

/// Where dropped leases are remembered until the committer releases them.
#[derive(Debug, Clone, Default)]
pub struct DroppedLeases(Arc<Mutex<Vec<DeliveryId>>>);

impl DroppedLeases {
    /// Those dropped since the last call.
    pub(crate) fn take(&self) -> Vec<DeliveryId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Ticket {
    delivery: DeliveryId,
    dropped: DroppedLeases,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.dropped.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(self.delivery);
    }
}

impl Lease {
    /// Called by `store::committer` alone; `tests/architecture.rs` holds it to that.
    pub(crate) fn attest(delivery: Delivery, dropped: DroppedLeases) -> Self {
        let ticket = Some(Ticket { delivery: delivery.id, dropped });
        Self { delivery, ticket }
    }

    /// Ends the lease on its way to the committer, so that dropping it releases nothing.
    pub(crate) fn redeem(mut self) -> Delivery {
        if let Some(ticket) = self.ticket.take() {
            std::mem::forget(ticket);
        }
        self.delivery.clone()
    }
}

/// One delivery, as the index knows it. No patient data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The mailbox it came to.
    pub mailbox: MailboxId,
    /// MESH's id.
    pub message_id: MessageId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Its sender, when that is a mailbox id.
    pub from: Option<MailboxId>,
    /// Data or report.
    pub kind: MessageKind,
    /// Decoded length of the payload, bytes.
    pub length: u64,
    /// Keyed digest of the payload.
    pub digest: crate::domain::digest::ContentDigest,
    /// Where the spool keeps it.
    pub location: Location,
    /// When it was accepted, or replayed.
    pub accepted_at: Timestamp,
    /// Attempts that count against its pipeline's `max_attempts`.
    pub attempts: u32,
    /// Times it was started; `starts` > settled rounds marks a suspect.
    pub starts: u32,
    /// Deaths of the daemon while it was handled alone.
    pub solo_deaths: u32,
    /// The delivery this one continues, after a message came again or was replayed.
    pub continues: Option<DeliveryId>,
    /// How far each output came; empty until a pipeline decided.
    pub outputs: Vec<OutputState>,
}

/// Where the spool keeps a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// Member `member` of the sealed group at `offset` in volume `volume`.
    Group {
        /// Volume number.
        volume: u64,
        /// Offset of the group's clear header, bytes.
        offset: u64,
        /// Length of the whole group, bytes.
        length: u64,
        /// Place in the group, from 0.
        member: u32,
    },
    /// A chunk directory of `parts` sealed parts, by mailbox and message id.
    Parts {
        /// How many.
        parts: u32,
        /// Which life of the message id: 0 for the first, then the delivery id it continues.
        life: u64,
    },
}

/// What the daemon itself did. Journalled for auditors; changes no delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
pub enum Note {
    /// The daemon began a run.
    Started {
        /// Its version.
        version: String,
    },
    /// The daemon was told to end: if that takes too long it is cut off, and nothing in work is to blame (I10).
    Stopping,
    /// The daemon ended a run in order; its absence makes the next start look for suspects.
    Stopped,
    /// A handshake is about to be tried (never more than hourly; remembered across restarts).
    HandshakeTried {
        /// The mailbox.
        mailbox: MailboxId,
    },
    /// A mailbox answered a handshake (daily; remembered across restarts).
    Handshake {
        /// The mailbox.
        mailbox: MailboxId,
    },
    /// An inbox was listed (five minutes apart on national environments; remembered across restarts).
    Listed {
        /// The mailbox.
        mailbox: MailboxId,
    },
    /// The wall clock moved by itself (D9).
    ClockStep {
        /// By so many milliseconds; negative is back.
        milliseconds: i64,
    },
    /// Configuration and pipelines were loaded.
    Configured {
        /// SHA-256 over both, lower-case hex.
        sha256: String,
    },
}

/// Which set-aside deliveries to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAsidePage {
    /// Older than this one.
    pub before: Option<DeliveryId>,
    /// Only this one.
    pub only: Option<DeliveryId>,
    /// At most so many.
    pub count: usize,
}

/// A delivery that a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// The delivery.
    pub delivery: Delivery,
    /// Dead, with its cause, or held.
    pub kind: SetAsideKind,
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Timestamp,
}

/// What an operator wants done with one delivery. Which act is allowed when: see `store::acts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The delivery.
    pub delivery: DeliveryId,
    /// What.
    pub act: Act,
    /// By whom.
    pub by: Operator,
    /// Why, in their words.
    pub why: Option<Remark>,
}

/// What an operator can do with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Act {
    /// Handle it anew, as another delivery with a budget of its own, by today's pipelines.
    Replay {
        /// Although it may harm the daemon, or pass for another message.
        force: bool,
        /// Although a consumer has it, or may have it.
        again: bool,
    },
    /// Put what is held back to work, as it is.
    Release {
        /// Although it may harm the daemon, or pass for another message.
        force: bool,
    },
    /// Set it aside until a person says more.
    Hold,
    /// End it: it goes nowhere.
    Discard,
}

/// What came of an [`Act`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acted {
    /// Replayed, as this new delivery.
    ReplayedAs(DeliveryId),
    /// Back to work.
    Released,
    /// Set aside.
    Held,
    /// Ended.
    Discarded,
}

/// Why an [`Act`] was not done. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NotAllowed {
    /// No such delivery.
    #[error("it is not known: there never was one, or its retention is over")]
    Unknown,
    /// It waits for work.
    #[error("it waits for work, and needs nobody")]
    Waits,
    /// It is in work, or waits to be tried alone.
    #[error("it is in work, or about to be: ask again in a moment")]
    InWork,
    /// Dead, where only held will do.
    #[error("it is dead, and not held: `replay` has it handled anew")]
    NotHeld,
    /// Held already.
    #[error("it is held already")]
    AlreadyHeld,
    /// It was delivered.
    #[error("it was delivered")]
    Delivered,
    /// It was discarded.
    #[error("it was discarded; `meshd spool open` still has its bytes until its retention is over")]
    Discarded,
    /// It was replayed.
    #[error("it was replayed as {0}, which has its payload now")]
    ReplayedAs(DeliveryId),
    /// Its payload is gone.
    #[error(
        "its payload is gone (SPOOL-LOST): there is nothing to handle; look for a later delivery of the same message,          or have it sent again"
    )]
    Lost,
    /// Its bytes are not what a pipeline expects.
    #[error(
        "its bytes are kept as MESH served them, because they do not decode: no pipeline may take them;          `meshd spool open` gives them out"
    )]
    AsServed,
    /// It harmed the daemon, or may pass for another message.
    #[error("{0}: only with --force, and only one at a time")]
    NeedsForce(FaultCode),
    /// A consumer has it, or may have it.
    #[error("a consumer has it, or may have it: only with --again and --reason, and it may come out twice")]
    NeedsAgain,
    /// It takes a reason.
    #[error("it needs a --reason, for the journal")]
    NeedsReason,
}

/// The two words for bad mail (design 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetAsideKind {
    /// A dead letter.
    Dead(DeathCause),
    /// Waiting for a person.
    Held,
}

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
}

/// How full one mailbox is, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailboxOccupancy {
    /// Accepted and not settled: messages.
    pub queued: Amount,
    /// Of those, parked on an answer.
    pub parked: Amount,
    /// Held for a person.
    pub held: Amount,
    /// Dead letters.
    pub dead: Amount,
    /// Settled, kept for their retention.
    pub retained: Amount,
    /// Refused and left at MESH.
    pub refused: u64,
    /// Accepted ever; with `delivered` a pair of counters (style: metrics).
    pub accepted_total: u64,
    /// Acknowledged ever.
    pub acknowledged_total: u64,
    /// Delivered ever.
    pub delivered_total: u64,
    /// Discarded by rule ever.
    pub discarded_total: u64,
    /// Outputs ever taken for published because both names were gone: most likely the consumer was quick after a crash.
    pub inferred_total: u64,
    /// Outputs ever published once more, after their own disk lost power (`OUT-REPUBLISHED`).
    pub republished_total: u64,
    /// Earliest time something becomes due; `None` when nothing waits.
    pub next_due: Option<Timestamp>,
    /// Last handshake that was answered.
    pub handshake_at: Option<Timestamp>,
    /// Last list.
    pub listed_at: Option<Timestamp>,
    /// Last handshake that was tried.
    pub handshake_tried_at: Option<Timestamp>,
}

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// How many.
    pub messages: u64,
    /// Decoded bytes of their payloads.
    pub bytes: u64,
}
