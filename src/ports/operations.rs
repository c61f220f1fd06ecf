//! What an operator may ask of the running daemon.
//!
//! Nothing here is patient data (I8), but for what [`Operations::reveal`] gives and [`Operations::bring_in`] takes. Only
//! [`Operations::act`], [`Operations::bring_in`], [`Operations::begin_job`], [`Operations::cancel_job`],
//! [`Operations::resume`], [`Operations::accept_monitor`], those about whole mailboxes, legal holds, a backup and the
//! records that [`Operations::audit`] and [`Operations::reveal`] leave change anything; whoever calls them has made sure
//! that the operator may.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::directory::{Endpoints, Wanted};
use super::monitors::MonitorStatus;
use super::obstacles::Obstacle;
use super::pickups::PickupStatus;
use super::sealed::{Rewrapping, SealedPage};
use super::spool::Opened;
use super::store::{
    Acted, Expunged, Extent, Foreseen, Foresight, FoundAside, FoundAtMesh, FoundGroups, FoundRetention, Halt,
    HoldOrder, HoldRefused, Job, JobOrder, Kept, LookUp, MailboxOccupancy, NotAllowed, NotBroughtIn, NotExpunged,
    Order, Pin, QueuePage, Queued, Replaces, RetentionPage, SendPage, Sent, SetAsidePage, TooManyJobs,
};
use super::trace::{Page, Search, Unreadable};
use crate::domain::control::Control;
use crate::domain::digest::ContentDigest;
use crate::domain::envelope::Envelope;
use crate::domain::fault::FaultCode;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, JobId, MailboxId, Name, Sensitive, WorkflowId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::monitor::MonitorId;
use crate::domain::onward::Onward;
use crate::domain::operator::{Operator, Purpose, Remark};
use crate::domain::pair::Pair;
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
    /// Begins to take in a payload that an operator brings, or says why not; once it is kept, the journal says who brought
    /// it, and why.
    fn bring_in(&self, wish: Bringing) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>>;
    /// Takes a message in that is to go out, or says why not.
    fn post(&self, posting: Posting) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>>;
    /// Ends a send of which a person found out that MESH has it, or says why not; the journal says who did.
    fn resolve_send(&self, found: FoundAtMesh) -> Told<'_, Result<(), NotAllowed>>;
    /// What goes out, or went and is still known.
    fn sends(&self, page: SendPage) -> Told<'_, Vec<Sent>>;
    /// Which mailboxes an organisation has for a workflow, or why MESH did not say.
    fn endpoints(&self, wanted: Wanted) -> Told<'_, Result<Endpoints, NotLookedUp>>;
    /// What a bulk act would do: a part of it.
    fn foresee(&self, wanted: Foresight) -> Told<'_, Foreseen>;
    /// Begins a bulk act; the journal says who did it, and why.
    fn begin_job(&self, order: JobOrder) -> Told<'_, Result<JobId, TooManyJobs>>;
    /// Bulk acts under way, and the last that ended, oldest first.
    fn jobs(&self) -> Told<'_, Vec<Job>>;
    /// Ends a bulk act where it is; `false` if it is not under way. The journal says who did it.
    fn cancel_job(&self, job: JobId, by: Operator) -> Told<'_, bool>;
    /// Lets a suspended pipeline go on; `false` if it is not suspended. The journal says who did it, and why.
    fn resume(&self, pipeline: Name, by: Operator, why: Option<Remark>) -> Told<'_, bool>;
    /// Waits no longer for what a monitor missed; `false` if it has no alarm. The journal says who did it, and why.
    fn accept_monitor(&self, of: MonitorId, by: Operator, why: Remark) -> Told<'_, bool>;
    /// Begins or ends a legal hold, or says why not; the journal says who did it, and why.
    fn legal_hold(&self, order: HoldOrder) -> Told<'_, Result<LegalHoldId, HoldRefused>>;
    /// Counts what is kept, and for how long.
    fn tally(&self, page: RetentionPage) -> Told<'_, FoundRetention>;
    /// What is kept about people, by what the journal says: a page of it. Before the answer is given, the journal says
    /// durably who asked, and why.
    fn subject(&self, wish: SubjectWish) -> Told<'_, Result<FoundSubject, Unreadable>>;
    /// What is kept of deliveries or messages that someone names.
    fn look_up(&self, wanted: LookUp) -> Told<'_, Vec<Kept>>;
    /// Removes a payload before its time, because of the person it is about, or says why not; the journal says who did it.
    fn expunge(&self, delivery: DeliveryId, by: Operator, why: Remark) -> Told<'_, Result<Expunged, NotExpunged>>;
    /// Notes that a backup begins, and keeps all that it copies in place while the pin lives.
    fn pin(&self, by: Operator) -> Told<'_, Pin>;
    /// Notes that the backup of what `extent` names is whole.
    fn backup_ended(&self, extent: Extent, by: Operator) -> Told<'_, ()>;
    /// What the journal has of one message: a page of it.
    fn trace(&self, wanted: Search) -> Told<'_, Result<Page, Unreadable>>;
    /// The same of whatever is wanted. Before the answer is given, the journal says durably who read, and what; once for
    /// all pages of an answer.
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

