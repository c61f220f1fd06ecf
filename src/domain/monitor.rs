//! Monitors: what a pipeline's file says should come. Here is what the journal says of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::Name;
use super::operator::{Operator, Remark};
use super::time::Timestamp;

/// A monitor, by its pipeline and its own name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorId {
    /// The pipeline.
    pub pipeline: Name,
    /// Its own name.
    pub monitor: Name,
}

impl fmt::Display for MonitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the pipeline {}", self.monitor, self.pipeline)
    }
}

/// A monitor saw a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    /// Which monitor of the pipeline.
    pub monitor: Name,
    /// The number it bears, for a monitor that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Numbered>,
}

/// A number in a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbered {
    /// The flow, as a short keyed digest of its sender and recipient: both are what a sender wrote (I8).
    pub flow: String,
    /// The number.
    pub number: u64,
}

/// What became of a monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Turn {
    /// It is watched from now on.
    Begun,
    /// Its alarm began.
    Raised,
    /// Its alarm ended, since what was missed has come, or is not expected now.
    Cleared,
    /// A person waits no longer for what it missed.
    Accepted {
        /// What is missing since then or longer, in the store's own time.
        until: Timestamp,
        /// Who.
        by: Operator,
        /// Why.
        why: Remark,
    },
    /// Its pipeline's file does not have it any more: what was known of it is forgotten.
    Ended,
}
