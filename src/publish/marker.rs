//! Markers: how a root proves that it is the one that was set up, and not what lies under its mount point.
//!
//! # Formats
//!
//! In the root, `.meshd-output`, written once and never changed:
//!
//! ```json
//! {"version":1,"id":"0b9c8f4e-…","created":"2026-01-05T09:30:12.123Z"}
//! ```
//!
//! In the state directory, `outputs.json`: which root carries which id. `making` stands only while a root is set up.
//!
//! ```json
//! {"version":1,"outputs":{"/srv/mesh/X26ABC1":{"id":"0b9c8f4e-…","making":false}}}
//! ```
//!
//! After a restore two members more may stand beside `id`: `"restored":true` until the root is adopted, and `"former"`,
//! the ids that it carried before; `"adopted"` is when, in milliseconds since 1970.
//!
//! # Restored state
//!
//! A state directory made of a backup may have a twin that still runs, and both would publish to the same roots. So a
//! restored record counts as none until the operator *adopts* the root, which then carries a new marker: from that moment
//! the root is another's to the twin, which waits. What was staged under a former marker is still in the same folder, so
//! it is finished as if under the new one.
//!
//! # Guarantees
//!
//! [`init_root`] records, then marks, then says so: a crash at any step is finished by running it again.
//! A root that was recorded and has lost its marker is *not* marked anew, since it may only be unmounted;
//! nor is a marker that we did not record ever replaced, since it may be another daemon's.
//!
//! Two `init_root` at once on one state directory may lose one record: run again, it says which.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::root::{self, Place};
use super::{mesh_client, plain};
use crate::domain::output::Layout;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::disk::{Disk, EntryKind};

/// The marker's name in its root.
pub const MARKER: &str = ".meshd-output";
/// The record's name in the state directory.
pub const RECORD: &str = "outputs.json";

const VERSION: u32 = 1;
/// A marker is some hundred bytes; whatever is longer is none of ours.
const MARKER_LIMIT: usize = 4 * 1024;
/// Ten thousand roots fit; whatever is longer is none of ours.
const RECORD_LIMIT: usize = 4 * 1024 * 1024;
/// New files take the group of the folder, consumers may enter and take, nobody else may look.
const FOLDER_MODE: u32 = 0o2770;
const MARKER_MODE: u32 = 0o640;
const RECORD_MODE: u32 = 0o600;

