//! `meshd backup`

mod create;
mod restore;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;

use super::spool::identities;
use super::{Context, Failure};
use crate::ports::disk::Disk;
use crate::store::disk::Real;
use crate::store::spool::Identities;

#[derive(Debug, Subcommand)]
pub(super) enum Backup {
    /// Copy everything that the running daemon keeps into one sealed file
    Create(create::Create),
    /// Read a whole backup and check all that is in it
    Verify(verify::Verify),
    /// Make a state directory of a backup
    Restore(restore::Restore),
}

impl Backup {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(context),
            Self::Verify(verify) => verify.run(context),
            Self::Restore(restore) => restore.run(context),
        }
    }
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(Real::new())
}

fn opening(identity: PathBuf) -> Result<Identities, anyhow::Error> {
    identities(identity).map_err(anyhow::Error::new).context("read --identity")
}
