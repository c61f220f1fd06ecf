//! Whose turn it is. One lane per mailbox, round robin over the lanes with due mail, a batch a turn.
//!
//! Nothing polls: it wakes when the store changed, when something becomes due, and when a batch ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::worker::{BatchEnd, Desk};
use super::{Work, WorkError, WorkSettings, suspects};
use crate::domain::ids::{MailboxId, Name};
use crate::domain::settlement::Settlement;
use crate::domain::time::Timestamp;
use crate::ports::store::{Halt, Lease, LeaseWish, Occupancy};

/// Due times are wall-clock times: look again after this long, in case the clock was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// A lane that gave nothing though something seemed due is asked again when the store changed, or after this long.
const EMPTY_REST: Duration = Duration::from_secs(1);

/// What the scheduler waits for.
enum Event {
    Leased(MailboxId, Result<Vec<Lease>, Halt>),
    Worked(MailboxId, Result<BatchEnd, WorkError>),
}

impl Work {
    /// Works until cancelled, then lets the batches in hand come to their end; nothing new is leased meanwhile.
    ///
    /// Returns early if the store halted: then nothing more can be promised, and the daemon stops.
    /// Drop the future only when the process ends anyway: leases in hand then go back unsettled.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), WorkError> {
        let mut watch = self.store.watch();
        let mut running: FuturesUnordered<BoxFuture<'static, Event>> = FuturesUnordered::new();
        let mut lanes = Lanes::new(self.settings.clone());
        let newest = self.pipelines.borrow_and_update().clone();
        let mut desk = Arc::new(Desk::new(&self, newest));
        let mut failure = None;
        let (mut suspects_rest, mut are_suspects_known) = (None, false);
        loop {
            let is_leasing = failure.is_none() && !cancel.is_cancelled();
            if !is_leasing && running.is_empty() {
                return failure.map_or(Ok(()), Err);
            }
            let newest = self.pipelines.borrow_and_update().clone();
            if !desk.has(&newest) {
                desk = Arc::new(Desk::new(&self, newest));
                tracing::info!("work goes on with the new pipelines");
            }
            let occupancy = watch.borrow_and_update().clone();
            let mut sleep = LONGEST_SLEEP;
            if occupancy.suspects > 0 && !are_suspects_known {
                tracing::warn!(
                    suspects = occupancy.suspects,
                    "running suspects one at a time, with nothing else in work"
                );
                are_suspects_known = true;
            }
            let rest = suspects_rest.map(|until: Instant| until.saturating_duration_since(Instant::now()));
            let rest = rest.filter(|rest| !rest.is_zero());
            if is_leasing && occupancy.suspects > 0 && rest.is_none() {
                if running.is_empty() {
                    suspects::run_alone(&self, &desk, &mut lanes, &cancel).await?;
                    suspects_rest = Some(Instant::now() + suspects::LOOK_AGAIN);
                    continue;
                }
            } else if is_leasing {
                let (wall, now) = (self.clock.wall(), Instant::now());
                while let Some(mailbox) = lanes.next(&occupancy, wall, now) {
                    running.push(self.lease(mailbox));
                }
                sleep = lanes.until_due(&occupancy, wall, now).unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
                if occupancy.suspects > 0 {
                    sleep = sleep.min(rest.unwrap_or(LONGEST_SLEEP));
                }
            }
            tokio::select! {
                Some(event) = running.next() => match event {
                    Event::Leased(mailbox, Ok(leases)) if leases.is_empty() => {
                        lanes.found_nothing(&mailbox, occupancy.sequence, Instant::now());
                    }
                    Event::Leased(mailbox, Ok(leases)) if cancel.is_cancelled() || failure.is_some() => {
                        lanes.ended(&mailbox);
                        failure = failure.or(self.give_back(leases).await.err());
                    }
                    Event::Leased(mailbox, Ok(leases)) => {
                        lanes.leased(&mailbox);
                        let work = Arc::clone(&desk).work(leases);
                        running.push(Box::pin(async move { Event::Worked(mailbox, work.await) }));
                    }
                    Event::Worked(mailbox, Ok(end)) => {
                        lanes.ended(&mailbox);
                        lanes.notice(&mailbox, &end);
                        lanes.rest(&mailbox, &end, Instant::now());
                    }
                    Event::Leased(_, Err(halt)) => failure = failure.or(Some(halt.into())),
                    Event::Worked(_, Err(error)) => failure = failure.or(Some(error)),
                },
                changed = watch.changed(), if failure.is_none() => {
                    if changed.is_err() {
                        failure = Some(Halt("the store is gone".into()).into());
                    }
                }
                Ok(()) = self.pipelines.changed(), if is_leasing => {}
                () = tokio::time::sleep(sleep), if is_leasing => {}
                () = cancel.cancelled(), if is_leasing => {}
            }
        }
    }

    fn lease(&self, mailbox: MailboxId) -> BoxFuture<'static, Event> {
        let WorkSettings { batch_count: count, batch_bytes: bytes, .. } = self.settings;
        let reply = self.store.lease(LeaseWish { mailbox: mailbox.clone(), count, bytes, suspects: false });
        Box::pin(async move { Event::Leased(mailbox, reply.await) })
    }

    async fn give_back(&self, leases: Vec<Lease>) -> Result<(), WorkError> {
        let replies: Vec<_> = leases.into_iter().map(|lease| self.store.settle(lease, Settlement::Release)).collect();
        for reply in join_all(replies).await {
            reply?;
        }
        Ok(())
    }
}

