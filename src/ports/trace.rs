//! Looking things up in the journal: the question, and the answer.
//!
//! Neither holds patient data (I8): ids of MESH and our own, numbers of users, times and codes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::digest::{ContentDigest, MOST_KEYS};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::operator::Operator;
use crate::domain::time::Timestamp;

/// People looked for at once: a request has its bounds.
pub const MOST_PATIENTS: usize = 20;

/// Each has a digest under each key.
pub const MOST_DIGESTS: usize = MOST_PATIENTS * MOST_KEYS;

/// Which records are wanted. What is left out does not matter; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Records about the message of this delivery: of all its lives, before and after.
    pub delivery: Option<DeliveryId>,
    /// Records about this message: of all its lives.
    pub message: Option<MessageId>,
    /// Records that name this mailbox; with a message or a delivery, only that mailbox's.
    pub mailbox: Option<MailboxId>,
    /// Records of what was done by hand by someone, or by the daemon itself.
    pub by: Option<By>,
    /// Written then or later.
    pub since: Option<Timestamp>,
    /// Written before.
    pub until: Option<Timestamp>,
    /// Of one of these kinds, by the word in the member `e`. Empty: of any.
    pub kinds: Vec<String>,
    /// Records that say that a message concerns one of these people: the keyed digests of their NHS numbers, at most
    /// [`MOST_DIGESTS`]. Empty: of anyone.
    pub patients: Vec<ContentDigest>,
    /// With `patients`: also records of messages that name more people than the journal has, who may be these; and of
    /// deliveries that take the place of others.
    pub or_may_concern: bool,
    /// From this sequence on.
    pub from: u64,
    /// Up to this sequence.
    pub to: Option<u64>,
    /// Lives of the message that earlier pages met. A page says them; whoever asks first leaves them out.
    pub lives: Vec<DeliveryId>,
}

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The daemon, by itself.
    Daemon,
    /// Someone, by hand.
    Operator(Operator),
}

impl Search {
    /// No words but our own: what is asked for goes to the journal (I8).
    pub fn is_sound(&self, kinds: &[&str]) -> bool {
        self.kinds.iter().all(|kind| kinds.contains(&kind.as_str()))
            && self.patients.len() <= MOST_DIGESTS
            && self.patients.iter().all(ContentDigest::is_sound)
    }

    /// It asks for one message, and not for whatever is in the journal.
    pub fn is_about_a_message(&self) -> bool {
        self.delivery.is_some() || self.message.is_some()
    }
}

impl fmt::Display for Search {
    /// In words, for the record of whoever reads the journal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.delivery.map(|delivery| format!("delivery {delivery}")));
        words.extend(self.message.as_ref().map(|message| format!("message {message}")));
        words.extend(self.mailbox.as_ref().map(|mailbox| format!("mailbox {mailbox}")));
        words.extend(self.by.map(|by| format!("by {by}")));
        words.extend(self.since.map(|since| format!("since {since}")));
        words.extend(self.until.map(|until| format!("until {until}")));
        if !self.kinds.is_empty() {
            words.push(format!("kinds {}", self.kinds.join(" ")));
        }
        words.extend(self.patients.iter().map(|patient| format!("patient {}", patient.0)));
        words.push(format!("from record {}", self.from.max(1)));
        words.extend(self.to.map(|to| format!("to record {to}")));
        f.write_str(&words.join(", "))
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon => f.write_str("the daemon"),
            Self::Operator(operator) => operator.fmt(f),
        }
    }
}

/// What was found, and how to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Page {
    /// The records, in the journal's order.
    pub records: Vec<FoundRecord>,
    /// What to ask for the rest; `None` if the end was reached.
    pub rest: Option<Box<Search>>,
}

/// One record, whole: with its body, and what the one before it says of itself, its hash can be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRecord {
    /// Its place.
    pub sequence: u64,
    /// When it was written, by the wall clock.
    pub wall: Timestamp,
    /// The same by the machine's monotonic clock, milliseconds.
    pub monotonic_ms: u64,
    /// Which opening of the store wrote it.
    pub run: u32,
    /// On which boot of the machine.
    pub boot: String,
    /// Its hash, lower-case hex.
    pub hash: String,
    /// What happened, as JSON.
    pub body: String,
}

/// The journal does not read there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the journal does not read: {0}")]
pub struct Unreadable(pub String);
