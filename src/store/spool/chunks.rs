//! Large messages on their way in: sealed chunk by chunk as they arrive, durable chunk by chunk.
//!
//! A chunk counts once its sidecar does. The order is: chunk (and at the first one the envelope) written and synced,
//! sidecar written and synced, folder synced. So a sidecar never speaks of bytes that a crash may take.
//! Memory is one age chunk of 64 KiB and one piece of [`PIECE`] bytes, whatever the size (I3).

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::layout::{self, ENVELOPE};
use super::seal::RecipientSet;
use super::sidecar::{Form, Measure, SealedFile, Sidecar};
use super::{Files, errors, parts};
use crate::domain::digest::{DigestKey, Hasher};
use crate::domain::envelope::Envelope;
use crate::domain::step::Step;
use crate::ports::disk::DiskFile;
use crate::ports::spool::{Intake, MOST_CHUNKS, Sealed, SpoolError};

/// Sealed bytes written at once: few calls, little memory.
const PIECE: usize = 256 * 1024;

/// One large message on its way in.
pub(super) struct ChunkIntake {
    files: Arc<Files>,
    key: DigestKey,
    recipients: Arc<RecipientSet>,
    folder: PathBuf,
    envelope: Envelope,
    form: Form,
    total: u32,
    kept: u32,
    length: u64,
    /// Over the digests of the kept chunks: with the present key, and then with each of before.
    digests: Vec<Hasher>,
    writing: Option<Writing>,
}

/// The chunk in hand.
struct Writing {
    sealing: age::stream::StreamWriter<Sink>,
    plain: Hasher,
    length: u64,
}

impl ChunkIntake {
    /// Takes up the message where an earlier fetch left it, or makes its folder.
    pub(super) fn open(
        files: Arc<Files>,
        key: DigestKey,
        recipients: Arc<RecipientSet>,
        envelope: &Envelope,
        form: Form,
    ) -> Result<Self, SpoolError> {
        let folder = files.layout.arriving(&envelope.mailbox, &envelope.message_id);
        Self::open_in(folder, files, key, recipients, envelope, form)
    }

    /// The same in that folder.
    pub(super) fn open_in(
        folder: PathBuf,
        files: Arc<Files>,
        key: DigestKey,
        recipients: Arc<RecipientSet>,
        envelope: &Envelope,
        form: Form,
    ) -> Result<Self, SpoolError> {
        let total = envelope.chunks.max(1);
        if total > MOST_CHUNKS {
            return Err(SpoolError::Unreadable(format!(
                "{total} chunks are announced; at most {MOST_CHUNKS} are taken"
            )));
        }
        let digests = key.each().map(|_| Hasher::new()).collect();
        let mut intake = Self {
            files,
            key,
            recipients,
            folder,
            envelope: envelope.clone(),
            form,
            total,
            kept: 0,
            length: 0,
            digests,
            writing: None,
        };
        intake.take_up()?;
        let disk = &intake.files.disk;
        if intake.kept == 0 {
            // Chunks of another division or form would be left over.
            disk.remove(Step::PartCreate, &intake.folder)
                .map_err(|e| errors::written("remove an unusable chunk directory", e))?;
        }
        disk.create_folder(Step::PartCreate, &intake.folder)
            .map_err(|e| errors::written("make a chunk directory", e))?;
        Ok(intake)
    }

    /// Counts the chunks that are whole, up to the first that is not, or is of another division or form, or sealed for
    /// others, or has no envelope.
    fn take_up(&mut self) -> Result<(), SpoolError> {
        let mut last = None;
        while self.kept < self.total {
            let Some(sidecar) = self.sound_sidecar(self.kept + 1)? else { break };
            self.count(&sidecar);
            last = Some(sidecar);
        }
        // An earlier process may have ended before this sidecar was durable, even in a failed sync. Those before it are.
        last.map_or(Ok(()), |sidecar| self.write_sidecar(&sidecar))
    }

    /// Writes the sidecar of a chunk whose bytes are durable. Durable on return.
    fn write_sidecar(&self, sidecar: &Sidecar) -> Result<(), SpoolError> {
        let written = |error| errors::written("write a sidecar", error);
        let bytes = sidecar.to_bytes().map_err(|error| written(error.into()))?;
        let mut file = self.create_anew(Step::SidecarWrite, layout::sidecar(&self.folder, sidecar.number))?;
        file.append(Step::SidecarWrite, &bytes).map_err(written)?;
        file.sync(Step::SidecarSync).map_err(|error| errors::halted("sync a sidecar", error))?;
        let synced = self.files.disk.sync_folder(Step::SidecarSync, &self.folder);
        synced.map_err(|error| errors::halted("sync a chunk directory", error))
    }

    fn sound_sidecar(&self, number: u32) -> Result<Option<Sidecar>, SpoolError> {
        let Some(sidecar) = parts::sidecar(&self.files, &self.folder, number)? else { return Ok(None) };
        let mut is_sound = sidecar.of == self.total && sidecar.as_served == (self.form == Form::AsServed);
        // Of a chunk that was digested with other keys no digest of the whole can be made.
        is_sound &= sidecar.keys == key_names(&self.key) && sidecar.former.len() + 1 == self.digests.len();
        // What is accepted from now on opens with the present identities alone.
        is_sound &= sidecar.recipients == self.recipients.tags();
        is_sound &= self.has_length(layout::chunk(&self.folder, number), sidecar.sealed.length)?;
        if number == 1 {
            let expected = sidecar.envelope.as_ref().map_or(0, |envelope| envelope.length);
            is_sound &= expected > 0 && self.has_length(self.folder.join(ENVELOPE), expected)?;
        }
        Ok(is_sound.then_some(sidecar))
    }

