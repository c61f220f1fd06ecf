//! A large message sealed again, for the recipients that its mailbox has now: opened and sealed a piece at a time, in
//! the memory of that piece (I3).

use std::io::Read;

use super::chunks::ChunkIntake;
use super::sidecar::Form;
use super::{Beside, Spool, errors, parts};
use crate::domain::envelope::Envelope;
use crate::domain::ids::{MailboxId, MessageId};
use crate::ports::spool::{Intake, Sealed, SpoolError};
use crate::ports::store::Location;

/// Opened and sealed in one step, bytes.
const PIECE: usize = 256 * 1024;

/// One large message that is being sealed again, beside where it lies.
pub struct Resealing {
    envelope: Envelope,
    intake: Box<ChunkIntake>,
    payload: Box<dyn Read + Send>,
    /// Decoded lengths of the chunks to come, the next one last.
    chunks: Vec<u64>,
    /// What is still to come of the chunk in hand, bytes.
    left: Option<u64>,
    piece: zeroize::Zeroizing<Vec<u8>>,
}

impl Spool {
    /// Begins to seal again the message whose chunks lie at `location`.
    pub fn begin_resealing(
        &self,
        mailbox: &MailboxId,
        id: &MessageId,
        location: &Location,
    ) -> Result<Resealing, SpoolError> {
        let Location::Parts { parts: count, life } = location else {
            return Err(SpoolError::Unreadable("it lies in a group".into()));
        };
        let opened = self.reader.open(mailbox, id, location)?;
        let folder = self.files.layout.adopted(mailbox, id, *life);
        let (mut chunks, mut form) = (Vec::new(), Form::Decoded);
        for number in (1..=*count).rev() {
            let missing = || SpoolError::Unreadable(format!("chunk {number} of {count} has no sound sidecar"));
            let sidecar = parts::sidecar(&self.files, &folder, number)?.ok_or_else(missing)?;
            chunks.push(sidecar.length);
            form = if sidecar.as_served { Form::AsServed } else { Form::Decoded };
        }
        if opened.envelope.chunks.max(1) != *count {
            return Err(SpoolError::Unreadable("its envelope tells of another number of chunks".into()));
        }
        let intake = self.intake_beside(Beside::Resealed, &opened.envelope, form)?;
        let payload = opened.payload.reader().map_err(|error| errors::read("open a payload", error))?;
        let piece = zeroize::Zeroizing::new(vec![0; PIECE]);
        Ok(Resealing { envelope: opened.envelope, intake: Box::new(intake), payload, chunks, left: None, piece })
    }
}

/// How far it has come.
pub enum Progress {
    /// There is more to seal.
    More(Box<Resealing>),
    /// All chunks are durable; no record names them yet.
    Whole(Box<Envelope>, Sealed),
}

impl Resealing {
    /// Opens and seals the next piece.
    pub fn step(mut self: Box<Self>) -> Result<Progress, SpoolError> {
        let Some(left) = self.left else {
            let Some(next) = self.chunks.pop() else { return self.end() };
            self.intake.begin_chunk()?;
            self.left = Some(next);
            return Ok(Progress::More(self));
        };
        if left == 0 {
            self.intake.end_chunk()?;
            self.left = None;
            return Ok(Progress::More(self));
        }
        let count = self.read(left)?;
        if count == 0 {
            return Err(SpoolError::Unreadable("the payload ends before its sidecars say so".into()));
        }
        self.intake.write(&self.piece[..count])?;
        self.left = Some(left - count as u64);
        Ok(Progress::More(self))
    }

    fn end(mut self: Box<Self>) -> Result<Progress, SpoolError> {
        // The last chunk is known to be whole only once its end is met.
        if self.read(1)? > 0 {
            return Err(SpoolError::Unreadable("the payload is longer than its sidecars say".into()));
        }
        let sealed = self.intake.finish()?;
        Ok(Progress::Whole(Box::new(self.envelope), sealed))
    }

    fn read(&mut self, most: u64) -> Result<usize, SpoolError> {
        let room = PIECE.min(usize::try_from(most).unwrap_or(PIECE));
        self.payload.read(&mut self.piece[..room]).map_err(|error| errors::read("read a payload", error))
    }
}
