//! What makes failures alike.
//!
//! Two failures are alike when they have the same state (dead with its cause, or held), the same code, and the same
//! [`pattern`] of their detail. Mailbox and message have no part in it, so that one mistake is one group everywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Hasher;
use super::fault::FaultCode;

/// Characters of a detail that count: our own details are shorter, and rows of the index stay small.
const LONGEST: usize = 200;

/// The name of a group of failures that are alike: the first 64 bits of a SHA-256; in text, as hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub u64);

/// Why a text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group is named by 16 hex digits, as `meshd deadletter groups` shows them")]
pub struct InvalidFingerprint;

impl Fingerprint {
    /// Of failures in `state` for `code`, with this pattern of detail.
    pub fn of(state: &str, code: FaultCode, pattern: &str) -> Self {
        let mut hasher = Hasher::new();
        for part in [state, code.as_str(), pattern] {
            hasher.update(part.as_bytes());
            hasher.update(&[0]);
        }
        Self(hasher.short())
    }
}

/// `detail` with a `#` for each word that holds a digit: numbers, ids, times and most file names.
pub fn pattern(detail: &str) -> String {
    let mut pattern = String::new();
    let mut word = String::new();
    for c in detail.chars().take(LONGEST) {
        if c.is_alphanumeric() || c == '_' || c == '-' {
            word.push(c);
        } else {
            take(&mut pattern, &mut word);
            pattern.push(c);
        }
    }
    take(&mut pattern, &mut word);
    pattern
}

fn take(pattern: &mut String, word: &mut String) {
    if word.contains(char::is_numeric) {
        pattern.push('#');
    } else {
        pattern.push_str(word);
    }
    word.clear();
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;
    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or(InvalidFingerprint)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidFingerprint;
    fn try_from(text: String) -> Result<Self, InvalidFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ids_are_taken_out_and_words_stay() {
        for (detail, expected) in [
            ("no pipeline takes it", "no pipeline takes it"),
            ("it waited 73 h, longer than 72 h", "it waited # h, longer than # h"),
            ("another file has the name 20260105093012_0A1B2C.dat", "another file has the name #.dat"),
            ("X26ABC1: chunk 2 of 3", "#: chunk # of #"),
            ("", ""),
        ] {
            assert_eq!(pattern(detail), expected);
        }
        assert_eq!(pattern(&"ü".repeat(LONGEST + 1)).chars().count(), LONGEST);
    }

    #[test]
    fn state_code_and_pattern_each_make_a_difference() {
        let one = Fingerprint::of("held", FaultCode::MsgTooOld, "it waited # h");
        assert_eq!(one, Fingerprint::of("held", FaultCode::MsgTooOld, "it waited # h"));
        for other in [
            Fingerprint::of("dead", FaultCode::MsgTooOld, "it waited # h"),
            Fingerprint::of("held", FaultCode::MsgGone, "it waited # h"),
            Fingerprint::of("held", FaultCode::MsgTooOld, "it waited"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let fingerprint = Fingerprint(0x00ab_0000_0000_0001);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for text in ["", "ab", "+0ab000000000001", "zzab000000000001", "00ab0000000000011"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(InvalidFingerprint), "{text:?}");
        }
    }
}
