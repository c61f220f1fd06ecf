//! What monitors know comes from the journal alone.

use super::*;
use crate::domain::course::Handling;
use crate::domain::ids::Name;
use crate::domain::monitor::{MonitorId, Numbered, Sighting, Turn};
use crate::domain::operator::{Operator, Remark};
use crate::ports::store::{Act, Acted, MOST_FLOWS, Monitored, Note, Order};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn of() -> MonitorId {
    MonitorId { pipeline: name("lab"), monitor: name("numbers") }
}

fn handling(flow: &str, number: u64) -> Option<Box<Handling>> {
    let number = Some(Numbered { flow: flow.into(), number });
    Some(Box::new(Handling {
        pipeline: name("lab"),
        file: "0123456789ab".into(),
        stages: Vec::new(),
        staging: None,
        publishing: None,
        seen: vec![Sighting { monitor: name("numbers"), number }],
    }))
}

impl Committer {
    /// A message with this number comes, and is settled so.
    fn number(&mut self, flow: &str, number: u64, settlement: Settlement) -> DeliveryId {
        let id = self.new_delivery(&format!("{flow}-{number}"), "bytes");
        self.handle(flow, number, settlement);
        id
    }

    fn handle(&mut self, flow: &str, number: u64, settlement: Settlement) {
        let mut lease = self.lease(1, false).remove(0);
        lease.handling = handling(flow, number);
        self.settle(lease, settlement);
    }

    fn monitored(&self) -> Monitored {
        self.watch().borrow().monitors.get(&of()).map(|known| Monitored::clone(known)).unwrap_or_default()
    }

    fn missing(&self, flow: &str) -> Vec<(u64, u64)> {
        self.monitored().flows[flow].sequence.gaps().iter().map(|gap| (gap.first, gap.last)).collect()
    }

    fn turn(&mut self, turn: Turn) {
        self.one(Command::Note(Note::Monitor { of: of(), turn }));
    }
}

#[test]
fn neither_a_death_nor_the_loss_of_the_index_changes_what_monitors_know() {
    let mut machine = Machine::new();
    let mut store = machine.open();
    for number in [7, 8, 12, 10] {
        machine.clock.pass(MINUTE);
        store.number("a", number, delivered());
        store.number("b", number * 100, dead());
    }
    store.turn(Turn::Raised);
    assert_eq!(store.missing("a"), [(9, 9), (11, 11)]);
    let known = store.monitored();
    assert!(known.alarmed.is_some());
    drop(store);

    let store = machine.open();
    assert_eq!(store.monitored(), known, "after a death");
    drop(store);
    machine.index = Memory::default();
    let mut store = machine.open();
    assert_eq!(store.monitored(), known, "made anew from the journal");

    // Through a checkpoint, too.
    machine.segment_bytes = 1 << 10;
    for number in 13..60 {
        store.number("a", number, delivered());
        store.commit(Vec::new()).unwrap();
    }
    let known = store.monitored();
    drop(store);
    machine.index = Memory::default();
    assert_eq!(machine.open().monitored(), known);
}

#[test]
fn rounds_and_replays_of_one_message_count_its_number_once() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.number("a", 7, delivered());
    let defer = Settlement::Defer { after: Duration::ZERO, reason: because(), outputs: Vec::new() };
    store.number("a", 8, defer);
    let last = store.monitored().last;
    store.handle("a", 8, dead());
    let id = store.set_aside_now()[0].delivery.id;
    machine.clock.pass(HOUR);
    let act = Act::Replay { force: false, again: false };
    let order = Order { delivery: id, act, by: Operator(0), why: None };
    let Answer::Acted(Ok(Acted::ReplayedAs(_))) = store.one(Command::Act(order)) else { panic!("not replayed") };
    store.handle("a", 8, delivered());
    let known = store.monitored();
    assert_eq!((known.flows["a"].sequence.again(), known.flows["a"].sequence.next()), (0, 9));
    assert_eq!(known.last, last, "a replay is no sign of life");
    store.number("a", 7_000_008, delivered());
    store.new_delivery("again", "bytes");
    store.handle("a", 8, delivered());
    assert_eq!(store.monitored().flows["a"].sequence.again(), 1, "another message with the same number is one");
}

#[test]
fn a_person_accepts_what_was_told_and_no_more() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.number("a", 7, delivered());
    store.number("a", 9, delivered());
    let until = store.monitored().flows["a"].sequence.gaps()[0].since;
    machine.clock.pass(MINUTE);
    store.number("a", 11, delivered());
    store.turn(Turn::Raised);
    store.turn(Turn::Accepted { until, by: Operator(1), why: Remark::new("the lab says it is void").unwrap() });
    assert_eq!(store.missing("a"), [(10, 10)]);
    assert_eq!(store.monitored().alarmed, None);
    store.turn(Turn::Ended);
    drop(store);
    assert_eq!(machine.open().monitored(), Monitored::default(), "all of it is forgotten");
}

/// Anybody can make up flows; one with something missing is never given up for them.
#[test]
fn flows_are_bounded() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.number("gap", 7, delivered());
    store.number("gap", 9, delivered());
    for flow in 0..2 * MOST_FLOWS as u64 {
        machine.clock.pass(MINUTE);
        store.number(&format!("{flow:03}"), 1, delivered());
    }
    let known = store.monitored();
    assert_eq!((known.flows.len(), known.unfollowed), (MOST_FLOWS, 0));
    assert_eq!(store.missing("gap"), [(8, 8)]);
    assert!(known.flows.contains_key("127") && !known.flows.contains_key("000"), "the quietest made room");
    drop(store);
    assert_eq!(machine.open().monitored(), known);
}
