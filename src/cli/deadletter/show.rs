//! `meshd deadletter show`

use std::io::{self, IsTerminal as _, Read, Write};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;

use super::super::message::standing;
use super::super::{Context, Failure, own_file};
use super::set_aside;
use crate::daemon::{Answer, Ask, ask_for_bytes};
use crate::deadletter::Reasons;
use crate::domain::envelope::Envelope;
use crate::domain::ids::{DeliveryId, Sensitive};
use crate::domain::operator::Remark;
use crate::ports::store::{SetAside, SetAsideKind};

#[derive(Debug, Args)]
#[command(after_help = "\
What may name a patient is not shown without --reveal. The journal says who was shown it, and
why, before it is shown; whoever may only look may not.

With --payload the bytes go to standard output, and nothing else does; with --out they go into
a file made for its owner alone. One that is there is never written over.

Examples:
  meshd deadletter show d4711
  meshd deadletter show d4711 --json
  meshd deadletter show d4711 --reveal --reason INC0012345
  meshd deadletter show d4711 --reveal --payload --out letter.xml --reason INC0012345")]
pub(in crate::cli) struct Show {
    /// The delivery, as `list` shows it
    delivery: DeliveryId,
    /// Show what may name a patient too: the addressee, subject, local id and file name
    #[arg(long, requires = "reason")]
    reveal: bool,
    /// Give out its bytes, as pipelines get them
    #[arg(long, requires = "reveal")]
    payload: bool,
    /// Into this file
    #[arg(long, value_name = "FILE", requires = "payload")]
    out: Option<PathBuf>,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT", requires = "reveal")]
    reason: Option<Remark>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let only = Some(self.delivery);
        let found = set_aside(context, Ask::SetAside { before: None, only, selection: Box::default(), count: 1 })?;
        let Some(aside) = found.page.first() else { return self.tell_standing(context) };
        let revealed = match self.reason.clone().filter(|_| self.reveal) {
            Some(why) => Some(self.reveal(context, why)?),
            None => None,
        };
        if self.payload && self.out.is_none() {
            return Ok(());
        }
        if self.json {
            let mut shown = serde_json::to_value(aside).context("write JSON")?;
            if let Some(envelope) = &revealed {
                shown["envelope"] = serde_json::to_value(envelope).context("write JSON")?;
            }
            return context.out.json(&shown);
        }
        tell(context, aside)?;
        if aside.kind == SetAsideKind::Held {
            // Whoever held it had a reason, which may be another than why it failed before.
            let standing = standing(&context.load()?.config.control.socket, self.delivery)?;
            standing.iter().try_for_each(|standing| context.out.line(format_args!("standing    {standing}")))?;
        }
        revealed.iter().try_for_each(|envelope| tell_sealed(context, envelope))?;
        match &self.out {
            Some(file) => context.out.good(format_args!("its payload is in {}", file.display())),
            None => Ok(()),
        }
    }

    /// Asks for what is sealed; the payload, if it is wanted, has gone where it should on return.
    fn reveal(&self, context: &Context, why: Remark) -> Result<Envelope, Failure> {
        if self.payload && self.out.is_none() && io::stdout().is_terminal() {
            return Err(anyhow!("a payload does not belong on a terminal: --out takes a file").into());
        }
        let socket = context.load()?.config.control.socket;
        // Before anything is asked for: what cannot be written is not shown.
        let file = self.out.as_deref().map(own_file::make).transpose()?;
        let given = || {
            let (answer, payload) =
                ask_for_bytes(&socket, Ask::Reveal { delivery: self.delivery, payload: self.payload, why })?;
            let Answer::Revealed { envelope, length } = answer else {
                return Err(anyhow!("the daemon answered another question").into());
            };
            match file {
                Some(file) => copy_whole(payload, file, length)?,
                None if self.payload => copy_whole(payload, io::stdout().lock(), length)?,
                None => {}
            }
            Ok(*envelope)
        };
        given().map_err(|failure| match &self.out {
            Some(path) => own_file::give_up(path, failure),
            None => failure,
        })
    }

    /// What became of a delivery that is neither dead nor held.
    fn tell_standing(&self, context: &mut Context) -> Result<(), Failure> {
        if self.reveal {
            return Err(anyhow!("{} is neither dead nor held, and nothing else is revealed", self.delivery).into());
        }
        let socket = context.load()?.config.control.socket;
        let standing = standing(&socket, self.delivery)?;
        let standing = standing.ok_or_else(|| anyhow!("{}: never heard of here", self.delivery))?;
        if self.json {
            return context.out.json(&json!({ "delivery": self.delivery, "standing": standing }));
        }
        context.out.line(format_args!("{} is neither dead nor held; its message now: {standing}", self.delivery))
    }
}

fn tell(context: &mut Context, aside: &SetAside) -> Result<(), Failure> {
    let delivery = &aside.delivery;
    context.out.line(format_args!("delivery    {}", delivery.id))?;
    context.out.line(format_args!("state       {} since {}", aside.kind.as_str(), aside.since))?;
    let entry = Reasons::carried().context("read the reasons")?.of(aside.reason.code);
    context.out.line(format_args!("reason      {}: {}", aside.reason.code, aside.reason.detail))?;
    context.out.line(format_args!("meaning     {}", entry.meaning))?;
    context.out.line(format_args!("to do       {}", entry.action))?;
    context.out.line(format_args!("mailbox     {}", delivery.mailbox))?;
    context.out.line(format_args!(
        "message     {} ({}, {} bytes)",
        delivery.message_id,
        delivery.kind.as_str(),
        delivery.length
    ))?;
    context.out.line(format_args!("workflow    {}", delivery.workflow))?;
    if let Some(from) = &delivery.from {
        context.out.line(format_args!("from        {from}"))?;
    }
    if let Some(before) = delivery.continues {
        context.out.line(format_args!("continues   {before}"))?;
    }
    context.out.line(format_args!("accepted    {}", delivery.accepted_at))?;
    context.out.line(format_args!("attempts    {} counted, {} starts", delivery.attempts, delivery.starts))
}

/// What a sender wrote reaches the terminal without its control characters.
fn tell_sealed(context: &mut Context, envelope: &Envelope) -> Result<(), Failure> {
    let fields = [
        ("to", &envelope.to),
        ("subject", &envelope.subject),
        ("local id", &envelope.local_id),
        ("file name", &envelope.file_name),
    ];
    for (name, value) in fields {
        let value = value.as_ref().map_or("none", Sensitive::reveal);
        context.out.line(format_args!("{name:<11} {}", value.escape_debug()))?;
    }
    Ok(())
}

/// Less than was said came from a daemon that stopped, or from a payload that does not open to its end.
fn copy_whole(payload: impl Read, mut out: impl Write, length: u64) -> Result<(), Failure> {
    let count = io::copy(&mut payload.take(length), &mut out).context("copy the payload")?;
    out.flush().context("write the payload")?;
    if count < length {
        return Err(anyhow!("only {count} of {length} bytes came: ask again, and look into the daemon's log").into());
    }
    Ok(())
}
