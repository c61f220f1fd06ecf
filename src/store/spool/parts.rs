//! Reading a chunk directory: part after part as one stream, each checked against its sidecar.
//!
//! Memory is one age chunk of 64 KiB and a note of each part's length and digest, whatever the message's size (I3).
//! A part that is damaged, cut short or missing is an error where it is met, never an early end.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::layout;
use super::seal::Identities;
use super::sidecar::{MAX_BYTES, Measure, SealedFile, Sidecar};
use super::{Files, errors};
use crate::ports::disk::DiskFile;
use crate::ports::spool::{PayloadSource, SpoolError};

/// No age header of ours is longer: 200 bytes for each recipient. A damaged file is not searched for its end.
const MAX_AGE_HEADER: u64 = 256 * 1024;
/// Read from a part at once, bytes.
const PIECE: usize = 64 * 1024;
/// No sealed envelope is longer, bytes: HTTP lets far less through.
pub(super) const MAX_ENVELOPE: usize = 4 << 20;

/// The sidecar of chunk `number`: `None` if there is none or it is torn.
pub(super) fn sidecar(files: &Files, folder: &Path, number: u32) -> Result<Option<Sidecar>, SpoolError> {
    let path = layout::sidecar(folder, number);
    let read = |error| errors::read("read a sidecar", error);
    if files.disk.entry(&path).map_err(read)?.is_none() {
        return Ok(None);
    }
    let bytes = read_whole(files, &path, MAX_BYTES)?;
    match Sidecar::parse(&bytes) {
        Ok(sidecar) if sidecar.number == number => Ok(Some(sidecar)),
        Ok(_) | Err(super::sidecar::NotASidecar::Damaged) => Ok(None),
        Err(newer @ super::sidecar::NotASidecar::Newer(_)) => Err(SpoolError::Unreadable(format!("a sidecar {newer}"))),
    }
}

/// A file of at most `limit` bytes.
pub(super) fn read_whole(files: &Files, path: &Path, limit: usize) -> Result<Vec<u8>, SpoolError> {
    let read = |error| errors::read("read a file of a chunk directory", error);
    let file = files.disk.read(path).map_err(read)?;
    let length = file.length().map_err(read)?;
    if length > limit as u64 {
        return Err(SpoolError::Unreadable(format!("a file of {length} bytes where at most {limit} belong")));
    }
    let mut bytes = vec![0; length as usize];
    let count = file.read_at(&mut bytes, 0).map_err(read)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// The payload of one chunk directory.
pub(super) struct Parts {
    files: Arc<Files>,
    identities: Identities,
    folder: PathBuf,
    parts: Vec<Part>,
}

struct Part {
    length: u64,
    sealed: SealedFile,
}

impl Parts {
    /// Reads the sidecars; all `count` of them must be there.
    pub(super) fn open(
        files: Arc<Files>,
        identities: Identities,
        folder: PathBuf,
        count: u32,
    ) -> Result<Self, SpoolError> {
        let mut parts = Vec::new();
        for number in 1..=count {
            let sidecar = sidecar(&files, &folder, number)?.filter(|sidecar| sidecar.of == count);
            let missing = || SpoolError::Unreadable(format!("chunk {number} of {count} has no sound sidecar"));
            let sidecar = sidecar.ok_or_else(missing)?;
            parts.push(Part { length: sidecar.length, sealed: sidecar.sealed });
        }
        Ok(Self { files, identities, folder, parts })
    }

    /// Decoded length of all parts.
    pub(super) fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }

    fn open_part(&self, index: usize) -> io::Result<OpenPart> {
        let part = &self.parts[index];
        let file = self.files.disk.read(&layout::chunk(&self.folder, index as u32 + 1))?;
        let found = file.length()?;
        if found != part.sealed.length {
            let problem = format!("chunk {} has {found} sealed bytes, not {}", index + 1, part.sealed.length);
            return Err(io::Error::new(ErrorKind::InvalidData, problem));
        }
        let tally = Arc::new(Mutex::new(Tally { measure: Measure::new(), ceiling: MAX_AGE_HEADER }));
        let source = Measured { file, tally: tally.clone() };
        let reader = self.identities.unseal(BufReader::with_capacity(PIECE, source)).map_err(unreadable)?;
        lock(&tally).ceiling = u64::MAX;
        Ok(OpenPart { reader, tally, read: 0 })
    }

    fn check_end(&self, index: usize, tally: &Mutex<Tally>, read: u64) -> io::Result<()> {
        let measure = std::mem::replace(&mut lock(tally).measure, Measure::new());
        let part = &self.parts[index];
        if read == part.length && measure.finish() == part.sealed {
            return Ok(());
        }
        Err(io::Error::new(ErrorKind::InvalidData, format!("chunk {} is not what its sidecar says", index + 1)))
    }
}

/// Cheap to copy: every reader has its own place in the same parts.
#[derive(Clone)]
pub(super) struct PartsPayload(pub(super) Arc<Parts>);

impl PayloadSource for PartsPayload {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(PartsReader { parts: self.0.clone(), next: 0, current: None }))
    }
}

/// One pass through all parts.
struct PartsReader {
    parts: Arc<Parts>,
    /// The part after the current one.
    next: usize,
    current: Option<OpenPart>,
}

struct OpenPart {
    reader: age::stream::StreamReader<BufReader<Measured>>,
    tally: Arc<Mutex<Tally>>,
    read: u64,
}

impl Read for PartsReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(current) = &mut self.current else {
                if self.next == self.parts.parts.len() {
                    return Ok(0);
                }
                self.current = Some(self.parts.open_part(self.next)?);
                self.next += 1;
                continue;
            };
            let count = current.reader.read(buffer)?;
            current.read += count as u64;
            if count > 0 {
                return Ok(count);
            }
            // On an error the part stays current, so that reading on repeats it instead of going past the damage.
            self.parts.check_end(self.next - 1, &current.tally, current.read)?;
            self.current = None;
        }
    }
}

/// What was read of a sealed part so far.
struct Tally {
    measure: Measure,
    /// Reading beyond it is an error: set while the age header is looked for.
    ceiling: u64,
}

/// A sealed part, measured as it is read.
struct Measured {
    file: Box<dyn DiskFile>,
    tally: Arc<Mutex<Tally>>,
}

impl Read for Measured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut tally = lock(&self.tally);
        let at = tally.measure.length();
        if at >= tally.ceiling {
            return Err(io::Error::new(ErrorKind::InvalidData, "no age header"));
        }
        let count = self.file.read_at(buffer, at)?;
        tally.measure.add(&buffer[..count]);
        Ok(count)
    }
}

fn unreadable(error: SpoolError) -> io::Error {
    match error {
        SpoolError::NoRoom(error) => error,
        other @ (SpoolError::Failed(_) | SpoolError::Unreadable(_)) => {
            io::Error::new(ErrorKind::InvalidData, other.to_string())
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
