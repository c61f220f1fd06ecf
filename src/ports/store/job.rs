//! Bulk acts, or jobs: the same done with all that a selection takes, one after the other, across restarts.
//!
//! A job covers what was set aside before it began, and meets none of it twice: what is replayed or released and fails
//! again was set aside later. What it may not act on is counted by reason and left as it is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Act, Acted, NotAllowed, Reply, Selection};
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, JobId, MailboxId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::time::Timestamp;

/// No more are under way at once: each is a person's, and more at once is most likely a script gone wrong.
pub const MOST_OPEN_JOBS: u64 = 4;

/// Bulk acts, kept as everything else in the store is.
pub trait Jobs: Send + Sync {
    /// What a job would do, without doing it: a part of it, see [`Foreseen::rest`].
    fn foresee(&self, wanted: Foresight) -> Reply<Foreseen>;
    /// Begins a job; it is done by [`Jobs::step_job`]. Durable on reply.
    fn begin_job(&self, order: JobOrder) -> Reply<Result<JobId, TooManyJobs>>;
    /// Acts on the next deliveries of a job, `count` at the most. Durable on reply, together with how far it came.
    fn step_job(&self, job: JobId, count: usize) -> Reply<Stepped>;
    /// Ends a job where it is; `false` if it is not under way. Durable on reply.
    fn cancel_job(&self, job: JobId, by: Operator) -> Reply<bool>;
    /// The jobs under way, and the last that ended, oldest first.
    fn jobs(&self) -> Reply<Vec<Job>>;
}

/// What an operator wants done with all that a selection takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobOrder {
    /// With which.
    pub selection: Selection,
    /// What.
    pub act: JobAct,
    /// How fast.
    pub rate: Rate,
    /// By whom.
    pub by: Operator,
    /// Why, in their words.
    pub why: Remark,
}

/// What a job can do. What takes `--force` or `--again` is for a person to look at, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobAct {
    /// [`Act::Replay`].
    Replay,
    /// [`Act::Release`].
    Release,
    /// [`Act::Hold`].
    Hold,
    /// [`Act::Discard`].
    Discard,
}

impl JobAct {
    /// The word of the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Release => "release",
            Self::Hold => "hold",
            Self::Discard => "discard",
        }
    }
}

impl From<JobAct> for Act {
    fn from(act: JobAct) -> Self {
        match act {
            JobAct::Replay => Self::Replay { force: false, again: false },
            JobAct::Release => Self::Release { force: false, again: false },
            JobAct::Hold => Self::Hold,
            JobAct::Discard => Self::Discard,
        }
    }
}

/// How many deliveries a job acts on in a second, at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Rate(u32);

/// Why a text or a number is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate is written such as 50/s, from 1/s to {fastest}/s", fastest = Rate::FASTEST)]
pub struct InvalidRate;

impl Rate {
    /// Faster ones would leave nothing of the store for mail that comes.
    pub const FASTEST: u32 = 1_000;

