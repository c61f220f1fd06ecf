//! Payloads that someone had removed before their time.

use super::*;
use crate::domain::legal_hold::HoldScope;
use crate::domain::operator::{Operator, Remark};
use crate::ports::store::{Expunged, HoldOrder, NotExpunged};

impl Committer {
    fn expunged(&mut self, id: DeliveryId) -> Result<Expunged, NotExpunged> {
        let Answer::Expunged(done) = self.one(Command::Expunge(id, Operator(1000), why())) else { panic!() };
        done
    }
}

fn why() -> Remark {
    Remark::new("INC0012345").unwrap()
}

/// Rows but the one that says where in the journal we are, here and made anew.
fn assert_made_anew(machine: &Machine, store: Committer) -> Committer {
    let of = || machine.index.rows().into_iter().filter(|(key, _)| key != b"M").collect::<Vec<_>>();
    let before = of();
    drop(store);
    machine.index.burn();
    let store = machine.open();
    assert_eq!(of(), before, "made anew from the journal");
    store
}

#[test]
fn a_small_payload_goes_with_its_volume_out_of_which_the_others_are_moved() {
    let machine = Machine::new();
    let mut store = machine.open();
    // Each in a group of its own, and far more lives of the volume than compaction would move.
    let [theirs, ..] = ["THEIRS", "A", "B", "C", "D"].map(|id| store.new_delivery(id, "bytes"));
    store.settle_all(&delivered());
    assert_eq!(volumes(&machine), 1);
    assert!(matches!(store.expunged(theirs), Ok(Expunged::WithVolume { .. })));
    assert_eq!(store.counters().retained.messages, 4);
    let mut store = assert_made_anew(&machine, store);
    let used = machine.disk.list("/state/spool/volumes".as_ref()).unwrap()[0].path.clone();
    (0..4).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    let left: Vec<_> = machine.disk.list("/state/spool/volumes".as_ref()).unwrap();
    assert!(left.iter().all(|entry| entry.path != used), "the volume is still there: {left:?}");
    assert_eq!(store.counters().retained.messages, 4);
    assert_made_anew(&machine, store);
}

#[test]
fn one_that_shares_its_group_stays_sealed_until_the_last_of_it_goes() {
    let machine = Machine::new();
    let mut store = machine.open();
    let Answer::Accepted(theirs) =
        store.commit(vec![accepting("THEIRS", "bytes"), accepting("OTHER", "bytes")]).unwrap().remove(0)
    else {
        panic!("not accepted")
    };
    let theirs = theirs.proof().unwrap().delivery();
    store.settle_all(&delivered());
    let until = machine.clock.wall().plus(7 * DAY);
    let done = store.expunged(theirs).unwrap();
    let Expunged::Shared { volume, shared_by: 1, until: Some(told) } = done else { panic!("{done:?}") };
    assert_eq!(told, until);
    let path = format!("/state/spool/volumes/{volume:020}.vol");
    (0..4).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert!(machine.disk.entry(path.as_ref()).unwrap().is_some(), "the other one needs it");
    assert_eq!(machine.disk.passes(crate::domain::step::Step::GroupMove), 0, "a copy would have it, too");
    machine.clock.pass(8 * DAY);
    settle_down(&machine, &mut store);
    store.commit(Vec::new()).unwrap();
    assert_eq!(machine.disk.entry(path.as_ref()).unwrap(), None);
    assert_made_anew(&machine, store);
}

#[test]
fn what_is_on_its_way_or_under_a_legal_hold_stays() {
    let machine = Machine::new();
    let mut store = machine.open();
    let waits = store.new_delivery("M1", "bytes");
    assert_eq!(store.expunged(waits), Err(NotExpunged::OnItsWay));
    let lease = store.lease(1, false).remove(0);
    assert_eq!(store.expunged(waits), Err(NotExpunged::OnItsWay));
    store.settle(lease, dead());
    let scope = HoldScope::Mailbox(mailbox());
    let Answer::LegalHold(Ok(hold)) =
        store.one(Command::LegalHold(HoldOrder::Add { scope, by: Operator(1), why: why() }))
    else {
        panic!("no hold")
    };
    assert_eq!(store.expunged(waits), Err(NotExpunged::LegallyHeld));
    store.one(Command::LegalHold(HoldOrder::Remove { hold, by: Operator(1), why: why() }));
    store.expunged(waits).unwrap();
    assert_eq!(store.expunged(waits), Err(NotExpunged::Unknown));
    assert_eq!(store.counters().dead.messages, 0);
}

#[test]
fn what_another_delivery_replays_is_that_ones() {
    use crate::ports::store::{Act, Order};
    let machine = Machine::new();
    let mut store = machine.open();
    let first = store.new_delivery("M1", "bytes");
    store.settle_all(&dead());
    let act = Act::Replay { force: false, again: false };
    store.one(Command::Act(Order { delivery: first, act, by: Operator(1), why: None }));
    let second = DeliveryId(store.head().sequence);
    assert_eq!(store.expunged(first), Err(NotExpunged::ReplayedAs(second)));
}
