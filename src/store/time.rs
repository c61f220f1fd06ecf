//! The store's own time: the wall clock as it was at the first opening, moved on by the monotonic clock.
//!
//! Due times and ends of retention are in it, so a wall clock that jumps while we run neither delays nor hurries nor
//! purges anything. From one run to the next it moves on as far as the wall clock did, but by no more than [`MOST_AWAY`]:
//! a machine that starts with the time of another year ages nothing by a year. After a longer rest it lags behind the
//! wall clock for good, and what is kept is kept that much longer. It never goes back.

use std::sync::Arc;
use std::time::Duration;

use super::journal::Stamp;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;

/// A run is believed to have begun at most so long after the one before had ended: longer than a machine is away
/// for its upkeep, and all that a wrong clock at a start can take from a retention.
const MOST_AWAY: Duration = Duration::from_secs(24 * 3600);

/// The store's time.
pub(super) struct StoreTime {
    clock: Arc<dyn Clock>,
    anchor: Timestamp,
    opened: Duration,
}

impl StoreTime {
    /// From now on. `last` is when the run before left it: by this time, and by the wall clock.
    pub(super) fn new(clock: Arc<dyn Clock>, last: Option<(Timestamp, Timestamp)>) -> Self {
        let (wall, opened) = (clock.wall(), clock.monotonic());
        let anchor = last.map_or(wall, |(time, at)| time.plus(wall.since(at).min(MOST_AWAY)));
        Self { clock, anchor, opened }
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
}
