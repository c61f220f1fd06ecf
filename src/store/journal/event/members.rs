//! What the larger events are made of.

use serde::{Deserialize, Serialize};

use crate::domain::course::Arrival;
use crate::domain::digest::ContentDigest;
use crate::domain::envelope::MessageKind;
use crate::domain::ids::{DeliveryId, JobId, MailboxId, MessageId, WorkflowId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::sending::Outgoing;
use crate::domain::settlement::Reason;
use crate::domain::time::Timestamp;
use crate::ports::store::{Location, SetAsideKind};

/// A message as it is kept: all that the index needs to make its delivery again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub message: MessageId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Its sender, when that is a mailbox id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MailboxId>,
    /// Data or report.
    pub kind: MessageKind,
    /// Decoded length, bytes.
    pub length: u64,
    /// Keyed digest of its bytes.
    pub digest: ContentDigest,
    /// Keyed digest of its local id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_id: Option<ContentDigest>,
    /// Where the spool keeps it.
    pub location: Location,
    /// Due for work from then.
    pub due: Timestamp,
    /// The delivery that it continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<DeliveryId>,
    /// Set aside at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<Aside>,
    /// Of a report: whom the message was for that it says was lost, if it went out of here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meant_for: Option<MailboxId>,
    /// How it came.
    pub arrival: Arrival,
}

/// A replay. The new delivery has everything of the old one's message, and its payload; nothing of its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The delivery that it continues, which ends here.
    pub of: DeliveryId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub message: MessageId,
    /// Decoded length, bytes.
    pub length: u64,
    /// Keyed digest of its bytes.
    pub digest: ContentDigest,
    /// Due for work from then.
    pub due: Timestamp,
    /// It is tried with nothing else in work.
    pub alone: bool,
    /// The old delivery is known until then.
    pub keep: Timestamp,
    /// Who had it replayed.
    pub by: Operator,
    /// Why, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Remark>,
    /// The bulk act that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

/// A message that an operator brought in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BroughtIn {
    /// As it is kept.
    pub kept: Acceptance,
    /// The delivery in whose place it is handled, which ends here and keeps its payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
    /// What is remembered of the message from here on: MESH may present the bytes that were not brought in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presented: Option<Presented>,
    /// Who brought it in.
    pub by: Operator,
    /// Why, in their words.
    pub why: Remark,
}

/// A message that goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendQueued {
    /// As it is kept, under an id of ours.
    pub kept: Acceptance,
    /// Where to, and in what pieces.
    pub outgoing: Outgoing,
    /// Who gave it to us.
    pub by: Operator,
}

/// A delivery whose place another takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// Which.
    pub id: DeliveryId,
    /// Its payload is kept until then.
    pub keep: Timestamp,
    /// The other is tried with nothing else in work.
    pub alone: bool,
}

/// The bytes under a message id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presented {
    /// Decoded length, bytes.
    pub length: u64,
    /// The first 16 bytes of their keyed digest, lower-case hex.
    pub digest: ContentDigest,
}

/// Who did by hand what is else done by itself, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// Who.
    pub by: Operator,
    /// Why, in their words.
    pub why: Remark,
}

/// Where a group lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPlace {
    /// The volume.
    pub volume: u64,
    /// Offset of its clear header, bytes.
    pub offset: u64,
}

/// A payload that is sealed anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Whose.
    pub id: DeliveryId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub message: MessageId,
    /// Where it was.
    pub from: Location,
    /// Where it is.
    pub to: Location,
}

/// Set aside at acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aside {
    /// Dead or held.
    pub kind: SetAsideKind,
    /// Why.
    pub reason: Reason,
    /// Its payload is kept until then; without limit when held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Timestamp>,
}

/// How a lease came back without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// The worker gave it back.
    Returned,
    /// It was dropped.
    Dropped,
    /// The run before stopped in order with it in hand.
    Stopped,
}
