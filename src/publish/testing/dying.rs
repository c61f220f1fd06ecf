//! A disk under a process that dies, while somebody watches.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::domain::step::Step;
use crate::ports::disk::{Disk, DiskFile, Entry, Mount, Space};

/// Called after everything that changes the disk.
pub(in crate::publish) type Watcher = Box<dyn Fn(&dyn Disk) + Send + Sync>;

/// A disk under a process that dies before or after its `n`-th change, while somebody watches.
pub(in crate::publish) struct Dying {
    inner: Arc<dyn Disk>,
    fuse: Arc<Fuse>,
    bends: Bends,
}

/// What this disk says otherwise than the one below it.
#[derive(Debug, Clone, Default)]
pub(in crate::publish) struct Bends {
    /// It is a network share.
    pub(in crate::publish) is_share: bool,
    /// This folder lies on another file system than the rest.
    pub(in crate::publish) elsewhere: Option<PathBuf>,
}

struct Fuse {
    /// Sides of changes still to pass: two for each change, before and after.
    left: AtomicU64,
    is_dead: AtomicBool,
    watcher: Watcher,
    steps: Mutex<Vec<Step>>,
}

impl Dying {
    /// Dies after so many sides of changes: 0 before the first change, 1 after it, 2 before the second.
    pub(in crate::publish) fn new(inner: Arc<dyn Disk>, sides: u64, watcher: Watcher) -> Self {
        let fuse =
            Fuse { left: AtomicU64::new(sides), is_dead: AtomicBool::new(false), watcher, steps: Mutex::default() };
        Self { inner, fuse: Arc::new(fuse), bends: Bends::default() }
    }

    /// Lives on, but says otherwise.
    pub(in crate::publish) fn bent(inner: Arc<dyn Disk>, bends: Bends) -> Self {
        Self { bends, ..Self::new(inner, u64::MAX, Box::new(|_| {})) }
    }

    fn bend(&self, entry: Entry) -> Entry {
        let is_elsewhere = self.bends.elsewhere.as_ref() == Some(&entry.path);
        Entry { device: entry.device + u64::from(is_elsewhere), ..entry }
    }

    pub(in crate::publish) fn is_dead(&self) -> bool {
        self.fuse.is_dead.load(Ordering::Relaxed)
    }

    /// The steps that took effect, in order.
    pub(in crate::publish) fn steps(&self) -> Vec<Step> {
        self.fuse.steps.lock().expect("no test panics in here").clone()
    }
}

impl Fuse {
    fn alive(&self) -> io::Result<()> {
        if self.is_dead.load(Ordering::Relaxed) { Err(io::Error::other("the process is dead")) } else { Ok(()) }
    }

    fn side(&self) -> io::Result<()> {
        self.alive()?;
        if self.left.load(Ordering::Relaxed) == 0 {
            self.is_dead.store(true, Ordering::Relaxed);
        } else {
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
        self.alive()
    }

    fn around<T>(&self, disk: &dyn Disk, step: Step, effect: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.side()?;
        let done = effect()?;
        self.steps.lock().expect("no test panics in here").push(step);
        (self.watcher)(disk);
        self.side()?;
        Ok(done)
    }
}

impl Disk for Dying {
    fn create_folder(&self, step: Step, path: &Path) -> io::Result<()> {
        self.fuse.around(&*self.inner, step, || self.inner.create_folder(step, path))
    }

    fn create(&self, step: Step, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inner = self.fuse.around(&*self.inner, step, || self.inner.create(step, path))?;
        Ok(Box::new(DyingFile { inner, disk: self.inner.clone(), fuse: self.fuse.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.fuse.alive()?;
        self.inner.open(path)
    }

    fn read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.fuse.alive()?;
        self.inner.read(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.fuse.alive()?;
        Ok(self.inner.list(path)?.into_iter().map(|entry| self.bend(entry)).collect())
    }

    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        self.fuse.alive()?;
        Ok(self.inner.entry(path)?.map(|entry| self.bend(entry)))
    }

    fn rename(&self, step: Step, from: &Path, to: &Path) -> io::Result<()> {
        self.fuse.around(&*self.inner, step, || self.inner.rename(step, from, to))
    }

    fn rename_no_replace(&self, step: Step, from: &Path, to: &Path) -> io::Result<()> {
        self.fuse.around(&*self.inner, step, || self.inner.rename_no_replace(step, from, to))
    }

    fn remove(&self, step: Step, path: &Path) -> io::Result<()> {
        self.fuse.around(&*self.inner, step, || self.inner.remove(step, path))
    }

    fn sync_folder(&self, step: Step, path: &Path) -> io::Result<()> {
        self.fuse.around(&*self.inner, step, || self.inner.sync_folder(step, path))
    }

    fn sync_all(&self, files: &[(Step, &dyn DiskFile)]) -> io::Result<()> {
        files.iter().try_for_each(|(step, file)| file.sync(*step))
    }

    fn set_access(&self, path: &Path, mode: u32, group: Option<&str>) -> io::Result<()> {
        self.fuse.alive()?;
        self.inner.set_access(path, mode, group)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.fuse.alive()?;
        self.inner.space(path)
    }

    fn mount(&self, path: &Path) -> io::Result<Mount> {
        self.fuse.alive()?;
        if self.bends.is_share { Ok(Mount { kind: "nfs", ordered_renames: false }) } else { self.inner.mount(path) }
    }

    fn pass(&self, step: Step) {
        self.inner.pass(step);
    }
}

struct DyingFile {
    inner: Box<dyn DiskFile>,
    disk: Arc<dyn Disk>,
    fuse: Arc<Fuse>,
}

impl DiskFile for DyingFile {
    fn append(&mut self, step: Step, bytes: &[u8]) -> io::Result<()> {
        self.fuse.around(&*self.disk, step, || self.inner.append(step, bytes))
    }

    fn sync(&self, step: Step) -> io::Result<()> {
        self.fuse.around(&*self.disk, step, || self.inner.sync(step))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.fuse.alive()?;
        self.inner.read_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.fuse.alive()?;
        self.inner.length()
    }

    fn cut(&mut self, step: Step, length: u64) -> io::Result<()> {
        self.fuse.around(&*self.disk, step, || self.inner.cut(step, length))
    }
}
