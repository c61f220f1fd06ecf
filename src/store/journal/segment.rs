//! One segment file: its name, its header, and reading its records in order.
//!
//! ```text
//! offset  length  header field, numbers big-endian
//!      0       8  "MESHDJNL"
//!      8       1  version of the events, 1
//!      9       8  sequence of the first record
//!     17      32  link: hash of the last record of the segment before; zeros in the first
//!     49       4  run that made it
//!     53       8  wall clock, milliseconds since 1970, signed
//!     61       8  the store's own time, in the same form
//!     69      36  boot id of the machine, padded with zeros
//!    105       4  CRC32C of all before
//!    109          records, see `record`
//! ```
//!
//! Named by its first sequence in twenty digits: `00000000000000000001.log`, and `….log.gz` once compressed.
//! The first record links to the hash of the header, so the chain covers headers too.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::event::{Event, VERSION};
use super::record::{self, Frame, Hash, PREFIX};
use crate::domain::time::Timestamp;
use crate::ports::disk::{Disk, DiskFile};

/// Length of the header.
pub const HEADER: usize = 109;

const MAGIC: &[u8; 8] = b"MESHDJNL";

/// A segment's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Sequence of its first record.
    pub first: u64,
    /// Hash of the record before.
    pub link: Hash,
    /// The run that made it.
    pub run: u32,
    /// When.
    pub wall: Timestamp,
    /// The same by the store's own time, which no setting of the clock moves: ends of retention are in it.
    pub time: Timestamp,
    /// On which boot of the machine: at most 36 bytes.
    pub boot: String,
}

impl Header {
    /// As written.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.link);
        bytes.extend(self.run.to_be_bytes());
        bytes.extend(self.wall.0.to_be_bytes());
        bytes.extend(self.time.0.to_be_bytes());
        bytes.extend(self.boot.bytes().chain(std::iter::repeat(0)).take(36));
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER]) -> Result<Self, Trouble> {
        let (body, crc) = bytes.split_at(HEADER - 4);
        if &body[..8] != MAGIC || crc32c::crc32c(body).to_be_bytes() != crc {
            return Err(Trouble::Torn { offset: 0, what: "header" });
        }
        if body[8] != VERSION {
            return Err(Trouble::Newer(body[8]));
        }
        let array = |from: usize| <[u8; 8]>::try_from(&body[from..from + 8]).unwrap_or_default();
        let mut link = Hash::default();
        link.copy_from_slice(&body[17..49]);
        Ok(Self {
            first: u64::from_be_bytes(array(9)),
            link,
            run: u32::from_be_bytes([body[49], body[50], body[51], body[52]]),
            wall: Timestamp(i64::from_be_bytes(array(53))),
            time: Timestamp(i64::from_be_bytes(array(61))),
            boot: String::from_utf8_lossy(&body[69..105]).trim_end_matches('\0').to_owned(),
        })
    }
}

/// What stops a reader.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Bytes that a writer leaves that was cut off there.
    #[error("bad {what} at offset {offset}")]
    Torn {
        /// Where the bad part begins.
        offset: u64,
        /// Which part.
        what: &'static str,
    },
    /// Bytes that no writer of ours leaves.
    #[error("bad {what} at offset {offset}")]
    Bad {
        /// Where the bad part begins.
        offset: u64,
        /// Which part.
        what: &'static str,
    },
    /// Written by a newer version.
    #[error("written by a newer version ({0})")]
    Newer(u8),
    /// The disk does not read.
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// A segment by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Sequence of its first record.
    pub first: u64,
    /// It is compressed.
    pub compressed: bool,
}

impl Name {
    /// The name of a file, if it names a segment.
    pub fn parse(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (stem, compressed) = match name.strip_suffix(".log.gz") {
            Some(stem) => (stem, true),
            None => (name.strip_suffix(".log")?, false),
        };
        let digits = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self { first: digits.then(|| stem.parse().ok())??, compressed })
    }

    /// Its path in `directory`.
    pub fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{:020}.{}", self.first, if self.compressed { "log.gz" } else { "log" }))
    }
}

