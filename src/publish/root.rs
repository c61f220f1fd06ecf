//! Output roots: where a plan's files go, and whether the folder there is really the one that was set up.
//!
//! Guarantees: [`check`] gives a [`Standing`] only while the root carries the recorded marker, and the root, its
//! staging folder and its output folder lie on one file system. An unmounted, replaced or half-mounted root is
//! therefore a dependency that is away (`OUT-UNAVAILABLE`), and nothing is written to what lies under its mount point.
//!
//! It does not hold the folders open: a root swapped within one batch, after its check, is not noticed until the next.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::marker::{self, MarkerError};
use super::naming::{self, Boot};
use super::{mesh_client, plain};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{DeliveryId, MessageId, Name};
use crate::domain::output::{FolderPlan, Layout};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::disk::{Disk, Entry, EntryKind};

/// Where the files of a plan go, by its paths alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Carries the marker.
    pub(super) root: PathBuf,
    /// The files appear here.
    pub(super) folder: PathBuf,
    /// They are made here.
    pub(super) staging: PathBuf,
}

impl Place {
    /// The place of a plan: see [`Layout`].
    pub(super) fn of(plan: &FolderPlan) -> Result<Self, Trouble> {
        let folder = canonical(&plan.folder)?;
        match plan.layout {
            Layout::MeshFolder => {
                let root =
                    folder.parent().ok_or_else(|| Trouble::away("the output folder lies in no other"))?.to_owned();
                Ok(Self { staging: root.join(mesh_client::STAGING), root, folder })
            }
            Layout::Folder => Ok(Self::plain(folder)),
        }
    }

    /// The usual place under a root.
    pub(super) fn under(root: &Path, layout: Layout) -> Result<Self, Trouble> {
        let root = canonical(root)?;
        match layout {
            Layout::MeshFolder => {
                Ok(Self { folder: root.join(mesh_client::IN), staging: root.join(mesh_client::STAGING), root })
            }
            Layout::Folder => Ok(Self::plain(root)),
        }
    }

    fn plain(folder: PathBuf) -> Self {
        Self { root: folder.clone(), staging: folder.join(plain::STAGING), folder }
    }
}

/// The one way to write an absolute path: no `.`, no doubled or trailing slash; `..` is refused.
///
/// It does not look at the disk. Where a link leads is settled by the marker found there.
pub(super) fn canonical(path: &Path) -> Result<PathBuf, Trouble> {
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && is_plain && path.to_str().is_some() {
        Ok(path.components().collect())
    } else {
        Err(Trouble::away(format!("{} is not an absolute path in UTF-8 without `..`", path.display())))
    }
}

/// A canonical path as text, which it is by construction.
pub(super) fn text(canonical: &Path) -> String {
    canonical.to_string_lossy().into_owned()
}

/// A root that passed its check, good for one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The id in its marker.
    pub(super) marker: String,
    /// The ids that it had before it was adopted.
    pub(super) former: Vec<String>,
    /// When it was adopted, if it was.
    pub(super) adopted: Option<Timestamp>,
    /// The files appear here, as the folder is spelled on the disk.
    pub(super) folder: PathBuf,
    /// They are made here, likewise.
    pub(super) staging: PathBuf,
    /// The file system's name.
    pub(super) kind: &'static str,
    /// See [`crate::ports::disk::Mount`].
    pub(super) ordered_renames: bool,
}

/// Why an output cannot be used now. It becomes a [`Fault`] once we know which output asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) code: FaultCode,
    pub(super) detail: String,
}

impl Trouble {
    /// The root is not there, or not the one that was set up.
    pub(super) fn away(detail: impl Into<String>) -> Self {
        Self { code: FaultCode::OutUnavailable, detail: detail.into() }
    }

    /// What an error of the output's file system means: never the message's fault, never a halt (I5).
    pub(super) fn from_io(doing: &str, error: &io::Error) -> Self {
        const AWAY: [io::ErrorKind; 4] = [
            io::ErrorKind::NotFound,
            io::ErrorKind::NotADirectory,
            io::ErrorKind::CrossesDevices,
            io::ErrorKind::StaleNetworkFileHandle,
        ];
        let code = if AWAY.contains(&error.kind()) { FaultCode::OutUnavailable } else { FaultCode::OutWrite };
        Self { code, detail: format!("{doing}: {error}") }
    }

