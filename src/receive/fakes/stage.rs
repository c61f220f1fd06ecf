//! Where it all happens: clocks that follow simulated time, dice that show 0, a disk with room (or without).

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::NOW;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::disk::{Disk, DiskFile, Entry, Mount, Space};

/// The clocks, the dice and the disk.
#[derive(Clone)]
pub(in crate::receive) struct Stage {
    free_bytes: u64,
    /// What lies in the spool takes room on the disk.
    pub(in crate::receive) spooled: Arc<AtomicU64>,
    begun: Instant,
}

impl Stage {
    /// So much of its million bytes is free.
    pub(in crate::receive) fn with_free(free_bytes: u64) -> Self {
        Self { free_bytes, spooled: Arc::default(), begun: Instant::now() }
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::with_free(900_000)
    }
}

impl Clock for Stage {
    fn wall(&self) -> Timestamp {
        NOW.plus(self.begun.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Chance for Stage {
    fn dice(&self) -> u64 {
        0
    }

    fn uuid(&self) -> String {
        "11111111-1111-4111-8111-111111111111".into()
    }
}

fn no_disk<T>() -> io::Result<T> {
    Err(io::Error::other("a poller must not touch the disk"))
}

impl Disk for Stage {
    fn create_folder(&self, _: Step, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn create(&self, _: Step, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        no_disk()
    }
    fn open(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        no_disk()
    }
    fn read(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        no_disk()
    }
    fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        no_disk()
    }
    fn entry(&self, _: &Path) -> io::Result<Option<Entry>> {
        no_disk()
    }
    fn rename(&self, _: Step, _: &Path, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn rename_no_replace(&self, _: Step, _: &Path, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn remove(&self, _: Step, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn sync_folder(&self, _: Step, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn sync_all(&self, _: &[(Step, &dyn DiskFile)]) -> io::Result<()> {
        no_disk()
    }
    fn set_access(&self, _: &Path, _: u32, _: Option<&str>) -> io::Result<()> {
        no_disk()
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        let free_bytes = self.free_bytes.saturating_sub(self.spooled.load(Ordering::Relaxed));
        Ok(Space { bytes: 1_000_000, free_bytes, inodes: 0, free_inodes: 0 })
    }
    fn mount(&self, _: &Path) -> io::Result<Mount> {
        no_disk()
    }
    fn pass(&self, _: Step) {}
}
