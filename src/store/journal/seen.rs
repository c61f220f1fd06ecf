//! Which messages we have had: one small sorted file beside each closed segment, and a map for the open one.
//!
//! They are not in the index because they outnumber the queue: with 3.5 million of them a sled database took 2.3 GB
//! and 330 MB of memory and wrote three times slower, while these files take 170 MB and, for their filters, 10 MB.
//!
//! ```text
//! offset  length  field, numbers big-endian
//!      0       8  "MESHDSEN"
//!      8       1  version, 1
//!      9       8  name of the key, eight hex digits
//!     17       8  first sequence of the segment
//!     25       8  last sequence of the segment
//!     33       8  when it was closed: the store's own time, milliseconds, signed
//!     41       8  number of entries
//!     49          entries of 49 bytes, by fingerprint, each once:
//!                   16  fingerprint: the keyed digest of mailbox, a zero byte and message id, cut to 16 bytes
//!                    8  delivery
//!                    8  decoded length of the payload
//!                   16  keyed digest of the payload, cut to 16 bytes
//!                    1  1 if it was purged undelivered: the message begins another life
//!              4  CRC32C of all before
//! ```
//!
//! The newest entry of a fingerprint counts. A file that is missing, damaged, or made under a key that is neither the
//! present one nor a former one is made again from its segment. In memory each has a Bloom filter of 10 bits an entry and the first fingerprint of each block of
//! 64, so a miss costs no read and a hit one.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::event::Event;
use super::segment::{Name, Reader};
use super::{at, failed, segments, write_whole};
use crate::domain::digest::{ContentDigest, DigestKey};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::disk::{Disk, DiskFile};
use crate::ports::store::Halt;

const MAGIC: &[u8; 8] = b"MESHDSEN";
const VERSION: u8 = 1;
const HEADER: usize = 49;
const ENTRY: usize = 49;
const BLOCK: usize = 64;
const BITS_PER_ENTRY: usize = 10;
const PROBES: u64 = 7;

/// A message id under the key.
pub type Fingerprint = [u8; 16];

/// What is remembered of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its newest delivery.
    pub delivery: DeliveryId,
    /// Decoded length of its payload.
    pub length: u64,
    /// Keyed digest of its payload, cut.
    pub digest: [u8; 16],
    /// Purged undelivered.
    pub reopened: bool,
}

/// All messages seen in the retention time.
pub struct Seen {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    key: DigestKey,
    closed: Vec<Closed>,
    open: HashMap<Fingerprint, Entry>,
}

struct Closed {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// Which key its fingerprints are made with: its place among the keys.
    key: usize,
    last: u64,
    at: Timestamp,
    count: usize,
    fences: Vec<Fingerprint>,
    filter: Filter,
}

