//! Bulk acts, done one step after the other at their rate.
//!
//! The store knows what each is to do and how far it came, so this begins again at every start where the last run
//! ended, however it ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::JobId;
use crate::domain::operator::Operator;
use crate::ports::store::{Foreseen, Foresight, Halt, Job, JobOrder, Jobs, Rate, Stepped, TooManyJobs};

/// Between two steps of a job: often enough to be smooth, seldom enough that its acts share commits.
const STEP: Duration = Duration::from_millis(100);

/// Whoever asks for bulk acts, and whoever does them.
#[derive(Clone)]
pub(super) struct Bulk {
    store: Arc<dyn Jobs>,
    /// One began.
    begun: Arc<Notify>,
}

impl Bulk {
    /// On this store.
    pub(super) fn new(store: Arc<dyn Jobs>) -> Self {
        Self { store, begun: Arc::default() }
    }

    /// What one would do.
    pub(super) async fn foresee(&self, wanted: Foresight) -> Result<Foreseen, Halt> {
        self.store.foresee(wanted).await
    }

    /// Begins one. Durable on return.
    pub(super) async fn begin(&self, order: JobOrder) -> Result<Result<JobId, TooManyJobs>, Halt> {
        let (act, user) = (order.act, order.by.0);
        let begun = self.store.begin_job(order).await?;
        if let Ok(job) = begun {
            tracing::info!(%job, user, act = act.as_str(), "an operator began a bulk act");
            self.begun.notify_one();
        }
        Ok(begun)
    }

    /// Ends one where it is; `false` if it is not under way. Durable on return.
    pub(super) async fn cancel(&self, job: JobId, by: Operator) -> Result<bool, Halt> {
        let was_open = self.store.cancel_job(job, by).await?;
        if was_open {
            tracing::info!(%job, user = by.0, "an operator cancelled a bulk act");
        }
        Ok(was_open)
    }

    /// Those under way, and the last that ended.
    pub(super) async fn all(&self) -> Result<Vec<Job>, Halt> {
        self.store.jobs().await
    }

    /// Does all that are under way, until `stop`: a step in hand is carried out, and nothing is waited for.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), Halt> {
        stop.run_until_cancelled(self.do_all()).await.unwrap_or(Ok(()))
    }

    async fn do_all(&self) -> Result<(), Halt> {
        let mut due: BTreeMap<JobId, Instant> = BTreeMap::new();
        loop {
            let open: Vec<Job> = self.all().await?.into_iter().filter(|job| job.ended.is_none()).collect();
            due.retain(|id, _| open.iter().any(|job| job.id == *id));
            for job in &open {
                let at = due.entry(job.id).or_insert_with(Instant::now);
                if *at <= Instant::now() {
                    let stepped = self.step(job).await?;
                    *at = Instant::now() + pause(&stepped, job.order.rate);
                }
            }
            // One that has ended is not listed again.
            match due.values().min() {
                Some(next) => tokio::time::sleep_until(*next).await,
                None => self.begun.notified().await,
            }
        }
    }

    async fn step(&self, job: &Job) -> Result<Stepped, Halt> {
        let stepped = self.store.step_job(job.id, at_once(job.order.rate)).await?;
        tracing::debug!(job = %job.id, acted = stepped.acted.len(), "a bulk act went on");
        if !stepped.is_open {
            let done = job.done + stepped.acted.len() as u64;
            tracing::info!(job = %job.id, done, "a bulk act ended");
        }
        Ok(stepped)
    }
}

/// Deliveries of one step.
fn at_once(rate: Rate) -> usize {
    let steps = Duration::from_secs(1).as_millis() / STEP.as_millis();
    (rate.per_second() as usize).div_ceil(steps as usize)
}

/// How long to wait after a step, so that no second has more acts than the rate allows.
fn pause(stepped: &Stepped, rate: Rate) -> Duration {
    Duration::from_secs(stepped.acted.len() as u64) / rate.per_second()
}

#[cfg(test)]
mod tests;
