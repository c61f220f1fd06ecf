//! A store, a spool and outputs that behave, in memory, with faults scripted per output or per delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use crate::domain::digest::ContentDigest;
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::fault::Fault;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, WorkflowId};
use crate::domain::output::{OutputState, Publication, StagedFile, StagedSet};
use crate::domain::settlement::{Reason, Settlement};
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::outputs::{Outputs, PublishJob, Published, StageJob};
use crate::ports::spool::{Intake, Opened, Payload, PayloadSource, Spool, SpoolError};
use crate::ports::store::{
    Acceptance, Accepted, Delivery, DroppedLeases, Halt, Incoming, Known, Lease, LeaseWish, Location, Note, Occupancy,
    Refusal, Reply, SetAside, SetAsidePage, Store,
};

/// 2026-01-05, so that ages can be subtracted.
pub(in crate::work) const START: Timestamp = Timestamp(1_767_605_412_000);

/// Everything that was called, in order.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    pub(super) fn all(&self) -> Vec<String> {
        lock(&self.0).clone()
    }

    /// Calls that begin with one of `words`.
    pub(super) fn of(&self, words: &[&str]) -> Vec<String> {
        self.all().into_iter().filter(|call| words.iter().any(|word| call.starts_with(word))).collect()
    }

    fn add(&self, call: String) {
        lock(&self.0).push(call);
    }
}

/// Real time from a fixed start: waits in these tests are a few milliseconds.
pub(super) struct FakeClock(Instant);

impl FakeClock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for FakeClock {
    fn wall(&self) -> Timestamp {
        START.plus(self.0.elapsed())
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Always the longest wait.
pub(super) struct Loaded;

impl Chance for Loaded {
    fn dice(&self) -> u64 {
        u64::MAX
    }
    fn uuid(&self) -> String {
        "00000000-0000-4000-8000-000000000000".into()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Queued(Timestamp),
    Suspect,
    Working { alone: bool },
    Ended,
}

#[derive(Default)]
struct Shelf {
    rows: BTreeMap<DeliveryId, (Delivery, Place)>,
    settled: Vec<(DeliveryId, Settlement)>,
    sequence: u64,
    halts_on_staged: bool,
}

/// A store that obeys the rules of the port, without a disk.
pub(super) struct FakeStore {
    shelf: Mutex<Shelf>,
    calls: Calls,
    clock: Arc<FakeClock>,
    dropped: DroppedLeases,
    occupancy: watch::Sender<Arc<Occupancy>>,
}

impl FakeStore {
    pub(super) fn new(calls: Calls, clock: Arc<FakeClock>) -> Self {
        let occupancy = watch::Sender::new(Arc::default());
        Self { shelf: Mutex::default(), calls, clock, dropped: DroppedLeases::default(), occupancy }
    }

    pub(super) fn queue(&self, delivery: Delivery) {
        let due = self.clock.wall();
        self.put(delivery, Place::Queued(due));
    }

    pub(super) fn queue_suspect(&self, delivery: Delivery) {
        self.put(delivery, Place::Suspect);
    }

    pub(super) fn halt_on_staged(&self) {
        lock(&self.shelf).halts_on_staged = true;
    }

    /// Every settlement, in order.
    pub(super) fn settled(&self) -> Vec<(DeliveryId, Settlement)> {
        lock(&self.shelf).settled.clone()
    }

    pub(super) fn delivery(&self, id: u64) -> Delivery {
        lock(&self.shelf).rows[&DeliveryId(id)].0.clone()
    }

    pub(super) fn dropped_leases(&self) -> usize {
        self.dropped.take().len()
    }

    fn put(&self, delivery: Delivery, place: Place) {
        let mut shelf = lock(&self.shelf);
        shelf.rows.insert(delivery.id, (delivery, place));
        self.commit(&mut shelf);
    }

    fn commit(&self, shelf: &mut Shelf) {
        shelf.sequence += 1;
        let mut occupancy = Occupancy { sequence: shelf.sequence, ..Occupancy::default() };
        for (delivery, place) in shelf.rows.values() {
            let mailbox = occupancy.mailboxes.entry(delivery.mailbox.clone()).or_default();
            match place {
                Place::Queued(due) => {
                    mailbox.next_due = Some(mailbox.next_due.map_or(*due, |earliest| earliest.min(*due)));
                }
                Place::Suspect | Place::Working { alone: true } => occupancy.suspects += 1,
                Place::Working { alone: false } | Place::Ended => {}
            }
        }
        self.occupancy.send_replace(Arc::new(occupancy));
    }

    fn due(&self, shelf: &Shelf, wish: &LeaseWish) -> Vec<DeliveryId> {
        let is_working = |place: &Place| matches!(place, Place::Working { .. });
        let has_suspects = shelf.rows.values().any(|(_, place)| matches!(place, Place::Suspect));
        if wish.suspects && shelf.rows.values().any(|(_, place)| is_working(place)) || !wish.suspects && has_suspects {
            return Vec::new();
        }
        let now = self.clock.wall();
        let mut bytes = 0;
        let mut ids = Vec::new();
        for (id, (delivery, place)) in &shelf.rows {
            let is_due = match place {
                Place::Queued(due) => !wish.suspects && *due <= now,
                Place::Suspect => wish.suspects,
                Place::Working { .. } | Place::Ended => false,
            };
            if is_due && delivery.mailbox == wish.mailbox && ids.len() < wish.count {
                bytes += delivery.length;
                if !ids.is_empty() && bytes > wish.bytes {
                    break;
                }
                ids.push(*id);
            }
        }
        ids
    }
}

fn done<T: Send + 'static>(answer: T) -> Reply<T> {
    Box::pin(ready(Ok(answer)))
}

fn not_here<T: Send + 'static>() -> Reply<T> {
    Box::pin(ready(Err(Halt("not part of this fake".into()))))
}

impl Store for FakeStore {
    fn lease(&self, wish: LeaseWish) -> Reply<Vec<Lease>> {
        let mut shelf = lock(&self.shelf);
        let mut leases = Vec::new();
        for id in self.due(&shelf, &wish) {
            let (delivery, place) = shelf.rows.get_mut(&id).expect("it is due");
            delivery.starts += 1;
            *place = Place::Working { alone: wish.suspects };
            leases.push(Lease::attest(delivery.clone(), self.dropped.clone()));
        }
        if !leases.is_empty() {
            let ids: Vec<String> = leases.iter().map(|lease| lease.delivery.id.to_string()).collect();
            self.calls.add(format!("lease {} {}", wish.mailbox, ids.join(" ")));
            self.commit(&mut shelf);
        }
        done(leases)
    }

