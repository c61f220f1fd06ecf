//! Reading a backup, and a state directory made of one.

use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use super::archive::Entries;
use super::create::OUTPUTS;
use super::{BackupError, Manifest, PIECE, at, manifest};
use crate::domain::step::Step;
use crate::ports::disk::{Disk, EntryKind};
use crate::store::epoch::Mark;
use crate::store::journal::segment::{FileReader, Name, fill};
use crate::store::journal::{Head, Records, verify};
use crate::store::spool::Identities;

/// A manifest is some hundred bytes; whatever is longer is none of ours.
const LONGEST_MANIFEST: u64 = 4 * 1024;

/// A state directory that is whole but for the word that says so.
#[must_use = "a daemon does not start on it before it is finished"]
pub struct Restored<'a> {
    /// What it was made of.
    pub manifest: Manifest,
    disk: &'a dyn Disk,
    to: PathBuf,
    mark: Mark,
}

impl Restored<'_> {
    /// Lets a daemon start on it, with a new epoch. Durable on return.
    pub fn finish(self) -> Result<Manifest, BackupError> {
        self.mark.whole().write(self.disk, &self.to).map_err(at("write the mark in", &self.to))?;
        Ok(self.manifest)
    }
}

/// Makes the state directory `to` of the backup `file`, with the journal in `later` in the place of its own if there is
/// one: a later state of the same journal, which says what became of its mail since. Durable on return.
///
/// `to` must be empty, or left half restored, but for the lock that the caller holds. Run again after a crash, it begins
/// anew.
pub fn restore<'a>(
    disk: &'a dyn Disk,
    file: &Path,
    identities: &Identities,
    to: &Path,
    later: Option<&Path>,
) -> Result<Restored<'a>, BackupError> {
    make_way(disk, to)?;
    let half = Mark::half(later.is_some());
    half.write(disk, to).map_err(at("write the mark in", to))?;
    let mut folder = None;
    let manifest = read(disk, file, identities, |name, content| {
        let path = unpack(disk, to, name, content)?;
        let parent = path.parent().map(Path::to_path_buf);
        if parent != folder {
            sync(disk, std::mem::replace(&mut folder, parent))?;
        }
        Ok(())
    })?;
    sync(disk, folder)?;
    let (head, journal) = (manifest.head()?, to.join("journal"));
    let found = verify::verify(disk, &journal, Some(head))?.head;
    if found != head {
        return Err(BackupError::Unsound("its journal goes on after the head of its manifest".into()));
    }
    if let Some(later) = later {
        take_over(disk, &journal, later, head)?;
    }
    Ok(Restored { mark: half.of(head), manifest, disk, to: to.to_owned() })
}

fn make_way(disk: &dyn Disk, to: &Path) -> Result<(), BackupError> {
    let is_half = Mark::read(disk, to).map_err(|halt| BackupError::Unsound(halt.0))?.is_some_and(|mark| !mark.whole);
    if is_half {
        for name in ["journal", "spool", OUTPUTS] {
            disk.remove(Step::RestoreWrite, &to.join(name)).map_err(at("remove what is in", to))?;
        }
        return Ok(());
    }
    let entries = disk.list(to).map_err(at("list", to))?;
    // A file system of its own has a folder for what it finds again.
    let is_other = |path: &Path| path.file_name().is_some_and(|name| name != "lock" && name != "lost+found");
    if entries.iter().any(|entry| is_other(&entry.path)) { Err(BackupError::Occupied(to.to_owned())) } else { Ok(()) }
}

