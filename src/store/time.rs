//! The store's own time: the wall clock as it was at the opening, moved on by the monotonic clock.
//!
//! Due times are in it, so a wall clock that jumps while we run neither delays nor hurries anything. It goes on from
//! where the run before left it if the wall clock lies behind that, so that a clock set back does not strand the queue.
//!
//! Retention is in wall-clock time, as people count it. Nothing is purged until the wall clock has agreed with the monotonic one for an hour, counted anew from each
//! opening and each step: a wrong clock must be wrong for long before it can cost a payload.

use std::sync::Arc;
use std::time::Duration;

use super::journal::Stamp;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;

/// How long the clocks must agree before anything is purged.
const STEADY: Duration = Duration::from_secs(3600);
/// A smaller difference between the clocks is no step.
const STEP: Duration = Duration::from_secs(2);

/// The store's time.
pub(super) struct StoreTime {
    clock: Arc<dyn Clock>,
    anchor: Timestamp,
    opened: Duration,
    seen: (Timestamp, Duration),
    steady_since: Duration,
}

impl StoreTime {
    /// From now on; not before `last`, where the run before left it.
    pub(super) fn new(clock: Arc<dyn Clock>, last: Option<Timestamp>) -> Self {
        let (wall, opened) = (clock.wall(), clock.monotonic());
        let anchor = last.map_or(wall, |last| last.max(wall));
        Self { clock, anchor, opened, seen: (wall, opened), steady_since: opened }
    }

    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        self.anchor.plus(self.clock.monotonic().saturating_sub(self.opened))
    }

    /// The wall clock's reading when it will be `due` here, as far as can be told now; now if that is past.
    pub(super) fn wall_of(&self, due: Timestamp) -> Timestamp {
        self.clock.wall().plus(due.since(self.now()))
    }

    /// Now, as records say it.
    pub(super) fn stamp(&self) -> Stamp {
        let monotonic_ms = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        Stamp { wall: self.clock.wall(), monotonic_ms }
    }

    /// How long the store has been open.
    pub(super) fn age(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.opened)
    }

    /// The monotonic clock.
    pub(super) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Whether the clocks have agreed for long enough to purge by them.
    pub(super) fn is_steady(&mut self) -> bool {
        let (wall, monotonic) = (self.clock.wall(), self.clock.monotonic());
        let expected = self.seen.0.plus(monotonic.saturating_sub(self.seen.1));
        if expected.since(wall).max(wall.since(expected)) > STEP {
            self.steady_since = monotonic;
        }
        self.seen = (wall, monotonic);
        monotonic.saturating_sub(self.steady_since) >= STEADY
    }
}
