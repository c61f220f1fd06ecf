//! The journal: what happened, in order, linked by hashes. It is the truth and the audit in one.
//!
//! Append-only segments under `journal/`, drawn in [`segment`] and [`record`]; what the records say is in [`event`].
//! A record is durable once the segment was synced after it was written; nobody is answered before.
//!
//! - A bad frame at the end of the last segment is a torn tail: cut at the next opening, and the cut is journalled.
//!   A bad frame anywhere else, or one that a later record proves to have been durable, is damage: the store does
//!   not open, and names the file and the offset.
//! - A segment that reached its size is closed: beside it goes a [`checkpoint`] of the index when enough was written
//!   since the last one, the ids it accepted ([`seen`]), and in small steps its compressed form ([`compress`]).
//! - [`search`] finds records while others are written; [`verify`] checks them all.
//! - The chain shows accidents and later edits. It does not hold against root on the running machine, who can write
//!   a new chain; the head noted elsewhere, given to [`verify`], shows a tail that was cut off.

pub mod checkpoint;
pub mod compress;
pub mod event;
pub mod record;
pub mod search;
pub mod seen;
pub mod segment;
pub(super) mod tail;
pub mod verify;
pub mod written_with;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use self::event::Event;
use self::record::{Frame, Hash};
use self::segment::{HEADER, Header, Name, Reader, Record, Trouble};
use crate::domain::digest::hex;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::disk::{Disk, DiskFile};
use crate::ports::store::Halt;

/// The end of the journal: its text form is `sequence:hash`, the hash in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Sequence of the last record; 0 before the first.
    pub sequence: u64,
    /// Its hash; zeros before the first.
    pub hash: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hex(&self.hash))
    }
}

impl FromStr for Head {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a number, `:` and 64 hex digits".to_owned();
        let (sequence, digits) = text.split_once(':').ok_or_else(expected)?;
        let sequence = sequence.parse().map_err(|_| expected())?;
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(expected());
        }
        let mut hash = Hash::default();
        for (place, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).map_err(|_| expected())?;
        }
        Ok(Self { sequence, hash })
    }
}

/// When a commit's records say they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Wall clock.
    pub wall: Timestamp,
    /// Monotonic clock, milliseconds.
    pub monotonic_ms: u64,
}

/// Which opening of the store, on which boot of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Counts openings, from 1.
    pub number: u32,
    /// The machine's boot id, at most 36 bytes.
    pub boot: String,
}

/// The journal, open at its end. The committer alone writes.
pub struct Journal {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    run: Run,
    open: Name,
    file: Box<dyn DiskFile>,
    length: u64,
    head: Head,
    link: Hash,
    settled: u64,
    pending: Vec<u8>,
}

/// What opening found.
#[derive(Debug, Default)]
pub struct Found {
    /// The last record.
    pub last: Option<Record>,
    /// What was cut off the end.
    pub tail_cut: Option<Event>,
}

impl Journal {
    /// Opens the journal in `directory` for the boot `boot`, cuts a torn tail, and makes the first segment if there
    /// is none. Durable on return. The run's number follows the last record's.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path, boot: &str, now: Timestamp) -> Result<(Self, Found), Halt> {
        disk.create_folder(Step::StateDirectory, directory).map_err(failed("make the journal folder"))?;
        tidy(disk.as_ref(), directory)?;
        let tail = tail::find(disk.as_ref(), directory)?;
        if let Some(name) = &tail.headless {
            tail::discard(disk.as_ref(), directory, name)?;
        }
        let number = tail.last.as_ref().map_or(0, |record| record.frame.run) + 1;
        let run = Run { number, boot: boot.to_owned() };
        let head = tail.head;
        let (open, file, length, link) = match tail.open {
            Some((name, length, link)) => {
                let file = tail::renew(disk.as_ref(), directory, &name, length)
                    .map_err(failed("write the last segment anew"))?;
                (name, file, length, link)
            }
            None => {
                let header = Header {
                    first: head.sequence + 1,
                    link: head.hash,
                    run: number,
                    wall: now,
                    time: now,
                    boot: run.boot.clone(),
                };
                let (name, file, link) = create(disk.as_ref(), directory, &header)?;
                (name, file, HEADER as u64, link)
            }
        };
        let settled = head.sequence;
        let found = Found { last: tail.last, tail_cut: tail.cut };
        let pending = Vec::new();
        Ok((
            Self { disk, directory: directory.to_owned(), run, open, file, length, head, link, settled, pending },
            found,
        ))
    }

    /// This run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The last record added, durable or not.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The sequence the next record will have.
    pub fn next_sequence(&self) -> u64 {
        self.head.sequence + 1
    }

    /// First sequence of the open segment.
    pub fn open_from(&self) -> u64 {
        self.open.first
    }

    /// Bytes of the open segment.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds a record to the next write; its sequence is returned.
    pub fn add(&mut self, stamp: Stamp, event: &Event) -> Result<u64, Halt> {
        let body = serde_json::to_vec(event).map_err(|error| Halt(format!("encode a journal record: {error}")))?;
        if body.len() > record::LONGEST {
            return Err(Halt(format!("a journal record of {} bytes is too long", body.len())));
        }
        let frame = Frame {
            sequence: self.next_sequence(),
            wall: stamp.wall,
            monotonic_ms: stamp.monotonic_ms,
            run: self.run.number,
            settled: self.settled,
            link: self.link,
        };
        let hash = record::encode(&frame, &body, &mut self.pending);
        self.head = Head { sequence: frame.sequence, hash };
        self.link = hash;
        Ok(frame.sequence)
    }

    /// Records wait to be written.
    pub fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what was added, at once. Durable only after [`Journal::file`] was synced.
    pub fn write(&mut self) -> Result<(), Halt> {
        self.file.append(Step::JournalWrite, &self.pending).map_err(failed("write the journal"))?;
        self.length += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// The file to sync after [`Journal::write`].
    pub fn file(&self) -> &dyn DiskFile {
        self.file.as_ref()
    }

    /// The sync went well: everything written is durable.
    pub fn synced(&mut self) {
        self.settled = self.head.sequence;
    }

    /// Closes the open segment and makes the next one, at this time by the wall clock and by the store's own.
    /// Everything must be synced. Durable on return.
    pub fn roll(&mut self, wall: Timestamp, time: Timestamp) -> Result<Name, Halt> {
        let header = Header {
            first: self.next_sequence(),
            link: self.head.hash,
            run: self.run.number,
            wall,
            time,
            boot: self.run.boot.clone(),
        };
        let (name, file, link) = create(self.disk.as_ref(), &self.directory, &header)?;
        self.file = file;
        self.length = HEADER as u64;
        self.link = link;
        Ok(std::mem::replace(&mut self.open, name))
    }
}

