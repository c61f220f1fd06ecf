//! Opening messages: with the private keys, wherever the spool keeps them.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::cache::Cache;
use super::group::{MAX_PLAINTEXT, OpenGroup};
use super::layout::{ENVELOPE, Layout};
use super::parts::{self, MAX_ENVELOPE, Parts, PartsPayload};
use super::seal::Identities;
use super::{Files, errors, volume};
use crate::domain::envelope::Envelope;
use crate::domain::ids::{MailboxId, MessageId};
use crate::domain::recipient::RecipientTag;
use crate::ports::disk::Disk;
use crate::ports::spool::{Opened, Payload, PayloadSource, SpoolError};
use crate::ports::store::Location;

/// Opens messages of one spool. A cheap handle; all clones share the groups opened last.
#[derive(Clone)]
pub struct Reader {
    files: Arc<Files>,
    identities: Identities,
    cache: Arc<Cache>,
}

impl Reader {
    /// For the spool in `directory`.
    pub fn new(disk: Arc<dyn Disk>, directory: impl Into<PathBuf>, identities: Identities) -> Self {
        Self::with(Arc::new(Files { disk, layout: Layout::new(directory) }), identities)
    }

    pub(super) fn with(files: Arc<Files>, identities: Identities) -> Self {
        Self { files, identities, cache: Arc::default() }
    }

    /// The message kept at `location`, which must be of that mailbox and id.
    ///
    /// The envelope is authentic on return. The payload is as it is read: a reader ends with an error or whole.
    pub fn open(&self, mailbox: &MailboxId, id: &MessageId, location: &Location) -> Result<Opened, SpoolError> {
        let opened = match location {
            Location::Group { volume, offset, member, .. } => self.open_member((*volume, *offset), *member)?,
            Location::Parts { parts, life } => {
                self.open_parts(self.files.layout.adopted(mailbox, id, *life), *parts)?
            }
        };
        if (&opened.envelope.mailbox, &opened.envelope.message_id) != (mailbox, id) {
            return Err(SpoolError::Unreadable("another message lies where this one should".into()));
        }
        Ok(opened)
    }

    /// For whom the message kept at `location` is sealed, by the clear notes beside it; none where they do not say.
    pub fn recipients(
        &self,
        mailbox: &MailboxId,
        id: &MessageId,
        location: &Location,
    ) -> Result<Vec<RecipientTag>, SpoolError> {
        match location {
            Location::Group { volume, offset, .. } => {
                let read = |error| errors::read("read a volume", error);
                let file = self.files.disk.read(&self.files.layout.volume(*volume)).map_err(read)?;
                let header = volume::header_at(file.as_ref(), *offset).map_err(read)?;
                header.map(|header| header.recipients).map_err(|wrong| SpoolError::Unreadable(wrong.to_string()))
            }
            Location::Parts { life, .. } => {
                // One set of recipients seals all chunks: see the intake.
                let first = parts::sidecar(&self.files, &self.files.layout.adopted(mailbox, id, *life), 1)?;
                let missing = || SpoolError::Unreadable("chunk 1 has no sound sidecar".into());
                first.map(|sidecar| sidecar.recipients).ok_or_else(missing)
            }
        }
    }

    /// A message that is whole but not taken over yet, or any other chunk directory.
    pub(super) fn open_parts(&self, folder: PathBuf, count: u32) -> Result<Opened, SpoolError> {
        let sealed = parts::read_whole(&self.files, &folder.join(ENVELOPE), MAX_ENVELOPE)?;
        let envelope = parse_envelope(&self.identities.unseal_whole(&sealed, MAX_ENVELOPE)?)?;
        let parts = Parts::open(self.files.clone(), self.identities.clone(), folder, count)?;
        let length = parts.length();
        Ok(Opened { envelope, payload: Payload::new(length, Arc::new(PartsPayload(Arc::new(parts)))) })
    }

    pub(super) fn forget_volume(&self, volume: u64) {
        self.cache.forget(volume);
    }

    fn open_member(&self, place: (u64, u64), member: u32) -> Result<Opened, SpoolError> {
        let group = self.group(place)?;
        let (Some(envelope), Some(payload)) = (group.envelope(member), group.payload(member)) else {
            return Err(SpoolError::Unreadable(format!("the group has no member {member}")));
        };
        let source = MemberPayload { reader: self.clone(), place, member };
        Ok(Opened {
            envelope: parse_envelope(envelope)?,
            payload: Payload::new(payload.len() as u64, Arc::new(source)),
        })
    }

    fn group(&self, (number, offset): (u64, u64)) -> Result<Arc<OpenGroup>, SpoolError> {
        self.cache.get((number, offset), || {
            let file = self.files.disk.read(&self.files.layout.volume(number));
            let file = file.map_err(|error| errors::read("open a volume", error))?;
            let (header, sealed) = volume::group_at(file.as_ref(), offset)?;
            OpenGroup::parse(self.identities.unseal_whole(&sealed, MAX_PLAINTEXT)?, &header)
        })
    }
}

/// The text is not repeated: it is patient data, and so may be what a JSON error quotes (I8).
fn parse_envelope(json: &[u8]) -> Result<Envelope, SpoolError> {
    serde_json::from_slice(json).map_err(|_| SpoolError::Unreadable("the sealed envelope is not one we know".into()))
}

/// A small payload. It holds no plaintext: a reader asks the cache, which is bounded.
struct MemberPayload {
    reader: Reader,
    place: (u64, u64),
    member: u32,
}

impl PayloadSource for MemberPayload {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        let group = self.reader.group(self.place).map_err(io::Error::other)?;
        Ok(Box::new(MemberReader { group, member: self.member, at: 0 }))
    }
}

struct MemberReader {
    group: Arc<OpenGroup>,
    member: u32,
    at: usize,
}

impl Read for MemberReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.group.payload(self.member).and_then(|payload| payload.get(self.at..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}