    fn staged(&self, id: DeliveryId, outputs: Vec<OutputState>) -> Reply<()> {
        self.calls.add(format!("staged {id}"));
        let mut shelf = lock(&self.shelf);
        if shelf.halts_on_staged {
            return Box::pin(ready(Err(Halt("disk gone".into()))));
        }
        shelf.rows.get_mut(&id).expect("it is leased").0.outputs = outputs;
        self.commit(&mut shelf);
        done(())
    }

    fn settle(&self, lease: Lease, settlement: Settlement) -> Reply<()> {
        let id = lease.redeem().id;
        self.calls.add(format!("settle {id}"));
        let mut shelf = lock(&self.shelf);
        let now = self.clock.wall();
        let (delivery, place) = shelf.rows.get_mut(&id).expect("it is leased");
        let alone = *place == Place::Working { alone: true };
        *place = match &settlement {
            Settlement::Delivered(_) | Settlement::Discarded(_) | Settlement::Held { .. } | Settlement::Dead { .. } => {
                Place::Ended
            }
            Settlement::Retry { after, .. } => {
                delivery.attempts += 1;
                Place::Queued(now.plus(*after))
            }
            Settlement::Defer { after, .. } => Place::Queued(now.plus(*after)),
            Settlement::Release if alone => Place::Suspect,
            Settlement::Release => Place::Queued(now),
        };
        match &settlement {
            Settlement::Delivered(outputs) | Settlement::Defer { outputs, .. } | Settlement::Held { outputs, .. } => {
                delivery.outputs.clone_from(outputs);
            }
            Settlement::Discarded(_) | Settlement::Retry { .. } | Settlement::Release | Settlement::Dead { .. } => {}
        }
        shelf.settled.push((id, settlement));
        self.commit(&mut shelf);
        done(())
    }

    fn occupancy(&self) -> Arc<Occupancy> {
        self.occupancy.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Arc<Occupancy>> {
        self.occupancy.subscribe()
    }

    fn accept(&self, _: Incoming) -> Reply<Acceptance> {
        not_here()
    }
    fn known(&self, _: &MailboxId, _: Vec<MessageId>) -> Reply<Vec<Known>> {
        not_here()
    }
    fn acknowledged(&self, _: &Accepted) -> Reply<()> {
        not_here()
    }
    fn refuse(&self, _: Refusal) -> Reply<()> {
        not_here()
    }
    fn note(&self, _: Note) -> Reply<()> {
        not_here()
    }
    fn set_aside(&self, _: SetAsidePage) -> Reply<Vec<SetAside>> {
        not_here()
    }
    fn barrier(&self) -> Reply<()> {
        not_here()
    }
    fn halted(&self) -> BoxFuture<'static, Halt> {
        Box::pin(std::future::pending())
    }
}

/// A spool in which some payloads do not open.
#[derive(Default)]
pub(super) struct FakeSpool {
    pub(super) unreadable: BTreeSet<DeliveryId>,
}

struct Bytes;

impl PayloadSource for Bytes {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(b"synthetic")))
    }
}