/// Why nobody knows which mailboxes an organisation has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("MESH did not say: {0}")]
pub struct NotLookedUp(pub String);

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

/// A payload that someone wants to bring in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bringing {
    /// Whose payload it is to be.
    pub whose: Whose,
    /// How long it is, bytes.
    pub length: u64,
    /// Who.
    pub by: Operator,
    /// Why.
    pub why: Remark,
}

/// Whose payload is brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// A delivery's, which is handled anew with it.
    Delivery(Replaces),
    /// A message's that is not here, with its headers; it is held.
    Message(Box<Envelope>),
}

/// A message that someone wants to send: its headers (mesh-api 5.1), and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// What it says of itself.
    pub letter: Letter,
    /// How long its payload is, bytes.
    pub length: u64,
    /// Who.
    pub by: Operator,
}

/// What a message that is to go out says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    /// The mailbox it goes out from.
    pub mailbox: MailboxId,
    /// Who is to have it.
    pub to: Sensitive,
    /// By which workflow.
    pub workflow: WorkflowId,
    /// `Mex-Subject`.
    pub subject: Option<Sensitive>,
    /// `Mex-LocalID`. Without it the message gets one that no other has, by which MESH can be asked for it.
    pub local_id: Option<Sensitive>,
    /// `Mex-FileName`.
    pub file_name: Option<Sensitive>,
    /// `Mex-PartnerID`.
    pub partner_id: Option<Sensitive>,
    /// `Mex-Content-Checksum`.
    pub checksum: Option<Sensitive>,
    /// `Mex-Content-Type`.
    pub content_type: Option<String>,
    /// `Mex-Content-Encrypted`: its sender encrypted it.
    pub encrypted: bool,
    /// Compressed in transit; none: as its mailbox has it.
    pub compress: Option<bool>,
}

impl Letter {
    /// As a control file has it.
    pub fn of(control: Control) -> Self {
        Self {
            mailbox: control.from,
            to: control.to,
            workflow: control.workflow,
            subject: control.subject,
            local_id: control.local_id,
            file_name: None,
            partner_id: control.partner_id,
            checksum: control.checksum,
            content_type: None,
            encrypted: control.encrypted,
            // That it may be compressed does not say that it must.
            compress: if control.compress { None } else { Some(false) },
        }
    }
}

/// Who takes in what is to go out.
pub trait Post: Send + Sync {
    /// Begins to take a message in, or says why not.
    fn post(&self, posting: Posting) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>>;
}

/// A payload on its way in. Dropped, it leaves nothing behind.
pub trait Upload: Send {
    /// Takes the next bytes. Blocks.
    fn write(&mut self, bytes: &[u8]) -> Result<Result<(), NotBroughtIn>, Halt>;
    /// Keeps it, if all have come; what goes out, with what it was made of. Durable on reply.
    fn keep(self: Box<Self>, origin: Origin) -> Told<'static, Result<DeliveryId, NotBroughtIn>>;
}

/// What a message that goes out was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Of what an operator gave.
    Operator,
    /// Of the pair of files that it was picked up as.
    Pair(Pair),
    /// Of a message that came in.
    Onward(Onward),
}

/// Whose mail someone wants to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectWish {
    /// The keyed digests of their NHS numbers.
    pub patients: Vec<ContentDigest>,
    /// What for.
    pub purpose: Purpose,
    /// Where the page before ended.
    pub from: u64,
    /// Who.
    pub by: Operator,
    /// Why.
    pub why: Remark,
}

/// What the journal connects with people, and how to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FoundSubject {
    /// The deliveries that a record connects with one of them, gone or not.
    pub connected: BTreeSet<DeliveryId>,
    /// Those of them that name other people, or may.
    pub with_others: BTreeSet<DeliveryId>,
    /// Of those, and of what replays them, all that is still known.
    pub kept: Vec<Kept>,
    /// Whatever takes the place of another delivery, of anybody's: that one, and the new one. What is connected may be
    /// gone, and what replays it still there.
    pub replaced: Vec<(DeliveryId, DeliveryId)>,
    /// The next page begins there; `None` if the end was reached.
    pub rest: Option<u64>,
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
    /// The legal holds, the oldest first.
    pub legal_holds: Vec<LegalHoldStatus>,
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
    /// What lies in its `OUT`, if that is picked up.
    pub pickup: Option<PickupStatus>,
    /// How full it is, and what it did.
    pub occupancy: MailboxOccupancy,
}

/// One legal hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegalHoldStatus {
    /// Which.
    pub id: LegalHoldId,
    /// What it keeps.
    pub keeps: KeptBy,
    /// Since when.
    pub since: Timestamp,
    /// Who wanted it.
    pub by: Operator,
    /// Why, in their words.
    pub why: Remark,
    /// The mail of before that it keeps is found; nothing at all is purged before.
    pub is_complete: bool,
}

/// What a legal hold keeps, for whoever may look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptBy {
    /// All mail of a mailbox.
    Mailbox(MailboxId),
    /// One delivery, and whichever replays it.
    Delivery(DeliveryId),
    /// Mail about people, by so many digests of their numbers: one for each under each key.
    Patients(u64),
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
