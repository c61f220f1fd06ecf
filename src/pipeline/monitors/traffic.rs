//! `kind = "traffic"`: something comes at least `every` so often, while its window is open.
//!
//! It is counted from the later of the last message and the window's opening: what did not come in the night is not
//! missed in the morning. When the window closes, so does the alarm.

use std::time::Duration;

use super::Alarm;
use super::window::{self, Window};
use crate::domain::ids::MailboxId;
use crate::domain::quantity;
use crate::domain::time::Timestamp;
use crate::pipeline::definition::read_patterns;
use crate::pipeline::matching::Pattern;
use crate::pipeline::reading::{Keys, Notes};
use crate::ports::store::Monitored;

/// From whom, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Traffic {
    /// From anybody if empty.
    from: Vec<Pattern>,
    every: Duration,
    window: Window,
}

impl Traffic {
    /// Whether a message from this sender is one that should come.
    pub(super) fn concerns(&self, from: Option<&MailboxId>) -> bool {
        self.from.is_empty() || from.is_some_and(|from| self.from.iter().any(|pattern| pattern.matches(from.as_str())))
    }

    /// Whether nothing came for too long.
    pub(super) fn alarm(&self, known: &Monitored, now: Timestamp) -> Option<Alarm> {
        let opened = self.window.opened(now)?;
        // What a clock that was ahead said of a message is no reason to wait until then.
        let last = known.last.filter(|last| *last <= now);
        let since = last.unwrap_or(known.begun).max(known.begun).max(opened);
        (now.since(since) > self.every).then(|| {
            let last = last.map_or("none has been seen yet".to_owned(), |last| format!("the last at {last}"));
            Alarm { code: "MONITOR-QUIET", detail: format!("nothing came for {}; {last}", in_words(self.every)) }
        })
    }

    pub(super) fn every(&self) -> Duration {
        self.every
    }
}

/// In the largest unit that leaves no rest.
fn in_words(period: Duration) -> String {
    let milliseconds = period.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    match units.into_iter().find(|(unit, _)| milliseconds.is_multiple_of(*unit)) {
        Some((unit, word)) => format!("{} {word}", milliseconds / unit),
        None => format!("{milliseconds} ms"),
    }
}

/// Reads `from`, `every`, `between` and `days`.
pub(super) fn read(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Option<Traffic> {
    let expected = "letters, digits, `_`, `-`, with `*` for any run of them";
    let from = read_patterns(&mut keys, "from", expected, |text| MailboxId::new(text).is_ok(), notes);
    let every = keys.required("every", quantity::PERIOD, notes).and_then(|node| {
        let every = node.parse(notes, quantity::PERIOD, quantity::period)?;
        Some((node, every))
    });
    let window = window::read(&mut keys, notes);
    keys.end(notes);
    let ((node, every), window) = (every?, window?);
    if window.longest().is_some_and(|longest| every >= longest) {
        let problem = "the window is never open for so long, so there would never be an alarm";
        notes.mistake(&node.at(), &node.key, problem, "less than from the window's opening to its end");
    }
    Some(Traffic { from: from.into_iter().map(|(_, pattern)| pattern).collect(), every, window })
}
