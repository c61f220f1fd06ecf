//! What legal holds keep, and for how long.

use super::*;
use crate::domain::digest::ContentDigest;
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::patients::Patients;
use crate::ports::store::{Act, Acted, HoldOrder, HoldRefused, MOST_LEGAL_HOLDS, Order};
use crate::store::journal::segments;

const NUMBER: &str = "9990000018";

fn why() -> Remark {
    Remark::new("INC0012345").unwrap()
}

fn about(machine: &Machine) -> Vec<ContentDigest> {
    vec![DigestKey::new(machine.key).patient(&NUMBER.parse().unwrap())]
}

impl Committer {
    fn order_hold(&mut self, order: HoldOrder) -> Result<LegalHoldId, HoldRefused> {
        let Answer::LegalHold(done) = self.one(Command::LegalHold(order)) else { panic!("another answer") };
        done
    }

    fn hold(&mut self, scope: HoldScope) -> LegalHoldId {
        self.order_hold(HoldOrder::Add { scope, by: Operator(1000), why: why() }).unwrap()
    }

    fn end_hold(&mut self, hold: LegalHoldId) {
        self.order_hold(HoldOrder::Remove { hold, by: Operator(1000), why: why() }).unwrap();
    }

    fn must(&mut self, delivery: DeliveryId, act: Act) -> Acted {
        let order = Order { delivery, act, by: Operator(1000), why: Some(why()) };
        let Answer::Acted(acted) = self.one(Command::Act(order)) else { panic!("another answer") };
        acted.unwrap()
    }

    fn deliver_naming(&mut self, number: &str) {
        let mut lease = self.lease(1, false).remove(0);
        lease.patients = Some(Patients { numbers: [number.parse().unwrap()].into(), more: false });
        self.settle(lease, delivered());
    }

    /// What ended and is kept, and how much of it by a legal hold alone.
    fn counted(&mut self) -> (u64, u64, u64) {
        let counters = self.counters();
        (counters.retained.messages, counters.dead.messages, counters.spared.messages)
    }
}

/// The same after a restart that makes the index anew.
fn reopened(machine: &Machine, store: Committer) -> Committer {
    let rows = machine.index.rows();
    drop(store);
    machine.index.burn();
    let store = machine.open();
    let of = |rows: Vec<index::Pair>| rows.into_iter().filter(|(key, _)| key != b"M").collect::<Vec<_>>();
    assert_eq!(of(machine.index.rows()), of(rows), "made anew from the journal");
    store
}

#[test]
fn a_mailbox_under_hold_keeps_all_its_mail_until_the_hold_ends() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("OLD", "bytes");
    store.settle_all(&delivered());
    let hold = store.hold(HoldScope::Mailbox(mailbox()));
    store.new_delivery("DEAD", "bytes");
    store.settle_all(&dead());
    machine.clock.pass(40 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (1, 1, 2));
    let mut store = reopened(&machine, store);
    settle_down(&machine, &mut store);
    assert_eq!((store.counted(), store.counters().spared.bytes), ((1, 1, 2), 10));
    store.end_hold(hold);
    let mut store = reopened(&machine, store);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (0, 0, 0));
    reopened(&machine, store);
}

#[test]
fn another_mailbox_is_not_kept() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.hold(HoldScope::Mailbox(MailboxId::new("X26ABC2").unwrap()));
    store.new_delivery("M1", "bytes");
    store.settle_all(&delivered());
    machine.clock.pass(8 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (0, 0, 0));
}

#[test]
fn near_the_disks_floor_what_is_under_hold_stays() {
    let machine = Machine::new();
    let mut store = machine.open();
    let kept = store.new_delivery("KEPT", "bytes");
    store.new_delivery("GOES", "bytes");
    store.settle_all(&delivered());
    store.hold(HoldScope::Delivery(kept));
    let used = machine_used(&machine);
    machine.disk.limit_bytes(Some(used + used / 10));
    (0..4).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(store.counted(), (1, 0, 0));
}

#[test]
fn what_is_discarded_or_replayed_under_hold_stays_as_well() {
    let machine = Machine::new();
    let mut store = machine.open();
    let first = store.new_delivery("M1", "bytes");
    store.settle_all(&dead());
    let hold = store.hold(HoldScope::Delivery(first));
    let Acted::ReplayedAs(second) = store.must(first, Act::Replay { force: false, again: false }) else { panic!() };
    store.settle_all(&dead());
    store.must(second, Act::Discard);
    machine.clock.pass(40 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (2, 0, 2), "the one that was replayed, and its replay with the payload");
    store.end_hold(hold);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (0, 0, 0));
}

#[test]
fn a_hold_on_what_was_replayed_keeps_the_replay() {
    let machine = Machine::new();
    let mut store = machine.open();
    let first = store.new_delivery("M1", "bytes");
    store.settle_all(&dead());
    store.must(first, Act::Replay { force: false, again: false });
    store.hold(HoldScope::Delivery(first));
    store.settle_all(&delivered());
    machine.clock.pass(40 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (2, 0, 2));
}