impl Seen {
    /// Loads the files of the closed segments, making those again that are missing or unfit, from those segments
    /// closed after `oldest`. The open segment's records must then be given to [`Seen::note`].
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        key: DigestKey,
        open_from: u64,
        oldest: Timestamp,
    ) -> Result<Self, Halt> {
        let mut seen = Self { disk, directory: directory.to_owned(), key, closed: Vec::new(), open: HashMap::new() };
        let names = segments(seen.disk.as_ref(), directory)?;
        for (place, name) in names.iter().enumerate().filter(|(_, name)| name.first < open_from) {
            let path = seen.path(name.first);
            match Closed::load(seen.disk.as_ref(), &path, &seen.key) {
                Ok(closed) => seen.closed.push(closed),
                Err(error) => match seen.closed_at(names.get(place + 1))? {
                    // The journal is kept for years: all of it would be read at each start.
                    Some(at) if at < oldest => {}
                    at => seen.make_again(name, at.unwrap_or(oldest), &error)?,
                },
            }
        }
        Ok(seen)
    }

    /// A segment was closed when its `successor` was made, as that one's header says.
    fn closed_at(&self, successor: Option<&Name>) -> Result<Option<Timestamp>, Halt> {
        let Some(name) = successor else { return Ok(None) };
        let reader = Reader::open(self.disk.as_ref(), &self.directory, name)
            .map_err(|trouble| at(name, &self.directory, &trouble))?;
        Ok(Some(reader.header().time))
    }

    /// The fingerprint of a message.
    pub fn fingerprint(&self, mailbox: &MailboxId, message: &MessageId) -> Fingerprint {
        fingerprint(&self.key, mailbox, message)
    }

    /// What is remembered of a message.
    pub fn find(&self, mailbox: &MailboxId, message: &MessageId) -> Result<Option<Entry>, Halt> {
        let fingerprints: Vec<_> = self.key.each().map(|key| fingerprint(key, mailbox, message)).collect();
        if let Some(entry) = fingerprints.first().and_then(|present| self.open.get(present)) {
            return Ok(Some(*entry));
        }
        for closed in self.closed.iter().rev() {
            let found = closed.find(&fingerprints[closed.key]).map_err(failed("read a file of seen messages"))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// How many are remembered, the bytes of their files, and when the oldest file was closed.
    pub fn stock(&self) -> (u64, u64, Option<Timestamp>) {
        let closed: usize = self.closed.iter().map(|closed| closed.count).sum();
        let bytes: usize = self.closed.iter().map(|closed| HEADER + closed.count * ENTRY + 4).sum();
        ((closed + self.open.len()) as u64, bytes as u64, self.closed.first().map(|closed| closed.at))
    }

    /// Takes from a record of the open segment what is to be remembered.
    pub fn note(&mut self, sequence: u64, event: &Event) {
        if let Some((fingerprint, entry)) = self.entry(sequence, event) {
            self.open.insert(fingerprint, entry);
        }
    }

    /// The open segment, which began with `first` and ended with `last`, is closed. Durable on return.
    pub fn close(&mut self, first: u64, last: u64, now: Timestamp) -> Result<(), Halt> {
        let entries = std::mem::take(&mut self.open);
        self.write(first, last, now, entries)
    }

    /// Removes at most one file: closed before `oldest`, and older than every live delivery.
    pub fn forget(&mut self, oldest: Timestamp, first_live: Option<DeliveryId>) -> Result<(), Halt> {
        let goes = |closed: &Closed| closed.at < oldest && first_live.is_none_or(|id| id.0 > closed.last);
        if self.closed.first().is_some_and(goes) {
            let closed = self.closed.remove(0);
            self.disk.remove(Step::Checkpoint, &closed.path).map_err(failed("remove a file of seen messages"))?;
        }
        Ok(())
    }

    fn entry(&self, sequence: u64, event: &Event) -> Option<(Fingerprint, Entry)> {
        if let Event::Accepted(accepted) = event {
            let digest = cut(&accepted.digest);
            let entry = Entry { delivery: DeliveryId(sequence), length: accepted.length, digest, reopened: false };
            return Some((self.fingerprint(&accepted.mailbox, &accepted.message), entry));
        }
        if let Event::Replayed(replay) = event {
            let digest = cut(&replay.digest);
            let entry = Entry { delivery: DeliveryId(sequence), length: replay.length, digest, reopened: false };
            return Some((self.fingerprint(&replay.mailbox, &replay.message), entry));
        }
        if let Event::BroughtIn(brought) = event {
            let presented = brought.presented.as_ref()?;
            let digest = cut(&presented.digest);
            let entry = Entry { delivery: DeliveryId(sequence), length: presented.length, digest, reopened: false };
            return Some((self.fingerprint(&brought.kept.mailbox, &brought.kept.message), entry));
        }
        if let Event::Purged { id, mailbox, message, reopened: true, .. } = event {
            let entry = Entry { delivery: *id, length: 0, digest: [0; 16], reopened: true };
            return Some((self.fingerprint(mailbox, message), entry));
        }
        None
    }

    fn make_again(&mut self, name: &Name, closed_at: Timestamp, why: &io::Error) -> Result<(), Halt> {
        let mut reader = Reader::open(self.disk.as_ref(), &self.directory, name)
            .map_err(|trouble| at(name, &self.directory, &trouble))?;
        let (mut entries, mut last) = (HashMap::new(), name.first);
        while let Some(record) = reader.read().map_err(|trouble| at(name, &self.directory, &trouble))? {
            last = record.frame.sequence;
            entries.extend(self.entry(record.frame.sequence, &record.event));
        }
        tracing::info!(segment = name.first, reason = %why, "seen messages gathered again from the journal");
        self.write(name.first, last, closed_at, entries)
    }

    fn write(
        &mut self,
        first: u64,
        last: u64,
        now: Timestamp,
        entries: HashMap<Fingerprint, Entry>,
    ) -> Result<(), Halt> {
        let mut sorted: Vec<(Fingerprint, Entry)> = entries.into_iter().collect();
        sorted.sort_unstable_by_key(|(fingerprint, _)| *fingerprint);
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.extend(self.key.id().bytes().chain(std::iter::repeat(0)).take(8));
        bytes.extend(first.to_be_bytes());
        bytes.extend(last.to_be_bytes());
        bytes.extend(now.0.to_be_bytes());
        bytes.extend((sorted.len() as u64).to_be_bytes());
        for (fingerprint, entry) in &sorted {
            bytes.extend(fingerprint);
            bytes.extend(entry.delivery.0.to_be_bytes());
            bytes.extend(entry.length.to_be_bytes());
            bytes.extend(entry.digest);
            bytes.push(u8::from(entry.reopened));
        }
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        let path = self.path(first);
        write_whole(self.disk.as_ref(), Step::Checkpoint, &path, &bytes)
            .map_err(failed("write a file of seen messages"))?;
        let closed =
            Closed::load(self.disk.as_ref(), &path, &self.key).map_err(failed("read back a file of seen messages"))?;
        self.closed.push(closed);
        Ok(())
    }

    fn path(&self, first: u64) -> PathBuf {
        self.directory.join(format!("{first:020}.seen"))
    }
}

impl Closed {
    fn load(disk: &dyn Disk, path: &Path, key: &DigestKey) -> io::Result<Self> {
        let unfit = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let file = disk.read(path)?;
        let mut header = [0; HEADER];
        read_exactly(file.as_ref(), &mut header, 0)?;
        let number = |from: usize| header[from..from + 8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        if &header[..8] != MAGIC || header[8] != VERSION {
            return Err(unfit("another format"));
        }
        let named = |key: &DigestKey| header[9..17] == *key.id().as_bytes();
        let key = key.each().position(named).ok_or_else(|| unfit("another key"))?;
        let count = usize::try_from(number(41)).map_err(|_| unfit("too many entries"))?;
        let body = count.checked_mul(ENTRY).ok_or_else(|| unfit("too many entries"))?;
        if file.length()? != (HEADER + body + 4) as u64 {
            return Err(unfit("another length"));
        }
        let mut crc = crc32c::crc32c(&header);
        let (mut filter, mut fences) = (Filter::new(count), Vec::with_capacity(count / BLOCK + 1));
        let mut block = vec![0; BLOCK * ENTRY];
        for start in (0..body).step_by(BLOCK * ENTRY) {
            let piece = &mut block[..(body - start).min(BLOCK * ENTRY)];
            read_exactly(file.as_ref(), piece, (HEADER + start) as u64)?;
            crc = crc32c::crc32c_append(crc, piece);
            piece.chunks_exact(ENTRY).for_each(|entry| filter.add(&fingerprint_of(entry)));
            fences.push(fingerprint_of(piece));
        }
        let mut stored = [0; 4];
        read_exactly(file.as_ref(), &mut stored, (HEADER + body) as u64)?;
        if u32::from_be_bytes(stored) != crc {
            return Err(unfit("bad checksum"));
        }
        let (last, at) = (number(25), Timestamp(number(33) as i64));
        Ok(Self { path: path.to_owned(), file, key, last, at, count, fences, filter })
    }

    fn find(&self, fingerprint: &Fingerprint) -> io::Result<Option<Entry>> {
        if !self.filter.may_hold(fingerprint) {
            return Ok(None);
        }
        let Some(place) = self.fences.partition_point(|fence| fence <= fingerprint).checked_sub(1) else {
            return Ok(None);
        };
        let entries = (self.count - place * BLOCK).min(BLOCK);
        let mut block = vec![0; entries * ENTRY];
        read_exactly(self.file.as_ref(), &mut block, (HEADER + place * BLOCK * ENTRY) as u64)?;
        let found = block.chunks_exact(ENTRY).find(|entry| entry[..16] == fingerprint[..]);
        Ok(found.map(|bytes| {
            let number = |from: usize| bytes[from..from + 8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            let mut digest = [0; 16];
            digest.copy_from_slice(&bytes[32..48]);
            Entry { delivery: DeliveryId(number(16)), length: number(24), digest, reopened: bytes[48] == 1 }
        }))
    }
}

fn fingerprint(key: &DigestKey, mailbox: &MailboxId, message: &MessageId) -> Fingerprint {
    cut(&key.identify(&format!("{mailbox}\0{message}")))
}

/// A keyed digest, cut to its first 16 bytes.
pub fn cut(digest: &ContentDigest) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digest.0.as_bytes().chunks(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or_default();
    }
    bytes
}

fn fingerprint_of(entry: &[u8]) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&entry[..16]);
    fingerprint
}

fn read_exactly(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "shorter than it says")),
            got => filled += got,
        }
    }
    Ok(())
}

/// A Bloom filter. Fingerprints are evenly spread already, so their two halves serve as hashes.
struct Filter {
    words: Vec<u64>,
}

impl Filter {
    fn new(entries: usize) -> Self {
        Self { words: vec![0; (entries * BITS_PER_ENTRY).div_ceil(64).max(1)] }
    }

    fn bits(&self, fingerprint: &Fingerprint) -> impl Iterator<Item = u64> + use<> {
        let half = |from: usize| fingerprint[from..from + 8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let (first, second, bits) = (half(0), half(8) | 1, self.words.len() as u64 * 64);
        (0..PROBES).map(move |probe| first.wrapping_add(probe.wrapping_mul(second)) % bits)
    }

    fn add(&mut self, fingerprint: &Fingerprint) {
        for bit in self.bits(fingerprint) {
            self.words[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    fn may_hold(&self, fingerprint: &Fingerprint) -> bool {
        self.bits(fingerprint).all(|bit| self.words[(bit / 64) as usize] & (1 << (bit % 64)) != 0)
    }
}

#[cfg(test)]
mod tests;
