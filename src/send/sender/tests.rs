//! One message at a time, before a MESH that answers as it is told.

use std::collections::VecDeque;
use std::io::{self, Read};

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, ready};

use super::*;
use crate::domain::digest::ContentDigest;
use crate::domain::envelope::{MessageKind, Status};
use crate::domain::fault::Origin;
use crate::domain::ids::{MailboxId, Name, Sensitive, WorkflowId};
use crate::domain::time::Timestamp;
use crate::ports::inbox::Answer;
use crate::ports::outbox::Piece;
use crate::ports::spool::{Intake, Payload, PayloadSource};
use crate::ports::store::{
    Delivery, DroppedLeases, FoundAtMesh, Location, NextSend, NotAllowed, NotQueued, Reply, SendOrder, SendPage, Sent,
};

type Log = Arc<Mutex<Vec<String>>>;

fn say(log: &Log, what: impl Into<String>) {
    log.lock().expect("unpoisoned").push(what.into());
}

/// MESH's id, or how the send fails.
type SendAnswer = Result<&'static str, fn(Fault) -> Unsent>;

/// Answers to requests, in their order.
#[derive(Default)]
struct Far {
    log: Log,
    sends: Mutex<VecDeque<SendAnswer>>,
    chunks: Mutex<VecDeque<Result<Taken, Fault>>>,
    tracked: Mutex<VecDeque<Result<Option<TrackedState>, Fault>>>,
    found: Mutex<VecDeque<Result<Found, Fault>>>,
}

fn away() -> Fault {
    Fault::dependency(FaultCode::MeshUnreachable, Name::new("mesh").expect("a name"), "no connection")
}

fn refused() -> Fault {
    Fault::new(FaultCode::SendRefused, Class::Permanent, Origin::Message, "send got 417: 12, SEND")
}

fn message(id: &str) -> MessageId {
    MessageId::new(id).expect("a message id")
}

fn mailbox() -> &'static MailboxId {
    static MAILBOX: std::sync::LazyLock<MailboxId> =
        std::sync::LazyLock::new(|| MailboxId::new("X26ABC1").expect("a mailbox id"));
    &MAILBOX
}

async fn taken(piece: Piece) -> String {
    let Piece { number, total, mut body, .. } = piece;
    let mut bytes = Vec::new();
    while let Some(slice) = body.next().await {
        bytes.extend_from_slice(&slice.expect("it reads"));
    }
    format!("{number}:{total} {}", String::from_utf8_lossy(&bytes))
}

impl Outbox for Far {
    fn mailbox(&self) -> &MailboxId {
        mailbox()
    }
    fn send<'a>(&'a self, _: &'a Envelope, piece: Piece) -> BoxFuture<'a, Result<MessageId, Unsent>> {
        Box::pin(async move {
            say(&self.log, format!("POST {}", taken(piece).await));
            let answer = self.sends.lock().expect("unpoisoned").pop_front().expect("a send is expected");
            answer
                .map(message)
                .map_err(|unsent| unsent(if unsent(away()) == Unsent::Refused(away()) { refused() } else { away() }))
        })
    }
    fn send_chunk<'a>(&'a self, message: &'a MessageId, piece: Piece) -> Answer<'a, Taken> {
        Box::pin(async move {
            say(&self.log, format!("POST {message} {}", taken(piece).await));
            self.chunks.lock().expect("unpoisoned").pop_front().expect("a chunk is expected")
        })
    }
    fn track<'a>(&'a self, message: &'a MessageId) -> Answer<'a, Option<Tracked>> {
        say(&self.log, format!("track {message}"));
        let answer = self.tracked.lock().expect("unpoisoned").pop_front().expect("tracking is expected");
        let tracked = |state| Tracked { message: message.clone(), state, code: None };
        Box::pin(ready(answer.map(|state| state.map(tracked))))
    }
    fn find<'a>(&'a self, local_id: &'a str) -> Answer<'a, Found> {
        say(&self.log, format!("find {local_id}"));
        Box::pin(ready(self.found.lock().expect("unpoisoned").pop_front().expect("a look-up is expected")))
    }
}

