//! The committer's side: groups into volumes, chunk directories taken over, and what is purged removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::group::{self, GROUP_BYTES, GroupHeader, MAX_MEMBERS, MAX_PLAINTEXT, Plain};
use super::layout::{Beside, PartsName};
use super::reader::Reader;
use super::seal::Recipients;
use super::{Files, errors, folders, parts, recover, volume};
use crate::domain::envelope::Envelope;
use crate::domain::ids::{MailboxId, MessageId};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::disk::DiskFile;
use crate::ports::spool::SpoolError;
use crate::ports::store::{Halt, Location};

/// One small message about to be sealed.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its headers, which say whose it is.
    pub envelope: &'a Envelope,
    /// Its payload.
    pub bytes: &'a [u8],
}

/// Where a copy of a group lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The volume.
    pub volume: u64,
    /// Offset of its clear header, bytes.
    pub offset: u64,
    /// Its length, bytes.
    pub length: u64,
}

/// What goes at the end of its retention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A whole volume.
    Volume(u64),
    /// The chunk directory of one life of a message.
    Parts {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message_id: MessageId,
        /// As in [`Location::Parts`].
        life: u64,
    },
    /// What came of a message that is not whole, or not accepted.
    Arriving {
        /// The mailbox.
        mailbox: MailboxId,
        /// The message.
        message_id: MessageId,
    },
}

/// One chunk directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkDirectory {
    /// The message.
    pub message_id: MessageId,
    /// The life it was taken over for; `None` while the message is on its way in.
    pub life: Option<u64>,
    /// When its last chunk began.
    pub modified: Timestamp,
}

/// The one writer of volumes. Owned by the committer.
pub struct Appender {
    files: Arc<Files>,
    clock: Arc<dyn Clock>,
    recipients: Arc<Recipients>,
    reader: Reader,
    volume_bytes: u64,
    volume_age: Duration,
    open: Option<OpenVolume>,
    /// The number of the next volume.
    next: u64,
    /// Every volume there is, and its length in bytes.
    volumes: BTreeMap<u64, u64>,
}

struct OpenVolume {
    number: u64,
    file: Box<dyn DiskFile>,
    length: u64,
    opened_at: Duration,
    is_dirty: bool,
    /// A write failed: nothing more goes in.
    is_broken: bool,
}

impl Appender {
    pub(super) fn open(
        files: Arc<Files>,
        clock: Arc<dyn Clock>,
        recipients: Arc<Recipients>,
        reader: Reader,
        (volume_bytes, volume_age): (u64, Duration),
    ) -> Result<Self, SpoolError> {
        let volumes = recover::volumes(&files)?;
        // Numbers are never used twice, though the volumes that had them may be gone: the wall clock is the floor.
        let after_last = volumes.last_key_value().map_or(0, |(last, _)| last + 1);
        let next = after_last.max(u64::try_from(clock.wall().0).unwrap_or(0)).max(1);
        Ok(Self { files, clock, recipients, reader, volume_bytes, volume_age, open: None, next, volumes })
    }

