//! What the daemon itself did.

use serde::{Deserialize, Serialize};

use crate::domain::digest::ContentDigest;
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, MailboxId, Name};
use crate::domain::monitor::{MonitorId, Turn};
use crate::domain::operator::{Operator, Purpose, Remark};
use crate::domain::recipient::RecipientTag;

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
    /// A pipeline was suspended: too many of its messages failed alike (I5).
    Suspended {
        /// The pipeline.
        pipeline: Name,
        /// How they failed.
        code: FaultCode,
    },
    /// An operator lets a suspended pipeline go on.
    Resumed {
        /// The pipeline.
        pipeline: Name,
        /// Who.
        by: Operator,
        /// Why, in their words.
        why: Option<Remark>,
    },
    /// A backup that began is whole, and everything it copied was kept in place.
    BackupEnded {
        /// Sequence of the last record in it.
        sequence: u64,
        /// Who made it.
        by: Operator,
    },
    /// An age identity was made, to be used from a later start on.
    KeyMade {
        /// Its recipient.
        recipient: RecipientTag,
        /// Who made it.
        by: Operator,
    },
    /// A person has everything sealed again that is not sealed for the present recipients.
    RewrapBegun {
        /// Who.
        by: Operator,
    },
    /// Someone read the journal.
    AuditRead {
        /// Who.
        by: Operator,
        /// What they asked for, in words.
        what: String,
        /// How many records they were given at first; the rest of what they asked for may follow, page by page.
        records: u64,
    },
    /// Someone is about to be shown what is sealed of a delivery.
    Revealed {
        /// The delivery.
        id: DeliveryId,
        /// Its bytes too, and not its envelope alone.
        payload: bool,
        /// Who.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// Someone is about to be told what is kept about people.
    SubjectSought {
        /// The keyed digests of their NHS numbers.
        patients: Vec<ContentDigest>,
        /// What for.
        purpose: Purpose,
        /// Who.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// An operator has a mailbox rest: nothing of it is leased until it is resumed, across restarts too.
    MailboxSuspended {
        /// The mailbox.
        mailbox: MailboxId,
        /// Who.
        by: Operator,
        /// Why, in their words.
        why: Remark,
    },
    /// An operator lets a mailbox go on.
    MailboxResumed {
        /// The mailbox.
        mailbox: MailboxId,
        /// Who.
        by: Operator,
        /// Why, in their words.
        why: Option<Remark>,
    },
    /// A pipeline raised an alarm about a message, which went its way.
    Alarmed {
        /// The delivery.
        id: DeliveryId,
        /// The pipeline.
        pipeline: Name,
        /// What about.
        code: FaultCode,
    },
    /// Something became of a monitor.
    Monitor {
        /// Which.
        of: MonitorId,
        /// What.
        turn: Turn,
    },
}
