//! `kind = "sequence"`: the numbers of EDIFACT interchanges, for each sender and recipient of its header.
//!
//! `domain::sequence` says what a number means. One that is missing for longer than `grace` is an alarm. An interchange
//! whose reference (data element 0020) is no number is not counted.

use std::time::Duration;

use super::Alarm;
use crate::domain::quantity;
use crate::domain::sequence::Gap;
use crate::domain::time::Timestamp;
use crate::pipeline::reading::{Keys, Notes};
use crate::ports::store::Monitored;

/// As long as a message may be tried again before it is called late.
const USUAL_GRACE: Duration = Duration::from_secs(1_800);

/// A detail names no more gaps than this.
const MOST_TOLD: usize = 3;

/// How late a number may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Counting {
    grace: Duration,
}

impl Counting {
    /// What is missing for too long.
    pub(super) fn alarm(&self, known: &Monitored, now: Timestamp) -> Option<Alarm> {
        let until = self.overdue_at(now);
        let mut told = Vec::new();
        let (mut gaps, mut unlisted) = (0, 0);
        for (digest, flow) in &known.flows {
            unlisted += flow.sequence.unlisted();
            for gap in flow.sequence.overdue(until) {
                gaps += 1;
                if told.len() < MOST_TOLD {
                    let from = flow.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
                    told.push(format!("{} of flow {digest}{from}", range(gap)));
                }
            }
        }
        if gaps == 0 && unlisted == 0 {
            return None;
        }
        let mut detail = format!("interchanges did not come: {}", told.join("; "));
        let others = gaps - told.len();
        if others > 0 {
            detail += &format!("; {others} more gaps");
        }
        if unlisted > 0 {
            detail += &format!("; {unlisted} more numbers");
        }
        Some(Alarm { code: "MONITOR-GAP", detail })
    }

    /// What is missing since then is missing for too long.
    pub(super) fn overdue_at(&self, now: Timestamp) -> Timestamp {
        now.minus(self.grace)
    }

    pub(super) fn grace(&self) -> Duration {
        self.grace
    }
}

/// One number, or the first and the last.
fn range(gap: &Gap) -> String {
    if gap.first == gap.last { gap.first.to_string() } else { format!("{} to {}", gap.first, gap.last) }
}

/// Reads `grace`.
pub(super) fn read(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Counting {
    let grace = keys.optional("grace").and_then(|node| node.parse(notes, quantity::PERIOD, quantity::period));
    keys.end(notes);
    Counting { grace: grace.unwrap_or(USUAL_GRACE) }
}
