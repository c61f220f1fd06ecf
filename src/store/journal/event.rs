//! What the journal says happened.
//!
//! A record's body is one [`Event`] as compact JSON, told apart by its member `e`. No patient data (I8): ids of MESH
//! and our own, codes, lengths, our own output names; digests and local ids keyed. New members and new events raise
//! [`VERSION`]; a journal that says a newer one is refused.

mod about;
mod members;

use serde::{Deserialize, Serialize};

use crate::domain::course::Handling;
use crate::domain::digest::ContentDigest;
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, JobId, MailboxId, MessageId, Name};
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::domain::monitor::{MonitorId, Turn};
use crate::domain::operator::{Operator, Purpose, Remark};
use crate::domain::output::OutputState;
use crate::domain::recipient::RecipientTag;
use crate::domain::sending::Sending;
use crate::domain::settlement::{DeathCause, Reason};
use crate::domain::time::Timestamp;
use crate::ports::store::{JobOrder, JobOutcome, LeftBehind};

pub use about::About;
pub use members::{
    Acceptance, Aside, BroughtIn, ByHand, GroupPlace, Move, Presented, Release, Replaced, Replay, SendQueued,
};

/// The version of the events, in each segment's header.
pub const VERSION: u8 = 1;

/// The kinds of events, by the word in the member `e`.
pub const KINDS: [&str; 65] = [
    "run",
    "started",
    "stopping",
    "stopped",
    "accepted",
    "acknowledged",
    "repeated",
    "refused",
    "forgotten",
    "working",
    "suspect",
    "concerns",
    "staged",
    "delivered",
    "discarded",
    "retry",
    "deferred",
    "released",
    "held",
    "dead",
    "replayed",
    "brought-in",
    "send-queued",
    "sending",
    "send-resolved",
    "pair-put-away",
    "operator-released",
    "operator-held",
    "operator-discarded",
    "job-begun",
    "job-passed",
    "job-ended",
    "purged",
    "moved",
    "volume-removed",
    "parts-removed",
    "abandoned",
    "tail-cut",
    "rebuilt",
    "segment-removed",
    "clock-step",
    "handshake-tried",
    "handshake",
    "listed",
    "configured",
    "suspended",
    "resumed",
    "backup-begun",
    "backup-ended",
    "restored",
    "audit-read",
    "revealed",
    "mailbox-suspended",
    "mailbox-resumed",
    "alarmed",
    "monitor",
    "legal-hold-added",
    "legal-hold-took",
    "legal-hold-complete",
    "legal-hold-removed",
    "subject-sought",
    "spared",
    "key-made",
    "rewrap-begun",
    "resealed",
];

