//! The pair of files that a message is picked up as (mesh-client-files 1, 3 and 4): `<base>.dat` and `<base>.ctl`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::ContentDigest;
use super::time::Timestamp;

/// A longer name is not taken (mesh-client-files 3.4), bytes.
const LONGEST: usize = 200;

/// What both names begin with. It may say who a patient is, so nothing prints it (I8).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseName(String);

impl BaseName {
    /// Takes what is safe as a part of a path, here and on the shares that trusts have.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let is_plain = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
        let is_sound = (1..=LONGEST).contains(&text.len())
            && !text.starts_with('.')
            && !text.ends_with([' ', '.'])
            && text.chars().all(is_plain)
            && !is_device(&text);
        is_sound.then_some(Self(text))
    }

    /// Its text, for paths and keyed digests alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[name]")
    }
}

/// What Windows takes for a device, whatever follows the first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |word: &str| {
        stem.strip_prefix(word).is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

/// The pair that something which goes out was picked up as. What names it is digested: names may be about patients (I8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Keyed digest of its base name. Of one name, one is on its way at a time.
    pub name: ContentDigest,
    /// Keyed digest of its control file.
    pub control: ContentDigest,
    /// Keyed digest of its data file.
    pub data: ContentDigest,
    /// Its length in bytes: what goes out may be longer.
    pub length: u64,
    /// When that last changed, by the wall clock.
    pub modified: Timestamp,
    /// It lies in `OUT` no more: what became of it was told to its sender.
    pub is_put_away: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_name_is_safe_in_a_path_and_never_printed() {
        for name in ["RXX_20260105_0930", "list.csv", "a", "CONSULTANT", "com10", "with space inside", "ünïcode"] {
            let base = BaseName::new(name).unwrap_or_else(|| panic!("{name} is sound"));
            assert_eq!(base.reveal(), name);
            assert_eq!(format!("{base:?}"), "[name]");
        }
        for name in ["", ".hidden", "..", "a/b", "a\\b", "nul", "COM1", "lpt9.old", "end.", "end ", "a\nb", "a\0b"] {
            assert!(BaseName::new(name).is_none(), "{name:?}");
        }
        assert!(BaseName::new("x".repeat(201)).is_none());
    }
}
