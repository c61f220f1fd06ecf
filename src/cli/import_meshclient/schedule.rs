//! When an inbox is listed, from the seconds of `PollPeriod`.

use std::time::Duration;

/// The longest schedule of cron that lists at least as often as `period` does, and how often that is: mail never comes
/// later than it did. Cron counts within a minute, an hour or a day, so these divide one of them; a day is the longest.
pub(super) fn at_least_every(period: Duration) -> (Duration, String) {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (count, unit, fields) = match period.as_secs().max(1) {
        seconds @ ..MINUTE => (divisor(60, seconds), 1, ["*/", " * * * * *"]),
        seconds @ MINUTE..HOUR => (divisor(60, seconds / MINUTE), MINUTE, ["0 */", " * * * *"]),
        seconds @ HOUR..DAY => (divisor(24, seconds / HOUR), HOUR, ["0 0 */", " * * *"]),
        DAY.. => return (Duration::from_secs(DAY), "0 0 0 * * *".to_owned()),
    };
    let [before, after] = fields;
    (Duration::from_secs(count * unit), format!("{before}{count}{after}"))
}

/// The largest divisor of `whole` that is not above `most`.
fn divisor(whole: u64, most: u64) -> u64 {
    (1..=most).rev().find(|count| whole.is_multiple_of(*count)).unwrap_or(1)
}
