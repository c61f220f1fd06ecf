//! When something is expected: from one time of day to another, on some days. In UTC, whatever the machine's zone, so
//! that no hour comes twice or not at all.
//!
//! A window whose end is before its opening ends on the next day, and belongs to the day on which it opens. Without times
//! of day it is open for whole days; days that follow each other are one window.

use std::time::Duration;

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta, Weekday};

use crate::domain::time::Timestamp;
use crate::pipeline::reading::{Keys, Notes};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When something is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// When it opens, and for how long; for the whole day if absent.
    between: Option<(NaiveTime, Duration)>,
    /// On which days it opens, from Monday.
    days: [bool; 7],
}

impl Window {
    /// When the window that is open now opened; none if none is. One that never closes has always been open.
    pub(super) fn opened(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.utc().date_naive();
        let Some((from, length)) = self.between else { return self.opened_at_midnight(today) };
        let opening = |date: NaiveDate| Timestamp(date.and_time(from).and_utc().timestamp_millis());
        // One that opened yesterday may not have closed yet.
        let candidates = [Some(today), today.pred_opt()].into_iter().flatten();
        candidates
            .filter(|date| self.is_on(date.weekday()))
            .map(opening)
            .find(|opened| *opened <= now && now < opened.plus(length))
    }

    fn opened_at_midnight(&self, today: NaiveDate) -> Option<Timestamp> {
        if self.days == [true; 7] {
            return Some(Timestamp(i64::MIN));
        }
        let since = (0..7).take_while(|back| self.is_on((today - TimeDelta::days(*back)).weekday())).last()?;
        let first = today - TimeDelta::days(since);
        Some(Timestamp(first.and_time(NaiveTime::MIN).and_utc().timestamp_millis()))
    }

    /// How long it is open at most; none if it never closes.
    pub(super) fn longest(&self) -> Option<Duration> {
        match self.between {
            Some((_, length)) => Some(length),
            None if self.days == [true; 7] => None,
            None => {
                // Twice around, since Sunday is followed by Monday.
                let runs = self.days.repeat(2);
                let longest = runs.split(|is_on| !is_on).map(<[bool]>::len).max().unwrap_or(0);
                Some(DAY * u32::try_from(longest).unwrap_or(0))
            }
        }
    }

    fn is_on(&self, day: Weekday) -> bool {
        self.days[day.num_days_from_monday() as usize]
    }
}

/// Reads `between` and `days`.
pub(super) fn read(keys: &mut Keys<'_>, notes: &mut Notes<'_>) -> Option<Window> {
    let before = notes.count();
    let between = keys.optional("between").and_then(|node| {
        let mut times = Vec::new();
        for (node, _) in node.texts(notes) {
            times.extend(node.parse(notes, "a time of day in UTC, such as \"09:00\"", time_of_day));
        }
        match times.as_slice() {
            [from, to] if from != to => Some((*from, length(*from, *to))),
            _ if notes.count() > before => None,
            _ => {
                notes.mistake(&node.at(), &node.key, "this is no window", "two times, such as [\"09:00\", \"17:30\"]");
                None
            }
        }
    });
    let mut days = [false; 7];
    match keys.optional("days") {
        None => days = [true; 7],
        Some(node) => {
            for (node, text) in node.texts(notes) {
                match DAYS.iter().position(|day| *day == text) {
                    Some(place) => days[place] = true,
                    None => notes.unknown(&node.at(), &node.key, "this day is not known", text, DAYS),
                }
            }
        }
    }
    (notes.count() == before).then_some(Window { between, days })
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    let is_whole = text.len() == 5;
    NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| is_whole)
}

fn length(from: NaiveTime, to: NaiveTime) -> Duration {
    let length = (to - from).to_std();
    // The end is on the next day.
    length.unwrap_or_else(|_| DAY - (from - to).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(between: Option<(&str, &str)>, days: &[&str]) -> Window {
        let time = |text| time_of_day(text).expect("a time");
        Window {
            between: between.map(|(from, to)| (time(from), length(time(from), time(to)))),
            days: DAYS.map(|day| days.is_empty() || days.contains(&day)),
        }
    }

    fn at(text: &str) -> Timestamp {
        let parsed = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
        Timestamp(parsed.and_utc().timestamp_millis())
    }

    #[test]
    fn a_window_opens_and_closes_as_written() {
        let office = window(Some(("09:00", "17:30")), &["mon", "tue", "wed", "thu", "fri"]);
        let night = window(Some(("22:00", "06:00")), &["fri"]);
        let week = window(None, &["mon", "tue", "wed", "thu", "fri"]);
        let over_sunday = window(None, &["sun", "mon"]);
        // The 5th of January 2026 is a Monday.
        let cases = [
            (&office, "2026-01-05 08:59", None),
            (&office, "2026-01-05 09:00", Some("2026-01-05 09:00")),
            (&office, "2026-01-05 17:29", Some("2026-01-05 09:00")),
            (&office, "2026-01-05 17:30", None),
            (&office, "2026-01-10 12:00", None),
            (&night, "2026-01-09 21:59", None),
            (&night, "2026-01-09 23:00", Some("2026-01-09 22:00")),
            (&night, "2026-01-10 05:59", Some("2026-01-09 22:00")),
            (&night, "2026-01-10 06:00", None),
            (&night, "2026-01-10 23:00", None),
            (&week, "2026-01-05 00:00", Some("2026-01-05 00:00")),
            (&week, "2026-01-09 23:59", Some("2026-01-05 00:00")),
            (&week, "2026-01-10 00:00", None),
            (&over_sunday, "2026-01-05 12:00", Some("2026-01-04 00:00")),
        ];
        for (window, now, opened) in cases {
            assert_eq!(window.opened(at(now)), opened.map(at), "{now}");
        }
        assert_eq!(window(None, &[]).opened(at("2026-01-05 12:00")), Some(Timestamp(i64::MIN)));
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3_600));
        assert_eq!(night.longest(), hours(8));
        assert_eq!(week.longest(), hours(5 * 24));
        assert_eq!(over_sunday.longest(), hours(48));
        assert_eq!(window(None, &[]).longest(), None);
    }

    proptest! {
        /// Minute by minute over two weeks: open for as long as it says, from the opening that it names.
        #[test]
        fn a_window_is_open_from_its_opening_for_its_length(
            from in 0u32..1_440,
            to in 0u32..1_440,
            days in any::<[bool; 7]>(),
        ) {
            prop_assume!(from != to && days != [false; 7]);
            let time = |minute: u32| NaiveTime::from_hms_opt(minute / 60, minute % 60, 0).expect("a time");
            let length = length(time(from), time(to));
            let window = Window { between: Some((time(from), length)), days };
            let start = at("2026-01-05 00:00");
            let minutes = |count: u64| Duration::from_secs(60 * count);
            let mut open = 0;
            for minute in 1_440..(15 * 1_440) {
                let now = start.plus(minutes(minute));
                if let Some(opened) = window.opened(now) {
                    open += 1;
                    prop_assert!(opened <= now && now.since(opened) < length);
                    let opened = opened.utc();
                    prop_assert_eq!(opened.time(), time(from));
                    prop_assert!(days[opened.weekday().num_days_from_monday() as usize]);
                }
            }
            let expected = 2 * days.iter().filter(|is_on| **is_on).count() as u64 * length.as_secs() / 60;
            prop_assert_eq!(open, expected, "two whole weeks");
        }
    }
}
