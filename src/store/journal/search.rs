//! Finds records in all segments, in the memory of a page, while the committer goes on writing.
//!
//! - Nothing beyond the durable head is looked at, so what is being written is not met.
//! - Segments that cannot hold what is wanted are passed over by their headers. The wall clock may have stepped, so
//!   times are compared with a day to spare.
//! - A record is parsed only if its bytes hold an id that is looked for, and its kind is wanted. All others cost a
//!   checksum and a hash: what is found comes from a whole chain.
//! - A page ends when it is full, or late, and says how to go on: one request never takes long.
//! - A segment that is compressed meanwhile is found under its other name; one whose retention ended meanwhile is
//!   passed over.
//!
//! All lives of a message have its id, whether they came again or were replayed. So the search for a delivery is the
//! search for its message, and needs no second pass in either direction.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::event::{About, Event};
use super::segment::{Name, Raw, Reader, Trouble};
use super::{Head, at, segments};
use crate::domain::digest::{ContentDigest, hex};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::legal_hold::HoldScope;
use crate::ports::disk::Disk;
use crate::ports::store::Halt;
use crate::ports::trace::{By, FoundRecord, Page, Search, Unreadable};

/// Records of one page.
const MOST_RECORDS: usize = 1_000;
/// Bytes of their bodies: the text of a page must fit into one answer.
const MOST_BYTES: usize = 1024 * 1024;
/// Lives of one message that are followed at a time; the oldest have nothing more to tell.
const MOST_LIVES: usize = 200;
/// Records between two looks at the clock.
const LOOK_EVERY: u32 = 256;
/// No step of the wall clock between two segments is larger, as far as we care.
const SPARE: Duration = Duration::from_secs(24 * 3_600);

/// Searches the journal in `directory` up to `head`, until the page is full or `is_late` says so.
pub fn search(
    disk: &dyn Disk,
    directory: &Path,
    head: Head,
    wanted: Search,
    is_late: &dyn Fn() -> bool,
) -> Result<Page, Unreadable> {
    let names = segments(disk, directory)?;
    let to = wanted.to.map_or(head.sequence, |to| to.min(head.sequence));
    let mut hunt = Hunt::new(Place { disk, directory, names: &names }, wanted)?;
    let mut page = Page::default();
    let mut bytes = 0;
    let mut looked = 0;
    let mut first = hunt.wanted.from.max(1);
    for (place, name) in names.iter().enumerate() {
        let next = names.get(place + 1);
        if next.is_some_and(|next| next.first <= first) {
            continue;
        }
        if name.first > to {
            break;
        }
        let Some(mut reader) = open(disk, directory, name)? else { continue };
        if hunt.is_too_late(&reader) || hunt.is_too_early(disk, directory, next)? {
            continue;
        }
        let header = reader.header();
        let mut run = (header.run, header.boot.clone());
        loop {
            let raw = match reader.raw() {
                Ok(Some(raw)) => raw,
                Ok(None) => break,
                // The end of what was written of the open one; all up to the head came before it.
                Err(Trouble::Torn { .. }) if next.is_none() => break,
                Err(trouble) => return Err(at(name, directory, &trouble).into()),
            };
            let sequence = raw.frame.sequence;
            if sequence > to {
                return Ok(page);
            }
            if let Some((number, boot)) = run_of(&raw) {
                run = (number, boot);
            }
            if sequence < first {
                continue;
            }
            if hunt.meets(&raw).map_err(|problem| Unreadable(format!("record {sequence}: {problem}")))? {
                let body = String::from_utf8_lossy(raw.body).into_owned();
                bytes += body.len();
                let boot = if run.0 == raw.frame.run { run.1.clone() } else { String::new() };
                page.records.push(found(&raw, boot, body));
            }
            looked += 1;
            let is_full = page.records.len() >= MOST_RECORDS || bytes >= MOST_BYTES;
            if sequence < to && (is_full || looked % LOOK_EVERY == 0 && is_late()) {
                page.rest = Some(Box::new(hunt.rest(sequence + 1)));
                return Ok(page);
            }
            first = sequence + 1;
        }
    }
    Ok(page)
}

