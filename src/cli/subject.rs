//! `meshd subject`: what is kept about a person.

mod export;
mod purge;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Serialize;

use self::export::Export;
use self::purge::Purge;
use self::scan::Hit;
use super::audit::{digests, numbers};
use super::{Context, Failure};
use crate::config::Loaded;
use crate::daemon::{Answer, Ask, ask};
use crate::domain::digest::ContentDigest;
use crate::domain::ids::DeliveryId;
use crate::domain::operator::{Purpose, Remark};
use crate::ports::operations::FoundSubject;
use crate::ports::store::{Delivery, Kept, Location, LookUp, MOST_LOOKED_UP};

#[derive(Debug, Subcommand)]
pub(super) enum Subject {
    /// List the deliveries that are about a person, and where their payloads are
    Find(Find),
    /// Write what is kept about a person into one sealed file
    Export(Export),
    /// Remove what is kept about a person before its time
    Purge(Purge),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Asks the running daemon for deliveries that the journal connects with one of the NHS numbers; it
takes who may act, and the journal says who asked, and why. The numbers stay in this command: it
needs to read keys.hmac, and asks for keyed digests.

The journal knows whom a message names once it was opened, by the first megabyte of its text.
--scan opens every payload that is kept, and looks through all of it: it needs to read
keys.identity and the spool, too, and runs as long as that takes. Neither sees what is encoded
within a payload (base64, compressed, encrypted), nor what is still on its way in. What goes out
is found by --scan alone.

Examples:
  meshd subject find --nhs-number-file ./numbers --reason \"subject access, INC0012345\"
  meshd subject find --nhs-number-file ./numbers --reason INC0012345 --scan --json")]
pub(super) struct Find {
    #[command(flatten)]
    whom: Whom,
}

/// Who is looked for, and how.
#[derive(Debug, Args)]
struct Whom {
    /// A file of NHS numbers, one on a line, that nobody else may read
    #[arg(long, value_name = "FILE")]
    nhs_number_file: PathBuf,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
    /// Look into every payload, too
    #[arg(long)]
    scan: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Subject {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Find(find) => find.run(context),
            Self::Export(export) => export.run(context),
            Self::Purge(purge) => purge.run(context),
        }
    }
}

/// All that was found.
#[derive(Debug, Default, Serialize)]
struct Found {
    deliveries: BTreeMap<DeliveryId, About>,
    /// The journal connects these with them, and nothing is kept of them any more.
    gone: BTreeSet<DeliveryId>,
    /// Payloads of no delivery that is known: they go with their volumes.
    left_behind: Vec<Hit>,
}

/// One delivery that is about them.
#[derive(Debug, Serialize)]
struct About {
    #[serde(flatten)]
    kept: Kept,
    /// The journal says so.
    is_in_journal: bool,
    /// Its payload says so; none if that was not looked at.
    is_in_payload: Option<bool>,
    /// It names other people as well, or may.
    names_others: bool,
}

impl Find {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { whom } = self;
        let loaded = context.load()?;
        let purpose = if whom.scan { Purpose::Scan } else { Purpose::Find };
        let found = whom.gather(context, &loaded, purpose)?;
        if whom.json { context.out.json(&found) } else { tell(context, &found) }
    }
}

impl Whom {
    /// What is kept about these people, by the journal, and by a look into every payload if that is wanted.
    fn gather(&self, context: &mut Context, loaded: &Loaded, purpose: Purpose) -> Result<Found, Failure> {
        let numbers = numbers(self.nhs_number_file.clone())?;
        let socket = &loaded.config.control.socket;
        let mut found = in_journal(socket, &digests(&numbers, loaded)?, purpose, &self.reason)?;
        if self.scan {
            let hits = scan::scan(context, &loaded.config.state.directory.join("spool"), &numbers)?;
            add(socket, &mut found, hits)?;
        }
        Ok(found)
    }
}

/// What the journal connects with these people.
fn in_journal(socket: &Path, people: &[ContentDigest], purpose: Purpose, why: &Remark) -> Result<Found, Failure> {
    let mut found = Found::default();
    // Whether each that is connected names others as well; and in its place, whatever replays it.
    let mut names_others: BTreeMap<DeliveryId, bool> = BTreeMap::new();
    let mut next = Some(0);
    while let Some(from) = next {
        let question = Ask::Subject { patients: people.to_vec(), purpose, from, why: why.clone() };
        let Answer::Subject(page) = ask(socket, question)? else { return Err(other_answer()) };
        let FoundSubject { connected, with_others, kept, replaced, rest } = page;
        names_others.extend(connected.iter().map(|id| (*id, with_others.contains(id))));
        // A record of a replay comes after the one that connects what it replays.
        for (before, new) in replaced {
            if let Some(others) = names_others.get(&before).copied() {
                names_others.entry(new).or_insert(others);
            }
        }
        found.keep(kept, &names_others);
        next = rest;
    }
    let not_seen: Vec<DeliveryId> =
        names_others.keys().copied().filter(|id| !found.deliveries.contains_key(id)).collect();
    for ids in not_seen.chunks(MOST_LOOKED_UP) {
        found.keep(look_up(socket, LookUp::Deliveries(ids.to_vec()))?, &names_others);
    }
    found.gone = not_seen.into_iter().filter(|id| !found.deliveries.contains_key(id)).collect();
    Ok(found)
}

