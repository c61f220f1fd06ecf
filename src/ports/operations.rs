//! What an operator may ask of the running daemon.
//!
//! Nothing here is patient data (I8), but for what [`Operations::reveal`] gives. Only [`Operations::act`],
//! [`Operations::resume`], [`Operations::accept_monitor`], those about whole mailboxes, a backup and the records that
//! [`Operations::audit`] and [`Operations::reveal`] leave change anything; whoever calls them has made sure that the
//! operator may.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::monitors::MonitorStatus;
use super::obstacles::Obstacle;
use super::sealed::{Rewrapping, SealedPage};
use super::spool::Opened;
use super::store::{
    Acted, Extent, FoundAside, FoundGroups, Halt, MailboxOccupancy, NotAllowed, Order, Pin, QueuePage, Queued,
    SetAsidePage,
};
use super::trace::{Page, Search, Unreadable};
use crate::domain::fault::FaultCode;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, MailboxId, Name};
use crate::domain::monitor::MonitorId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::recipient::{Holder, RecipientTag};
use crate::domain::time::Timestamp;

/// An answer that may wait for the store.
pub type Told<'a, T> = BoxFuture<'a, Result<T, Halt>>;

/// The running daemon, seen by the one who asks.
pub trait Operations: Send + Sync {
    /// How it is.
    fn status(&self) -> Status;
    /// Deliveries that a person must look at.
    fn set_aside(&self, page: SetAsidePage) -> Told<'_, FoundAside>;
    /// Failures that are alike, in the order of their fingerprints, after one.
    fn groups(&self, after: Option<Fingerprint>) -> Told<'_, FoundGroups>;
    /// What waits for work, and what is in work.
    fn queue(&self, page: QueuePage) -> Told<'_, Vec<Queued>>;
    /// For whom some of the kept payloads are sealed, after this delivery.
    fn sealed(&self, after: Option<DeliveryId>) -> Told<'_, SealedPage>;
    /// Notes that an identity was made, whose recipient this is. Durable on reply, with what is loaded.
    fn key_made(&self, recipient: RecipientTag, by: Operator) -> Told<'_, Vec<Holder>>;
    /// Begins to seal again what is not sealed for the present recipients, unless that goes on. The journal says who did.
    fn rewrap(&self, by: Operator) -> Told<'_, Rewrapping>;
    /// How far that has come.
    fn rewrapping(&self) -> Rewrapping;
    /// Does something with one delivery, or says why not; the journal says who did it.
    fn act(&self, order: Order) -> Told<'_, Result<Acted, NotAllowed>>;
    /// Lets a suspended pipeline go on; `false` if it is not suspended. The journal says who did it, and why.
    fn resume(&self, pipeline: Name, by: Operator, why: Option<Remark>) -> Told<'_, bool>;
    /// Waits no longer for what a monitor missed; `false` if it has no alarm. The journal says who did it, and why.
    fn accept_monitor(&self, of: MonitorId, by: Operator, why: Remark) -> Told<'_, bool>;
    /// Notes that a backup begins, and keeps all that it copies in place while the pin lives.
    fn pin(&self, by: Operator) -> Told<'_, Pin>;
    /// Notes that the backup of what `extent` names is whole.
    fn backup_ended(&self, extent: Extent, by: Operator) -> Told<'_, ()>;
    /// What the journal has of one message: a page of it.
    fn trace(&self, wanted: Search) -> Told<'_, Result<Page, Unreadable>>;
    /// The same of whatever is wanted. Before the answer is given, the journal says durably who read, and what.
    fn audit(&self, wanted: Search, by: Operator) -> Told<'_, Result<Page, Unreadable>>;
    /// What is sealed of a dead or held delivery. Before it is given, the journal says durably who is shown it, and why.
    fn reveal(&self, wish: Reveal) -> Told<'_, Result<Opened, NotRevealed>>;
    /// Has a mailbox rest: nothing is listed, fetched or worked for it until it is resumed, across restarts too. What is
    /// on its way in or in work comes to its end. `false` if it rests already.
    fn suspend_mailbox(&self, mailbox: MailboxId, by: Operator, why: Remark) -> Told<'_, bool>;
    /// Lets a mailbox go on; `false` if it does not rest.
    fn resume_mailbox(&self, mailbox: MailboxId, by: Operator, why: Option<Remark>) -> Told<'_, bool>;
    /// The end of the journal, as `meshd journal verify --against` takes it.
    fn journal_head(&self) -> Told<'_, String>;
}

/// What someone wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reveal {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Its bytes too, and not its envelope alone.
    pub payload: bool,
    /// Who.
    pub by: Operator,
    /// Why.
    pub why: Remark,
}

/// Why nothing was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NotRevealed {
    /// Only a person's work is shown to a person.
    #[error("it is neither dead nor held, and only what is is shown")]
    NotAside,
    /// It does not open.
    #[error("{0}")]
    Unreadable(String),
}

/// How the daemon is. Its form as JSON is what `meshd status --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Where in its life it is.
    pub phase: Phase,
    /// Since when this process runs.
    pub started_at: Timestamp,
    /// When this was true.
    pub now: Timestamp,
    /// Sequence of the journal's last record.
    pub sequence: u64,
    /// Deliveries started and not ended by an earlier run: while there are any, they run alone.
    pub suspects: u64,
    /// Leases dropped unsettled: a defect if not 0.
    pub dropped_leases: u64,
    /// Whole days until our certificate expires; negative once it has.
    pub certificate_days: Option<i64>,
    /// Mail can be taken in for at least one mailbox.
    pub ready: bool,
    /// The pipelines, in the order of their names.
    pub pipelines: Vec<PipelineStatus>,
    /// What should come, in the order of pipelines and names.
    pub monitors: Vec<MonitorStatus>,
    /// What stands in the way.
    pub obstacles: Vec<Obstacle>,
    /// Each mailbox, in the order of their ids.
    pub mailboxes: Vec<MailboxStatus>,
}

/// One mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxStatus {
    /// Its id.
    pub id: MailboxId,
    /// The ODS code of its organisation; absent for a mailbox no longer configured.
    pub organisation: Option<String>,
    /// Since when mail waits at MESH that could not be taken, as far as this process knows; while MESH does not answer,
    /// since the last list at the latest. MESH keeps mail five days.
    pub waits_since: Option<Timestamp>,
    /// How full it is, and what it did.
    pub occupancy: MailboxOccupancy,
}

/// One pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStatus {
    /// Its name.
    pub name: Name,
    /// SHA-256 of its file, lower-case hex.
    pub sha256: String,
    /// Where its messages may go.
    pub outputs: Vec<Name>,
    /// Why its messages are held, if they are.
    pub suspended: Option<Suspended>,
}

/// Why a pipeline is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// How its messages failed, many in a row.
    pub code: FaultCode,
    /// Since when.
    pub since: Timestamp,
}

/// Where in its life the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Recovering, not yet fetching.
    Starting,
    /// Fetching and working.
    Running,
    /// Ending what is in hand.
    Stopping,
}

impl Phase {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}