fn found(raw: &Raw<'_>, boot: String, body: String) -> FoundRecord {
    FoundRecord {
        sequence: raw.frame.sequence,
        wall: raw.frame.wall,
        monotonic_ms: raw.frame.monotonic_ms,
        run: raw.frame.run,
        boot,
        hash: hex(&raw.hash),
        body,
    }
}

impl From<Halt> for Unreadable {
    fn from(halt: Halt) -> Self {
        Self(halt.0)
    }
}

/// Where a journal is.
struct Place<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    names: &'a [Name],
}

/// A search on its way.
struct Hunt {
    wanted: Search,
    lives: BTreeSet<DeliveryId>,
    /// What a record must hold to be worth parsing; empty: nothing.
    needles: Vec<Vec<u8>>,
}

impl Hunt {
    fn new(place: Place<'_>, mut wanted: Search) -> Result<Self, Unreadable> {
        if let Some(delivery) = wanted.delivery {
            wanted.lives.push(delivery);
            if wanted.message.is_none() {
                // Without its beginning, whose retention is over, only what names the delivery is found.
                if let Some((mailbox, message)) = beginning(&place, delivery)? {
                    wanted.mailbox.get_or_insert(mailbox);
                    wanted.message = Some(message);
                }
            }
        }
        let lives = std::mem::take(&mut wanted.lives).into_iter().collect();
        let mut hunt = Self { wanted, lives, needles: Vec::new() };
        hunt.sharpen();
        Ok(hunt)
    }

    fn sharpen(&mut self) {
        let Self { wanted, lives, needles } = self;
        let ids = lives.iter().map(|life| life.0.to_string());
        let mailbox = wanted.mailbox.as_ref().filter(|_| !wanted.is_about_a_message());
        // Of lists and replays the people are not in the record.
        let are_named = !wanted.is_about_a_message() && !wanted.or_may_concern;
        let patients = wanted.patients.iter().filter(|_| are_named).map(|patient| patient.0.clone());
        let texts =
            wanted.message.iter().map(ToString::to_string).chain(mailbox.map(ToString::to_string)).chain(patients);
        *needles = ids.chain(texts).map(String::into_bytes).collect();
    }

    /// How to go on at `from`.
    fn rest(self, from: u64) -> Search {
        Search { from, lives: self.lives.into_iter().collect(), ..self.wanted }
    }

    fn is_too_late(&self, reader: &Reader) -> bool {
        self.wanted.until.is_some_and(|until| reader.header().wall > until.plus(SPARE))
    }

    /// All of a segment came before what is wanted, if the next one began before that.
    fn is_too_early(&self, disk: &dyn Disk, directory: &Path, next: Option<&Name>) -> Result<bool, Unreadable> {
        let (Some(since), Some(next)) = (self.wanted.since, next) else { return Ok(false) };
        let is_early = |reader: Reader| reader.header().wall.plus(SPARE) < since;
        Ok(open(disk, directory, next)?.is_some_and(is_early))
    }

    /// Whether it is one of those that are wanted.
    fn meets(&mut self, raw: &Raw<'_>) -> Result<bool, serde_json::Error> {
        let wall = raw.frame.wall;
        let sequence = DeliveryId(raw.frame.sequence);
        let about_message = self.wanted.is_about_a_message();
        let is_hit = self.needles.is_empty()
            || self.lives.contains(&sequence)
            || self.needles.iter().any(|needle| holds(raw.body, needle));
        if !is_hit {
            return Ok(false);
        }
        let is_in_time = self.wanted.since.is_none_or(|since| wall >= since)
            && self.wanted.until.is_none_or(|until| wall < until)
            && (self.wanted.kinds.is_empty() || self.wanted.kinds.iter().any(|kind| kind.as_bytes() == word(raw.body)));
        // The beginning of a life counts for what comes later, wanted or not.
        if !is_in_time && !about_message {
            return Ok(false);
        }
        let event: Event = serde_json::from_slice(raw.body)?;
        let about = event.about();
        let is_about = if about_message { self.is_of_message(sequence, about) } else { self.is_of_mailbox(about) };
        let is_by = match self.wanted.by {
            None => true,
            Some(By::Daemon) => about.by.is_none(),
            Some(By::Operator(operator)) => about.by == Some(operator),
        };
        Ok(is_about && is_in_time && is_by && self.concerns(&event))
    }

