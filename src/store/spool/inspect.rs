//! What lies in a spool directory, and whether it is sound: for people, beside or without the daemon.
//!
//! Nothing here writes. A daemon may be writing meanwhile: then its open volume may show a tail, and a chunk directory
//! may vanish or change its name between two looks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{self, ENVELOPE, Layout, PartsName};
use super::sidecar::{Measure, SealedFile};
use super::{Files, Identities, Reader, errors, folders, parts, volume};
use crate::domain::ids::{MailboxId, MessageId};
use crate::ports::disk::{Disk, EntryKind};
use crate::ports::spool::{Opened, SpoolError};
use crate::ports::store::Location;

/// Piece in which files are read to be checked, bytes.
const PIECE: usize = 256 * 1024;

/// One thing in a spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A message in a volume, or a large one taken over by the store.
    Message {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message_id: MessageId,
        /// Decoded length of its payload, bytes.
        length: u64,
        /// Where it is.
        location: Location,
    },
    /// A large message on its way in, or whole and not accepted.
    Arriving {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message_id: MessageId,
        /// Chunks that are whole.
        kept: u32,
        /// Of how many; `None` before the first is whole.
        of: Option<u32>,
        /// Decoded length of the whole chunks, bytes.
        length: u64,
    },
    /// The end of a volume that is no group: what a crash left, unless other groups should follow.
    Tail {
        /// The volume's number.
        volume: u64,
        /// Where it begins, bytes.
        offset: u64,
    },
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Messages looked at, in volumes and chunk directories. One that was moved counts twice until its old volume goes,
    /// and so does one whose move a crash cut short.
    pub messages: u64,
    /// Sealed bytes read.
    pub bytes: u64,
    /// Volumes that end in bytes which are no whole group, one line each. Normal after a crash: only the journal knows
    /// whether a group was there before.
    pub tails: Vec<String>,
    /// What is not sound, one line each: a path, and what is wrong. Empty is good.
    pub problems: Vec<String>,
}

/// Visits what lies in the spool at `directory`, by clear headers and sidecars alone.
pub fn list(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    mut visit: impl FnMut(Item) -> Result<(), SpoolError>,
) -> Result<(), SpoolError> {
    let files = files(disk, directory);
    for (number, path) in volumes(&files)? {
        let file = files.disk.read(&path).map_err(|error| errors::read("open a volume", error))?;
        let end = volume::walk(file.as_ref(), |offset, header| {
            for (member, found) in (0..).zip(&header.members) {
                visit(Item::Message {
                    mailbox: found.mailbox.clone(),
                    message_id: found.message_id.clone(),
                    length: found.length.into(),
                    location: Location::Group { volume: number, offset, length: header.length(), member },
                })?;
            }
            Ok(())
        })?;
        if let volume::End::Tail(offset) = end {
            visit(Item::Tail { volume: number, offset })?;
        }
    }
    for (mailbox, name, folder) in directories(&files)? {
        visit(describe(&files, mailbox, name, &folder)?)?;
    }
    Ok(())
}