impl Spool for FakeSpool {
    fn open(&self, lease: &Lease) -> Result<Opened, SpoolError> {
        if self.unreadable.contains(&lease.delivery.id) {
            return Err(SpoolError::Unreadable("no identity fits".into()));
        }
        let Delivery { mailbox, message_id, kind, workflow, from, length, .. } = lease.delivery.clone();
        let envelope = Envelope {
            mailbox,
            message_id,
            kind,
            workflow,
            from,
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
        };
        Ok(Opened { envelope, payload: Payload::new(length, Arc::new(Bytes)) })
    }

    fn intake(&self, _: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        Err(SpoolError::Unreadable("not part of this fake".into()))
    }
    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.intake(envelope)
    }
    fn forget(&self, _: &MailboxId, _: &MessageId) -> Result<(), SpoolError> {
        Err(SpoolError::Unreadable("not part of this fake".into()))
    }
}

/// How an output behaves.
#[derive(Clone)]
pub(super) enum Behaviour {
    /// Staging fails.
    NoStage(Fault),
    /// Publishing fails; what is staged stays staged.
    NotNow(Fault),
    /// A person must look.
    Held(Reason),
    /// Staging panics on one delivery.
    PanicOn(DeliveryId),
}

/// Outputs that work, but for what is scripted by output name.
pub(super) struct FakeOutputs {
    pub(super) calls: Calls,
    behaviours: Mutex<BTreeMap<String, Behaviour>>,
    gate: Mutex<Option<(SyncSender<()>, Receiver<()>)>>,
}

impl FakeOutputs {
    pub(super) fn new(calls: Calls) -> Self {
        Self { calls, behaviours: Mutex::default(), gate: Mutex::default() }
    }

    /// Scripts an output; `None` mends it.
    pub(super) fn script(&self, output: &str, behaviour: Option<Behaviour>) {
        let mut behaviours = lock(&self.behaviours);
        match behaviour {
            Some(behaviour) => behaviours.insert(output.into(), behaviour),
            None => behaviours.remove(output),
        };
    }

    /// The next staging says that it began, and waits for a word.
    pub(super) fn gate(&self) -> (Receiver<()>, SyncSender<()>) {
        let ((began, begins), (go, waits)) = (sync_channel(1), sync_channel(1));
        *lock(&self.gate) = Some((began, waits));
        (begins, go)
    }

    fn behaviour(&self, output: &str) -> Option<Behaviour> {
        lock(&self.behaviours).get(output).cloned()
    }
}

impl Outputs for FakeOutputs {
    fn stage(&self, jobs: &[StageJob<'_>]) -> Vec<Result<StagedSet, Fault>> {
        let gate = lock(&self.gate).take();
        if let Some((began, waits)) = gate {
            began.send(()).expect("the test listens");
            waits.recv().expect("the test speaks");
        }
        let one = |job: &StageJob<'_>| {
            let (id, output) = (job.delivery.id, job.plan.name.as_str());
            match self.behaviour(output) {
                Some(Behaviour::NoStage(fault)) => return Err(fault),
                Some(Behaviour::PanicOn(bad)) if bad == id => panic!("scripted"),
                Some(Behaviour::PanicOn(_) | Behaviour::NotNow(_) | Behaviour::Held(_)) | None => {}
            }
            self.calls.add(format!("stage {id} {output}"));
            let digest = ContentDigest("00".into());
            let file = StagedFile { temp: format!("{id}.tmp"), name: format!("{id}.dat"), length: 9, digest };
            Ok(StagedSet { marker: "marker".into(), files: vec![file] })
        };
        jobs.iter().map(one).collect()
    }

    fn publish(&self, jobs: &[PublishJob<'_>]) -> Vec<Published> {
        let one = |job: &PublishJob<'_>| {
            let output = job.plan.name.as_str();
            let id = job.set.files[0].name.trim_end_matches(".dat");
            let word = if job.resumed { "resume" } else { "publish" };
            self.calls.add(format!("{word} {id} {output}"));
            match self.behaviour(output) {
                Some(Behaviour::NotNow(fault)) => Published::NotNow(fault),
                Some(Behaviour::Held(reason)) => Published::Held(reason),
                Some(Behaviour::NoStage(_) | Behaviour::PanicOn(_)) | None => Published::Done(Publication::Seen),
            }
        };
        jobs.iter().map(one).collect()
    }
}

/// A delivery of 9 bytes, accepted at [`START`], of workflow `GO`.
pub(in crate::work) fn delivery(id: u64, mailbox: &str) -> Delivery {
    Delivery {
        id: DeliveryId(id),
        mailbox: MailboxId::new(mailbox).expect("letters and digits"),
        message_id: MessageId::new(format!("M{id}")).expect("letters and digits"),
        workflow: WorkflowId::new("GO").expect("letters"),
        from: None,
        kind: MessageKind::Data,
        length: 9,
        digest: ContentDigest("00".into()),
        location: Location::Group { volume: 1, offset: 0, length: 300, member: 0 },
        accepted_at: START,
        attempts: 0,
        starts: 0,
        solo_deaths: 0,
        continues: None,
        outputs: Vec::new(),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with the lock")
}
