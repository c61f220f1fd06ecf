//! `meshd conformance`

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;

use super::exit::FarSide;
use super::send::only_mailbox;
use super::{Context, Failure, own_file};
use crate::daemon::Stop;
use crate::daemon::conformance::catalogue::{CATALOGUE, Case, case};
use crate::daemon::conformance::report::{Report, Standing};
use crate::daemon::conformance::{CannotRun, Wish, run};
use crate::domain::fault::FaultCode;
use crate::domain::ids::{MailboxId, WorkflowId};

#[derive(Debug, Args)]
#[command(after_help = "\
It runs what a machine can run of the catalogue, against the MESH of the configuration and with
the program's own client, and names the rest with the reason. Evidence goes to report.txt and
report.json: what was done, expected and seen, every request with its time and status, ids
masked, no secrets. All messages are synthetic. Mail that is not of the run is neither
downloaded nor acknowledged; case 601 needs an inbox without any.

The daemon must be stopped, here and wherever else the mailbox is read, and the live service is
refused. The workflow must be one that the mailbox may send and receive. Without --partner the
mailbox sends to itself; a partner that is configured here too also sends to it, and collects
what it gets; what goes to another stays there. It shakes hands once, which MESH wants no more
than hourly, and lists more often than MESH wants of a daemon. 501 and 502 move 210 MB each.
What a run leaves that is interrupted waits in the inbox, and is mail to the next daemon.

Exit code 0 when all cases that ran passed, 1 when one failed or none ran, 75 while the daemon
runs, 77 when MESH refuses us and 69 when it cannot be reached. Run it as the daemon's user.

Examples:
  meshd conformance --list
  meshd conformance --out ./evidence
  meshd conformance --mailbox X26ABC1 --partner X26ABC2 --workflow TOC --out ./evidence
  meshd conformance --case 201 --case 401 --out ./evidence --json | jq '.cases[].verdict'")]
pub(super) struct Conformance {
    /// The mailbox under test; may be left out where there is one
    #[arg(long, value_name = "ID", value_parser = |text: &str| MailboxId::new(text))]
    mailbox: Option<MailboxId>,
    /// The mailbox to send to
    #[arg(long, value_name = "ID", value_parser = |text: &str| MailboxId::new(text))]
    partner: Option<MailboxId>,
    /// The workflow of all messages
    #[arg(long, value_name = "ID", value_parser = |text: &str| WorkflowId::new(text), default_value = "TEST_WORKFLOW")]
    workflow: WorkflowId,
    /// The folder to make for the evidence; it must be new, or empty
    #[arg(long, value_name = "DIR", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// Only this case; several may be named
    #[arg(long = "case", value_name = "N", value_parser = number)]
    cases: Vec<u16>,
    /// Show the catalogue, and run nothing
    #[arg(long)]
    list: bool,
    /// Print JSON: what report.json has
    #[arg(long)]
    json: bool,
}

impl Conformance {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Some(out) = self.out.as_deref().filter(|_| !self.list) else { return self.show(context) };
        let loaded = context.load()?;
        let secrets = loaded.resolve().map_err(Failure::Configuration)?;
        let mailbox = match self.mailbox {
            Some(mailbox) => mailbox,
            None => only_mailbox(&loaded.config)?,
        };
        let wish = Wish { mailbox, partner: self.partner, workflow: self.workflow, cases: self.cases };
        own_file::folder(out)?;
        let report = run(&loaded, &secrets, &wish, |outcome| {
            if wish.cases.is_empty() || wish.cases.contains(&outcome.number) {
                let reason = outcome.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
                context.out.note(format_args!("case {}: {}{reason}", outcome.number, outcome.verdict.as_str()));
            }
        });
        let report = report.map_err(|cannot| failure(cannot, context))?;
        keep(out, &report)?;
        if self.json {
            context.out.json(&report)?;
        }
        let failed = report.count(Standing::Failed);
        if failed > 0 {
            return Err(anyhow!("{}: see {}", report.summary(), out.join("report.txt").display()).into());
        }
        if report.count(Standing::Passed) == 0 {
            return Err(anyhow!("no case ran: see {}", out.join("report.txt").display()).into());
        }
        if self.json {
            return Ok(());
        }
        context.out.good(format_args!("{}: see {}", report.summary(), out.join("report.txt").display()))
    }

    fn show(&self, context: &mut Context) -> Result<(), Failure> {
        if self.json {
            return context.out.json(&CATALOGUE.iter().map(as_json).collect::<Vec<_>>());
        }
        for Case { number, title, is_optional, .. } in CATALOGUE {
            let optional = if *is_optional { " (optional)" } else { "" };
            context.out.line(format_args!("{number}  {title}{optional}"))?;
        }
        for case in CATALOGUE {
            if let Some(why) = case.why_not() {
                context.out.line(format_args!("{} is not run: {why}", case.number))?;
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<u16, String> {
    let known = text.parse().ok().and_then(case);
    known.map(|case| case.number).ok_or_else(|| "there is no such case: see `meshd conformance --list`".to_owned())
}

fn as_json(case: &Case) -> serde_json::Value {
    json!({
        "number": case.number,
        "title": case.title,
        "optional": case.is_optional,
        "done": case.done,
        "expected": case.expected,
        "not_run": case.why_not(),
    })
}

/// Both files, for their owner alone.
fn keep(out: &Path, report: &Report) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(report).context("write the report as JSON")? + "\n";
    for (name, text) in [("report.json", json), ("report.txt", report.text())] {
        let path = out.join(name);
        let mut file = own_file::make(&path)?;
        let written = file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()));
        written.map_err(|error| own_file::give_up(&path, error.into()))?;
    }
    Ok(())
}

fn failure(cannot: CannotRun, context: &mut Context) -> Failure {
    match cannot {
        CannotRun::Configuration(findings) => Failure::Configuration(findings),
        CannotRun::Running(_) => Stop::InTheWay(cannot.into()).into(),
        CannotRun::Unseen(error) | CannotRun::Failed(error) => Failure::Other(error.into()),
        CannotRun::Live(_) | CannotRun::NoMailbox(_) => Failure::Other(cannot.into()),
        CannotRun::Far { ref fault, .. } => {
            let is_refused = fault.code == FaultCode::MeshAuth || fault.code == FaultCode::MeshRequest;
            context.out.note(&cannot);
            Failure::Far(if is_refused { FarSide::Refused } else { FarSide::Away })
        }
    }
}
