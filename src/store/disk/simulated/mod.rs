//! A file system in memory that forgets what was not synced.
//!
//! It models one local, journalling file system on one drive, with these habits:
//!
//! - What was appended and not synced survives a crash as any prefix of it, its last sector perhaps as garbage.
//! - A cut that was not synced may be undone.
//! - Names that were made, renamed or removed without a folder sync may be as before. A rename is whole or undone.
//! - A failed sync loses the data for good. It still reads back, and the next sync "succeeds" without writing it.
//! - A failed folder sync loses the names the same way.
//! - When the limit of bytes is reached an append writes what fits, then fails; at that of files a new one fails.
//! - After [`Simulated::stop_at`] every call fails until [`Simulated::crash`], as if the process were gone.
//!
//! It does not model drives that reorder writes across syncs, links, access rights, or two processes.
//! Handles that were open at a crash are dead. Clones share one disk.

mod content;
mod dice;
mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use content::Content;
use dice::Dice;
use names::{Names, Node, lock};

use super::Side;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::disk::{Disk, DiskFile, Entry, EntryKind, Mount, Space};

/// A file system in memory that forgets what was not synced.
#[derive(Clone)]
pub struct Simulated {
    state: Arc<Mutex<State>>,
}

struct State {
    names: Names,
    dice: Dice,
    passes: BTreeMap<(Step, Side), u64>,
    stop: Option<(Step, u64, Side)>,
    is_stopped: bool,
    /// Syncs still to succeed before one fails.
    good_syncs: Option<u64>,
    limit: Option<u64>,
    files_limit: Option<u64>,
    modified: Timestamp,
    /// Which life of the machine: handles of an earlier one are dead.
    life: u64,
}

impl Simulated {
    /// An empty disk with a root folder. Equal seeds and calls give equal crashes.
    pub fn new(seed: u64) -> Self {
        let state = State {
            names: Names::new(),
            dice: Dice::new(seed),
            passes: BTreeMap::new(),
            stop: None,
            is_stopped: false,
            good_syncs: None,
            limit: None,
            files_limit: None,
            modified: Timestamp(i64::MAX),
            life: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Cuts the power and turns it on again. Planned faults and counted passes are forgotten; the limit stays.
    pub fn crash(&self) {
        let state = &mut *lock(&self.state);
        state.names.crash(&mut state.dice);
        state.passes.clear();
        state.stop = None;
        state.is_stopped = false;
        state.good_syncs = None;
        state.life += 1;
    }

    /// Makes the `nth` sync of a file or folder from now on fail, once; 1 is the next one.
    pub fn fail_sync(&self, nth: u64) {
        lock(&self.state).good_syncs = Some(nth.saturating_sub(1));
    }

    /// Lets all files together hold at most `limit` bytes; `None` for no limit.
    pub fn limit_bytes(&self, limit: Option<u64>) {
        lock(&self.state).limit = limit;
    }

    /// Lets there be at most `limit` files; `None` for no limit. Folders need no inode here.
    pub fn limit_files(&self, limit: Option<u64>) {
        lock(&self.state).files_limit = limit;
    }

    /// Says of everything that it was last changed then. It has no clock: without this, nothing ever seems old.
    pub fn date(&self, modified: Timestamp) {
        lock(&self.state).modified = modified;
    }

    /// From the given side of the `nth` pass of `step` on (1 is the next one), every call fails until [`Self::crash`].
    pub fn stop_at(&self, step: Step, nth: u64, side: Side) {
        let mut state = lock(&self.state);
        let passed = state.passes.get(&(step, side)).copied().unwrap_or(0);
        state.stop = Some((step, passed + nth, side));
    }

    /// How often the effect of `step` happened since the last crash, so that a test can stop at each.
    pub fn passes(&self, step: Step) -> u64 {
        lock(&self.state).passes.get(&(step, Side::After)).copied().unwrap_or(0)
    }

    fn look<T>(&self, read: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.state);
        state.alive()?;
        read(&mut state)
    }

    fn around<T>(&self, step: Step, effect: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.state);
        state.point(step, Side::Before)?;
        let done = effect(&mut state)?;
        state.point(step, Side::After)?;
        Ok(done)
    }

    fn file(&self, state: &State, content: Arc<Mutex<Content>>, can_write: bool) -> Box<dyn DiskFile> {
        Box::new(SimulatedFile { disk: self.clone(), content, life: state.life, can_write })
    }

    fn open_file(&self, path: &Path, can_write: bool) -> io::Result<Box<dyn DiskFile>> {
        self.look(|state| match state.names.node(path)? {
            Some(Node::File(content)) => Ok(self.file(state, content, can_write)),
            Some(Node::Folder(_)) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.is_stopped { Err(io::Error::other("the simulated machine is off")) } else { Ok(()) }
    }

    fn point(&mut self, step: Step, side: Side) -> io::Result<()> {
        self.alive()?;
        let passes = self.passes.entry((step, side)).or_default();
        *passes += 1;
        if self.stop == Some((step, *passes, side)) {
            self.is_stopped = true;
        }
        self.alive()
    }

    fn sync_fails(&mut self) -> bool {
        match self.good_syncs {
            None => false,
            Some(0) => {
                self.good_syncs = None;
                true
            }
            Some(left) => {
                self.good_syncs = Some(left - 1);
                false
            }
        }
    }

    fn files(&self) -> u64 {
        self.names.files().len() as u64
    }

    fn used(&self) -> u64 {
        self.names.files().iter().map(|content| lock(content).live.len() as u64).sum()
    }
}

impl Disk for Simulated {
    fn create_folder(&self, step: Step, path: &Path) -> io::Result<()> {
        self.around(step, |state| {
            for level in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
                match state.names.node(level)? {
                    Some(Node::Folder(_)) => {}
                    Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                    None => {
                        let place = state.names.place(level)?;
                        let parent = place.0;
                        state.names.add_folder(place);
                        if state.sync_fails() {
                            state.names.fail_sync(parent);
                            return Err(io_error());
                        }
                        state.names.sync(parent);
                    }
                }
            }
            Ok(())
        })
    }

    fn create(&self, step: Step, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.around(step, |state| {
            let place = state.names.place(path)?;
            if state.files_limit.is_some_and(|limit| state.files() >= limit) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let content = state.names.add_file(place)?;
            Ok(self.file(state, content, true))
        })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open_file(path, true)
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open_file(path, false)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.look(|state| {
            let folder = state.names.folder(path)?;
            let named = state.names.list(folder).into_iter();
            Ok(named.map(|(name, node)| entry(path.join(name), &node, state.modified)).collect())
        })
    }

    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        self.look(|state| Ok(state.names.node(path)?.map(|node| entry(path.to_owned(), &node, state.modified))))
    }

