//! Layer 2: outputs appear once (I2).
//!
//! For what: a message's files are put where a consumer takes them, so that across crashes of the process each appears
//! once, whole, payload before control file, and no file of anybody else is ever replaced.
//!
//! What it guarantees:
//! - [`Outputs::stage`] and [`Outputs::publish`] are durable on return, a batch at a time.
//! - Nothing is written to a root that does not carry its recorded marker ([`init_root`]).
//! - What an output's file system does wrong is that output's fault alone: it waits (`OUT-UNAVAILABLE`, `OUT-WRITE`),
//!   costs the message nothing (I5) and touches no other output of the batch (I6). One that does not answer at all is
//!   let go by [`Patient`] (`OUT-HUNG`); one whose consumer takes nothing gets no more, if it has a limit (`OUT-BACKLOG`).
//! - Payloads stream through a small buffer (I3). Names come from ids alone, never from what a sender wrote (I8).
//!
//! What it does not do: it journals nothing (its caller does, between the two calls), retries nothing, logs no content,
//! and never removes a file from an output folder. How file systems keep the promise is in `staging` and [`Promise`].
//!
//! The layouts are `mesh_client` and `plain`; their formats are described there.

mod backlog;
mod ctl;
mod marker;
mod mesh_client;
mod naming;
mod pairs;
mod patient;
mod plain;
mod root;
mod staging;
mod status_file;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::digest::DigestKey;
use crate::domain::fault::Fault;
use crate::domain::output::{FolderPlan, StagedSet};
use crate::ports::clock::Chance;
use crate::ports::disk::Disk;
use crate::ports::outputs::{Outputs, PublishJob, Published, StageJob};

pub use backlog::Backlogs;

pub use marker::{MARKER, MarkerError, NewRoot, RECORD, init_root, mark_restored};
pub use pairs::PairFolders;
pub use patient::{Patience, Patient, probe_roots};
pub use root::{Promise, RootReport, Trial};
pub use staging::sweep::Swept;

use naming::Boot;
use staging::{reveal, sweep, write};

/// The kernel's name of this boot. Read through the disk, so that a simulation owns it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Makes files appear. All calls block, for as long as the file system does: see [`Patient`].
#[derive(Clone)]
pub struct Publisher {
    disk: Arc<dyn Disk>,
    chance: Arc<dyn Chance>,
    key: DigestKey,
    state_directory: PathBuf,
    boot: Boot,
    backlogs: Option<Arc<Backlogs>>,
}

impl Publisher {
    /// A publisher that knows the roots recorded in `state_directory`. It reads which boot of the machine this is.
    pub fn new(disk: Arc<dyn Disk>, chance: Arc<dyn Chance>, key: DigestKey, state_directory: PathBuf) -> Self {
        let boot = boot(&*disk);
        Self { disk, chance, key, state_directory, boot, backlogs: None }
    }

    /// Removes what earlier runs left in the staging folders of `plans`, but for the `live` names.
    ///
    /// `live` holds every [`crate::domain::output::StagedFile::temp`] of a set that is staged and not yet published.
    /// Call it before the first [`Outputs::stage`], which makes names it would not know.
    pub fn sweep(&self, plans: &[FolderPlan], live: &HashSet<String>) -> Swept {
        sweep::sweep(self, plans, live)
    }
}

impl Outputs for Publisher {
    fn stage(&self, jobs: &[StageJob<'_>]) -> Vec<Result<StagedSet, Fault>> {
        write::stage(self, jobs)
    }

    fn publish(&self, jobs: &[PublishJob<'_>]) -> Vec<Published> {
        reveal::publish(self, jobs)
    }
}

fn boot(disk: &dyn Disk) -> Boot {
    let mut bytes = [0; 64];
    let length = disk.read(Path::new(BOOT_ID)).and_then(|file| file.read_at(&mut bytes, 0)).unwrap_or(0);
    std::str::from_utf8(&bytes[..length]).ok().and_then(Boot::from_id).unwrap_or_else(Boot::unknown)
}
