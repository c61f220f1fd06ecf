//! Output folders whose consumer does not take what lies there: they get no more until it does.
//!
//! So a consumer that stopped closes the whole chain: its mail waits here (`OUT-BACKLOG`) until the mailbox's limits
//! are reached, then at MESH (I7). When it takes files again, all goes on by itself.
//!
//! Guarantees: while more than the limit would lie in a folder nothing is staged for it, until a quarter of the limit is
//! free again, so that it does not flutter. What is admitted counts from then on, and until a look that began after its
//! files were there: twice for a moment rather than never. Roots share one staging folder, so what is staged counts for
//! each of their folders. A folder is looked at once a second at most, and never for longer
//! than a twentieth of the time, on the threads of its root (see `Patient`). Each look reads the whole folder, which the
//! limit keeps small: unless it is set for a folder that is full already.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Publisher;
use super::marker::MARKER;
use super::root::{Place, Trouble, check};
use crate::domain::envelope::MessageKind;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::output::{FolderPlan, STATUS_FILE, Unconsumed};
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::disk::{Disk, EntryKind};
use crate::ports::outputs::StageJob;

/// Between two looks at one folder.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// And so many times as long as the last look took.
const REST: u32 = 20;

/// The folders with a limit.
pub struct Backlogs {
    clock: Arc<dyn Clock>,
    folders: Mutex<BTreeMap<PathBuf, Folder>>,
}

#[derive(Debug)]
struct Folder {
    /// One of the outputs there.
    plan: FolderPlan,
    most: Unconsumed,
    lying: Lying,
    /// Files admitted, which no look can be trusted to have seen.
    under_way: u64,
    /// Files that were staged since the last look began.
    added: u64,
    /// Not looked at before, on the monotonic clock.
    next_look: Duration,
    is_closed: bool,
}

/// A set that was admitted: under way until this is dropped, when its files are staged or are not to be.
#[must_use]
pub(super) struct Admitted<'a> {
    backlogs: &'a Backlogs,
    folder: &'a Path,
    files: u64,
}

/// What a look found.
#[derive(Debug, Clone, Copy, Default)]
struct Lying {
    /// There, or staged.
    files: u64,
    oldest: Option<Timestamp>,
}

impl Backlogs {
    /// No folder has a limit yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, folders: Mutex::default() })
    }

    /// Goes by these from now on. Of several limits for one folder the least counts.
    pub fn change(&self, limits: Vec<(FolderPlan, Unconsumed)>) {
        let mut folders: BTreeMap<PathBuf, Folder> = BTreeMap::new();
        for (plan, most) in limits {
            let new = Folder::new(plan, most);
            let folder = folders.entry(new.plan.folder.clone()).or_insert(new);
            folder.most = folder.most.least(most);
        }
        let mut known = self.lock();
        for (path, folder) in &mut folders {
            folder.under_way = known.get(path).map_or(0, |before| before.under_way);
        }
        *known = folders;
    }

    /// May a set for `job` be staged? If so it counts from here on; what is returned is kept until it is staged.
    pub(super) fn admit<'a>(&'a self, publisher: &Publisher, job: &StageJob<'a>) -> Result<Admitted<'a>, Fault> {
        let files = match job.delivery.kind {
            MessageKind::Data => 2,
            MessageKind::Report => 1,
        };
        self.look_if_due(publisher, &job.plan.folder);
        let now = self.clock.wall();
        if let Some(folder) = self.lock().get_mut(&job.plan.folder) {
            folder.judge(files, now).map_err(|trouble| trouble.fault(&job.plan.name))?;
            folder.under_way += files;
        }
        Ok(Admitted { backlogs: self, folder: &job.plan.folder, files })
    }

    /// The first folder under `root` that is closed.
    fn closed_under(&self, publisher: &Publisher, root: &Path) -> Result<(), Fault> {
        let folders: Vec<PathBuf> = self.lock().keys().filter(|folder| folder.starts_with(root)).cloned().collect();
        for folder in folders {
            self.look_if_due(publisher, &folder);
            let now = self.clock.wall();
            if let Some(folder) = self.lock().get_mut(&folder) {
                folder.judge(0, now).map_err(|trouble| trouble.fault(&folder.plan.name))?;
            }
        }
        Ok(())
    }

    /// Looks, unless it was looked just now or someone does: nobody waits for another's look.
    fn look_if_due(&self, publisher: &Publisher, path: &Path) {
        let begun = self.clock.monotonic();
        let (plan, there) = {
            let mut folders = self.lock();
            let Some(folder) = folders.get_mut(path).filter(|folder| folder.next_look <= begun) else { return };
            folder.next_look = begun + LOOK_EVERY;
            (folder.plan.clone(), folder.added)
        };
        // A folder that cannot be looked at has a trouble of its own, which whoever writes there is told.
        let Ok(lying) = look(&*publisher.disk, &publisher.state_directory, &plan) else { return };
        let ended = self.clock.monotonic();
        if let Some(folder) = self.lock().get_mut(path) {
            folder.lying = lying;
            // After a reload in between it began anew.
            folder.added = folder.added.saturating_sub(there);
            folder.next_look = ended + LOOK_EVERY.max(ended.saturating_sub(begun) * REST);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Folder>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if let Some(folder) = self.backlogs.lock().get_mut(self.folder) {
            // Nothing was counted if the limit came in between.
            folder.under_way = folder.under_way.saturating_sub(self.files);
            folder.added += self.files;
        }
    }
}

