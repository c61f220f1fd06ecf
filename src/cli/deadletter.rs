//! `meshd deadletter`

mod acts;
mod bulk;
mod export;
mod groups;
mod import;
mod job;
mod show;
mod which;

use std::io::Read;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use self::which::Which;
use super::message::is_known;
use super::{Context, Failure};
use crate::daemon::{self, Answer, Ask, LARGEST_PAGE, ask};
use crate::domain::ids::DeliveryId;
use crate::domain::operator::Remark;
use crate::ports::operations::Whose;
use crate::ports::store::{FoundAside, Selection};

#[derive(Debug, Subcommand)]
pub(super) enum Deadletter {
    /// List dead and held mail, newest first
    List(List),
    /// Show which dead and held mail failed alike, most first
    Groups(groups::Groups),
    /// Show one delivery
    Show(show::Show),
    /// Write dead and held mail into one sealed file
    Export(export::Export),
    /// Bring in what was exported, to be looked at here
    Import(import::Import),
    /// Have deliveries handled anew
    Replay(acts::Replay),
    /// Put held deliveries back to work, as they are
    Release(acts::Release),
    /// Set deliveries aside until a person says more
    Hold(acts::Hold),
    /// End deliveries: they go nowhere
    Discard(acts::Discard),
    /// Look at bulk acts, and end one
    #[command(subcommand)]
    Job(job::JobCommand),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd deadletter list
  meshd deadletter list --code MSG-NO-ROUTE --workflow DEMO_TINY --since 2026-01-05
  meshd deadletter list --count 200 --before d4711 --json")]
pub(super) struct List {
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=LARGEST_PAGE as i64))]
    count: u16,
    /// Only older ones than this: the last of the page before
    #[arg(long, value_name = "DELIVERY")]
    before: Option<DeliveryId>,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Deadletter {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Groups(groups) => groups.run(context),
            Self::Show(show) => show.run(context),
            Self::Export(export) => export.run(context),
            Self::Import(import) => import.run(context),
            Self::Replay(replay) => replay.run(context),
            Self::Release(release) => release.run(context),
            Self::Hold(hold) => hold.run(context),
            Self::Discard(discard) => discard.run(context),
            Self::Job(job) => job.run(context),
        }
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let wanted = usize::from(self.count);
        let selection = Selection::from(self.which);
        let (mut page, mut before) = (Vec::new(), self.before);
        loop {
            let (selection, count) = (Box::new(selection.clone()), wanted - page.len());
            let found = set_aside(context, Ask::SetAside { before, only: None, selection, count })?;
            page.extend(found.page);
            before = found.rest;
            if before.is_none() || page.len() >= wanted {
                break;
            }
        }
        if page.is_empty() {
            is_known(context, selection.mailbox.as_ref())?;
        }
        if self.json {
            return context.out.json(&page);
        }
        if !page.is_empty() {
            context.out.line(row(["DELIVERY", "SINCE", "MAILBOX", "STATE", "REASON", "MESSAGE"]))?;
        }
        for aside in &page {
            let delivery = &aside.delivery;
            context.out.line(row([
                &delivery.id.to_string(),
                &aside.since.to_string(),
                delivery.mailbox.as_str(),
                aside.kind.as_str(),
                aside.reason.code.as_str(),
                delivery.message_id.as_str(),
            ]))?;
        }
        match before {
            Some(before) => context.out.line(format_args!("there may be more: --before {before}")),
            None if page.is_empty() && selection == Selection::default() => context.out.good("nothing is dead or held"),
            None if page.is_empty() => context.out.good("nothing of that kind is dead or held"),
            None => Ok(()),
        }
    }
}

fn set_aside(context: &Context, question: Ask) -> Result<FoundAside, Failure> {
    let loaded = context.load()?;
    let Answer::SetAside(page) = ask(&loaded.config.control.socket, question)? else {
        return Err(anyhow!("the daemon answered another question").into());
    };
    Ok(page)
}

/// Brings a payload in, and says as which delivery it is kept.
fn bring_in(
    context: &Context,
    whose: Whose,
    length: u64,
    why: &Remark,
    bytes: impl Read,
) -> Result<DeliveryId, Failure> {
    let question = Ask::BringIn { whose, length, why: why.clone() };
    let socket = &context.load()?.config.control.socket;
    let Answer::BroughtIn(id) = daemon::bring_in(socket, question, &mut bytes.take(length))? else {
        return Err(anyhow!("the daemon answered another question").into());
    };
    Ok(id)
}

fn row([delivery, since, mailbox, state, reason, message]: [&str; 6]) -> String {
    format!("{delivery:<9} {since:<24} {mailbox:<16} {state:<16} {reason:<18} {message}")
}
