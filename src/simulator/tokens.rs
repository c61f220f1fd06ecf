//! Who may come in: the `Authorization` header, checked as the national service does (mesh-api 4; 15, rows 1 to 3).
//!
//! Guarantees that a token opens one request only, and none outside the clock window.
//! Memory is bounded by the requests of that window: 8 bytes for each, dropped in whole buckets.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use chrono::NaiveDateTime;

use super::lock;
use crate::adapters::mesh::auth::Credentials;
use crate::domain::time::Timestamp;

/// How far a token's timestamp may lie from the server's time (mesh-api 4.4).
const WINDOW_MINUTES: i64 = 120;
/// Tokens are forgotten in buckets of so many minutes: at most 25 of them live, and each is small enough to grow fast.
const BUCKET_MINUTES: i64 = 10;

/// Why a request was turned away. The caller sees 403 for each; the statistics tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// No header, or not of the five parts.
    Unreadable,
    /// No such mailbox, or not in upper case.
    UnknownMailbox,
    /// The token names another mailbox than the path.
    OtherMailbox,
    /// The hash is not the one its parts give.
    WrongHash,
    /// The timestamp lies outside the window.
    OutsideWindow,
    /// The same mailbox, nonce and count came before.
    Reused,
}

/// The five parts of a token (mesh-api 4.1).
pub(super) struct Token<'a> {
    whole: &'a str,
    pub(super) mailbox: &'a str,
    nonce: &'a str,
    count: &'a str,
    timestamp: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a header value apart; checks shape only.
    pub(super) fn read(whole: &'a str) -> Option<Self> {
        let mut parts = whole.strip_prefix("NHSMESH ")?.split(':');
        let mut next = || parts.next();
        let (mailbox, nonce, count, timestamp, hash) = (next()?, next()?, next()?, next()?, next()?);
        let is_whole = parts.next().is_none() && hash.len() == 64;
        is_whole.then_some(Self { whole, mailbox, nonce, count, timestamp })
    }

    /// A number that stands for (nonce, count). Two unlike tokens of one window share it once in 10^12 years or so.
    fn fingerprint(&self) -> Option<u64> {
        let (high, low) = uuid::Uuid::parse_str(self.nonce).ok()?.as_u64_pair();
        let count: u64 = self.count.parse().ok()?;
        Some(super::payload::mix(high ^ super::payload::mix(low ^ super::payload::mix(count))))
    }

    /// Minutes since 1970.
    fn minute(&self) -> Option<i64> {
        if self.timestamp.len() != 12 {
            return None;
        }
        let moment = NaiveDateTime::parse_from_str(self.timestamp, "%Y%m%d%H%M").ok()?;
        Some(moment.and_utc().timestamp().div_euclid(60))
    }
}

/// The door of one mailbox.
pub(super) struct Door {
    credentials: Credentials,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    buckets: HashMap<i64, HashSet<u64>>,
    swept: i64,
}

impl Door {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, seen: Mutex::default() }
    }

    /// Lets a token in, once.
    pub(super) fn admit(&self, token: &Token<'_>, now: Timestamp) -> Result<(), Refusal> {
        let fingerprint = token.fingerprint().ok_or(Refusal::Unreadable)?;
        let expected = self.credentials.token_parts(token.nonce, token.count, token.timestamp);
        if expected != token.whole {
            return Err(Refusal::WrongHash);
        }
        let now_minute = now.0.div_euclid(60_000);
        let minute = token.minute().ok_or(Refusal::OutsideWindow)?;
        if (minute - now_minute).abs() > WINDOW_MINUTES {
            return Err(Refusal::OutsideWindow);
        }
        lock(&self.seen).take(fingerprint, minute, now_minute).then_some(()).ok_or(Refusal::Reused)
    }
}