impl Publisher {
    /// Minds these limits of what may lie in output folders.
    pub fn with_backlogs(self, backlogs: Arc<Backlogs>) -> Self {
        Self { backlogs: Some(backlogs), ..self }
    }

    /// Do the consumers of the root of `plan` take what lies there, as far as there are limits?
    pub fn is_consumed(&self, plan: &FolderPlan) -> Result<(), Fault> {
        self.backlogs.as_ref().map_or(Ok(()), |backlogs| backlogs.closed_under(self, plan.root()))
    }
}

impl Folder {
    fn new(plan: FolderPlan, most: Unconsumed) -> Self {
        Self {
            plan,
            most,
            lying: Lying::default(),
            under_way: 0,
            added: 0,
            next_look: Duration::ZERO,
            is_closed: false,
        }
    }

    /// Closes at the limit if so many files more came, and opens once a quarter of it is free.
    fn judge(&mut self, more: u64, now: Timestamp) -> Result<(), Trouble> {
        let files = self.lying.files + self.under_way + self.added;
        let age = self.lying.oldest.map(|oldest| now.since(oldest)).unwrap_or_default();
        let is_over = |most: u64| if self.is_closed { files > most / 4 * 3 } else { files + more > most };
        let is_old = |longest: Duration| age > if self.is_closed { longest / 4 * 3 } else { longest };
        let why = match self.most {
            Unconsumed { files: Some(most), .. } if is_over(most) => Some(format!("{most} files may lie there")),
            Unconsumed { age: Some(longest), .. } if is_old(longest) => {
                Some(format!("files may lie there for {} s", longest.as_secs()))
            }
            Unconsumed { .. } => None,
        };
        self.is_closed = why.is_some();
        let folder = self.plan.folder.display();
        why.map_or(Ok(()), |why| {
            let detail = format!("{folder}: {why}: does its consumer take them?");
            Err(Trouble { code: FaultCode::OutBacklog, detail })
        })
    }
}

fn look(disk: &dyn Disk, state_directory: &Path, plan: &FolderPlan) -> Result<Lying, Trouble> {
    let standing = check(disk, state_directory, &Place::of(plan)?)?;
    let list = |folder: &Path| disk.list(folder).map_err(|error| Trouble::from_io("list the output folder", &error));
    // What is staged is about to lie there. One that is renamed between the two lists is counted twice, not missed.
    let staged = list(&standing.staging)?.into_iter().filter(|entry| entry.kind == EntryKind::File).count();
    let entries = list(&standing.folder)?;
    let is_ours =
        |path: &Path| [MARKER, STATUS_FILE].iter().any(|name| path.file_name().is_some_and(|own| own == *name));
    let mut lying = Lying { files: staged as u64, oldest: None };
    for entry in entries.into_iter().filter(|entry| entry.kind == EntryKind::File && !is_ours(&entry.path)) {
        lying.files += 1;
        lying.oldest = Some(lying.oldest.map_or(entry.modified, |oldest| oldest.min(entry.modified)));
    }
    Ok(lying)
}

#[cfg(test)]
mod tests;
