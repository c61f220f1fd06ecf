//! `meshd retention`

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::audit::time;
use super::{Context, Failure};
use crate::daemon::{Answer, Ask, SystemClock, ask};
use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock as _;
use crate::ports::store::{Class, FoundRetention, Stock, Tally};

#[derive(Debug, Subcommand)]
pub(super) enum Retention {
    /// Count what is kept, when the next goes, and what a legal hold keeps
    Report(Report),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Retention works by itself, at every commit; this command removes nothing. GOES is what goes
until a time: of now, what is about to; of a later one, what would if nothing else came. The
journal has a record of each payload, volume and segment that went: `meshd audit find --kind
purged` and its siblings. Times are in UTC; near the disk's floor, delivered mail goes early.

Examples:
  meshd retention report
  meshd retention report --until 2026-02-01
  meshd retention report --json | jq '.tallies[] | select(.kept.messages > 0)'")]
pub(super) struct Report {
    /// What goes until then: a day, or a time as 2026-01-05T09:30:00Z; without it, now
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was counted, of all pages.
struct Counted {
    tallies: BTreeMap<(MailboxId, Class), Tally>,
    segments: Stock,
    seen: Stock,
}

impl Retention {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Report(report) => report.run(context),
        }
    }
}

impl Report {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let until = self.until.unwrap_or_else(|| SystemClock::default().wall());
        let Counted { tallies, segments, seen } = count(&context.load()?.config.control.socket, until)?;
        let tallies: Vec<Tally> = tallies.into_values().collect();
        if self.json {
            let report = json!({ "until": until, "tallies": tallies, "segments": segments, "seen": seen });
            return context.out.json(&report);
        }
        context.out.line(row(["MAILBOX", "CLASS", "MESSAGES", "BYTES", "OLDEST", "NEXT GOES", "GOES", "ON HOLD"]))?;
        tallies.iter().try_for_each(|tally| context.out.line(text(tally)))?;
        context.out.line(stock("journal segments", &segments))?;
        context.out.line(stock("ids of messages", &seen))
    }
}

fn count(socket: &Path, until: Timestamp) -> Result<Counted, Failure> {
    let mut tallies = BTreeMap::new();
    let mut after = None;
    loop {
        let Answer::Retention(found) = ask(socket, Ask::Retention { after, until })? else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        let FoundRetention { tallies: page, rest, segments, seen } = found;
        for tally in page {
            let place = (tally.mailbox.clone(), tally.class);
            tallies.entry(place).and_modify(|others: &mut Tally| others.add(&tally)).or_insert(tally);
        }
        after = rest;
        if after.is_none() {
            return Ok(Counted { tallies, segments, seen });
        }
    }
}

fn text(tally: &Tally) -> String {
    let Tally { mailbox, class, amount, oldest, next, goes, kept } = tally;
    row([
        mailbox.as_str(),
        class.as_str(),
        &amount.messages.to_string(),
        &amount.bytes.to_string(),
        &oldest.to_string(),
        &next.map_or("not by itself".to_owned(), |next| next.to_string()),
        &goes.messages.to_string(),
        &kept.messages.to_string(),
    ])
}

fn stock(what: &str, stock: &Stock) -> String {
    let Stock { count, bytes, oldest, next } = stock;
    let oldest = oldest.map(|oldest| format!(", the oldest of {oldest}")).unwrap_or_default();
    let next = next.map(|next| format!(", the next may go at {next}")).unwrap_or_default();
    format!("{what}: {count}, {bytes} bytes{oldest}{next}")
}

fn row([mailbox, class, messages, bytes, oldest, next, goes, kept]: [&str; 8]) -> String {
    format!("{mailbox:<16} {class:<10} {messages:>8} {bytes:>14}  {oldest:<24}  {next:<24} {goes:>6} {kept:>8}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::store::Amount;

    #[test]
    fn a_class_is_told_on_one_line() {
        let amount = |messages| Amount { messages, bytes: 10 * messages };
        let tally = Tally {
            mailbox: MailboxId::new("X26ABC1").expect("an id"),
            class: Class::Delivered,
            amount: amount(3),
            oldest: Timestamp(0),
            next: Some(Timestamp(60_000)),
            goes: amount(1),
            kept: amount(2),
        };
        insta::assert_snapshot!(text(&tally), @"X26ABC1          delivered         3             30  1970-01-01T00:00:00.000Z  1970-01-01T00:01:00.000Z      1        2");
        let held = text(&Tally { class: Class::Held, next: None, ..tally });
        assert!(held.contains("not by itself"), "{held}");
    }
}
