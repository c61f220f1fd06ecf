//! Leases a batch for whoever's turn it is (see `lanes`), has it worked on, and hears how it ended.
//!
//! Nothing polls: it wakes when the store changed, when something becomes due, and when a batch ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::away::Away;
use super::lanes::Lanes;
use super::worker::{BatchEnd, Desk};
use super::{Work, WorkError, WorkSettings, suspects};
use crate::domain::ids::MailboxId;
use crate::domain::settlement::Settlement;
use crate::ports::store::{Amount, Halt, Lease, LeaseWish};

/// Due times are wall-clock times: look again after this long, in case the clock was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

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
        let (mut lanes, mut away) = (Lanes::new(self.settings.clone()), Away::default());
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
                    suspects::run_alone(&self, &desk, &mut away, &cancel).await?;
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
                        lanes.leased(&mailbox, Amount::default());
                        lanes.ended(&mailbox);
                        failure = failure.or(self.give_back(leases).await.err());
                    }
                    Event::Leased(mailbox, Ok(leases)) => {
                        lanes.leased(&mailbox, amount(&leases));
                        let work = Arc::clone(&desk).work(leases);
                        running.push(Box::pin(async move { Event::Worked(mailbox, work.await) }));
                    }
                    Event::Worked(mailbox, Ok(end)) => {
                        lanes.ended(&mailbox);
                        away.notice(&mailbox, &end);
                        lanes.rest(&mailbox, &end, Instant::now());
                        if end.is_short {
                            tracing::warn!(%mailbox, "this machine is short of something, work rests");
                        }
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

/// What a batch takes of its lane's credit.
fn amount(leases: &[Lease]) -> Amount {
    let bytes = leases.iter().map(|lease| lease.delivery.length).sum();
    Amount { messages: leases.len() as u64, bytes }
}
