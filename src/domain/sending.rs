//! A message that goes out: where to, and how far it came (mesh-api 6.6, 7.1).

use std::fmt;

use chrono::{Datelike as _, NaiveDate};
use serde::{Deserialize, Serialize};

use super::ids::{MailboxId, MessageId, Sensitive};
use super::nhs_number::NhsNumber;
use super::onward::Onward;
use super::pair::Pair;

/// What is known of a message that goes out, beside what is known of any delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Its recipient, when that is a mailbox: what routes to a patient's practice names the patient (mesh-api 13).
    pub to: Option<MailboxId>,
    /// Bytes of its payload in each request but the last. Never changed once a request was made.
    pub chunk: u64,
    /// Each of them is compressed in transit.
    pub compress: bool,
    /// How far it came.
    pub progress: Sending,
    /// The pair of files that it was picked up as, if it was.
    #[serde(default)]
    pub pair: Option<Pair>,
    /// The message that it was sent on for, if it was.
    #[serde(default)]
    pub onward: Option<Onward>,
}

impl Outgoing {
    /// The pair that it was picked up as, while that still lies in `OUT`.
    pub fn lying(&self) -> Option<&Pair> {
        self.pair.as_ref().filter(|pair| !pair.is_put_away)
    }
}

/// How far a message that goes out came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sending {
    /// MESH has nothing of it.
    Ready,
    /// Its first request is about to be made, or was: until MESH answers, nobody knows whether it has it.
    Begun,
    /// MESH has its first chunks, and shows it to nobody yet.
    Uploading {
        /// MESH's id.
        message: MessageId,
        /// So many chunks.
        sent: u32,
    },
    /// MESH has it whole.
    Accepted {
        /// MESH's id.
        message: MessageId,
    },
    /// Its recipient has it, and said so.
    Collected {
        /// MESH's id.
        message: MessageId,
    },
    /// MESH gave it up, such as after five days in which nobody collected it.
    Undelivered {
        /// MESH's id.
        message: MessageId,
        /// MESH's code, such as `14`.
        code: Option<String>,
    },
}

impl Sending {
    /// MESH's id, as soon as it gave one.
    pub fn message(&self) -> Option<&MessageId> {
        match self {
            Self::Ready | Self::Begun => None,
            Self::Uploading { message, .. }
            | Self::Accepted { message }
            | Self::Collected { message }
            | Self::Undelivered { message, .. } => Some(message),
        }
    }

    /// MESH may have some of it: another send would be a second message.
    pub fn is_begun(&self) -> bool {
        *self != Self::Ready
    }

    /// The word for lists.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => "queued",
            Self::Begun => "begun",
            Self::Uploading { .. } => "uploading",
            Self::Accepted { .. } => "accepted",
            Self::Collected { .. } => "collected",
            Self::Undelivered { .. } => "undelivered",
        }
    }
}

impl fmt::Display for Sending {
    /// In words, behind the name of what goes out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("is to be sent: MESH has nothing of it"),
            Self::Begun => f.write_str("is about to be sent: until MESH answers it may have it"),
            Self::Uploading { message, sent } => write!(f, "is at MESH with {sent} of its chunks, as {message}"),
            Self::Accepted { message } => write!(f, "was accepted by MESH as {message}"),
            Self::Collected { message } => write!(f, "was collected by its recipient, {message}"),
            Self::Undelivered { message, code } => {
                write!(f, "was not delivered by MESH, {message}")?;
                code.iter().try_for_each(|code| write!(f, ", code {code}"))
            }
        }
    }
}

/// One of MESH's codes (mesh-api 9.2), if it has the shape of one and so may stand in the journal.
pub fn code(text: &str) -> Option<String> {
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((1..=20).contains(&text.len()) && text.bytes().all(is_code)).then(|| text.to_owned())
}

/// What begins an address that names a patient, whose practice is to have the message (mesh-api 13).
const ROUTED: &str = "GPPROVIDER";