impl Seen {
    /// Remembers the token; false if it was there. Looks into every live bucket: a nonce may come back at another time.
    fn take(&mut self, fingerprint: u64, minute: i64, now_minute: i64) -> bool {
        let oldest = (now_minute - WINDOW_MINUTES).div_euclid(BUCKET_MINUTES);
        if self.swept != oldest {
            self.swept = oldest;
            self.buckets.retain(|bucket, _| *bucket >= oldest);
        }
        if self.buckets.values().any(|bucket| bucket.contains(&fingerprint)) {
            return false;
        }
        self.buckets.entry(minute.div_euclid(BUCKET_MINUTES)).or_default().insert(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::MailboxId;

    const NOON: i64 = 1_767_355_200_000;
    const NONCE: &str = "11111111-1111-4111-8111-111111111111";

    fn door() -> (Door, Credentials) {
        let mailbox = MailboxId::new("X26ABC1").expect("a valid mailbox id");
        let credentials = Credentials::new(mailbox, "password".into(), b"TestKey");
        (Door::new(credentials.clone()), credentials)
    }

    fn admit(door: &Door, token: &str, now_ms: i64) -> Result<(), Refusal> {
        door.admit(&Token::read(token).ok_or(Refusal::Unreadable)?, Timestamp(now_ms))
    }

    #[test]
    fn a_token_opens_one_request() {
        let (door, credentials) = door();
        let token = credentials.token(NONCE, Timestamp(NOON));
        assert_eq!(admit(&door, &token, NOON), Ok(()));
        assert_eq!(admit(&door, &token, NOON), Err(Refusal::Reused));
        let later = credentials.token(NONCE, Timestamp(NOON + 3_600_000));
        assert_eq!(admit(&door, &later, NOON + 3_600_000), Err(Refusal::Reused), "the nonce counts, not the moment");
    }

    #[test]
    fn the_window_is_two_hours_both_ways() {
        let (door, credentials) = door();
        for (offset_minutes, nonce, expected) in [
            (120, "00000000-0000-4000-8000-000000000001", Ok(())),
            (121, "00000000-0000-4000-8000-000000000002", Err(Refusal::OutsideWindow)),
            (-120, "00000000-0000-4000-8000-000000000003", Ok(())),
            (-121, "00000000-0000-4000-8000-000000000004", Err(Refusal::OutsideWindow)),
        ] {
            let token = credentials.token(nonce, Timestamp(NOON + offset_minutes * 60_000));
            assert_eq!(admit(&door, &token, NOON), expected, "{offset_minutes} minutes");
        }
    }

    #[test]
    fn wrong_parts_are_told_apart() {
        let (door, credentials) = door();
        let good = credentials.token(NONCE, Timestamp(NOON));
        assert_eq!(admit(&door, &good.replace("NHSMESH ", "nhsmesh "), NOON), Err(Refusal::Unreadable));
        assert_eq!(admit(&door, &format!("{good}:more"), NOON), Err(Refusal::Unreadable));
        assert_eq!(admit(&door, &good.replace(":0:", ":1:"), NOON), Err(Refusal::WrongHash));
        let not_a_guid = credentials.token("nonce", Timestamp(NOON));
        assert_eq!(admit(&door, &not_a_guid, NOON), Err(Refusal::Unreadable));
        let banana = credentials.token_parts(NONCE, "0", "bananabanana");
        assert_eq!(admit(&door, &banana, NOON), Err(Refusal::OutsideWindow));
    }

    #[test]
    fn tokens_are_forgotten_when_their_window_has_passed() {
        let (door, credentials) = door();
        for hour in 0..48 {
            let now_ms = NOON + hour * 3_600_000;
            let nonce = format!("00000000-0000-4000-8000-{hour:012}");
            assert_eq!(admit(&door, &credentials.token(&nonce, Timestamp(now_ms)), now_ms), Ok(()));
        }
        assert!(lock(&door.seen).buckets.len() <= 4, "one bucket an hour for the last two hours");
    }
}
