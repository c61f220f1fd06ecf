//! How a command ends: its exit code, and why.

use std::process::ExitCode;

use crate::daemon::{AskError, Refusal, Stop};
use crate::domain::finding::Finding;
use crate::ports::store::NotBroughtIn;

/// Every exit code. 70 and 78 do not restart the unit: only a person can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done.
    Done = 0,
    /// It failed, or what was checked is not in order.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// What was to be looked at is not there, or cannot be read.
    NoInput = 66,
    /// The daemon, or MESH, cannot be reached.
    Unreachable = 69,
    /// Stable storage failed: the daemon halted.
    Halted = 70,
    /// Something is in the way that may go away by itself, or a stop was cut off.
    TryAgain = 75,
    /// This user may not, or MESH refuses us.
    NotPermitted = 77,
    /// The configuration has mistakes.
    Configuration = 78,
}

/// The codes, for `--help`.
pub(super) const HELP: &str = "Exit codes: 0 done, 1 failed, 2 usage, 66 no input, 69 unreachable, 70 halted,
75 try again, 77 not permitted, 78 configuration.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// How a far side that does not do what it should stands to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FarSide {
    Refused,
    Away,
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Mistakes in files, keys or folders.
    #[error("{} mistake{} found", .0.len(), if .0.len() == 1 { "" } else { "s" })]
    Configuration(Vec<Finding>),
    /// MESH refuses us, or is away: what was asked of it says which.
    #[error("{}", match .0 { FarSide::Refused => "MESH refuses", FarSide::Away => "MESH cannot be reached" })]
    Far(FarSide),
    /// The daemon did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What was asked for is under way, and nobody waits for its end.
    #[error("{0}")]
    Unfinished(String),
    /// What was to be looked at could not be: nothing is known of it.
    #[error("{0:#}")]
    NotLooked(anyhow::Error),
    /// The daemon ended.
    #[error(transparent)]
    Stop(Stop),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Configuration(findings) => Self::Configuration(findings),
            Stop::InTheWay(_) | Stop::Halted(_) | Stop::CutOff | Stop::Failed(_) => Self::Stop(stop),
        }
    }
}

impl Failure {
    /// Its exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Configuration(_) | Self::Stop(Stop::Configuration(_)) => Exit::Configuration,
            Self::Ask(AskError::NotRunning(_)) | Self::Far(FarSide::Away) => Exit::Unreachable,
            Self::Far(FarSide::Refused) => Exit::NotPermitted,
            Self::Ask(
                AskError::NotPermitted(_) | AskError::Refused(Refusal::NotPermitted | Refusal::MayOnlyLook { .. }),
            ) => Exit::NotPermitted,
            Self::Ask(AskError::Refused(Refusal::TooMany)) => Exit::Usage,
            Self::Ask(AskError::Refused(Refusal::Halted(_))) | Self::Stop(Stop::Halted(_)) => Exit::Halted,
            Self::Unfinished(_) => Exit::TryAgain,
            Self::Ask(
                AskError::Silent(_)
                | AskError::Refused(
                    Refusal::TooManyJobs(_) | Refusal::NotBroughtIn(NotBroughtIn::Busy | NotBroughtIn::TooMuchWaits(_)),
                ),
            )
            | Self::Stop(Stop::InTheWay(_) | Stop::CutOff) => Exit::TryAgain,
            Self::Ask(
                AskError::Failed(..)
                | AskError::Refused(
                    Refusal::NotUnderstood { .. }
                    | Refusal::TooWide
                    | Refusal::NotRevealed(_)
                    | Refusal::NotBroughtIn(_)
                    | Refusal::LegalHold(_)
                    | Refusal::Unreadable(_),
                ),
            )
            | Self::Stop(Stop::Failed(_)) => Exit::Failed,
            Self::Other(error) if is_denied(error) => Exit::NotPermitted,
            Self::Other(_) => Exit::Failed,
            Self::NotLooked(error) if is_denied(error) => Exit::NotPermitted,
            Self::NotLooked(_) => Exit::NoInput,
        }
    }
}

fn is_denied(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::PermissionDenied)
}
