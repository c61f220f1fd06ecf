//! Payloads at rest: written as they arrive, read as a stream, never whole in memory (I3).

use std::io::{self, Read};
use std::sync::Arc;

use crate::domain::digest::ContentDigest;
use crate::domain::envelope::Envelope;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::{MailboxId, MessageId};

use super::store::Lease;

/// A message larger than this, or in several chunks, goes through an [`Intake`].
pub const SMALL: usize = 64 * 1024;

/// A message in more chunks is not taken: 100 GB (mesh-api 10) in pieces of 100 KB.
pub const MOST_CHUNKS: u32 = 999_999;

/// Sealed payloads. All calls block.
pub trait Spool: Send + Sync {
    /// Takes up a large message where an earlier fetch left it, or from its start.
    fn intake(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError>;
    /// The same for a message that is kept as MESH served it. Neither takes up what the other left: chunks decoded and
    /// chunks as served must not meet in one message.
    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError>;
    /// Gives up a large message that will not be accepted; what was kept of it is removed.
    fn forget(&self, mailbox: &MailboxId, id: &MessageId) -> Result<(), SpoolError>;
    /// Opens what a lease refers to.
    fn open(&self, lease: &Lease) -> Result<Opened, SpoolError>;
}

/// One large message on its way in.
pub trait Intake: Send {
    /// How many chunks are already durable, from the first on without a gap.
    fn kept(&self) -> u32;
    /// Begins the next chunk.
    fn begin_chunk(&mut self) -> Result<(), SpoolError>;
    /// Adds decoded bytes to it. Durable only after [`Intake::end_chunk`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError>;
    /// Ends it: durable on return, and a crash from here on resumes at the next one.
    fn end_chunk(&mut self) -> Result<(), SpoolError>;
    /// All chunks are there: what the store needs to accept the message.
    fn finish(self: Box<Self>) -> Result<Sealed, SpoolError>;
}

/// A large message, sealed and durable, not yet accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Decoded length of all chunks.
    pub length: u64,
    /// Number of sealed parts.
    pub parts: u32,
    /// Keyed digest over the keyed digests of the chunks, so that a resumed fetch needs no private key.
    pub digest: ContentDigest,
    /// The same with each key of before.
    pub former: Vec<ContentDigest>,
}

/// A message read back.
#[derive(Clone)]
pub struct Opened {
    /// Its headers.
    pub envelope: Envelope,
    /// Its bytes.
    pub payload: Payload,
}

/// A payload, as often as one likes, a piece at a time.
#[derive(Clone)]
pub struct Payload {
    length: u64,
    source: Arc<dyn PayloadSource>,
}

/// Where a payload's bytes come from.
pub trait PayloadSource: Send + Sync {
    /// A fresh reader from the first byte.
    fn reader(&self) -> io::Result<Box<dyn Read + Send>>;
}

impl Payload {
    /// `length` decoded bytes from `source`.
    pub fn new(length: u64, source: Arc<dyn PayloadSource>) -> Self {
        Self { length, source }
    }

    /// Decoded length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// A fresh reader from the first byte.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        self.source.reader()
    }

    /// The first `limit` bytes at most. There is no call for all of them (I3).
    pub fn read_bounded(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(limit.min(SMALL));
        self.reader()?.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// What follows from an error of reading a payload: one of the system is our own disk's and may pass; any other means
/// that the sealed bytes are wrong.
///
/// Neither is the message's doing: damage in our spool, or a wrong identity, makes no dead letter (I5).
pub fn unreadable(error: &io::Error) -> Fault {
    let detail = format!("read the payload: {error}");
    if error.raw_os_error().is_some() {
        Fault::local(FaultCode::SpoolUnreadable, "spool", detail)
    } else {
        Fault::new(FaultCode::SpoolUnreadable, Class::Permanent, Origin::Local("spool"), detail)
    }
}

/// Why the spool could not do it.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Stable storage failed: final.
    #[error("spool: {0}")]
    Failed(#[from] super::store::Halt),
    /// No room now; intake stops until there is.
    #[error("no room in the spool: {0}")]
    NoRoom(io::Error),
    /// This payload cannot be opened: damaged, or sealed for another identity.
    #[error("payload does not open: {0}")]
    Unreadable(String),
}