    /// Seals members whose mailboxes have the same recipients together and adds the groups to the open volume.
    ///
    /// Not durable on return: sync what [`Appender::dirty`] names, then call [`Appender::synced`].
    /// On an error none of these members is kept, and the volume takes no more.
    pub fn append(&mut self, members: &[Member<'_>]) -> Result<Vec<Location>, SpoolError> {
        let groups = self.seal(members)?;
        let mut locations = vec![Location::Group { volume: 0, offset: 0, length: 0, member: 0 }; members.len()];
        for group in groups {
            let (volume, offset) = self.write(Step::GroupWrite, &group.bytes)?;
            let length = group.bytes.len() as u64;
            for (member, place) in (0..).zip(group.places) {
                locations[place] = Location::Group { volume, offset, length, member };
            }
        }
        Ok(locations)
    }

    /// Adds a copy of the group at that volume and offset, sealed as it is, to the open volume. No key is needed.
    ///
    /// Not durable on return, as with [`Appender::append`]. Without room the copy is not made, and the volume takes no more.
    pub fn copy(&mut self, (volume, offset): (u64, u64)) -> Result<Copied, SpoolError> {
        let file = self.files.disk.read(&self.files.layout.volume(volume));
        let file = file.map_err(|error| errors::read("open a volume", error))?;
        let (_, bytes) = volume::bytes_at(file.as_ref(), offset)?;
        let (volume, offset) = self.write(Step::GroupMove, &bytes)?;
        Ok(Copied { volume, offset, length: bytes.len() as u64 })
    }

    /// The open volume, if it holds groups that were not synced.
    pub fn dirty(&self) -> Option<(Step, &dyn DiskFile)> {
        let volume = self.open.as_ref().filter(|volume| volume.is_dirty)?;
        Some((Step::VolumeSync, volume.file.as_ref()))
    }

    /// The open volume was synced, with success. Closes it if it is full, old or broken.
    pub fn synced(&mut self) -> Result<(), SpoolError> {
        if let Some(volume) = &mut self.open {
            volume.is_dirty = false;
        }
        self.close_if_due();
        Ok(())
    }

    /// Closes the open volume, if all of it is durable: the next group begins another.
    pub fn close(&mut self) {
        if self.open.as_ref().is_some_and(|volume| !volume.is_dirty) {
            self.open = None;
        }
    }

    /// Takes over a whole message, by the name of this life of it. Durable on return; fine if it is taken over already.
    ///
    /// Must not be called for a life that a record names, while the message is on its way in again: a chunk directory
    /// of that life that no record names is what a crash left before the record, and is replaced.
    pub fn adopt(&mut self, mailbox: &MailboxId, message_id: &MessageId, life: u64) -> Result<(), SpoolError> {
        self.take_over(self.files.layout.arriving(mailbox, message_id), mailbox, message_id, life)
    }

    /// Takes over chunks that were sealed here, by the name of a life that no record names. Durable on return.
    pub fn adopt_beside(
        &mut self,
        what: Beside,
        mailbox: &MailboxId,
        message_id: &MessageId,
        life: u64,
    ) -> Result<(), SpoolError> {
        self.take_over(self.files.layout.beside(what, mailbox, message_id), mailbox, message_id, life)
    }

    fn take_over(
        &self,
        from: PathBuf,
        mailbox: &MailboxId,
        message_id: &MessageId,
        life: u64,
    ) -> Result<(), SpoolError> {
        let to = self.files.layout.adopted(mailbox, message_id, life);
        let look = |path: &Path| self.files.disk.entry(path).map_err(|e| errors::read("look at a chunk directory", e));
        let (is_here, is_adopted) = (look(&from)?.is_some(), look(&to)?.is_some());
        if !is_here && !is_adopted {
            return Err(SpoolError::Unreadable(format!("message {message_id} was never spooled")));
        }
        let is_orphaned = is_adopted && is_here && self.is_whole_directory(&from)?;
        if is_orphaned {
            let removed = self.files.disk.remove(Step::PartRename, &to);
            removed.map_err(|error| errors::written("remove an orphaned chunk directory", error))?;
        }
        if is_orphaned || !is_adopted {
            let renamed = self.files.disk.rename_no_replace(Step::PartRename, &from, &to);
            renamed.map_err(|error| errors::written("take over a chunk directory", error))?;
        }
        // Even if nothing was renamed: an earlier process may have ended between the two.
        let synced = self.files.disk.sync_folder(Step::PartSync, &self.files.layout.mailbox(mailbox));
        synced.map_err(|error| errors::halted("sync a mailbox's chunk directories", error))
    }

    /// Removes what its retention let go. Durable on return; fine if it is gone already.
    pub fn remove(&mut self, what: Removal) -> Result<(), SpoolError> {
        let layout = &self.files.layout;
        let (path, folder) = match &what {
            Removal::Volume(number) => (layout.volume(*number), layout.volumes()),
            Removal::Parts { mailbox, message_id, life } => {
                (layout.adopted(mailbox, message_id, *life), layout.mailbox(mailbox))
            }
            Removal::Arriving { mailbox, message_id } => {
                (layout.arriving(mailbox, message_id), layout.mailbox(mailbox))
            }
        };
        if let Removal::Volume(number) = what {
            if self.open_volume() == number {
                self.open = None;
            }
            self.volumes.remove(&number);
            self.reader.forget_volume(number);
        }
        let disk = &self.files.disk;
        if disk.entry(&folder).map_err(|error| errors::read("look at a spool folder", error))?.is_none() {
            return Ok(());
        }
        disk.remove(Step::SpoolRemove, &path).map_err(|error| errors::written("remove a payload", error))?;
        let synced = disk.sync_folder(Step::SpoolRemove, &folder);
        synced.map_err(|error| errors::halted("sync a spool folder", error))
    }

    /// The mailboxes that have, or had, large messages.
    pub fn mailboxes(&self) -> Result<Vec<MailboxId>, SpoolError> {
        folders::mailboxes(&self.files)
    }

    /// The chunk directories of a mailbox.
    pub fn chunk_directories(&self, mailbox: &MailboxId) -> Result<Vec<ChunkDirectory>, SpoolError> {
        let found = folders::of_mailbox(&self.files, mailbox)?.into_iter().map(|(name, entry)| {
            let (message_id, life) = match name {
                PartsName::Arriving(id) => (id, None),
                PartsName::Adopted(id, life) => (id, Some(life)),
            };
            ChunkDirectory { message_id, life, modified: entry.modified }
        });
        Ok(found.collect())
    }

    /// The volume that takes the next group; there is no file of it before its first group.
    pub fn open_volume(&self) -> u64 {
        self.open.as_ref().map_or(self.next, |volume| volume.number)
    }

    /// The last volume and its length, bytes.
    pub fn last_volume(&self) -> Option<(u64, u64)> {
        self.volumes.last_key_value().map(|(volume, length)| (*volume, *length))
    }

    /// Every volume there is, in order.
    pub fn volumes(&self) -> Vec<u64> {
        self.volumes.keys().copied().collect()
    }

    /// Visits the messages of a volume, whole or not, by the clear headers of its groups.
    pub fn for_each_in(
        &self,
        number: u64,
        mut visit: impl FnMut(&MailboxId, &MessageId, Location),
    ) -> Result<(), SpoolError> {
        let file = self.files.disk.read(&self.files.layout.volume(number));
        let file = file.map_err(|error| errors::read("open a volume", error))?;
        let walked = volume::walk(file.as_ref(), |offset, header| {
            for (member, found) in (0..).zip(&header.members) {
                let location = Location::Group { volume: number, offset, length: header.length(), member };
                visit(&found.mailbox, &found.message_id, location);
            }
            Ok(())
        });
        walked.map(drop)
    }

    /// Length of a volume, bytes; `None` if there is none of that number.
    pub fn length_of(&self, volume: u64) -> Option<u64> {
        self.volumes.get(&volume).copied()
    }

    /// Whether the payload at `location` is all there, as far as that shows without a key.
    ///
    /// For recovery: a drive that lies about its syncs shows here.
    pub fn holds(&self, mailbox: &MailboxId, id: &MessageId, location: &Location) -> Result<bool, SpoolError> {
        match location {
            Location::Group { volume, offset, member, .. } => {
                let header = self.sound_group((*volume, *offset))?;
                let found = header.as_ref().and_then(|header| header.members.get(*member as usize));
                Ok(found.is_some_and(|found| (&found.mailbox, &found.message_id) == (mailbox, id)))
            }
            Location::Parts { parts, life } => {
                let folder = self.files.layout.adopted(mailbox, id, *life);
                // Chunks are synced one by one before the record is made: their sidecars speak for them.
                let last = parts::sidecar(&self.files, &folder, *parts)?;
                Ok(last.is_some_and(|sidecar| sidecar.of == *parts))
            }
        }
    }

    /// Whether a whole group lies at that volume and offset.
    pub fn holds_group(&self, place: (u64, u64)) -> Result<bool, SpoolError> {
        Ok(self.sound_group(place)?.is_some())
    }

    fn sound_group(&self, (number, offset): (u64, u64)) -> Result<Option<GroupHeader>, SpoolError> {
        let read = |error| errors::read("read a volume", error);
        let path = self.files.layout.volume(number);
        if self.files.disk.entry(&path).map_err(read)?.is_none() {
            return Ok(None);
        }
        let file = self.files.disk.read(&path).map_err(read)?;
        let Ok(header) = volume::header_at(file.as_ref(), offset).map_err(read)? else { return Ok(None) };
        let is_sound = volume::is_sound(file.as_ref(), offset, &header).map_err(read)?;
        Ok(is_sound.then_some(header))
    }

    fn seal(&self, members: &[Member<'_>]) -> Result<Vec<SealedGroup>, SpoolError> {
        let failed = |error| errors::halted("seal a group", error);
        let mut envelopes = Vec::with_capacity(members.len());
        for member in members {
            let json = serde_json::to_vec(member.envelope).map_err(|error| failed(error.into()))?;
            envelopes.push(zeroize::Zeroizing::new(json));
        }
        let mut batches: Vec<Batch<'_>> = Vec::new();
        for (place, (member, json)) in members.iter().zip(&envelopes).enumerate() {
            let set = self.recipients.set_of(&member.envelope.mailbox)?;
            let plain = Plain { envelope: member.envelope, json, bytes: member.bytes };
            if plain.sealed_bytes() > MAX_PLAINTEXT {
                let problem = format!("a message of {} bytes was to go into a volume", plain.sealed_bytes());
                return Err(SpoolError::Failed(Halt(problem)));
            }
            match batches.iter_mut().rev().find(|batch| batch.set == set).filter(|batch| batch.has_room_for(&plain)) {
                Some(batch) => batch.add(place, plain),
                None => {
                    let mut batch = Batch { set, bytes: 0, members: Vec::new(), places: Vec::new() };
                    batch.add(place, plain);
                    batches.push(batch);
                }
            }
        }
        let sealed = batches.into_iter().map(|batch| {
            let bytes = group::seal(self.recipients.set(batch.set), &batch.members).map_err(failed)?;
            Ok(SealedGroup { bytes, places: batch.places })
        });
        sealed.collect()
    }

    fn write(&mut self, step: Step, sealed: &[u8]) -> Result<(u64, u64), SpoolError> {
        let volume = self.take_volume()?;
        let offset = volume.length;
        if let Err(error) = volume.file.append(step, sealed) {
            volume.is_broken = true;
            self.close_if_due();
            return Err(errors::written("write a volume", error));
        }
        volume.length += sealed.len() as u64;
        volume.is_dirty = true;
        let (number, length) = (volume.number, volume.length);
        self.volumes.insert(number, length);
        Ok((number, offset))
    }

    fn take_volume(&mut self) -> Result<&mut OpenVolume, SpoolError> {
        self.close_if_due();
        if self.open.is_none() {
            self.open = Some(self.create_volume()?);
        }
        match &mut self.open {
            Some(volume) if !volume.is_broken => Ok(volume),
            // Its earlier groups still wait for their sync; a new volume can only be opened after it.
            Some(_) | None => Err(SpoolError::NoRoom(std::io::ErrorKind::StorageFull.into())),
        }
    }

    /// A new volume file, its name durable.
    fn create_volume(&mut self) -> Result<OpenVolume, SpoolError> {
        let number = self.next;
        let (disk, layout) = (&self.files.disk, &self.files.layout);
        let file = disk.create(Step::VolumeCreate, &layout.volume(number));
        let file = file.map_err(|error| errors::written("make a volume", error))?;
        self.next += 1;
        self.volumes.insert(number, 0);
        let synced = disk.sync_folder(Step::VolumeCreate, &layout.volumes());
        synced.map_err(|error| errors::halted("sync the volumes' folder", error))?;
        let opened_at = self.clock.monotonic();
        Ok(OpenVolume { number, file, length: 0, opened_at, is_dirty: false, is_broken: false })
    }

    fn close_if_due(&mut self) {
        let Some(volume) = &self.open else { return };
        let age = self.clock.monotonic().saturating_sub(volume.opened_at);
        let is_due = volume.is_broken || volume.length >= self.volume_bytes || age >= self.volume_age;
        if is_due && !volume.is_dirty {
            self.open = None;
        }
    }

    fn is_whole_directory(&self, folder: &Path) -> Result<bool, SpoolError> {
        let Some(first) = parts::sidecar(&self.files, folder, 1)? else { return Ok(false) };
        let last = parts::sidecar(&self.files, folder, first.of)?;
        Ok(last.is_some_and(|last| last.of == first.of))
    }
}

/// One group, ready to be written.
struct SealedGroup {
    bytes: Vec<u8>,
    /// Where its members were among all.
    places: Vec<usize>,
}

/// Members with the same recipients, as many as one group takes.
struct Batch<'a> {
    set: usize,
    bytes: usize,
    members: Vec<Plain<'a>>,
    places: Vec<usize>,
}

impl<'a> Batch<'a> {
    fn has_room_for(&self, plain: &Plain<'_>) -> bool {
        self.members.len() < MAX_MEMBERS && self.bytes + plain.sealed_bytes() <= GROUP_BYTES
    }

    fn add(&mut self, place: usize, plain: Plain<'a>) {
        self.bytes += plain.sealed_bytes();
        self.members.push(plain);
        self.places.push(place);
    }
}
