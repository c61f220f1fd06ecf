//! Time, chance and names: the three things a simulation must own.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// The two clocks.
pub trait Clock: Send + Sync {
    /// Wall-clock time: for records and people.
    fn wall(&self) -> Timestamp;
    /// Time since an arbitrary point, never going back: for waits, limits and leases.
    fn monotonic(&self) -> Duration;
}

/// Randomness and the identifiers made from it.
pub trait Chance: Send + Sync {
    /// A number from all of `u64`, for jitter.
    fn dice(&self) -> u64;
    /// A lower-case hyphenated UUID v4: nonces and marker ids.
    fn uuid(&self) -> String;
}
