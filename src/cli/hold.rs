//! `meshd hold`: legal holds.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::audit::patients;
use super::message::mailbox;
use super::{Context, Failure};
use crate::config::Loaded;
use crate::daemon::{Answer, Ask, ask};
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::domain::operator::Remark;
use crate::ports::operations::{KeptBy, LegalHoldStatus, Status};

#[derive(Debug, Subcommand)]
pub(super) enum Hold {
    /// Keep mail beyond its retention, for an inquiry or a court
    Add(Add),
    /// List the legal holds, and what they keep
    List(List),
    /// End a legal hold: what only it kept goes
    Remove(Remove),
}

#[derive(Debug, Args)]
#[command(after_help = "\
A legal hold keeps payloads, and what is known of them. Neither retention nor a disk that fills
up, a discard or a purge for a person removes what it keeps; no delivery waits for it. Mail that
is held, and waits for a person, is something else: `meshd deadletter hold`.

With NHS numbers it keeps the mail that the journal connects with one of them, of now and later,
and what names more people than the journal has, such as a list: they may be among them.
The numbers stay in this command, which needs to read keys.hmac. The journal is searched after
this command ended; nothing at all is purged before that is done. Mail that names its patient in
no text that is looked at (base64, encrypted, never opened) is not found: hold it by delivery.

Examples:
  meshd hold add --mailbox X26ABC1 --reason \"inquiry, INC0012345\"
  meshd hold add --delivery d4711 --reason INC0012345
  meshd hold add --nhs-number-file ./numbers --reason INC0012345")]
pub(super) struct Add {
    #[command(flatten)]
    what: What,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is kept.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// All mail of this mailbox, of now and later
    #[arg(long, value_parser = mailbox)]
    mailbox: Option<MailboxId>,
    /// This delivery, and whichever replays it
    #[arg(long)]
    delivery: Option<DeliveryId>,
    /// All mail about these people, of now and later: a file of NHS numbers, one on a line
    #[arg(long, value_name = "FILE")]
    nhs_number_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd hold list
  meshd hold list --json | jq '.[] | select(.is_complete | not)'")]
pub(super) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is beyond its time, and no other hold keeps, goes within minutes.

Examples:
  meshd hold remove h4712 --reason \"the inquiry is closed, INC0012345\"")]
pub(super) struct Remove {
    /// The legal hold, as `list` shows it
    hold: LegalHoldId,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Hold {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(context),
            Self::List(list) => list.run(context),
            Self::Remove(remove) => remove.run(context),
        }
    }
}

impl What {
    fn scope(self, loaded: &Loaded) -> Result<HoldScope, Failure> {
        match self {
            Self { mailbox: Some(mailbox), .. } => Ok(HoldScope::Mailbox(mailbox)),
            Self { delivery: Some(delivery), .. } => Ok(HoldScope::Delivery(delivery)),
            Self { nhs_number_file: Some(file), .. } => Ok(HoldScope::Patients(patients(file, loaded)?)),
            Self { mailbox: None, delivery: None, nhs_number_file: None } => {
                Err(anyhow!("expected --mailbox, --delivery or --nhs-number-file").into())
            }
        }
    }
}

impl Add {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { what, reason: why, json } = self;
        let loaded = context.load()?;
        let scope = what.scope(&loaded)?;
        let is_searched = matches!(scope, HoldScope::Patients(_));
        let question = Ask::AddLegalHold { scope: Box::new(scope), why };
        let hold = asked(&loaded.config.control.socket, question)?;
        if json {
            return context.out.json(&json!({ "added": hold.to_string() }));
        }
        context.out.good(format_args!("legal hold {hold} stands"))?;
        if is_searched {
            context.out.note("nothing is purged until the journal is searched: `meshd hold list` says when");
        }
        Ok(())
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let status = status(&context.load()?.config.control.socket)?;
        if self.json {
            return context.out.json(&status.legal_holds);
        }
        if status.legal_holds.is_empty() {
            return context.out.good("there is no legal hold");
        }
        context.out.line(row(["HOLD", "KEEPS", "SINCE", "BY", "WHY"]))?;
        status.legal_holds.iter().try_for_each(|hold| context.out.line(text(hold)))?;
        context.out.line(spared(&status))
    }
}

impl Remove {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { hold, reason: why, json } = self;
        let socket = context.load()?.config.control.socket;
        let hold = asked(&socket, Ask::RemoveLegalHold { hold, why })?;
        if json {
            return context.out.json(&json!({ "removed": hold.to_string() }));
        }
        context.out.good(format_args!("legal hold {hold} ended"))
    }
}

fn asked(socket: &Path, question: Ask) -> Result<LegalHoldId, Failure> {
    let Answer::LegalHold(hold) = ask(socket, question)? else { return Err(other_answer()) };
    Ok(hold)
}

fn status(socket: &Path) -> Result<Box<Status>, Failure> {
    let Answer::Status(status) = ask(socket, Ask::Status)? else { return Err(other_answer()) };
    Ok(status)
}

fn other_answer() -> Failure {
    anyhow!("the daemon answered another question").into()
}

/// How much room legal holds take.
pub(super) fn spared(status: &Status) -> String {
    let (messages, bytes) = status.mailboxes.iter().fold((0, 0), |(messages, bytes), mailbox| {
        let spared = mailbox.occupancy.spared;
        (messages + spared.messages, bytes + spared.bytes)
    });
    let holds = status.legal_holds.len();
    let plural = if holds == 1 { "legal hold keeps" } else { "legal holds keep" };
    format!("{holds} {plural} {messages} messages, {bytes} bytes, beyond their time")
}

fn text(hold: &LegalHoldStatus) -> String {
    let keeps = match &hold.keeps {
        KeptBy::Mailbox(mailbox) => format!("mailbox {mailbox}"),
        KeptBy::Delivery(delivery) => delivery.to_string(),
        KeptBy::Patients(1) => "mail about a person".to_owned(),
        // A person has a digest under each HMAC key.
        KeptBy::Patients(count) => format!("mail by {count} digests"),
    };
    let keeps = if hold.is_complete { keeps } else { format!("{keeps}, still searched for") };
    row([&hold.id.to_string(), &keeps, &hold.since.to_string(), &hold.by.to_string(), hold.why.as_str()])
}

fn row([hold, keeps, since, by, why]: [&str; 5]) -> String {
    format!("{hold:<8} {keeps:<28} {since:<24} {by:<12} {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operator::Operator;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_hold_is_told_without_the_digests_it_is_found_by() {
        let mut hold = LegalHoldStatus {
            id: LegalHoldId(7),
            keeps: KeptBy::Patients(2),
            since: Timestamp(0),
            by: Operator(1000),
            why: Remark::new("INC0012345").expect("a remark"),
            is_complete: false,
        };
        insta::assert_snapshot!(text(&hold), @"h7       mail by 2 digests, still searched for 1970-01-01T00:00:00.000Z user 1000    INC0012345");
        (hold.keeps, hold.is_complete) = (KeptBy::Delivery(DeliveryId(4)), true);
        insta::assert_snapshot!(text(&hold), @"h7       d4                           1970-01-01T00:00:00.000Z user 1000    INC0012345");
    }
}
