//! Back-off with full jitter: pure, given a random number.

use std::time::Duration;

/// How waits grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The wait before try `attempt` + 1, for a `dice` in `0..=u64::MAX`: anywhere below the ceiling, which doubles.
    ///
    /// What the far side asked for is a floor, itself capped at `longest`.
    pub fn wait(&self, attempt: u32, asked: Option<Duration>, dice: u64) -> Duration {
        let ceiling =
            self.first.saturating_mul(1u32.checked_shl(attempt.min(31)).unwrap_or(u32::MAX)).min(self.longest);
        let jittered = ceiling.mul_f64(dice as f64 / u64::MAX as f64);
        jittered.max(asked.unwrap_or_default()).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

    #[test]
    fn the_ceiling_doubles_to_the_longest() {
        for (attempt, seconds) in [(0, 1), (1, 2), (3, 8), (6, 60), (200, 60)] {
            assert_eq!(BACKOFF.wait(attempt, None, u64::MAX), Duration::from_secs(seconds));
        }
        assert_eq!(BACKOFF.wait(5, None, 0), Duration::ZERO);
    }

    #[test]
    fn what_the_far_side_asks_is_a_capped_floor() {
        assert_eq!(BACKOFF.wait(0, Some(Duration::from_secs(30)), 0), Duration::from_secs(30));
        assert_eq!(BACKOFF.wait(0, Some(Duration::from_secs(1_000_000_000)), 0), Duration::from_secs(60));
    }
}