/// Every mailbox's turn. Pure but for logging: times are given to it.
pub(super) struct Lanes {
    settings: WorkSettings,
    lanes: BTreeMap<MailboxId, Lane>,
    /// Whose turn it was last.
    last: Option<MailboxId>,
    /// Everything rests: our own machine is short of something.
    resting_until: Option<Instant>,
    /// Outputs that are away, so that only a change is logged.
    away: BTreeSet<(MailboxId, Name)>,
}

#[derive(Default)]
struct Lane {
    /// Leases asked for and batches in work.
    busy: usize,
    /// A lease is asked for: what is due is not known until it answers.
    is_asking: bool,
    /// The store's sequence when a lease gave nothing, and when to ask again anyway.
    empty: Option<(u64, Instant)>,
    resting_until: Option<Instant>,
    /// Batches in a row without one delivery's end.
    fruitless: u32,
}

impl Lanes {
    fn new(settings: WorkSettings) -> Self {
        Self { settings, lanes: BTreeMap::new(), last: None, resting_until: None, away: BTreeSet::new() }
    }

    /// The mailbox whose turn it is, if one has due mail and there is a worker for it. It counts as asking from here.
    fn next(&mut self, occupancy: &Occupancy, wall: Timestamp, now: Instant) -> Option<MailboxId> {
        if self.resting_until.is_some_and(|until| until > now) {
            return None;
        }
        let free = self.settings.workers.max(1).saturating_sub(self.lanes.values().map(|lane| lane.busy).sum());
        let due = |(mailbox, _): &(&MailboxId, _)| {
            let lane = self.lanes.get(*mailbox);
            let needed = if self.settings.workers > 1 && lane.is_some_and(|lane| lane.busy > 0) { 2 } else { 1 };
            free >= needed && self.wait(occupancy, mailbox, wall, now) == Some(Duration::ZERO)
        };
        let after = |mailbox: &MailboxId| self.last.as_ref().is_none_or(|last| mailbox > last);
        let mut mailboxes = occupancy.mailboxes.iter();
        let next = mailboxes.clone().filter(|(mailbox, _)| after(mailbox)).find(due).or_else(|| mailboxes.find(due));
        let mailbox = next?.0.clone();
        let lane = self.lanes.entry(mailbox.clone()).or_default();
        lane.busy += 1;
        lane.is_asking = true;
        lane.empty = None;
        self.last = Some(mailbox.clone());
        Some(mailbox)
    }

    /// When a lane comes to be due that is not now. What waits for a worker or an answer needs no clock.
    fn until_due(&self, occupancy: &Occupancy, wall: Timestamp, now: Instant) -> Option<Duration> {
        let global = self.resting_until.map(|until| until.saturating_duration_since(now)).unwrap_or_default();
        let waits = occupancy.mailboxes.keys().filter_map(|mailbox| self.wait(occupancy, mailbox, wall, now));
        // A millisecond is the least step of due times.
        waits
            .map(|wait| wait.max(global))
            .filter(|wait| !wait.is_zero())
            .min()
            .map(|wait| wait.max(Duration::from_millis(1)))
    }

    /// How long until a lane may be asked for mail: zero is now, `None` not before the store or a batch says so.
    fn wait(&self, occupancy: &Occupancy, mailbox: &MailboxId, wall: Timestamp, now: Instant) -> Option<Duration> {
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

    fn leased(&mut self, mailbox: &MailboxId) {
        self.lane(mailbox).is_asking = false;
    }

    fn found_nothing(&mut self, mailbox: &MailboxId, sequence: u64, now: Instant) {
        let lane = self.lane(mailbox);
        lane.empty = Some((sequence, now + EMPTY_REST));
        self.ended(mailbox);
    }

    fn ended(&mut self, mailbox: &MailboxId) {
        let lane = self.lane(mailbox);
        lane.is_asking = false;
        lane.busy = lane.busy.saturating_sub(1);
    }

    /// A mailbox whose batches bring nothing to an end rests longer and longer, so that an outage costs little.
    fn rest(&mut self, mailbox: &MailboxId, end: &BatchEnd, now: Instant) {
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
            tracing::warn!(%mailbox, "this machine is short of something, work rests");
        }
    }

