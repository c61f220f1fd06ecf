//! The numbers that one sender gives to what it sends one recipient: which of them have not come.
//!
//! Numbers count up by one. They may come out of order and more than once: a number is missing as long as a higher one
//! has come and it has not, and how long that is borne is for others to say. The first number that is seen begins the
//! count; what lies below it is not missed.
//!
//! | What comes | What it means |
//! |---|---|
//! | a missing number | it is missing no more |
//! | a higher one | those between are missing from now on |
//! | one that came before, or lies below the first | noted, and nothing else |
//! | 0 or 1, far below the highest | the sender counts anew |
//! | the same, with the highest just below a power of ten | the count wrapped around: what is left up to the nines is missing |
//!
//! While a sender counts anew, late numbers of the count before still belong to that one, and low numbers that
//! came shortly before its 1 belong to the new one. Two things cannot be told from the numbers, and are borne: a count
//! begun anew within the first `NEAR` numbers looks like numbers that come again until it has passed them; and
//! so does one whose 0 or 1 never comes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Numbers closer to the highest than this are believed to belong to the same count.
const NEAR: u64 = 100;
/// A count this close below a power of ten wraps around when it begins anew.
const WRAP: u64 = 1_000;
/// A sender that counts to fewer than four digits begins anew, and does not wrap.
const SHORTEST_WRAP: u64 = 1_000;
/// Low numbers that came so long before a new count's 1 belong to it.
const EARLY: Duration = Duration::from_secs(3_600);
/// So many gaps are listed. Of more, the oldest are only counted.
const MOST_GAPS: usize = 32;

/// The numbers of one flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    line: Line,
    /// The count before the sender began anew, until the new one is under way.
    before: Option<Line>,
    /// Low numbers that may belong to a count whose 1 has not come.
    early: Vec<(u64, Timestamp)>,
    gaps: Vec<Gap>,
    unlisted: u64,
    again: u64,
    restarts: u64,
}

/// One count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    first: u64,
    highest: u64,
}

/// Numbers that have not come, with nothing between them that has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
    /// When a higher one came, in the store's own time.
    pub since: Timestamp,
}

impl Sequence {
    /// Begins with the first number that is seen.
    pub fn begin(number: u64) -> Self {
        let line = Line { first: number, highest: number };
        Self { line, before: None, early: Vec::new(), gaps: Vec::new(), unlisted: 0, again: 0, restarts: 0 }
    }

    /// Takes the next number, `now`.
    pub fn take(&mut self, number: u64, now: Timestamp) {
        if self.fill(number) {
            return;
        }
        if number <= 1 && self.line.highest > number + NEAR {
            self.begin_anew(number, now);
            return;
        }
        let distance = |line: &Line| number.abs_diff(line.highest);
        let belongs_before = self.before.is_some_and(|before| distance(&before) < distance(&self.line));
        let line = if belongs_before { self.before.as_mut().unwrap_or(&mut self.line) } else { &mut self.line };
        let highest = line.highest;
        if number <= highest {
            self.again += 1;
            if !belongs_before && number <= NEAR && highest - number > NEAR {
                self.early.retain(|(_, at)| now.since(*at) < EARLY);
                self.early.push((number, now));
            }
            return;
        }
        line.highest = number;
        self.miss(highest + 1, number - 1, now);
        if self.line.highest - self.line.first > NEAR / 2 {
            self.before = None;
        }
    }

    /// The number that should come next.
    pub fn next(&self) -> u64 {
        self.line.highest + 1
    }

    /// What is missing, the longest missed first.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many more are missing than the gaps list.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// How many came that had come before, or were not waited for.
    pub fn again(&self) -> u64 {
        self.again
    }