struct Ledger(Log);

fn not_here<T: Send + 'static>() -> Reply<T> {
    Box::pin(ready(Err(Halt("a sender must not ask for this".into()))))
}

impl Sends for Ledger {
    fn queue_send(&self, _: SendOrder) -> Reply<Result<DeliveryId, NotQueued>> {
        not_here()
    }
    fn lease_send(&self, _: &MailboxId) -> Reply<NextSend> {
        not_here()
    }
    fn sending(&self, _: DeliveryId, progress: Sending) -> Reply<()> {
        let sent = if let Sending::Uploading { sent, .. } = progress { format!(" {sent}") } else { String::new() };
        say(&self.0, format!("noted {}{sent}", progress.as_str()));
        Box::pin(ready(Ok(())))
    }
    fn resolve_send(&self, _: FoundAtMesh) -> Reply<Result<(), NotAllowed>> {
        not_here()
    }
    fn put_away(&self, _: DeliveryId) -> Reply<()> {
        not_here()
    }
    fn picked_up_as(&self, _: &MailboxId, _: Vec<ContentDigest>) -> Reply<Option<Sent>> {
        not_here()
    }
    fn sends(&self, _: SendPage) -> Reply<Vec<Sent>> {
        not_here()
    }
}

struct Held(&'static [u8]);

impl PayloadSource for Held {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.0))
    }
}

/// A spool with one message, whose local id is ours or not.
struct OneMessage {
    is_ours: bool,
}

impl Spool for OneMessage {
    fn intake(&self, _: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        Err(SpoolError::Unreadable("nothing comes in".into()))
    }
    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.intake(envelope)
    }
    fn forget(&self, _: &MailboxId, _: &MessageId) -> Result<(), SpoolError> {
        Ok(())
    }
    fn open(&self, lease: &Lease) -> Result<Opened, SpoolError> {
        let payload = Payload::new(lease.delivery.length, Arc::new(Held(b"abcdefg")));
        let local_id = Some(Sensitive::new(if self.is_ours { "OURS" } else { "RXX-17" }));
        Ok(Opened { envelope: envelope(local_id), payload })
    }
}

fn envelope(local_id: Option<Sensitive>) -> Envelope {
    Envelope {
        mailbox: mailbox().clone(),
        message_id: message("OURS"),
        kind: MessageKind::Data,
        workflow: WorkflowId::new("TOC").expect("a workflow id"),
        from: None,
        to: Some(Sensitive::new("X26ABC2")),
        subject: None,
        local_id,
        file_name: None,
        partner_id: None,
        checksum: None,
        content_type: None,
        content_encrypted: false,
        content_compressed: None,
        status: Status::default(),
        linked_message_id: None,
        chunks: 1,
    }
}

struct House {
    far: Arc<Far>,
    sender: Sender,
}

struct NoDice;

impl Chance for NoDice {
    fn dice(&self) -> u64 {
        0
    }
    fn uuid(&self) -> String {
        String::new()
    }
}

impl House {
    fn new(is_ours: bool) -> Self {
        let far = Arc::new(Far::default());
        let ledger = Arc::new(Ledger(Arc::clone(&far.log)));
        let spool = Arc::new(OneMessage { is_ours });
        let outbox = Arc::clone(&far) as Arc<dyn Outbox>;
        let sender = Sender::new(outbox, ledger, spool, Arc::new(NoDice), SenderSettings::default());
        Self { far, sender }
    }

    /// Sends seven bytes in chunks of so many, from where they are.
    async fn send(&self, chunk: u64, progress: Sending) -> Settlement {
        self.send_as(chunk, progress, None).await
    }

