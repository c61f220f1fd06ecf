//! The control protocol: one request and one response per connection, each one line of JSON; of a backup two.
//!
//! A payload that was asked for follows its response, as it is, a piece at a time (I3). One that is brought in follows
//! the first response to its request; a second one says what became of it.
//!
//! Both carry the protocol's version; a daemon and a command of different versions say so instead of guessing.
//! Lines are bounded on both sides. The response to a request that cannot be read is a refusal, never silence.

use serde::{Deserialize, Serialize};

use crate::domain::digest::ContentDigest;
use crate::domain::envelope::Envelope;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, JobId, MailboxId, MessageId, Name};
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::domain::monitor::MonitorId;
use crate::domain::operator::{Purpose, Remark};
use crate::domain::recipient::{Holder, RecipientTag};
use crate::domain::time::Timestamp;
use crate::ports::directory::{Endpoints, Wanted};
use crate::ports::operations::{FoundSubject, Letter, NotLookedUp, NotRevealed, Status, Whose};
use crate::ports::sealed::{Rewrapping, SealedPage};
use crate::ports::store::{
    Act, Acted, Expunged, Extent, Foreseen, FoundAside, FoundGroups, FoundRetention, HoldRefused, Job, JobAct, Kept,
    LookUp, NotAllowed, NotBroughtIn, NotExpunged, QueuePlace, Queued, Rate, Selection, Sent, TooManyJobs,
};
use crate::ports::trace::{Page, Search, Unreadable};

/// The version of both lines. A change that an older side would misread raises it.
pub(super) const VERSION: u32 = 1;

/// No request is longer, in bytes: the longest brings in a message with all its headers, which MESH serves in less.
pub(super) const LONGEST_REQUEST: u64 = 64 * 1024;

/// No request acts on more deliveries.
pub const MOST_ACTS: usize = 100;

/// No page holds more deliveries.
pub const LARGEST_PAGE: usize = 200;

/// No response is longer, in bytes: a page of deliveries with some twenty outputs each.
pub(super) const LONGEST_RESPONSE: u64 = 4 * 1024 * 1024;

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// [`VERSION`].
    pub(super) version: u32,
    /// The question.
    pub(super) ask: Ask,
}

