//! Mail that a person must look at, and what a person may do about it.

use serde::{Deserialize, Serialize};

use crate::domain::fault::FaultCode;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, MailboxId, WorkflowId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::settlement::{DeathCause, Reason};
use crate::domain::time::Timestamp;

use super::Delivery;

/// Which set-aside deliveries to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAsidePage {
    /// Older than this one.
    pub before: Option<DeliveryId>,
    /// Only this one.
    pub only: Option<DeliveryId>,
    /// Only what this takes.
    pub selection: Selection,
    /// At most so many.
    pub count: usize,
}

/// Which set-aside deliveries are meant. What is left out does not matter; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// In this mailbox.
    pub mailbox: Option<MailboxId>,
    /// Dead or held.
    pub state: Option<AsideState>,
    /// Dead of this cause.
    pub cause: Option<DeathCause>,
    /// Set aside with this code.
    pub code: Option<FaultCode>,
    /// Of this workflow.
    pub workflow: Option<WorkflowId>,
    /// Sent by this mailbox.
    pub from: Option<MailboxId>,
    /// Set aside then or later.
    pub since: Option<Timestamp>,
    /// Set aside before.
    pub until: Option<Timestamp>,
    /// Of this group of failures that are alike.
    pub group: Option<Fingerprint>,
}

/// The two states, without a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AsideState {
    /// A dead letter.
    Dead,
    /// Waiting for a person.
    Held,
}

/// What was found, and how to go on. A page may hold fewer than asked for, or none, although there are more: no question
/// looks at more than a bounded number of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundAside {
    /// The deliveries, newest first.
    pub page: Vec<SetAside>,
    /// Older ones than this were not looked at; `None` if the end was reached.
    pub rest: Option<DeliveryId>,
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

/// Failures that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureGroup {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// Dead, with the cause, or held.
    pub kind: SetAsideKind,
    /// Why.
    pub code: FaultCode,
    /// Why, in words, with a `#` for each number and id.
    pub detail: String,
    /// Deliveries in it.
    pub count: u64,
    /// When the first was set aside; it may be gone.
    pub first_seen: Timestamp,
    /// When the last was set aside; it may be gone.
    pub last_seen: Timestamp,
    /// The first of its mailboxes.
    pub mailbox: MailboxId,
    /// In how many mailboxes they are.
    pub mailboxes: u64,
}

/// What was found, and how to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundGroups {
    /// The groups, in the order of their fingerprints.
    pub page: Vec<FailureGroup>,
    /// There may be more after this one; `None` if the end was reached.
    pub rest: Option<Fingerprint>,
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
        /// Although the daemon that this state was restored from may have handled it since.
        again: bool,
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
    #[error("whoever is to have it has it, or may: only with --again and --reason, and it may come out twice")]
    NeedsAgain,
    /// It was set aside before a backup that this state was restored from, without the journal that says what followed.
    #[error(
        "the daemon of before the restore may have handled it since the backup: ask the consumer; \
         only with --again and --reason, and it may come out twice"
    )]
    MayBeHandled,
    /// Nobody asks where it is.
    #[error("it is no send that got no answer: `meshd sent list` says how far it came")]
    NotUnknown,
    /// It takes a reason.
    #[error("it needs a --reason, for the journal")]
    NeedsReason,
}

/// The two words for bad mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetAsideKind {
    /// A dead letter.
    Dead(DeathCause),
    /// Waiting for a person.
    Held,
}

impl SetAsideKind {
    /// The words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dead(DeathCause::Permanent) => "dead, permanent",
            Self::Dead(DeathCause::Exhausted) => "dead, exhausted",
            Self::Dead(DeathCause::Poison) => "dead, poison",
            Self::Held => "held",
        }
    }

    /// Without its cause.
    pub fn state(self) -> AsideState {
        match self {
            Self::Dead(_) => AsideState::Dead,
            Self::Held => AsideState::Held,
        }
    }

    /// Of what it died.
    pub fn cause(self) -> Option<DeathCause> {
        match self {
            Self::Dead(cause) => Some(cause),
            Self::Held => None,
        }
    }
}
