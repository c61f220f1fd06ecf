//! What happened to each message, kept. The one place where a delivery changes state.

mod accept;
mod bring_in;
mod desk;
mod job;
mod lease;
mod legal_hold;
mod monitors;
mod note;
mod occupancy;
mod payload;
mod pin;
mod queue;
mod reseal;
mod retention;
mod send;
mod subject;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use self::accept::{Acceptance, Accepted, Incoming, IncomingBody, Known, Refusal};
pub use self::bring_in::{BringIn, NotBroughtIn, Replaces};
pub use self::desk::{
    Act, Acted, AsideState, FailureGroup, FoundAside, FoundGroups, NotAllowed, Order, Selection, SetAside,
    SetAsideKind, SetAsidePage,
};
pub use self::job::{
    Forecast, Foreseen, Foresight, InvalidRate, Job, JobAct, JobEnd, JobOrder, JobOutcome, Jobs, Left, LeftBehind,
    MOST_OPEN_JOBS, Rate, Stepped, TooManyJobs,
};
pub use self::lease::{Delivery, DroppedLeases, Lease, LeaseWish, Location};
pub use self::legal_hold::{HoldOrder, HoldRefused, LegalHold, LegalHolds, MOST_LEGAL_HOLDS};
pub use self::monitors::{Flow, MOST_FLOWS, Monitored, Monitors};
pub use self::note::Note;
pub use self::occupancy::{Amount, MailboxOccupancy, MailboxSuspension, Occupancy};
pub use self::payload::KeptPayload;
pub use self::pin::{Extent, Pin};
pub use self::queue::{QueuePage, QueuePlace, Queued, Wait};
pub use self::reseal::{Reseal, Resealed};
pub use self::retention::{Class, FoundRetention, RetentionPage, Stock, Tally};
pub use self::send::{FoundAtMesh, NextSend, NotQueued, SendOrder, SendPage, Sends, Sent};
pub use self::subject::{Expunged, Kept, LookUp, MOST_LOOKED_UP, NotExpunged};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::output::OutputState;
use crate::domain::settlement::Settlement;

/// An answer that arrives once the commit it rode on is durable.
pub type Reply<T> = BoxFuture<'static, Result<T, Halt>>;

/// The store can no longer promise anything: stop, say so, restart, recover. Never retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stable storage failed: {0}")]
pub struct Halt(pub String);

/// Every state change of every delivery. A PostgreSQL engine must be able to stand here.
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
    /// Deliveries that a person must look at, newest first.
    fn set_aside(&self, page: SetAsidePage) -> Reply<FoundAside>;
    /// Failures that are alike, in the order of their fingerprints, after one.
    fn groups(&self, after: Option<Fingerprint>) -> Reply<FoundGroups>;
    /// What waits for work, and what is in work. Changes nothing.
    fn queue(&self, page: QueuePage) -> Reply<Vec<Queued>>;
    /// Payloads that are kept, in the order of their deliveries, after one: at most `count`. Changes nothing.
    fn payloads(&self, after: Option<DeliveryId>, count: usize) -> Reply<Vec<KeptPayload>>;
    /// Puts a payload that is sealed again in the place of the old one, unless it is in work. Durable on reply.
    fn reseal(&self, reseal: Reseal) -> Reply<Resealed>;
    /// Does what an operator says with one delivery, or says why not. Durable on reply, together with who did it.
    fn act(&self, order: Order) -> Reply<Result<Acted, NotAllowed>>;
    /// Keeps a payload that an operator brings in, or says why not. Durable on reply, together with who did it.
    fn bring_in(&self, wish: BringIn) -> Reply<Result<DeliveryId, NotBroughtIn>>;
    /// Begins or ends a legal hold, or says what it keeps. Durable on reply.
    fn legal_hold(&self, order: HoldOrder) -> Reply<Result<LegalHoldId, HoldRefused>>;
    /// Counts what is kept, and for how long. Changes nothing.
    fn tally(&self, page: RetentionPage) -> Reply<FoundRetention>;
    /// What is kept of deliveries that someone names. Changes nothing.
    fn look_up(&self, wanted: LookUp) -> Reply<Vec<Kept>>;
    /// Removes a payload before its time, because of the person it is about, or says why not. Durable on reply, together
    /// with who did it.
    fn expunge(&self, delivery: DeliveryId, by: Operator, why: Remark) -> Reply<Result<Expunged, NotExpunged>>;
    /// Notes that a backup begins, and keeps all that it copies in place while the pin lives. Durable on reply.
    fn pin(&self, by: Operator) -> Reply<Pin>;
    /// How full we are, as of the last commit. Cheap.
    fn occupancy(&self) -> Arc<Occupancy>;
    /// Resolves when the store changed since the last call on this watch: new work, or work done.
    fn watch(&self) -> tokio::sync::watch::Receiver<Arc<Occupancy>>;
    /// Resolves once everything handed over before is durable.
    fn barrier(&self) -> Reply<()>;
    /// Resolves when the store has halted.
    fn halted(&self) -> BoxFuture<'static, Halt>;
}