    async fn send_as(&self, chunk: u64, progress: Sending, continues: Option<DeliveryId>) -> Settlement {
        let outgoing = Outgoing { to: None, chunk, compress: false, progress, pair: None, onward: None };
        let delivery = Delivery {
            id: DeliveryId(7),
            mailbox: mailbox().clone(),
            message_id: message("OURS"),
            workflow: WorkflowId::new("TOC").expect("a workflow id"),
            from: None,
            kind: MessageKind::Data,
            length: 7,
            digest: ContentDigest(String::new()),
            location: Location::Parts { parts: 1, life: 0 },
            accepted_at: Timestamp(0),
            attempts: 0,
            starts: 1,
            solo_deaths: 0,
            continues,
            outputs: Vec::new(),
            meant_for: None,
            outgoing: Some(outgoing),
        };
        let lease = Lease::attest(delivery, Duration::ZERO, DroppedLeases::default());
        let (lease, settlement) = self.sender.send(lease, &CancellationToken::new()).await.expect("no halt");
        lease.redeem();
        settlement
    }

    fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.far.log.lock().expect("unpoisoned"))
    }
}

fn code(settlement: &Settlement) -> (&'static str, Option<FaultCode>) {
    match settlement {
        Settlement::Delivered(_) => ("delivered", None),
        Settlement::Defer { reason, .. } => ("deferred", Some(reason.code)),
        Settlement::Held { reason, .. } => ("held", Some(reason.code)),
        Settlement::Dead { reason, .. } => ("dead", Some(reason.code)),
        Settlement::Release | Settlement::Discarded(_) | Settlement::Retry { .. } => ("another end", None),
    }
}

fn at_mesh(sent: u32) -> Sending {
    Sending::Uploading { message: message("AT-MESH"), sent }
}

#[tokio::test]
async fn the_intent_is_noted_before_the_request_and_each_answer_after_it() {
    let house = House::new(true);
    house.far.sends.lock().expect("unpoisoned").push_back(Ok("AT-MESH"));
    house.far.chunks.lock().expect("unpoisoned").extend([Ok(Taken::Stored), Ok(Taken::Stored)]);
    assert_eq!(code(&house.send(3, Sending::Ready).await), ("delivered", None));
    let expected = [
        "noted begun",
        "POST 1:3 abc",
        "noted uploading 1",
        "POST AT-MESH 2:3 def",
        "noted uploading 2",
        "POST AT-MESH 3:3 g",
        "noted accepted",
    ];
    assert_eq!(house.log(), expected);
}

