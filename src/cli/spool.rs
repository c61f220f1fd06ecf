//! `meshd spool`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;

use super::readable::readable;
use super::{Context, Failure};
use crate::config::SecretRef;
use crate::domain::ids::{MailboxId, MessageId};
use crate::ports::disk::Disk;
use crate::store::disk::Real;
use crate::store::spool::Identities;
use crate::store::spool::inspect::{self, Item};

#[derive(Debug, Subcommand)]
pub(super) enum Spool {
    /// List what is kept, without any key
    List(List),
    /// Write one message's payload, or its headers, to standard output
    Open(Open),
    /// Check every sealed byte, and that everything opens
    Verify(Verify),
}

/// Which spool.
#[derive(Debug, Args)]
struct Where {
    /// The spool's folder; without it the configured one
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd spool list
  meshd spool list --directory /mnt/backup/spool --json")]
pub(super) struct List {
    #[command(flatten)]
    place: Where,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What it writes is patient data. On a terminal it refuses; send it to a file or a program.

Examples:
  meshd spool open X26ABC1 20260105093012123456_0A1B2C > payload
  meshd spool open X26ABC1 20260105093012123456_0A1B2C --envelope --identity ./identity | jq .")]
pub(super) struct Open {
    /// The mailbox
    mailbox: String,
    /// The message
    message: String,
    /// The headers, as JSON, instead of the payload
    #[arg(long)]
    envelope: bool,
    /// Where it is kept with several payloads, such as a mended one: which, from 1; without it the last
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    nth: Option<u16>,
    /// The age identity; without it the configured one
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Args)]
#[command(after_help = "\
It finds what is damaged, not what is missing: only the journal knows what should be there.

Examples:
  meshd spool verify
  meshd spool verify --identity ./identity --json")]
pub(super) struct Verify {
    /// The age identity; without it the configured one, and if that cannot be read, nothing is opened
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Spool {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Open(open) => open.run(context),
            Self::Verify(verify) => verify.run(context),
        }
    }
}

impl Where {
    fn find(self, context: &Context) -> Result<PathBuf, Failure> {
        let directory = match self.directory {
            Some(directory) => directory,
            None => context.load()?.config.state.directory.join("spool"),
        };
        readable(&directory)?;
        Ok(directory)
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let directory = self.place.find(context)?;
        let mut items = Vec::new();
        inspect::list(&disk(), &directory, |item| {
            items.push(item);
            Ok(())
        })
        .with_context(|| format!("list the spool in {}", directory.display()))?;
        for item in &items {
            if self.json {
                context.out.line(as_json(item))?;
            } else {
                context.out.line(as_text(item))?;
            }
        }
        Ok(())
    }
}

fn as_json(item: &Item) -> serde_json::Value {
    match item {
        Item::Message { mailbox, message_id, length, location } => {
            json!({ "message": message_id, "mailbox": mailbox, "length": length, "location": location })
        }
        Item::Arriving { mailbox, message_id, kept, of, length } => {
            json!({ "arriving": message_id, "mailbox": mailbox, "length": length, "kept": kept, "of": of })
        }
        Item::Tail { volume, offset } => json!({ "tail": { "volume": volume, "offset": offset } }),
    }
}

fn as_text(item: &Item) -> String {
    match item {
        Item::Message { mailbox, message_id, length, .. } => {
            format!("{:<16} {:<40} {length:>12} bytes", mailbox.as_str(), message_id.as_str())
        }
        Item::Arriving { mailbox, message_id, kept, of, length } => {
            let of = of.map_or("?".into(), |of| of.to_string());
            format!("{:<16} {:<40} {length:>12} bytes, chunk {kept} of {of}", mailbox.as_str(), message_id.as_str())
        }
        Item::Tail { volume, offset } => format!("volume {volume} ends with a torn group at {offset}"),
    }
}

impl Open {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        if io::stdout().is_terminal() {
            return Err(anyhow!("a payload does not belong on a terminal: send it to a file or a program").into());
        }
        let mailbox = MailboxId::new(self.mailbox).context("read the mailbox")?;
        let message = MessageId::new(self.message).context("read the message id")?;
        let identities = match self.identity {
            Some(file) => identities(file)?,
            None => configured(context)?,
        };
        let directory = self.place.find(context)?;
        let disk = disk();
        let places = inspect::find(&disk, &directory, &mailbox, &message).context("look through the spool")?;
        let count = places.len();
        let nth = self.nth.map_or(count, usize::from);
        let place = nth.checked_sub(1).and_then(|place| places.get(place));
        let place = place.ok_or_else(|| anyhow!("{message} of {mailbox} is in the spool {count} times"))?;
        if count > 1 {
            context.out.note(format_args!("{nth} of {count} payloads that are kept of it: --nth says which"));
        }
        let opened = inspect::open(&disk, &directory, &identities, (&mailbox, &message), place)
            .with_context(|| format!("open {message} of {mailbox}"))?;
        if self.envelope {
            return context.out.json(&opened.envelope);
        }
        let mut payload = opened.payload.reader().context("read the payload")?;
        io::copy(&mut payload, &mut io::stdout().lock()).context("write the payload")?;
        Ok(())
    }
}

impl Verify {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let identities = match self.identity {
            Some(file) => identities(file)?,
            None => match configured(context) {
                Ok(identities) => identities,
                Err(failure) => {
                    context.out.note(format_args!("nothing is opened: {failure}"));
                    Identities::parse(&[]).context("begin without an identity")?
                }
            },
        };
        let directory = self.place.find(context)?;
        let report = inspect::verify(&disk(), &directory, &identities).context("read the spool")?;
        if self.json {
            context.out.json(&json!({
                "messages": report.messages,
                "opened": !identities.is_empty(),
                "bytes": report.bytes,
                "tails": report.tails,
                "problems": report.problems,
            }))?;
        } else {
            for problem in &report.problems {
                context.out.line(problem)?;
            }
            let how = if identities.is_empty() { "as sealed" } else { "as sealed, and opened" };
            context.out.line(format_args!(
                "{} messages, {} sealed bytes, {} torn tails: checked {how}",
                report.messages,
                report.bytes,
                report.tails.len()
            ))?;
        }
        match report.problems.len() {
            0 => Ok(()),
            count => Err(anyhow!("{count} problems in {}", directory.display()).into()),
        }
    }
}

pub(super) fn disk() -> Arc<dyn Disk> {
    Arc::new(Real::new())
}

pub(super) fn identities(file: PathBuf) -> Result<Identities, Failure> {
    Ok(identities_of(&SecretRef::File(file)).context("read the identity")?)
}

pub(super) fn configured(context: &Context) -> Result<Identities, Failure> {
    let loaded = context.load()?;
    let identities = loaded.identities().map_err(|mistakes| {
        let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        anyhow!("read the identities; --identity takes another: {}", mistakes.join("; "))
    })?;
    Ok(Identities::parse(&identities).context("read the identities")?)
}

fn identities_of(reference: &SecretRef) -> Result<Identities, anyhow::Error> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let secret = reference.read(credentials.as_deref())?;
    Ok(Identities::parse(&[secret])?)
}
