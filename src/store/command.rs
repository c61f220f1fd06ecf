//! What the committer is asked, and what it answers.

use std::collections::BTreeSet;
use std::time::Duration;

pub use super::jobs::{JobAnswer, JobCommand};
use crate::domain::digest::ContentDigest;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::output::OutputState;
use crate::domain::sending::Sending;
use crate::domain::settlement::Settlement;
use crate::domain::time::Timestamp;
use crate::ports::store::{
    Acceptance, Acted, BringIn, Delivery, Expunged, FoundAside, FoundAtMesh, FoundGroups, FoundRetention, Halt,
    HoldOrder, HoldRefused, Incoming, Kept, KeptPayload, Known, Lease, LeaseWish, LookUp, NextSend, NotAllowed,
    NotBroughtIn, NotExpunged, NotQueued, Note, Order, Pin, QueuePage, Queued, Refusal, Reseal, Resealed,
    RetentionPage, SendOrder, SendPage, Sent, SetAsidePage,
};

/// One call of `ports::store::Store`.
#[derive(Debug)]
pub enum Command {
    /// Keep a message.
    Accept(Box<Incoming>),
    /// What is known of these ids?
    Known(MailboxId, Vec<MessageId>),
    /// MESH heard that we keep it.
    Acknowledged(DeliveryId),
    /// A message stays at MESH.
    Refuse(Refusal),
    /// No refused message of a mailbox is at MESH but these.
    ForgetRefused(MailboxId, BTreeSet<MessageId>),
    /// Work is wanted.
    Lease(LeaseWish),
    /// Outputs are whole in staging.
    Staged(DeliveryId, Vec<OutputState>),
    /// A lease ends.
    Settle(Box<Lease>, Box<Settlement>),
    /// The daemon did something.
    Note(Note),
    /// What was set aside?
    SetAside(SetAsidePage),
    /// What of it is alike, after this group?
    Groups(Option<Fingerprint>),
    /// What waits for work?
    Queue(QueuePage),
    /// Which payloads are kept, after this delivery, at most so many?
    Payloads(Option<DeliveryId>, usize),
    /// A payload is sealed again.
    Reseal(Box<Reseal>),
    /// An operator wants something done.
    Act(Order),
    /// An operator brings a payload in.
    BringIn(Box<BringIn>),
    /// Something about bulk acts.
    Job(JobCommand),
    /// Something about what goes out.
    Send(SendCommand),
    /// A legal hold begins or ends, or takes something.
    LegalHold(HoldOrder),
    /// How much is kept, and for how long?
    Tally(RetentionPage),
    /// What is kept of these?
    LookUp(LookUp),
    /// A payload goes before its time.
    Expunge(DeliveryId, Operator, Remark),
    /// A backup begins.
    Pin(Operator),
    /// Is everything before this durable?
    Barrier,
}

/// What is asked of the ledger of what goes out.
#[derive(Debug)]
pub enum SendCommand {
    /// Keep a message that is to go out.
    Queue(Box<SendOrder>),
    /// What of a mailbox is to be sent?
    Lease(MailboxId),
    /// A message came so far.
    Progress(DeliveryId, Sending),
    /// A person found out that MESH has it.
    Resolve(FoundAtMesh),
    /// What goes out, or went?
    List(SendPage),
    /// The pair of files of this lies in `OUT` no more.
    PutAway(DeliveryId),
    /// What was last picked up in a mailbox under a name, digested with any of the keys?
    PickedUpAs(MailboxId, Vec<ContentDigest>),
}

/// The answer to one command.
#[derive(Debug)]
pub enum Answer {
    /// To [`Command::Accept`].
    Accepted(Acceptance),
    /// To [`Command::Known`], in the order asked.
    Known(Vec<Known>),
    /// To [`Command::Lease`].
    Leases(Vec<Lease>),
    /// To [`Command::SetAside`].
    SetAside(FoundAside),
    /// To [`Command::Groups`].
    Groups(FoundGroups),
    /// To [`Command::Queue`].
    Queue(Vec<Queued>),
    /// To [`Command::Payloads`].
    Payloads(Vec<KeptPayload>),
    /// To [`Command::Reseal`].
    Resealed(Resealed),
    /// To [`Command::Act`].
    Acted(Result<Acted, NotAllowed>),
    /// To [`Command::BringIn`].
    BroughtIn(Result<DeliveryId, NotBroughtIn>),
    /// To [`Command::Job`].
    Job(JobAnswer),
    /// To [`Command::LegalHold`].
    LegalHold(Result<LegalHoldId, HoldRefused>),
    /// To [`Command::Tally`].
    Tally(FoundRetention),
    /// To [`SendCommand::Queue`].
    SendQueued(Result<DeliveryId, NotQueued>),
    /// To [`SendCommand::Lease`].
    NextSend(NextSend),
    /// To [`SendCommand::Resolve`].
    SendResolved(Result<(), NotAllowed>),
    /// To [`SendCommand::List`].
    Sends(Vec<Sent>),
    /// To [`Command::LookUp`].
    LookedUp(Vec<Kept>),
    /// To [`Command::Expunge`].
    Expunged(Result<Expunged, NotExpunged>),
    /// To [`Command::Pin`].
    Pinned(Pin),
    /// To every other.
    Done,
    /// This one command was not carried out, and left nothing behind; the store goes on.
    Declined(Halt),
}

/// An answer that may be given once the commit is durable. What proves something is made only then (I1).
pub(super) enum Planned {
    Accepted {
        repeated: bool,
        mailbox: MailboxId,
        message: MessageId,
        delivery: DeliveryId,
    },
    NotKept(String),
    Known(MailboxId, Vec<(MessageId, Standing)>),
    /// Deliveries, and how long we have had them.
    Leases(Vec<(Delivery, Duration)>),
    SetAside(FoundAside),
    Groups(FoundGroups),
    Queue(Vec<Queued>),
    Payloads(Vec<KeptPayload>),
    Resealed(Resealed),
    Acted(Result<Acted, NotAllowed>),
    BroughtIn(Result<DeliveryId, NotBroughtIn>),
    Job(JobAnswer),
    LegalHold(Result<LegalHoldId, HoldRefused>),
    Tally(FoundRetention),
    SendQueued(Result<DeliveryId, NotQueued>),
    /// A delivery, and how long we have had it; or when there is one.
    NextSend(Result<Box<(Delivery, Duration)>, Option<Timestamp>>),
    SendResolved(Result<(), NotAllowed>),
    Sends(Vec<Sent>),
    LookedUp(Vec<Kept>),
    Expunged(Result<Expunged, NotExpunged>),
    Pinned,
    Done,
    Declined(String),
}

/// What is known of one message.
pub(super) enum Standing {
    Kept(DeliveryId),
    Other(Known),
}
