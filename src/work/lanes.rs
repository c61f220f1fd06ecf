//! Whose turn it is: one lane per mailbox, deficit round robin by bytes and by count over the lanes with due mail.
//!
//! In each round every lane may take one quantum: as many deliveries, and as many bytes, as a batch holds. What a batch
//! takes is known only once it is leased, so a lane takes a whole batch while anything of its quantum is left, and pays
//! afterwards: one that took more than it had, as every giant does, waits as many rounds as it takes to pay. A lane
//! never holds more than one quantum, however long it was idle or took little of one of the two.
//!
//! What follows, `Q` being a quantum and `B` the largest batch of a lane:
//! - In `R` rounds no lane takes more than `(R + 1) Q + B`, of deliveries or of bytes.
//! - With one worker, between two lanes that have due mail all along, and of which the same measure runs out first,
//!   that measure differs by less than `Q + B` over any time.
//! - With more workers a lane that still has to pay may use a worker that no lane with a better right to it could take
//!   at that moment: none stands idle for the sake of fairness.
//! - From two workers on a lane with work in hand leaves the last free one to the others, so one lane's giants keep
//!   nobody from their turn for longer than others' batches of one round.
//!
//! Pure: times are given to it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::WorkSettings;
use super::worker::BatchEnd;
use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;
use crate::ports::store::{Amount, Occupancy};

/// A lane that gave nothing though something seemed due is asked again when the store changed, or after this long.
const EMPTY_REST: Duration = Duration::from_secs(1);

/// Every mailbox's turn.
pub(super) struct Lanes {
    settings: WorkSettings,
    lanes: BTreeMap<MailboxId, Lane>,
    /// Whose turn it was last.
    last: Option<MailboxId>,
    /// Rounds so far.
    round: u64,
    /// Everything rests: our own machine is short of something.
    resting_until: Option<Instant>,
}

#[derive(Default)]
struct Lane {
    /// Leases asked for and batches in work.
    busy: usize,
    /// A lease is asked for: what is due is not known until it answers.
    is_asking: bool,
    /// What was left in the round of its last batch; `None` before the first.
    left: Option<(u64, Credit)>,
    /// The store's sequence when a lease gave nothing, and when to ask again anyway.
    empty: Option<(u64, Instant)>,
    resting_until: Option<Instant>,
    /// Batches in a row without one delivery's end.
    fruitless: u32,
}

/// What a lane may still take. Below zero it has to pay first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Credit {
    messages: i64,
    bytes: i64,
}

impl Lanes {
    pub(super) fn new(settings: WorkSettings) -> Self {
        Self { settings, lanes: BTreeMap::new(), last: None, round: 0, resting_until: None }
    }

    /// The mailbox whose turn it is, if one has due mail and there is a worker for it. It counts as asking from here.
    pub(super) fn next(&mut self, occupancy: &Occupancy, wall: Timestamp, now: Instant) -> Option<MailboxId> {
        let free = self.free_workers();
        if free == 0 || self.resting_until.is_some_and(|until| until > now) {
            return None;
        }
        let is_after = |mailbox: &MailboxId| self.last.as_ref().is_none_or(|last| mailbox > last);
        let (after, before): (Vec<_>, Vec<_>) = occupancy.mailboxes.keys().partition(|mailbox| is_after(mailbox));
        let mut soonest: Option<(u64, &MailboxId)> = None;
        for mailbox in after.into_iter().chain(before) {
            if free < self.needed(mailbox) || self.wait(occupancy, mailbox, wall, now) != Some(Duration::ZERO) {
                continue;
            }
            let rounds = self.credit(mailbox).rounds_to_pay(self.quantum());
            if soonest.is_none_or(|(least, _)| rounds < least) {
                soonest = Some((rounds, mailbox));
            }
            if rounds == 0 {
                break;
            }
        }
        let (rounds, mailbox) = soonest?;
        // Whoever asks still has credit, and may have some left after: its round is not over.
        if rounds > 0 && self.lanes.values().any(|lane| lane.is_asking) {
            return None;
        }
        self.round += rounds;
        let lane = self.lane(mailbox);
        lane.busy += 1;
        lane.is_asking = true;
        lane.empty = None;
        self.last = Some(mailbox.clone());
        Some(mailbox.clone())
    }

    /// When a lane comes to be due that is not now. What waits for a worker or an answer needs no clock.
    pub(super) fn until_due(&self, occupancy: &Occupancy, wall: Timestamp, now: Instant) -> Option<Duration> {
        let global = self.resting_until.map(|until| until.saturating_duration_since(now)).unwrap_or_default();
        let waits = occupancy.mailboxes.keys().filter_map(|mailbox| self.wait(occupancy, mailbox, wall, now));
        // A millisecond is the least step of due times.
        waits
            .map(|wait| wait.max(global))
            .filter(|wait| !wait.is_zero())
            .min()
            .map(|wait| wait.max(Duration::from_millis(1)))
    }

