use super::*;
use crate::domain::step::Step;
use crate::ports::spool::Spool as _;
use crate::ports::store::Location;
use crate::store::disk::Side;
use crate::store::index::keys::{self, kind};
use crate::store::state::Row;

/// Nine groups in one closed volume, in which only a dead letter, `DEAD`, and what is `also` there still lives.
fn one_lives(machine: &Machine, store: &mut Committer, also: &[&str]) {
    for number in 0..8 {
        store.new_delivery(&format!("M{number}"), "bytes that are delivered");
    }
    store.settle_all(&delivered());
    store.one(dead_on_arrival("DEAD"));
    for id in also {
        store.new_delivery(id, "bytes");
    }
    machine.clock.pass(8 * DAY);
    store.commit(Vec::new()).unwrap();
    machine.clock.pass(2 * HOUR);
    store.new_delivery("NEW", "bytes");
}

fn row(machine: &Machine, id: DeliveryId) -> Row {
    let value = machine.index.get(&keys::delivery(kind::DELIVERY, id)).unwrap().expect("it is kept");
    keys::decode(&value).unwrap()
}

fn volume_of(machine: &Machine, id: DeliveryId) -> u64 {
    let Location::Group { volume, .. } = row(machine, id).delivery.location else { panic!("it is in no volume") };
    volume
}

fn reads(machine: &Machine, spool: &Spool, id: DeliveryId) -> Vec<u8> {
    let delivery = row(machine, id).delivery;
    let opened = spool.reader().open(&delivery.mailbox, &delivery.message_id, &delivery.location).unwrap();
    opened.payload.read_bounded(100).unwrap()
}

#[test]
fn one_dead_letter_does_not_keep_its_volume() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    one_lives(&machine, &mut store, &[]);
    let dead = store.set_aside_now()[0].delivery.id;
    let before = volume_of(&machine, dead);
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_ne!(volume_of(&machine, dead), before);
    assert_eq!(volumes(&machine), 1, "the old volume is gone");
    assert_eq!(reads(&machine, &spool, dead), b"bytes");
    let rows = machine.index.rows();
    drop(store);
    machine.index.burn();
    drop(machine.open());
    let kept = |rows: Vec<index::Pair>| rows.into_iter().filter(|(key, _)| key != b"M").collect::<Vec<_>>();
    assert_eq!(kept(machine.index.rows()), kept(rows), "made anew from the journal");
}

#[test]
fn a_volume_that_mostly_lives_stays() {
    let machine = Machine::new();
    let mut store = machine.open();
    for number in 0..4 {
        store.one(dead_on_arrival(&format!("DEAD{number}")));
    }
    one_lives(&machine, &mut store, &[]);
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(machine.disk.passes(Step::GroupMove), 0);
}

#[test]
fn what_is_in_work_is_not_moved_under_its_lease() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    one_lives(&machine, &mut store, &["BUSY"]);
    let lease = store.lease(1, false).remove(0);
    assert_eq!(lease.delivery.message_id, message("BUSY"));
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(machine.disk.passes(Step::GroupMove), 1, "the other one");
    assert_eq!(spool.open(&lease).unwrap().payload.read_bounded(100).unwrap(), b"bytes");
    store.settle(lease, dead());
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(machine.disk.passes(Step::GroupMove), 2);
    assert_eq!(volumes(&machine), 1);
}

