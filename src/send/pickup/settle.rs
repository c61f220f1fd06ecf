//! When what lies in `OUT` may be taken: pure. Nobody tells us that a file is whole, so that it must have rested.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::pair::BaseName;
use crate::ports::pairs::PairSeen;

/// What was seen of each, and since when it is so, by the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Settling(BTreeMap<BaseName, (PairSeen, Duration)>);

/// How long what is seen rests before it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rests {
    /// Of a pair.
    pub(super) pair: Duration,
    /// Of a half of one.
    pub(super) half: Duration,
}

/// What may be done with a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ripe {
    /// It is whole, as far as can be known.
    Whole,
    /// It rested for so long that nothing more of it is coming.
    Stale,
    /// Nothing before that, by the monotonic clock.
    NotBefore(Duration),
}

impl Settling {
    /// Notes what lies there now. What changed begins to rest anew, what is gone is forgotten.
    pub(super) fn see(&mut self, pairs: &[PairSeen], now: Duration) {
        let mut before = std::mem::take(&mut self.0);
        let since = |pair: &PairSeen, before: Option<(PairSeen, Duration)>| {
            before.filter(|(seen, _)| seen == pair).map_or(now, |(_, since)| since)
        };
        let seen = pairs.iter().map(|pair| (pair.base.clone(), (pair.clone(), since(pair, before.remove(&pair.base)))));
        self.0 = seen.collect();
    }

    /// How a pair stands; is it whole with what it has? A pair that rests as long as a half may is stale: whatever was the matter with it stays.
    pub(super) fn ripe(&self, pair: &PairSeen, is_whole: bool, rests: Rests, now: Duration) -> Ripe {
        let since = self.0.get(&pair.base).map_or(now, |(_, since)| *since);
        let rested = now.saturating_sub(since);
        match is_whole {
            _ if rested >= rests.half => Ripe::Stale,
            true if rested >= rests.pair => Ripe::Whole,
            true => Ripe::NotBefore(since + rests.pair),
            false => Ripe::NotBefore(since + rests.half),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::ports::pairs::FileSeen;

    const RESTS: Rests = Rests { pair: Duration::from_secs(2), half: Duration::from_secs(900) };

    fn pair(data: Option<u64>, control: Option<u64>) -> PairSeen {
        let base = BaseName::new("a").expect("a name");
        let file = |extension: &str| {
            let (base, extension) = (base.clone(), extension.to_owned());
            move |length| FileSeen { base, extension, length, modified: Timestamp(0) }
        };
        PairSeen { data: data.map(file("dat")), control: control.map(file("ctl")), base: base.clone() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_pair_that_grows_is_not_whole_before_it_rests() {
        let mut settling = Settling::default();
        for second in 0..10 {
            let growing = pair(Some(second), Some(1));
            settling.see(std::slice::from_ref(&growing), at(second));
            assert_eq!(settling.ripe(&growing, true, RESTS, at(second)), Ripe::NotBefore(at(second + 2)));
        }
        let whole = pair(Some(9), Some(1));
        settling.see(std::slice::from_ref(&whole), at(11));
        assert_eq!(settling.ripe(&whole, true, RESTS, at(11)), Ripe::Whole);
    }

    #[test]
    fn a_half_waits_longer_and_what_came_back_begins_anew() {
        let mut settling = Settling::default();
        let half = pair(Some(1), None);
        settling.see(std::slice::from_ref(&half), at(0));
        assert_eq!(settling.ripe(&half, false, RESTS, at(899)), Ripe::NotBefore(at(900)));
        assert_eq!(settling.ripe(&half, false, RESTS, at(900)), Ripe::Stale);
        settling.see(&[], at(901));
        settling.see(std::slice::from_ref(&half), at(902));
        assert_eq!(settling.ripe(&half, false, RESTS, at(902)), Ripe::NotBefore(at(1_802)));
        let whole = pair(Some(1), Some(1));
        settling.see(std::slice::from_ref(&whole), at(903));
        assert_eq!(settling.ripe(&whole, true, RESTS, at(904)), Ripe::NotBefore(at(905)), "its other half came");
    }
}
