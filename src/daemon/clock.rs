//! The real clocks and the real dice.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    // The one place that reads the wall clock.
    #[allow(clippy::disallowed_methods)]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The operating system's randomness.
#[derive(Debug, Default)]
pub struct SystemChance(SystemRandom);

impl SystemChance {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).expect("getrandom does not fail once the machine has booted");
        bytes
    }
}

impl Chance for SystemChance {
    fn dice(&self) -> u64 {
        u64::from_ne_bytes(self.bytes())
    }

    fn uuid(&self) -> String {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid().hyphenated().to_string()
    }
}

/// Notices when the wall clock moves by itself.
#[derive(Debug)]
pub(super) struct StepWatch {
    wall: Timestamp,
    monotonic: Duration,
}

/// A wall clock that drifts less than this between two looks is being disciplined, not set.
const STEP: i64 = 2_000;

impl StepWatch {
    /// Begins to watch.
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self { wall: clock.wall(), monotonic: clock.monotonic() }
    }

    /// By how many milliseconds the wall clock was moved since the last look, if it was.
    pub(super) fn look(&mut self, clock: &dyn Clock) -> Option<i64> {
        let now = Self::new(clock);
        let passed = i64::try_from((now.monotonic.saturating_sub(self.monotonic)).as_millis()).unwrap_or(i64::MAX);
        let moved = now.wall.0.saturating_sub(self.wall.0).saturating_sub(passed);
        *self = now;
        (moved.abs() > STEP).then_some(moved)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Hands(Mutex<(i64, u64)>);

    impl Clock for Hands {
        fn wall(&self) -> Timestamp {
            Timestamp(self.0.lock().expect("one thread").0)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.lock().expect("one thread").1)
        }
    }

    #[test]
    fn a_step_of_the_wall_clock_is_noticed_and_drift_is_not() {
        let clock = Hands(Mutex::new((1_000_000, 0)));
        let mut watch = StepWatch::new(&clock);
        for (wall, monotonic, step) in [
            (1_010_000, 10_000, None),
            (1_021_500, 20_000, None),
            (1_131_500, 30_000, Some(100_000)),
            (1_100_000, 40_000, Some(-41_500)),
            (1_110_000, 50_000, None),
        ] {
            *clock.0.lock().expect("one thread") = (wall, monotonic);
            assert_eq!(watch.look(&clock), step, "at {monotonic} ms");
        }
    }

    #[test]
    fn names_by_chance_are_version_4_and_never_the_same() {
        let chance = SystemChance::default();
        let (a, b) = (chance.uuid(), chance.uuid());
        assert_ne!(a, b);
        assert_eq!((a.len(), &a[14..15]), (36, "4"));
    }
}
