//! Layer 4: the daemon's life, and the one place that names concrete parts.
//!
//! Start: configuration, lock, keys, index, recovery, control socket, `READY`, work, receiving.
//! Stop: receiving ends and acknowledges what is kept, work ends, the store ends, `STOPPING`.
//! What it waits for at a stop is said every few seconds. A second signal ends at once.

mod archive;
mod bringing;
mod build;
mod bulletin;
mod clock;
pub mod conformance;
mod control;
mod crew;
mod directory;
mod health;
mod heartbeat;
mod http;
mod jobs;
mod keys;
mod legal_holds;
mod lock;
mod logging;
mod metrics;
mod monitors;
mod notify;
mod online;
mod operations;
mod people;
mod pickups;
mod pipelines;
mod probe;
mod readings;
mod reload;
mod rewrap;
mod run;
mod sealing;
mod service;
mod signals;
mod tellers;

use std::path::Path;

use anyhow::Context as _;

pub use clock::{SystemChance, SystemClock};
pub use control::{
    Answer, Ask, AskError, Held, LARGEST_PAGE, MOST_ACTS, Outcome, Refusal, ask, ask_for_bytes, bring_in, pin,
};
pub use keys::foreign_key;
pub use lock::Lock;
pub use online::{Probe, Verdict, probe};
pub use pickups::pickup_plans;
pub use pipelines::{examine as examine_pipelines, load as load_pipelines};
pub use probe::COMMAND as INDEX_PROBE;
pub use run::run;
pub use service::{client, invalid_certificate};

use crate::domain::finding::Finding;
use crate::ports::store::Halt;
use crate::store::index::sled::Sled;

/// Why the daemon does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Configuration, pipelines or keys have mistakes.
    #[error("{} mistakes in the configuration", .0.len())]
    Configuration(Vec<Finding>),
    /// Something is in the way that may go away by itself.
    #[error("{0:#}")]
    InTheWay(anyhow::Error),
    /// Stable storage failed: a person must look before it starts again.
    #[error(transparent)]
    Halted(#[from] Halt),
    /// The stop did not come to its end within `life.drain`. Nothing is lost: the next start takes it up.
    #[error("the stop was cut off after life.drain; what was in work is taken up at the next start")]
    CutOff,
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Opens the index at `directory` and closes it: what [`INDEX_PROBE`] does in a child process.
pub fn try_index(directory: &Path) -> Result<(), anyhow::Error> {
    Sled::try_out(directory).context("try the index")
}
