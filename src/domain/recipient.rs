//! For whom something is sealed, by name and without any key: an age header does not say it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Hasher;

/// The name of an age recipient: the first 64 bits of the SHA-256 of its text, which is public; in text, as hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecipientTag(pub u64);

/// Why a text is no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a recipient is named by 16 hex digits")]
pub struct InvalidTag;

/// An age identity by what is public of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The key of the configuration that names its file.
    pub key: String,
    /// Its recipient.
    pub recipient: String,
    /// It only reads.
    pub is_retired: bool,
}

impl RecipientTag {
    /// Of a recipient as it is written (`age1…`).
    pub fn of(recipient: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(recipient.trim().as_bytes());
        Self(hasher.short())
    }
}

impl fmt::Display for RecipientTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for RecipientTag {
    type Err = InvalidTag;
    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex { u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidTag) } else { Err(InvalidTag) }
    }
}

impl TryFrom<String> for RecipientTag {
    type Error = InvalidTag;
    fn try_from(text: String) -> Result<Self, InvalidTag> {
        text.parse()
    }
}

impl From<RecipientTag> for String {
    fn from(tag: RecipientTag) -> Self {
        tag.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_reads_back_and_nothing_else_does() {
        let tag = RecipientTag::of("age1gde3ncmahlqd9gg50tanl99r960llztrhfapnmx853s4tjum03uqfssgdh");
        assert_eq!(tag.to_string().parse(), Ok(tag));
        assert_ne!(tag, RecipientTag::of("age1"));
        for text in ["", "0", "+00000000000000f", "00000000000000000"] {
            assert_eq!(text.parse::<RecipientTag>(), Err(InvalidTag), "{text}");
        }
    }
}
