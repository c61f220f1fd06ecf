//! A checkpoint: all rows of the index as they were at one record, so that a rebuild need not read the whole journal.
//!
//! ```text
//! offset  length  field, numbers big-endian
//!      0       8  "MESHDCKP"
//!      8       1  version, 1
//!      9       8  sequence of the record it is true for
//!     17      32  hash of that record
//!     49          rows, each once, in no order: length of the key (4), length of the value (4), key, value
//!              4  ff ff ff ff in the place of a key's length: the end
//!              8  number of rows
//!              4  CRC32C of all before
//! ```
//!
//! It is made in small steps, see [`Draft`]. Named by its sequence in twenty digits, `.checkpoint`. Made with a temporary name, synced, renamed; durable then.
//! One that is damaged or belongs to another journal is passed over: the one before, or the whole journal, serves.

mod draft;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::record::Hash;
use super::segment::{FileReader, fill};
use super::{Head, failed};
use crate::ports::disk::Disk;
use crate::ports::store::Halt;
use crate::store::index::{Batch, Index, IndexError, keys};

pub use draft::Draft;

const MAGIC: &[u8; 8] = b"MESHDCKP";
const VERSION: u8 = 1;
const END: u32 = u32::MAX;
/// Rows applied to the index at a time.
const PAGE: usize = 32;
/// No row is longer; a length beyond it is damage.
const LONGEST: usize = 2 * 1024 * 1024;

/// The sequences of the checkpoints there are, newest first.
pub fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<u64>, Halt> {
    let entries = disk.list(directory).map_err(failed("list the checkpoints"))?;
    let sequence = |path: &Path| path.file_name()?.to_str()?.strip_suffix(".checkpoint")?.parse::<u64>().ok();
    let mut found: Vec<u64> = entries.iter().filter_map(|entry| sequence(&entry.path)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Length of the checkpoint of `sequence`, bytes.
pub fn length(disk: &dyn Disk, directory: &Path, sequence: u64) -> Result<u64, Halt> {
    let entry = disk.entry(&path(directory, sequence)).map_err(failed("look at a checkpoint"))?;
    Ok(entry.map_or(0, |entry| entry.length))
}

/// A checkpoint whose rows are in the index, but for the one that says what the index contains.
#[derive(Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The record it is true for.
    pub head: Head,
    meta: Vec<u8>,
}

impl Loaded {
    /// Adds the row held back, once all others are durable: an index that has it is whole.
    pub fn complete(self, index: &mut dyn Index) -> Result<(), IndexError> {
        index.sync()?;
        index.apply(&Batch::from([(keys::META.to_vec(), Some(self.meta))]))
    }
}

/// Puts the rows of the checkpoint of `sequence` into the empty `index`, but for the one that [`Loaded::complete`] adds:
/// a load that is cut short must leave an index that says nothing of itself.
pub fn load(disk: &dyn Disk, directory: &Path, sequence: u64, index: &mut dyn Index) -> Result<Loaded, Unfit> {
    let file = disk.read(&path(directory, sequence))?;
    let mut source = Source { inner: io::BufReader::with_capacity(128 * 1024, FileReader { file, at: 0 }), crc: 0 };
    let header = source.take(49)?;
    if &header[..8] != MAGIC || header[8] != VERSION {
        return Err(Unfit::Damaged);
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(&header[17..49]);
    let head = Head { sequence: number(&header[9..17]), hash };
    let (mut batch, mut rows, mut meta) = (Batch::new(), 0u64, None);
    loop {
        let key_length = source.length()?;
        if key_length == END {
            break;
        }
        let value_length = source.length()?;
        let key = source.take(key_length as usize)?;
        let value = source.take(value_length as usize)?;
        rows += 1;
        if key == keys::META {
            meta = Some(value);
            continue;
        }
        batch.insert(key, Some(value));
        if batch.len() == PAGE {
            index.apply(&batch)?;
            batch.clear();
        }
    }
    let counted = number(&source.take(8)?);
    let crc = source.crc;
    if counted != rows || source.length()? != crc || head.sequence != sequence {
        return Err(Unfit::Damaged);
    }
    index.apply(&batch)?;
    Ok(Loaded { head, meta: meta.ok_or(Unfit::Damaged)? })
}

/// Why a checkpoint does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Its checksum or its shape is wrong.
    #[error("damaged")]
    Damaged,
    /// It does not read.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// The index does not take it.
    #[error(transparent)]
    Index(#[from] IndexError),
}

fn path(directory: &Path, sequence: u64) -> PathBuf {
    directory.join(format!("{sequence:020}.checkpoint"))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

struct Source<R> {
    inner: R,
    crc: u32,
}

impl<R: Read> Source<R> {
    fn take(&mut self, length: usize) -> Result<Vec<u8>, Unfit> {
        if length > LONGEST {
            return Err(Unfit::Damaged);
        }
        let mut bytes = vec![0; length];
        if fill(&mut self.inner, &mut bytes)? < length {
            return Err(Unfit::Damaged);
        }
        self.crc = crc32c::crc32c_append(self.crc, &bytes);
        Ok(bytes)
    }

    fn length(&mut self) -> Result<u32, Unfit> {
        let bytes = self.take(4)?;
        Ok(number(&bytes) as u32)
    }
}
