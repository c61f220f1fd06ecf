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
    /// Behind this place. What is in work stands before all places, and comes with the first page.
    pub after: Option<QueuePlace>,
    /// At most so many of those that wait.
    pub count: usize,
}

/// A place in the queue. Its text form is `mailbox:due:delivery`, the due time as the store counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePlace {
    /// Whose queue.
    pub mailbox: MailboxId,
    /// Due from then, in the store's own time.
    pub due: Timestamp,
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
    /// Its place, if it waits for its turn.
    pub place: Option<QueuePlace>,
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
        write!(f, "{}:{}:{}", self.mailbox, self.due.0, self.delivery)
    }
}

impl FromStr for QueuePlace {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split(':');
            let mailbox = MailboxId::new(parts.next()?).ok()?;
            let due = Timestamp(parts.next()?.parse().ok()?);
            let delivery = parts.next()?.parse().ok()?;
            parts.next().is_none().then_some(Self { mailbox, due, delivery })
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
        let place = QueuePlace { mailbox, due: Timestamp(-5), delivery: DeliveryId(7) };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "X26ABC1", "X26ABC1:5", "X26ABC1:5:7", "X26ABC1:5:d7:"] {
            assert!(text.parse::<QueuePlace>().is_err(), "{text}");
        }
    }
}
