//! The checked types that stand in the configuration: lengths of time, sizes, shares, modes, schedules, names.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::document::{Node, Value};
use super::read::{Notes, Setting, read_text, read_whole};
use crate::adapters::mesh::BaseUrl;
use crate::domain::ids::{MailboxId, WorkflowId};
use crate::domain::quantity;

/// A length of time, such as `30s`, `5m`, `7d` or `8y` (a year has 365 days).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Period {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// So many days of 24 hours.
    pub const fn days(days: u64) -> Self {
        Self::seconds(days * 86_400)
    }
}

impl FromStr for Period {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        quantity::period(text).map(Self).ok_or("this is not a length of time")
    }
}

/// Bytes, such as `20GB` (decimal) or `64MiB` (binary).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        quantity::bytes(text).map(Self).ok_or("this is not a size")
    }
}

impl fmt::Display for ByteSize {
    /// The largest decimal unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)] {
            if self.0 >= bytes && self.0.is_multiple_of(bytes) {
                return write!(f, "{}{unit}", self.0 / bytes);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// A share of a whole: `0%` to `100%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

impl FromStr for Percent {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text.strip_suffix('%').and_then(|number| number.parse().ok());
        share.filter(|share| *share <= 100).map(Self).ok_or("this is not a share of a whole")
    }
}

/// Permission bits of output files, such as `0640`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text, 8).map_err(|_| "these are not octal digits".to_owned())?;
        if mode & !0o777 != 0 {
            return Err("only read, write and execute bits can be set".into());
        }
        if mode & 0o400 == 0 {
            return Err("the daemon itself could not read the files".into());
        }
        if mode & 0o002 != 0 {
            return Err("anyone could write to the files".into());
        }
        Ok(Self(mode))
    }
}

/// When to list an inbox: a cron schedule of six fields, seconds first, in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron(Box<cron::Schedule>);

impl Cron {
    /// The schedule.
    pub fn schedule(&self) -> &cron::Schedule {
        &self.0
    }

    /// The shortest and longest time between two of the next thousand ticks; `None` when fewer than two lie ahead.
    pub fn gaps(&self, from: chrono::DateTime<chrono::Utc>) -> Option<(Duration, Duration)> {
        let ticks: Vec<_> = self.0.after(&from).take(1_000).collect();
        let gaps = ticks.windows(2).map(|pair| (pair[1] - pair[0]).to_std().unwrap_or_default());
        let shortest = gaps.clone().min()?;
        Some((shortest, gaps.max()?))
    }
}

impl FromStr for Cron {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_whitespace().count() {
            6 => {}
            5 => return Err(format!("five fields lack the seconds: write \"0 {text}\"")),
            fields => return Err(format!("there are {fields} fields, not six")),
        }
        text.parse().map(|schedule| Self(Box::new(schedule))).map_err(|error: cron::error::Error| {
            // The last line of several says what is wrong; the others draw where.
            let text = error.to_string();
            // Its limits are the last numbers allowed, though it says otherwise.
            text.lines().last().unwrap_or("this is not a schedule").replace("must be less than", "must be at most")
        })
    }
}

/// A path that starts at the root and has no `..` in it.
fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    if !path.is_absolute() {
        return Err("this path does not begin with `/`");
    }
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err("this path goes back through `..`");
    }
    Ok(path)
}

/// The URL of an HTTP proxy: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy(pub String);

impl FromStr for Proxy {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: http::Uri = text.parse().map_err(|_| "this is not a URL")?;
        if url.scheme_str() != Some("http") {
            return Err("proxies are spoken to in plain HTTP");
        }
        match url.authority() {
            Some(authority) if authority.as_str().contains('@') => Err("credentials do not belong in a URL"),
            Some(_) if url.path() == "/" && url.query().is_none() => Ok(Self(text.trim_end_matches('/').to_owned())),
            Some(_) => Err("this goes on after host and port"),
            None => Err("this URL has no host"),
        }
    }
}

/// An address to listen on, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nobody listens.
    Off,
    /// An IP address and a port; port 0 takes any that is free.
    Address(SocketAddr),
}

impl FromStr for Listen {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            address => address.parse().map(Self::Address).map_err(|_| "this is not an IP address with a port"),
        }
    }
}

macro_rules! written_as_text {
    ($($type:ty, $expected:expr, $build:expr;)+) => {
        $(impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn schema() -> Json {
                json!({ "type": "string" })
            }

            fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self> {
                read_text(node, key, notes, Self::EXPECTED, $build)
            }
        })+
    };
}

