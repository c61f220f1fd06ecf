//! The store through its commands, on a simulated disk and an index in memory.

mod acts;
mod bring_in;
mod compact;
mod concerns;
mod dedupe;
mod desk;
mod epoch;
mod expunge;
mod jobs;
mod legal_holds;
mod monitors;
mod onward;
mod order;
mod queue;
mod recover;
mod rekey;
mod reseal;
mod retain;
mod run;
mod sends;
mod staged;
mod tally;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::command::{Answer, Command};
use super::committer::Committer;
use super::disk::Simulated;
use super::index::memory::Memory;
use super::spool::{Spool, SpoolSettings};
use super::*;
use crate::domain::course::Arrival;
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::fault::FaultCode;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, WorkflowId};
use crate::domain::settlement::{DeathCause, Reason, Settlement};
use crate::domain::time::Timestamp;
use crate::ports::store::{
    Acceptance, Halt, Incoming, IncomingBody, Known, Lease, LeaseWish, MailboxOccupancy, Refusal, Selection, SetAside,
    SetAsidePage,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Clocks moved by hand.
struct HandClock(Mutex<(i64, Duration)>);

impl HandClock {
    fn pass(&self, wait: Duration) {
        let mut clocks = self.0.lock().unwrap();
        clocks.0 += wait.as_millis() as i64;
        clocks.1 += wait;
    }

    fn step(&self, milliseconds: i64) {
        self.0.lock().unwrap().0 += milliseconds;
    }
}

impl Clock for HandClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.0.lock().unwrap().0)
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

/// A machine with a store on it.
struct Machine {
    disk: Simulated,
    index: Memory,
    clock: Arc<HandClock>,
    segment_bytes: u64,
    strict: BTreeSet<MailboxId>,
    boot: &'static str,
    key: &'static [u8],
    /// Keys of before.
    former: Vec<&'static [u8]>,
    identity: age::x25519::Identity,
    state: &'static str,
}

impl Machine {
    fn new() -> Self {
        Self {
            disk: Simulated::new(1),
            index: Memory::default(),
            clock: Arc::new(HandClock(Mutex::new((1_767_605_412_000, HOUR)))),
            segment_bytes: 1 << 20,
            strict: BTreeSet::new(),
            boot: "boot-1",
            key: b"a key of thirty-two bytes, no less",
            former: Vec::new(),
            identity: age::x25519::Identity::generate(),
            state: "/state",
        }
    }

    fn parts(&self) -> StoreParts {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let former = self.former.iter().map(|former| DigestKey::new(former)).collect();
        let key = DigestKey::new(self.key).after(former);
        let identity = &self.identity;
        let spool = SpoolSettings {
            directory: PathBuf::from(self.state).join("spool"),
            recipients: ["X26ABC1", "X26ABC2"]
                .map(|id| (MailboxId::new(id).unwrap(), vec![identity.to_public().to_string()]))
                .into(),
            identities: vec![identity.to_string()],
            volume_bytes: 1 << 20,
            volume_age: MINUTE,
        };
        StoreParts {
            spool: Spool::open(disk.clone(), self.clock.clone(), key.clone(), spool).unwrap(),
            disk,
            clock: self.clock.clone(),
            key,
            index: Box::new(self.index.clone()),
            settings: StoreSettings {
                directory: self.state.into(),
                segment_bytes: self.segment_bytes,
                strict: self.strict.clone(),
                checkpoint_rows: 10,
                retention: Retention::default(),
                head_interval: MINUTE,
                floor: Floor { bytes_percent: 10, inodes_percent: 5 },
                boot: self.boot.to_owned(),
            },
        }
    }

    fn open(&self) -> Committer {
        Committer::open(self.parts()).unwrap()
    }

    fn refuses_to_open(&self) -> Halt {
        Committer::open(self.parts()).err().expect("it opened")
    }
}

impl Committer {
    fn one(&mut self, command: Command) -> Answer {
        self.commit(vec![command]).unwrap().remove(0)
    }

