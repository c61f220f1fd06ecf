use std::path::Path;

use secrecy::SecretString;

use super::*;
use crate::domain::operator::{Operator, Remark};
use crate::domain::step::Step;
use crate::ports::store::{Act, Acted, JobAct, JobOutcome, NotAllowed, Order, Pin, SetAsideKind, Stepped};
use crate::store::backup::{self, Source};
use crate::store::index::keys::{self, kind};
use crate::store::spool::Identities;
use crate::store::state::Row;

const BACKUP: &str = "/backups/one";

fn pin(store: &mut Committer) -> Pin {
    let Answer::Pinned(pin) = store.one(Command::Pin(Operator(1000))) else { panic!("another answer") };
    pin
}

fn secret(machine: &Machine) -> SecretString {
    machine.identity.to_string()
}

fn back_up(machine: &Machine, pin: &Pin) {
    let disk: Arc<dyn Disk> = Arc::new(machine.disk.clone());
    disk.create_folder(Step::BackupWrite, "/backups".as_ref()).unwrap();
    let source =
        Source { disk: &disk, state: "/state".as_ref(), extent: &pin.extent, now: machine.clock.as_ref().wall() };
    let recipient = machine.identity.to_public().to_string();
    backup::create(&source, &[recipient], BACKUP.as_ref(), |_| ()).unwrap();
}

/// A machine with the same disk, clock and keys, and the state restored to `state`.
fn restored(machine: &Machine, state: &'static str, later: Option<&Path>) -> Machine {
    let identities = Identities::parse(&[secret(machine)]).unwrap();
    machine.disk.create_folder(Step::RestoreWrite, state.as_ref()).unwrap();
    let restored = backup::restore(&machine.disk, BACKUP.as_ref(), &identities, state.as_ref(), later).unwrap();
    restored.finish().unwrap();
    let identity = secrecy::ExposeSecret::expose_secret(&secret(machine)).parse().unwrap();
    let (disk, clock) = (machine.disk.clone(), Arc::clone(&machine.clock));
    Machine { disk, clock, identity, state, ..Machine::new() }
}

fn row(machine: &Machine, id: DeliveryId) -> Row {
    let value = machine.index.get(&keys::delivery(kind::DELIVERY, id)).unwrap().expect("it is kept");
    keys::decode(&value).unwrap()
}

#[test]
fn nothing_leaves_while_a_backup_is_under_way() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    store.settle_all(&delivered());
    settle_down(&machine, &mut store);
    store.new_delivery("M2", "bytes");
    let pins = [pin(&mut store), pin(&mut store)];
    machine.clock.pass(8 * DAY);
    for held in pins {
        (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
        assert_eq!(volumes(&machine), 2, "a pin keeps what is purged in place");
        drop(held);
    }
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(volumes(&machine), 1);
}

#[test]
fn what_was_moved_after_the_backup_is_found_where_it_was_and_what_came_after_is_lost() {
    let machine = Machine::new();
    let mut store = machine.open();
    for number in 0..8 {
        store.new_delivery(&format!("M{number}"), "bytes that are delivered");
    }
    store.settle_all(&delivered());
    store.one(dead_on_arrival("DEAD"));
    machine.clock.pass(8 * DAY);
    store.commit(Vec::new()).unwrap();
    machine.clock.pass(2 * HOUR);
    let waiting = store.new_delivery("WAITS", "bytes");
    let dead = store.set_aside_now()[0].delivery.id;
    let before = row(&machine, dead).delivery.location;
    let pin = pin(&mut store);
    back_up(&machine, &pin);
    drop(pin);
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_ne!(row(&machine, dead).delivery.location, before, "it was moved, and the volume is gone");
    let after = store.new_delivery("AFTER", "bytes");
    drop(store);

    let twin = restored(&machine, "/twin", Some("/state/journal".as_ref()));
    let parts = twin.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    let there = row(&twin, dead).delivery;
    assert_eq!(there.location, before);
    let opened = spool.reader().open(&there.mailbox, &there.message_id, &there.location).unwrap();
    assert_eq!(opened.payload.read_bounded(100).unwrap(), b"bytes");
    let lost = store.set_aside_now().into_iter().find(|aside| aside.delivery.id == after).expect("it is held");
    assert_eq!((lost.kind, lost.reason.code), (SetAsideKind::Held, FaultCode::SpoolLost));
    let leases = store.lease(9, false);
    assert_eq!(leases.iter().map(|lease| lease.delivery.id).collect::<Vec<_>>(), [waiting]);
    leases.into_iter().for_each(|lease| store.settle(lease, delivered()));
    drop(store);
    drop(twin.open());
    assert_eq!(row(&twin, dead).delivery.location, before, "the mark is gone, and the next start is as any other");
}