    /// The output's file system refuses what it is asked, whatever the error.
    pub(super) fn refused(doing: &str, error: &io::Error) -> Self {
        Self { code: FaultCode::OutWrite, detail: format!("{doing}: {error}") }
    }

    /// As a fault of the output `name`.
    pub(super) fn fault(&self, name: &Name) -> Fault {
        Fault::dependency(self.code, name.clone(), self.detail.clone())
    }
}

impl From<MarkerError> for Trouble {
    fn from(error: MarkerError) -> Self {
        match error {
            MarkerError::Disk { doing, path, source } => Self::from_io(&format!("{doing} {}", path.display()), &source),
            MarkerError::Path(_)
            | MarkerError::Kind { .. }
            | MarkerError::TwoSpellings { .. }
            | MarkerError::AnotherMarker { .. }
            | MarkerError::MarkerMissing { .. }
            | MarkerError::Restored { .. }
            | MarkerError::Format { .. } => Self::away(error.to_string()),
        }
    }
}

/// Is the root at `place` the one that was set up, whole and on one file system?
pub(super) fn check(disk: &dyn Disk, state_directory: &Path, place: &Place) -> Result<Standing, Trouble> {
    let recorded = marker::recorded(disk, state_directory, &place.root)?
        .ok_or_else(|| Trouble::away(format!("{} is not recorded: run `meshd output init`", place.root.display())))?;
    let root = folder_at(disk, &place.root)?;
    match marker::found(disk, &place.root)? {
        None => return Err(Trouble::away(format!("{} has no marker: is it mounted?", place.root.display()))),
        Some(found) if found != recorded.id => {
            return Err(Trouble::away(format!("{} carries another marker than recorded", place.root.display())));
        }
        Some(_) => {}
    }
    let (folder, staging) = if place.folder == place.root {
        (root.clone(), folder_at(disk, &place.staging)?)
    } else {
        spelled_folders(disk, place)?
    };
    if folder.device != root.device || staging.device != root.device {
        let what = "its marker, its staging folder and its output folder are not on one file system";
        return Err(Trouble::away(format!("{}: {what}", place.root.display())));
    }
    let mount = disk.mount(&folder.path).map_err(|error| Trouble::from_io("look at the file system", &error))?;
    Ok(Standing {
        marker: recorded.id,
        former: recorded.former,
        adopted: recorded.adopted,
        folder: folder.path,
        staging: staging.path,
        kind: mount.kind,
        ordered_renames: mount.ordered_renames,
    })
}

/// The checks of one batch: each root is looked at once.
pub(super) struct Checks<'a> {
    disk: &'a dyn Disk,
    state_directory: &'a Path,
    done: BTreeMap<Place, Result<Standing, Trouble>>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(disk: &'a dyn Disk, state_directory: &'a Path) -> Self {
        Self { disk, state_directory, done: BTreeMap::new() }
    }

    /// The standing of a plan's root, or the fault of that output.
    pub(super) fn of(&mut self, plan: &FolderPlan) -> Result<Standing, Fault> {
        let place = Place::of(plan).map_err(|trouble| trouble.fault(&plan.name))?;
        let (disk, state_directory) = (self.disk, self.state_directory);
        let result = self.done.entry(place).or_insert_with_key(|place| check(disk, state_directory, place));
        result.clone().map_err(|trouble| trouble.fault(&plan.name))
    }
}

fn folder_at(disk: &dyn Disk, path: &Path) -> Result<Entry, Trouble> {
    match disk.entry(path).map_err(|error| Trouble::from_io("look at the folder", &error))? {
        Some(entry) if entry.kind == EntryKind::Folder => Ok(entry),
        Some(_) => Err(Trouble::away(format!("{} is not a folder, or a link to one", path.display()))),
        None => Err(Trouble::away(format!("{} is missing", path.display()))),
    }
}

