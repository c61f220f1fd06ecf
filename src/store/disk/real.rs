//! The machine's own file system.
//!
//! Guarantees, as far as the kernel and the drive keep theirs: what [`Disk`] says of each call.
//! Files and folders we make are ours alone (0600, 0700) until [`Disk::set_access`] opens them.
//! Links are never followed to a file; a folder on the way may be one, since operators place state elsewhere that way.
//!
//! A sync is never repeated, interrupted or not: after a failure the kernel may have dropped the data and would call
//! the next sync a success.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, Gid, RenameFlags};

use super::{Side, around, crash, groups};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::disk::{Disk, DiskFile, Entry, EntryKind, Mount, Space};

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Real;

impl Real {
    /// It has no state of its own.
    pub fn new() -> Self {
        Self
    }
}

impl Disk for Real {
    fn create_folder(&self, step: Step, path: &Path) -> io::Result<()> {
        around(step, || create_folders(path))
    }

    fn create(&self, step: Step, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        around(step, || {
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create_new(true)
                .mode(FILE_MODE)
                .custom_flags(libc::O_NOFOLLOW)
                .open(path)?;
            Ok(Box::new(RealFile(file)) as Box<dyn DiskFile>)
        })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        open_file(OpenOptions::new().read(true).append(true), path)
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        open_file(OpenOptions::new().read(true), path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for item in std::fs::read_dir(path)? {
            // A name may be gone by now: consumers take files the moment they appear.
            entries.extend(self.entry(&item?.path())?);
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (kind, length) = if metadata.is_file() {
            (EntryKind::File, metadata.len())
        } else if metadata.is_dir() {
            (EntryKind::Folder, 0)
        } else {
            (EntryKind::Other, 0)
        };
        let modified =
            Timestamp(metadata.mtime().saturating_mul(1_000).saturating_add(metadata.mtime_nsec() / 1_000_000));
        Ok(Some(Entry { path: path.to_owned(), kind, length, device: metadata.dev(), modified }))
    }

    fn rename(&self, step: Step, from: &Path, to: &Path) -> io::Result<()> {
        around(step, || Ok(rustix::fs::rename(from, to)?))
    }

    fn rename_no_replace(&self, step: Step, from: &Path, to: &Path) -> io::Result<()> {
        around(step, || match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Network file systems know no flags.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => link_and_unlink(from, to),
            result => Ok(result?),
        })
    }

    fn remove(&self, step: Step, path: &Path) -> io::Result<()> {
        around(step, || {
            let result = match self.entry(path)?.map(|entry| entry.kind) {
                None => return Ok(()),
                Some(EntryKind::Folder) => std::fs::remove_dir_all(path),
                Some(EntryKind::File | EntryKind::Other) => std::fs::remove_file(path),
            };
            result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
        })
    }

    fn sync_folder(&self, step: Step, path: &Path) -> io::Result<()> {
        around(step, || sync_names(path))
    }

    fn sync_all(&self, files: &[(Step, &dyn DiskFile)]) -> io::Result<()> {
        let [first, rest @ ..] = files else { return Ok(()) };
        // One thread per further file: they are the three of a commit, or one set of outputs.
        std::thread::scope(|scope| {
            let others: Vec<_> = rest.iter().map(|(step, file)| scope.spawn(move || file.sync(*step))).collect();
            let mut result = first.1.sync(first.0);
            for other in others {
                let synced = other.join().unwrap_or_else(|_| Err(io::Error::other("a sync panicked")));
                result = result.and(synced);
            }
            result
        })
    }

    fn set_access(&self, path: &Path, mode: u32, group: Option<&str>) -> io::Result<()> {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        // The group first: changing it clears the set-id bits of the mode.
        if let Some(group) = group {
            rustix::fs::fchown(&file, None, Some(Gid::from_raw(groups::number(group)?)))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(mode))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Space {
            bytes: found.f_blocks.saturating_mul(found.f_frsize),
            // What is kept back for root is not ours to write.
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            inodes: found.f_files,
            free_inodes: found.f_favail,
        })
    }

    fn mount(&self, path: &Path) -> io::Result<Mount> {
        let magic = rustix::fs::statfs(path)?.f_type;
        Ok(kind_of_mount(magic as u64 & 0xffff_ffff))
    }

    fn pass(&self, step: Step) {
        crash::point(step, Side::Before);
        crash::point(step, Side::After);
    }
}

/// Makes what is missing of `path`, each level durable before the next is made.
///
/// A crash can therefore leave only the deepest folder there is without a durable name.
/// So the parent of the deepest existing one is synced too, even if there is nothing to make.
fn create_folders(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => sync_names(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or(error)?;
            create_folders(parent)?;
            DirBuilder::new().mode(FOLDER_MODE).create(path)?;
            sync_names(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            return match sync_parent(path) {
                // A folder that we may not open is not one that we made something in.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                result => result,
            };
        }
        Err(error) => return Err(error),
    }
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_names(Path::new(".")),
        Some(parent) => sync_names(parent),
        None => Ok(()),
    }
}