/// Puts the journal in `later` in the place of the one that ends with `head`, which it must contain.
fn take_over(disk: &dyn Disk, journal: &Path, later: &Path, head: Head) -> Result<(), BackupError> {
    let unsuited = |halt: crate::ports::store::Halt| BackupError::Later(halt.0);
    let record = Records::from(disk, later, head.sequence).and_then(|mut records| records.read()).map_err(unsuited)?;
    if record.is_none_or(|record| record.frame.sequence != head.sequence || record.hash != head.hash) {
        let problem = format!("{} does not contain record {} of the backup", later.display(), head.sequence);
        return Err(BackupError::Later(problem));
    }
    disk.remove(Step::RestoreWrite, journal).map_err(at("remove", journal))?;
    for entry in disk.list(later).map_err(at("list", later))? {
        let is_beside = entry.path.extension().is_some_and(|kind| kind == "checkpoint" || kind == "seen");
        let (EntryKind::File, Some(name)) = (entry.kind, entry.path.file_name()) else { continue };
        if Name::parse(&entry.path).is_some() || is_beside {
            let mut content = FileReader { file: disk.read(&entry.path).map_err(at("open", &entry.path))?, at: 0 };
            write(disk, &journal.join(name), &mut content)?;
        }
    }
    sync(disk, Some(journal.to_owned()))
}

/// Reads the whole backup, gives each file to `take`, and returns the manifest once everything agrees with it.
pub(super) fn read(
    disk: &dyn Disk,
    file: &Path,
    identities: &Identities,
    mut take: impl FnMut(&str, &mut dyn Read) -> Result<(), BackupError>,
) -> Result<Manifest, BackupError> {
    let sealed = FileReader { file: disk.read(file).map_err(at("open", file))?, at: 0 };
    let mut entries = Entries::new(identities.unseal(BufReader::with_capacity(PIECE, sealed))?);
    let (mut files, mut bytes, mut manifest) = (0, 0, None);
    let unsound = |error: io::Error| BackupError::Unsound(error.to_string());
    while let Some(entry) = entries.read_next().map_err(unsound)? {
        if manifest.is_some() {
            return Err(BackupError::Unsound("something follows its manifest".into()));
        }
        if entry.name == manifest::NAME {
            let mut json = Vec::new();
            (&mut entries).take(LONGEST_MANIFEST).read_to_end(&mut json).map_err(unsound)?;
            let found = Manifest::parse(&json)?;
            if (found.files, found.bytes, &found.sha256) != (files, bytes, &entry.before) {
                return Err(BackupError::Unsound("it is not what its manifest says".into()));
            }
            manifest = Some(found);
        } else {
            files += 1;
            bytes += entry.length;
            take(&entry.name, &mut entries)?;
        }
    }
    manifest.ok_or_else(|| BackupError::Unsound("it has no manifest".into()))
}

/// Writes one file of a backup to where it belongs under `to`. Its content is durable on return, its name is not.
pub(super) fn unpack(disk: &dyn Disk, to: &Path, name: &str, content: &mut dyn Read) -> Result<PathBuf, BackupError> {
    let relative = Path::new(name);
    let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    let is_ours = name == OUTPUTS || name.starts_with("journal/") || name.starts_with("spool/");
    if !is_plain || !is_ours {
        return Err(BackupError::Unsound("it holds a file that belongs to no state directory".into()));
    }
    let path = to.join(relative);
    write(disk, &path, content)?;
    Ok(path)
}

fn write(disk: &dyn Disk, path: &Path, content: &mut dyn Read) -> Result<(), BackupError> {
    if let Some(folder) = path.parent() {
        disk.create_folder(Step::RestoreWrite, folder).map_err(at("make", folder))?;
    }
    let mut file = disk.create(Step::RestoreWrite, path).map_err(at("make", path))?;
    let mut piece = vec![0; PIECE];
    loop {
        let got = fill(content, &mut piece).map_err(|error| BackupError::Unsound(error.to_string()))?;
        if got == 0 {
            return file.sync(Step::RestoreWrite).map_err(at("sync", path));
        }
        file.append(Step::RestoreWrite, &piece[..got]).map_err(at("write", path))?;
    }
}

fn sync(disk: &dyn Disk, folder: Option<PathBuf>) -> Result<(), BackupError> {
    let Some(folder) = folder else { return Ok(()) };
    disk.sync_folder(Step::RestoreWrite, &folder).map_err(at("sync", &folder))
}
