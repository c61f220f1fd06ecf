//! Payloads at rest: everything is an [age](https://age-encryption.org/v1) file, for the recipients of its mailbox.
//!
//! Small messages are sealed together in *groups* and appended to *volumes*; large ones lie in *chunk directories*.
//! Receiving needs only recipients (public keys); opening needs an identity.
//! What is where, and whether its bytes are as they were written, shows without any key ([`inspect`]).
//!
//! It guarantees that what it called durable reads back byte for byte, or not at all: damage and truncation are errors
//! where they are met, never a short read. It keeps no payload whole in memory but those of a group (I3), and no patient
//! data outside the sealed bytes (I8). It does not decide what is kept or for how long, and keeps no list of messages:
//! the journal does.
//!
//! # Files
//!
//! ```text
//! volumes/00000001767605412123.vol           groups, one after the other; twenty digits
//! volumes/renewed                            a copy of the last volume, only while a process starts
//! chunks/<mailbox>/<message id>.part/        a large message on its way in
//! chunks/<mailbox>/<message id>/             taken over by the store, its first life
//! chunks/<mailbox>/<message id>.<life>/      taken over again: presented again, sealed again, or brought in
//! chunks/<mailbox>/<message id>.sealing/     a large message while it is sealed again; of no use to another process
//! chunks/<mailbox>/<message id>.bringing/    the same while an operator brings it in
//!            000001.age                      a chunk: one age file
//!            000001.json                     its sidecar: clear
//!            envelope.age                    the envelope: one age file of JSON
//! ```
//!
//! Volumes are numbered upwards, from the wall clock's milliseconds at the start so that no number comes twice.
//! A volume takes no more groups once it has 64 MiB or ten minutes, after any error, or when the process ends.
//! When little of it lives any more, its live groups are copied, byte for byte, to the open volume, and it goes: until
//! then, and after a crash in between, a group may lie in two volumes. The journal says which counts.
//!
//! # A group, version 1
//!
//! Numbers are unsigned and little-endian.
//!
//! ```text
//! offset  bytes
//!      0      8  "MESHDGRP"
//!      8      1  version: 1
//!      9      3  zero
//!     12      4  H, the length of this header with its CRC
//!     16      8  C, the length of the age file behind it
//!     24      4  N, the number of members, 1 to 1024
//!     28      4  CRC32C of the age file
//!     32         N times:
//!             1    length of the mailbox id, 1 to 100
//!                  mailbox id, ASCII
//!             1    length of the message id, 1 to 100
//!                  message id, ASCII
//!             4    length of the payload
//!             2    R, the number of recipients, 1 to 256
//!         R times:
//!             8    name of a recipient: the first 64 bits of the SHA-256 of its text (age1…)
//!    H-4      4  CRC32C of the H-4 bytes before
//!      H      C  one age file
//! ```
//!
//! Magic, version, H and the place of the header's CRC stay where they are in all versions.
//! Without R the group is from before recipients were named: nobody knows for whom it is but by trying.
//! The age file holds, N times, in the order of the header:
//!
//! ```text
//!             4  length of the envelope
//!                envelope: the JSON of `domain::envelope::Envelope`, UTF-8
//!             4  length of the payload
//!                payload
//! ```
//!
//! The first header that is not whole is the volume's tail: what a crash left of a group nobody heard of.
//! `tail -c +$((OFFSET + H + 1)) VOLUME | head -c C | age -d -i IDENTITY` opens one with the standard tool.
//!
//! # A sidecar, version 1
//!
//! `{"chunk":` *chunk* `,"crc32c":` *number* `}` and a line feed. The number is the CRC32C of *chunk* as written, which is
//!
//! ```text
//! version   1
//! number    which chunk, from 1
//! of        of how many
//! length    decoded length, bytes
//! digest    HMAC-SHA256, under the journal's key, of the decoded bytes' SHA-256; lower-case hex
//! former    the same under each key of before, in an array; absent if there is none
//! keys      the names of the keys, the present one first; absent if nobody knows
//! sealed    { "length": bytes, "sha256": lower-case hex } of the .age file
//! envelope  the same of envelope.age; on chunk 1 only
//! recipients  for whom it is sealed: their names as in a group, each 16 hex digits; absent if nobody knows
//! as_served true if the bytes are as MESH served them, not decoded; else absent
//! ```

mod appender;
mod cache;
mod chunks;
mod contents;
mod errors;
mod folders;
mod group;
pub mod inspect;
mod layout;
mod parts;
mod reader;
mod recover;
mod reseal;
mod seal;
mod sidecar;
#[cfg(test)]
mod tests;
mod volume;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::domain::digest::DigestKey;
use crate::domain::envelope::Envelope;
use crate::domain::ids::{MailboxId, MessageId};
use crate::domain::step::Step;
use crate::ports::clock::Clock;
use crate::ports::disk::Disk;
use crate::ports::spool::{Intake, Opened, Spool as SpoolPort, SpoolError};
use crate::ports::store::Lease;

pub use appender::{Appender, ChunkDirectory, Copied, Member, Removal};
pub(in crate::store) use contents::contents;
pub use layout::Beside;
pub use reader::Reader;
pub use reseal::{Progress, Resealing};
pub(in crate::store) use seal::RecipientSet;
pub use seal::{Identities, try_keys};
use sidecar::Form;