    /// How often the sender counted anew.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The gaps that stand since `until` or longer.
    pub fn overdue(&self, until: Timestamp) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().filter(move |gap| gap.since <= until)
    }

    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.gaps.is_empty() && self.unlisted == 0
    }

    /// Waits no longer for what is missing since `until` or longer.
    pub fn accept(&mut self, until: Timestamp) {
        self.gaps.retain(|gap| gap.since > until);
        self.unlisted = 0;
    }

    /// The sender begins at `number`, which is 0 or 1.
    fn begin_anew(&mut self, number: u64, now: Timestamp) {
        let highest = self.line.highest;
        let nines = 10u64.checked_pow(highest.ilog10() + 1).map_or(u64::MAX, |power| power - 1);
        if highest >= SHORTEST_WRAP && nines - highest < WRAP {
            self.miss(highest + 1, nines, now);
        }
        self.before = Some(std::mem::replace(&mut self.line, Line { first: number, highest: number }));
        self.restarts += 1;
        let mut early = std::mem::take(&mut self.early);
        early.retain(|(_, at)| now.since(*at) < EARLY);
        early.sort_unstable();
        early.dedup_by_key(|(number, _)| *number);
        for (number, _) in early {
            self.again = self.again.saturating_sub(1);
            self.take(number, now);
        }
    }

    /// Whether `number` was missing; then it is no more.
    fn fill(&mut self, number: u64) -> bool {
        let holds = |gap: &Gap| (gap.first..=gap.last).contains(&number);
        let Some(place) = self.gaps.iter().position(holds) else { return false };
        let Gap { first, last, since } = self.gaps.remove(place);
        let below = (first < number).then(|| Gap { first, last: number - 1, since });
        let above = (number < last).then(|| Gap { first: number + 1, last, since });
        self.gaps.splice(place..place, below.into_iter().chain(above));
        self.bound();
        true
    }

    fn miss(&mut self, first: u64, last: u64, since: Timestamp) {
        if first <= last {
            self.gaps.push(Gap { first, last, since });
            self.bound();
        }
    }

    fn bound(&mut self) {
        if self.gaps.len() > MOST_GAPS {
            let Gap { first, last, .. } = self.gaps.remove(0);
            self.unlisted = self.unlisted.saturating_add(last - first + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_secs(1_800);

    /// What comes; what is missing then, what is next, and how many came again.
    type Case = (&'static [u64], &'static [(u64, u64)], u64, u64);

    fn taken(numbers: &[u64]) -> Sequence {
        let mut all = numbers.iter().enumerate();
        let mut sequence = Sequence::begin(*all.next().expect("one number").1);
        for (at, number) in all {
            sequence.take(*number, Timestamp(at as i64));
        }
        sequence
    }

    fn missing(sequence: &Sequence) -> Vec<(u64, u64)> {
        sequence.gaps().iter().map(|gap| (gap.first, gap.last)).collect()
    }

    #[test]
    fn what_comes_means_what_the_table_says() {
        let cases: [Case; 13] = [
            (&[7, 8, 9], &[], 10, 0),
            (&[7, 9], &[(8, 8)], 10, 0),
            (&[7, 11, 9], &[(8, 8), (10, 10)], 12, 0),
            (&[7, 9, 8, 8], &[], 10, 1),
            (&[7, 5], &[], 8, 1),
            // Anew, with a late number of the count before, and its next one.
            (&[5_000, 1, 2, 5_001, 3], &[], 4, 0),
            (&[5_000, 1, 2, 5_002, 3], &[(5_001, 5_001)], 4, 0),
            (&[5_000, 1, 2, 4], &[(3, 3)], 5, 0),
            // A low number before the 1.
            (&[5_000, 2, 1, 3], &[], 4, 0),
            (&[5_000, 0, 1, 2], &[], 3, 0),
            // Wrapped around, whole and not.
            (&[99_999_999, 1, 2], &[], 3, 0),
            (&[99_999_998, 1], &[(99_999_999, 99_999_999)], 2, 0),
            (&[99_999_998, 2, 1, 99_999_999], &[], 3, 0),
        ];
        for (numbers, gaps, next, again) in cases {
            let sequence = taken(numbers);
            assert_eq!(missing(&sequence), gaps, "{numbers:?}");
            assert_eq!((sequence.next(), sequence.again()), (next, again), "{numbers:?}");
        }
        assert_eq!(taken(&[5_000, 1, 2]).restarts(), 1);
    }

    /// A 1 that comes again is taken for a new count. Both counts then go on side by side, and nothing is missed.
    #[test]
    fn a_1_that_comes_again_costs_nothing() {
        let sequence = taken(&[4_999, 5_000, 1, 5_001, 5_002, 5_004, 5_003]);
        assert_eq!(missing(&sequence), []);
    }

    #[test]
    fn a_gap_is_overdue_only_after_its_time_and_ends_with_an_accept() {
        let mut sequence = taken(&[7, 9, 12]);
        assert_eq!(sequence.overdue(Timestamp(0)).count(), 0);
        assert_eq!(sequence.overdue(Timestamp(1)).count(), 1);
        sequence.accept(Timestamp(1));
        assert_eq!(missing(&sequence), [(10, 11)], "the younger one is waited for");
    }

    #[test]
    fn gaps_beyond_the_bound_are_counted() {
        let numbers: Vec<u64> = (0..60).map(|number| 1_000 + 2 * number).collect();
        let mut sequence = taken(&numbers);
        assert_eq!((sequence.gaps().len() as u64, sequence.unlisted()), (MOST_GAPS as u64, 59 - MOST_GAPS as u64));
        assert!(!sequence.is_whole());
        sequence.accept(Timestamp(60));
        assert!(sequence.is_whole());
    }

    /// What a sender sends from `first` on: through the nines of eight digits, or anew at 1 after `anew` numbers.
    fn sent(first: u64, anew: Option<usize>, count: usize) -> Vec<u64> {
        let mut numbers = Vec::with_capacity(count);
        let mut next = first;
        for place in 0..count {
            if anew == Some(place) {
                next = 1;
            }
            numbers.push(next);
            next = if next == 99_999_999 { 1 } else { next + 1 };
        }
        numbers
    }

    fn begins() -> impl Strategy<Value = (u64, Option<usize>)> {
        let anywhere = 1_000u64..90_000_000;
        prop_oneof![
            (anywhere.clone(), Just(None)),
            (anywhere, (20usize..100).prop_map(Some)),
            (99_999_900u64..=99_999_999, Just(None)),
        ]
    }

    proptest! {
        /// Any order within a time that is shorter than the grace raises nothing.
        #[test]
        fn nothing_is_missing_once_all_have_come(
            (first, anew) in begins(),
            order in vec(any::<u32>(), 150),
        ) {
            let numbers = sent(first, anew, order.len());
            // Shuffled in runs of thirty, behind the first.
            let mut shuffled = vec![numbers[0]];
            for (run, keys) in numbers[1..].chunks(30).zip(order.chunks(30)) {
                let mut run: Vec<_> = run.iter().zip(keys).collect();
                run.sort_by_key(|(_, key)| **key);
                shuffled.extend(run.into_iter().map(|(number, _)| *number));
            }
            let sequence = taken(&shuffled);
            prop_assert!(sequence.is_whole(), "{:?} of {shuffled:?}", missing(&sequence));
        }

        #[test]
        fn each_dropped_number_is_told(
            (first, anew) in begins(),
            dropped in btree_set(1usize..119, 1..12),
        ) {
            // The one that begins a count is told of by the next row of the table only.
            let numbers = sent(first, anew, 120);
            let is_dropped = |place: &usize| dropped.contains(place) && numbers[*place] != 1;
            let lost: Vec<u64> = (0..120).filter(is_dropped).map(|place| numbers[place]).collect();
            let came: Vec<u64> = (0..120).filter(|place| !is_dropped(place)).map(|place| numbers[place]).collect();
            let sequence = taken(&came);
            let told = |number: &u64| sequence.gaps().iter().any(|gap| (gap.first..=gap.last).contains(number));
            // The last of a count that was begun anew are never missed: nothing says how far it would have gone.
            let reached = |number: &u64| match anew {
                Some(place) if *number >= first => came.iter().any(|other| other > number && *other < first + place as u64),
                Some(_) | None => true,
            };
            for number in lost.iter().filter(|number| reached(number)) {
                prop_assert!(told(number), "{number} of {came:?}");
            }
            let counted: u64 = sequence.gaps().iter().map(|gap| gap.last - gap.first + 1).sum();
            prop_assert_eq!(counted, lost.iter().filter(|number| reached(number)).count() as u64);
            let since = sequence.gaps().iter().map(|gap| gap.since).max().unwrap_or_default();
            prop_assert_eq!(sequence.overdue(since.plus(GRACE)).count(), sequence.gaps().len());
        }
    }
}
