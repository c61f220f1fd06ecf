//! `meshd compare-in`
//!
//! Compares what the old client put into its `IN` with what meshd put into its own, message by message. It only reads:
//! nothing in either folder is changed, locked or marked.

mod elements;
mod folder;
mod look;
mod message;
mod ours;
mod pairing;
mod report;
mod steady;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Args;

use self::folder::Folder;
use self::look::Look;
use self::report::{Report, Verdict};
use super::message::mailbox;
use super::{Context, Failure};
use crate::daemon::SystemClock;
use crate::domain::ids::MailboxId;
use crate::domain::quantity::{PERIOD, period};
use crate::ports::clock::Clock as _;

/// Between two signs of life.
const TELL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(after_help = "\
Messages are paired by MESH's id (DTSId); those left over on both sides lay in mailboxes of
their own, and are paired by data, sender, workflow, local id and subject. It names what
differs and never what it says; a file that has no id of MESH's is told by its inode, which
`find DIR -inum N` finds. Nothing in either folder is changed or locked.
What differs while one of its files is younger than --settle is not settled yet. Copy with
`cp -a`, or every file is as young as its copy.

It ends with 0 if all is the same; 1 if something differs, is missing, doubled or not whole;
75 if nothing does, and something is not settled yet or was in motion; 66 if it could not look,
77 if this user may not, 78 if the configuration has mistakes.

Examples:
  meshd compare-in /opt/MESH-DATA-HOME/X26ABC1/IN --mailbox X26ABC1
  meshd compare-in ./old/IN --with /srv/mesh/X26ABC1/IN --all
  meshd compare-in ./old/IN --with ./new/IN --settle 0s --json | jq .counts")]
pub(super) struct CompareIn {
    /// The IN folder of the old client, or a copy of it
    dir: PathBuf,
    /// meshd's IN folder; without it that of the configuration
    #[arg(long, value_name = "DIR", conflicts_with = "mailbox")]
    with: Option<PathBuf>,
    /// Of which mailbox, if the configuration has several
    #[arg(long, value_name = "MAILBOX", value_parser = mailbox)]
    mailbox: Option<MailboxId>,
    /// How long a file rests before it counts as missing on the other side
    #[arg(long, value_name = "PERIOD", default_value = "10m", value_parser = settle)]
    settle: Duration,
    /// Show every finding, not only the first twenty
    #[arg(long)]
    all: bool,
    /// Print JSON, with every finding
    #[arg(long)]
    json: bool,
}

fn settle(text: &str) -> Result<Duration, String> {
    period(text).ok_or_else(|| format!("expected {PERIOD}"))
}

impl CompareIn {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let with = match &self.with {
            Some(with) => with.clone(),
            None => ours::folder(context, self.mailbox.as_ref())?,
        };
        let mut report = self.compare(&with, context).map_err(Failure::NotLooked)?;
        let verdict = report.conclude();
        if self.json {
            context.out.json(&report)?;
        } else {
            report.lines(self.all).into_iter().try_for_each(|line| context.out.line(line))?;
        }
        match verdict {
            Verdict::Same => Ok(()),
            Verdict::Different => Err(anyhow!("the two folders are not the same").into()),
            Verdict::Unsettled => Err(Failure::Unfinished(
                "nothing differs so far, and not all has settled: compare again in a while".to_owned(),
            )),
        }
    }

    fn compare(&self, with: &Path, context: &mut Context) -> Result<Report, anyhow::Error> {
        let (there_path, there) = list(&self.dir)?;
        let (here_path, here) = list(with)?;
        if there.is_the_same_as(&here) {
            return Err(anyhow!("{} and {} are one folder", self.dir.display(), with.display()));
        }
        let look =
            Look { there: &there_path, here: &here_path, now: SystemClock::default().wall(), settle: self.settle };
        let mut told = Instant::now();
        let report = look.compare(there, here, &mut |what, done, all, bytes| {
            if told.elapsed() >= TELL {
                told = Instant::now();
                context.out.passing(format_args!("{what} {done} of {all}, {bytes} bytes of data read"));
            }
        });
        context.out.passing("");
        if report.is_empty() {
            let hint = "the folder meant is IN itself, with files <id>.dat and <id>.ctl in it";
            return Err(anyhow!("neither {} nor {} has a message: {hint}", self.dir.display(), with.display()));
        }
        Ok(report)
    }
}

/// The folder as it is called in the end, and what lies in it.
fn list(path: &Path) -> Result<(PathBuf, Folder), anyhow::Error> {
    let found = fs::canonicalize(path).and_then(|path| Ok((Folder::list(&path)?, path)));
    let (folder, path) = found.with_context(|| format!("list {}", path.display()))?;
    Ok((path, folder))
}
