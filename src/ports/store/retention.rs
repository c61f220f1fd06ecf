//! What is kept for how long, counted.

use serde::{Deserialize, Serialize};

use super::Amount;
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::time::Timestamp;

/// What to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPage {
    /// Deliveries after this one.
    pub after: Option<DeliveryId>,
    /// What goes until then, by the wall clock.
    pub until: Timestamp,
}

/// What was counted, and how to go on. Times are the wall clock's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRetention {
    /// A tally for each mailbox and class that there is, of some deliveries.
    pub tallies: Vec<Tally>,
    /// Those after this one were not looked at; `None` if the end was reached.
    pub rest: Option<DeliveryId>,
    /// The journal's segments.
    pub segments: Stock,
    /// The ids of messages that were seen.
    pub seen: Stock,
}

/// The deliveries of one class in one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The class.
    pub class: Class,
    /// How many, and the bytes of their payloads.
    pub amount: Amount,
    /// When the oldest was accepted, or replayed.
    pub oldest: Timestamp,
    /// When the next may go that no legal hold keeps; none if none goes by itself.
    pub next: Option<Timestamp>,
    /// Those that go until the time that was asked for.
    pub goes: Amount,
    /// Those that a legal hold keeps, beyond their time or not.
    pub kept: Amount,
}

/// What deliveries are kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// On their way: they stay until they come to an end.
    Waiting,
    /// Held for a person: they stay until that person says more.
    Held,
    /// Dead letters.
    Dead,
    /// Delivered.
    Delivered,
    /// Discarded, by a rule or by hand.
    Discarded,
    /// Replayed as another, which has the payload: only what is known of them is kept.
    Replayed,
}

impl Class {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Discarded => "discarded",
            Self::Replayed => "replayed",
        }
    }
}

/// What is kept in files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stock {
    /// How many.
    pub count: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// When the oldest file was begun.
    pub oldest: Option<Timestamp>,
    /// When the next file may go, if no legal hold stands and nothing else needs it.
    pub next: Option<Timestamp>,
}

impl Tally {
    /// Adds what another page counted of the same.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in
            [(&mut self.amount, other.amount), (&mut self.goes, other.goes), (&mut self.kept, other.kept)]
        {
            mine.messages += theirs.messages;
            mine.bytes += theirs.bytes;
        }
        self.oldest = self.oldest.min(other.oldest);
        self.next = self.next.into_iter().chain(other.next).min();
    }
}
