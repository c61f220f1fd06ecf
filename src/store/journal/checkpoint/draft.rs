//! A checkpoint on its way: some rows at each commit, so that no commit waits for all of them. Half a million
//! deliveries in one go took seconds.
//!
//! It is true for the record at which it began. Whoever changes the index meanwhile says so before
//! ([`Draft::before`]): rows that are about to change and have not been read yet are written as they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{END, MAGIC, VERSION, list, path};
use crate::domain::step::Step;
use crate::ports::disk::{Disk, DiskFile};
use crate::ports::store::Halt;
use crate::store::index::{Batch, Index, Order, keys};
use crate::store::journal::{Head, failed};

/// Synced whenever so many bytes were written, so that the last sync has little left to do.
const SYNC_EVERY: u64 = 4 << 20;

/// With so many changed keys held it goes twice as fast, with twice as many three times: some megabytes at the most.
const CHANGED_A_PACE: usize = 4_096;

/// A checkpoint on its way.
pub struct Draft {
    temp: PathBuf,
    path: PathBuf,
    directory: PathBuf,
    out: Out,
    rows: u64,
    /// All rows before this key are in it.
    from: Vec<u8>,
    /// Keys from there on that changed since the beginning: what was there then is in it, too.
    changed: BTreeSet<Vec<u8>>,
}

impl Draft {
    /// Begins one that is true for `head`, which the index must contain, and nothing beyond.
    pub fn begin(disk: &dyn Disk, directory: &Path, head: Head) -> Result<Self, Halt> {
        let path = path(directory, head.sequence);
        let temp = path.with_extension("tmp");
        let step = Step::Checkpoint;
        disk.remove(step, &temp).map_err(failed("remove a half-made checkpoint"))?;
        let file = disk.create(step, &temp).map_err(failed("make a checkpoint"))?;
        let mut out = Out { file, crc: 0, length: 0, unsynced: 0 };
        let mut header = MAGIC.to_vec();
        header.push(VERSION);
        header.extend(head.sequence.to_be_bytes());
        header.extend(head.hash);
        out.add(&header)?;
        let directory = directory.to_owned();
        Ok(Self { temp, path, directory, out, rows: 0, from: Vec::new(), changed: BTreeSet::new() })
    }

    /// To be called before `batch` is applied to the index.
    pub fn before(&mut self, batch: &Batch, index: &dyn Index) -> Result<(), Halt> {
        let mut bytes = Vec::new();
        for key in batch.range(self.from.clone()..).map(|(key, _)| key) {
            if !self.changed.insert(key.clone()) {
                continue;
            }
            if let Some(value) = index.get(key).map_err(|error| Halt(error.to_string()))? {
                encode(&mut bytes, key, &value);
                self.rows += 1;
            }
        }
        self.out.add(&bytes)
    }

    /// How many times faster it should go on, so that what has changed meanwhile is held for a bounded time.
    pub fn pace(&self) -> usize {
        1 + self.changed.len() / CHANGED_A_PACE
    }

    /// Adds up to `limit` rows. Says whether these were the last.
    pub fn add_rows(&mut self, index: &dyn Index, limit: usize) -> Result<bool, Halt> {
        let page = index.scan(&self.from, keys::END, Order::Ascending, limit);
        let page = page.map_err(|error| Halt(error.to_string()))?;
        let mut bytes = Vec::new();
        for (key, value) in &page {
            if !self.changed.contains(key) {
                encode(&mut bytes, key, value);
                self.rows += 1;
            }
        }
        self.out.add(&bytes)?;
        let is_last = page.len() < limit;
        if let Some((key, _)) = page.into_iter().next_back() {
            self.from = key;
            self.from.push(0);
            self.changed = self.changed.split_off(&self.from);
        }
        Ok(is_last)
    }

    /// Ends it, and removes all but the newest two checkpoints. Durable on return. Returns its length in bytes.
    pub fn finish(mut self, disk: &dyn Disk) -> Result<u64, Halt> {
        let step = Step::Checkpoint;
        let mut end = END.to_be_bytes().to_vec();
        end.extend(self.rows.to_be_bytes());
        self.out.add(&end)?;
        self.out.add(&self.out.crc.to_be_bytes())?;
        self.out.file.sync(step).map_err(failed("sync a checkpoint"))?;
        disk.rename(step, &self.temp, &self.path).map_err(failed("name a checkpoint"))?;
        disk.sync_folder(step, &self.directory).map_err(failed("sync the journal folder"))?;
        for stale in list(disk, &self.directory)?.iter().skip(2) {
            disk.remove(step, &path(&self.directory, *stale)).map_err(failed("remove an old checkpoint"))?;
        }
        Ok(self.out.length)
    }

    /// Leaves it: the checkpoint before, and more of the journal, serve.
    pub fn give_up(self, disk: &dyn Disk) -> Result<(), Halt> {
        disk.remove(Step::Checkpoint, &self.temp).map_err(failed("remove a half-made checkpoint"))
    }
}

fn encode(bytes: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    bytes.extend((key.len() as u32).to_be_bytes());
    bytes.extend((value.len() as u32).to_be_bytes());
    bytes.extend(key);
    bytes.extend(value);
}

struct Out {
    file: Box<dyn DiskFile>,
    crc: u32,
    length: u64,
    unsynced: u64,
}

impl Out {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.length += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        self.file.append(Step::Checkpoint, bytes).map_err(failed("write a checkpoint"))?;
        if self.unsynced >= SYNC_EVERY {
            self.file.sync(Step::Checkpoint).map_err(failed("sync a checkpoint"))?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use crate::store::disk::Simulated;
    use crate::store::index::memory::Memory;

    fn row(number: u64, value: u64) -> (Vec<u8>, Option<Vec<u8>>) {
        (keys::numbered(b'D', number), Some(value.to_be_bytes().to_vec()))
    }

    /// Rows set, changed, removed, added and added again at every point of its making, before and behind it.
    #[test]
    fn it_holds_what_was_there_when_it_began_whatever_changed_since() {
        for seed in 0..200u64 {
            let disk = Simulated::new(seed);
            let directory = Path::new("/journal");
            disk.create_folder(Step::StateDirectory, directory).expect("made");
            let mut index = Memory::default();
            let meta = (keys::META.to_vec(), Some(vec![1]));
            index.apply(&(0..40).map(|number| row(number * 2, 0)).chain([meta]).collect()).expect("applied");
            let then = index.rows();
            let head = Head { sequence: seed + 1, hash: [7; 32] };
            let mut draft = Draft::begin(&disk, directory, head).expect("begun");
            let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut roll = |end: u64| {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (dice >> 33) % end
            };
            loop {
                let mut batch = Batch::new();
                for _ in 0..roll(6) {
                    let (key, value) = row(roll(80), 1 + roll(9));
                    batch.insert(key, value.filter(|_| roll(3) > 0));
                }
                draft.before(&batch, &index).expect("noted");
                index.apply(&batch).expect("applied");
                if draft.add_rows(&index, 1 + roll(7) as usize).expect("added") {
                    break;
                }
            }
            let length = draft.finish(&disk).expect("durable");
            assert_eq!(length, super::super::length(&disk, directory, head.sequence).expect("it is there"));
            let mut again = Memory::default();
            let loaded = load(&disk, directory, head.sequence, &mut again).expect("it reads");
            assert_eq!(loaded.head, head);
            assert_eq!(again.get(keys::META), Ok(None), "not whole yet");
            loaded.complete(&mut again).expect("applied");
            assert_eq!(again.rows(), then, "seed {seed}");
        }
    }
}
