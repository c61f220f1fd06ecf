//! A MESH that behaves, a store that remembers, a spool in memory: enough to watch a poller at work.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, ready};

use crate::domain::digest::ContentDigest;
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, Name, WorkflowId};
use crate::domain::output::OutputState;
use crate::domain::settlement::Settlement;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::disk::{Disk, DiskFile, Entry, Mount, Space};
use crate::ports::inbox::{Answer, Chunk, Encoding, Inbox, Listing, Page};
use crate::ports::spool::{Intake, Opened, Sealed, Spool, SpoolError};
use crate::ports::store::{
    Acceptance, Accepted, Amount, Halt, Incoming, IncomingBody, Known, Lease, LeaseWish, Note, Occupancy, Refusal,
    Reply, SetAside, SetAsidePage, Store,
};

pub(super) fn mailbox() -> MailboxId {
    MailboxId::new("X26ABC1").expect("a mailbox id")
}

pub(super) fn id(text: &str) -> MessageId {
    MessageId::new(text).expect("a message id")
}

/// One message waiting at the fake MESH.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) kind: MessageKind,
    pub(super) chunks: Vec<Bytes>,
    pub(super) encoding: Encoding,
}

impl Waiting {
    pub(super) fn plain(bytes: &[u8]) -> Self {
        Self { kind: MessageKind::Data, chunks: vec![Bytes::copy_from_slice(bytes)], encoding: Encoding::Plain }
    }
}

/// The moment all these tests happen at.
pub(super) const NOW: Timestamp = Timestamp(1_767_605_412_123);

/// What happened, in order, at MESH and at the store.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

#[derive(Default)]
pub(super) struct FakeMesh {
    pub(super) inbox: Mutex<BTreeMap<MessageId, Waiting>>,
    pub(super) handshake_faults: Mutex<VecDeque<Fault>>,
    pub(super) list_faults: Mutex<VecDeque<Fault>>,
    pub(super) head_faults: Mutex<VecDeque<Fault>>,
    /// Met by the first fetch of such a message.
    pub(super) fetch_faults: Mutex<BTreeMap<MessageId, Fault>>,
    pub(super) wrong_place: Mutex<Option<(u32, u32)>>,
    pub(super) page_size: usize,
    pub(super) log: Log,
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
        let gone = || Fault::new(FaultCode::MsgGone, Class::Transient, Origin::Message, "404");
        self.inbox.lock().expect("unpoisoned").get(id).cloned().ok_or_else(gone)
    }

    fn say(&self, what: String) {
        self.log.lock().expect("unpoisoned").push(what);
    }
}

impl Inbox for FakeMesh {
    fn mailbox(&self) -> &MailboxId {
        static ID: std::sync::OnceLock<MailboxId> = std::sync::OnceLock::new();
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
        let ids: Vec<_> = left.by_ref().take(self.page_size).collect();
        let next = left.next().and(ids.last()).map(ToString::to_string);
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
        self.inbox.lock().expect("unpoisoned").remove(accepted.message_id());
        Box::pin(ready(Ok(())))
    }
}

#[derive(Default)]
pub(super) struct FakeStore {
    pub(super) full: Mutex<bool>,
    pub(super) known: Mutex<BTreeMap<MessageId, Known>>,
    pub(super) kept: Mutex<Vec<Incoming>>,
    pub(super) occupancy: Mutex<Occupancy>,
    pub(super) log: Log,
}

impl FakeStore {
    pub(super) fn proof(&self, id: &MessageId) -> Accepted {
        Accepted::attest(mailbox(), id.clone(), DeliveryId(1))
    }

    fn with_mailbox(&self, change: impl FnOnce(&mut crate::ports::store::MailboxOccupancy)) {
        change(self.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default());
    }
}

/// Parts of the store that a poller has no business with.
fn not_for_pollers<T: Send + 'static>() -> Reply<T> {
    Box::pin(ready(Err(Halt("a poller must not call this".into()))))
}