/// One thing that happened. A delivery's id is the sequence of its `Accepted`, `Replayed`, `BroughtIn` or
/// `SendQueued`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "e", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The store was opened. What is written before the next one belongs to this run.
    Run {
        /// Counts openings, from 1; also in every record's frame.
        run: u32,
        /// The machine's boot, so that a death can be told from a power cut.
        boot: String,
        /// Whether the run before ended in order.
        clean: bool,
        /// Which key the digests are made with.
        key: String,
        /// The store's own time then, which due times and ends of retention are in.
        time: Timestamp,
    },
    /// The daemon began.
    Started {
        /// Its version.
        version: String,
    },
    /// The daemon was told to end. Whoever cuts it off from here on does so from outside.
    Stopping,
    /// The daemon ended in order.
    Stopped,
    /// A message is kept.
    Accepted(Box<Acceptance>),
    /// MESH heard that we keep it.
    Acknowledged {
        /// Which.
        id: DeliveryId,
    },
    /// A message that we have came again with the same bytes; nothing new to do.
    Repeated {
        /// The delivery it already has.
        id: DeliveryId,
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
    },
    /// A message stays at MESH.
    Refused {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
        /// Why.
        reason: Reason,
        /// Not fetched again before.
        until: Timestamp,
        /// MESH does not serve it any more.
        lost: bool,
        /// Forgotten if nothing was heard of it by then.
        forget: Timestamp,
    },
    /// A refusal that nothing was heard of any more, or whose message MESH no longer lists.
    Forgotten {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
    },
    /// Deliveries are about to be worked on.
    Working {
        /// Which.
        ids: Vec<DeliveryId>,
        /// One suspect, with nothing else in work.
        alone: bool,
    },
    /// The run before ended while this was in work.
    Suspect {
        /// Which.
        id: DeliveryId,
        /// It was alone, on the same boot: its own doing.
        died_alone: bool,
    },
    /// Whom a delivery's message may be about, by the NHS numbers in it: told once, before it is settled. A person who
    /// puts it back to work has it told again.
    Concerns {
        /// Which.
        id: DeliveryId,
        /// The keyed digest of each number.
        patients: Vec<ContentDigest>,
        /// There are, or may be, more.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    /// Outputs are whole in staging and about to be renamed.
    Staged {
        /// Which.
        id: DeliveryId,
        /// All its outputs.
        outputs: Vec<OutputState>,
    },
    /// The end: every output is published.
    Delivered {
        /// Which.
        id: DeliveryId,
        /// All its outputs.
        outputs: Vec<OutputState>,
        /// Its payload is kept until then.
        keep: Timestamp,
        /// What was done with it in this round.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handling: Option<Box<Handling>>,
    },
    /// The end: by rule it goes nowhere.
    Discarded {
        /// Which.
        id: DeliveryId,
        /// Which rule.
        reason: Reason,
        /// Its payload is kept until then.
        keep: Timestamp,
        /// What was done with it in this round.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handling: Option<Box<Handling>>,
    },
    /// It failed, and counts an attempt.
    Retry {
        /// Which.
        id: DeliveryId,
        /// Worked on again from then.
        due: Timestamp,
        /// Why.
        reason: Reason,
        /// What was done with it in this round.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handling: Option<Box<Handling>>,
    },
    /// The world was busy: no attempt is counted.
    Deferred {
        /// Which.
        id: DeliveryId,
        /// Worked on again from then.
        due: Timestamp,
        /// Why.
        reason: Reason,
        /// How far its outputs came.
        outputs: Vec<OutputState>,
        /// What was done with it in this round.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handling: Option<Box<Handling>>,
    },
    /// Given back as it was.
    Released {
        /// Which.
        id: DeliveryId,
        /// Due again from then.
        due: Timestamp,
        /// How it came back.
        why: Release,
    },
    /// Set aside for a person.
    Held {
        /// Which.
        id: DeliveryId,
        /// Why.
        reason: Reason,
        /// How far its outputs came.
        outputs: Vec<OutputState>,
        /// What was done with it in this round.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handling: Option<Box<Handling>>,
    },
    /// Set aside as a dead letter.
    Dead {
        /// Which.
        id: DeliveryId,
        /// How it came to this.
        cause: DeathCause,
        /// Why.
        reason: Reason,
        /// Its payload is kept until then.
        keep: Timestamp,
        /// What was done with it in this round.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handling: Option<Box<Handling>>,
    },
    /// A person has a delivery handled anew, as the delivery that begins here.
    Replayed(Box<Replay>),
    /// An operator brought a message in: in the place of a delivery, or to be looked at.
    BroughtIn(Box<BroughtIn>),
    /// A message that goes out is kept, and is to be sent.
    SendQueued(Box<SendQueued>),
    /// A message that goes out came so far: written before a first request is made, and after each that MESH answered.
    Sending {
        /// Which.
        id: DeliveryId,
        /// How far.
        progress: Sending,
    },
    /// A person found out that MESH has what got no answer.
    SendResolved {
        /// Which.
        id: DeliveryId,
        /// MESH's id of it.
        message: MessageId,
        /// Its payload is kept until then.
        keep: Timestamp,
        /// Who says so.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// The pair of files that a message was picked up as lies in `OUT` no more.
    PairPutAway {
        /// Which message.
        id: DeliveryId,
    },
    /// A person put a held delivery back to work.
    OperatorReleased {
        /// Which.
        id: DeliveryId,
        /// Due from then.
        due: Timestamp,
        /// It is tried with nothing else in work.
        alone: bool,
        /// Who.
        by: Operator,
        /// Why, if they said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Remark>,
        /// The bulk act that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
    },
    /// A person set a delivery aside until they, or another, say what becomes of it.
    OperatorHeld {
        /// Which.
        id: DeliveryId,
        /// What is said of it from now on.
        reason: Reason,
        /// Who.
        by: Operator,
        /// Why.
        why: Remark,
        /// The bulk act that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
    },
    /// The end, by a person: it goes nowhere.
    OperatorDiscarded {
        /// Which.
        id: DeliveryId,
        /// Its payload is kept until then.
        keep: Timestamp,
        /// Who.
        by: Operator,
        /// Why.
        why: Remark,
        /// The bulk act that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
    },
    /// A person wants something done with all that a selection takes of what was set aside before this record. The
    /// number of this bulk act is the record's sequence.
    JobBegun(Box<JobOrder>),
    /// A bulk act went on to there without doing anything: what it left as it was is counted here, and nowhere else.
    JobPassed {
        /// Which.
        job: JobId,
        /// Up to this delivery.
        to: DeliveryId,
        /// What was left since the record of it before, by reason.
        left: LeftBehind,
    },
    /// A bulk act ended.
    JobEnded {
        /// Which.
        job: JobId,
        /// How many deliveries it acted on.
        done: u64,
        /// What it left as it was, by reason.
        left: LeftBehind,
        /// How it ended.
        how: JobOutcome,
    },
    /// The payload's time is over; the delivery is no longer known but for its id.
    Purged {
        /// Which.
        id: DeliveryId,
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
        /// It was not delivered, so the message begins another life if it comes again.
        reopened: bool,
        /// Who had it removed before its time, for the sake of the person it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked: Option<Box<ByHand>>,
    },
    /// A group was moved from one volume to the end of another, so that the first can go; or back, because the disk
    /// lost the copy.
    Moved {
        /// Its live deliveries.
        ids: Vec<DeliveryId>,
        /// Where it was.
        from: GroupPlace,
        /// Where it is.
        to: GroupPlace,
    },
    /// An empty volume left the spool.
    VolumeRemoved {
        /// Which.
        volume: u64,
    },
    /// A purged delivery's chunk directory left the spool, or one whose payload was sealed again.
    PartsRemoved {
        /// Whose; of what was sealed again the sequence of that record.
        id: DeliveryId,
    },
    /// Chunks left the spool of a message that was never accepted, and that MESH keeps no longer.
    Abandoned {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message: MessageId,
    },
    /// A torn tail was cut when the store was opened.
    TailCut {
        /// The segment's file name.
        file: String,
        /// Where it was cut.
        offset: u64,
        /// How many bytes were cut.
        bytes: u64,
    },
    /// The index was made anew.
    Rebuilt {
        /// Why.
        why: String,
    },
    /// A closed segment ended its retention.
    SegmentRemoved {
        /// Its file name.
        file: String,
        /// The first record that stays: a journal that begins there says why.
        next: u64,
    },
    /// The wall clock moved by itself.
    ClockStep {
        /// By so many milliseconds; negative is back.
        milliseconds: i64,
    },
    /// A handshake is about to be tried.
    HandshakeTried {
        /// For which mailbox.
        mailbox: MailboxId,
    },
    /// A mailbox answered a handshake.
    Handshake {
        /// Which.
        mailbox: MailboxId,
    },
    /// An inbox was listed.
    Listed {
        /// Whose.
        mailbox: MailboxId,
    },
    /// Configuration and pipelines were loaded.
    Configured {
        /// SHA-256 over both, in hex.
        sha256: String,
    },
    /// A pipeline was suspended: too many of its messages failed alike.
    Suspended {
        /// Which.
        pipeline: Name,
        /// How they failed.
        code: FaultCode,
    },
    /// An operator let a suspended pipeline go on.
    Resumed {
        /// Which.
        pipeline: Name,
        /// Who.
        by: Operator,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Remark>,
    },
    /// A backup begins, of everything up to the commit that this record belongs to.
    BackupBegun {
        /// Who makes it.
        by: Operator,
    },
    /// It is whole.
    BackupEnded {
        /// Sequence of the last record in it.
        sequence: u64,
        /// Who made it.
        by: Operator,
    },
    /// The state was restored from a backup: a new epoch begins. Once more if a crash came before its beginning was whole.
    Restored {
        /// Sequence of the last record in the backup.
        backup: u64,
        /// A later state of the journal was taken over, so that what follows the backup counts.
        later: bool,
    },
    /// Someone read the journal: the record is durable before they were given anything.
    AuditRead {
        /// Who.
        by: Operator,
        /// What they asked for, in words: ids of MESH and our own, users, times, kinds of records.
        what: String,
        /// How many records they were given at first; the rest of what they asked for may follow, page by page.
        records: u64,
    },
    /// Someone was shown what is sealed of a delivery: the record is durable before they were given anything.
    Revealed {
        /// Which.
        id: DeliveryId,
        /// Its bytes too, and not its envelope alone.
        payload: bool,
        /// Who.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// An operator has a mailbox rest.
    MailboxSuspended {
        /// Which.
        mailbox: MailboxId,
        /// Who.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// An operator let a mailbox go on.
    MailboxResumed {
        /// Which.
        mailbox: MailboxId,
        /// Who.
        by: Operator,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Remark>,
    },
    /// A pipeline raised an alarm about a message.
    Alarmed {
        /// Its delivery.
        id: DeliveryId,
        /// Which pipeline.
        pipeline: Name,
        /// What about.
        code: FaultCode,
    },
    /// Something became of a monitor.
    Monitor {
        /// Which.
        of: MonitorId,
        /// What.
        turn: Turn,
    },
    /// A legal hold begins; its id is the sequence of this record.
    LegalHoldAdded {
        /// What it keeps.
        scope: HoldScope,
        /// Who wanted it.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// A legal hold keeps deliveries that its scope does not name by itself.
    LegalHoldTook {
        /// Which.
        hold: LegalHoldId,
        /// What it keeps; what replays them, too.
        ids: Vec<DeliveryId>,
    },
    /// All of the journal was searched for what a legal hold keeps.
    LegalHoldComplete {
        /// Which.
        hold: LegalHoldId,
    },
    /// A legal hold ended.
    LegalHoldRemoved {
        /// Which.
        hold: LegalHoldId,
        /// Who wanted it.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// Someone looked for what is kept about people: the record is durable before they were given anything.
    SubjectSought {
        /// The keyed digests of their NHS numbers.
        patients: Vec<ContentDigest>,
        /// What for.
        purpose: Purpose,
        /// Who.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// The time of these payloads is over, and a legal hold keeps them.
    Spared {
        /// Whose.
        ids: Vec<DeliveryId>,
    },
    /// An age identity was made, to be used from a later start on.
    KeyMade {
        /// Its recipient, by name.
        recipient: RecipientTag,
        /// Who made it.
        by: Operator,
    },
    /// A person has every payload sealed again that is not sealed for the present recipients.
    RewrapBegun {
        /// Who.
        by: Operator,
    },
    /// A payload was sealed again; or its old place counts again, because the new one is lost.
    Resealed(Box<Move>),
}

#[cfg(test)]
mod tests;
