//! Checking a backup from its first byte to its last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::restore::{read, unpack};
use super::{BackupError, Manifest, at};
use crate::domain::step::Step;
use crate::ports::disk::Disk;
use crate::store::journal::verify;
use crate::store::spool::{Identities, inspect};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What the backup says of itself, which is so.
    pub manifest: Manifest,
    /// Messages whose sealed bytes were looked at.
    pub messages: u64,
    /// What of the spool is not sound, one line each. Empty is good.
    pub problems: Vec<String>,
}

/// Reads the whole backup `file`: its seal, its manifest, the chain of its journal, and every sealed payload as it is.
///
/// Needs room in `scratch`, which must not exist and is gone again on return, for the journal, which is in clear there,
/// and for one volume or large message at a time, which stay sealed.
pub fn verify(
    disk: &Arc<dyn Disk>,
    file: &Path,
    identities: &Identities,
    scratch: &Path,
) -> Result<Checked, BackupError> {
    if disk.entry(scratch).map_err(at("look at", scratch))?.is_some() {
        return Err(BackupError::Occupied(scratch.to_owned()));
    }
    let checked = check(disk, file, identities, scratch);
    disk.remove(Step::RestoreWrite, scratch).map_err(at("remove", scratch))?;
    checked
}

fn check(disk: &Arc<dyn Disk>, file: &Path, identities: &Identities, scratch: &Path) -> Result<Checked, BackupError> {
    let mut spool = Spool { disk, folder: scratch.join("spool"), item: None, messages: 0, problems: Vec::new() };
    let manifest = read(disk.as_ref(), file, identities, |name, content| {
        if name.starts_with("spool/") {
            spool.turn_to(item_of(name))?;
        }
        unpack(disk.as_ref(), scratch, name, content).map(drop)
    })?;
    spool.look()?;
    let head = manifest.head()?;
    let found = verify::verify(disk.as_ref(), &scratch.join("journal"), Some(head))?;
    if found.head != head {
        return Err(BackupError::Unsound("its journal goes on after the head of its manifest".into()));
    }
    Ok(Checked { manifest, messages: spool.messages, problems: spool.problems })
}

/// A volume, or the folder of a chunk.
fn item_of(name: &str) -> &str {
    if name.starts_with("spool/volumes/") { name } else { name.rsplit_once('/').map_or(name, |(folder, _)| folder) }
}

/// The part of the spool that was unpacked and not looked at.
struct Spool<'a> {
    disk: &'a Arc<dyn Disk>,
    folder: PathBuf,
    item: Option<String>,
    messages: u64,
    problems: Vec<String>,
}

impl Spool<'_> {
    fn turn_to(&mut self, item: &str) -> Result<(), BackupError> {
        if self.item.as_deref() != Some(item) {
            self.look()?;
            self.item = Some(item.to_owned());
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), BackupError> {
        if self.item.take().is_none() {
            return Ok(());
        }
        for name in ["volumes", "chunks"] {
            let folder = self.folder.join(name);
            self.disk.create_folder(Step::RestoreWrite, &folder).map_err(at("make", &folder))?;
        }
        // No identity: the payloads are for the service's own, which need not be here.
        let report = inspect::verify(self.disk, &self.folder, &Identities::default())?;
        self.messages += report.messages;
        self.problems.extend(report.problems);
        self.disk.remove(Step::RestoreWrite, &self.folder).map_err(at("remove", &self.folder))
    }
}
