//! `deadletter/reasons.toml`, carried inside the program.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::domain::fault::FaultCode;

const TEXT: &str = include_str!("../../deadletter/reasons.toml");

/// Every reason, by its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasons(BTreeMap<FaultCode, Entry>);

/// What there is to say about one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// As written in logs, letters and the journal.
    pub code: FaultCode,
    /// A few words, for lists.
    pub title: String,
    /// What happened.
    pub meaning: String,
    /// What the operator does.
    pub action: String,
    /// Whether and when it may be replayed.
    pub replay: Replay,
}

/// Whether and when a delivery set aside with a code may be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replay {
    /// At any time.
    Safe,
    /// Once the action is done; before it the same happens again.
    AfterFix,
    /// Only with `--force`, alone.
    Force,
    /// There is nothing to replay.
    Never,
}

/// Why the file is not what the program expects. Only an edit of the file can cause it, and a test stands before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReasonsError {
    /// It does not read.
    #[error("reasons.toml does not read: {0}")]
    Syntax(String),
    /// A code has two entries.
    #[error("reasons.toml names {0} twice")]
    Repeated(FaultCode),
    /// A code has no entry.
    #[error("reasons.toml lacks {0}")]
    Missing(FaultCode),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    reason: Vec<Entry>,
}

impl Reasons {
    /// The entries the program carries; read at the first call.
    pub fn carried() -> Result<&'static Self, ReasonsError> {
        static CARRIED: OnceLock<Result<Reasons, ReasonsError>> = OnceLock::new();
        CARRIED.get_or_init(|| Self::parse(TEXT)).as_ref().map_err(Clone::clone)
    }

    /// Reads entries, one for each code.
    pub fn parse(text: &str) -> Result<Self, ReasonsError> {
        let document: Document = toml::from_str(text).map_err(|error| ReasonsError::Syntax(error.to_string()))?;
        let mut entries = BTreeMap::new();
        for entry in document.reason {
            let code = entry.code;
            if entries.insert(code, entry).is_some() {
                return Err(ReasonsError::Repeated(code));
            }
        }
        match FaultCode::ALL.iter().find(|code| !entries.contains_key(code)) {
            Some(code) => Err(ReasonsError::Missing(*code)),
            None => Ok(Self(entries)),
        }
    }

    /// What there is to say about `code`.
    pub fn of(&self, code: FaultCode) -> &Entry {
        self.0.get(&code).expect("`parse` leaves no code without an entry")
    }

    /// All entries, in the order of the codes.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_carried_file_has_one_entry_for_every_code() {
        let reasons = Reasons::carried().expect("the carried file reads");
        let codes: Vec<FaultCode> = reasons.all().map(|entry| entry.code).collect();
        assert_eq!(codes, FaultCode::ALL);
        for code in FaultCode::ALL {
            let entry = reasons.of(*code);
            assert_eq!(entry.code, *code);
            assert!(entry.title.len() < 60, "{code}: a title is a few words");
            assert!(entry.meaning.ends_with('.') && entry.action.ends_with('.'), "{code}: sentences");
        }
    }

    #[test]
    fn the_carried_file_stands_in_the_order_of_the_enum() {
        let document: Document = toml::from_str(TEXT).expect("it reads");
        let codes: Vec<FaultCode> = document.reason.iter().map(|entry| entry.code).collect();
        assert_eq!(codes, FaultCode::ALL);
    }

    #[test]
    fn what_harmed_the_daemon_is_replayed_by_force_alone() {
        let reasons = Reasons::carried().expect("the carried file reads");
        for code in FaultCode::ALL {
            assert_eq!(reasons.of(*code).replay == Replay::Force, code.needs_force(), "{code}");
            assert!(code.needs_force() || !code.is_poison(), "{code}");
        }
    }

    #[test]
    fn repeated_missing_and_unknown_entries_are_refused() {
        let first = TEXT.split("[[reason]]").nth(1).expect("there is a first entry");
        assert_eq!(
            Reasons::parse(&format!("{TEXT}\n[[reason]]{first}")),
            Err(ReasonsError::Repeated(FaultCode::MsgBadHeaders))
        );
        assert_eq!(
            Reasons::parse(&TEXT.replacen(&format!("[[reason]]{first}"), "", 1)),
            Err(ReasonsError::Missing(FaultCode::MsgBadHeaders))
        );
        let misspelt = TEXT.replacen("MSG-GONE", "MSG-WENT", 1);
        assert!(matches!(Reasons::parse(&misspelt), Err(ReasonsError::Syntax(_))));
    }
}
