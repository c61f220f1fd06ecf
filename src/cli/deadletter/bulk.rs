//! Acting on all that a selection takes: first what would be done, then a job that is looked at until it ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use signal_hook::consts::SIGINT;

use super::super::{Context, Failure};
use super::job::{find, jobs};
use crate::daemon::{Answer, Ask, ask};
use crate::domain::fault::FaultCode;
use crate::domain::ids::{JobId, MailboxId};
use crate::domain::operator::Remark;
use crate::ports::store::{Forecast, Job, JobAct, JobEnd, JobOutcome, LeftBehind, Rate, Selection};

/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(250);

/// What is to be done.
pub(super) struct Bulk {
    pub(super) act: JobAct,
    pub(super) selection: Selection,
    pub(super) rate: Rate,
    pub(super) why: Remark,
    pub(super) json: bool,
}

/// What would be done in all, for machines.
#[derive(Serialize)]
struct Outlook {
    would: u64,
    left: LeftBehind,
    by_mailbox_and_code: Vec<Forecast>,
}

impl Bulk {
    /// Says what would be done, and by which command. Changes nothing.
    pub(super) fn tell(&self, context: &mut Context) -> Result<(), Failure> {
        let outlook = self.outlook(&context.load()?.config.control.socket)?;
        self.tell_all(context, &outlook)
    }

    fn tell_all(&self, context: &mut Context, outlook: &Outlook) -> Result<(), Failure> {
        if self.json {
            return context.out.json(outlook);
        }
        if outlook.by_mailbox_and_code.is_empty() {
            return context.out.good("nothing of that kind is dead or held");
        }
        context.out.line(row(["MAILBOX", "REASON", &self.act.as_str().to_uppercase(), "LEFT AS IT IS"]))?;
        for Forecast { mailbox, code, would, left } in &outlook.by_mailbox_and_code {
            let left = left.values().sum::<u64>();
            context.out.line(row([mailbox.as_str(), code.as_str(), &would.to_string(), &left.to_string()]))?;
        }
        for (why, count) in &outlook.left {
            context.out.line(format_args!("{count} would be left as they are: {}", why.as_str()))?;
        }
        if outlook.would == 0 {
            return context.out.line("nothing would be done");
        }
        let seconds = outlook.would.div_ceil(self.rate.per_second().into());
        context.out.line(format_args!("nothing is done yet; this does it, in about {seconds} s:"))?;
        context.out.line(format_args!("  {} --yes", command_line()))
    }

    /// Has it done as a job, and looks on until that ends.
    pub(super) fn carry_out(self, context: &mut Context) -> Result<(), Failure> {
        let socket = context.load()?.config.control.socket;
        let outlook = self.outlook(&socket)?;
        if outlook.would == 0 {
            self.tell_all(context, &outlook)?;
            return left_behind(0, &outlook.left);
        }
        let Self { act, selection, rate, why, json } = self;
        let question = Ask::BeginJob { selection: Box::new(selection), act, rate, why };
        let Answer::JobBegun(id) = ask(&socket, question)? else { return Err(other_answer()) };
        if !json {
            context.out.line(format_args!("{id} begins"))?;
        }
        let job = follow(context, &socket, id, outlook.would)?;
        if json {
            context.out.json(&job)?;
        }
        report(context, &job, json)
    }

    /// Asks until all of it was looked at.
    fn outlook(&self, socket: &Path) -> Result<Outlook, Failure> {
        let mut tallies: BTreeMap<(MailboxId, FaultCode), Forecast> = BTreeMap::new();
        let mut after = None;
        loop {
            let question = Ask::Foresee { selection: Box::new(self.selection.clone()), act: self.act, after };
            let Answer::Foreseen(foreseen) = ask(socket, question)? else { return Err(other_answer()) };
            for tally in foreseen.tallies {
                match tallies.get_mut(&(tally.mailbox.clone(), tally.code)) {
                    Some(known) => {
                        known.would += tally.would;
                        add(&mut known.left, &tally.left);
                    }
                    None => drop(tallies.insert((tally.mailbox.clone(), tally.code), tally)),
                }
            }
            after = foreseen.rest;
            if after.is_none() {
                break;
            }
        }
        let by_mailbox_and_code: Vec<Forecast> = tallies.into_values().collect();
        let mut left = LeftBehind::new();
        by_mailbox_and_code.iter().for_each(|tally| add(&mut left, &tally.left));
        let would = by_mailbox_and_code.iter().map(|tally| tally.would).sum();
        Ok(Outlook { would, left, by_mailbox_and_code })
    }
}

/// Looks on until the job ends, or Ctrl-C: it goes on without anybody.
fn follow(context: &mut Context, socket: &Path, id: JobId, of: u64) -> Result<Job, Failure> {
    let is_left = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&is_left)).context("take signals")?;
    loop {
        let looked = jobs(socket).and_then(|all| find(all, id));
        let job = looked.inspect_err(|_| {
            context.out.passing("");
            context.out.note(format_args!("{id} goes on where it was once the daemon runs"));
        })?;
        if job.ended.is_some() {
            context.out.passing("");
            return Ok(job);
        }
        context.out.passing(format_args!("{id}: {} of {of}", job.done));
        if is_left.load(Ordering::Relaxed) {
            context.out.passing("");
            let how = "`meshd deadletter job show` says how far it is, `cancel` ends it";
            return Err(Failure::Unfinished(format!("{id} goes on by itself: {how}")));
        }
        std::thread::sleep(LOOK);
    }
}

/// What came of it, where it failed too.
fn report(context: &mut Context, job: &Job, is_told: bool) -> Result<(), Failure> {
    let Job { id, done, left, .. } = job;
    for (why, count) in left {
        context.out.note(format_args!("{count} left as they were: {}", why.as_str()));
    }
    match job.ended {
        None | Some(JobEnd { how: JobOutcome::Done, .. }) => {}
        Some(JobEnd { how: JobOutcome::Cancelled(by), .. }) => {
            return Err(anyhow!("{by} cancelled {id} after {done}").into());
        }
        Some(JobEnd { how: JobOutcome::Restored, .. }) => {
            return Err(anyhow!("a restore from a backup ended {id} after {done}").into());
        }
    }
    if !is_told {
        context.out.good(format_args!("{id} is done: {} {done}", job.order.act.as_str()))?;
    }
    left_behind(*done, left)
}

/// What was left as it was makes the command fail, as it does for single deliveries.
fn left_behind(done: u64, left: &LeftBehind) -> Result<(), Failure> {
    match left.values().sum::<u64>() {
        0 => Ok(()),
        some => Err(anyhow!("{some} of {} left as they were", done + some).into()),
    }
}

/// The command that was given, so that it can be given again to a shell.
fn command_line() -> String {
    std::env::args().map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+@%,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn add(left: &mut LeftBehind, more: &LeftBehind) {
    more.iter().for_each(|(why, count)| *left.entry(*why).or_default() += count);
}

fn row([mailbox, reason, would, left]: [&str; 4]) -> String {
    format!("{mailbox:<16} {reason:<18} {would:>8} {left:>14}")
}

fn other_answer() -> Failure {
    anyhow!("the daemon answered another question").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_reads_the_same_to_a_shell() {
        for (word, expected) in [
            ("--group", "--group"),
            ("2026-01-05T09:30:00Z", "2026-01-05T09:30:00Z"),
            ("the pipeline is there", "'the pipeline is there'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
