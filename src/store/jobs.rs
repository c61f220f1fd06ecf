//! Bulk acts, a step at a time.
//!
//! A job walks what its selection takes of what is set aside, in the order of ids, from where its records say that it is
//! up to its own number: an act moves it to the delivery acted on, and [`Event::JobPassed`] past those that it left. That
//! record precedes the next act, so that a journal cut off anywhere has each delivery that was left behind counted
//! exactly as often as the job will not come to it again: once.
//!
//! What was set aside by a later record than the job's own is none of its business: a replay, a release or a hold of its
//! own never comes back to it, nor does mail that failed meanwhile.

use std::collections::BTreeMap;

use super::committer::{Committer, Moment, Stop};
use super::journal::event::Event;
use super::plan::missing;
use super::state::{Place, Row, Walk};
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, JobId, MailboxId};
use crate::domain::operator::Operator;
use crate::ports::store::{
    Forecast, Foreseen, Foresight, Job, JobOrder, JobOutcome, Left, LeftBehind, MOST_OPEN_JOBS, Order, Stepped,
    TooManyJobs,
};

/// No step comes to more: beside a full commit, its batch of the index stays small.
const MOST_STEPPED: usize = 32;
/// No question foresees more: some milliseconds.
const MOST_FORESEEN: usize = 1_024;

/// What is asked of bulk acts.
#[derive(Debug)]
pub enum JobCommand {
    /// What would be done?
    Foresee(Box<Foresight>),
    /// Begin.
    Begin(Box<JobOrder>),
    /// Act on the next deliveries, so many at the most.
    Step(JobId, usize),
    /// End.
    Cancel(JobId, Operator),
    /// Which are there?
    List,
}

/// The answers, one for each question.
#[derive(Debug)]
pub enum JobAnswer {
    /// To [`JobCommand::Foresee`].
    Foreseen(Foreseen),
    /// To [`JobCommand::Begin`].
    Begun(Result<JobId, TooManyJobs>),
    /// To [`JobCommand::Step`].
    Stepped(Stepped),
    /// To [`JobCommand::Cancel`]: whether it was under way.
    Cancelled(bool),
    /// To [`JobCommand::List`].
    Listed(Vec<Job>),
}

impl Committer {
    /// Does what is asked of bulk acts.
    pub(super) fn job(&mut self, moment: Moment, command: JobCommand) -> Result<JobAnswer, Stop> {
        Ok(match command {
            JobCommand::Foresee(wanted) => JobAnswer::Foreseen(self.foreseen(&wanted)?),
            JobCommand::Begin(_) if self.state.meta.open_jobs >= MOST_OPEN_JOBS => JobAnswer::Begun(Err(TooManyJobs)),
            JobCommand::Begin(order) => {
                let sequence = self.record(moment, &Event::JobBegun(order))?;
                JobAnswer::Begun(Ok(JobId(sequence)))
            }
            JobCommand::Step(id, count) => JobAnswer::Stepped(self.step_job(moment, id, count)?),
            JobCommand::Cancel(id, by) => JobAnswer::Cancelled(self.end_job(moment, id, JobOutcome::Cancelled(by))?),
            JobCommand::List => JobAnswer::Listed(self.state.jobs(self.index.as_ref())?),
        })
    }

    /// Ends all that are under way, since what they were to do may have been done elsewhere.
    pub(super) fn end_jobs(&mut self, moment: Moment) -> Result<(), Stop> {
        for job in self.state.jobs(self.index.as_ref())? {
            self.end_job(moment, job.id, JobOutcome::Restored)?;
        }
        Ok(())
    }

    fn open_job(&self, id: JobId) -> Result<Option<Job>, Stop> {
        Ok(self.state.job(self.index.as_ref(), id)?.filter(|job| job.ended.is_none()))
    }

    fn step_job(&mut self, moment: Moment, id: JobId, count: usize) -> Result<Stepped, Stop> {
        let mut acted = Vec::new();
        let Some(job) = self.open_job(id)? else { return Ok(Stepped { acted, is_open: false }) };
        let JobOrder { selection, act, by, why, .. } = job.order;
        let walk = Walk { selection: &selection, after: job.reached, before: id.0, count: MOST_STEPPED };
        let walked = self.state.walk(self.index.as_ref(), walk)?;
        let (mut at, mut left) = (job.reached, LeftBehind::new());
        let last = walked.found.last().copied();
        for delivery in walked.found {
            if acted.len() == count {
                break;
            }
            let row = self.set_aside_row(delivery)?;
            let order = Order { delivery, act: act.into(), by, why: Some(why.clone()) };
            let result = match self.permitted(&row, order.act, order.why.as_ref()) {
                Ok(()) => {
                    self.pass(moment, id, at, &mut left)?;
                    self.carry_out(moment, row, order, Some(id))?
                }
                Err(refused) => Err(refused),
            };
            match result {
                Ok(done) => acted.push((delivery, done)),
                Err(refused) => *left.entry(Left::from(refused)).or_default() += 1,
            }
            at = Some(delivery);
        }
        self.pass(moment, id, at, &mut left)?;
        let is_through = last.is_none_or(|last| at == Some(last));
        let is_open = !(is_through && walked.is_end);
        if !is_open {
            self.end_job(moment, id, JobOutcome::Done)?;
        } else if let Some(to) = walked.reached.filter(|reached| is_through && Some(*reached) > at) {
            // Many that are not of the selection: the next step begins behind them.
            self.record(moment, &Event::JobPassed { job: id, to, left })?;
        }
        Ok(Stepped { acted, is_open })
    }

    /// Says what was left behind up to `to`, if anything was.
    fn pass(&mut self, moment: Moment, job: JobId, to: Option<DeliveryId>, left: &mut LeftBehind) -> Result<(), Stop> {
        if let (Some(to), false) = (to, left.is_empty()) {
            let left = std::mem::take(left);
            self.record(moment, &Event::JobPassed { job, to, left })?;
        }
        Ok(())
    }

    /// `false` if it is not under way.
    fn end_job(&mut self, moment: Moment, id: JobId, how: JobOutcome) -> Result<bool, Stop> {
        let Some(Job { done, left, .. }) = self.open_job(id)? else { return Ok(false) };
        self.record(moment, &Event::JobEnded { job: id, done, left, how })?;
        Ok(true)
    }

    fn foreseen(&self, wanted: &Foresight) -> Result<Foreseen, Stop> {
        let Foresight { selection, act, after } = wanted;
        let walk = Walk { selection, after: *after, before: u64::MAX, count: MOST_FORESEEN };
        let walked = self.state.walk(self.index.as_ref(), walk)?;
        let mut tallies: BTreeMap<(MailboxId, FaultCode), (u64, LeftBehind)> = BTreeMap::new();
        for delivery in walked.found {
            let row = self.set_aside_row(delivery)?;
            let Place::Aside { reason, .. } = &row.place else { continue };
            let (would, left) = tallies.entry((row.delivery.mailbox.clone(), reason.code)).or_default();
            match self.permitted(&row, (*act).into(), None) {
                Ok(()) => *would += 1,
                Err(refused) => *left.entry(Left::from(refused)).or_default() += 1,
            }
        }
        let tally = |((mailbox, code), (would, left))| Forecast { mailbox, code, would, left };
        let rest = walked.reached.filter(|_| !walked.is_end);
        Ok(Foreseen { tallies: tallies.into_iter().map(tally).collect(), rest })
    }

    fn set_aside_row(&self, id: DeliveryId) -> Result<Row, Stop> {
        Ok(self.state.row(self.index.as_ref(), id)?.ok_or_else(|| missing(id))?)
    }
}