fn create(disk: &dyn Disk, directory: &Path, header: &Header) -> Result<(Name, Box<dyn DiskFile>, Hash), Halt> {
    let name = Name { first: header.first, compressed: false };
    let bytes = header.encode();
    let made = || -> io::Result<Box<dyn DiskFile>> {
        let mut file = disk.create(Step::SegmentCreate, &name.path(directory))?;
        file.append(Step::SegmentCreate, &bytes)?;
        file.sync(Step::SegmentCreate)?;
        disk.sync_folder(Step::SegmentCreate, directory)?;
        Ok(file)
    };
    let file = made().map_err(failed("make a journal segment"))?;
    Ok((name, file, record::sha256(&bytes)))
}

/// The segments in `directory`, oldest first; of a pair, plain and compressed, the plain one.
pub fn segments(disk: &dyn Disk, directory: &Path) -> Result<Vec<Name>, Halt> {
    let entries = disk.list(directory).map_err(failed("list the journal"))?;
    let mut names: Vec<Name> = entries.iter().filter_map(|entry| Name::parse(&entry.path)).collect();
    names.sort();
    names.dedup_by_key(|name| name.first);
    Ok(names)
}

/// Removes what an earlier run left half made: temporary files, and compressed forms beside their plain ones.
fn tidy(disk: &dyn Disk, directory: &Path) -> Result<(), Halt> {
    let entries = disk.list(directory).map_err(failed("list the journal"))?;
    let mut removed = false;
    for entry in &entries {
        let half_made = entry.path.extension().is_some_and(|extension| extension == "tmp");
        let doubled = Name::parse(&entry.path).is_some_and(|name| {
            name.compressed
                && entries.iter().any(|other| other.path == Name { compressed: false, ..name }.path(directory))
        });
        if half_made || doubled {
            disk.remove(Step::SegmentCompress, &entry.path).map_err(failed("remove a half-made journal file"))?;
            removed = true;
        }
    }
    if removed {
        disk.sync_folder(Step::SegmentCompress, directory).map_err(failed("sync the journal folder"))?;
    }
    Ok(())
}

/// Writes `bytes` as `path`, replacing what is there: temporary file, sync, rename, sync of the folder. Durable on return.
fn write_whole(disk: &dyn Disk, step: Step, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temp = path.with_extension("tmp");
    disk.remove(step, &temp)?;
    let mut file = disk.create(step, &temp)?;
    file.append(step, bytes)?;
    file.sync(step)?;
    disk.rename(step, &temp, path)?;
    disk.sync_folder(step, path.parent().unwrap_or(Path::new(".")))
}

/// Reads the records from sequence `from` on, over all segments, checking the chain.
pub struct Records<'a> {
    disk: &'a dyn Disk,
    directory: &'a Path,
    rest: std::vec::IntoIter<Name>,
    reader: Option<Reader>,
    from: u64,
    link: Option<Hash>,
}

impl<'a> Records<'a> {
    /// Begins in the segment that holds `from`.
    pub fn from(disk: &'a dyn Disk, directory: &'a Path, from: u64) -> Result<Self, Halt> {
        let names = segments(disk, directory)?;
        let holding = names.iter().rposition(|name| name.first <= from).unwrap_or(0);
        let mut rest = names.into_iter();
        if holding > 0 {
            rest.nth(holding - 1);
        }
        Ok(Self { disk, directory, rest, reader: None, from, link: None })
    }

    /// The next record; `None` at the end.
    pub fn read(&mut self) -> Result<Option<Record>, Halt> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(name) = self.rest.next() else { return Ok(None) };
                let reader = Reader::open(self.disk, self.directory, &name)
                    .map_err(|trouble| at(&name, self.directory, &trouble))?;
                if self.link.is_some_and(|link| link != reader.header().link) {
                    return Err(at(&name, self.directory, &Trouble::Bad { offset: 17, what: "link" }));
                }
                self.reader = Some(reader);
                continue;
            };
            let name = Name { first: reader.header().first, compressed: false };
            match reader.read().map_err(|trouble| at(&name, self.directory, &trouble))? {
                Some(record) => {
                    self.link = Some(record.hash);
                    if record.frame.sequence >= self.from {
                        return Ok(Some(record));
                    }
                }
                None => self.reader = None,
            }
        }
    }
}

/// Damage, with its file and offset.
fn at(name: &Name, directory: &Path, trouble: &Trouble) -> Halt {
    Halt(format!("journal segment {}: {trouble}", name.path(directory).display()))
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> Halt {
    move |error| Halt(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests;
