//! `meshd sent`

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::listing::Listing;
use super::{Context, Failure, message};
use crate::daemon::{Answer, Ask, ask};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::operator::Remark;
use crate::domain::sending::Sending;
use crate::ports::store::{Act, Acted, Class, LookUp, Sent as Entry};

#[derive(Debug, Subcommand)]
pub(super) enum Sent {
    /// List what goes out, or went and is still known
    List(List),
    /// Tell the whole story of one send
    Show(ShowSent),
    /// Say what became of a send that got no answer (SEND-UNKNOWN)
    Resolve(Resolve),
    /// Send something once more, as another message
    Resend(Resend),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Where it stands comes first, then one line for each thing that happened, oldest first: when it
was queued, each chunk that MESH answered for, and what became of it there.

Examples:
  meshd sent show d4711
  meshd sent show d4711 --json")]
pub(super) struct ShowSent {
    /// Which, as `list` shows it
    delivery: DeliveryId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A request that got no answer may have reached MESH. Ask the recipient, or the national service
desk, for the local id and the time; then say what they found.

Examples:
  meshd sent resolve d4711 --arrived 20260105093012123456_0A1B2C --reason \"they have it\"
  meshd sent resolve d4711 --not-there --reason \"INC0012345: the service desk has none\"")]
pub(super) struct Resolve {
    /// Which, as `list` shows it
    delivery: DeliveryId,
    /// MESH has it, under this id
    #[arg(long, value_name = "MESSAGE-ID", value_parser = message_id, required_unless_present = "not_there")]
    arrived: Option<MessageId>,
    /// MESH does not have it: it is sent now
    #[arg(long, conflicts_with = "arrived")]
    not_there: bool,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Its recipient gets a second message, with the same bytes and headers and another id.

Examples:
  meshd sent resend d4711 --reason \"not collected within five days; they are back now\"")]
pub(super) struct Resend {
    /// Which, as `list` shows it
    delivery: DeliveryId,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Mailbox by mailbox, oldest first. What is dead or held is at `meshd deadletter`, too, and
`meshd sent show` tells the story of each.

Examples:
  meshd sent list
  meshd sent list --mailbox X26ABC1 --count 200 --json
  meshd sent list --after X26ABC1:d4711")]
pub(super) struct List {
    #[command(flatten)]
    page: Listing,
}

impl Sent {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Show(show) => message::Show::of(show.delivery, show.json).run(context),
            Self::Resolve(resolve) => resolve.run(context),
            Self::Resend(resend) => resend.run(context),
        }
    }
}

impl Resolve {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { delivery, arrived, reason: why, .. } = self;
        let Some(message) = arrived else {
            act(context, delivery, Act::Release { force: false, again: true }, why)?;
            return context.out.good(format_args!("{delivery} is sent now"));
        };
        let socket = context.load()?.config.control.socket;
        let question = Ask::ResolveSend { delivery, message: message.clone(), why };
        let Answer::SendResolved(result) = ask(&socket, question)? else { return Err(other_answer()) };
        result.map_err(|refused| anyhow!("{delivery}: {refused}"))?;
        context.out.good(format_args!("{delivery} is at MESH as {message}"))
    }
}

impl Resend {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { delivery, reason } = self;
        match act(context, delivery, Act::Replay { force: false, again: true }, reason)? {
            Acted::ReplayedAs(new) => context.out.good(format_args!("{delivery} is sent once more, as {new}")),
            Acted::Released | Acted::Held | Acted::Discarded => Err(other_answer()),
        }
    }
}

/// Has the desk do it with what goes out, and with nothing else.
fn act(context: &Context, delivery: DeliveryId, act: Act, why: Remark) -> Result<Acted, Failure> {
    let socket = context.load()?.config.control.socket;
    let wanted = LookUp::Deliveries(vec![delivery]);
    let Answer::LookedUp(kept) = ask(&socket, Ask::LookUp { wanted })? else { return Err(other_answer()) };
    if !kept.iter().any(|kept| kept.delivery.id == delivery && kept.delivery.outgoing.is_some()) {
        return Err(anyhow!("{delivery} does not go out: see `meshd sent list`").into());
    }
    let question = Ask::Act { deliveries: vec![delivery], act, why: Some(why) };
    let Answer::Acted(outcomes) = ask(&socket, question)? else { return Err(other_answer()) };
    let Some(outcome) = outcomes.into_iter().next() else { return Err(other_answer()) };
    outcome.result.map_err(|refused| anyhow!("{delivery}: {refused}").into())
}

fn other_answer() -> Failure {
    anyhow!("the daemon answered another question").into()
}

fn message_id(text: &str) -> Result<MessageId, String> {
    MessageId::new(text).map_err(|error| error.to_string())
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { page: wanted } = self;
        let socket = context.load()?.config.control.socket;
        let (mailbox, after, count) = (wanted.mailbox.clone(), wanted.after.clone(), wanted.count());
        let Answer::Sends(page) = ask(&socket, Ask::Sends { mailbox, after, count })? else {
            return Err(other_answer());
        };
        wanted.check(context, &page)?;
        if wanted.json {
            return context.out.json(&page);
        }
        if page.is_empty() {
            return context.out.good("nothing goes out");
        }
        context.out.line(row(["DELIVERY", "MAILBOX", "TO", "STATE", "BYTES", "WORKFLOW", "AT MESH", "LAST REASON"]))?;
        for entry in &page {
            context.out.line(line(entry))?;
        }
        wanted.end(context, &page, |entry| &entry.delivery)
    }
}

fn line(entry: &Entry) -> String {
    let Entry { delivery, reason, .. } = entry;
    let outgoing = delivery.outgoing.as_ref();
    let to = outgoing.and_then(|outgoing| outgoing.to.as_ref()).map_or("whom MESH finds", MailboxId::as_str);
    let at_mesh = outgoing.and_then(|outgoing| outgoing.progress.message()).map_or("", MessageId::as_str);
    let reason = reason.as_ref().map(|reason| format!("{}: {}", reason.code, reason.detail)).unwrap_or_default();
    let length = delivery.length.to_string();
    let id = delivery.id.to_string();
    row([&id, delivery.mailbox.as_str(), to, &state(entry), &length, delivery.workflow.as_str(), at_mesh, &reason])
}

/// Where it stands, in one word and a number.
fn state(entry: &Entry) -> String {
    let Some(outgoing) = &entry.delivery.outgoing else { return entry.class.as_str().to_owned() };
    match (entry.class, &outgoing.progress) {
        (Class::Held, Sending::Begun) => "unknown".to_owned(),
        (Class::Held | Class::Dead | Class::Discarded | Class::Replayed, _) => entry.class.as_str().to_owned(),
        (Class::Waiting | Class::Delivered, Sending::Uploading { sent, .. }) => {
            let total = entry.delivery.length.div_ceil(outgoing.chunk.max(1));
            format!("uploading {sent}/{total}")
        }
        (Class::Waiting | Class::Delivered, progress) => progress.as_str().to_owned(),
    }
}

fn row([delivery, mailbox, to, state, bytes, workflow, at_mesh, reason]: [&str; 8]) -> String {
    let line =
        format!("{delivery:<9} {mailbox:<14} {to:<14} {state:<15} {bytes:>12} {workflow:<20} {at_mesh:<28} {reason}");
    line.trim_end().to_owned()
}