    /// Logs which outputs went away or came back.
    pub(super) fn notice(&mut self, mailbox: &MailboxId, end: &BatchEnd) {
        for (output, reason) in &end.away {
            if self.away.insert((mailbox.clone(), output.clone())) {
                let code = reason.code.as_str();
                tracing::warn!(%mailbox, %output, code, detail = reason.detail, "output is away, its mail waits");
            }
        }
        for output in end.back.iter().filter(|output| !end.away.contains_key(*output)) {
            if self.away.remove(&(mailbox.clone(), output.clone())) {
                tracing::info!(%mailbox, %output, "output is back");
            }
        }
    }

    fn lane(&mut self, mailbox: &MailboxId) -> &mut Lane {
        self.lanes.entry(mailbox.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tests::fakes::START;

    #[test]
    fn the_last_free_worker_goes_to_a_mailbox_that_has_none() {
        let (mut lanes, now) = (lanes(2), Instant::now());
        let (one, both) = (occupancy(&["A"]), occupancy(&["A", "B"]));
        assert_eq!(next(&mut lanes, &one, now), "A");
        lanes.leased(&id("A"));
        assert_eq!(next(&mut lanes, &one, now), "-");
        assert_eq!(next(&mut lanes, &both, now), "B");
        lanes.ended(&id("B"));
        lanes.ended(&id("A"));
        assert_eq!(next(&mut lanes, &one, now), "A");
    }

    #[test]
    fn one_lease_is_asked_for_at_a_time() {
        let (mut lanes, now, one) = (lanes(4), Instant::now(), occupancy(&["A"]));
        assert_eq!(next(&mut lanes, &one, now), "A");
        assert_eq!(next(&mut lanes, &one, now), "-");
        lanes.leased(&id("A"));
        assert_eq!(next(&mut lanes, &one, now), "A");
    }

    #[test]
    fn a_lane_that_gave_nothing_is_asked_again_when_the_store_changed_or_after_a_rest() {
        let (mut lanes, now) = (lanes(1), Instant::now());
        let mut occupancy = occupancy(&["A"]);
        assert_eq!(next(&mut lanes, &occupancy, now), "A");
        lanes.found_nothing(&id("A"), occupancy.sequence, now);
        assert_eq!(next(&mut lanes, &occupancy, now), "-");
        assert_eq!(lanes.until_due(&occupancy, START, now), Some(EMPTY_REST));
        assert_eq!(lanes.wait(&occupancy, &id("A"), START, now + EMPTY_REST), Some(Duration::ZERO));
        occupancy.sequence += 1;
        assert_eq!(next(&mut lanes, &occupancy, now), "A");
    }

    #[test]
    fn a_fruitless_lane_rests_longer_and_longer_and_others_go_on() {
        let (mut lanes, now, both) = (lanes(4), Instant::now(), occupancy(&["A", "B"]));
        let fruitless = BatchEnd::default();
        let rests: Vec<u128> = (0..7)
            .map(|_| {
                lanes.rest(&id("A"), &fruitless, now);
                lanes.wait(&both, &id("A"), START, now).expect("it waits for time").as_millis()
            })
            .collect();
        assert_eq!(rests, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(next(&mut lanes, &both, now), "B");
        assert_eq!(next(&mut lanes, &both, now), "-");
        lanes.rest(&id("A"), &BatchEnd { is_fruitful: true, ..BatchEnd::default() }, now);
        assert_eq!(next(&mut lanes, &both, now), "A");
    }

    #[test]
    fn a_shortage_of_our_own_rests_every_lane() {
        let (mut lanes, now, both) = (lanes(4), Instant::now(), occupancy(&["A", "B"]));
        lanes.rest(&id("A"), &BatchEnd { is_fruitful: true, is_short: true, ..BatchEnd::default() }, now);
        assert_eq!(next(&mut lanes, &both, now), "-");
        assert_eq!(lanes.until_due(&both, START, now), Some(Duration::from_secs(5)));
        assert_eq!(next(&mut lanes, &both, now + Duration::from_secs(5)), "A");
    }

    #[test]
    fn what_is_due_later_is_waited_for() {
        let (mut lanes, now, mut occupancy) = (lanes(4), Instant::now(), occupancy(&["A"]));
        let later = Duration::from_secs(7);
        occupancy.mailboxes.entry(id("A")).or_default().next_due = Some(START.plus(later));
        assert_eq!(next(&mut lanes, &occupancy, now), "-");
        assert_eq!(lanes.until_due(&occupancy, START, now), Some(later));
    }

    fn lanes(workers: usize) -> Lanes {
        Lanes::new(WorkSettings { workers, ..WorkSettings::default() })
    }

    fn id(text: &str) -> MailboxId {
        MailboxId::new(text).expect("letters")
    }

    /// Mailboxes with mail that is due at [`START`].
    fn occupancy(mailboxes: &[&str]) -> Occupancy {
        let mut occupancy = Occupancy::default();
        for mailbox in mailboxes {
            occupancy.mailboxes.entry(id(mailbox)).or_default().next_due = Some(START);
        }
        occupancy
    }

    fn next(lanes: &mut Lanes, occupancy: &Occupancy, now: Instant) -> String {
        lanes.next(occupancy, START, now).map_or("-".into(), |mailbox| mailbox.to_string())
    }
}
