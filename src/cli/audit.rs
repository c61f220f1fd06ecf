//! `meshd audit`

mod export;
mod fhir;
mod filter;

use std::ops::ControlFlow;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use self::export::Export;
use self::filter::Filter;
pub(super) use self::filter::{digests, numbers, patients, time};
use super::pages::for_each_record;
use super::{Context, Failure};
use crate::daemon::Ask;
use crate::domain::time::Timestamp;
use crate::ports::trace::FoundRecord;
use crate::store::journal::event::Event;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Find records of the journal
    Find(Find),
    /// Write records of the journal into a file, for others
    Export(Export),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Asks the running daemon, which notes in the journal who read what. It takes who may act: root,
the daemon's own user and members of control.operate_group.
With a mailbox alone, only records that name it are found; with a message or a delivery, all.
With NHS numbers, the records are found that connect a delivery with one of them. The numbers
stay in this command: it needs to read keys.hmac, and asks for keyed digests.
Of the people whom a message names the number is shown; with --json also their digests.

Examples:
  meshd audit find --message 20260105093012123456_0A1B2C
  meshd audit find --by 1000 --since 2026-01-05 --until 2026-01-06T12:00:00Z
  meshd audit find --kind refused --kind dead --mailbox X26ABC1 --json")]
pub(super) struct Find {
    #[command(flatten)]
    filter: Filter,
    /// At most so many
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Print JSON, one record on a line
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Find(find) => find.run(context),
            Self::Export(export) => export.run(context),
        }
    }
}

impl Find {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let loaded = context.load()?;
        let wanted = self.filter.search(&loaded)?;
        let mut left = self.count;
        let mut last = None;
        for_each_record(&loaded.config.control.socket, wanted, Ask::Audit, |record| {
            context.out.line(if self.json { json_line(&record)? } else { text_line(&record) })?;
            left -= 1;
            last = Some(record.sequence);
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        match last {
            None => context.out.note("nothing like that is in the journal"),
            Some(last) if left == 0 => context.out.note(format_args!("there may be more: --from {}", last + 1)),
            Some(_) => {}
        }
        Ok(())
    }
}

fn text_line(FoundRecord { sequence, wall, body, .. }: &FoundRecord) -> String {
    format!("{sequence:>10}  {wall}  {}", without_digests(body).unwrap_or_else(|| body.clone()))
}

/// Whom a message names: how many they are, and not a digest of each of them.
fn without_digests(body: &str) -> Option<String> {
    let Ok(Event::Concerns { id, patients, more }) = serde_json::from_str(body) else { return None };
    let more = if more { ", and maybe more" } else { "" };
    let people = if patients.len() == 1 { "person" } else { "people" };
    Some(format!("concerns: delivery {id} names {} {people}{more}", patients.len()))
}

/// A record as JSON on one line. Its body stays as it was written, byte by byte: its hash is over it.
fn json_line(record: &FoundRecord) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Frame<'a> {
        sequence: u64,
        wall: String,
        wall_ms: Timestamp,
        monotonic_ms: u64,
        run: u32,
        boot: &'a str,
        hash: &'a str,
    }
    let FoundRecord { sequence, wall, monotonic_ms, run, boot, hash, body } = record;
    let (sequence, monotonic_ms, run) = (*sequence, *monotonic_ms, *run);
    let frame = Frame { sequence, wall: wall.to_string(), wall_ms: *wall, monotonic_ms, run, boot, hash };
    let frame = serde_json::to_string(&frame).context("write a record as JSON")?;
    let open = frame.strip_suffix('}').unwrap_or(&frame);
    Ok(format!("{open},\"event\":{body}}}"))
}

#[cfg(test)]
mod tests;
