//! Bulk acts: what each is to do, and how far it came. Their records say both, so that a restart repeats nothing.

use super::{Index, IndexError, Order, State, keys, kind};
use crate::domain::ids::{DeliveryId, JobId};
use crate::domain::time::Timestamp;
use crate::ports::store::{Job, JobEnd, JobOrder, JobOutcome, LeftBehind};

/// So many are told of: those under way, which are few, and the last that ended.
const MOST_KEPT: usize = 100;

impl State {
    /// One job.
    pub(crate) fn job(&self, index: &dyn Index, id: JobId) -> Result<Option<Job>, IndexError> {
        self.read(index, &keys::numbered(kind::JOB, id.0))
    }

    /// All jobs that are told of, oldest first.
    pub(crate) fn jobs(&self, index: &dyn Index) -> Result<Vec<Job>, IndexError> {
        let rows = self.scan(index, &[kind::JOB], &[kind::JOB + 1], Order::Ascending, MOST_KEPT)?;
        rows.iter().map(|(_, value)| keys::decode(value)).collect()
    }

    pub(super) fn job_begun(
        &mut self,
        index: &dyn Index,
        id: JobId,
        begun: Timestamp,
        order: &JobOrder,
    ) -> Result<(), IndexError> {
        let others = self.jobs(index)?;
        if others.len() >= MOST_KEPT
            && let Some(oldest) = others.iter().find(|job| job.ended.is_some())
        {
            self.remove(keys::numbered(kind::JOB, oldest.id.0));
        }
        self.meta.open_jobs += 1;
        let (reached, done, left, ended) = (None, 0, LeftBehind::new(), None);
        self.put_job(&Job { id, order: order.clone(), begun, reached, done, left, ended })
    }

    /// A delivery was acted on; by hand, if no job is named.
    pub(super) fn job_acted(
        &mut self,
        index: &dyn Index,
        job: Option<JobId>,
        id: DeliveryId,
    ) -> Result<(), IndexError> {
        let Some(job) = job else { return Ok(()) };
        let job = self.expect_job(index, job)?;
        self.put_job(&Job { reached: Some(id), done: job.done + 1, ..job })
    }

    pub(super) fn job_passed(
        &mut self,
        index: &dyn Index,
        job: JobId,
        to: DeliveryId,
        left: &LeftBehind,
    ) -> Result<(), IndexError> {
        let mut job = self.expect_job(index, job)?;
        job.reached = Some(to);
        for (why, count) in left {
            *job.left.entry(*why).or_default() += count;
        }
        self.put_job(&job)
    }

    pub(super) fn job_ended(
        &mut self,
        index: &dyn Index,
        job: JobId,
        at: Timestamp,
        how: JobOutcome,
    ) -> Result<(), IndexError> {
        let job = self.expect_job(index, job)?;
        self.meta.open_jobs = self.meta.open_jobs.saturating_sub(1);
        self.put_job(&Job { ended: Some(JobEnd { at, how }), ..job })
    }

    /// One that is under way, as its records say.
    fn expect_job(&self, index: &dyn Index, id: JobId) -> Result<Job, IndexError> {
        let job = self.job(index, id)?.filter(|job| job.ended.is_none());
        job.ok_or_else(|| IndexError(format!("job {id} is missing")))
    }

    fn put_job(&mut self, job: &Job) -> Result<(), IndexError> {
        self.put(keys::numbered(kind::JOB, job.id.0), job)
    }
}
