//! The folders by which applications send (mesh-client-files 2.2): pairs in `OUT`, and what became of them.
//!
//! A pair leaves `OUT` in this order, each step durable before the next, and each found done if it is done again:
//!
//! 1. the report is in `IN`;
//! 2. the control file that says why is in `SENT` or `FAILED`;
//! 3. the data file is beside it;
//! 4. the control file is gone from `OUT`, which is the sign that nothing is left to do.
//!
//! Nobody's file is replaced: where a name is taken, `~2` and so on is added (mesh-client-files 13). A report that was
//! taken before a crash is written once more under the same name.

mod away;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::root::{self, Place, Standing, Trouble};
use super::{Publisher, naming};
use crate::domain::fault::Fault;
use crate::domain::ids::MailboxId;
use crate::domain::output::FolderPlan;
use crate::domain::pair::BaseName;
use crate::ports::disk::{Disk, DiskFile, Entry, EntryKind};
use crate::ports::pairs::{Away, FileSeen, Lying, PairSeen, Pairs, Report};

/// The folders of one mailbox.
pub struct PairFolders {
    publisher: Publisher,
    mailbox: MailboxId,
    plan: FolderPlan,
    /// `OUT` as the last look found it: whoever reads has looked just before, and a file that is away does not read.
    out: Mutex<Option<PathBuf>>,
}

/// The folders as they are spelled, of a root that was found to be the one that was set up.
struct Folders {
    standing: Standing,
    out: PathBuf,
    sent: PathBuf,
    failed: PathBuf,
}

impl PairFolders {
    /// The folders beside the output folder of `plan`, whose mode, group and ends of lines its files get.
    pub fn new(publisher: Publisher, mailbox: MailboxId, plan: FolderPlan) -> Self {
        Self { publisher, mailbox, plan, out: Mutex::default() }
    }

    fn folders(&self) -> Result<Folders, Fault> {
        let fault = |trouble: Trouble| trouble.fault(&self.plan.name);
        let disk = &*self.publisher.disk;
        let place = Place::of(&self.plan).map_err(fault)?;
        let standing = root::check(disk, &self.publisher.state_directory, &place).map_err(fault)?;
        let entries = disk.list(&place.root).map_err(|error| self.trouble("list the root", &error))?;
        let published = disk.entry(&standing.folder).map_err(|error| self.trouble("look at IN", &error))?;
        let device = published.map(|folder| folder.device);
        let find = |name: &str| {
            let path = place.root.join(name);
            let found = root::spelling(&entries, &path)
                .map_err(|_| fault(Trouble::away(format!("{} exists in two spellings: remove one", path.display()))))?;
            let found = found.filter(|folder| Some(folder.device) == device);
            let missing = || format!("{} is missing, or on another file system", path.display());
            found.map(|folder| folder.path.clone()).ok_or_else(|| fault(Trouble::away(missing())))
        };
        Ok(Folders { out: find("OUT")?, sent: find("SENT")?, failed: find("FAILED")?, standing })
    }

    fn trouble(&self, doing: &str, error: &io::Error) -> Fault {
        Trouble::from_io(doing, error).fault(&self.plan.name)
    }

    fn out(&self) -> io::Result<PathBuf> {
        let out = self.out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        out.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "nobody looked into OUT yet"))
    }
}

impl Pairs for PairFolders {
    fn look(&self) -> Result<Lying, Fault> {
        let Folders { out, standing, .. } = self.folders()?;
        let entries = self.publisher.disk.list(&out).map_err(|error| self.trouble("list OUT", &error))?;
        *self.out.lock().unwrap_or_else(PoisonError::into_inner) = Some(out);
        Ok(Lying { adopted: standing.adopted, ..paired(&entries) })
    }

    fn read(&self, file: &FileSeen) -> io::Result<Box<dyn Read + Send>> {
        let file = self.publisher.disk.read(&path_of(&self.out()?, file))?;
        Ok(Box::new(Reading { file, offset: 0 }))
    }

    fn is_as_seen(&self, pair: &PairSeen) -> io::Result<bool> {
        let out = self.out()?;
        for file in [&pair.data, &pair.control].into_iter().flatten() {
            if !is_at(&*self.publisher.disk, &path_of(&out, file), file)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn put_away(&self, away: &[Away<'_>]) -> Result<Vec<bool>, Fault> {
        let folders = self.folders()?;
        away::put_away(self, &folders, away)
    }

    fn report(&self, reports: &[Report<'_>]) -> Result<(), Fault> {
        let folders = self.folders()?;
        away::report(self, &folders, reports)
    }
}

/// Files by their base names, split on the last extension alone (mesh-client-files 3.1).
fn paired(entries: &[Entry]) -> Lying {
    let (mut pairs, mut strangers) = (BTreeMap::<BaseName, PairSeen>::new(), 0);
    for entry in entries {
        let name = entry.path.file_name().and_then(|name| name.to_str());
        // What a program hides is on its way, or its own.
        if name.is_some_and(|name| name.starts_with('.')) {
            continue;
        }
        let Some(file) = name.filter(|_| entry.kind == EntryKind::File).and_then(|name| half(name, entry)) else {
            strangers += 1;
            continue;
        };
        let new = || PairSeen { base: file.base.clone(), data: None, control: None };
        let pair = pairs.entry(file.base.clone()).or_insert_with(new);
        let is_data = file.extension.eq_ignore_ascii_case(naming::DATA);
        let place = if is_data { &mut pair.data } else { &mut pair.control };
        // The same name in two spellings: nobody knows which is meant.
        strangers += u64::from(place.is_some());
        place.get_or_insert(file);
    }
    Lying { pairs: pairs.into_values().collect(), strangers, adopted: None }
}

/// A half of a pair, if its name is that of one.
fn half(name: &str, entry: &Entry) -> Option<FileSeen> {
    let (base, extension) = name.rsplit_once('.')?;
    let is_half = [naming::DATA, naming::CONTROL].iter().any(|known| extension.eq_ignore_ascii_case(known));
    let base = BaseName::new(base).filter(|_| is_half)?;
    Some(FileSeen { base, extension: extension.to_owned(), length: entry.length, modified: entry.modified })
}

fn path_of(folder: &Path, file: &FileSeen) -> PathBuf {
    folder.join(format!("{}.{}", file.base.reveal(), file.extension))
}

/// Whether the file there is the one that was seen.
fn is_at(disk: &dyn Disk, path: &Path, file: &FileSeen) -> io::Result<bool> {
    let entry = disk.entry(path)?.filter(|entry| entry.kind == EntryKind::File);
    Ok(entry.is_some_and(|entry| (entry.length, entry.modified) == (file.length, file.modified)))
}

/// A file from its beginning.
struct Reading {
    file: Box<dyn DiskFile>,
    offset: u64,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