#[tokio::test]
async fn what_the_first_request_came_to_decides_whether_it_may_be_made_again() {
    type Case = (fn(Fault) -> Unsent, (&'static str, Option<FaultCode>), &'static [&'static str]);
    let cases: [Case; 4] = [
        (Unsent::NotTaken, ("deferred", Some(FaultCode::MeshUnreachable)), &["noted queued"]),
        (Unsent::Refused, ("dead", Some(FaultCode::SendRefused)), &["noted queued"]),
        (Unsent::Unknown, ("deferred", Some(FaultCode::SendUnknown)), &[]),
        (|_| Unsent::Unreadable("short".into()), ("held", Some(FaultCode::SpoolUnreadable)), &["noted queued"]),
    ];
    for (unsent, end, then) in cases {
        let house = House::new(true);
        house.far.sends.lock().expect("unpoisoned").push_back(Err(unsent));
        assert_eq!(code(&house.send(100, Sending::Ready).await), end);
        let log = house.log();
        assert_eq!(log[..2], ["noted begun", "POST 1:1 abcdefg"]);
        assert_eq!(log[2..], *then, "{end:?}");
    }
}

#[tokio::test]
async fn what_got_no_answer_is_asked_for_and_never_sent_blindly() {
    let one = |state| Found::One(Tracked { message: message("AT-MESH"), state, code: None });
    let unknown = ("held", Some(FaultCode::SendUnknown));
    let done = ("delivered", None);
    let cases = [
        (Ok(one(TrackedState::Accepted)), 100, done, vec!["noted accepted"]),
        (Ok(one(TrackedState::Acknowledged)), 100, done, vec!["noted accepted"]),
        (
            Ok(one(TrackedState::Uploading)),
            4,
            done,
            vec!["noted uploading 1", "POST AT-MESH 2:2 efg", "noted accepted"],
        ),
        (Ok(Found::None), 100, done, vec!["noted queued", "noted begun", "POST 1:1 abcdefg", "noted accepted"]),
        (Ok(Found::Several), 100, unknown, vec![]),
        (Err(away()), 100, ("deferred", Some(FaultCode::MeshUnreachable)), vec![]),
    ];
    for (found, chunk, end, then) in cases {
        let house = House::new(true);
        house.far.found.lock().expect("unpoisoned").push_back(found);
        house.far.sends.lock().expect("unpoisoned").push_back(Ok("AT-MESH"));
        house.far.chunks.lock().expect("unpoisoned").push_back(Ok(Taken::Stored));
        let first = house.send(chunk, Sending::Begun).await;
        assert!(matches!(first, Settlement::Defer { after, .. } if after == SenderSettings::default().ask_after));
        assert_eq!(house.log(), Vec::<String>::new(), "it may still be on its way in");
        assert_eq!(code(&house.send(chunk, Sending::Begun).await), end);
        let log = house.log();
        assert_eq!(log[0], "find OURS");
        assert_eq!(log[1..], then, "{end:?}");
    }
    let others = House::new(false);
    assert_eq!(code(&others.send(100, Sending::Begun).await), unknown, "others may have its local id");
    assert_eq!(others.log(), Vec::<String>::new());
    let again = House::new(true);
    let second = again.send_as(100, Sending::Begun, Some(DeliveryId(3))).await;
    assert_eq!((code(&second), again.log()), (unknown, Vec::new()), "what would be found is the first");
}

#[tokio::test]
async fn an_upload_goes_on_behind_the_last_chunk_that_mesh_has() {
    let house = House::new(true);
    house.far.chunks.lock().expect("unpoisoned").extend([Err(away()), Ok(Taken::Stored)]);
    assert_eq!(code(&house.send(3, at_mesh(2)).await), ("deferred", Some(FaultCode::MeshUnreachable)));
    assert_eq!(code(&house.send(3, at_mesh(2)).await), ("delivered", None));
    assert_eq!(house.log(), ["POST AT-MESH 3:3 g", "POST AT-MESH 3:3 g", "noted accepted"]);
    assert_eq!(code(&house.send(3, Sending::Accepted { message: message("AT-MESH") }).await), ("delivered", None));
    assert_eq!(house.log(), Vec::<String>::new(), "nothing is left to do");
    house.far.chunks.lock().expect("unpoisoned").push_back(Err(refused()));
    assert_eq!(code(&house.send(3, at_mesh(2)).await), ("dead", Some(FaultCode::SendRefused)));
    assert_eq!(house.log(), ["POST AT-MESH 3:3 g", "noted queued"]);
}

#[tokio::test]
async fn a_last_chunk_that_is_locked_out_was_taken_if_the_message_is_whole() {
    let unknown = ("held", Some(FaultCode::SendUnknown));
    let cases = [
        (Ok(Some(TrackedState::Accepted)), ("delivered", None)),
        (Ok(Some(TrackedState::Acknowledged)), ("delivered", None)),
        (Ok(Some(TrackedState::Uploading)), unknown),
        (Ok(None), unknown),
        (Err(away()), ("deferred", Some(FaultCode::MeshUnreachable))),
    ];
    for (tracked, end) in cases {
        let house = House::new(true);
        house.far.chunks.lock().expect("unpoisoned").push_back(Ok(Taken::WasWhole));
        house.far.tracked.lock().expect("unpoisoned").push_back(tracked);
        assert_eq!(code(&house.send(3, at_mesh(2)).await), end);
        assert_eq!(house.log()[..2], ["POST AT-MESH 3:3 g", "track AT-MESH"]);
    }
}
