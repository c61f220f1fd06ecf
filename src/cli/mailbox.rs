//! `meshd mailbox`

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Context, Failure};
use crate::daemon::{Answer, Ask, ask};
use crate::domain::ids::{MailboxId, WorkflowId};
use crate::domain::operator::Remark;
use crate::ports::directory::{Endpoint, Endpoints, Wanted};
use crate::ports::operations::MailboxStatus;

#[derive(Debug, Subcommand)]
pub(super) enum Mailbox {
    /// List the mailboxes of the running daemon, and which are suspended
    List(List),
    /// Have a mailbox rest: nothing is listed, fetched or worked on for it until it is resumed
    Suspend(Suspend),
    /// Let a suspended mailbox go on
    Resume(Resume),
    /// Find the mailboxes that an organisation has for a workflow
    Find(Find),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd mailbox list
  meshd mailbox list --json | jq '.[] | select(.suspended)'")]
pub(super) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is on its way in or in work comes to its end, and is acknowledged. Other mailboxes go on.
A restart does not end it. Mail waits at MESH meanwhile, which keeps it five days.

Examples:
  meshd mailbox suspend X26ABC1 --reason \"the consumer is being moved, CHG0012345\"")]
pub(super) struct Suspend {
    /// The mailbox, as `list` shows it
    #[arg(value_parser = |text: &str| MailboxId::new(text))]
    mailbox: MailboxId,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd mailbox resume X26ABC1")]
pub(super) struct Resume {
    /// The mailbox, as `list` shows it
    #[arg(value_parser = |text: &str| MailboxId::new(text))]
    mailbox: MailboxId,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Option<Remark>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
MESH is asked, and its answer remembered for an hour. A trust may have several mailboxes for a
workflow: ask it which.

Examples:
  meshd mailbox find --ods X26 --workflow TOC_FHIR_IP_DISCH")]
pub(super) struct Find {
    /// The ODS code of the organisation
    #[arg(long, value_name = "CODE")]
    ods: String,
    /// What is to be sent
    #[arg(long, value_name = "WORKFLOW-ID", value_parser = |text: &str| WorkflowId::new(text))]
    workflow: WorkflowId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Mailbox {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Suspend(suspend) => suspend.run(context),
            Self::Resume(resume) => resume.run(context),
            Self::Find(find) => find.run(context),
        }
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mailboxes = mailboxes(&context.load()?.config.control.socket)?;
        if self.json {
            let shown = mailboxes.iter().map(|mailbox| {
                json!({ "id": mailbox.id, "organisation": mailbox.organisation, "suspended": mailbox.occupancy.suspended })
            });
            return context.out.json(&shown.collect::<Vec<_>>());
        }
        context.out.line(row(["MAILBOX", "ODS", "STATE"]))?;
        for mailbox in &mailboxes {
            let state = match &mailbox.occupancy.suspended {
                None => "runs".to_owned(),
                Some(suspended) => {
                    format!("suspended since {} by {}: {}", suspended.since, suspended.by, suspended.why.as_str())
                }
            };
            context.out.line(row([mailbox.id.as_str(), mailbox.organisation.as_deref().unwrap_or("-"), &state]))?;
        }
        Ok(())
    }
}

impl Find {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let socket = context.load()?.config.control.socket;
        let Endpoints { found, age_seconds } = find(&socket, self.ods.clone(), self.workflow.clone())?;
        if self.json {
            return context.out.json(&json!({ "mailboxes": found, "age_seconds": age_seconds }));
        }
        if found.is_empty() {
            return Err(anyhow!("{} has no mailbox for {}, says MESH", self.ods, self.workflow).into());
        }
        for Endpoint { mailbox, name } in &found {
            context.out.line(format_args!("{mailbox:<20} {name}"))?;
        }
        if age_seconds > 0 {
            context.out.note(format!("MESH said so {} min ago", age_seconds / 60));
        }
        Ok(())
    }
}

/// The mailboxes of an organisation, as the daemon knows or finds out.
pub(super) fn find(socket: &Path, organisation: String, workflow: WorkflowId) -> Result<Endpoints, Failure> {
    let question = Ask::Endpoints(Wanted { organisation: organisation.to_ascii_uppercase(), workflow });
    let Answer::Endpoints(found) = ask(socket, question)? else { return Err(other_answer()) };
    Ok(found.map_err(anyhow::Error::new)?)
}

impl Suspend {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { mailbox, reason, json } = self;
        let socket = context.load()?.config.control.socket;
        known(&socket, &mailbox)?;
        let question = Ask::SuspendMailbox { mailbox: mailbox.clone(), why: reason };
        let Answer::MailboxSuspended(is_new) = ask(&socket, question)? else { return Err(other_answer()) };
        if !is_new {
            return Err(anyhow!("{mailbox} is suspended already: `meshd mailbox list` says by whom").into());
        }
        if json {
            return context.out.json(&json!({ "suspended": mailbox }));
        }
        context.out.good(format_args!("{mailbox} is suspended; its mail waits at MESH, which keeps it five days"))
    }
}

impl Resume {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { mailbox, reason, json } = self;
        let socket = context.load()?.config.control.socket;
        known(&socket, &mailbox)?;
        let question = Ask::ResumeMailbox { mailbox: mailbox.clone(), why: reason };
        let Answer::MailboxResumed(was_suspended) = ask(&socket, question)? else { return Err(other_answer()) };
        if !was_suspended {
            return Err(anyhow!("{mailbox} is not suspended").into());
        }
        if json {
            return context.out.json(&json!({ "resumed": mailbox }));
        }
        context.out.good(format_args!("{mailbox} goes on"))
    }
}

/// Refuses a mailbox that the daemon does not know.
fn known(socket: &Path, mailbox: &MailboxId) -> Result<(), Failure> {
    let known = mailboxes(socket)?;
    if known.iter().any(|known| known.id == *mailbox) {
        return Ok(());
    }
    let ids: Vec<_> = known.iter().map(|known| known.id.as_str()).collect();
    Err(anyhow!("no mailbox is called {mailbox}; there are: {}", ids.join(", ")).into())
}

fn mailboxes(socket: &Path) -> Result<Vec<MailboxStatus>, Failure> {
    let Answer::Status(status) = ask(socket, Ask::Status)? else { return Err(other_answer()) };
    Ok(status.mailboxes)
}

fn other_answer() -> Failure {
    anyhow!("the daemon answered another question").into()
}

fn row([mailbox, organisation, state]: [&str; 3]) -> String {
    format!("{mailbox:<16} {organisation:<8} {state}").trim_end().to_owned()
}