    fn accept(&mut self, id: &str, bytes: &'static str) -> Acceptance {
        let Answer::Accepted(acceptance) = self.one(accepting(id, bytes)) else { panic!("not accepted") };
        acceptance
    }

    /// A new message's delivery.
    fn new_delivery(&mut self, id: &str, bytes: &'static str) -> DeliveryId {
        let acceptance = self.accept(id, bytes);
        assert!(matches!(acceptance, Acceptance::New(_)), "{acceptance:?}");
        acceptance.proof().expect("it is kept").delivery()
    }

    fn acknowledge(&mut self, id: DeliveryId) {
        self.one(Command::Acknowledged(id));
    }

    fn lease(&mut self, count: usize, suspects: bool) -> Vec<Lease> {
        let wish = LeaseWish { mailbox: mailbox(), count, bytes: u64::MAX, suspects };
        let Answer::Leases(leases) = self.one(Command::Lease(wish)) else { panic!("no leases") };
        leases
    }

    fn settle(&mut self, lease: Lease, settlement: Settlement) {
        let answer = self.one(Command::Settle(Box::new(lease), Box::new(settlement)));
        assert!(matches!(answer, Answer::Done), "{answer:?}");
    }

    /// Works on everything due.
    fn settle_all(&mut self, settlement: &Settlement) {
        for lease in self.lease(100, false) {
            self.settle(lease, settlement.clone());
        }
    }

    fn known(&mut self, id: &str) -> Known {
        let Answer::Known(mut known) = self.one(Command::Known(mailbox(), vec![message(id)])) else { panic!() };
        known.remove(0)
    }

    fn set_aside_now(&mut self) -> Vec<SetAside> {
        let page = SetAsidePage { before: None, only: None, selection: Selection::default(), count: 10 };
        let Answer::SetAside(found) = self.one(Command::SetAside(page)) else { panic!() };
        found.page
    }

    fn counters(&mut self) -> MailboxOccupancy {
        self.watch().borrow().mailboxes.get(&mailbox()).cloned().unwrap_or_default()
    }
}

fn mailbox() -> MailboxId {
    MailboxId::new("X26ABC1").unwrap()
}

fn message(id: &str) -> MessageId {
    MessageId::new(id).unwrap()
}

fn accepting(id: &str, bytes: &'static str) -> Command {
    let body = IncomingBody::Small(Bytes::from_static(bytes.as_bytes()));
    Command::Accept(Box::new(Incoming { envelope: envelope(id), body, verdict: None, arrival: Arrival::default() }))
}

fn delivered() -> Settlement {
    Settlement::Delivered(Vec::new())
}

fn dead() -> Settlement {
    Settlement::Dead { cause: DeathCause::Permanent, reason: because() }
}

fn because() -> Reason {
    Reason::new(FaultCode::MsgBadEncoding, "in a test")
}

fn envelope(id: &str) -> Envelope {
    Envelope {
        mailbox: mailbox(),
        message_id: message(id),
        kind: MessageKind::Data,
        workflow: WorkflowId::new("TOC_FHIR_IP_DISCH").unwrap(),
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
        chunks: 1,
    }
}

fn volumes(machine: &Machine) -> usize {
    machine.disk.list("/state/spool/volumes".as_ref()).unwrap().len()
}

fn machine_used(machine: &Machine) -> u64 {
    let space = machine.disk.space("/state".as_ref()).unwrap();
    space.bytes - space.free_bytes
}

/// Some hours, in which what is due by itself is done.
fn settle_down(machine: &Machine, store: &mut Committer) {
    store.commit(Vec::new()).unwrap();
    machine.clock.pass(2 * HOUR);
    store.commit(Vec::new()).unwrap();
}

fn dead_on_arrival(id: &str) -> Command {
    let body = IncomingBody::Small(Bytes::from_static(b"bytes"));
    Command::Accept(Box::new(Incoming {
        envelope: envelope(id),
        body,
        verdict: Some(because()),
        arrival: Arrival::default(),
    }))
}
