//! One daemon per state directory, and how the last one ended.
//!
//! An advisory lock on `<state>/lock`, given up by the kernel when the process ends however it ends.
//! The file says who holds it, for the one who comes second, and whether the last holder ended in order.
//! Nothing depends on its content being durable: a word of an earlier boot is not believed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    last: LastEnd,
}

/// How the last run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastEnd {
    /// In order, since this boot; or there was none.
    InOrder,
    /// Killed, or halted, or with the machine.
    Unknown,
}

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon runs.
    #[error("another meshd (process {pid}) runs on {path}", pid = named(.holder))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Its process.
        holder: Option<u32>,
    },
    /// The file cannot be used.
    #[error("lock {path}: {error}")]
    Failed {
        /// The lock file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

fn named(holder: &Option<u32>) -> String {
    holder.map_or_else(|| "unknown".into(), |pid| pid.to_string())
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    pid: u32,
    boot: String,
    ended: bool,
}

impl Lock {
    /// Takes the lock of the state directory, in the boot named `boot`.
    pub fn take(directory: &Path, boot: &str) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let failed = |error| LockError::Failed { path: path.clone(), error };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let note = read_note(&mut file).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held { holder: note.map(|note| note.pid), path });
            }
            Err(error) => return Err(failed(error.into())),
        }
        let last = match &note {
            Some(note) if note.ended && note.boot == boot => LastEnd::InOrder,
            None if file.metadata().map_err(failed)?.len() == 0 => LastEnd::InOrder,
            Some(_) | None => LastEnd::Unknown,
        };
        let mut lock = Self { file, last };
        lock.write(boot, false).map_err(failed)?;
        Ok(lock)
    }

    /// Takes the lock of a state directory that is only read: the file is not changed, nor made.
    pub fn look(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join("lock");
        let failed = |error| LockError::Failed { path: path.clone(), error };
        let mut file = File::open(&path).map_err(failed)?;
        let note = read_note(&mut file).map_err(failed)?;
        // Shared, which needs no right to write.
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Self { file, last: LastEnd::Unknown }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held { holder: note.map(|note| note.pid), path }),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// How the last run ended.
    pub fn last_end(&self) -> LastEnd {
        self.last
    }

    /// Notes that this run ends in order, and gives the lock up.
    pub fn end_in_order(mut self, boot: &str) -> io::Result<()> {
        self.write(boot, true)
    }

    fn write(&mut self, boot: &str, ended: bool) -> io::Result<()> {
        let note = serde_json::to_vec(&Note { pid: std::process::id(), boot: boot.to_owned(), ended })?;
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(&note)
    }
}

/// What the file says; `None` if that is nothing, or not ours.
fn read_note(file: &mut File) -> io::Result<Option<Note>> {
    let mut text = Vec::new();
    file.take(1_024).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_and_told_who_was_first() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = Lock::take(folder.path(), "boot").expect("nobody has it");
        let second = Lock::take(folder.path(), "boot").expect_err("the first has it");
        assert!(second.to_string().contains(&std::process::id().to_string()), "{second}");
        drop(first);
        Lock::take(folder.path(), "boot").expect("the first is gone");
    }

    #[test]
    fn only_an_orderly_end_of_this_boot_is_believed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = Lock::take(folder.path(), "boot").expect("nobody has it");
        assert_eq!(first.last_end(), LastEnd::InOrder);
        drop(first);
        let after_a_kill = Lock::take(folder.path(), "boot").expect("nobody has it");
        assert_eq!(after_a_kill.last_end(), LastEnd::Unknown);
        after_a_kill.end_in_order("boot").expect("a temporary folder is writable");
        let after_an_end = Lock::take(folder.path(), "boot").expect("nobody has it");
        assert_eq!(after_an_end.last_end(), LastEnd::InOrder);
        after_an_end.end_in_order("boot").expect("a temporary folder is writable");
        let after_a_power_cut = Lock::take(folder.path(), "next boot").expect("nobody has it");
        assert_eq!(after_a_power_cut.last_end(), LastEnd::Unknown);
    }
}