/// The whole `fsync`: a folder has no data apart from its names.
fn sync_names(folder: &Path) -> io::Result<()> {
    let handle = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(folder)?;
    rustix::fs::fsync(&handle)?;
    still_there(&handle)
}

/// What a sync said is true only if the file system still serves after it. One that xfs gave up after an error of its
/// log answers "done" to the sync of a folder whose names it has lost; it answers nothing but errors to a look.
fn still_there(handle: impl AsFd) -> io::Result<()> {
    rustix::fs::fstat(handle)?;
    Ok(())
}

/// For file systems whose rename takes no flags. A crash between the two leaves both names on one file.
fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<Box<dyn DiskFile>> {
    // Without O_NONBLOCK a pipe that someone placed here would hold us up; regular files ignore it.
    let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(Box::new(RealFile(file)))
}

/// The magic numbers of statfs(2). ext2 and ext3 share ext4's.
fn kind_of_mount(magic: u64) -> Mount {
    let (kind, ordered_renames) = match magic {
        0xef53 => ("ext4", true),
        0x5846_5342 => ("xfs", true),
        0x9123_683e => ("btrfs", true),
        0x6969 => ("nfs", false),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => ("cifs", false),
        0x0102_1994 => ("tmpfs", false),
        0x794c_7630 => ("overlay", false),
        0x6573_5546 => ("fuse", false),
        0x2fc1_2fc1 => ("zfs", false),
        0x4d44 => ("vfat", false),
        _ => ("unknown", false),
    };
    Mount { kind, ordered_renames }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn append(&mut self, step: Step, bytes: &[u8]) -> io::Result<()> {
        // `write_all` goes on after short and interrupted writes.
        around(step, || self.0.write_all(bytes))
    }

    fn sync(&self, step: Step) -> io::Result<()> {
        // fdatasync(2) writes the length too where reading the data back depends on it.
        around(step, || {
            rustix::fs::fdatasync(&self.0)?;
            still_there(&self.0)
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn cut(&mut self, step: Step, length: u64) -> io::Result<()> {
        around(step, || {
            if length > self.length()? {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a cut does not lengthen"));
            }
            self.0.set_len(length)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_make_is_ours_alone_until_opened() {
        let room = tempfile::tempdir().unwrap();
        let (folder, file) = (room.path().join("a/b"), room.path().join("a/b/file"));
        Real.create_folder(Step::StateDirectory, &folder).unwrap();
        Real.create(Step::StageWrite, &file).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        Real.set_access(&file, 0o640, None).unwrap();
        assert_eq!(mode(&file), 0o640);
    }

    #[test]
    fn links_and_pipes_are_named_but_never_opened() {
        let room = tempfile::tempdir().unwrap();
        let (target, link) = (room.path().join("target"), room.path().join("link"));
        std::fs::write(&target, "x").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_eq!(Real.entry(&link).unwrap().unwrap().kind, EntryKind::Other);
        assert!(Real.read(&link).is_err());
        assert!(Real.open(&link).is_err());
        assert!(Real.set_access(&link, 0o644, None).is_err());

        let pipe = room.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(Real.read(&pipe).is_err());
    }

    #[test]
    fn the_way_around_missing_flags_replaces_nothing_either() {
        let room = tempfile::tempdir().unwrap();
        let (a, b) = (room.path().join("a"), room.path().join("b"));
        std::fs::write(&a, "a").unwrap();
        std::fs::write(&b, "b").unwrap();
        assert_eq!(link_and_unlink(&a, &b).map_err(|e| e.kind()), Err(io::ErrorKind::AlreadyExists));
        std::fs::remove_file(&b).unwrap();
        link_and_unlink(&a, &b).unwrap();
        assert_eq!(std::fs::read(&b).unwrap(), b"a");
        assert!(!a.exists());
    }

    #[test]
    fn only_known_local_file_systems_order_their_renames() {
        assert_eq!(kind_of_mount(0xef53), Mount { kind: "ext4", ordered_renames: true });
        assert_eq!(kind_of_mount(0x6969), Mount { kind: "nfs", ordered_renames: false });
        assert_eq!(kind_of_mount(1), Mount { kind: "unknown", ordered_renames: false });
    }

    #[test]
    fn a_missing_group_is_an_error_that_names_it() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        Real.create(Step::StageWrite, &file).unwrap();
        let error = Real.set_access(&file, 0o640, Some("no-such-group")).unwrap_err();
        assert!(error.to_string().contains("no-such-group"));
    }
}
