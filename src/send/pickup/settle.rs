//! When what lies in `OUT` may be taken: pure. Nobody tells us that a file is whole, so that it must have rested.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::pair::BaseName;
use crate::ports::pairs::PairSeen;

/// What was seen of each, and since when it is so, by the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Settling(BTreeMap<BaseName, (PairSeen, Duration)>);

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

    /// Until when a pair that has to rest for so long does, by the monotonic clock; none if it has.
    pub(super) fn rests_until(&self, pair: &PairSeen, rest: Duration, now: Duration) -> Option<Duration> {
        let since = self.0.get(&pair.base).map_or(now, |(_, since)| *since);
        Some(since + rest).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::ports::pairs::FileSeen;

    const PAIR: Duration = Duration::from_secs(2);
    const HALF: Duration = Duration::from_secs(900);

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
            assert_eq!(settling.rests_until(&growing, PAIR, at(second)), Some(at(second + 2)));
        }
        let whole = pair(Some(9), Some(1));
        settling.see(std::slice::from_ref(&whole), at(11));
        assert_eq!(settling.rests_until(&whole, PAIR, at(11)), None);
    }

    #[test]
    fn a_half_waits_longer_and_what_came_back_begins_anew() {
        let mut settling = Settling::default();
        let half = pair(Some(1), None);
        settling.see(std::slice::from_ref(&half), at(0));
        assert_eq!(settling.rests_until(&half, HALF, at(899)), Some(at(900)));
        assert_eq!(settling.rests_until(&half, HALF, at(900)), None);
        settling.see(&[], at(901));
        settling.see(std::slice::from_ref(&half), at(902));
        assert_eq!(settling.rests_until(&half, HALF, at(902)), Some(at(1_802)));
        let whole = pair(Some(1), Some(1));
        settling.see(std::slice::from_ref(&whole), at(903));
        assert_eq!(settling.rests_until(&whole, PAIR, at(904)), Some(at(905)), "its other half came");
    }
}
