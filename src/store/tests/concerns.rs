//! Whom messages concern, as the journal has it.

use super::*;
use crate::domain::operator::{Operator, Remark};
use crate::domain::patients::{Patients, Scan};
use crate::ports::store::{Act, Order};
use crate::store::journal::Records;
use crate::store::journal::event::Event;

const NUMBER: &str = "9990000018";

fn named() -> Patients {
    let mut scan = Scan::default();
    scan.look_at(NUMBER.as_bytes());
    scan.end()
}

impl Committer {
    fn settle_naming(&mut self, patients: Patients, settlement: Settlement) {
        let mut lease = self.lease(1, false).remove(0);
        lease.patients = Some(patients);
        self.settle(lease, settlement);
    }
}

/// The records from the first `concerns` on, by their kinds.
fn told(machine: &Machine) -> Vec<Event> {
    let mut records = Records::from(&machine.disk, "/state/journal".as_ref(), 1).unwrap();
    let mut told = Vec::new();
    while let Some(record) = records.read().unwrap() {
        if matches!(record.event, Event::Concerns { .. } | Event::Retry { .. } | Event::Held { .. }) {
            told.push(record.event);
        }
    }
    told
}

fn retry() -> Settlement {
    Settlement::Retry { after: MINUTE, reason: because() }
}

#[test]
fn it_is_told_once_before_the_settlement_however_often_it_is_tried() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.new_delivery("M1", "hello");
    store.settle_naming(named(), retry());
    drop(store);
    let mut store = machine.open();
    machine.clock.pass(HOUR);
    store.settle_naming(named(), retry());
    drop(store);
    let digest = DigestKey::new(machine.key).patient(&NUMBER.parse().unwrap());
    let told = told(&machine);
    assert_eq!(told[0], Event::Concerns { id, patients: vec![digest], more: false });
    assert!(matches!(told[1..], [Event::Retry { .. }, Event::Retry { .. }]), "{told:?}");
}

#[test]
fn what_a_person_puts_back_to_work_is_told_again() {
    let machine = Machine::new();
    let mut store = machine.open();
    let delivery = store.new_delivery("M1", "hello");
    let held = || Settlement::Held { reason: because(), outputs: Vec::new() };
    store.settle_naming(named(), held());
    let (act, why) = (Act::Release { force: true, again: false }, Remark::new("in a test").ok());
    store.one(Command::Act(Order { delivery, act, by: Operator(1000), why }));
    store.settle_naming(named(), held());
    drop(store);
    let told = told(&machine);
    assert_eq!(told.iter().filter(|event| matches!(event, Event::Concerns { .. })).count(), 2, "{told:?}");
}

#[test]
fn a_message_that_names_nobody_has_no_record_of_it() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "hello");
    store.settle_naming(Patients::default(), retry());
    drop(store);
    assert!(matches!(told(&machine)[..], [Event::Retry { .. }]));
}
