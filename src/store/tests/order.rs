//! A mailbox whose deliveries are handled in the order of their acceptance.

use super::*;

impl Machine {
    fn strict() -> Self {
        Self { strict: [mailbox()].into(), ..Self::new() }
    }
}

impl Committer {
    /// The one delivery that may be worked on now, if there is one.
    fn next(&mut self) -> Option<Lease> {
        let mut leases = self.lease(10, false);
        assert!(leases.len() <= 1, "one at a time");
        leases.pop()
    }

    /// Works on the next one, which must be `id`.
    fn work_on(&mut self, id: DeliveryId, settlement: Settlement) {
        let lease = self.next().expect("one is due");
        assert_eq!(lease.delivery.id, id);
        self.settle(lease, settlement);
    }
}

fn deferred() -> Settlement {
    Settlement::Defer { after: MINUTE, reason: because(), outputs: Vec::new() }
}

fn retried() -> Settlement {
    Settlement::Retry { after: MINUTE, reason: because() }
}

fn held() -> Settlement {
    Settlement::Held { reason: because(), outputs: Vec::new() }
}

#[test]
fn what_waits_keeps_back_what_was_accepted_after_it() {
    let machine = Machine::strict();
    let mut store = machine.open();
    let [first, second] = ["M1", "M2"].map(|id| store.new_delivery(id, "bytes"));
    for wait in [deferred(), retried()] {
        store.work_on(first, wait);
        assert_eq!(store.lease(10, false).len(), 0, "the second is due, and waits for its turn");
        assert_eq!(store.counters().next_due, Some(machine.clock.wall().plus(MINUTE)));
        machine.clock.pass(MINUTE);
    }
    let in_work = store.next().expect("the first is due");
    assert_eq!(in_work.delivery.id, first);
    assert_eq!(store.lease(10, false).len(), 0, "nothing else while it is in work");
    assert_eq!(store.counters().next_due, None);
    store.settle(in_work, Settlement::Release);
    store.work_on(first, delivered());
    store.work_on(second, delivered());
    assert_eq!(store.lease(10, false).len(), 0);
}

#[test]
fn dead_and_held_ones_keep_nothing_back_and_a_replay_is_the_last_in_the_order() {
    let machine = Machine::strict();
    let mut store = machine.open();
    let [one, two, three] = ["M1", "M2", "M3"].map(|id| store.new_delivery(id, "bytes"));
    store.work_on(one, dead());
    store.work_on(two, held());
    let replayed = store.replayed(one);
    store.work_on(three, deferred());
    assert_eq!(store.lease(10, false).len(), 0);
    machine.clock.pass(MINUTE);
    store.work_on(three, delivered());
    store.work_on(replayed, delivered());
}

#[test]
fn the_order_holds_across_deaths_power_cuts_and_the_loss_of_the_index() {
    let mut machine = Machine::strict();
    let mut store = machine.open();
    let [first, second] = ["M1", "M2"].map(|id| store.new_delivery(id, "bytes"));
    std::mem::forget(store.next());
    drop(store);

    let mut store = machine.open();
    assert_eq!(store.lease(10, false).len(), 0, "the first is a suspect");
    let suspect = store.lease(10, true).pop().expect("it is tried alone");
    assert_eq!(suspect.delivery.id, first);
    store.settle(suspect, deferred());
    assert_eq!(store.lease(10, false).len(), 0);
    drop(store);

    machine.disk.crash();
    machine.index.burn();
    machine.boot = "boot-2";
    let mut store = machine.open();
    assert_eq!(store.lease(10, false).len(), 0);
    machine.clock.pass(MINUTE);
    store.work_on(first, delivered());
    store.work_on(second, delivered());
}

#[test]
fn a_mailbox_that_comes_to_keep_order_tries_its_suspects_in_order_and_stops_nobody_meanwhile() {
    let mut machine = Machine::new();
    let mut store = machine.open();
    let [first, second] = ["M1", "M2"].map(|id| store.new_delivery(id, "bytes"));
    store.lease(10, false).into_iter().for_each(std::mem::forget);
    drop(store);

    machine.strict = [mailbox()].into();
    let mut store = machine.open();
    let suspect = store.lease(10, true).pop().expect("it is tried alone");
    assert_eq!(suspect.delivery.id, first);
    store.settle(suspect, deferred());
    assert_eq!(store.lease(10, true).len(), 0, "the second suspect waits for its turn");
    machine.clock.pass(MINUTE);
    store.work_on(first, delivered());
    let suspect = store.lease(10, true).pop().expect("it is tried alone");
    assert_eq!(suspect.delivery.id, second);
    store.settle(suspect, delivered());
}

#[test]
fn a_mailbox_that_keeps_order_no_longer_gives_all_that_is_due() {
    let mut machine = Machine::strict();
    let mut store = machine.open();
    for id in ["M1", "M2", "M3"] {
        store.new_delivery(id, "bytes");
    }
    store.next().map(|lease| store.settle(lease, deferred())).expect("one is due");
    drop(store);
    machine.strict.clear();
    let mut store = machine.open();
    assert!(store.counters().next_due.is_some_and(|due| due <= machine.clock.wall()), "the second is due");
    assert_eq!(store.lease(10, false).len(), 2);
}
