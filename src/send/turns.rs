//! All mailboxes that send: one message of each at a time (mesh-api 11.1, case 801), a few in all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::sender::Sender;
use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::store::{Halt, NextSend, Occupancy, Sends, Store};

/// Messages on their way at once: each has its connection, and some hundred KB of bytes ahead.
const MOST_AT_ONCE: usize = 4;
/// Nobody sleeps longer: the store's times are by a clock that may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Whoever sends, for all mailboxes.
pub struct Turns {
    store: Arc<dyn Store>,
    sends: Arc<dyn Sends>,
    clock: Arc<dyn Clock>,
    lanes: BTreeMap<MailboxId, Lane>,
    /// Whose turn it was last.
    last: Option<MailboxId>,
}

struct Lane {
    sender: Arc<Sender>,
    /// One is on its way.
    is_busy: bool,
    /// Nothing is due before that.
    not_before: Option<Timestamp>,
    /// How many waited when that was found out.
    waited: u64,
}

/// What came of one turn.
type Turn = (MailboxId, Result<Option<NextSend>, Halt>);

impl Turns {
    /// Nothing is sent yet.
    pub fn new(
        store: Arc<dyn Store>,
        sends: Arc<dyn Sends>,
        clock: Arc<dyn Clock>,
        senders: BTreeMap<MailboxId, Sender>,
    ) -> Self {
        let lane = |sender| Lane { sender: Arc::new(sender), is_busy: false, not_before: None, waited: 0 };
        let lanes = senders.into_iter().map(|(mailbox, sender)| (mailbox, lane(sender))).collect();
        Self { store, sends, clock, lanes, last: None }
    }

    /// Sends until told to stop; then what is on its way comes to the end of its chunk.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Halt> {
        let mut watch = self.store.watch();
        let mut under_way: JoinSet<Turn> = JoinSet::new();
        loop {
            // Told once a turn: with every branch of the wait off there would be nothing to wait for.
            let is_stopping = stop.is_cancelled();
            if is_stopping && under_way.is_empty() {
                return Ok(());
            }
            let occupancy = watch.borrow_and_update().clone();
            while !is_stopping
                && under_way.len() < MOST_AT_ONCE
                && let Some(mailbox) = self.next(&occupancy)
            {
                self.begin(&mailbox, &occupancy, &stop, &mut under_way);
            }
            let until_due = self.until_due(&occupancy);
            tokio::select! {
                () = stop.cancelled(), if !is_stopping => {}
                Some(ended) = under_way.join_next() => {
                    let (mailbox, turn) = ended.map_err(|error| Halt(format!("send: {error}")))?;
                    self.ended(&mailbox, turn?);
                }
                () = changed(&mut watch), if !is_stopping => {}
                () = tokio::time::sleep(until_due), if !is_stopping => {}
            }
        }
    }

    /// Whose turn is next.
    fn next(&mut self, occupancy: &Occupancy) -> Option<MailboxId> {
        let now = self.clock.wall();
        let may = |(mailbox, lane): (&MailboxId, &Lane)| {
            let Some(of) = occupancy.mailboxes.get(mailbox) else { return false };
            let is_due = lane.not_before.is_none_or(|then| then <= now) || lane.waited != of.sending.messages;
            !lane.is_busy && of.sending.messages > 0 && of.suspended.is_none() && is_due
        };
        let behind =
            |last: &MailboxId| self.lanes.iter().find(|(mailbox, lane)| *mailbox > last && may((mailbox, lane)));
        let next = self.last.as_ref().and_then(behind).or_else(|| self.lanes.iter().find(|lane| may(*lane)));
        self.last = next.map(|(mailbox, _)| mailbox.clone());
        self.last.clone()
    }

    fn begin(
        &mut self,
        mailbox: &MailboxId,
        occupancy: &Occupancy,
        stop: &CancellationToken,
        under_way: &mut JoinSet<Turn>,
    ) {
        let Some(lane) = self.lanes.get_mut(mailbox) else { return };
        lane.is_busy = true;
        lane.waited = occupancy.mailboxes.get(mailbox).map_or(0, |of| of.sending.messages);
        let (sender, store, sends) = (Arc::clone(&lane.sender), Arc::clone(&self.store), Arc::clone(&self.sends));
        let (mailbox, stop) = (mailbox.clone(), stop.clone());
        under_way.spawn(async move {
            let turn = one(&sender, &*store, &*sends, &mailbox, &stop).await;
            (mailbox, turn)
        });
    }

    fn ended(&mut self, mailbox: &MailboxId, turn: Option<NextSend>) {
        let Some(lane) = self.lanes.get_mut(mailbox) else { return };
        lane.is_busy = false;
        lane.not_before = match turn {
            // Nothing may be sent, such as of a mailbox that rests since just now.
            Some(NextSend::NotBefore(until)) => Some(until.unwrap_or(self.clock.wall().plus(LONGEST_SLEEP))),
            Some(NextSend::Lease(_)) | None => None,
        };
    }

    /// How long until something is due, as far as is known.
    fn until_due(&self, occupancy: &Occupancy) -> Duration {
        let now = self.clock.wall();
        let waits = |mailbox: &MailboxId| occupancy.mailboxes.get(mailbox).is_some_and(|of| of.sending.messages > 0);
        let due = self.lanes.iter().filter(|(mailbox, lane)| !lane.is_busy && waits(mailbox));
        sleep(due.filter_map(|(_, lane)| lane.not_before), now)
    }
}

/// Until the first of these. What is due and was not begun waits for a mailbox that rests, or for others to end: there is
/// nothing to time.
fn sleep(due: impl Iterator<Item = Timestamp>, now: Timestamp) -> Duration {
    let soonest = due.filter(|then| *then > now).map(|then| then.since(now)).min();
    soonest.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)
}

/// Sends one message, if one is due; else says when.
async fn one(
    sender: &Sender,
    store: &dyn Store,
    sends: &dyn Sends,
    mailbox: &MailboxId,
    stop: &CancellationToken,
) -> Result<Option<NextSend>, Halt> {
    let lease = match sends.lease_send(mailbox).await? {
        NextSend::Lease(lease) => *lease,
        not_yet @ NextSend::NotBefore(_) => return Ok(Some(not_yet)),
    };
    let (lease, settlement) = sender.send(lease, stop).await?;
    store.settle(lease, settlement).await?;
    Ok(None)
}

/// Resolves when the store changed; never, once it is closed.
async fn changed(watch: &mut watch::Receiver<Arc<Occupancy>>) {
    if watch.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_wakes_for_what_cannot_begin() {
        let now = Timestamp(1_000_000);
        let of = |times: &[i64]| sleep(times.iter().map(|time| Timestamp(*time)), now);
        assert_eq!(of(&[]), LONGEST_SLEEP);
        assert_eq!(of(&[now.0, 0]), LONGEST_SLEEP, "due, and not begun");
        assert_eq!(of(&[now.0 - 5, now.0 + 2_000, now.0 + 9_000]), Duration::from_secs(2));
        assert_eq!(of(&[i64::MAX]), LONGEST_SLEEP);
    }
}