    fn concerns(&self, event: &Event) -> bool {
        let wanted = &self.wanted.patients;
        let is_life = matches!(event, Event::Replayed(_) | Event::BroughtIn(_));
        if self.wanted.or_may_concern && (is_life || matches!(event, Event::Concerns { more: true, .. })) {
            return true;
        }
        let names_one = |patients: &[ContentDigest]| patients.iter().any(|patient| wanted.contains(patient));
        let (Event::Concerns { patients, .. }
        | Event::SubjectSought { patients, .. }
        | Event::LegalHoldAdded { scope: HoldScope::Patients(patients), .. }) = event
        else {
            return wanted.is_empty();
        };
        wanted.is_empty() || names_one(patients)
    }

    fn is_of_mailbox(&self, about: About<'_>) -> bool {
        self.wanted.mailbox.as_ref().is_none_or(|mailbox| about.mailbox == Some(mailbox))
    }

    fn is_of_message(&mut self, sequence: DeliveryId, about: About<'_>) -> bool {
        let names_it = self.wanted.message.is_some()
            && about.message == self.wanted.message.as_ref()
            && self.wanted.mailbox.as_ref().is_none_or(|mailbox| about.mailbox == Some(mailbox));
        let names_a_life = match about.message {
            // Another message may have the number of a life among its own.
            Some(_) if self.wanted.message.is_some() => false,
            Some(_) | None => about.deliveries.iter().any(|id| self.lives.contains(id)),
        };
        let is_life = self.lives.contains(&sequence);
        if about.is_beginning && names_it && !is_life {
            self.lives.insert(sequence);
            if self.lives.len() > MOST_LIVES {
                self.lives.pop_first();
            }
            self.sharpen();
        }
        names_it || names_a_life || is_life && about.is_beginning
    }
}

/// The mailbox and message of a delivery, if the journal still has the record that began it.
fn beginning(place: &Place<'_>, delivery: DeliveryId) -> Result<Option<(MailboxId, MessageId)>, Unreadable> {
    let Some(name) = place.names.iter().rev().find(|name| name.first <= delivery.0) else { return Ok(None) };
    let Some(mut reader) = open(place.disk, place.directory, name)? else { return Ok(None) };
    loop {
        match reader.raw() {
            Ok(Some(raw)) if raw.frame.sequence < delivery.0 => {}
            Ok(Some(raw)) => {
                let event: Option<Event> = serde_json::from_slice(raw.body).ok();
                let about = event.as_ref().map(Event::about).filter(|about| about.is_beginning);
                return Ok(about.and_then(|about| Some((about.mailbox?.clone(), about.message?.clone()))));
            }
            Ok(None) | Err(Trouble::Torn { .. }) => return Ok(None),
            Err(trouble) => return Err(at(name, place.directory, &trouble).into()),
        }
    }
}

/// Opens a segment under either of its names; `None` if it ended its retention meanwhile.
fn open(disk: &dyn Disk, directory: &Path, name: &Name) -> Result<Option<Reader>, Unreadable> {
    let other = Name { compressed: !name.compressed, ..name.clone() };
    for name in [name, &other] {
        match Reader::open(disk, directory, name) {
            Ok(reader) => return Ok(Some(reader)),
            Err(Trouble::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(trouble) => return Err(at(name, directory, &trouble).into()),
        }
    }
    Ok(None)
}

/// The number and the boot of a run that begins with this record.
fn run_of(raw: &Raw<'_>) -> Option<(u32, String)> {
    if word(raw.body) != b"run" {
        return None;
    }
    match serde_json::from_slice(raw.body) {
        Ok(Event::Run { run, boot, .. }) => Some((run, boot)),
        Ok(_) | Err(_) => None,
    }
}

/// The kind of an event, without parsing it: its tag comes first.
fn word(body: &[u8]) -> &[u8] {
    let rest = body.strip_prefix(b"{\"e\":\"").unwrap_or_default();
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}

fn holds(body: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let mut body = body;
    while let Some(place) = body.iter().position(|byte| byte == first) {
        body = &body[place + 1..];
        if body.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
