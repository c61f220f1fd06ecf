//! Chance, by seed: equal seeds make equal runs.

use std::sync::Mutex;
use std::time::Duration;

use meshd::domain::time::Timestamp;
use meshd::ports::clock::Clock;

/// A small generator (SplitMix64).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of `things`.
    pub(crate) fn pick<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        let place = self.below(things.len() as u64) as usize;
        &things[place]
    }
}

/// Clocks that move when told.
pub(crate) struct SimulatedClock(Mutex<(i64, Duration)>);

impl SimulatedClock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((1_767_605_412_000, Duration::from_secs(5))))
    }

    /// Time passes, on both clocks.
    pub(crate) fn pass(&self, wait: Duration) {
        let mut clocks = self.0.lock().expect("no test panics with the clock in hand");
        clocks.0 += wait.as_millis() as i64;
        clocks.1 += wait;
    }

    /// The wall clock is set.
    pub(crate) fn step(&self, milliseconds: i64) {
        self.0.lock().expect("no test panics with the clock in hand").0 += milliseconds;
    }
}

impl Clock for SimulatedClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.lock().expect("no test panics with the clock in hand").0)
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().expect("no test panics with the clock in hand").1
    }
}
