//! Finding out whether what MESH has was collected. Sparingly: MESH forbids to poll for it (mesh-api 6.7), and says by
//! itself, with a report, what nobody collected within five days.
//!
//! A message is asked for once after `mesh.track_after`, then once a day for six days. What this run did not see come
//! due is asked for the next time: a restart asks for nothing at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::sending::Sending;
use crate::ports::clock::Clock;
use crate::ports::outbox::{Outbox, Tracked, TrackedState};
use crate::ports::store::{Class, Halt, QueuePlace, SendPage, Sends};

/// Between two looks at a page of the ledger.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Messages of the ledger that are looked at together.
const PAGE: usize = 256;
/// Questions to MESH after one look.
const MOST_ASKED: usize = 16;
const DAY: Duration = Duration::from_secs(86_400);
/// A report comes within five days, and a little.
const DAYS: u32 = 6;

/// Who asks.
pub struct Tracking {
    sends: Arc<dyn Sends>,
    clock: Arc<dyn Clock>,
    outboxes: BTreeMap<MailboxId, Arc<dyn Outbox>>,
    /// A message is asked for the first time after so long.
    after: Duration,
    /// How often each was asked for, or would have been before this run.
    asked: BTreeMap<DeliveryId, u32>,
    /// Those met since the ledger was looked at from its beginning: of others nothing is remembered.
    met: BTreeSet<DeliveryId>,
    /// Where the page before ended.
    place: Option<QueuePlace>,
}

/// A message that MESH has, and that nobody is known to have collected.
struct Open {
    id: DeliveryId,
    mailbox: MailboxId,
    message: MessageId,
    age: Duration,
}

impl Tracking {
    /// Nothing is asked yet.
    pub fn new(
        sends: Arc<dyn Sends>,
        clock: Arc<dyn Clock>,
        outboxes: BTreeMap<MailboxId, Arc<dyn Outbox>>,
        after: Duration,
    ) -> Self {
        Self { sends, clock, outboxes, after, asked: BTreeMap::new(), met: BTreeSet::new(), place: None }
    }

    /// Asks until told to stop.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Halt> {
        let every = LOOK_EVERY.min(self.after);
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            for open in self.due().await? {
                if stop.is_cancelled() {
                    break;
                }
                self.ask(open).await?;
            }
        }
        Ok(())
    }

    /// What of the next page is to be asked for.
    async fn due(&mut self) -> Result<Vec<Open>, Halt> {
        let page = SendPage { mailbox: None, lying: false, after: self.place.take(), count: PAGE };
        let page = self.sends.sends(page).await?;
        let now = self.clock.wall();
        if page.len() == PAGE {
            let last = page.last().map(|sent| &sent.delivery);
            self.place = last.map(|last| QueuePlace { mailbox: last.mailbox.clone(), delivery: last.id });
        }
        let open = page.into_iter().filter(|sent| sent.class == Class::Delivered).filter_map(|sent| {
            let Sending::Accepted { message } = sent.delivery.outgoing?.progress else { return None };
            let age = now.since(sent.delivery.accepted_at);
            Some(Open { id: sent.delivery.id, mailbox: sent.delivery.mailbox, message, age })
        });
        let mut due = Vec::new();
        for open in open {
            let times = times(open.age, self.after);
            self.met.insert(open.id);
            let asked = self.asked.entry(open.id).or_insert(times);
            if *asked < times && due.len() < MOST_ASKED {
                *asked = times;
                due.push(open);
            }
        }
        if self.place.is_none() {
            let met = std::mem::take(&mut self.met);
            self.asked.retain(|id, _| met.contains(id));
        }
        Ok(due)
    }

    async fn ask(&mut self, open: Open) -> Result<(), Halt> {
        let Open { id, mailbox, message, .. } = open;
        let Some(outbox) = self.outboxes.get(&mailbox) else { return Ok(()) };
        let progress = match outbox.track(&message).await {
            Ok(Some(Tracked { state: TrackedState::Acknowledged, .. })) => Sending::Collected { message },
            Ok(Some(Tracked { state: TrackedState::Undeliverable, code, .. })) => {
                tracing::error!(delivery = %id, %mailbox, %message, code, "MESH did not deliver what was sent");
                Sending::Undelivered { message, code }
            }
            Ok(Some(Tracked { state: TrackedState::Accepted | TrackedState::Uploading, .. }) | None) => return Ok(()),
            Err(fault) => {
                tracing::warn!(delivery = %id, %mailbox, code = %fault.code, detail = fault.detail, "not tracked");
                return Ok(());
            }
        };
        self.asked.remove(&id);
        self.sends.sending(id, progress).await
    }
}

/// How often a message of this age should have been asked for.
fn times(age: Duration, after: Duration) -> u32 {
    match age.checked_sub(after) {
        None => 0,
        Some(since) => 1 + u32::try_from(since.as_secs() / DAY.as_secs()).unwrap_or(DAYS).min(DAYS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_asked_for_seven_times_at_the_most() {
        let hour = Duration::from_secs(3_600);
        for (age, expected) in [
            (Duration::ZERO, 0),
            (hour - Duration::from_secs(1), 0),
            (hour, 1),
            (DAY, 1),
            (hour + DAY, 2),
            (hour + 5 * DAY, 6),
            (hour + 6 * DAY, 7),
            (100 * DAY, 7),
        ] {
            assert_eq!(times(age, hour), expected, "{age:?}");
        }
    }
}
