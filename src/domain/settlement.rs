//! The last word on a lease.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::FaultCode;
use super::ids::Name;
use super::output::OutputState;

/// What becomes of a delivery after one round of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The end: every output is published.
    Delivered(Vec<OutputState>),
    /// The end: a rule says it goes nowhere.
    Discarded(Reason),
    /// A fault of the message that may pass: one attempt is counted.
    Retry {
        /// From now.
        after: Duration,
        /// Why.
        reason: Reason,
    },
    /// The world is busy: no attempt is counted. Outputs keep their states.
    Defer {
        /// From now.
        after: Duration,
        /// Why.
        reason: Reason,
        /// How far each output came.
        outputs: Vec<OutputState>,
    },
    /// Nothing was done; it may be leased again at once.
    Release,
    /// A person must look.
    Held {
        /// Why.
        reason: Reason,
        /// How far each output came.
        outputs: Vec<OutputState>,
    },
    /// Bad mail: set aside with its cause.
    Dead {
        /// How it came to this.
        cause: DeathCause,
        /// Why.
        reason: Reason,
    },
}

/// Why, for people and for grouping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The entry in `deadletter/reasons.toml`.
    pub code: FaultCode,
    /// What happened, in words without patient data.
    pub detail: String,
}

impl Reason {
    /// A reason with its detail.
    pub fn new(code: FaultCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// Why a message of a suspended pipeline is held: the same words each time, so that what it held can be found.
    pub fn suspended(pipeline: &Name) -> Self {
        Self::new(FaultCode::PipelineSuspended, format!("pipeline {pipeline} is suspended"))
    }
}

/// How a message became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeathCause {
    /// The same bytes would fail the same way.
    Permanent,
    /// Every attempt was used.
    Exhausted,
    /// Handling it harms the daemon.
    Poison,
}
