//! The index on sled, held by its guard rules.
//!
//! - One tree; `flush` and then our own `sync_data` of the `db` file, because sled's `flush` alone is not durable on
//!   Linux; no background flusher, so that nothing is written but when we say so.
//! - A lock that a dying predecessor still holds is waited for, a bounded time. Any other error, a panic while
//!   opening, or a condemned database: it is moved aside, kept for diagnosis, and made anew from the journal.
//! - After an unclean end [`Opening::probe`] is asked first. The daemon fills it with opening the database in a
//!   short-lived child process with a time limit, since sled can panic in its own threads on damage.
//! - sled's own files are written by sled; only the syncs that make them durable, and the moves, are ours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Batch, Index, IndexError, Order, Pair};
use crate::domain::step::Step;
use crate::ports::clock::Clock;
use crate::ports::disk::{Disk, DiskFile};

/// sled's page cache; its default of 1 GiB would be our largest use of memory.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// How long a predecessor's lock is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Between tries.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Its file beside the database says that the next opening must start anew.
const CONDEMNED: &str = "condemned";

/// Opens the database at a path elsewhere and says whether that went well.
pub type Probe = Box<dyn Fn(&Path) -> Result<(), String> + Send>;

/// What is needed to open it.
pub struct Opening {
    /// Where it lies; `<directory>.aside` beside it is where a damaged one goes.
    pub directory: PathBuf,
    /// The disk for our own syncs and moves.
    pub disk: Arc<dyn Disk>,
    /// Measures the wait for the lock.
    pub clock: Arc<dyn Clock>,
    /// Asked before opening in this process; `None` after a clean stop.
    pub probe: Option<Probe>,
}

/// A sled database. One thread owns it, and no other process may open it.
pub struct Sled {
    opening: Opening,
    open: Option<Open>,
    /// Made empty by us since the start: nothing to learn from if it has to go.
    is_ours: bool,
}

struct Open {
    tree: sled::Db,
    file: Box<dyn DiskFile>,
}

impl Sled {
    /// Opens it, or an empty one in its place. Fails only if not even an empty one can be made.
    pub fn open(opening: Opening) -> Result<Self, IndexError> {
        let sound = !opening.condemned()
            && match &opening.probe {
                Some(probe) if opening.directory.exists() => match probe(&opening.directory) {
                    Ok(()) => true,
                    Err(error) => {
                        tracing::warn!(error, "index does not open in a trial, so it is rebuilt");
                        false
                    }
                },
                Some(_) | None => true,
            };
        if sound {
            match opening.try_open() {
                Ok(open) => return Ok(Self { opening, open: Some(open), is_ours: false }),
                // Not ours to move: its owner is alive.
                Err(Refusal::Locked(why)) => return Err(IndexError(why)),
                Err(Refusal::Other(error)) => tracing::warn!(error, "index does not open, so it is rebuilt"),
            }
        }
        let mut index = Self { opening, open: None, is_ours: false };
        index.clear()?;
        Ok(index)
    }

    /// Opens the database at `directory` and closes it again: what the daemon's trial process does.
    pub fn try_out(directory: &Path) -> Result<(), IndexError> {
        open_tree(directory).map(drop).map_err(Refusal::into_error)
    }

    fn opened(&self) -> Result<&Open, IndexError> {
        self.open.as_ref().ok_or_else(|| IndexError("not open".into()))
    }
}

enum Refusal {
    Locked(String),
    Other(String),
}

impl Refusal {
    fn into_error(self) -> IndexError {
        match self {
            Self::Locked(text) | Self::Other(text) => IndexError(text),
        }
    }
}

fn open_tree(directory: &Path) -> Result<sled::Db, Refusal> {
    let config = sled::Config::new()
        .path(directory)
        .cache_capacity(CACHE_BYTES)
        .use_compression(false)
        .print_profile_on_drop(false)
        .flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(tree)) => Ok(tree),
        // sled wraps a refused lock in an error of kind `Other`, so only its text tells.
        Ok(Err(sled::Error::Io(error))) if error.to_string().contains("could not acquire lock") => {
            Err(Refusal::Locked(error.to_string()))
        }
        Ok(Err(error)) => Err(Refusal::Other(error.to_string())),
        Err(_) => Err(Refusal::Other("panicked while opening".into())),
    }
}

impl Opening {
    fn try_open(&self) -> Result<Open, Refusal> {
        let started = self.clock.monotonic();
        let tree = loop {
            match open_tree(&self.directory) {
                Ok(tree) => break tree,
                Err(Refusal::Locked(_)) if self.clock.monotonic().saturating_sub(started) < LOCK_WAIT => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(refusal) => return Err(refusal),
            }
        };
        let synced = || -> std::io::Result<Box<dyn DiskFile>> {
            self.disk.sync_folder(Step::IndexSync, &self.directory)?;
            if let Some(parent) = self.directory.parent() {
                self.disk.sync_folder(Step::IndexSync, parent)?;
            }
            self.disk.open(&self.directory.join("db"))
        };
        let file = synced().map_err(|error| Refusal::Other(format!("make the index folder durable: {error}")))?;
        Ok(Open { tree, file })
    }

    fn mark(&self) -> PathBuf {
        self.directory.with_extension(CONDEMNED)
    }

    fn condemned(&self) -> bool {
        self.mark().exists()
    }
}

impl Index for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.opened()?.tree.get(key).map_err(broken)?.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<Pair>, IndexError> {
        let range = self.opened()?.tree.range(from..to);
        let pair = |found: Result<(sled::IVec, sled::IVec), sled::Error>| {
            found.map(|(key, value)| (key.to_vec(), value.to_vec())).map_err(broken)
        };
        match order {
            Order::Ascending => range.take(limit).map(pair).collect(),
            Order::Descending => range.rev().take(limit).map(pair).collect(),
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), IndexError> {
        let open = self.opened()?;
        let mut rows = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key.as_slice(), value.as_slice()),
                None => rows.remove(key.as_slice()),
            }
        }
        self.opening.disk.pass(Step::IndexApply);
        open.tree.apply_batch(rows).map_err(broken)
    }

    fn sync(&mut self) -> Result<(), IndexError> {
        let open = self.opened()?;
        open.tree.flush().map_err(broken)?;
        open.file.sync(Step::IndexSync).map_err(failed("sync the index file"))
    }

    fn clear(&mut self) -> Result<(), IndexError> {
        self.open = None;
        let disk = &self.opening.disk;
        let directory = &self.opening.directory;
        if self.is_ours {
            disk.remove(Step::IndexDiscard, directory).map_err(failed("remove a half-made index"))?;
        } else if disk.entry(directory).map_err(failed("look for the index"))?.is_some() {
            // The newest is kept for diagnosis; more would fill the disk.
            let aside = directory.with_extension("aside");
            disk.remove(Step::IndexDiscard, &aside).map_err(failed("remove an old index"))?;
            disk.rename(Step::IndexDiscard, directory, &aside).map_err(failed("move the index aside"))?;
            tracing::warn!(aside = %aside.display(), "index moved aside");
        }
        self.is_ours = true;
        disk.remove(Step::IndexDiscard, &self.opening.mark()).map_err(failed("remove the index's mark"))?;
        self.open = Some(self.opening.try_open().map_err(Refusal::into_error)?);
        Ok(())
    }

    fn condemn(&mut self) {
        match self.opening.disk.create(Step::IndexDiscard, &self.opening.mark()) {
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "index could not be marked for rebuilding"),
        }
    }
}

fn broken(error: sled::Error) -> IndexError {
    IndexError(error.to_string())
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> IndexError {
    move |error| IndexError(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests;
