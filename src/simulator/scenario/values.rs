//! Values as they are written: sizes and periods as in the daemon's own configuration, days, clocks.

use std::time::Duration;

use chrono::{Datelike, NaiveDate};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::domain::quantity::{self, BYTES, PERIOD};
use crate::simulator::certificates::Validity;

/// Bytes, such as `50MB`.
pub(super) fn bytes<'de, D: Deserializer<'de>>(value: D) -> Result<u64, D::Error> {
    read(&String::deserialize(value)?, BYTES, quantity::bytes)
}

/// A length of time, such as `30s`.
pub(super) fn period<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    read(&String::deserialize(value)?, PERIOD, quantity::period)
}

/// The same, where it may be left out.
pub(super) fn some_period<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    period(value).map(Some)
}

/// A length of time, perhaps below zero, in milliseconds.
pub(super) fn offset_ms<'de, D: Deserializer<'de>>(value: D) -> Result<i64, D::Error> {
    let text = String::deserialize(value)?;
    read(&text, &format!("{PERIOD}, perhaps with a minus before it"), |text| {
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
        Some(sign * i64::try_from(quantity::period(text)?.as_millis()).ok()?)
    })
}

/// Two days.
pub(super) fn validity<'de, D: Deserializer<'de>>(value: D) -> Result<Validity, D::Error> {
    let [from, until] = <[String; 2]>::deserialize(value)?;
    let day = |text: &str| {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some((day.year(), u8::try_from(day.month()).ok()?, u8::try_from(day.day()).ok()?))
    };
    let expected = "a day, such as \"2026-01-31\"";
    Ok(Validity { from: read(&from, expected, day)?, until: read(&until, expected, day)? })
}

fn read<T, E: Error>(text: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, E> {
    read(text).ok_or_else(|| E::custom(format!("this value is not understood; expected {expected}")))
}