#[test]
fn mail_about_a_person_is_kept_when_it_is_connected_with_them() {
    let machine = Machine::new();
    let mut store = machine.open();
    let hold = store.hold(HoldScope::Patients(about(&machine)));
    store.order_hold(HoldOrder::Complete { hold }).unwrap();
    for (id, number) in [("THEIRS", NUMBER), ("OTHER", "9990000026")] {
        store.new_delivery(id, "bytes");
        store.deliver_naming(number);
    }
    machine.clock.pass(8 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (1, 0, 1));
    let mut store = reopened(&machine, store);
    store.end_hold(hold);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (0, 0, 0));
}

#[test]
fn nothing_is_purged_before_all_that_a_hold_keeps_is_found() {
    let machine = Machine::new();
    let mut store = machine.open();
    let theirs = store.new_delivery("THEIRS", "bytes");
    store.deliver_naming(NUMBER);
    store.new_delivery("OTHER", "bytes");
    store.settle_all(&delivered());
    let hold = store.hold(HoldScope::Patients(about(&machine)));
    let mut store = reopened(&machine, store);
    machine.clock.pass(8 * DAY);
    let used = machine_used(&machine);
    machine.disk.limit_bytes(Some(used + used / 10));
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (2, 0, 0), "either may be theirs");
    machine.disk.limit_bytes(None);
    store.order_hold(HoldOrder::Take { hold, deliveries: vec![theirs, DeliveryId(999)] }).unwrap();
    store.order_hold(HoldOrder::Complete { hold }).unwrap();
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (1, 0, 1));
}

#[test]
fn however_much_is_spared_what_no_hold_keeps_goes_in_time() {
    let machine = Machine::new();
    let mut store = machine.open();
    let hold = store.hold(HoldScope::Patients(about(&machine)));
    store.order_hold(HoldOrder::Complete { hold }).unwrap();
    let many = 3 * super::super::retention::PURGES;
    for number in 0..many {
        store.new_delivery(&format!("M{number}"), "bytes");
        store.deliver_naming(NUMBER);
    }
    store.new_delivery("OTHER", "bytes");
    store.settle_all(&delivered());
    machine.clock.pass(8 * DAY);
    (0..5).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(store.counted(), (many as u64, 0, many as u64));
    store.end_hold(hold);
    (0..5).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(store.counted(), (0, 0, 0));
}

#[test]
fn there_are_bounds_and_what_is_not_there_is_not_held() {
    let machine = Machine::new();
    let mut store = machine.open();
    let order = |scope| HoldOrder::Add { scope, by: Operator(1000), why: why() };
    let unknown = store.order_hold(order(HoldScope::Delivery(DeliveryId(999))));
    assert_eq!(unknown, Err(HoldRefused::UnknownDelivery));
    let end = HoldOrder::Remove { hold: LegalHoldId(999), by: Operator(1000), why: why() };
    assert_eq!(store.order_hold(end), Err(HoldRefused::UnknownHold));
    for _ in 0..MOST_LEGAL_HOLDS {
        store.hold(HoldScope::Mailbox(mailbox()));
    }
    assert_eq!(store.order_hold(order(HoldScope::Mailbox(mailbox()))), Err(HoldRefused::TooMany));
}

#[test]
fn no_segment_of_the_journal_goes_while_a_hold_stands() {
    let mut machine = Machine::new();
    machine.segment_bytes = 400;
    let mut store = machine.open();
    let hold = store.hold(HoldScope::Mailbox(mailbox()));
    let note = || Command::Note(crate::ports::store::Note::ClockStep { milliseconds: 1 });
    let live = |store: &mut Committer| {
        for _ in 0..60 {
            machine.clock.pass(HOUR);
            store.one(note());
        }
        segments(&machine.disk, "/state/journal".as_ref()).unwrap()[0].first
    };
    live(&mut store);
    machine.clock.pass(9 * 366 * DAY);
    assert_eq!(live(&mut store), 1);
    store.end_hold(hold);
    assert!(live(&mut store) > 1);
}

#[test]
fn what_names_more_people_than_were_looked_at_may_be_about_anyone_under_a_hold() {
    let machine = Machine::new();
    let mut store = machine.open();
    let hold = store.hold(HoldScope::Patients(about(&machine)));
    store.order_hold(HoldOrder::Complete { hold }).unwrap();
    store.new_delivery("LIST", "bytes");
    let mut lease = store.lease(1, false).remove(0);
    lease.patients = Some(Patients { numbers: ["9990000026".parse().unwrap()].into(), more: true });
    store.settle(lease, delivered());
    machine.clock.pass(8 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counted(), (1, 0, 1));
}
