//! A spool in memory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::domain::digest::ContentDigest;
use crate::domain::envelope::Envelope;
use crate::domain::ids::{MailboxId, MessageId};
use crate::ports::spool::{Intake, Opened, Sealed, Spool, SpoolError};
use crate::ports::store::Lease;

/// A spool that keeps chunks in memory, across fetches.
#[derive(Default, Clone)]
pub(in crate::receive) struct FakeSpool {
    pub(in crate::receive) chunks: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Bytes it takes on the disk, also of chunks that have no end yet.
    pub(in crate::receive) used: Arc<AtomicU64>,
    /// Messages that have a folder for their chunks.
    pub(in crate::receive) folders: Arc<Mutex<BTreeSet<MessageId>>>,
    /// Messages it cannot take up.
    pub(in crate::receive) refuses: Arc<Mutex<BTreeSet<MessageId>>>,
}

impl Spool for FakeSpool {
    fn intake(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        if self.refuses.lock().expect("unpoisoned").contains(&envelope.message_id) {
            return Err(SpoolError::Unreadable("damaged".into()));
        }
        self.folders.lock().expect("unpoisoned").insert(envelope.message_id.clone());
        Ok(Box::new(FakeIntake { spool: self.clone(), open: Vec::new() }))
    }

    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.chunks.lock().expect("unpoisoned").clear();
        self.intake(envelope)
    }

    fn forget(&self, _: &MailboxId, id: &MessageId) -> Result<(), SpoolError> {
        self.folders.lock().expect("unpoisoned").remove(id);
        self.chunks.lock().expect("unpoisoned").clear();
        self.used.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn open(&self, _: &Lease) -> Result<Opened, SpoolError> {
        Err(SpoolError::Unreadable("a poller must not call this".into()))
    }
}

struct FakeIntake {
    spool: FakeSpool,
    open: Vec<u8>,
}

impl Intake for FakeIntake {
    fn kept(&self) -> u32 {
        u32::try_from(self.spool.chunks.lock().expect("unpoisoned").len()).expect("few chunks")
    }

    fn begin_chunk(&mut self) -> Result<(), SpoolError> {
        self.open.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        self.open.extend_from_slice(bytes);
        self.spool.used.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), SpoolError> {
        self.spool.chunks.lock().expect("unpoisoned").push(std::mem::take(&mut self.open));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Sealed, SpoolError> {
        let length = self.spool.chunks.lock().expect("unpoisoned").iter().map(|chunk| chunk.len() as u64).sum();
        Ok(Sealed { length, parts: self.kept(), digest: ContentDigest("0".into()), former: Vec::new() })
    }
}
