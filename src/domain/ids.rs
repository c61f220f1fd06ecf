//! Checked identifiers: once built, nobody checks again.
//!
//! Everything here is safe to log and to use as a file name component, except [`Sensitive`], which is neither (I8).

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier. The text itself is not repeated: it may be patient data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not {what}: expected {expected}")]
pub struct InvalidId {
    what: &'static str,
    expected: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[doc = concat!("Checks that `text` is ", $expected, ".")]
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { what: $what, expected: $expected })
                }
            }

            /// The text as MESH knows it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

fn is_file_safe(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

text_id!(
    /// A MESH mailbox id, such as `X26ABC1`.
    MailboxId,
    "a mailbox id",
    "1 to 100 ASCII letters, digits, `_` or `-`",
    |text| is_file_safe(text, 100)
);

text_id!(
    /// The id MESH gave a message. Opaque: no time, no order (mesh-api 6.4; mesh-client-files 3.2).
    MessageId,
    "a message id",
    "1 to 100 ASCII letters, digits, `_` or `-`",
    |text| is_file_safe(text, 100)
);

text_id!(
    /// A workflow id: exact and case-sensitive (mesh-api 5.1), at most 300 printable ASCII characters.
    WorkflowId,
    "a workflow id",
    "0 to 300 printable ASCII characters",
    |text| text.len() <= 300 && text.bytes().all(|b| (0x20..0x7f).contains(&b))
);

text_id!(
    /// A name an operator chose in the configuration: a pipeline, an output, a dependency.
    Name,
    "a name",
    "1 to 64 lower-case ASCII letters, digits, `_`, `.` or `-`",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b))
        && !text.starts_with('.')
);

/// Our handling of one message: the journal sequence of the record that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub u64);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}", self.0)
    }
}

impl std::str::FromStr for DeliveryId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.strip_prefix('d')
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or(InvalidId { what: "a delivery", expected: "`d` and a number, such as d42" })
    }
}

/// A bulk act: the journal sequence of the record that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{}", self.0)
    }
}

impl std::str::FromStr for JobId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.strip_prefix('j')
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or(InvalidId { what: "a job", expected: "`j` and a number, such as j42" })
    }
}

/// Text that may be patient data: `Mex-To`, subject, local id, file name.
///
/// It has no `Display`, and `Debug` prints its length only.
/// It serialises, because the sealed envelope and the operator's own output files carry it; nothing else may.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sensitive(String);

impl Sensitive {
    /// Takes the text out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the sealed envelope and the output files.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_a_path_could_misread() {
        for hostile in ["", "..", "a/b", "a\\b", "a\0b", "a b", "é", "A.dat", &"x".repeat(101)] {
            assert!(MessageId::new(hostile).is_err(), "{hostile:?}");
        }
        assert!(MessageId::new("20260105093012123456_0A1B2C").is_ok());
    }

    #[test]
    fn an_invalid_id_does_not_repeat_its_text() {
        let error = MailboxId::new("9990000001 SMITH").expect_err("a space is refused");
        assert!(!error.to_string().contains("SMITH"));
    }

    #[test]
    fn sensitive_text_is_not_printed() {
        assert_eq!(format!("{:?}", Sensitive::new("GPPROVIDER_9990000001")), "[21 bytes]");
    }

    #[test]
    fn delivery_and_job_ids_read_back_what_they_print() {
        assert_eq!("d42".parse::<DeliveryId>(), Ok(DeliveryId(42)));
        assert_eq!(JobId(42).to_string().parse::<JobId>(), Ok(JobId(42)));
        assert!("42".parse::<DeliveryId>().is_err());
        assert!("d42".parse::<JobId>().is_err());
    }
}