    fn rename(&self, step: Step, from: &Path, to: &Path) -> io::Result<()> {
        self.around(step, |state| {
            let (from, to) = (state.names.place(from)?, state.names.place(to)?);
            state.names.rename(from, to)
        })
    }

    fn rename_no_replace(&self, step: Step, from: &Path, to: &Path) -> io::Result<()> {
        self.around(step, |state| {
            if state.names.node(to)?.is_some() && state.names.node(from)?.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let (from, to) = (state.names.place(from)?, state.names.place(to)?);
            state.names.rename(from, to)
        })
    }

    fn remove(&self, step: Step, path: &Path) -> io::Result<()> {
        self.around(step, |state| {
            if state.names.node(path)?.is_some() {
                let place = state.names.place(path)?;
                state.names.remove(place);
            }
            Ok(())
        })
    }

    fn sync_folder(&self, step: Step, path: &Path) -> io::Result<()> {
        self.around(step, |state| {
            let folder = state.names.folder(path)?;
            if state.sync_fails() {
                state.names.fail_sync(folder);
                return Err(io_error());
            }
            state.names.sync(folder);
            Ok(())
        })
    }

    fn sync_all(&self, files: &[(Step, &dyn DiskFile)]) -> io::Result<()> {
        // All are tried, as they are side by side on the real disk.
        let results: Vec<_> = files.iter().map(|(step, file)| file.sync(*step)).collect();
        results.into_iter().collect()
    }

    fn set_access(&self, path: &Path, _mode: u32, _group: Option<&str>) -> io::Result<()> {
        match self.entry(path)? {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        const UNLIMITED: u64 = 1 << 40;
        self.look(|state| {
            let bytes = state.limit.unwrap_or(UNLIMITED);
            let free_bytes = bytes.saturating_sub(state.used());
            let inodes = state.files_limit.unwrap_or(0);
            Ok(Space { bytes, free_bytes, inodes, free_inodes: inodes.saturating_sub(state.files()) })
        })
    }

    fn mount(&self, _path: &Path) -> io::Result<Mount> {
        self.look(|_| Ok(Mount { kind: "ext4", ordered_renames: true }))
    }

    fn pass(&self, step: Step) {
        // Nothing can be reported here; the next call fails.
        drop(self.around(step, |_| Ok(())));
    }
}

fn entry(path: PathBuf, node: &Node, modified: Timestamp) -> Entry {
    let (kind, length) = match node {
        Node::File(content) => (EntryKind::File, lock(content).live.len() as u64),
        Node::Folder(_) => (EntryKind::Folder, 0),
    };
    Entry { path, kind, length, device: 1, modified }
}

fn io_error() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

struct SimulatedFile {
    disk: Simulated,
    content: Arc<Mutex<Content>>,
    life: u64,
    can_write: bool,
}

impl SimulatedFile {
    fn usable(&self, state: &State) -> io::Result<()> {
        if state.life == self.life { Ok(()) } else { Err(io::Error::other("this handle was open at a crash")) }
    }

    fn writable(&self, state: &State) -> io::Result<()> {
        self.usable(state)?;
        if self.can_write { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EBADF)) }
    }
}

impl DiskFile for SimulatedFile {
    fn append(&mut self, step: Step, bytes: &[u8]) -> io::Result<()> {
        self.disk.around(step, |state| {
            self.writable(state)?;
            let room = match state.limit {
                None => bytes.len(),
                Some(limit) => limit.saturating_sub(state.used()).min(bytes.len() as u64) as usize,
            };
            lock(&self.content).append(&bytes[..room]);
            if room < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn sync(&self, step: Step) -> io::Result<()> {
        self.disk.around(step, |state| {
            self.usable(state)?;
            let mut content = lock(&self.content);
            if state.sync_fails() {
                content.fail_sync();
                return Err(io_error());
            }
            content.sync();
            Ok(())
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.look(|state| {
            self.usable(state)?;
            let content = lock(&self.content);
            let from = content.live.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
            let count = buffer.len().min(content.live.len() - from);
            buffer[..count].copy_from_slice(&content.live[from..from + count]);
            Ok(count)
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.look(|state| {
            self.usable(state)?;
            Ok(lock(&self.content).live.len() as u64)
        })
    }

    fn cut(&mut self, step: Step, length: u64) -> io::Result<()> {
        self.disk.around(step, |state| {
            self.writable(state)?;
            let mut content = lock(&self.content);
            if length > content.live.len() as u64 {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a cut does not lengthen"));
            }
            content.cut(length as usize);
            Ok(())
        })
    }
}
