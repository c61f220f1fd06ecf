//! What lies in one of the two folders, by name. Nothing in it is opened here, and nothing below it is looked into.
//!
//! Names are never printed: an application may have chosen one after a patient (I8). What has no id of MESH's is told by
//! its inode, which `find -inum` finds.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Of which of the two folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Side {
    /// The old client's.
    There,
    /// meshd's.
    Here,
}

impl Side {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::There => "there",
            Self::Here => "here",
        }
    }
}

/// What has nothing to do with mail, and no consumer of pairs takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct PassedOver {
    /// Files that are neither `.dat` nor `.ctl`.
    pub(super) files: u64,
    pub(super) folders: u64,
    pub(super) links: u64,
    /// Devices, sockets and pipes.
    pub(super) others: u64,
}

/// A file that is half of a pair by its name.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    /// Why it is not opened.
    pub(super) odd: Option<&'static str>,
}

/// The files of one base name.
#[derive(Debug, Default)]
pub(super) struct Halves {
    pub(super) data: Option<Half>,
    pub(super) control: Option<Half>,
}

/// One look at a folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) bases: BTreeMap<OsString, Halves>,
    pub(super) passed_over: PassedOver,
    identity: (u64, u64),
}

impl Folder {
    /// Lists it. What comes later is not seen.
    pub(super) fn list(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let identity = (metadata.dev(), metadata.ino());
        let mut folder = Self { bases: BTreeMap::new(), passed_over: PassedOver::default(), identity };
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            match entry.file_type() {
                Ok(kind) => folder.take(entry.path(), entry.ino(), kind),
                // Whoever takes files here was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(folder)
    }

    pub(super) fn is_the_same_as(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    fn take(&mut self, path: PathBuf, inode: u64, kind: FileType) {
        // Split at the last dot only: `list.csv.dat` belongs to `list.csv.ctl` (mesh-client-files 3.1).
        let is = |wanted: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
        let (is_data, is_control) = (is("dat"), is("ctl"));
        if !is_data && !is_control {
            return self.pass_over(kind);
        }
        let halves = self.bases.entry(path.file_stem().map(OsStr::to_owned).unwrap_or_default()).or_default();
        let slot = if is_data { &mut halves.data } else { &mut halves.control };
        let odd = match slot {
            Some(_) => Some("two names differ only in their capitals"),
            None => oddness(kind),
        };
        *slot = Some(Half { path, inode, odd });
    }

    fn pass_over(&mut self, kind: FileType) {
        let count = if kind.is_file() {
            &mut self.passed_over.files
        } else if kind.is_dir() {
            &mut self.passed_over.folders
        } else if kind.is_symlink() {
            &mut self.passed_over.links
        } else {
            &mut self.passed_over.others
        };
        *count += 1;
    }
}

fn oddness(kind: FileType) -> Option<&'static str> {
    match () {
        () if kind.is_file() => None,
        () if kind.is_symlink() => Some("it is a symbolic link, which is not followed"),
        () if kind.is_dir() => Some("it is a folder"),
        () => Some("it is no regular file"),
    }
}
