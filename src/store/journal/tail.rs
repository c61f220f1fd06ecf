//! The end of the journal: found, and a torn tail cut off.

use std::io::{self, Read};
use std::path::Path;

use super::event::Event;
use super::record::{self, Hash, PREFIX};
use super::segment::{FileReader, HEADER, Name, Reader, Record, Trouble, fill};
use super::{Head, at, failed, segments};
use crate::domain::step::Step;
use crate::ports::disk::{Disk, DiskFile};
use crate::ports::store::Halt;

/// The end of the journal.
pub(in crate::store) struct Tail {
    /// The last record's place; zeros in an empty journal, from the last header in an empty segment.
    pub(super) head: Head,
    /// The last record, if the last segments hold any.
    pub(super) last: Option<Record>,
    /// The segment to write on with: its length, and the link for its next record.
    pub(super) open: Option<(Name, u64, Hash)>,
    /// What is to be cut.
    pub(super) cut: Option<Event>,
    /// A segment of which there is only the header, or less: it goes whole.
    pub(super) headless: Option<Name>,
}

/// Finds the end and checks the chain of the last segment. Changes nothing: a torn tail is found, and [`renew`] and
/// [`discard`] cut it.
pub(in crate::store) fn find(disk: &dyn Disk, directory: &Path) -> Result<Tail, Halt> {
    let mut names = segments(disk, directory)?;
    let mut cut = None;
    let mut headless = None;
    let mut open = None;
    while let Some(name) = names.pop() {
        let mut reader = match Reader::open(disk, directory, &name) {
            Ok(reader) => reader,
            Err(Trouble::Torn { .. }) if cut.is_none() && is_only_a_header(disk, directory, &name)? => {
                cut = Some(headless_cut(disk, directory, &name)?);
                headless = Some(name);
                continue;
            }
            Err(trouble) => return Err(at(&name, directory, &trouble)),
        };
        let mut last = None;
        let ended = loop {
            match reader.read() {
                Ok(Some(record)) => last = Some(record),
                Ok(None) => break None,
                Err(trouble) => break Some(trouble),
            }
        };
        let newest = open.is_none();
        match ended {
            None => {}
            Some(Trouble::Torn { offset, .. }) if newest && cut.is_none() && !name.compressed => {
                let sequence = last.as_ref().map_or(name.first, |record| record.frame.sequence + 1);
                cut = Some(torn_off(disk, directory, &name, offset, sequence)?);
            }
            Some(trouble) => return Err(at(&name, directory, &trouble)),
        }
        let head = match &last {
            Some(record) => Head { sequence: record.frame.sequence, hash: record.hash },
            None => Head { sequence: name.first - 1, hash: reader.header().link },
        };
        // A compressed segment is never written on: its successor is made anew.
        if newest && !name.compressed {
            open = Some((head, (name.clone(), reader.offset(), reader.link())));
        }
        // An empty segment tells the head, but the last record lies in the one before.
        if last.is_some() || names.is_empty() {
            let (head, open) = open.map_or((head, None), |(head, open)| (head, Some(open)));
            return Ok(Tail { head, last, open, cut, headless });
        }
    }
    Ok(Tail { head: Head::default(), last: None, open: None, cut, headless })
}

fn is_only_a_header(disk: &dyn Disk, directory: &Path, name: &Name) -> Result<bool, Halt> {
    let entry = disk.entry(&name.path(directory)).map_err(failed("look at a journal segment"))?;
    Ok(!name.compressed && entry.is_some_and(|entry| entry.length <= HEADER as u64))
}

fn headless_cut(disk: &dyn Disk, directory: &Path, name: &Name) -> Result<Event, Halt> {
    let path = name.path(directory);
    let bytes = disk.entry(&path).map_err(failed("look at a journal segment"))?.map_or(0, |entry| entry.length);
    Ok(Event::TailCut { file: file_name(&path), offset: 0, bytes })
}

/// Removes a segment without records. Durable on return.
pub(super) fn discard(disk: &dyn Disk, directory: &Path, name: &Name) -> Result<(), Halt> {
    disk.remove(Step::TailCut, &name.path(directory)).map_err(failed("remove a torn segment"))?;
    disk.sync_folder(Step::TailCut, directory).map_err(failed("sync the journal folder"))
}

/// Checks that what lies from `offset` on was torn off, and says that it is to be cut.
fn torn_off(disk: &dyn Disk, directory: &Path, name: &Name, offset: u64, sequence: u64) -> Result<Event, Halt> {
    let path = name.path(directory);
    let file = disk.read(&path).map_err(failed("open a torn segment"))?;
    let length = file.length().map_err(failed("measure a torn segment"))?;
    let mut bytes = vec![0; usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX)];
    let got = fill(&mut FileReader { file, at: offset }, &mut bytes).map_err(failed("read a torn segment"))?;
    if let Some(found) = durable_beyond(&bytes[..got], sequence) {
        return Err(Halt(format!(
            "journal segment {}: damage at offset {offset}: record {sequence} is bad, and record {found} behind it \
             says that it was durable",
            path.display()
        )));
    }
    Ok(Event::TailCut { file: file_name(&path), offset, bytes: length.saturating_sub(offset) })
}

/// Writes the first `length` bytes of a segment anew, in its place. Durable on return.
///
/// Done at each opening: after a failed sync the file may read well although it is not on the disk, and no later
/// sync would write it. What was written anew is synced for certain.
pub(super) fn renew(disk: &dyn Disk, directory: &Path, name: &Name, length: u64) -> io::Result<Box<dyn DiskFile>> {
    let path = name.path(directory);
    let temp = path.with_extension("tmp");
    let source = FileReader { file: disk.read(&path)?, at: 0 };
    let mut source = source.take(length);
    let mut file = disk.create(Step::TailCut, &temp)?;
    let mut piece = vec![0; PIECE];
    loop {
        let got = fill(&mut source, &mut piece)?;
        file.append(Step::TailCut, &piece[..got])?;
        if got < PIECE {
            break;
        }
    }
    file.sync(Step::TailCut)?;
    disk.rename(Step::TailCut, &temp, &path)?;
    disk.sync_folder(Step::TailCut, directory)?;
    Ok(file)
}

/// Bytes copied at a time.
const PIECE: usize = 256 * 1024;

/// A whole record in `bytes` that was written after `sequence` was durable.
fn durable_beyond(bytes: &[u8], sequence: u64) -> Option<u64> {
    (1..bytes.len().saturating_sub(PREFIX)).find_map(|start| {
        let prefix: &[u8; PREFIX] = bytes[start..start + PREFIX].try_into().ok()?;
        let length = record::length(prefix)?;
        let rest = bytes.get(start + PREFIX..start + PREFIX + length)?;
        // The cheap questions first: a checksum at every offset would take long.
        let found = u64::from_be_bytes(rest[..8].try_into().ok()?);
        let plausible = found > sequence && found - sequence <= bytes.len() as u64;
        let (frame, _) = plausible.then(|| record::decode(prefix, rest))??;
        (frame.settled >= sequence).then_some(frame.sequence)
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
