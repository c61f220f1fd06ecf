//! A store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use super::{Calls, FakeClock, START, lock};
use crate::domain::course::Handling;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::output::OutputState;
use crate::domain::patients::Patients;
use crate::domain::settlement::Settlement;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::store::{
    Acceptance, Accepted, Acted, BringIn, Delivery, DroppedLeases, Expunged, FoundAside, FoundGroups, FoundRetention,
    Halt, HoldOrder, HoldRefused, Incoming, Kept, KeptPayload, Known, Lease, LeaseWish, LookUp, NotAllowed,
    NotBroughtIn, NotExpunged, Note, Occupancy, Order, Pin, QueuePage, Queued, Refusal, Reply, Reseal, Resealed,
    RetentionPage, SetAsidePage, Store,
};

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
    handled: Vec<Option<Box<Handling>>>,
    patients: Vec<Option<Patients>>,
    sequence: u64,
    halts_on_staged: bool,
}

/// A store that obeys the rules of the port, without a disk.
pub(in crate::work::tests) struct FakeStore {
    shelf: Mutex<Shelf>,
    calls: Calls,
    clock: Arc<FakeClock>,
    dropped: DroppedLeases,
    occupancy: watch::Sender<Arc<Occupancy>>,
}

impl FakeStore {
    pub(in crate::work::tests) fn new(calls: Calls, clock: Arc<FakeClock>) -> Self {
        let occupancy = watch::Sender::new(Arc::default());
        Self { shelf: Mutex::default(), calls, clock, dropped: DroppedLeases::default(), occupancy }
    }

    pub(in crate::work::tests) fn queue(&self, delivery: Delivery) {
        let due = self.clock.wall();
        self.put(delivery, Place::Queued(due));
    }

    pub(in crate::work::tests) fn queue_suspect(&self, delivery: Delivery) {
        self.put(delivery, Place::Suspect);
    }

    pub(in crate::work::tests) fn halt_on_staged(&self) {
        lock(&self.shelf).halts_on_staged = true;
    }

    /// Every settlement, in order.
    pub(in crate::work::tests) fn settled(&self) -> Vec<(DeliveryId, Settlement)> {
        lock(&self.shelf).settled.clone()
    }

    /// What each settlement says was done.
    pub(in crate::work::tests) fn handled(&self) -> Vec<Option<Box<Handling>>> {
        lock(&self.shelf).handled.clone()
    }

    /// Whom each settled message names.
    pub(in crate::work::tests) fn patients(&self) -> Vec<Option<Patients>> {
        lock(&self.shelf).patients.clone()
    }

    pub(in crate::work::tests) fn delivery(&self, id: u64) -> Delivery {
        lock(&self.shelf).rows[&DeliveryId(id)].0.clone()
    }

    pub(in crate::work::tests) fn dropped_leases(&self) -> usize {
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
            let age = START.since(delivery.accepted_at);
            leases.push(Lease::attest(delivery.clone(), age, self.dropped.clone()));
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
        let (id, handling, patients) = lease.redeem();
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
        shelf.handled.push(handling);
        shelf.patients.push(patients);
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
    fn forget_refused(&self, _: &MailboxId, _: BTreeSet<MessageId>) -> Reply<()> {
        not_here()
    }
    fn note(&self, note: Note) -> Reply<()> {
        self.calls.add(format!("note {}", serde_json::to_string(&note).expect("JSON")));
        done(())
    }
    fn payloads(&self, _: Option<DeliveryId>, _: usize) -> Reply<Vec<KeptPayload>> {
        not_here()
    }
    fn reseal(&self, _: Reseal) -> Reply<Resealed> {
        not_here()
    }

    fn act(&self, _: Order) -> Reply<Result<Acted, NotAllowed>> {
        not_here()
    }
    fn bring_in(&self, _: BringIn) -> Reply<Result<DeliveryId, NotBroughtIn>> {
        not_here()
    }
    fn legal_hold(&self, _: HoldOrder) -> Reply<Result<LegalHoldId, HoldRefused>> {
        not_here()
    }
    fn tally(&self, _: RetentionPage) -> Reply<FoundRetention> {
        not_here()
    }
    fn look_up(&self, _: LookUp) -> Reply<Vec<Kept>> {
        not_here()
    }
    fn expunge(&self, _: DeliveryId, _: Operator, _: Remark) -> Reply<Result<Expunged, NotExpunged>> {
        not_here()
    }
    fn pin(&self, _: Operator) -> Reply<Pin> {
        not_here()
    }
    fn queue(&self, _: QueuePage) -> Reply<Vec<Queued>> {
        not_here()
    }
    fn groups(&self, _: Option<Fingerprint>) -> Reply<FoundGroups> {
        not_here()
    }
    fn set_aside(&self, _: SetAsidePage) -> Reply<FoundAside> {
        not_here()
    }
    fn barrier(&self) -> Reply<()> {
        not_here()
    }
    fn halted(&self) -> BoxFuture<'static, Halt> {
        Box::pin(std::future::pending())
    }
}