written_as_text! {
    Period, quantity::PERIOD, str::parse;
    ByteSize, quantity::BYTES, str::parse;
    ChunkSize, "a size from \"1KB\" to \"100MB\"", str::parse;
    Percent, "a share such as \"10%\"", str::parse;
    Mode, "octal permission bits such as \"0640\"", str::parse;
    Cron, "six cron fields, seconds first, such as \"0 */5 * * * *\"", str::parse;
    PathBuf, "an absolute path", absolute;
    Listen, "an IP address with a port such as \"127.0.0.1:9464\", or \"off\"", str::parse;
    Proxy, "a URL such as \"http://proxy.example:3128\"", str::parse;
    BaseUrl, "a URL such as \"https://localhost:8743\"", BaseUrl::parse;
    String, "a string", |text| Ok::<_, String>(text.to_owned());
    WorkflowId, "1 to 300 printable ASCII characters", |text| WorkflowId::new(text).map_err(|_| "this is not a workflow id");
    MailboxId, "1 to 100 letters, digits, `_` or `-`, such as \"X26ABC1\"",
        |text| MailboxId::new(text).map_err(|_| "this is not a mailbox id");
}

impl Setting for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }

    fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self> {
        let Value::Truth(truth) = node.value else {
            notes.find(key, format!("this is {}", node.value.kind()), Self::EXPECTED);
            return None;
        };
        Some(truth)
    }
}

impl Setting for u64 {
    const EXPECTED: &'static str = "a whole number of at least 1";

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1 })
    }

    fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self> {
        read_whole(node, key, notes, Self::EXPECTED, 1..=i64::MAX)
    }
}

/// How many messages are worked on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers(pub u16);

/// How many downloads one mailbox has under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight(pub u16);

/// Bytes in each request of a message that goes out, but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize(pub u64);

impl FromStr for ChunkSize {
    type Err = &'static str;
    /// A request has at most 100,000,000 bytes (mesh-api 8).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let size = quantity::bytes(text).filter(|size| (1_000..=100_000_000).contains(size));
        size.map(Self).ok_or("this is not the size of a chunk")
    }
}

macro_rules! counted {
    ($($type:ident, $most:literal, $expected:literal;)+) => {
        $(impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn schema() -> Json {
                json!({ "type": "integer", "minimum": 1, "maximum": $most })
            }

            fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self> {
                read_whole(node, key, notes, Self::EXPECTED, 1..=$most).map(Self)
            }
        })+
    };
}

counted! {
    Workers, 64, "a whole number from 1 to 64";
    InFlight, 32, "a whole number from 1 to 32; NHS assurance asks for 1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_divides_them() {
        assert_eq!(ByteSize(64_000_000).to_string(), "64MB");
        assert_eq!(ByteSize(1_536).to_string(), "1536B");
    }

    #[test]
    fn shares_stay_within_the_whole() {
        assert_eq!("10%".parse(), Ok(Percent(10)));
        for wrong in ["10", "101%", "%", "300%"] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn modes_are_octal_and_never_world_writable() {
        assert_eq!("0640".parse(), Ok(Mode(0o640)));
        for wrong in ["0648", "0662", "4640", "0040", "rw"] {
            assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_crontab_line_of_five_fields_is_told_what_it_lacks() {
        let error = "*/5 * * * *".parse::<Cron>().expect_err("five fields are refused");
        assert!(error.contains("\"0 */5 * * * *\""), "{error}");
    }

    #[test]
    fn the_last_hour_of_a_day_is_allowed_and_the_limit_is_told_so() {
        assert!("0 0 23 * * *".parse::<Cron>().is_ok());
        let error = "0 0 25 * * *".parse::<Cron>().expect_err("no day has it");
        assert!(error.contains("at most 23"), "{error}");
    }

    #[test]
    fn the_shortest_and_longest_gap_of_a_schedule_are_found() {
        let from = chrono::DateTime::UNIX_EPOCH;
        for (text, shortest, longest) in
            [("0 */5 * * * *", 300, 300), ("0 0,2 * * * *", 120, 3_480), ("*/10 * * * * *", 10, 10)]
        {
            let cron: Cron = text.parse().expect("six fields");
            let gaps = cron.gaps(from).expect("it repeats");
            assert_eq!(gaps, (Duration::from_secs(shortest), Duration::from_secs(longest)), "{text}");
        }
    }

    #[test]
    fn proxies_are_a_host_and_nothing_secret() {
        assert_eq!("http://proxy.example:3128/".parse(), Ok(Proxy("http://proxy.example:3128".into())));
        for wrong in ["proxy:3128", "https://proxy", "http://user:pass@proxy", "http://proxy/path", "/path"] {
            assert!(wrong.parse::<Proxy>().is_err(), "{wrong}");
        }
    }
}
