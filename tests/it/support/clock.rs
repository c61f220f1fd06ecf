//! The real time and real randomness, for tests with sockets; the wall clock can be set wrong.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meshd::domain::time::Timestamp;
use meshd::ports::clock::{Chance, Clock};

/// The machine's clocks, the wall clock moved by so many milliseconds.
pub(crate) struct Real {
    wrong_by_ms: i64,
    started: Instant,
}

impl Real {
    pub(crate) fn new(wrong_by_ms: i64) -> Self {
        Self { wrong_by_ms, started: Instant::now() }
    }
}

impl Clock for Real {
    #[expect(clippy::disallowed_methods, reason = "this is the test's clock")]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the machine's clock is past 1970");
        Timestamp(i64::try_from(since.as_millis()).expect("this century") + self.wrong_by_ms)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Chance for Real {
    fn dice(&self) -> u64 {
        u64::from_le_bytes(random())
    }

    fn uuid(&self) -> String {
        uuid::Builder::from_random_bytes(random()).into_uuid().hyphenated().to_string()
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the kernel has randomness");
    bytes
}