/// The questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// How are you?
    Status,
    /// Which deliveries must a person look at?
    SetAside {
        /// Older than this one.
        before: Option<DeliveryId>,
        /// Only this one.
        only: Option<DeliveryId>,
        /// Only what this takes.
        #[serde(default)]
        selection: Box<Selection>,
        /// At most so many; never more than [`LARGEST_PAGE`].
        count: usize,
    },
    /// Which failures are alike?
    Groups {
        /// After this group.
        after: Option<Fingerprint>,
    },
    /// What waits for work?
    Queue {
        /// Only in this mailbox.
        mailbox: Option<MailboxId>,
        /// Behind this place.
        after: Option<QueuePlace>,
        /// At most so many; never more than [`LARGEST_PAGE`].
        count: usize,
    },
    /// What goes out, or went and is still known?
    Sends {
        /// Only from this mailbox.
        mailbox: Option<MailboxId>,
        /// Behind this place.
        after: Option<QueuePlace>,
        /// At most so many; never more than [`LARGEST_PAGE`].
        count: usize,
    },
    /// Which mailboxes has an organisation?
    Endpoints(Wanted),
    /// For whom are the kept payloads sealed?
    Sealed {
        /// After this delivery.
        after: Option<DeliveryId>,
    },
    /// An identity was made, whose recipient this is: the journal is to say so, and by whom.
    KeyMade {
        /// Its recipient.
        recipient: RecipientTag,
    },
    /// Seal again what is not sealed for the present recipients.
    Rewrap,
    /// How far has that come?
    Rewrapping,
    /// Where does the journal end?
    JournalHead,
    /// Keep everything that is durable now in place while this connection lasts: a backup begins. On the same connection
    /// [`Ask::BackupWhole`] may follow.
    Pin,
    /// The backup that this connection began is whole.
    BackupWhole,
    /// What does the journal have of one message? Whoever may look may ask.
    Trace(Box<Search>),
    /// What does the journal have of this? Whoever may act may ask, and the journal says that they did.
    Audit(Box<Search>),
    /// What is sealed of this dead or held delivery? Whoever may act may ask, and the journal says that they did.
    Reveal {
        /// Which.
        delivery: DeliveryId,
        /// Its bytes too: they follow the line of the response.
        payload: bool,
        /// Why, for the journal.
        why: Remark,
    },
    /// Let this suspended pipeline go on.
    Resume {
        /// Which.
        pipeline: Name,
        /// Why, for the journal.
        why: Option<Remark>,
    },
    /// Wait no longer for what this monitor missed.
    AcceptMonitor {
        /// Which.
        of: MonitorId,
        /// Why, for the journal.
        why: Remark,
    },
    /// Have this mailbox rest.
    SuspendMailbox {
        /// Which.
        mailbox: MailboxId,
        /// Why, for the journal.
        why: Remark,
    },
    /// Let this mailbox go on.
    ResumeMailbox {
        /// Which.
        mailbox: MailboxId,
        /// Why, for the journal.
        why: Option<Remark>,
    },
    /// Keep this, whatever its retention says.
    AddLegalHold {
        /// What.
        scope: Box<HoldScope>,
        /// Why, for the journal.
        why: Remark,
    },
    /// Keep no longer what this legal hold keeps.
    RemoveLegalHold {
        /// Which.
        hold: LegalHoldId,
        /// Why, for the journal.
        why: Remark,
    },
    /// How much is kept, and for how long?
    Retention {
        /// After this delivery.
        after: Option<DeliveryId>,
        /// And what goes until then, by the wall clock.
        until: Timestamp,
    },
    /// What is kept about people, by what the journal says? Whoever may act may ask, and the journal says that they did.
    Subject {
        /// The keyed digests of their NHS numbers.
        patients: Vec<ContentDigest>,
        /// What for.
        purpose: Purpose,
        /// Where the page before ended; 0 at first.
        from: u64,
        /// Why, for the journal.
        why: Remark,
    },
    /// Remove these payloads before their time, for the sake of the person they are about.
    Expunge {
        /// Which, at most [`MOST_ACTS`].
        deliveries: Vec<DeliveryId>,
        /// Why, for the journal.
        why: Remark,
    },
    /// What is kept of these?
    LookUp {
        /// At most [`crate::ports::store::MOST_LOOKED_UP`].
        wanted: LookUp,
    },
    /// Do this with each of these.
    Act {
        /// Which, at most [`MOST_ACTS`].
        deliveries: Vec<DeliveryId>,
        /// What.
        act: Act,
        /// Why, for the journal.
        why: Option<Remark>,
    },
    /// Take a payload in. So many bytes follow once the daemon says [`Answer::Send`].
    BringIn {
        /// Whose.
        whose: Whose,
        /// How long it is, bytes.
        length: u64,
        /// Why, for the journal.
        why: Remark,
    },
    /// Take a message in that is to go out. So many bytes follow once the daemon says [`Answer::Send`].
    Post {
        /// What it says of itself.
        letter: Box<Letter>,
        /// How long its payload is, bytes.
        length: u64,
    },
    /// A send that got no answer is at MESH under this id.
    ResolveSend {
        /// Which.
        delivery: DeliveryId,
        /// MESH's id of it.
        message: MessageId,
        /// Why, for the journal.
        why: Remark,
    },
    /// What would this bulk act do?
    Foresee {
        /// With which.
        selection: Box<Selection>,
        /// What.
        act: JobAct,
        /// Behind this delivery.
        after: Option<DeliveryId>,
    },
    /// Do this with all of these, one after the other.
    BeginJob {
        /// With which.
        selection: Box<Selection>,
        /// What.
        act: JobAct,
        /// How fast.
        rate: Rate,
        /// Why, for the journal.
        why: Remark,
    },
    /// Which bulk acts are under way, or were?
    Jobs,
    /// End this bulk act where it is.
    CancelJob {
        /// Which.
        job: JobId,
    },
}

/// What the daemon responds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Response {
    /// [`VERSION`].
    pub(super) version: u32,
    /// The answer, or why there is none.
    pub(super) result: Result<Answer, Refusal>,
}

