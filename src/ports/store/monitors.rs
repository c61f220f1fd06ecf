//! What monitors know: made from the journal alone, so that neither a restart nor the loss of the index changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ids::MailboxId;
use crate::domain::monitor::MonitorId;
use crate::domain::sequence::Sequence;
use crate::domain::time::Timestamp;

/// No monitor follows more flows.
pub const MOST_FLOWS: usize = 64;

/// Every monitor there is.
pub type Monitors = BTreeMap<MonitorId, Arc<Monitored>>;

/// What one monitor knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Monitored {
    /// Since when it is watched, or a person last waited no longer for what it missed; by the wall clock.
    pub begun: Timestamp,
    /// When the last message that it saw was accepted, by the wall clock.
    pub last: Option<Timestamp>,
    /// Since when there is an alarm, by the wall clock.
    pub alarmed: Option<Timestamp>,
    /// Messages that are not counted, since there are [`MOST_FLOWS`] others with something missing.
    pub unfollowed: u64,
    /// The flows of one that counts. Each has a row of its own in the index.
    #[serde(skip)]
    pub flows: BTreeMap<String, Flow>,
}

/// What is known of one flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Its numbers.
    pub sequence: Sequence,
    /// When its last message was accepted, by the wall clock.
    pub last: Timestamp,
    /// The mailbox that sent it.
    pub from: Option<MailboxId>,
}
