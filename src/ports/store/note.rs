//! What the daemon itself did.

use serde::{Deserialize, Serialize};

use crate::domain::ids::MailboxId;

/// What the daemon itself did. Journalled for auditors; changes no delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
pub enum Note {
    /// The daemon began a run.
    Started {
        /// Its version.
        version: String,
    },
    /// The daemon was told to end: if that takes too long it is cut off, and nothing in work is to blame (I10).
    Stopping,
    /// The daemon ended a run in order; its absence makes the next start look for suspects.
    Stopped,
    /// A handshake is about to be tried (never more than hourly; remembered across restarts).
    HandshakeTried {
        /// The mailbox.
        mailbox: MailboxId,
    },
    /// A mailbox answered a handshake (daily; remembered across restarts).
    Handshake {
        /// The mailbox.
        mailbox: MailboxId,
    },
    /// An inbox was listed (five minutes apart on national environments; remembered across restarts).
    Listed {
        /// The mailbox.
        mailbox: MailboxId,
    },
    /// The wall clock moved by itself.
    ClockStep {
        /// By so many milliseconds; negative is back.
        milliseconds: i64,
    },
    /// Configuration and pipelines were loaded.
    Configured {
        /// SHA-256 over both, lower-case hex.
        sha256: String,
    },
}
