//! One MESH mailbox, seen by the one who sends from it.

use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::inbox::{Answer, Encoding};
use crate::domain::envelope::Envelope;
use crate::domain::fault::Fault;
use crate::domain::ids::{MailboxId, MessageId};

/// One mailbox that sends. No call is repeated by itself: a second send would be a second message (mesh-api 6.6).
pub trait Outbox: Send + Sync {
    /// The mailbox.
    fn mailbox(&self) -> &MailboxId;
    /// Sends a message, or the first of its chunks. MESH's id of it is the answer.
    fn send<'a>(&'a self, envelope: &'a Envelope, piece: Piece) -> BoxFuture<'a, Result<MessageId, Unsent>>;
    /// Sends a chunk after the first. It may be sent again until MESH has all of them (mesh-api 12).
    fn send_chunk<'a>(&'a self, message: &'a MessageId, piece: Piece) -> Answer<'a, Taken>;
    /// What became of a message (mesh-api 6.7); none if MESH knows no such message of ours.
    fn track<'a>(&'a self, message: &'a MessageId) -> Answer<'a, Option<Tracked>>;
    /// The messages of ours with this local id, as far as MESH tells them apart.
    fn find<'a>(&'a self, local_id: &'a str) -> Answer<'a, Found>;
}

/// One chunk of a payload, or all of it.
pub struct Piece {
    /// From 1.
    pub number: u32,
    /// Of so many.
    pub total: u32,
    /// Length of the encoded bytes; none if it is not known before they are made.
    pub length: Option<u64>,
    /// How they are encoded. The same for all chunks of a message.
    pub encoding: Encoding,
    /// The encoded bytes.
    pub body: BoxStream<'static, io::Result<Bytes>>,
}

/// Why MESH gave no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// It is certain that MESH did not take it, and another try may succeed.
    NotTaken(Fault),
    /// MESH answered that it does not take it.
    Refused(Fault),
    /// It may have taken it.
    Unknown(Fault),
    /// Its bytes could not be had: nothing whole reached MESH.
    Unreadable(String),
}

/// What MESH said of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It has it.
    Stored,
    /// It has all chunks already: the message is whole, or was never ours to go on with (mesh-api 6.6).
    WasWhole,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// MESH's id.
    pub message: MessageId,
    /// Where it stands.
    pub state: TrackedState,
    /// MESH's code, such as `14`.
    pub code: Option<String>,
}

/// The states of mesh-api 7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackedState {
    /// Not all chunks are there.
    Uploading,
    /// In its recipient's inbox.
    Accepted,
    /// Its recipient has it.
    Acknowledged,
    /// MESH gave it up.
    Undeliverable,
}

/// What MESH has under a local id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    None,
    /// This.
    One(Tracked),
    /// Several, and it does not say which (300).
    Several,
}