/// The two folders in the case they have on the disk (mesh-client-files 2.2).
fn spelled_folders(disk: &dyn Disk, place: &Place) -> Result<(Entry, Entry), Trouble> {
    let entries = disk.list(&place.root).map_err(|error| Trouble::from_io("list the root", &error))?;
    let find = |wanted: &Path| {
        let found = spelling(&entries, wanted)
            .map_err(|_| Trouble::away(format!("{} exists in two spellings: remove one", wanted.display())))?;
        found.cloned().ok_or_else(|| Trouble::away(format!("{} is missing", wanted.display())))
    };
    Ok((find(&place.folder)?, find(&place.staging)?))
}

/// Two folders differ in the case of their names only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TwoSpellings;

/// The one folder among `entries` whose name is that of `wanted`, in any case.
pub(super) fn spelling<'a>(entries: &'a [Entry], wanted: &Path) -> Result<Option<&'a Entry>, TwoSpellings> {
    let Some(wanted) = wanted.file_name() else { return Ok(None) };
    let mut alike = entries.iter().filter(|entry| {
        entry.kind == EntryKind::Folder && entry.path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    });
    match (alike.next(), alike.next()) {
        (found, None) => Ok(found),
        (_, Some(_)) => Err(TwoSpellings),
    }
}

/// What `meshd check` says of an output root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootReport {
    /// The file system's name, such as `ext4`.
    pub kind: &'static str,
    /// What is promised there after a crash.
    pub promise: Promise,
    /// The id in its marker.
    pub marker: String,
    /// Where files appear, as the folder is spelled on the disk.
    pub folder: PathBuf,
    /// Where they are made, likewise.
    pub staging: PathBuf,
}

/// What is promised of an output after a crash (I2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Files appear once; at most once more, same name and bytes, if the output's own disk loses power.
    Once,
    /// A set whose files are gone after a crash is held for a person (`OUT-UNCERTAIN`): nobody can tell whether the
    /// consumer took it. Releasing it may publish it again, same name and bytes.
    AtLeastOnce,
}

/// How closely a root is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// As a batch looks at it; nothing is changed.
    Look,
    /// A file is written into staging, given the output's group and mode, and removed, as this user.
    Write,
}

/// Looks at a root as a batch would; `layout` says where its folders are.
pub(super) fn probe(
    disk: &dyn Disk,
    state_directory: &Path,
    root: &Path,
    layout: Layout,
    output: &Name,
) -> Result<RootReport, Fault> {
    let place = Place::under(root, layout).map_err(|trouble| trouble.fault(output))?;
    let standing = check(disk, state_directory, &place).map_err(|trouble| trouble.fault(output))?;
    Ok(RootReport {
        kind: standing.kind,
        promise: if standing.ordered_renames { Promise::Once } else { Promise::AtLeastOnce },
        marker: standing.marker,
        folder: standing.folder,
        staging: standing.staging,
    })
}

/// Writes a file into staging, gives it the output's group and mode, and removes it. Nothing of it is durable.
/// Its name is one of ours, so that the next start removes it if this cannot; `number` keeps it apart from others.
pub(super) fn try_writing(disk: &dyn Disk, staging: &Path, plan: &FolderPlan, number: u32) -> Result<(), Fault> {
    let id = MessageId::new("MESHD-CHECK").expect("letters and a hyphen");
    let dice = u64::from(std::process::id().rotate_left(10) ^ number) << 32;
    let path = staging.join(naming::staged(&id, DeliveryId(0), &Boot::unknown(), dice, naming::DATA));
    let write = || -> io::Result<()> {
        disk.create(Step::StageWrite, &path)?.append(Step::StageWrite, b"meshd check")?;
        disk.set_access(&path, plan.mode, plan.group.as_deref())
    };
    let written = write();
    let removed = disk.remove(Step::StageSweep, &path);
    written
        .and(removed)
        .map_err(|error| Trouble::refused("write a trial file into the staging folder", &error).fault(&plan.name))
}

#[cfg(test)]
mod tests;