/// One whole record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What surrounds it.
    pub frame: Frame,
    /// What happened.
    pub event: Event,
    /// Its hash.
    pub hash: Hash,
    /// Where it begins in the (uncompressed) segment.
    pub offset: u64,
}

/// One whole record, not yet parsed.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// What surrounds it.
    pub frame: Frame,
    /// Its hash.
    pub hash: Hash,
    /// Where it begins in the (uncompressed) segment.
    pub offset: u64,
    /// What happened, as JSON.
    pub body: &'a [u8],
}

/// Reads one segment, checking the chain as it goes.
pub struct Reader {
    header: Header,
    source: Box<dyn Read>,
    offset: u64,
    sequence: u64,
    link: Hash,
    buffer: Vec<u8>,
}

impl Reader {
    /// Opens the segment `name` in `directory`.
    pub fn open(disk: &dyn Disk, directory: &Path, name: &Name) -> Result<Self, Trouble> {
        let file = BufReader::with_capacity(READ_AHEAD, FileReader { file: disk.read(&name.path(directory))?, at: 0 });
        let mut source: Box<dyn Read> =
            if name.compressed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
        let mut bytes = [0; HEADER];
        if fill(source.as_mut(), &mut bytes).map_err(|error| unpacked(error, 0))? < HEADER {
            return Err(Trouble::Torn { offset: 0, what: "header" });
        }
        let header = Header::decode(&bytes)?;
        if header.first != name.first {
            return Err(Trouble::Bad { offset: 9, what: "first sequence" });
        }
        let link = record::sha256(&bytes);
        let (offset, sequence) = (HEADER as u64, header.first);
        Ok(Self { header, source, offset, sequence, link, buffer: Vec::new() })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record; `None` at a clean end.
    pub fn read(&mut self) -> Result<Option<Record>, Trouble> {
        let Some(Raw { frame, hash, offset, body }) = self.raw()? else { return Ok(None) };
        let event = serde_json::from_slice(body).map_err(|_| Trouble::Bad { offset, what: "body" })?;
        Ok(Some(Record { frame, event, hash, offset }))
    }

    /// The same, without parsing what happened.
    pub fn raw(&mut self) -> Result<Option<Raw<'_>>, Trouble> {
        let offset = self.offset;
        let bad = |what| Trouble::Bad { offset, what };
        let torn = |what| Trouble::Torn { offset, what };
        let mut prefix = [0; PREFIX];
        match fill(self.source.as_mut(), &mut prefix).map_err(|error| unpacked(error, offset))? {
            0 => return Ok(None),
            PREFIX => {}
            _ => return Err(torn("frame")),
        }
        let length = record::length(&prefix).ok_or_else(|| torn("length"))?;
        self.buffer.resize(length, 0);
        let got = fill(self.source.as_mut(), &mut self.buffer).map_err(|error| unpacked(error, offset))?;
        if got < length {
            return Err(torn("frame"));
        }
        let (frame, body) = record::decode(&prefix, &self.buffer).ok_or_else(|| torn("checksum"))?;
        if frame.sequence != self.sequence {
            return Err(bad("sequence"));
        }
        if frame.link != self.link {
            return Err(bad("link"));
        }
        let hash = record::sha256(&self.buffer);
        self.offset += (PREFIX + length) as u64;
        self.sequence += 1;
        self.link = hash;
        Ok(Some(Raw { frame, hash, offset, body }))
    }

    /// Where the next record begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The hash the next record links to.
    pub fn link(&self) -> Hash {
        self.link
    }
}

/// Enough for a few hundred records at a time.
const READ_AHEAD: usize = 128 * 1024;

/// A file of the disk port as a stream.
pub struct FileReader {
    /// The file.
    pub file: Box<dyn DiskFile>,
    /// Where to read next.
    pub at: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buffer, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}

/// Fills as much of `buffer` as there is.
pub fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A compressed stream that does not unpack is damage; everything else is the disk's trouble.
fn unpacked(error: io::Error, offset: u64) -> Trouble {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) {
        Trouble::Bad { offset, what: "compressed data" }
    } else {
        Trouble::Disk(error)
    }
}
