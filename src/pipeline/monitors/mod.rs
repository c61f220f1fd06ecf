//! `[[monitor]]`: what should have come, and did not.
//!
//! ```toml
//! [[monitor]]
//! name = "lab"
//! kind = "traffic"                    # something comes at least so often
//! from = ["X26LAB*"]                  # from these mailboxes; from anybody without this key
//! every = "4h"
//! between = ["09:00", "17:30"]        # while this window is open; always without this key. UTC
//! days = ["mon", "tue", "wed"]        # on which days it opens; on all without this key. UTC
//!
//! [[monitor]]
//! name = "numbers"
//! kind = "sequence"                   # no EDIFACT interchange is left out
//! grace = "30m"                       # so late may one come
//! ```
//!
//! A monitor changes nothing about a message. What it saw is journalled with the message's settlement; whether that is
//! an alarm is judged here, from what the store made of the journal and from the time.
//!
//! A message counts as soon as a pipeline had it in work, whatever became of it then. One that was replayed, or that MESH
//! put back, fills a gap but is no sign of life of its sender.

mod sequence;
mod traffic;
mod window;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub(super) use self::sequence::Counting;
pub(super) use self::traffic::Traffic;
use super::Message;
use super::definition::read_name;
use super::reading::{Keys, Node, Notes};
use crate::domain::digest::DigestKey;
use crate::domain::fault::Fault;
use crate::domain::ids::Name;
use crate::domain::monitor::{Numbered, Sighting};
use crate::domain::time::Timestamp;
use crate::ports::store::Monitored;

/// After a start, what waits at MESH has this long to come before anything is missed: two polls (mesh-api 11).
const SETTLING: Duration = Duration::from_secs(600);

/// Hexadecimal digits of a flow's digest: enough that no two of a house's senders share them.
const FLOW_DIGITS: usize = 12;

/// One monitor of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    name: Name,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Traffic(Traffic),
    Sequence(Counting),
}

/// When something is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the wall clock, for windows.
    pub wall: Timestamp,
    /// In the store's own time, for waits.
    pub time: Timestamp,
    /// How long this run has lasted.
    pub run: Duration,
}

/// Something did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// `MONITOR-QUIET` or `MONITOR-GAP`.
    pub code: &'static str,
    /// What, in words without patient data.
    pub detail: String,
}

impl Monitor {
    /// Its name, unique in its pipeline.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The word in its `kind`.
    pub fn kind(&self) -> &'static str {
        match self.rule {
            Rule::Traffic(_) => KINDS[0],
            Rule::Sequence(_) => KINDS[1],
        }
    }

    /// What did not come, if anything.
    ///
    /// An alarm that stands is judged as ever after a restart; a new one waits until what came meanwhile is in.
    pub fn alarm(&self, known: &Monitored, now: Moment) -> Option<Alarm> {
        let has_settled = |wait: Duration| known.alarmed.is_some() || now.run > wait.min(SETTLING);
        match &self.rule {
            Rule::Traffic(traffic) => traffic.alarm(known, now.wall).filter(|_| has_settled(traffic.every())),
            Rule::Sequence(counting) => counting.alarm(known, now.time).filter(|_| has_settled(counting.grace())),
        }
    }

    /// Whoever accepts what is missing `now` accepts what is missing since then or longer, in the store's own time.
    pub fn acceptable(&self, now: Moment) -> Timestamp {
        match &self.rule {
            Rule::Traffic(_) => now.time,
            Rule::Sequence(counting) => counting.overdue_at(now.time),
        }
    }

    /// Whether it looks into payloads.
    pub(super) fn looks_at_payload(&self) -> bool {
        matches!(self.rule, Rule::Sequence(_))
    }

    /// What it sees of a message, whose payload is as the stages left it.
    pub(super) fn see(&self, message: &Message<'_>, key: &DigestKey) -> Result<Option<Sighting>, Fault> {
        let seen = |number| Sighting { monitor: self.name.clone(), number };
        match &self.rule {
            Rule::Traffic(traffic) => Ok(traffic.concerns(message.facts().from).then(|| seen(None))),
            Rule::Sequence(_) => Ok(numbered(message, key)?.map(|number| seen(Some(number)))),
        }
    }
}

/// The flow and the number of an interchange.
fn numbered(message: &Message<'_>, key: &DigestKey) -> Result<Option<Numbered>, Fault> {
    let Some(interchange) = message.content()?.and_then(|content| content.interchange()) else { return Ok(None) };
    let mut flow = key.identify(&interchange.parties).0;
    flow.truncate(FLOW_DIGITS);
    Ok(Some(Numbered { flow, number: interchange.number }))
}

/// What `kind` can say.
const KINDS: [&str; 2] = ["traffic", "sequence"];

/// Reads the `[[monitor]]` tables.
pub(super) fn read(node: &Node<'_>, notes: &mut Notes<'_>) -> Vec<Monitor> {
    let mut monitors: Vec<Monitor> = Vec::new();
    for mut keys in node.tables(notes) {
        let name = keys.required("name", "the monitor's name", notes).and_then(|node| {
            let name = read_name(&node, notes)?;
            if monitors.iter().any(|monitor| monitor.name == name) {
                let problem = format!("two monitors are named `{name}`");
                notes.mistake(&node.at(), &node.key, problem, "a name of its own");
            }
            Some(name)
        });
        let Some(rule) = read_rule(keys, notes) else { continue };
        monitors.extend(name.map(|name| Monitor { name, rule }));
    }
    monitors
}

fn read_rule(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Option<Rule> {
    let kind = keys.required("kind", "\"traffic\" or \"sequence\"", notes)?;
    match kind.text(notes)? {
        "traffic" => traffic::read(keys, notes).map(Rule::Traffic),
        "sequence" => Some(Rule::Sequence(sequence::read(keys, notes))),
        word => {
            notes.unknown(&kind.at(), &kind.key, "this kind of monitor is not known", word, KINDS);
            None
        }
    }
}
