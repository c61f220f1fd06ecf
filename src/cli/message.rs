//! `meshd message`

mod standing;
mod story;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;

use self::standing::Standing;
use self::story::{Line, add};
use super::pages::for_each_record;
use super::{Context, Failure};
use crate::daemon::Ask;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, WorkflowId};
use crate::domain::time::Timestamp;
use crate::ports::trace::{FoundRecord, Search};
use crate::store::journal::event::Event;

#[derive(Debug, Subcommand)]
pub(super) enum Message {
    /// Tell the whole story of one message
    Show(Show),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Its present standing comes first, then one line for each thing that happened, oldest first. Told
from the journal, also long after its payload is gone. Nothing of what is in it is shown.

Examples:
  meshd message show 20260105093012123456_0A1B2C
  meshd message show d4711
  meshd message show 20260105093012123456_0A1B2C --mailbox X26ABC1 --json")]
pub(super) struct Show {
    /// MESH's id of the message, or one of its deliveries
    #[arg(value_name = "MESSAGE-ID | DELIVERY")]
    of: Of,
    /// Only in this mailbox
    #[arg(long, value_name = "MAILBOX", value_parser = mailbox)]
    mailbox: Option<MailboxId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What names a message.
#[derive(Debug, Clone)]
enum Of {
    Delivery(DeliveryId),
    Message(MessageId),
}

impl FromStr for Of {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(delivery) => Ok(Self::Delivery(delivery)),
            Err(_) => MessageId::new(text).map(Self::Message).map_err(|error| error.to_string()),
        }
    }
}

/// Reads a mailbox id.
pub(super) fn mailbox(text: &str) -> Result<MailboxId, String> {
    MailboxId::new(text).map_err(|error| error.to_string())
}

/// Says so if nothing was found because no mailbox is called that.
pub(super) fn is_known(context: &Context, mailbox: Option<&MailboxId>) -> Result<(), Failure> {
    let Some(wanted) = mailbox else { return Ok(()) };
    let mailboxes = context.load()?.config.mailboxes;
    if mailboxes.iter().any(|mailbox| mailbox.id == *wanted) {
        return Ok(());
    }
    let names: Vec<&str> = mailboxes.iter().map(|mailbox| mailbox.id.as_str()).collect();
    Err(anyhow!("no mailbox is called {wanted}, and none of its mail is kept; there are {}", names.join(", ")).into())
}

/// Reads a workflow id.
pub(super) fn workflow(text: &str) -> Result<WorkflowId, String> {
    WorkflowId::new(text).map_err(|error| error.to_string())
}

impl Message {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Show(show) => show.run(context),
        }
    }
}

impl Show {
    /// Of one delivery.
    pub(super) fn of(delivery: DeliveryId, json: bool) -> Self {
        Self { of: Of::Delivery(delivery), mailbox: None, json }
    }

    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let socket = context.load()?.config.control.socket;
        let (delivery, message) = match &self.of {
            Of::Delivery(delivery) => (Some(*delivery), None),
            Of::Message(message) => (None, Some(message.clone())),
        };
        let wanted = Search { delivery, message, mailbox: self.mailbox.clone(), ..Search::default() };
        let mut lines = Vec::new();
        let mut standing = Standing::default();
        let (mut names, mut lives) = (BTreeSet::new(), BTreeSet::from_iter(delivery));
        for_each_record(&socket, wanted, Ask::Trace, |record| {
            let event = event(&record)?;
            let about = event.about();
            if let (Some(mailbox), Some(message)) = (about.mailbox, about.message) {
                names.insert((mailbox.clone(), message.clone()));
            }
            lives.extend(about.is_beginning.then_some(DeliveryId(record.sequence)));
            if let [life] = about.deliveries {
                lives.insert(*life);
            }
            standing.after(record.sequence, record.wall, &event);
            add(&mut lines, record.sequence, record.wall, &event);
            Ok(ControlFlow::Continue(()))
        })?;
        // A record may name deliveries of other messages beside.
        lines.retain(|line| line.delivery.is_none_or(|delivery| lives.contains(&delivery)));
        let named = match &self.of {
            Of::Delivery(delivery) => delivery.to_string(),
            Of::Message(message) => message.to_string(),
        };
        if lines.is_empty() {
            let problem = "never heard of here, or so long ago that the journal has ended its retention";
            return Err(anyhow!("{named}: {problem}").into());
        }
        if names.len() > 1 {
            let mailboxes: Vec<_> = names.iter().map(|(mailbox, _)| mailbox.as_str()).collect();
            return Err(anyhow!("{named} came to several mailboxes: say --mailbox {}", mailboxes.join(" or ")).into());
        }
        let name = names.first();
        if self.json {
            return context.out.json(&json!({
                "mailbox": name.map(|(mailbox, _)| mailbox),
                "message": name.map(|(_, message)| message),
                "standing": standing.to_string(),
                "steps": lines,
            }));
        }
        if let Some((mailbox, message)) = name {
            context.out.line(format_args!("message   {message}"))?;
            context.out.line(format_args!("mailbox   {mailbox}"))?;
        }
        context.out.line(format_args!("standing  {standing}"))?;
        context.out.line("")?;
        let began = lines.first().map(|line| line.at).unwrap_or_default();
        lines.iter().try_for_each(|line| context.out.line(text(line, began)))
    }
}

/// Where the message of a delivery stands, in words; `None` if the journal knows of no such delivery.
pub(super) fn standing(socket: &Path, delivery: DeliveryId) -> Result<Option<String>, Failure> {
    let mut standing = None;
    for_each_record(socket, Search { delivery: Some(delivery), ..Search::default() }, Ask::Trace, |record| {
        let event = event(&record)?;
        standing.get_or_insert_with(Standing::default).after(record.sequence, record.wall, &event);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(standing.map(|standing| standing.to_string()))
}

fn event(record: &FoundRecord) -> Result<Event, Failure> {
    let event = serde_json::from_str(&record.body);
    Ok(event.with_context(|| format!("read record {}: it was written by another version", record.sequence))?)
}

fn text(line: &Line, began: Timestamp) -> String {
    let offset = seconds(line.at.0.saturating_sub(began.0));
    let delivery = line.delivery.map(|delivery| delivery.to_string()).unwrap_or_default();
    format!("{}  {offset:>14}  {delivery:<8} {}", line.at, line.text)
}

/// How long after the first step, in what fits its size.
fn seconds(milliseconds: i64) -> String {
    let sign = if milliseconds < 0 { '-' } else { '+' };
    let all = milliseconds.unsigned_abs();
    let (days, hours, minutes) = (all / 86_400_000, all / 3_600_000 % 24, all / 60_000 % 60);
    let (whole, rest) = (all / 1_000 % 60, all % 1_000);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{whole}.{rest:03} s"),
        (0, hours, minutes) => format!("{sign}{hours:02}:{minutes:02}:{whole:02}"),
        (days, hours, minutes) => format!("{sign}{days} d {hours:02}:{minutes:02}:{whole:02}"),
    }
}

#[cfg(test)]
mod tests;
