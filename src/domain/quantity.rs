//! Lengths of time and sizes as operators write them.

use std::time::Duration;

/// What [`period`] reads, for messages.
pub const PERIOD: &str = "a whole number and a unit: ms, s, m, h, d, w or y, such as \"72h\"";

/// What [`bytes()`] reads, for messages.
pub const BYTES: &str = "a whole number and a unit: B, KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as \"50MB\"";

/// A length of time, such as `30s` or `72h`. A day has 24 hours, a year 365 days.
pub fn period(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        "y" => 365 * 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Bytes, such as `50MB` (decimal) or `64MiB` (binary).
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let size = match unit {
        "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(size)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_need_a_number_and_a_known_unit() {
        assert_eq!(period("72h"), Some(Duration::from_secs(259_200)));
        assert_eq!(period("250ms"), Some(Duration::from_millis(250)));
        for wrong in ["", "72", "h", "-1s", "1.5h", "3 fortnights", "99999999999999999y"] {
            assert_eq!(period(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        assert_eq!(bytes("50MB"), Some(50_000_000));
        assert_eq!(bytes("64 MiB"), Some(64 << 20));
        for wrong in ["", "50", "MB", "50mb", "99999999999TB"] {
            assert_eq!(bytes(wrong), None, "{wrong:?}");
        }
    }
}