/// Size at which a volume is closed, unless the configuration says otherwise.
pub const VOLUME_BYTES: u64 = 64 << 20;
/// Age at which a volume is closed, unless the configuration says otherwise.
pub const VOLUME_AGE: Duration = Duration::from_secs(600);

/// Where the spool lies and for whom it seals.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// Its directory.
    pub directory: PathBuf,
    /// age recipients (`age1…`) of each mailbox: a service one and an escrow one.
    pub recipients: BTreeMap<MailboxId, Vec<String>>,
    /// age identities (`AGE-SECRET-KEY-1…`), or texts of identity files. None where messages are only received.
    pub identities: Vec<SecretString>,
    /// A volume is closed once it has so many bytes: [`VOLUME_BYTES`].
    pub volume_bytes: u64,
    /// A volume is closed once it is so old: [`VOLUME_AGE`].
    pub volume_age: Duration,
}

/// A disk and where on it the spool keeps what.
struct Files {
    disk: Arc<dyn Disk>,
    layout: layout::Layout,
}

/// Sealed payloads. A cheap handle.
#[derive(Clone)]
pub struct Spool {
    files: Arc<Files>,
    key: DigestKey,
    recipients: Arc<seal::Recipients>,
    reader: Reader,
}

impl Spool {
    /// Opens the spool and its one writer. Its folders, and what reads back from its volumes, are durable on return.
    ///
    /// The last volume is written anew, at most [`SpoolSettings::volume_bytes`] and one group; empty ones are removed.
    /// There may be one [`Appender`] per directory at a time: the daemon's lock sees to it.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        key: DigestKey,
        settings: SpoolSettings,
    ) -> Result<(Spool, Appender), SpoolError> {
        let recipients = Arc::new(seal::Recipients::parse(&settings.recipients)?);
        let identities = Identities::parse(&settings.identities)?;
        let files = Arc::new(Files { disk, layout: layout::Layout::new(settings.directory) });
        for folder in [files.layout.volumes(), files.layout.chunks()] {
            let made = files.disk.create_folder(Step::StateDirectory, &folder);
            made.map_err(|error| errors::written("make a spool folder", error))?;
        }
        folders::remove_beside(&files)?;
        let reader = Reader::with(files.clone(), identities);
        let limits = (settings.volume_bytes, settings.volume_age);
        let appender = Appender::open(files.clone(), clock, recipients.clone(), reader.clone(), limits)?;
        Ok((Spool { files, key, recipients, reader }, appender))
    }

    fn take_up(&self, envelope: &Envelope, form: Form) -> Result<Box<dyn Intake>, SpoolError> {
        let recipients = self.recipients.set(self.recipients.set_of(&envelope.mailbox)?).clone();
        Ok(Box::new(chunks::ChunkIntake::open(self.files.clone(), self.key.clone(), recipients, envelope, form)?))
    }

    /// Begins to seal a large message that an operator brings in, anew from its start.
    pub fn bring_in(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        Ok(Box::new(self.intake_beside(Beside::BroughtIn, envelope, Form::Decoded)?))
    }

    fn intake_beside(&self, what: Beside, envelope: &Envelope, form: Form) -> Result<chunks::ChunkIntake, SpoolError> {
        self.forget_beside(what, &envelope.mailbox, &envelope.message_id)?;
        let folder = self.files.layout.beside(what, &envelope.mailbox, &envelope.message_id);
        let recipients = self.recipients.set(self.recipients.set_of(&envelope.mailbox)?).clone();
        chunks::ChunkIntake::open_in(folder, self.files.clone(), self.key.clone(), recipients, envelope, form)
    }

    /// Removes what was sealed here of a message and not taken over.
    pub fn forget_beside(&self, what: Beside, mailbox: &MailboxId, id: &MessageId) -> Result<(), SpoolError> {
        // Not synced: the next process removes what a crash brings back.
        let removed = self.files.disk.remove(Step::PartCreate, &self.files.layout.beside(what, mailbox, id));
        removed.map_err(|error| errors::written("remove chunks that were sealed here", error))
    }

    /// What opens messages here, for those who have no lease.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

impl SpoolPort for Spool {
    fn intake(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.take_up(envelope, Form::Decoded)
    }

    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.take_up(envelope, Form::AsServed)
    }

    fn forget(&self, mailbox: &MailboxId, id: &MessageId) -> Result<(), SpoolError> {
        // Not synced: what a crash brings back is taken up or forgotten again.
        let removed = self.files.disk.remove(Step::SpoolRemove, &self.files.layout.arriving(mailbox, id));
        removed.map_err(|error| errors::written("remove a chunk directory", error))
    }

    fn open(&self, lease: &Lease) -> Result<Opened, SpoolError> {
        let delivery = &lease.delivery;
        let opened = self.reader.open(&delivery.mailbox, &delivery.message_id, &delivery.location)?;
        if opened.payload.length() != delivery.length {
            let (found, expected) = (opened.payload.length(), delivery.length);
            return Err(SpoolError::Unreadable(format!("{found} bytes are spooled, {expected} were accepted")));
        }
        Ok(opened)
    }
}
