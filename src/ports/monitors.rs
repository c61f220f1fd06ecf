//! What operators are told of monitors. No patient data: a flow is a digest (I8).

use serde::{Deserialize, Serialize};

use crate::domain::ids::{MailboxId, Name};
use crate::domain::time::Timestamp;

/// One monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorStatus {
    /// Its pipeline.
    pub pipeline: Name,
    /// Its name there.
    pub name: Name,
    /// `traffic` or `sequence`.
    pub kind: String,
    /// When the last message that it saw was accepted.
    pub last: Option<Timestamp>,
    /// What did not come, if anything.
    pub alarm: Option<MonitorAlarm>,
    /// Of one that counts, messages of flows that it has no room for.
    pub unfollowed: u64,
    /// Of one that counts, its flows.
    pub flows: Vec<FlowStatus>,
}

/// Something did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorAlarm {
    /// `MONITOR-QUIET` or `MONITOR-GAP`.
    pub code: String,
    /// What.
    pub detail: String,
    /// Since when it is told.
    pub since: Timestamp,
}

/// One sender's numbers for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStatus {
    /// A short keyed digest of both.
    pub flow: String,
    /// The mailbox that sent the last message.
    pub from: Option<MailboxId>,
    /// When its last message was accepted.
    pub last: Timestamp,
    /// The number that should come next.
    pub next: u64,
    /// First and last number of each gap, also of those that may still come in time.
    pub missing: Vec<(u64, u64)>,
    /// How many more are missing than the gaps say.
    pub unlisted: u64,
    /// How many came again.
    pub again: u64,
    /// How often its sender counted anew.
    pub restarts: u64,
}