#[test]
fn a_crash_anywhere_in_a_move_loses_and_doubles_nothing() {
    let steps = [Step::VolumeCreate, Step::GroupMove, Step::VolumeSync, Step::JournalWrite, Step::JournalSync];
    let mut stops = 0;
    for (step, side) in
        steps.into_iter().chain([Step::SpoolRemove]).flat_map(|step| [(step, Side::Before), (step, Side::After)])
    {
        let machine = Machine::new();
        let mut store = machine.open();
        one_lives(&machine, &mut store, &[]);
        let dead = store.set_aside_now()[0].delivery.id;
        // So that the copy needs a new volume.
        machine.clock.pass(2 * MINUTE);
        machine.disk.stop_at(step, 1, side);
        let stopped = (0..3).any(|_| store.commit(Vec::new()).is_err());
        stops += u32::from(stopped);
        drop(store);
        machine.disk.crash();

        let parts = machine.parts();
        let spool = parts.spool.0.clone();
        let mut store = Committer::open(parts).unwrap();
        (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
        let at = format!("{step:?} {side:?}");
        assert_eq!(reads(&machine, &spool, dead), b"bytes", "{at}");
        assert_eq!(store.counters().dead.messages, 1, "{at}");
        assert_eq!(store.counters().retained.messages, 0, "{at}");
        assert_eq!(volumes(&machine), 2, "{at}: the copy's and the new one's, nothing is left behind");
    }
    assert_eq!(stops, 12, "every stop was reached");
}

#[test]
fn a_copy_that_the_disk_loses_is_moved_back() {
    let machine = Machine::new();
    let mut store = machine.open();
    one_lives(&machine, &mut store, &["ALSO"]);
    let dead = store.set_aside_now()[0].delivery.id;
    let before = volume_of(&machine, dead);
    // So that the copies have a volume of their own.
    machine.clock.pass(2 * MINUTE);
    store.commit(Vec::new()).unwrap();
    let copy = volume_of(&machine, dead);
    assert_ne!(copy, before);
    drop(store);
    machine.disk.remove(Step::SpoolRemove, format!("/state/spool/volumes/{copy:020}.vol").as_ref()).unwrap();

    for _ in 0..2 {
        let parts = machine.parts();
        let spool = parts.spool.0.clone();
        let mut store = Committer::open(parts).unwrap();
        assert_eq!(volume_of(&machine, dead), before);
        assert_eq!(reads(&machine, &spool, dead), b"bytes");
        let counters = store.counters();
        assert_eq!((counters.dead.messages, counters.held.messages, counters.queued.messages), (1, 0, 2));
    }
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    (0..4).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_ne!(volume_of(&machine, dead), before, "moved again");
    assert_eq!(reads(&machine, &spool, dead), b"bytes");
}

#[test]
fn a_group_that_does_not_read_keeps_its_volume_and_halts_nothing() {
    let machine = Machine::new();
    let mut store = machine.open();
    one_lives(&machine, &mut store, &[]);
    let dead = store.set_aside_now()[0].delivery.id;
    let before = volume_of(&machine, dead);
    let path = format!("/state/spool/volumes/{before:020}.vol");
    let mut file = machine.disk.open(path.as_ref()).unwrap();
    let length = file.length().unwrap();
    file.cut(Step::TailCut, length - 1).unwrap();
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(volume_of(&machine, dead), before);
    assert_eq!(volumes(&machine), 2);
}

#[test]
fn near_the_floor_volumes_are_compacted_before_more_is_purged() {
    let machine = Machine::new();
    let mut store = machine.open();
    for number in 0..3 {
        store.one(dead_on_arrival(&format!("DEAD{number}")));
    }
    one_lives(&machine, &mut store, &[]);
    store.commit(Vec::new()).unwrap();
    let id = store.new_delivery("LATE", "bytes");
    store.acknowledge(id);
    store.settle_all(&delivered());
    store.commit(Vec::new()).unwrap();
    assert_eq!(machine.disk.passes(Step::GroupMove), 0, "there is room, and a third of it lives");
    let mut others = machine.disk.create(Step::StateDirectory, "/others".as_ref()).unwrap();
    others.append(Step::StateDirectory, &[0; 200_000]).unwrap();
    let used = machine_used(&machine);
    machine.disk.limit_bytes(Some(used + used / 10));
    store.commit(Vec::new()).unwrap();
    assert!(machine.disk.passes(Step::GroupMove) > 0);
    assert_eq!(store.counters().retained.messages, 2, "what was delivered since stays for now");
}