impl Found {
    /// Adds what the journal connects with them and what is still known. What replays another comes after it.
    fn keep(&mut self, kept: Vec<Kept>, names_others: &BTreeMap<DeliveryId, bool>) {
        for kept in kept {
            let Delivery { id, continues, .. } = kept.delivery;
            let before = || continues.and_then(|before| self.deliveries.get(&before)).map(|about| about.names_others);
            let names_others = names_others.get(&id).copied().or_else(before).unwrap_or(true);
            self.deliveries.insert(id, About { kept, is_in_journal: true, is_in_payload: None, names_others });
        }
    }
}

/// Adds what a look into the payloads found.
fn add(socket: &Path, found: &mut Found, hits: Vec<Hit>) -> Result<(), Failure> {
    for about in found.deliveries.values_mut() {
        about.is_in_payload = Some(false);
    }
    for hits in hits.chunks(MOST_LOOKED_UP) {
        let messages = hits.iter().map(|hit| (hit.mailbox.clone(), hit.message.clone())).collect();
        let kept = look_up(socket, LookUp::Messages(messages))?;
        for hit in hits {
            // What was moved in the spool since it was looked at is still the same message.
            let moved = || kept.iter().find(|kept| hit.may_have_been_of(kept));
            match kept.iter().find(|kept| hit.is_of(kept)).or_else(moved) {
                None => found.left_behind.push(hit.clone()),
                Some(kept) => {
                    // The journal has the first of those that a message names: it may be a list.
                    let new =
                        || About { kept: kept.clone(), is_in_journal: false, is_in_payload: None, names_others: true };
                    found.deliveries.entry(kept.delivery.id).or_insert_with(new).is_in_payload = Some(true);
                }
            }
        }
    }
    Ok(())
}

/// What is kept of these.
fn look_up(socket: &Path, wanted: LookUp) -> Result<Vec<Kept>, Failure> {
    let Answer::LookedUp(kept) = ask(socket, Ask::LookUp { wanted })? else { return Err(other_answer()) };
    Ok(kept)
}

fn tell(context: &mut Context, found: &Found) -> Result<(), Failure> {
    let Found { deliveries, gone, left_behind } = found;
    if !deliveries.is_empty() {
        context.out.line(row(["DELIVERY", "MAILBOX", "MESSAGE", "STATE", "KEPT UNTIL", "PLACE", "FOUND BY"]))?;
    }
    deliveries.values().try_for_each(|about| context.out.line(text(about)))?;
    for Hit { mailbox, message, location } in left_behind {
        context.out.line(format_args!("{message} of {mailbox} is known no more, and still in {}", place(location)))?;
    }
    if !gone.is_empty() {
        let ids: Vec<String> = gone.iter().map(ToString::to_string).collect();
        context.out.line(format_args!("only the journal still knows of {}", ids.join(", ")))?;
    }
    if deliveries.is_empty() && gone.is_empty() && left_behind.is_empty() {
        context.out.note("nothing is kept about them, as far as was looked");
    }
    Ok(())
}

fn text(about: &About) -> String {
    let About { kept: Kept { delivery, class, until, is_legally_held, .. }, is_in_journal, is_in_payload, .. } = about;
    let until = until.map_or("a person says".to_owned(), |until| until.to_string());
    let until = if *is_legally_held { format!("{until}, on hold") } else { until };
    let found = match (is_in_journal, is_in_payload) {
        (true, Some(true)) => "journal, scan",
        (true, Some(false) | None) => "journal",
        (false, _) => "scan",
    };
    let (id, message) = (delivery.id.to_string(), delivery.message_id.as_str());
    row([&id, delivery.mailbox.as_str(), message, class.as_str(), &until, &place(&delivery.location), found])
}

fn place(location: &Location) -> String {
    match location {
        Location::Group { volume, offset, member, .. } => format!("volume {volume} at {offset}, member {member}"),
        Location::Parts { parts, .. } => format!("{parts} parts of its own"),
    }
}

fn other_answer() -> Failure {
    anyhow!("the daemon answered another question").into()
}

fn row([delivery, mailbox, message, state, until, place, found]: [&str; 7]) -> String {
    format!("{delivery:<8} {mailbox:<12} {message:<32} {state:<10} {until:<24}  {place:<44} {found}")
}
