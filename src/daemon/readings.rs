//! Readings of the journal that are under way: one that is given out page by page is journalled once.
//!
//! Only what the daemon itself offered as the rest of a page, to the same operator, goes on with a reading, and only
//! once, and soon: later the journal has grown. What is forgotten, or was never offered, is a reading of its own: at
//! worst the journal says too much.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::operator::Operator;
use crate::ports::trace::Search;

/// More are hardly under way at once; each is a request's length at most.
const MOST: usize = 16;

/// Whoever reads on takes no longer between two pages.
const SOON: Duration = Duration::from_secs(60);

/// The rests that were offered and not asked for yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<VecDeque<(Operator, Search, Instant)>>);

impl Readings {
    /// `by` was given a page, and may go on with `rest`.
    pub(super) fn offer(&self, by: Operator, rest: Search) {
        let mut offered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if offered.len() == MOST {
            offered.pop_front();
        }
        offered.push_back((by, rest, Instant::now()));
    }

    /// Whether `wanted` goes on with what `by` reads; it is not offered any more.
    pub(super) fn take(&self, by: Operator, wanted: &Search) -> bool {
        let mut offered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = offered.iter().position(|(whose, rest, _)| *whose == by && rest == wanted);
        place.and_then(|place| offered.remove(place)).is_some_and(|(_, _, at)| at.elapsed() <= SOON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(from: u64) -> Search {
        Search { from, ..Search::default() }
    }

    #[test]
    fn only_what_was_offered_to_the_same_operator_goes_on_and_only_once() {
        let readings = Readings::default();
        readings.offer(Operator(1000), rest(7));
        assert!(!readings.take(Operator(1001), &rest(7)), "another's");
        assert!(!readings.take(Operator(1000), &rest(8)), "never offered");
        assert!(readings.take(Operator(1000), &rest(7)));
        assert!(!readings.take(Operator(1000), &rest(7)), "once");
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_much_later_reads_anew() {
        let readings = Readings::default();
        readings.offer(Operator(1000), rest(7));
        tokio::time::advance(SOON).await;
        assert!(readings.take(Operator(1000), &rest(7)));
        readings.offer(Operator(1000), rest(7));
        tokio::time::advance(SOON + Duration::from_millis(1)).await;
        assert!(!readings.take(Operator(1000), &rest(7)));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let readings = Readings::default();
        for from in 0..=MOST as u64 {
            readings.offer(Operator(1000), rest(from));
        }
        assert!(!readings.take(Operator(1000), &rest(0)));
        assert!(readings.take(Operator(1000), &rest(1)));
    }
}