#[test]
fn without_a_later_journal_all_that_was_not_settled_is_held_at_the_first_start() {
    let machine = Machine::new();
    let mut store = machine.open();
    let ids = ["QUEUED", "WORKING"].map(|id| store.new_delivery(id, "bytes"));
    let leases = store.lease(1, false);
    back_up(&machine, &pin(&mut store));
    leases.into_iter().for_each(|lease| store.settle(lease, delivered()));
    drop(store);

    let twin = restored(&machine, "/twin", None);
    let mut store = twin.open();
    let held = store.set_aside_now();
    assert!(held.iter().all(|aside| aside.reason.code == FaultCode::Restored), "{held:?}");
    assert_eq!(held.iter().rev().map(|aside| aside.delivery.id).collect::<Vec<_>>(), ids);
    assert_eq!(store.watch().borrow().suspects, 0, "what was in work is no suspect");
    assert!(store.lease(9, false).is_empty());
    let new = store.new_delivery("NEW", "bytes");
    let leases = store.lease(9, false);
    assert_eq!(leases.iter().map(|lease| lease.delivery.id).collect::<Vec<_>>(), [new]);
}

#[test]
fn a_restore_ends_the_bulk_acts_of_before() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.aside("M1", &dead());
    let job = store.begin(JobAct::Replay);
    let pin = pin(&mut store);
    back_up(&machine, &pin);
    // Elsewhere it goes on, and what it replays is delivered.
    store.step(job, 9);
    drop((store, pin));
    let again = restored(&machine, "/again", None);
    let mut store = again.open();
    assert_eq!(store.jobs()[0].ended.map(|end| end.how), Some(JobOutcome::Restored));
    assert_eq!(store.step(job, 9), Stepped { acted: Vec::new(), is_open: false });
    assert_eq!(store.set_aside_now().len(), 1, "what it did since, a person has to find out");
}

#[test]
fn what_rested_before_the_backup_comes_again_only_if_somebody_says_so() {
    let machine = Machine::new();
    let mut store = machine.open();
    let dead_one = store.new_delivery("DEAD", "bytes");
    store.settle_all(&dead());
    let held_one = store.new_delivery("HELD", "bytes");
    let reason = Reason::new(FaultCode::OperatorHeld, "asked to wait");
    store.settle_all(&Settlement::Held { reason, outputs: Vec::new() });
    let pin = pin(&mut store);
    back_up(&machine, &pin);
    drop((store, pin));
    let again = restored(&machine, "/again", None);
    drop(again.open());
    let mut store = again.open();
    let late = store.new_delivery("LATE", "bytes");
    store.settle_all(&dead());
    let acts = [
        (dead_one, |again| Act::Replay { force: false, again }),
        (held_one, |again| Act::Release { force: false, again }),
    ] as [(DeliveryId, fn(bool) -> Act); 2];
    for (delivery, act) in acts {
        let mut ask = |again: bool| {
            let order = Order { delivery, act: act(again), by: Operator(1000), why: Remark::new("not there").ok() };
            let Answer::Acted(acted) = store.one(Command::Act(order)) else { panic!("another answer") };
            acted
        };
        assert_eq!(ask(false), Err(NotAllowed::MayBeHandled), "the daemon of before may have handled it");
        ask(true).unwrap();
    }
    let order =
        Order { delivery: late, act: Act::Replay { force: false, again: false }, by: Operator(1000), why: None };
    let Answer::Acted(acted) = store.one(Command::Act(order)) else { panic!("another answer") };
    acted.expect("it died after the restore");
}

#[test]
fn what_was_moved_and_then_replayed_since_the_backup_lies_where_the_backup_has_it() {
    let machine = Machine::new();
    let mut store = machine.open();
    for number in 0..8 {
        store.new_delivery(&format!("M{number}"), "bytes that are delivered");
    }
    store.settle_all(&delivered());
    let id = store.new_delivery("DEAD", "bytes");
    store.settle_all(&dead());
    machine.clock.pass(8 * DAY);
    store.commit(Vec::new()).unwrap();
    machine.clock.pass(2 * HOUR);
    store.new_delivery("WAITS", "bytes");
    let before = row(&machine, id).delivery.location;
    let pin = pin(&mut store);
    back_up(&machine, &pin);
    drop(pin);
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_ne!(row(&machine, id).delivery.location, before, "it was moved");
    let act = Act::Replay { force: false, again: false };
    let order = Order { delivery: id, act, by: Operator(1000), why: None };
    let Answer::Acted(Ok(Acted::ReplayedAs(new))) = store.one(Command::Act(order)) else { panic!("not replayed") };
    drop(store);

    let twin = restored(&machine, "/twin", Some("/state/journal".as_ref()));
    let parts = twin.parts();
    let spool = parts.spool.0.clone();
    let store = Committer::open(parts).unwrap();
    let there = row(&twin, new);
    assert!(there.delivery.location == before && !there.is_lost(), "{there:?}");
    let opened = spool.reader().open(&mailbox(), &message("DEAD"), &before).unwrap();
    assert_eq!(opened.payload.read_bounded(100).unwrap(), b"bytes");
    store.state.audit(store.index.as_ref()).unwrap();
}