/// The mailbox that `to` names, if it names one and not a patient whose practice is to have it.
pub fn recipient(to: &Sensitive) -> Option<MailboxId> {
    let text = to.reveal().trim();
    if is_routed(text) { None } else { MailboxId::new(text.to_ascii_uppercase()).ok() }
}

fn is_routed(text: &str) -> bool {
    text.get(..ROUTED.len()).is_some_and(|start| start.eq_ignore_ascii_case(ROUTED))
}

/// What is wrong with an address that names a patient (mesh-client-files 6.1), without a word of the patient. None for a
/// mailbox.
///
/// The parts are checked and never put together here. MESH's own page writes the date `yyyyMMdd`, older ones `ddMMyyyy`:
/// which of the two a workflow wants its sender knows.
pub fn misrouted(to: &Sensitive) -> Option<&'static str> {
    let text = to.reveal().trim();
    if !is_routed(text) {
        return None;
    }
    let mut parts = text.splitn(4, '_');
    let (word, number, date, surname) = (parts.next(), parts.next(), parts.next(), parts.next());
    if word != Some(ROUTED) {
        return Some("automatic routing begins with GPPROVIDER_, in capitals");
    }
    let is_number = |text: &str| text.len() == 10 && text.parse::<NhsNumber>().is_ok();
    if !number.is_some_and(is_number) {
        return Some("the second part of automatic routing is no NHS number of ten digits whose check digit is right");
    }
    let is_date = |text: &str| {
        let is =
            |format| NaiveDate::parse_from_str(text, format).is_ok_and(|date| (1850..=2200).contains(&date.year()));
        text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) && (is("%Y%m%d") || is("%d%m%Y"))
    };
    if !date.is_some_and(is_date) {
        return Some("the third part of automatic routing is no date of birth, such as 19670126");
    }
    if surname.is_none_or(|surname| surname.trim().is_empty()) {
        return Some("the fourth part of automatic routing, the surname, is missing");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_is_not_told() {
        for code_of_mesh in ["14", "EPL-151", "00"] {
            assert_eq!(code(code_of_mesh).as_deref(), Some(code_of_mesh));
        }
        for other in ["", "999 000 0018", "a patient's name", &"1".repeat(21)] {
            assert_eq!(code(other), None, "{other}");
        }
    }

    #[test]
    fn what_routes_to_a_practice_is_made_of_sound_parts() {
        for (to, part) in [
            ("X26ABC2", None),
            ("GPPROVIDER_9990000018_19670126_Synthetic", None),
            ("GPPROVIDER_9990000018_26011967_O'Synthetic-Smith van", None),
            ("gpprovider_9990000018_19670126_Synthetic", Some("capitals")),
            ("GPPROVIDER_9990000019_19670126_Synthetic", Some("NHS number")),
            ("GPPROVIDER_999 000 0018_19670126_Synthetic", Some("NHS number")),
            ("GPPROVIDER_9990000018_19671326_Synthetic", Some("date of birth")),
            ("GPPROVIDER_9990000018_1967_Synthetic", Some("date of birth")),
            ("GPPROVIDER_9990000018_19670126_", Some("surname")),
            ("GPPROVIDER_9990000018_19670126", Some("surname")),
            ("GPPROVIDER", Some("NHS number")),
        ] {
            let found = misrouted(&Sensitive::new(to));
            assert_eq!(found.is_some(), part.is_some(), "{to}: {found:?}");
            assert!(found.zip(part).is_none_or(|(found, part)| found.contains(part)), "{to}: {found:?}");
        }
    }

    #[test]
    fn a_recipient_is_a_mailbox_and_never_a_patient() {
        for (to, expected) in [
            ("X26ABC2", Some("X26ABC2")),
            (" x26abc2 ", Some("X26ABC2")),
            ("GPPROVIDER_9990000018_19670126_Synthetic", None),
            ("gpprovider_9990000018_19670126_Synthetic", None),
            ("two words", None),
            ("", None),
        ] {
            let found = recipient(&Sensitive::new(to));
            assert_eq!(found.as_ref().map(MailboxId::as_str), expected, "{to:?}");
        }
    }
}
