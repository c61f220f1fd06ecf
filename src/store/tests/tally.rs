//! What is kept for how long, counted.

use super::*;
use crate::domain::legal_hold::HoldScope;
use crate::domain::operator::{Operator, Remark};
use crate::ports::store::{Act, Class, FoundRetention, HoldOrder, Kept, LookUp, Order, RetentionPage, Tally};

impl Committer {
    fn tallied(&mut self, until: Timestamp) -> FoundRetention {
        let Answer::Tally(found) = self.one(Command::Tally(RetentionPage { after: None, until })) else { panic!() };
        found
    }

    fn looked_up(&mut self, wanted: LookUp) -> Vec<Kept> {
        let Answer::LookedUp(kept) = self.one(Command::LookUp(wanted)) else { panic!() };
        kept
    }
}

fn why() -> Option<Remark> {
    Remark::new("INC0012345").ok()
}

fn of(found: &FoundRetention, class: Class) -> Tally {
    found.tallies.iter().find(|tally| tally.class == class).cloned().unwrap_or_else(|| panic!("{class:?}: {found:?}"))
}

#[test]
fn each_class_says_how_much_it_keeps_and_when_the_next_goes() {
    let machine = Machine::new();
    let mut store = machine.open();
    let begun = machine.clock.wall();
    store.new_delivery("EARLY", "bytes");
    store.settle_all(&delivered());
    machine.clock.pass(DAY);
    let kept = store.new_delivery("KEPT", "bytes");
    store.settle_all(&delivered());
    let dies = store.new_delivery("DIES", "bytes");
    store.settle_all(&dead());
    let order = Order { delivery: dies, act: Act::Replay { force: false, again: false }, by: Operator(1), why: None };
    store.one(Command::Act(order));
    let (scope, why) = (HoldScope::Delivery(kept), why().unwrap());
    store.one(Command::LegalHold(HoldOrder::Add { scope, by: Operator(1), why }));

    let found = store.tallied(begun.plus(6 * DAY));
    let delivered = of(&found, Class::Delivered);
    assert_eq!((delivered.amount.messages, delivered.amount.bytes, delivered.oldest), (2, 10, begun));
    assert_eq!((delivered.next, delivered.goes.messages), (Some(begun.plus(7 * DAY)), 0), "none goes before its time");
    assert_eq!((delivered.kept.messages, delivered.kept.bytes), (1, 5));
    let waiting = of(&found, Class::Waiting);
    assert_eq!((waiting.amount.messages, waiting.next), (1, None));
    let replayed = of(&found, Class::Replayed);
    assert_eq!((replayed.amount.messages, replayed.amount.bytes), (1, 0), "its payload is another's");
    assert_eq!((found.segments.count, found.seen.count), (1, 3));
    assert!(found.segments.bytes > 0 && found.segments.oldest == Some(begun), "{:?}", found.segments);

    let later = store.tallied(begun.plus(9 * DAY));
    assert_eq!(of(&later, Class::Delivered).goes.messages, 1, "the other one is under a legal hold");
}

#[test]
fn segments_and_seen_ids_say_when_the_next_go() {
    let mut machine = Machine::new();
    machine.segment_bytes = 400;
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    (0..20).for_each(|_| {
        machine.clock.pass(HOUR);
        store.one(Command::Note(crate::ports::store::Note::ClockStep { milliseconds: 1 }));
    });
    let (now, found) = (machine.clock.wall(), store.tallied(Timestamp(0)));
    let next = found.segments.next.expect("there are several");
    assert!(found.segments.count > 2 && next > now.plus(8 * 365 * DAY) && next < now.plus(8 * 366 * DAY), "{found:?}");
    let next = found.seen.next.expect("some are closed");
    assert!(next > now.plus(44 * DAY) && next < now.plus(45 * DAY), "{found:?}");
}

#[test]
fn counting_goes_on_where_it_stopped_and_counts_all() {
    let machine = Machine::new();
    let mut store = machine.open();
    for batch in 0..9 {
        store.commit((0..250).map(|number| dead_on_arrival(&format!("D{batch}-{number}"))).collect()).unwrap();
    }
    let (mut after, mut count, mut pages) = (None, 0, 0);
    loop {
        let page = RetentionPage { after, until: Timestamp(0) };
        let Answer::Tally(found) = store.one(Command::Tally(page)) else { panic!() };
        count += found.tallies.iter().map(|tally| tally.amount.messages).sum::<u64>();
        (after, pages) = (found.rest, pages + 1);
        if after.is_none() {
            break;
        }
    }
    assert_eq!((count, pages), (2_250, 2));
}

#[test]
fn what_is_looked_up_is_told_with_what_replays_it_and_all_its_lives() {
    let machine = Machine::new();
    let mut store = machine.open();
    let first = store.new_delivery("M1", "bytes");
    store.acknowledge(first);
    store.settle_all(&dead());
    let order = Order { delivery: first, act: Act::Discard, by: Operator(1), why: why() };
    store.one(Command::Act(order));
    let second = store.new_delivery("M1", "bytes");
    store.settle_all(&dead());
    let order = Order { delivery: second, act: Act::Replay { force: false, again: false }, by: Operator(1), why: None };
    store.one(Command::Act(order));
    let classes = |kept: Vec<Kept>| kept.into_iter().map(|kept| (kept.delivery.id, kept.class)).collect::<Vec<_>>();
    let third = DeliveryId(store.head().sequence);
    let by_id = classes(store.looked_up(LookUp::Deliveries(vec![second, DeliveryId(999)])));
    assert_eq!(by_id, [(second, Class::Replayed), (third, Class::Waiting)]);
    let by_message = classes(store.looked_up(LookUp::Messages(vec![(mailbox(), message("M1"))])));
    assert_eq!(by_message, [(first, Class::Discarded), (second, Class::Replayed), (third, Class::Waiting)]);
    assert!(store.looked_up(LookUp::Messages(vec![(mailbox(), message("M2"))])).is_empty());
}
