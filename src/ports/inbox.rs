//! One MESH mailbox, seen by the one who receives from it.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::store::Accepted;
use crate::domain::envelope::Envelope;
use crate::domain::fault::Fault;
use crate::domain::ids::{MailboxId, MessageId};

/// The result of one call: never a status code, always a classified [`Fault`].
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Fault>>;

/// One mailbox. Every call makes a fresh token; none retries by itself but for the one fresh-token try of mesh-api 4.4.
pub trait Inbox: Send + Sync {
    /// The mailbox.
    fn mailbox(&self) -> &MailboxId;
    /// Proves reachability and credentials (mesh-api 6.2).
    fn handshake(&self) -> Answer<'_, ()>;
    /// One page of the ids that wait (mesh-api 6.3).
    fn list(&self, page: Page) -> Answer<'_, Listing>;
    /// The headers of a message, without its body (mesh-api 6.1 row 5).
    fn head<'a>(&'a self, id: &'a MessageId) -> Answer<'a, Envelope>;
    /// One chunk, from 1, with its body as a stream (mesh-api 6.4). Changes nothing at MESH.
    fn fetch<'a>(&'a self, id: &'a MessageId, chunk: u32) -> Answer<'a, Chunk>;
    /// Tells MESH that we keep the message (mesh-api 6.5). 404 and 410 count as done.
    ///
    /// Takes nothing but the store's proof (I1).
    fn acknowledge<'a>(&'a self, accepted: &'a Accepted) -> Answer<'a, ()>;
}

/// Which page to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// From the oldest on, at most `max_results` (10 to 5,000), all workflows or those `workflow_filter` selects.
    First {
        /// 10 to 5,000.
        max_results: u16,
        /// `WF`, `!WF`, `WF*`, `!WF*`, `*X*` or `!*X*`.
        workflow_filter: Option<String>,
    },
    /// `links.next` of the page before, untouched.
    Next(String),
}

/// One page of an inbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Ids of messages that wait, oldest first.
    pub ids: Vec<MessageId>,
    /// Ids that no path and no record could hold: counted, never used.
    pub unusable: usize,
    /// `links.next`, while more remain; a page may be empty and still have it.
    pub next: Option<String>,
    /// The whole inbox, roughly and late.
    pub approximate_count: Option<u64>,
}

/// One chunk as served.
pub struct Chunk {
    /// The message's headers, as this chunk carries them.
    pub envelope: Envelope,
    /// This chunk's number, from 1; 0 on a report, which has no body.
    pub number: u32,
    /// Of how many; equals `envelope.chunks`.
    pub total: u32,
    /// Length of the encoded body.
    pub content_length: Option<u64>,
    /// How the body is encoded in transit.
    pub encoding: Encoding,
    /// The encoded body. Ends with an error if the connection does.
    pub body: BoxStream<'static, Result<Bytes, Fault>>,
}

/// `Content-Encoding` of one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// gzip, one or more members.
    Gzip,
}
