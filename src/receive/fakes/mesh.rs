//! A MESH that behaves, but for the faults it is given.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, OnceLock};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::ready;

use super::{Log, id, mailbox};
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::{MailboxId, MessageId, WorkflowId};
use crate::ports::inbox::{Answer, Chunk, Encoding, Inbox, Listing, Page};
use crate::ports::store::Accepted;

/// One message waiting at the fake MESH.
#[derive(Clone)]
pub(in crate::receive) struct Waiting {
    pub(in crate::receive) kind: MessageKind,
    pub(in crate::receive) chunks: Vec<Bytes>,
    pub(in crate::receive) encoding: Encoding,
}

impl Waiting {
    pub(in crate::receive) fn plain(bytes: &[u8]) -> Self {
        Self { kind: MessageKind::Data, chunks: vec![Bytes::copy_from_slice(bytes)], encoding: Encoding::Plain }
    }
}

#[derive(Default)]
pub(in crate::receive) struct FakeMesh {
    pub(in crate::receive) inbox: Mutex<BTreeMap<MessageId, Waiting>>,
    pub(in crate::receive) handshake_faults: Mutex<VecDeque<Fault>>,
    pub(in crate::receive) list_faults: Mutex<VecDeque<Fault>>,
    pub(in crate::receive) head_faults: Mutex<VecDeque<Fault>>,
    /// Met by the first fetch of such a message.
    pub(in crate::receive) fetch_faults: Mutex<BTreeMap<MessageId, Fault>>,
    /// Met by the first fetch of such a chunk.
    pub(in crate::receive) chunk_faults: Mutex<BTreeMap<(MessageId, u32), Fault>>,
    /// Met by every call about such a message.
    pub(in crate::receive) stuck: Mutex<BTreeMap<MessageId, Fault>>,
    pub(in crate::receive) acknowledged: Mutex<BTreeSet<MessageId>>,
    /// Lists name these whether they wait or not.
    pub(in crate::receive) also_listed: Mutex<Vec<MessageId>>,
    pub(in crate::receive) wrong_place: Mutex<Option<(u32, u32)>>,
    pub(in crate::receive) page_size: usize,
    pub(in crate::receive) log: Log,
}

impl FakeMesh {
    fn envelope(&self, message_id: &MessageId, waiting: &Waiting) -> Envelope {
        Envelope {
            mailbox: mailbox(),
            message_id: message_id.clone(),
            kind: waiting.kind,
            workflow: WorkflowId::new("TEST").expect("a workflow id"),
            from: None,
            to: None,
            subject: None,
            local_id: None,
            file_name: None,
            partner_id: None,
            checksum: None,
            content_type: None,
            content_encrypted: false,
            content_compressed: None,
            status: Status::default(),
            linked_message_id: None,
            chunks: u32::try_from(waiting.chunks.len()).expect("few chunks"),
        }
    }

    fn find(&self, id: &MessageId) -> Result<Waiting, Fault> {
        self.stuck(id)?;
        let is_acknowledged = self.acknowledged.lock().expect("unpoisoned").contains(id);
        let (class, status) = if is_acknowledged { (Class::Permanent, "410") } else { (Class::Transient, "404") };
        let gone = || Fault::new(FaultCode::MsgGone, class, Origin::Message, status);
        self.inbox.lock().expect("unpoisoned").get(id).cloned().ok_or_else(gone)
    }

    fn stuck(&self, id: &MessageId) -> Result<(), Fault> {
        self.stuck.lock().expect("unpoisoned").get(id).cloned().map_or(Ok(()), Err)
    }

    fn say(&self, what: String) {
        self.log.lock().expect("unpoisoned").push(what);
    }
}

impl Inbox for FakeMesh {
    fn mailbox(&self) -> &MailboxId {
        static ID: OnceLock<MailboxId> = OnceLock::new();
        ID.get_or_init(mailbox)
    }

    fn handshake(&self) -> Answer<'_, ()> {
        self.say("handshake".into());
        let fault = self.handshake_faults.lock().expect("unpoisoned").pop_front();
        Box::pin(ready(fault.map_or(Ok(()), Err)))
    }

    fn list(&self, page: Page) -> Answer<'_, Listing> {
        if let Some(fault) = self.list_faults.lock().expect("unpoisoned").pop_front() {
            return Box::pin(ready(Err(fault)));
        }
        let after = match page {
            Page::First { .. } => None,
            Page::Next(after) => Some(id(&after)),
        };
        let inbox = self.inbox.lock().expect("unpoisoned");
        let mut left = inbox.keys().filter(|id| after.as_ref().is_none_or(|after| *id > after)).cloned();
        let mut ids: Vec<_> = left.by_ref().take(self.page_size).collect();
        let next = left.next().and(ids.last()).map(ToString::to_string);
        ids.extend(self.also_listed.lock().expect("unpoisoned").iter().cloned());
        self.say(format!("list {}", ids.len()));
        Box::pin(ready(Ok(Listing { ids, unusable: 0, next, approximate_count: None })))
    }

    fn head<'a>(&'a self, id: &'a MessageId) -> Answer<'a, Envelope> {
        self.say(format!("head {id}"));
        if let Some(fault) = self.head_faults.lock().expect("unpoisoned").pop_front() {
            return Box::pin(ready(Err(fault)));
        }
        Box::pin(ready(self.find(id).map(|waiting| self.envelope(id, &waiting))))
    }

    fn fetch<'a>(&'a self, id: &'a MessageId, chunk: u32) -> Answer<'a, Chunk> {
        self.say(format!("fetch {id} {chunk}"));
        if let Some(fault) = self.fetch_faults.lock().expect("unpoisoned").remove(id) {
            return Box::pin(ready(Err(fault)));
        }
        if let Some(fault) = self.chunk_faults.lock().expect("unpoisoned").remove(&(id.clone(), chunk)) {
            return Box::pin(ready(Err(fault)));
        }
        let answer = self.find(id).map(|waiting| {
            let envelope = self.envelope(id, &waiting);
            let body = waiting.chunks.get(chunk as usize - 1).cloned().unwrap_or_default();
            let pieces: Vec<_> = body.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let here = if waiting.chunks.is_empty() { (0, 0) } else { (chunk, envelope.chunks) };
            let (number, total) = self.wrong_place.lock().expect("unpoisoned").unwrap_or(here);
            let content_length = Some(body.len() as u64);
            let body = futures_util::stream::iter(pieces).boxed();
            Chunk { envelope, number, total, content_length, encoding: waiting.encoding, body }
        });
        Box::pin(ready(answer))
    }

    fn acknowledge<'a>(&'a self, accepted: &'a Accepted) -> Answer<'a, ()> {
        self.say(format!("acknowledge {}", accepted.message_id()));
        if let Err(fault) = self.stuck(accepted.message_id()) {
            return Box::pin(ready(Err(fault)));
        }
        self.inbox.lock().expect("unpoisoned").remove(accepted.message_id());
        self.acknowledged.lock().expect("unpoisoned").insert(accepted.message_id().clone());
        Box::pin(ready(Ok(())))
    }
}