    /// So many in a second.
    pub fn per_second(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Rate {
    type Error = InvalidRate;
    fn try_from(per_second: u32) -> Result<Self, InvalidRate> {
        if (1..=Self::FASTEST).contains(&per_second) { Ok(Self(per_second)) } else { Err(InvalidRate) }
    }
}

impl From<Rate> for u32 {
    fn from(rate: Rate) -> u32 {
        rate.0
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let number = text.strip_suffix("/s").and_then(|number| number.parse::<u32>().ok());
        number.ok_or(InvalidRate).and_then(Self::try_from)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What it is to do.
    pub order: JobOrder,
    /// Since when.
    pub begun: Timestamp,
    /// It is through with everything up to this delivery.
    pub reached: Option<DeliveryId>,
    /// How many deliveries it acted on.
    pub done: u64,
    /// What it left as it was, by reason.
    pub left: LeftBehind,
    /// That it ended.
    pub ended: Option<JobEnd>,
}

/// The end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnd {
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: JobOutcome,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobOutcome {
    /// It is through.
    Done,
    /// A person ended it.
    Cancelled(Operator),
    /// The state was restored from a backup: what the job was to do may have been done since.
    Restored,
}

/// Deliveries that a job left as they were, by reason.
pub type LeftBehind = BTreeMap<Left, u64>;

/// Why a job leaves a delivery as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    /// [`NotAllowed::NeedsForce`].
    NeedsForce,
    /// [`NotAllowed::NeedsAgain`].
    NeedsAgain,
    /// [`NotAllowed::MayBeHandled`].
    MayBeHandled,
    /// [`NotAllowed::AsServed`].
    AsServed,
    /// [`NotAllowed::Lost`].
    Lost,
    /// [`NotAllowed::NotHeld`].
    NotHeld,
    /// [`NotAllowed::AlreadyHeld`].
    AlreadyHeld,
    /// It is not set aside any more.
    NotAside,
}

impl Left {
    /// The words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeedsForce => "may harm the daemon, or pass for another message: one alone, with --force",
            Self::NeedsAgain => "a consumer has it, or may have it: by its number, with --again",
            Self::MayBeHandled => "may have been handled before the restore: by its number, with --again",
            Self::AsServed => "kept as MESH served it, because it does not decode",
            Self::Lost => "its payload is gone (SPOOL-LOST)",
            Self::NotHeld => "dead, and not held",
            Self::AlreadyHeld => "held already",
            Self::NotAside => "neither dead nor held any more",
        }
    }
}

impl From<NotAllowed> for Left {
    fn from(refused: NotAllowed) -> Self {
        match refused {
            NotAllowed::NeedsForce(_) => Self::NeedsForce,
            NotAllowed::NeedsAgain => Self::NeedsAgain,
            NotAllowed::MayBeHandled => Self::MayBeHandled,
            NotAllowed::AsServed => Self::AsServed,
            NotAllowed::Lost => Self::Lost,
            NotAllowed::NotHeld => Self::NotHeld,
            NotAllowed::AlreadyHeld => Self::AlreadyHeld,
            // A job always has a reason, and looks at nothing but what is set aside.
            NotAllowed::NeedsReason
            | NotAllowed::NotUnknown
            | NotAllowed::Unknown
            | NotAllowed::Waits
            | NotAllowed::InWork
            | NotAllowed::Delivered
            | NotAllowed::Discarded
            | NotAllowed::ReplayedAs(_) => Self::NotAside,
        }
    }
}

/// What a job did in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stepped {
    /// What became of the deliveries that it acted on, in its order.
    pub acted: Vec<(DeliveryId, Acted)>,
    /// There may be more to do.
    pub is_open: bool,
}

/// What a job would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foresight {
    /// With which.
    pub selection: Selection,
    /// What.
    pub act: JobAct,
    /// Behind this delivery.
    pub after: Option<DeliveryId>,
}

/// What was foreseen, and how to go on: no question looks at more than a bounded number of deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// By mailbox and code, in their order.
    pub tallies: Vec<Forecast>,
    /// What comes behind this delivery was not looked at; `None` if the end was reached.
    pub rest: Option<DeliveryId>,
}

/// What a job would do with the deliveries of one mailbox that were set aside with one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The code.
    pub code: FaultCode,
    /// On how many it would act.
    pub would: u64,
    /// What it would leave as it is, by reason.
    pub left: LeftBehind,
}

/// No job was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{MOST_OPEN_JOBS} bulk acts are under way: wait for one, or `meshd deadletter job cancel` it")]
pub struct TooManyJobs;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_what_it_prints_and_has_bounds() {
        let rate: Rate = "50/s".parse().expect("a rate");
        assert_eq!((rate.per_second(), rate.to_string().as_str()), (50, "50/s"));
        for text in ["", "50", "0/s", "1001/s", "-1/s", "5/m"] {
            assert_eq!(text.parse::<Rate>(), Err(InvalidRate), "{text:?}");
        }
    }
}
