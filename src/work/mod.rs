//! From the queue to the outputs: leases what is due, runs its pipeline, publishes, settles.
//!
//! # Guarantees
//!
//! - One order for every delivery: `started` durable, staged, `staged` durable, published, settled (I2).
//!   What an earlier round staged is finished first and never goes through a pipeline again.
//! - Every lease ends in exactly one settlement (I4), after the table of `verdict`.
//! - What the world or a bad configuration did is never a dead letter: it waits, or is held (I5).
//! - A mailbox takes turns with the others, by bytes and by count, and never has the last free worker to itself twice
//!   (I6). What a giant took beyond its turn it pays for before its next one.
//!   An output that does not answer holds no worker for long; the outputs see to that (`publish::Patient`).
//! - After an unclean end suspects run first, one at a time and alone; a panic condemns only what panicked by itself (I10).
//!
//! It does not touch bytes or folders (that is `publish`), nor keep state beyond the store's:
//! which pipelines are suspended is forgotten at a restart or reload.

mod away;
mod lanes;
mod onward;
mod patients;
mod round;
mod scheduler;
mod sealed;
mod suspects;
mod verdict;
mod wave;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::digest::DigestKey;
use crate::domain::operator::Operator;
use crate::domain::retry::Backoff;
use crate::pipeline::Pipelines;
use crate::ports::clock::{Chance, Clock};
use crate::ports::operations::Post;
use crate::ports::outputs::Outputs;
use crate::ports::spool::Spool;
use crate::ports::store::{Halt, Store};
use crate::ports::timings::Timings;

pub use self::wave::Suspensions;

/// Everything that works on accepted mail. Start it with [`Work::run`].
pub struct Work {
    /// Where deliveries are leased and settled.
    pub store: Arc<dyn Store>,
    /// Where payloads are read.
    pub spool: Arc<dyn Spool>,
    /// Where files are published.
    pub outputs: Arc<dyn Outputs>,
    /// Where messages that are sent on are taken in.
    pub post: Arc<dyn Post>,
    /// As whom.
    pub by: Operator,
    /// The pipelines; a reload sends new ones, and each batch takes the newest at its start.
    pub pipelines: watch::Receiver<Arc<Pipelines>>,
    /// Which of them are suspended.
    pub suspensions: Suspensions,
    /// For ages and due times.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub chance: Arc<dyn Chance>,
    /// Told how long each delivery took.
    pub timings: Arc<dyn Timings>,
    /// Tells flows apart without telling whose they are.
    pub key: DigestKey,
    /// How much at once, and how long to wait.
    pub settings: WorkSettings,
}

/// How much at once, and how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkSettings {
    /// Batches in work at the same time, at least 1. From two on, the last free one goes only to a mailbox that has none.
    pub workers: usize,
    /// Deliveries in one batch: they share their commits and their folder syncs.
    pub batch_count: usize,
    /// Payload bytes in one batch, so that a batch is short. A mailbox's turn is as many deliveries, and as many bytes.
    pub batch_bytes: u64,
    /// Waits after a fault of the message that may pass.
    pub retry: Backoff,
    /// Waits for a dependency that is away.
    pub defer: Backoff,
    /// How a mailbox rests while not one delivery of a batch came to an end.
    pub rest: Backoff,
    /// How long everything rests when our own machine is short of something.
    pub local_pause: Duration,
    /// A message that is opened is searched for NHS numbers, whose keyed digests go to the journal.
    pub looks_for_patients: bool,
    /// Mail that declares synthetic patients alone is held.
    pub holds_synthetic: bool,
}

impl Default for WorkSettings {
    fn default() -> Self {
        Self {
            workers: 4,
            batch_count: 64,
            batch_bytes: 8 << 20,
            retry: Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(15 * 60) },
            defer: Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(5 * 60) },
            rest: Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(5) },
            local_pause: Duration::from_secs(5),
            looks_for_patients: true,
            holds_synthetic: false,
        }
    }
}

/// Why work ended before it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// The store can promise nothing more.
    #[error(transparent)]
    Halted(#[from] Halt),
    /// The blocking pool gave a batch up; its leases go back to the store.
    #[error("a batch ended without an answer")]
    Lost,
}
