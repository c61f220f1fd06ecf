//! A point to which the store can be copied while it runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How far a copy reads. Everything up to there is durable, and names nothing that lies beyond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    /// The journal's last record, as `sequence:hash`: the one that says that a backup began, or one of its commit.
    pub head: String,
    /// Its sequence.
    pub sequence: u64,
    /// First sequence of the journal's open segment; no later one is part of the copy.
    pub segment: u64,
    /// So many bytes of that segment are.
    pub segment_bytes: u64,
    /// The last volume of the spool; no later one is part of the copy. 0 while there is none.
    pub volume: u64,
    /// So many bytes of that volume are.
    pub volume_bytes: u64,
}

/// Keeps what an [`Extent`] names in place until it is dropped: no payload, segment or checkpoint goes, none changes.
///
/// It lives in the process alone, so that nothing is pinned by one that ended.
#[derive(Debug)]
pub struct Pin {
    /// What is pinned.
    pub extent: Extent,
    _hold: Arc<()>,
}

impl Pin {
    /// Holds `extent` for as long as the pin lives: who made `hold` counts its clones.
    pub fn new(extent: Extent, hold: Arc<()>) -> Self {
        Self { extent, _hold: hold }
    }
}