    fn has_length(&self, path: PathBuf, length: u64) -> Result<bool, SpoolError> {
        let found = self.files.disk.entry(&path).map_err(|error| errors::read("look at a chunk", error))?;
        Ok(found.is_some_and(|entry| entry.length == length))
    }

    fn count(&mut self, sidecar: &Sidecar) {
        self.kept += 1;
        self.length += sidecar.length;
        for (digests, digest) in self.digests.iter_mut().zip(std::iter::once(&sidecar.digest).chain(&sidecar.former)) {
            digests.update(digest.0.as_bytes());
        }
    }

    /// A new file where a crash may have left an unfinished one.
    fn create_anew(&self, step: Step, path: PathBuf) -> Result<Box<dyn DiskFile>, SpoolError> {
        let disk = &self.files.disk;
        if disk.entry(&path).map_err(|error| errors::read("look at a chunk", error))?.is_some() {
            disk.remove(step, &path).map_err(|error| errors::written("remove an unfinished chunk", error))?;
        }
        disk.create(step, &path).map_err(|error| errors::written("make a chunk", error))
    }

    fn seal_envelope(&self) -> Result<(Box<dyn DiskFile>, SealedFile), SpoolError> {
        let written = |error| errors::written("write the envelope", error);
        let json = zeroize::Zeroizing::new(serde_json::to_vec(&self.envelope).map_err(|error| written(error.into()))?);
        let mut sealed = Vec::with_capacity(json.len() + 1024);
        self.recipients.seal_whole(&json, &mut sealed).map_err(written)?;
        let mut file = self.create_anew(Step::ChunkWrite, self.folder.join(ENVELOPE))?;
        file.append(Step::ChunkWrite, &sealed).map_err(written)?;
        Ok((file, Measure::of(&sealed)))
    }
}

impl Intake for ChunkIntake {
    fn kept(&self) -> u32 {
        self.kept
    }

    fn begin_chunk(&mut self) -> Result<(), SpoolError> {
        if self.kept == self.total {
            return Err(SpoolError::Unreadable(format!("all {} announced chunks are there already", self.total)));
        }
        self.writing = None;
        let path = layout::chunk(&self.folder, self.kept + 1);
        let sink = Sink::new(self.create_anew(Step::ChunkWrite, path)?);
        let sealing = self.recipients.seal(sink).map_err(|error| errors::written("write a chunk", error))?;
        self.writing = Some(Writing { sealing, plain: Hasher::new(), length: 0 });
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let writing = self.writing.as_mut().ok_or_else(no_chunk)?;
        if let Err(error) = writing.sealing.write_all(bytes) {
            // What is in the file is unknown now: the chunk must be begun again.
            self.writing = None;
            return Err(errors::written("write a chunk", error));
        }
        writing.plain.update(bytes);
        writing.length += bytes.len() as u64;
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), SpoolError> {
        let Writing { sealing, plain, length } = self.writing.take().ok_or_else(no_chunk)?;
        let (chunk, sealed) =
            sealing.finish().and_then(Sink::finish).map_err(|error| errors::written("write a chunk", error))?;
        let number = self.kept + 1;
        let mut digests = self.key.sign_each(plain);
        let former = digests.split_off(1);
        let mut sidecar = Sidecar::new(number, self.total, length, digests.swap_remove(0), sealed.finish());
        (sidecar.keys, sidecar.former) = (key_names(&self.key), former);
        sidecar.as_served = self.form == Form::AsServed;
        sidecar.recipients = self.recipients.tags().to_vec();
        let envelope = if number == 1 { Some(self.seal_envelope()?) } else { None };

        let mut files: Vec<(Step, &dyn DiskFile)> = vec![(Step::ChunkSync, chunk.as_ref())];
        files.extend(envelope.iter().map(|(file, _)| (Step::ChunkSync, file.as_ref())));
        self.files.disk.sync_all(&files).map_err(|error| errors::halted("sync a chunk", error))?;
        sidecar.envelope = envelope.map(|(_, sealed)| sealed);

        self.write_sidecar(&sidecar)?;
        self.count(&sidecar);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Sealed, SpoolError> {
        if self.kept < self.total {
            return Err(SpoolError::Unreadable(format!("{} of {} chunks are there", self.kept, self.total)));
        }
        let mut digests: Vec<_> = self.key.each().zip(self.digests).map(|(key, digests)| key.sign(digests)).collect();
        let former = digests.split_off(1);
        Ok(Sealed { length: self.length, parts: self.total, digest: digests.swap_remove(0), former })
    }
}

fn key_names(key: &DigestKey) -> Vec<String> {
    key.each().map(|key| key.id().to_owned()).collect()
}

fn no_chunk() -> SpoolError {
    SpoolError::Unreadable("no chunk was begun, or writing it failed".into())
}

/// Gathers sealed bytes into pieces, and measures them. Dropping it writes nothing.
struct Sink {
    file: Box<dyn DiskFile>,
    piece: Vec<u8>,
    measure: Measure,
}

impl Sink {
    fn new(file: Box<dyn DiskFile>) -> Self {
        Self { file, piece: Vec::with_capacity(PIECE), measure: Measure::new() }
    }

    fn finish(mut self) -> io::Result<(Box<dyn DiskFile>, Measure)> {
        self.flush()?;
        Ok((self.file, self.measure))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..count]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.measure.add(&self.piece);
            self.file.append(Step::ChunkWrite, &self.piece)?;
            self.piece.clear();
        }
        Ok(())
    }
}
