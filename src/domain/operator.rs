//! Who acts by hand, and why they say they do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A person or program that acts by hand, by its Unix user id as the kernel gives it: a number, never a name (I8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Operator(pub u32);

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.0)
    }
}

/// What someone looks for people's mail for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To know where it is, by what the journal says.
    Find,
    /// To know where it is, by a look into every payload.
    Scan,
    /// To have it removed.
    Purge,
    /// To have all of it in one file.
    Export,
}

/// Digits of an NHS number.
const NHS_NUMBER: usize = 10;

/// Why someone acts by hand, for the journal: a few words, or the number of a ticket.
///
/// Whatever may hold an NHS number is refused (I8). Names cannot be told from other words: the help says to leave them
/// out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Remark(String);

/// Why a text is no remark. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRemark {
    /// Empty, too long, or with control characters.
    #[error("a reason is 1 to {longest} characters on one line", longest = Remark::LONGEST)]
    Form,
    /// It may name a patient.
    #[error("a reason goes to the journal and must not name a patient: ten digits in a row may be an NHS number")]
    Patient,
}

impl Remark {
    /// Characters at most.
    pub const LONGEST: usize = 200;

    /// Checks the text.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidRemark> {
        let text = text.into();
        let text = text.trim();
        if text.is_empty() || text.chars().count() > Self::LONGEST || text.chars().any(char::is_control) {
            return Err(InvalidRemark::Form);
        }
        // Written with or without spaces or hyphens.
        let groups = text.split(|c: char| !(c.is_numeric() || c == ' ' || c == '-'));
        let digits = |group: &str| group.chars().filter(|c| c.is_numeric()).count();
        if groups.map(digits).any(|digits| digits == NHS_NUMBER) {
            return Err(InvalidRemark::Patient);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Remark {
    type Error = InvalidRemark;
    fn try_from(text: String) -> Result<Self, InvalidRemark> {
        Self::new(text)
    }
}

impl std::str::FromStr for Remark {
    type Err = InvalidRemark;
    fn from_str(text: &str) -> Result<Self, InvalidRemark> {
        Self::new(text)
    }
}

impl From<Remark> for String {
    fn from(remark: Remark) -> String {
        remark.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_one_line_that_names_no_nhs_number() {
        let long = "x".repeat(Remark::LONGEST + 1);
        for text in ["", "  ", "a\nb", long.as_str()] {
            assert_eq!(Remark::new(text), Err(InvalidRemark::Form), "{text:?}");
        }
        for text in ["for 9990000001", "for 999 000 0001.", "999-000-0001"] {
            assert_eq!(Remark::new(text), Err(InvalidRemark::Patient), "{text:?}");
        }
        for text in ["INC0012345", "message 20260105093012123456_0A1B2C", " the practice lost it "] {
            assert_eq!(Remark::new(text).expect("it is fine").as_str(), text.trim());
        }
    }
}
