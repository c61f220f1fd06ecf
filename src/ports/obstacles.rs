//! What stands in the way of mail right now, told by those who meet it.
//!
//! One list for all who ask: `meshd status`, `/readyz`, the status files beside the outputs. No patient data (I8).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::domain::ids::{MailboxId, Name};
use crate::domain::monitor::MonitorId;
use crate::domain::time::Timestamp;

/// Where an obstacle stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// Nothing can be kept.
    Store,
    /// A mailbox cannot take mail in: there is no room for it.
    Door(MailboxId),
    /// MESH does not answer for a mailbox as it should.
    Mesh(MailboxId),
    /// What applications put into the `OUT` of a mailbox is not picked up.
    Pickup(MailboxId),
    /// An output root cannot be published to.
    Output(PathBuf),
    /// A pipeline is suspended: its mail is held.
    Pipeline(Name),
    /// What a monitor of a pipeline expects did not come.
    Monitor(MonitorId),
}

impl At {
    /// What stands there: a word for labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Door(_) => "door",
            Self::Mesh(_) => "mesh",
            Self::Pickup(_) => "pickup",
            Self::Output(_) => "output",
            Self::Pipeline(_) => "pipeline",
            Self::Monitor(_) => "monitor",
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("the store"),
            Self::Door(mailbox) => write!(f, "the door of {mailbox}"),
            Self::Mesh(mailbox) => write!(f, "MESH for {mailbox}"),
            Self::Pickup(mailbox) => write!(f, "the OUT folder of {mailbox}"),
            Self::Output(root) => write!(f, "the output root {}", root.display()),
            Self::Pipeline(pipeline) => write!(f, "the pipeline {pipeline}"),
            Self::Monitor(of) => write!(f, "the monitor {of}"),
        }
    }
}

/// One thing in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Where.
    pub at: At,
    /// Which, from a closed set: a code of `deadletter/reasons.toml`, or the name of a limit or of
    /// what a monitor tells.
    pub code: String,
    /// What happened, in words without patient data.
    pub detail: String,
    /// Since when it stands there, whatever its details since.
    pub since: Timestamp,
}

/// The list, shared by all who write to it and read it.
#[derive(Debug, Clone, Default)]
pub struct Obstacles(Arc<Mutex<BTreeMap<At, Obstacle>>>);

impl Obstacles {
    /// There is one `at`. One that stands there already keeps its `since`.
    pub fn put(&self, at: At, code: &str, detail: impl Into<String>, now: Timestamp) {
        let mut all = self.lock();
        let since = all.get(&at).map_or(now, |standing| standing.since);
        all.insert(at.clone(), Obstacle { at, code: code.into(), detail: detail.into(), since });
    }

    /// There is none `at` any more.
    pub fn clear(&self, at: &At) {
        self.lock().remove(at);
    }

    /// Whether there is one `at`.
    pub fn has(&self, at: &At) -> bool {
        self.lock().contains_key(at)
    }

    /// All of them, in the order of their places.
    pub fn all(&self) -> Vec<Obstacle> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<At, Obstacle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_obstacle_keeps_its_beginning_until_it_is_cleared() {
        let obstacles = Obstacles::default();
        obstacles.put(At::Store, "STORE-FAILED", "slow", Timestamp(1));
        obstacles.put(At::Store, "STORE-FAILED", "slower", Timestamp(2));
        let all = obstacles.all();
        assert_eq!((all.len(), all[0].since, all[0].detail.as_str()), (1, Timestamp(1), "slower"));
        assert!(obstacles.has(&At::Store));
        obstacles.clear(&At::Store);
        assert!(!obstacles.has(&At::Store));
        assert_eq!(obstacles.all(), []);
        obstacles.put(At::Store, "STORE-FAILED", "again", Timestamp(3));
        assert_eq!(obstacles.all()[0].since, Timestamp(3));
    }
}
