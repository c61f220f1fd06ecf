//! What waits for work, for people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Delivery;
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::settlement::Reason;
use crate::domain::time::Timestamp;

/// Which part of the queue to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePage {
    /// Only this mailbox's.
    pub mailbox: Option<MailboxId>,
    /// Behind this place.
    pub after: Option<QueuePlace>,
    /// At most so many.
    pub count: usize,
}

/// A place in the queue, which is by mailbox and age. Its text form is `mailbox:delivery`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePlace {
    /// Whose queue.
    pub mailbox: MailboxId,
    /// Which delivery.
    pub delivery: DeliveryId,
}

/// One delivery that has no end yet, and needs no person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// The delivery.
    pub delivery: Delivery,
    /// How it waits.
    pub wait: Wait,
    /// Why it waits, or was tried before: the last time that it failed or was deferred.
    pub last: Option<Reason>,
}

/// How a delivery waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// Due from then, by the wall clock.
    Due(Timestamp),
    /// It is worked on.
    InWork,
    /// To be tried with nothing else in work.
    Alone,
}

impl fmt::Display for QueuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.mailbox, self.delivery)
    }
}

impl FromStr for QueuePlace {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (mailbox, delivery) = text.split_once(':')?;
            Some(Self { mailbox: MailboxId::new(mailbox).ok()?, delivery: delivery.parse().ok()? })
        };
        read().ok_or("expected a place as the page before shows it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_what_it_prints() {
        let mailbox = MailboxId::new("X26ABC1").expect("a mailbox id");
        let place = QueuePlace { mailbox, delivery: DeliveryId(7) };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "X26ABC1", "X26ABC1:7", ":d7", "X26ABC1:d7:"] {
            assert!(text.parse::<QueuePlace>().is_err(), "{text}");
        }
    }
}