/// The answers, one for each question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Ask::Status`].
    Status(Box<Status>),
    /// To [`Ask::SetAside`].
    SetAside(FoundAside),
    /// To [`Ask::Groups`].
    Groups(FoundGroups),
    /// To [`Ask::Queue`].
    Queue(Vec<Queued>),
    /// To [`Ask::Sealed`].
    Sealed(SealedPage),
    /// To [`Ask::KeyMade`]: the journal says so; and what is loaded.
    KeyNoted(Vec<Holder>),
    /// To [`Ask::Rewrap`] and [`Ask::Rewrapping`].
    Rewrapping(Rewrapping),
    /// To [`Ask::JournalHead`].
    JournalHead(String),
    /// To [`Ask::Pin`]: what to copy.
    Pinned(Extent),
    /// To [`Ask::BackupWhole`]: everything was kept in place until now, and the journal says so.
    BackupNoted,
    /// To [`Ask::Trace`] and [`Ask::Audit`].
    Found(Page),
    /// To [`Ask::Reveal`]: so many bytes follow, if they were asked for, and are whole only if they all come.
    Revealed {
        /// What MESH said of the message.
        envelope: Box<Envelope>,
        /// How long the payload is.
        length: u64,
    },
    /// To [`Ask::Resume`]: whether it was suspended.
    Resumed(bool),
    /// To [`Ask::AcceptMonitor`]: whether it had an alarm.
    MonitorAccepted(bool),
    /// To [`Ask::SuspendMailbox`]: whether it did not rest already.
    MailboxSuspended(bool),
    /// To [`Ask::ResumeMailbox`]: whether it rested.
    MailboxResumed(bool),
    /// To [`Ask::AddLegalHold`] and [`Ask::RemoveLegalHold`]: which one stands or ended.
    LegalHold(LegalHoldId),
    /// To [`Ask::Retention`].
    Retention(FoundRetention),
    /// To [`Ask::Subject`].
    Subject(FoundSubject),
    /// To [`Ask::Expunge`]: what came of each, in the order asked.
    Expunged(Vec<(DeliveryId, Result<Expunged, NotExpunged>)>),
    /// To [`Ask::LookUp`].
    LookedUp(Vec<Kept>),
    /// To [`Ask::Act`]: what came of each, in the order asked.
    Acted(Vec<Outcome>),
    /// To [`Ask::ResolveSend`]: what came of it.
    SendResolved(Result<(), NotAllowed>),
    /// To [`Ask::Endpoints`].
    Endpoints(Result<Endpoints, NotLookedUp>),
    /// To [`Ask::Sends`], by mailbox and age.
    Sends(Vec<Sent>),
    /// To [`Ask::BringIn`] and [`Ask::Post`], at first: the bytes may come.
    Send,
    /// To both, once they have come: it is kept as this delivery.
    BroughtIn(DeliveryId),
    /// To [`Ask::Foresee`].
    Foreseen(Foreseen),
    /// To [`Ask::BeginJob`].
    JobBegun(JobId),
    /// To [`Ask::Jobs`], oldest first.
    Jobs(Vec<Job>),
    /// To [`Ask::CancelJob`]: whether it was under way.
    JobCancelled(bool),
}

/// What came of an act on one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which.
    pub delivery: DeliveryId,
    /// Done, or why not.
    pub result: Result<Acted, NotAllowed>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The asking user may not.
    #[error("this user may not ask: root, the daemon's own user and members of control.view_group may")]
    NotPermitted,
    /// The asking user may look, and no more.
    #[error("this user may look, and not act: root, the daemon's own user and {} may", operators(.group.as_deref()))]
    MayOnlyLook {
        /// The group whose members may act.
        group: Option<String>,
    },
    /// Too many at once.
    #[error("at most {MOST_ACTS} deliveries at once, and with --force one alone")]
    TooMany,
    /// Too many bulk acts at once.
    #[error(transparent)]
    TooManyJobs(#[from] TooManyJobs),
    /// A trace is of one message.
    #[error("a trace names a message or a delivery: everything else is asked of `meshd audit`")]
    TooWide,
    /// What is sealed is not shown.
    #[error(transparent)]
    NotRevealed(#[from] NotRevealed),
    /// Nothing was brought in.
    #[error(transparent)]
    NotBroughtIn(#[from] NotBroughtIn),
    /// Nothing became of the legal hold.
    #[error(transparent)]
    LegalHold(#[from] HoldRefused),
    /// The journal does not read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The request is not one of this version.
    #[error("the daemon does not understand the request: it speaks version {speaks} of the protocol")]
    NotUnderstood {
        /// The version the daemon speaks.
        speaks: u32,
    },
    /// The store has halted.
    #[error("{0}")]
    Halted(String),
}

/// Who may act besides root and the daemon's own user, for people.
fn operators(group: Option<&str>) -> String {
    match group {
        Some(group) => format!("members of {group} (control.operate_group)"),
        None => "members of control.operate_group, which is not configured,".to_owned(),
    }
}
