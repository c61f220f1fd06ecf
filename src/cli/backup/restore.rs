//! `meshd backup restore`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::super::{Context, Failure};
use super::{disk, opening};
use crate::daemon::Lock;
use crate::domain::step::Step;
use crate::publish;
use crate::store::{backup, boot_id};

#[derive(Debug, Args)]
#[command(after_help = "\
Run it as the daemon's user. At the daemon's first start on it a new epoch begins: what was not
settled is held (RESTORED) until a person releases it, for it may have been delivered since.
With --against, the journal of the daemon of before says what became of it, and nothing is
asked; end that daemon for good first. Outputs are used again after `output init --adopt`.

Examples:
  meshd backup restore meshd-000000004711.tar.age --to /var/lib/meshd --identity ./id
  meshd backup restore meshd-000000004711.tar.age --to /var/lib/meshd --identity ./id \\
    --against /mnt/old/meshd/journal")]
pub(in crate::cli) struct Restore {
    /// The backup
    file: PathBuf,
    /// The state directory to make; it must be empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The age identity that opens the backup
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// The journal's folder of the daemon that the backup was made of
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
}

impl Restore {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let (disk, to) = (disk(), &self.to);
        let identities = opening(self.identity)?;
        if disk.entry(to).with_context(|| format!("look at {}", to.display()))?.is_none() {
            disk.create_folder(Step::RestoreWrite, to).with_context(|| format!("make {}", to.display()))?;
        }
        let _lock = Lock::take(to, &boot_id()).context("lock the state directory")?;
        let _before = self.against.as_deref().map(end_of_the_other).transpose()?;
        let restored = backup::restore(disk.as_ref(), &self.file, &identities, to, self.against.as_deref())
            .with_context(|| format!("restore {}", self.file.display()))?;
        publish::mark_restored(disk.as_ref(), to).context("fence the outputs")?;
        let manifest = restored.finish().context("finish the restore")?;
        context.out.good(format_args!("{} is as it was at {}", to.display(), manifest.made))?;
        context.out.line(match self.against {
            Some(_) => "next: `meshd output init --adopt`, then start; what is not settled goes on",
            None => "next: `meshd output init --adopt`, then start; what was not settled is held (RESTORED)",
        })
    }
}

/// A daemon that still runs would go on publishing what its journal does not say yet.
fn end_of_the_other(journal: &Path) -> Result<Option<Lock>, anyhow::Error> {
    let state = journal.parent().ok_or_else(|| anyhow!("{} is no journal's folder", journal.display()))?;
    if !state.join("lock").exists() {
        return Ok(None);
    }
    Ok(Some(Lock::look(state).context("the daemon of before must have ended")?))
}
