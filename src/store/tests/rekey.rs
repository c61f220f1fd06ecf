//! Another HMAC key takes the place of the present one, which is still known.

use super::retain::take_in_chunks;
use super::*;
use crate::domain::legal_hold::HoldScope;
use crate::domain::nhs_number::NhsNumber;
use crate::domain::operator::{Operator, Remark};
use crate::domain::patients::Patients;
use crate::ports::spool::Spool as _;
use crate::ports::store::HoldOrder;

const SECOND: &[u8] = b"the second key of thirty-two bytes";

fn rotate(machine: &mut Machine) {
    machine.former.insert(0, machine.key);
    machine.key = SECOND;
}

fn large(spool: &Spool) -> Command {
    let body = IncomingBody::Large(take_in_chunks(spool, "BIG", 2).finish().unwrap());
    let envelope = Envelope { chunks: 2, ..envelope("BIG") };
    Command::Accept(Box::new(Incoming { envelope, body, verdict: None, arrival: Arrival::default() }))
}

#[test]
fn what_came_under_the_old_key_is_no_other_content_when_it_comes_again() {
    let mut machine = Machine::new();
    machine.segment_bytes = 1;
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    let small = store.new_delivery("M1", "bytes");
    store.one(large(&spool));
    store.settle_all(&delivered());
    // Closed segments, whose files of seen messages go by the old key.
    settle_down(&machine, &mut store);
    drop(store);
    rotate(&mut machine);
    for burns in [false, true] {
        if burns {
            machine.index.burn();
        }
        let parts = machine.parts();
        let spool = parts.spool.0.clone();
        let mut store = Committer::open(parts).unwrap();
        assert!(matches!(store.accept("M1", "bytes"), Acceptance::Repeated(proof) if proof.delivery() == small));
        let answer = store.one(large(&spool));
        assert!(matches!(answer, Answer::Accepted(Acceptance::Repeated(_))), "{answer:?}");
        assert_eq!(store.set_aside_now(), [], "nothing is taken for other content");
    }
    let mut store = machine.open();
    store.accept("M1", "other");
    let aside = store.set_aside_now();
    assert!(matches!(&aside[..], [aside] if aside.reason.code == FaultCode::MsgIdReused), "other content is seen");
}

#[test]
fn a_fetch_begun_under_the_old_key_begins_anew() {
    let mut machine = Machine::new();
    let spool = machine.parts().spool.0;
    drop(take_in_chunks(&spool, "BIG", 1));
    assert_eq!(machine.parts().spool.0.intake(&Envelope { chunks: 2, ..envelope("BIG") }).unwrap().kept(), 1);
    rotate(&mut machine);
    assert_eq!(machine.parts().spool.0.intake(&Envelope { chunks: 2, ..envelope("BIG") }).unwrap().kept(), 0);
}

#[test]
fn a_legal_hold_of_before_keeps_what_comes_about_the_same_person() {
    let number: NhsNumber = "999 000 0018".parse().unwrap();
    let mut machine = Machine::new();
    let mut store = machine.open();
    let scope = HoldScope::Patients(vec![DigestKey::new(machine.key).patient(&number)]);
    let (by, why) = (Operator(1000), Remark::new("inquiry").unwrap());
    let Answer::LegalHold(Ok(hold)) = store.one(Command::LegalHold(HoldOrder::Add { scope, by, why })) else {
        panic!()
    };
    store.one(Command::LegalHold(HoldOrder::Complete { hold }));
    drop(store);
    rotate(&mut machine);
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    let mut lease = store.lease(1, false).remove(0);
    lease.patients = Some(Patients { numbers: [number].into(), more: false });
    store.settle(lease, delivered());
    machine.clock.pass(20 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counters().retained.messages, 1, "its time is over, and it is kept");
}

#[test]
fn the_old_key_is_needed_as_long_as_what_it_knows_may_come_again() {
    let mut machine = Machine::new();
    machine.open();
    rotate(&mut machine);
    machine.open();
    let former = std::mem::take(&mut machine.former);
    let halt = machine.refuses_to_open();
    assert!(halt.0.contains("keep it in keys.retired_hmac until"), "{halt}");
    // A clock that was set while nothing ran would prove nothing.
    machine.former = former;
    let mut store = machine.open();
    machine.clock.pass(46 * DAY);
    store.commit(Vec::new()).unwrap();
    store.accept("M1", "bytes");
    drop(store);
    machine.former.clear();
    machine.open();
}
