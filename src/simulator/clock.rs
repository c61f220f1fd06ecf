//! The far side's own clock: the machine's, moved by as much as a test wants.
//!
//! It steers the clock window of tokens, the `Date` header and message timestamps; nothing of the daemon reads it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

use super::lock;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;

/// A clock that can be set.
#[derive(Debug)]
pub struct FarClock {
    start: Instant,
    offset_ms: AtomicI64,
    /// The `Date` header of the second in the first field: written once a second, not once a request.
    date: Mutex<(i64, HeaderValue)>,
}

impl Default for FarClock {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            offset_ms: AtomicI64::new(0),
            date: Mutex::new((i64::MIN, HeaderValue::from_static(""))),
        }
    }
}

impl FarClock {
    /// Moves the wall clock to be `offset_ms` milliseconds ahead of the machine's; negative is behind.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// The `Date` header of this moment.
    pub(super) fn date(&self) -> HeaderValue {
        let now = self.wall();
        let second = now.0.div_euclid(1000);
        let mut cached = lock(&self.date);
        if cached.0 != second {
            let text = now.utc().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            if let Ok(value) = HeaderValue::try_from(text) {
                *cached = (second, value);
            }
        }
        cached.1.clone()
    }
}

impl Clock for FarClock {
    #[expect(clippy::disallowed_methods, reason = "this is the far side's clock; the daemon's is another")]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp(now_ms.saturating_add(self.offset_ms.load(Ordering::Relaxed)))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