    /// The lease that was asked for took so much.
    pub(super) fn leased(&mut self, mailbox: &MailboxId, took: Amount) {
        let left = (self.round, self.credit(mailbox).less(took));
        let lane = self.lane(mailbox);
        lane.is_asking = false;
        lane.left = Some(left);
    }

    /// The lease that was asked for found nothing.
    pub(super) fn found_nothing(&mut self, mailbox: &MailboxId, sequence: u64, now: Instant) {
        let lane = self.lane(mailbox);
        lane.is_asking = false;
        lane.empty = Some((sequence, now + EMPTY_REST));
        self.ended(mailbox);
    }

    /// A batch is no longer in work.
    pub(super) fn ended(&mut self, mailbox: &MailboxId) {
        let lane = self.lane(mailbox);
        lane.busy = lane.busy.saturating_sub(1);
    }

    /// A mailbox whose batches bring nothing to an end rests longer and longer, so that an outage costs little.
    pub(super) fn rest(&mut self, mailbox: &MailboxId, end: &BatchEnd, now: Instant) {
        let WorkSettings { rest, local_pause, .. } = self.settings;
        let lane = self.lane(mailbox);
        if end.is_fruitful {
            lane.fruitless = 0;
            lane.resting_until = None;
        } else {
            lane.resting_until = Some(now + rest.wait(lane.fruitless, None, u64::MAX));
            lane.fruitless = lane.fruitless.saturating_add(1);
        }
        if end.is_short {
            self.resting_until = Some(now + local_pause);
        }
    }

    fn free_workers(&self) -> usize {
        self.settings.workers.max(1).saturating_sub(self.lanes.values().map(|lane| lane.busy).sum())
    }

    /// Free workers that there must be for one more batch of a mailbox.
    fn needed(&self, mailbox: &MailboxId) -> usize {
        let is_busy = self.lanes.get(mailbox).is_some_and(|lane| lane.busy > 0);
        if self.settings.workers > 1 && is_busy { 2 } else { 1 }
    }

    /// How long until a lane may be asked for mail: zero is now, `None` not before the store or a batch says so. A
    /// suspended mailbox has no turn.
    fn wait(&self, occupancy: &Occupancy, mailbox: &MailboxId, wall: Timestamp, now: Instant) -> Option<Duration> {
        if occupancy.suspension(mailbox).is_some() {
            return None;
        }
        let due = occupancy.mailboxes.get(mailbox)?.next_due?.since(wall);
        let Some(lane) = self.lanes.get(mailbox) else { return Some(due) };
        if lane.is_asking {
            return None;
        }
        let rest = lane.resting_until.map(|until| until.saturating_duration_since(now)).unwrap_or_default();
        let empty = match lane.empty {
            Some((sequence, until)) if sequence == occupancy.sequence => until.saturating_duration_since(now),
            Some(_) | None => Duration::ZERO,
        };
        Some(due.max(rest).max(empty))
    }

    /// What a lane may take in this round.
    fn credit(&self, mailbox: &MailboxId) -> Credit {
        let quantum = self.quantum();
        match self.lanes.get(mailbox).and_then(|lane| lane.left) {
            Some((round, left)) => left.after(self.round - round, quantum),
            None => quantum,
        }
    }

    fn quantum(&self) -> Credit {
        let WorkSettings { batch_count, batch_bytes, .. } = self.settings;
        Credit { messages: signed(batch_count as u64).max(1), bytes: signed(batch_bytes).max(1) }
    }

    fn lane(&mut self, mailbox: &MailboxId) -> &mut Lane {
        self.lanes.entry(mailbox.clone()).or_default()
    }
}

impl Credit {
    fn less(self, took: Amount) -> Self {
        Self {
            messages: self.messages.saturating_sub(signed(took.messages)),
            bytes: self.bytes.saturating_sub(signed(took.bytes)),
        }
    }

    /// After so many rounds more: never above one quantum.
    fn after(self, rounds: u64, quantum: Self) -> Self {
        let one = |left: i64, quantum: i64| left.saturating_add(quantum.saturating_mul(signed(rounds))).min(quantum);
        Self { messages: one(self.messages, quantum.messages), bytes: one(self.bytes, quantum.bytes) }
    }

    /// Rounds until something is left of both; none if something is now.
    fn rounds_to_pay(self, quantum: Self) -> u64 {
        let one = |left: i64, quantum: i64| if left > 0 { 0 } else { left.unsigned_abs() / quantum.unsigned_abs() + 1 };
        one(self.messages, quantum.messages).max(one(self.bytes, quantum.bytes))
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
