//! Legal holds: mail that must not go while an inquiry or a court may ask for it.
//!
//! Not to be taken for mail that is *held*, which waits for a person: a legal hold keeps payloads and what is known of
//! them, and stands in the way of no delivery (Records Management Code, Appendix I: an inquiry stops all deletion).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::ContentDigest;
use super::ids::{DeliveryId, MailboxId};

/// One legal hold: the journal sequence of the record that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LegalHoldId(pub u64);

impl fmt::Display for LegalHoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0)
    }
}

impl FromStr for LegalHoldId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('h').and_then(|digits| digits.parse().ok());
        number.map(Self).ok_or("expected `h` and a number, as `meshd hold list` shows it")
    }
}

/// What a legal hold keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum HoldScope {
    /// All mail of a mailbox, of now and later.
    Mailbox(MailboxId),
    /// One delivery, and whichever replays it.
    Delivery(DeliveryId),
    /// All mail that the journal connects with one of these people, of now and later: the keyed digests of their NHS
    /// numbers.
    Patients(Vec<ContentDigest>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        assert_eq!(LegalHoldId(7).to_string().parse(), Ok(LegalHoldId(7)));
        for text in ["", "7", "d7", "h", "h-1"] {
            assert!(text.parse::<LegalHoldId>().is_err(), "{text}");
        }
    }
}
