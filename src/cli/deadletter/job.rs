//! `meshd deadletter job`

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::super::{Context, Failure};
use super::which::options;
use crate::daemon::{Answer, Ask, ask};
use crate::domain::ids::JobId;
use crate::ports::store::{Job, JobOutcome};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum JobCommand {
    /// List bulk acts: those under way, and the last that ended
    List(List),
    /// Show one bulk act
    Show(Show),
    /// End one where it is; what it did stays done
    Cancel(Cancel),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd deadletter job list
  meshd deadletter job list --json | jq '.[] | select(.ended == null)'")]
pub(in crate::cli) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd deadletter job show j4711")]
pub(in crate::cli) struct Show {
    /// The bulk act, as `list` shows it
    job: JobId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd deadletter job cancel j4711")]
pub(in crate::cli) struct Cancel {
    /// The bulk act, as `list` shows it
    job: JobId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl JobCommand {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Show(show) => show.run(context),
            Self::Cancel(cancel) => cancel.run(context),
        }
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let jobs = jobs(&context.load()?.config.control.socket)?;
        if self.json {
            return context.out.json(&jobs);
        }
        if jobs.is_empty() {
            return context.out.good("there is no bulk act");
        }
        context.out.line(row(["JOB", "BEGUN", "ACT", "DONE", "SKIPPED", "STATE"]))?;
        jobs.iter().try_for_each(|job| {
            let left = job.left.values().sum::<u64>();
            context.out.line(row([
                &job.id.to_string(),
                &job.begun.to_string(),
                job.order.act.as_str(),
                &job.done.to_string(),
                &left.to_string(),
                &state(job),
            ]))
        })
    }
}

impl Show {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let job = find(jobs(&context.load()?.config.control.socket)?, self.job)?;
        if self.json {
            return context.out.json(&job);
        }
        tell(context, &job)
    }
}

impl Cancel {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let socket = context.load()?.config.control.socket;
        let Answer::JobCancelled(was_open) = ask(&socket, Ask::CancelJob { job: self.job })? else {
            return Err(other_answer());
        };
        if !was_open {
            return Err(anyhow!("{} is not under way", self.job).into());
        }
        let job = find(jobs(&socket)?, self.job)?;
        if self.json {
            return context.out.json(&job);
        }
        context.out.good(format_args!("{} is cancelled after {}", job.id, job.done))
    }
}

/// The jobs that the daemon tells of.
pub(super) fn jobs(socket: &Path) -> Result<Vec<Job>, Failure> {
    let Answer::Jobs(jobs) = ask(socket, Ask::Jobs)? else { return Err(other_answer()) };
    Ok(jobs)
}

/// One of them.
pub(super) fn find(jobs: Vec<Job>, id: JobId) -> Result<Job, Failure> {
    let found = jobs.into_iter().find(|job| job.id == id);
    found.ok_or_else(|| anyhow!("{id}: there is none, or it ended long ago and the journal alone has it").into())
}

fn tell(context: &mut Context, job: &Job) -> Result<(), Failure> {
    let order = &job.order;
    context.out.line(format_args!("job         {}", job.id))?;
    context.out.line(format_args!("act         {} at most {}", order.act.as_str(), order.rate))?;
    context.out.line(format_args!("which       {}", options(&order.selection)))?;
    context.out.line(format_args!("begun       {} by {}: {}", job.begun, order.by, order.why.as_str()))?;
    context.out.line(format_args!("state       {}", state(job)))?;
    context.out.line(format_args!("done        {}", job.done))?;
    for (why, count) in &job.left {
        context.out.line(format_args!("left        {count}: {}", why.as_str()))?;
    }
    match job.reached.filter(|_| job.ended.is_none()) {
        Some(reached) => context.out.line(format_args!("reached     {reached}")),
        None => Ok(()),
    }
}

fn state(job: &Job) -> String {
    match job.ended {
        None => "under way".to_owned(),
        Some(end) => match end.how {
            JobOutcome::Done => format!("done {}", end.at),
            JobOutcome::Cancelled(by) => format!("cancelled {} by {by}", end.at),
            JobOutcome::Restored => format!("ended {} by a restore from a backup", end.at),
        },
    }
}

fn row([job, begun, act, done, left, state]: [&str; 6]) -> String {
    format!("{job:<9} {begun:<24} {act:<8} {done:>8} {left:>8}  {state}")
}

fn other_answer() -> Failure {
    anyhow!("the daemon answered another question").into()
}