impl Store for FakeStore {
    fn accept(&self, incoming: Incoming) -> Reply<Acceptance> {
        let id = incoming.envelope.message_id.clone();
        let bytes = match &incoming.body {
            IncomingBody::Small(bytes) => bytes.len() as u64,
            IncomingBody::Large(sealed) => sealed.length,
        };
        self.log.lock().expect("unpoisoned").push(format!("accept {id}"));
        self.with_mailbox(|of| {
            of.queued.messages += 1;
            of.queued.bytes += bytes;
        });
        self.kept.lock().expect("unpoisoned").push(incoming);
        let proof = self.proof(&id);
        let full = *self.full.lock().expect("unpoisoned");
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(if full { Acceptance::NotKept("no room".into()) } else { Acceptance::New(proof) })
        })
    }

    fn known(&self, _: &MailboxId, ids: Vec<MessageId>) -> Reply<Vec<Known>> {
        let known = self.known.lock().expect("unpoisoned");
        let answers = ids.iter().map(|id| known.get(id).cloned().unwrap_or(Known::New)).collect();
        Box::pin(ready(Ok(answers)))
    }

    fn acknowledged(&self, accepted: &Accepted) -> Reply<()> {
        self.log.lock().expect("unpoisoned").push(format!("acknowledged {}", accepted.message_id()));
        Box::pin(ready(Ok(())))
    }

    fn refuse(&self, refusal: Refusal) -> Reply<()> {
        let Refusal { message_id, reason, until, .. } = refusal;
        self.log.lock().expect("unpoisoned").push(format!("refuse {message_id} {}", reason.code));
        let mut known = self.known.lock().expect("unpoisoned");
        let times = match known.get(&message_id) {
            Some(Known::Refused { times, .. }) => times + 1,
            Some(Known::New | Known::Kept(_) | Known::Presented) | None => 1,
        };
        known.insert(message_id, Known::Refused { until, times, first: Timestamp(0) });
        Box::pin(ready(Ok(())))
    }

    fn note(&self, note: Note) -> Reply<()> {
        match note {
            Note::Handshake { .. } => self.with_mailbox(|of| of.handshake_at = Some(NOW)),
            Note::Listed { .. } => self.with_mailbox(|of| of.listed_at = Some(NOW)),
            Note::Started { .. } | Note::Stopped | Note::ClockStep { .. } | Note::Configured { .. } => {}
        }
        Box::pin(ready(Ok(())))
    }

    fn lease(&self, _: LeaseWish) -> Reply<Vec<Lease>> {
        not_for_pollers()
    }

    fn staged(&self, _: DeliveryId, _: Vec<OutputState>) -> Reply<()> {
        not_for_pollers()
    }

    fn settle(&self, _: Lease, _: Settlement) -> Reply<()> {
        not_for_pollers()
    }

    fn set_aside(&self, _: SetAsidePage) -> Reply<Vec<SetAside>> {
        not_for_pollers()
    }

    fn occupancy(&self) -> Arc<Occupancy> {
        Arc::new(self.occupancy.lock().expect("unpoisoned").clone())
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<Arc<Occupancy>> {
        tokio::sync::watch::channel(self.occupancy()).1
    }

    fn barrier(&self) -> Reply<()> {
        Box::pin(ready(Ok(())))
    }

    fn halted(&self) -> BoxFuture<'static, Halt> {
        Box::pin(std::future::pending())
    }
}

/// A spool that keeps chunks in memory, across fetches.
#[derive(Default, Clone)]
pub(super) struct FakeSpool {
    pub(super) chunks: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Messages it cannot take up.
    pub(super) refuses: Arc<Mutex<BTreeSet<MessageId>>>,
}

impl Spool for FakeSpool {
    fn intake(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        if self.refuses.lock().expect("unpoisoned").contains(&envelope.message_id) {
            return Err(SpoolError::Unreadable("damaged".into()));
        }
        Ok(Box::new(FakeIntake { spool: self.clone(), open: Vec::new() }))
    }

    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.chunks.lock().expect("unpoisoned").clear();
        self.intake(envelope)
    }

    fn forget(&self, _: &MailboxId, _: &MessageId) -> Result<(), SpoolError> {
        self.chunks.lock().expect("unpoisoned").clear();
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
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), SpoolError> {
        self.spool.chunks.lock().expect("unpoisoned").push(std::mem::take(&mut self.open));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Sealed, SpoolError> {
        let length = self.spool.chunks.lock().expect("unpoisoned").iter().map(|chunk| chunk.len() as u64).sum();
        Ok(Sealed { length, parts: self.kept(), digest: ContentDigest("0".into()) })
    }
}

/// A clock that stands still, dice that show 0, a disk with room (or without).
pub(super) struct Stage {
    pub(super) free_bytes: u64,
}

impl Clock for Stage {
    fn wall(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Chance for Stage {
    fn dice(&self) -> u64 {
        0
    }

    fn uuid(&self) -> String {
        "11111111-1111-4111-8111-111111111111".into()
    }
}

fn no_disk<T>() -> io::Result<T> {
    Err(io::Error::other("a poller must not touch the disk"))
}

impl Disk for Stage {
    fn create_folder(&self, _: Step, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn create(&self, _: Step, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        no_disk()
    }
    fn open(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        no_disk()
    }
    fn read(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        no_disk()
    }
    fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        no_disk()
    }
    fn entry(&self, _: &Path) -> io::Result<Option<Entry>> {
        no_disk()
    }
    fn rename(&self, _: Step, _: &Path, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn rename_no_replace(&self, _: Step, _: &Path, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn remove(&self, _: Step, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn sync_folder(&self, _: Step, _: &Path) -> io::Result<()> {
        no_disk()
    }
    fn sync_all(&self, _: &[(Step, &dyn DiskFile)]) -> io::Result<()> {
        no_disk()
    }
    fn set_access(&self, _: &Path, _: u32, _: Option<&str>) -> io::Result<()> {
        no_disk()
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space { bytes: 1_000_000, free_bytes: self.free_bytes, inodes: 0, free_inodes: 0 })
    }
    fn mount(&self, _: &Path) -> io::Result<Mount> {
        no_disk()
    }
    fn pass(&self, _: Step) {}
}

/// A busy MESH.
pub(super) fn busy() -> Fault {
    let mesh = Name::new("mesh").expect("a name");
    Fault::dependency(FaultCode::MeshUnavailable, mesh, "503")
}

/// Amounts, short.
pub(super) fn amount(messages: u64, bytes: u64) -> Amount {
    Amount { messages, bytes }
}