/// Why a root could not be set up, or its marker not be read.
#[derive(Debug, thiserror::Error)]
pub enum MarkerError {
    /// The path is not one we can record.
    #[error("{0}")]
    Path(String),
    /// Something else lies where a folder or a file should be.
    #[error("{path} is not a {expected}", path = .path.display())]
    Kind {
        /// Where.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// A folder exists twice, in upper and in lower case.
    #[error("{path} exists in two spellings: remove one", path = .path.display())]
    TwoSpellings {
        /// In its usual spelling.
        path: PathBuf,
    },
    /// The root carries a marker that is not recorded here: another daemon may serve it.
    #[error("{root} carries a marker that is not recorded here: remove {MARKER} there if no other meshd uses it", root = .root.display())]
    AnotherMarker {
        /// The root.
        root: PathBuf,
    },
    /// The root was set up before and has lost its marker.
    #[error("{root} was set up before and has no marker now: is it mounted? If its disk was replaced, remove it from {RECORD} in the state directory first", root = .root.display())]
    MarkerMissing {
        /// The root.
        root: PathBuf,
    },
    /// The record comes from a backup: another daemon may publish to the root.
    #[error("{root} was set up by a daemon whose state this was restored from: end that daemon for good, then run `meshd output init --adopt`", root = .root.display())]
    Restored {
        /// The root.
        root: PathBuf,
    },
    /// A marker or record that cannot be understood.
    #[error("{path} cannot be understood: {why}", path = .path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file system refused.
    #[error("{doing} {path}", path = .path.display())]
    Disk {
        /// As a verb phrase.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct MarkerFile {
    version: u32,
    id: String,
    created: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Record {
    version: u32,
    /// By canonical path.
    outputs: BTreeMap<String, Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    id: String,
    making: bool,
    /// From a backup, and not adopted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
    /// What the marker said before the root was adopted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<String>,
    /// When it was adopted, by the wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adopted: Option<Timestamp>,
}

/// How a root is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// The id in its marker.
    pub(super) id: String,
    /// The ids that it had before.
    pub(super) former: Vec<String>,
    /// When it was last taken from a daemon of before.
    pub(super) adopted: Option<Timestamp>,
}

/// A root to set up.
#[derive(Debug, Clone, Copy)]
pub struct NewRoot<'a> {
    /// Where. It is made if it is missing.
    pub root: &'a Path,
    /// Which folders it holds.
    pub layout: Layout,
    /// Owning group of what is made; the process's own when absent.
    pub group: Option<&'a str>,
    /// Take it from the daemon whose state this was restored from.
    pub adopt: bool,
}

/// Sets up an output root: its folders, its record, its marker. Durable on return, which is the marker's id.
///
/// Folders that are there are kept as they are, in any case of their letters. Run again it changes nothing.
/// It must run as the user that the daemon runs as, who could not write to the folders otherwise.
pub fn init_root(
    disk: &dyn Disk,
    chance: &dyn Chance,
    clock: &dyn Clock,
    state_directory: &Path,
    new: NewRoot<'_>,
) -> Result<String, MarkerError> {
    let place = Place::under(new.root, new.layout).map_err(|trouble| MarkerError::Path(trouble.detail))?;
    let root = place.root.as_path();
    let key = root::text(root);
    let mut record = read_record(disk, state_directory)?;
    let marked = match disk.entry(root).map_err(failed("look at", root))? {
        Some(entry) if entry.kind != EntryKind::Folder => {
            return Err(MarkerError::Kind { path: root.to_owned(), expected: "folder" });
        }
        Some(_) => found(disk, root)?,
        None => None,
    };
    let id = match (record.outputs.get(&key).cloned(), &marked) {
        (Some(entry), Some(id)) if entry.restored && entry.id == *id => {
            if !new.adopt {
                return Err(MarkerError::Restored { root: root.to_owned() });
            }
            let adopted = Entry::adopted(entry, chance.uuid(), clock.wall());
            adopt(disk, clock, state_directory, &mut record, (&place, new), adopted)?
        }
        // A crash came between the record and the marker.
        (Some(entry), Some(id)) if entry.making && entry.former.last() == Some(id) => {
            adopt(disk, clock, state_directory, &mut record, (&place, new), entry)?
        }
        (Some(entry), Some(id)) if entry.id == *id => entry.id,
        (_, Some(_)) => return Err(MarkerError::AnotherMarker { root: root.to_owned() }),
        (Some(entry), None) if entry.making => entry.id,
        (Some(_), None) => return Err(MarkerError::MarkerMissing { root: root.to_owned() }),
        (None, None) => chance.uuid(),
    };
    make_folders(disk, &place, new)?;
    if marked.is_none() {
        record.outputs.insert(key.clone(), Entry::new(id.clone()));
        write_record(disk, state_directory, &record)?;
        write_marker(disk, root, &id, clock, new.group, |from, to| {
            disk.rename_no_replace(Step::MarkerWrite, from, to)
        })?;
    }
    if let Some(entry) = record.outputs.get_mut(&key).filter(|entry| entry.making) {
        entry.making = false;
        write_record(disk, state_directory, &record)?;
    }
    Ok(id)
}

/// Records the new id, then puts it into the marker in the place of the former one.
fn adopt(
    disk: &dyn Disk,
    clock: &dyn Clock,
    state_directory: &Path,
    record: &mut Record,
    (place, new): (&Place, NewRoot<'_>),
    entry: Entry,
) -> Result<String, MarkerError> {
    let id = entry.id.clone();
    record.outputs.insert(root::text(&place.root), entry);
    write_record(disk, state_directory, record)?;
    write_marker(disk, &place.root, &id, clock, new.group, |from, to| disk.rename(Step::MarkerWrite, from, to))?;
    Ok(id)
}

/// Says of every recorded root that it has to be adopted before it is used. Durable on return.
pub fn mark_restored(disk: &dyn Disk, state_directory: &Path) -> Result<(), MarkerError> {
    let mut record = read_record(disk, state_directory)?;
    // One that was being set up carries no marker, or one that only the other daemon can tell from a stranger's.
    record.outputs.retain(|_, entry| !entry.making);
    if record.outputs.is_empty() {
        return Ok(());
    }
    record.outputs.values_mut().for_each(|entry| entry.restored = true);
    write_record(disk, state_directory, &record)
}

impl Entry {
    /// Of a root that is about to carry this id.
    fn new(id: String) -> Self {
        Self { id, making: true, restored: false, former: Vec::new(), adopted: None }
    }

    /// Of one that is about to carry it in the place of the one that it has.
    fn adopted(before: Self, id: String, now: Timestamp) -> Self {
        let mut former = before.former;
        former.push(before.id);
        Self { former, adopted: Some(now), ..Self::new(id) }
    }
}

/// What is recorded for `root`, a canonical path; `None` for one that is not set up, or not to its end.
pub(super) fn recorded(disk: &dyn Disk, state_directory: &Path, root: &Path) -> Result<Option<Recorded>, MarkerError> {
    let mut record = read_record(disk, state_directory)?;
    let Some(entry) = record.outputs.remove(&root::text(root)).filter(|entry| !entry.making) else { return Ok(None) };
    if entry.restored {
        return Err(MarkerError::Restored { root: root.to_owned() });
    }
    Ok(Some(Recorded { id: entry.id, former: entry.former, adopted: entry.adopted }))
}

/// The id in the marker of `root`; `None` if there is no marker.
pub(super) fn found(disk: &dyn Disk, root: &Path) -> Result<Option<String>, MarkerError> {
    let path = root.join(MARKER);
    let Some(bytes) = read_small(disk, &path, MARKER_LIMIT)? else { return Ok(None) };
    let marker: MarkerFile = parse(&path, &bytes)?;
    expect_version(&path, marker.version)?;
    Ok(Some(marker.id))
}

fn make_folders(disk: &dyn Disk, place: &Place, new: NewRoot<'_>) -> Result<(), MarkerError> {
    let root = place.root.as_path();
    if disk.entry(root).map_err(failed("look at", root))?.is_none() {
        make_folder(disk, root, new.group)?;
    }
    let entries = match new.layout {
        Layout::MeshFolder => disk.list(root).map_err(failed("list", root))?,
        // It may hold any number of files; only one name matters.
        Layout::Folder => disk.entry(&place.staging).map_err(failed("look at", &place.staging))?.into_iter().collect(),
    };
    let names = match new.layout {
        Layout::MeshFolder => mesh_client::FOLDERS,
        Layout::Folder => &[plain::STAGING],
    };
    for name in names {
        let path = root.join(name);
        let spelled = root::spelling(&entries, &path).map_err(|_| MarkerError::TwoSpellings { path: path.clone() })?;
        if entries.iter().any(|entry| entry.path == path && entry.kind != EntryKind::Folder) {
            return Err(MarkerError::Kind { path, expected: "folder" });
        }
        if spelled.is_none() {
            make_folder(disk, &path, new.group)?;
        }
    }
    Ok(())
}

/// With those above it that are missing: consumers must pass through them too.
fn make_folder(disk: &dyn Disk, path: &Path, group: Option<&str>) -> Result<(), MarkerError> {
    if let Some(parent) = path.parent()
        && disk.entry(parent).map_err(failed("look at", parent))?.is_none()
    {
        make_folder(disk, parent, group)?;
    }
    disk.create_folder(Step::MarkerWrite, path).map_err(failed("make", path))?;
    disk.set_access(path, FOLDER_MODE, group).map_err(failed("set mode and group of", path))
}

fn write_marker(
    disk: &dyn Disk,
    root: &Path,
    id: &str,
    clock: &dyn Clock,
    group: Option<&str>,
    rename: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), MarkerError> {
    let marker = MarkerFile { version: VERSION, id: id.to_owned(), created: clock.wall().to_string() };
    let path = root.join(MARKER);
    let temp = root.join(format!("{MARKER}.part"));
    write_whole(disk, &temp, &encode(&marker), MARKER_MODE, group)?;
    rename(&temp, &path).map_err(failed("rename to", &path))?;
    disk.sync_folder(Step::MarkerWrite, root).map_err(failed("sync", root))
}

fn write_record(disk: &dyn Disk, state_directory: &Path, record: &Record) -> Result<(), MarkerError> {
    let record = Record { version: VERSION, outputs: record.outputs.clone() };
    let path = state_directory.join(RECORD);
    let temp = state_directory.join(format!("{RECORD}.part"));
    write_whole(disk, &temp, &encode(&record), RECORD_MODE, None)?;
    disk.rename(Step::MarkerWrite, &temp, &path).map_err(failed("rename to", &path))?;
    disk.sync_folder(Step::MarkerWrite, state_directory).map_err(failed("sync", state_directory))
}

/// A file with its content, mode and group, synced; its name is not yet durable.
fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: u32, group: Option<&str>) -> Result<(), MarkerError> {
    // Left by a crash.
    disk.remove(Step::MarkerWrite, path).map_err(failed("remove", path))?;
    let mut file = disk.create(Step::MarkerWrite, path).map_err(failed("make", path))?;
    file.append(Step::MarkerWrite, bytes).map_err(failed("write", path))?;
    disk.set_access(path, mode, group).map_err(failed("set mode and group of", path))?;
    file.sync(Step::MarkerWrite).map_err(failed("sync", path))
}

fn read_record(disk: &dyn Disk, state_directory: &Path) -> Result<Record, MarkerError> {
    let path = state_directory.join(RECORD);
    let Some(bytes) = read_small(disk, &path, RECORD_LIMIT)? else { return Ok(Record::default()) };
    let record: Record = parse(&path, &bytes)?;
    expect_version(&path, record.version)?;
    Ok(record)
}

fn read_small(disk: &dyn Disk, path: &Path, limit: usize) -> Result<Option<Vec<u8>>, MarkerError> {
    let Some(entry) = disk.entry(path).map_err(failed("look at", path))? else { return Ok(None) };
    if entry.kind != EntryKind::File {
        return Err(MarkerError::Kind { path: path.to_owned(), expected: "file" });
    }
    let mut bytes = match usize::try_from(entry.length) {
        Ok(length) if length <= limit => vec![0; length],
        _ => return Err(MarkerError::Format { path: path.to_owned(), why: format!("longer than {limit} bytes") }),
    };
    let file = disk.read(path).map_err(failed("open", path))?;
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64).map_err(failed("read", path))? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(Some(bytes))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("text, numbers and flags always serialise");
    bytes.push(b'\n');
    bytes
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, MarkerError> {
    serde_json::from_slice(bytes).map_err(|error| MarkerError::Format { path: path.to_owned(), why: error.to_string() })
}

fn expect_version(path: &Path, version: u32) -> Result<(), MarkerError> {
    if version == VERSION {
        Ok(())
    } else {
        let why = format!("version {version}, expected {VERSION}: written by another meshd");
        Err(MarkerError::Format { path: path.to_owned(), why })
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MarkerError {
    let path = path.to_owned();
    move |source| MarkerError::Disk { doing, path, source }
}

#[cfg(test)]
mod tests;
