//! `meshd index-probe`: what the daemon runs as a child, not for people.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::daemon;

#[derive(Debug, Args)]
pub(super) struct IndexProbe {
    /// The index's folder
    directory: PathBuf,
}

impl IndexProbe {
    pub(super) fn run(self) -> Result<(), Failure> {
        Ok(daemon::try_index(&self.directory)?)
    }
}
