//! Files, as far as they matter for durability.
//!
//! Every call that changes something stable names its [`Step`].
//! Two implementations: `store::disk::Real`, and `store::disk::Simulated`, which forgets what was not synced,
//! undoes renames whose folder was not synced, tears tails and fails syncs.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::step::Step;
use crate::domain::time::Timestamp;

/// A file system. All calls block; none retries.
pub trait Disk: Send + Sync {
    /// Makes `path` and its missing parents. Durable on return: each new folder and its parent are synced.
    fn create_folder(&self, step: Step, path: &Path) -> io::Result<()>;
    /// Makes a new file, which must not exist. Durable only after [`DiskFile::sync`] and [`Disk::sync_folder`].
    fn create(&self, step: Step, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading and appending.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading only.
    fn read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// The entries of a folder, in name order.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// What lies at `path`, not following a symbolic link; `None` if nothing does.
    fn entry(&self, path: &Path) -> io::Result<Option<Entry>>;
    /// Renames, replacing what is there. Durable only after [`Disk::sync_folder`].
    fn rename(&self, step: Step, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames; `AlreadyExists` if the target is there. Durable only after [`Disk::sync_folder`].
    fn rename_no_replace(&self, step: Step, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file, or a folder with all it holds. Missing is fine.
    fn remove(&self, step: Step, path: &Path) -> io::Result<()>;
    /// Makes the names in `path` durable.
    fn sync_folder(&self, step: Step, path: &Path) -> io::Result<()>;
    /// Syncs several files side by side. The first error stands for all: what any of them holds is then unknown.
    fn sync_all(&self, files: &[(Step, &dyn DiskFile)]) -> io::Result<()>;
    /// Sets the permission bits and, where given, the owning group.
    fn set_access(&self, path: &Path, mode: u32, group: Option<&str>) -> io::Result<()>;
    /// Room on the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// The file system that holds `path`.
    fn mount(&self, path: &Path) -> io::Result<Mount>;
    /// Called around things outside the disk that matter to crashes, such as an acknowledge.
    fn pass(&self, step: Step);
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Adds all of `bytes` at the end. Durable only after [`DiskFile::sync`].
    fn append(&mut self, step: Step, bytes: &[u8]) -> io::Result<()>;
    /// Makes length and content durable. **A failure is final: never call it again (torture 3.3).**
    fn sync(&self, step: Step) -> io::Result<()>;
    /// Fills as much of `buffer` as there is from `offset`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts the file to `length`. Durable only after [`DiskFile::sync`].
    fn cut(&mut self, step: Step, length: u64) -> io::Result<()>;
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole path.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
    /// Length in bytes; 0 for anything but a file.
    pub length: u64,
    /// The device number of the file system it lies on.
    pub device: u64,
    /// When its content last changed, by the wall clock; of a folder, when a name in it did.
    pub modified: Timestamp,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, pipe, socket or device: never followed, never opened.
    Other,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes we may still write.
    pub free_bytes: u64,
    /// Inodes in all; 0 where the file system has no such limit.
    pub inodes: u64,
    /// Inodes we may still use.
    pub free_inodes: u64,
}

/// Part of a file system that intake leaves free, in percent (I7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// Of its bytes.
    pub bytes_percent: u8,
    /// Of its inodes.
    pub inodes_percent: u8,
}

/// Which of the two runs short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Bytes, and perhaps inodes.
    Bytes,
    /// Inodes alone.
    Inodes,
}

/// How far from the floor is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The floor itself: intake closes there.
    Low,
    /// A quarter above it, where intake opens again, so that it does not flutter.
    High,
}

impl Floor {
    /// What of `space` has come down to the mark.
    pub fn shortage(&self, space: &Space, mark: Mark) -> Option<Shortage> {
        let quarters = match mark {
            Mark::Low => 4,
            Mark::High => 5,
        };
        let mark_of = |whole: u64, percent: u8| share(whole, percent) / 4 * quarters;
        if space.free_bytes <= mark_of(space.bytes, self.bytes_percent) {
            Some(Shortage::Bytes)
        } else if space.inodes > 0 && space.free_inodes < mark_of(space.inodes, self.inodes_percent) {
            Some(Shortage::Inodes)
        } else {
            None
        }
    }

    /// The bytes of `space` that are left free.
    pub fn bytes(&self, space: &Space) -> u64 {
        share(space.bytes, self.bytes_percent)
    }
}

fn share(whole: u64, percent: u8) -> u64 {
    whole / 100 * u64::from(percent)
}

/// What a file system is, and so what a rename on it promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its name, such as `ext4`, `xfs`, `btrfs`, `nfs`, `cifs`, `tmpfs`.
    pub kind: &'static str,
    /// A rename that was made stays made, in order: on ext4, xfs and btrfs.
    pub ordered_renames: bool,
}