/// Every place where a message of that id is kept.
pub fn find(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    mailbox: &MailboxId,
    id: &MessageId,
) -> Result<Vec<Location>, SpoolError> {
    let mut found = Vec::new();
    list(disk, directory, |item| {
        if let Item::Message { mailbox: its_mailbox, message_id, location, .. } = item
            && (&its_mailbox, &message_id) == (mailbox, id)
        {
            found.push(location);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Opens one message: its envelope, and its payload as a stream.
pub fn open(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    identities: &Identities,
    (mailbox, id): (&MailboxId, &MessageId),
    location: &Location,
) -> Result<Opened, SpoolError> {
    Reader::new(disk.clone(), directory, identities.clone()).open(mailbox, id, location)
}

/// Checks every sealed byte against its checksum; with identities also opens every message and reads it to its end.
///
/// Finds what is damaged, not what is missing: only the journal knows what should be there.
pub fn verify(disk: &Arc<dyn Disk>, directory: &Path, identities: &Identities) -> Result<Report, SpoolError> {
    let files = Arc::new(files(disk, directory));
    let reader = (!identities.is_empty()).then(|| Reader::with(files.clone(), identities.clone()));
    let mut report = Report::default();
    for (number, path) in volumes(&files)? {
        verify_volume(&files, reader.as_ref(), number, &path, &mut report)?;
    }
    for (mailbox, name, folder) in directories(&files)? {
        report.messages += 1;
        if let Err(problem) = verify_parts(&files, reader.as_ref(), &mailbox, &name, &folder, &mut report) {
            report.problems.push(format!("{}: {problem}", folder.display()));
        }
    }
    Ok(report)
}

fn verify_volume(
    files: &Files,
    reader: Option<&Reader>,
    number: u64,
    path: &Path,
    report: &mut Report,
) -> Result<(), SpoolError> {
    let read = |error| errors::read("read a volume", error);
    let file = files.disk.read(path).map_err(read)?;
    let length = file.length().map_err(read)?;
    let mut tail = None;
    let walked = volume::walk(file.as_ref(), |offset, header| {
        report.messages += header.members.len() as u64;
        report.bytes += header.ciphertext_length;
        if !volume::is_sound(file.as_ref(), offset, header).map_err(read)? {
            if header.end(offset) == length {
                // A crash may keep the length of the last group and not its bytes.
                tail = Some(offset);
            } else {
                report.problems.push(format!("{}: the group at {offset} is damaged", path.display()));
            }
            return Ok(());
        }
        for (member, found) in (0..).zip(&header.members) {
            let location = Location::Group { volume: number, offset, length: header.length(), member };
            let opened = reader.map(|reader| reader.open(&found.mailbox, &found.message_id, &location));
            if let Some(Err(error)) = opened {
                report.problems.push(format!("{}: member {member} of the group at {offset}: {error}", path.display()));
            }
        }
        Ok(())
    });
    match walked {
        Ok(volume::End::Clean) => {}
        Ok(volume::End::Tail(offset)) => tail = Some(offset),
        Err(error) => report.problems.push(format!("{}: {error}", path.display())),
    }
    report.tails.extend(tail.map(|offset| format!("{}: no whole group from {offset} on", path.display())));
    Ok(())
}

fn verify_parts(
    files: &Arc<Files>,
    reader: Option<&Reader>,
    mailbox: &MailboxId,
    name: &PartsName,
    folder: &Path,
    report: &mut Report,
) -> Result<(), String> {
    let mut number = 0;
    let mut of = None;
    while let Some(sidecar) = parts::sidecar(files, folder, number + 1).map_err(|error| error.to_string())? {
        number += 1;
        let mut sealed = vec![(layout::chunk(folder, number), sidecar.sealed)];
        sealed.extend(sidecar.envelope.map(|envelope| (folder.join(ENVELOPE), envelope)));
        for (path, expected) in sealed {
            report.bytes += expected.length;
            if measure(files, &path).map_err(|error| error.to_string())? != expected {
                return Err(format!("{} is not what its sidecar says", path.display()));
            }
        }
        if of.replace(sidecar.of).is_some_and(|before| before != sidecar.of) {
            return Err(format!("the sidecars disagree on the number of chunks at {number}"));
        }
        if number == sidecar.of {
            break;
        }
    }
    let is_whole = of == Some(number);
    match name {
        PartsName::Adopted(..) if !is_whole => return Err(format!("only {number} chunks are whole")),
        PartsName::Adopted(..) | PartsName::Arriving(_) => {}
    }
    let (Some(reader), true) = (reader, is_whole) else { return Ok(()) };
    let opened = reader.open_parts(folder.to_owned(), number).map_err(|error| error.to_string())?;
    let (PartsName::Arriving(id) | PartsName::Adopted(id, _)) = name;
    if (&opened.envelope.mailbox, &opened.envelope.message_id) != (mailbox, id) {
        return Err("the sealed envelope is another message's".into());
    }
    let mut payload = opened.payload.reader().map_err(|error| error.to_string())?;
    std::io::copy(&mut payload, &mut std::io::sink()).map(drop).map_err(|error| error.to_string())
}

fn measure(files: &Files, path: &Path) -> Result<SealedFile, SpoolError> {
    let read = |error| errors::read("read a chunk", error);
    let file = files.disk.read(path).map_err(read)?;
    let (mut measure, mut piece) = (Measure::new(), vec![0; PIECE]);
    loop {
        match file.read_at(&mut piece, measure.length()).map_err(read)? {
            0 => return Ok(measure.finish()),
            count => measure.add(&piece[..count]),
        }
    }
}

fn files(disk: &Arc<dyn Disk>, directory: &Path) -> Files {
    Files { disk: disk.clone(), layout: Layout::new(directory) }
}

fn volumes(files: &Files) -> Result<Vec<(u64, PathBuf)>, SpoolError> {
    let entries = files.disk.list(&files.layout.volumes()).map_err(|error| errors::read("list the volumes", error))?;
    let named = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
    Ok(named.filter_map(|entry| Some((Layout::volume_number(&entry.path)?, entry.path))).collect())
}

/// Every chunk directory of every mailbox.
fn directories(files: &Files) -> Result<Vec<(MailboxId, PartsName, PathBuf)>, SpoolError> {
    let mut found = Vec::new();
    for mailbox in folders::mailboxes(files)? {
        let named = folders::of_mailbox(files, &mailbox)?.into_iter();
        found.extend(named.map(|(name, entry)| (mailbox.clone(), name, entry.path)));
    }
    Ok(found)
}

fn describe(files: &Files, mailbox: MailboxId, name: PartsName, folder: &Path) -> Result<Item, SpoolError> {
    let (mut kept, mut of, mut length) = (0, None, 0);
    while of != Some(kept)
        && let Some(sidecar) = parts::sidecar(files, folder, kept + 1)?
    {
        (kept, of, length) = (kept + 1, Some(sidecar.of), length + sidecar.length);
    }
    Ok(match name {
        PartsName::Arriving(message_id) => Item::Arriving { mailbox, message_id, kept, of, length },
        PartsName::Adopted(message_id, life) => {
            Item::Message { mailbox, message_id, length, location: Location::Parts { parts: kept, life } }
        }
    })
}
