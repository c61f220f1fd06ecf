//! What operators do: the table of `store::acts`, and what follows from each act.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::staged::output;
use super::*;
use crate::domain::operator::{Operator, Remark};
use crate::domain::output::{OutputState, Progress, Publication};
use crate::domain::step::Step;
use crate::ports::spool::Spool as _;
use crate::ports::store::{Act, Acted, Delivery, NotAllowed, Order, SetAsideKind};

const REPLAY: Act = Act::Replay { force: false, again: false };
const REPLAY_FORCED: Act = Act::Replay { force: true, again: false };
const REPLAY_AGAIN: Act = Act::Replay { force: false, again: true };
const RELEASE: Act = Act::Release { force: false, again: false };
const RELEASE_FORCED: Act = Act::Release { force: true, again: false };

fn why() -> Option<Remark> {
    Remark::new("in a test").ok()
}

impl Committer {
    fn act(&mut self, delivery: DeliveryId, act: Act, why: Option<Remark>) -> Result<Acted, NotAllowed> {
        let order = Order { delivery, act, by: Operator(1000), why };
        let Answer::Acted(acted) = self.one(Command::Act(order)) else { panic!("another answer") };
        acted
    }

    pub(super) fn replayed(&mut self, delivery: DeliveryId) -> DeliveryId {
        match self.act(delivery, REPLAY, None) {
            Ok(Acted::ReplayedAs(id)) => id,
            other => panic!("{other:?}"),
        }
    }
}

/// Everything that a delivery can be when someone acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Unknown,
    Waiting,
    InWork,
    Suspect,
    Dead,
    DeadAsServed,
    Poison,
    Panicked,
    Held,
    HeldWithOutput,
    Reused,
    Lost,
    Delivered,
    DiscardedByRule,
    DiscardedByPerson,
    Replayed,
    HeldFromQueue,
    HeldFromDead,
    HeldFromAsServed,
    HeldFromPoison,
}

const ALL: [Is; 20] = [
    Is::Unknown,
    Is::Waiting,
    Is::InWork,
    Is::Suspect,
    Is::Dead,
    Is::DeadAsServed,
    Is::Poison,
    Is::Panicked,
    Is::Held,
    Is::HeldWithOutput,
    Is::Reused,
    Is::Lost,
    Is::Delivered,
    Is::DiscardedByRule,
    Is::DiscardedByPerson,
    Is::Replayed,
    Is::HeldFromQueue,
    Is::HeldFromDead,
    Is::HeldFromAsServed,
    Is::HeldFromPoison,
];

fn held(code: FaultCode, outputs: Vec<OutputState>) -> Settlement {
    Settlement::Held { reason: Reason::new(code, "in a test"), outputs }
}

fn died(code: FaultCode, cause: DeathCause) -> Settlement {
    Settlement::Dead { cause, reason: Reason::new(code, "in a test") }
}

/// A store with one delivery that is just so.
fn with(machine: &Machine, is: Is) -> (Committer, DeliveryId) {
    let mut store = machine.open();
    if let Is::DeadAsServed | Is::HeldFromAsServed = is {
        let Answer::Accepted(acceptance) = store.one(dead_on_arrival("M1")) else { panic!("not accepted") };
        let id = acceptance.proof().unwrap().delivery();
        if is == Is::HeldFromAsServed {
            store.act(id, Act::Hold, why()).unwrap();
        }
        return (store, id);
    }
    let id = store.new_delivery("M1", "bytes");
    store.acknowledge(id);
    let ended = match is {
        Is::Unknown => return (store, DeliveryId(4_711)),
        Is::Waiting => return (store, id),
        Is::InWork | Is::Suspect => {
            store.lease(1, false).into_iter().for_each(std::mem::forget);
            if is == Is::Suspect {
                drop(store);
                store = machine.open();
            }
            return (store, id);
        }
        Is::HeldFromQueue => {
            store.act(id, Act::Hold, why()).unwrap();
            return (store, id);
        }
        Is::Reused => {
            store.settle_all(&delivered());
            let acceptance = store.accept("M1", "other bytes");
            return (store, acceptance.proof().unwrap().delivery());
        }
        Is::DeadAsServed | Is::HeldFromAsServed => panic!("made above"),
        Is::Dead | Is::Replayed | Is::DiscardedByPerson | Is::HeldFromDead => dead(),
        Is::Poison | Is::HeldFromPoison => died(FaultCode::MsgPoison, DeathCause::Poison),
        Is::Panicked => died(FaultCode::MsgPanic, DeathCause::Poison),
        Is::Held => held(FaultCode::MsgTooOld, Vec::new()),
        Is::HeldWithOutput => held(FaultCode::OutUncertain, output(Progress::Held(FaultCode::OutUncertain))),
        Is::Lost => held(FaultCode::SpoolLost, Vec::new()),
        Is::Delivered => delivered(),
        Is::DiscardedByRule => Settlement::Discarded(because()),
    };
    store.settle_all(&ended);
    let then = [
        (Is::Replayed, REPLAY),
        (Is::DiscardedByPerson, Act::Discard),
        (Is::HeldFromDead, Act::Hold),
        (Is::HeldFromPoison, Act::Hold),
    ];
    if let Some((_, act)) = then.into_iter().find(|(of, _)| *of == is) {
        store.act(id, act, why()).unwrap();
    }
    (store, id)
}

/// What the table says: `None` is allowed.
fn refused(is: Is, act: Act) -> Option<NotAllowed> {
    use NotAllowed::*;
    let forced = Act::Replay { force: true, again: false } == act || RELEASE_FORCED == act;
    let again = act == REPLAY_AGAIN;
    let next = DeliveryId(0);
    Some(match (is, act) {
        (Is::Unknown, _) => Unknown,
        (Is::Waiting, Act::Hold) => return None,
        (Is::Waiting, _) => Waits,
        (Is::InWork | Is::Suspect, _) => InWork,
        (Is::Replayed, _) => ReplayedAs(next),
        (Is::DiscardedByPerson, _) => Discarded,
        (Is::DiscardedByRule, Act::Replay { .. }) => return None,
        (Is::DiscardedByRule, _) => Discarded,
        (Is::Delivered, Act::Replay { .. }) if again => return None,
        (Is::Delivered, Act::Replay { .. }) => NeedsAgain,
        (Is::Delivered, _) => Delivered,
        // From here on it is set aside.
        (_, Act::Discard) => return None,
        (Is::Dead | Is::DeadAsServed | Is::Poison | Is::Panicked, Act::Hold) => return None,
        (Is::Dead | Is::DeadAsServed | Is::Poison | Is::Panicked, Act::Release { .. }) => NotHeld,
        (_, Act::Hold) => AlreadyHeld,
        (Is::Lost, _) => Lost,
        (Is::DeadAsServed | Is::HeldFromAsServed, _) => AsServed,
        (Is::Poison | Is::HeldFromPoison, _) if !forced => NeedsForce(FaultCode::MsgPoison),
        (Is::Panicked, _) if !forced => NeedsForce(FaultCode::MsgPanic),
        (Is::Reused, _) if !forced => NeedsForce(FaultCode::MsgIdReused),
        (Is::HeldWithOutput, Act::Replay { .. }) if !again => NeedsAgain,
        _ => return None,
    })
}

#[test]
fn each_act_is_allowed_where_the_table_says_and_changes_nothing_elsewhere() {
    for is in ALL {
        for act in [REPLAY, REPLAY_FORCED, REPLAY_AGAIN, RELEASE, RELEASE_FORCED, Act::Hold, Act::Discard] {
            let machine = Machine::new();
            let (mut store, id) = with(&machine, is);
            let (head, before) = (store.head(), store.counters());
            let result = store.act(id, act, why());
            match (refused(is, act), result) {
                (None, Ok(_)) => assert_eq!(store.head().sequence, head.sequence + 1, "{is:?} {act:?}: one record"),
                (Some(NotAllowed::ReplayedAs(_)), Err(NotAllowed::ReplayedAs(next))) => assert!(next > id),
                (Some(expected), Err(refused)) => assert_eq!(refused, expected, "{is:?} {act:?}"),
                (expected, result) => panic!("{is:?} {act:?}: {expected:?} expected, {result:?}"),
            }
            if result.is_err() {
                assert_eq!((store.head(), store.counters()), (head, before), "{is:?} {act:?}");
            }
            let counters = store.counters();
            drop(store);
            machine.index.burn();
            let mut again = machine.open();
            let expected = MailboxOccupancy { next_due: again.counters().next_due, ..counters };
            assert_eq!(again.counters(), expected, "{is:?} {act:?}: made anew from the journal");
        }
    }
}

#[test]
fn what_needs_a_reason_is_not_done_without_one() {
    for (is, act) in [(Is::Dead, Act::Discard), (Is::Waiting, Act::Hold), (Is::Delivered, REPLAY_AGAIN)] {
        let machine = Machine::new();
        let (mut store, id) = with(&machine, is);
        assert_eq!(store.act(id, act, None), Err(NotAllowed::NeedsReason), "{is:?} {act:?}");
    }
}

#[test]
fn a_replay_is_a_new_delivery_with_the_payload_and_nothing_of_the_history() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    let old = store.new_delivery("M1", "bytes");
    store.acknowledge(old);
    let lease = store.lease(1, false).remove(0);
    store.settle(lease, Settlement::Retry { after: MINUTE, reason: because() });
    machine.clock.pass(HOUR);
    store.settle_all(&dead());

    let new = store.replayed(old);
    let lease = store.lease(9, false).remove(0);
    let Delivery { id, attempts, starts, continues, ref outputs, .. } = lease.delivery;
    assert_eq!((id, attempts, starts, continues), (new, 0, 1, Some(old)));
    assert!(outputs.is_empty());
    assert_eq!(spool.open(&lease).unwrap().payload.read_bounded(99).unwrap(), b"bytes");
    store.settle(lease, delivered());
    assert!(store.set_aside_now().is_empty());
    let counters = store.counters();
    assert_eq!((counters.retained.messages, counters.retained.bytes), (2, 5), "one payload, of two");
    assert!(matches!(store.accept("M1", "bytes"), Acceptance::Repeated(proof) if proof.delivery() == new));
}

#[test]
fn a_replay_of_a_small_letter_leaves_the_bytes_of_its_volume_as_they_are() {
    let machine = Machine::new();
    let mut store = machine.open();
    let old = store.new_delivery("M1", "bytes");
    store.settle_all(&dead());
    let before = bytes_of_volumes(&machine);
    assert!(before.values().any(|bytes| !bytes.is_empty()), "there is something to look at");
    store.replayed(old);
    assert_eq!(bytes_of_volumes(&machine), before, "a change of state, and no copy");
}

fn bytes_of_volumes(machine: &Machine) -> BTreeMap<PathBuf, Vec<u8>> {
    let content = |name: &Path| {
        let file = machine.disk.read(name).unwrap();
        let mut bytes = vec![0; file.length().unwrap() as usize];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
        bytes
    };
    let entries = machine.disk.list("/state/spool/volumes".as_ref()).unwrap();
    entries.into_iter().map(|entry| (entry.path.clone(), content(&entry.path))).collect()
}

#[test]
fn a_payload_lives_as_long_as_the_delivery_that_has_it_now() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    let old = store.new_delivery("M1", "bytes");
    store.acknowledge(old);
    store.settle_all(&dead());
    machine.clock.pass(29 * DAY);
    let new = store.replayed(old);
    store.settle_all(&held(FaultCode::MsgTooOld, Vec::new()));
    // The old one's thirty days end, in a volume that is no more written to.
    store.new_delivery("M2", "bytes");
    machine.clock.pass(2 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.act(old, REPLAY, None), Err(NotAllowed::Unknown), "its time is over");
    drop(store);
    let mut store = machine.open();
    assert_eq!(store.act(new, RELEASE, None), Ok(Acted::Released));
    let leases = store.lease(9, false);
    let lease = leases.iter().find(|lease| lease.delivery.id == new).expect("it is due");
    assert_eq!(spool.open(lease).unwrap().payload.read_bounded(99).unwrap(), b"bytes");
}

#[test]
fn a_release_is_the_same_delivery_and_only_outputs_held_are_to_be_staged_again() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.new_delivery("M1", "bytes");
    let lease = store.lease(1, false).remove(0);
    store.settle(lease, Settlement::Retry { after: Duration::ZERO, reason: because() });
    let states = [Progress::Published(Publication::Seen), Progress::Planned, Progress::Held(FaultCode::OutNameTaken)];
    let outputs = states.into_iter().flat_map(output).collect();
    store.settle_all(&held(FaultCode::OutNameTaken, outputs));

    assert_eq!(store.act(id, RELEASE, None), Ok(Acted::Released));
    let lease = store.lease(1, false).remove(0);
    let now: Vec<_> = lease.delivery.outputs.iter().map(|output| output.progress.clone()).collect();
    let reopened = Progress::Reopened(FaultCode::OutNameTaken);
    assert_eq!(now, [Progress::Published(Publication::Seen), Progress::Planned, reopened]);
    assert_eq!((lease.delivery.id, lease.delivery.attempts), (id, 1));
}

#[test]
fn what_is_poison_is_tried_with_nothing_else_in_work() {
    for (is, act) in [(Is::Poison, REPLAY_FORCED), (Is::HeldFromPoison, RELEASE_FORCED)] {
        let machine = Machine::new();
        let (mut store, id) = with(&machine, is);
        store.act(id, act, None).unwrap();
        store.new_delivery("M2", "bytes");
        assert_eq!(store.lease(9, false).len(), 0, "{is:?}: others wait");
        let leases = store.lease(9, true);
        assert_eq!(leases.len(), 1);
        assert_eq!(leases[0].delivery.solo_deaths, 0, "what it did before is forgiven once");
    }
}

#[test]
fn what_is_discarded_leaves_the_list_and_the_budget_and_its_payload_goes_in_its_time() {
    let machine = Machine::new();
    let (mut store, id) = with(&machine, Is::Held);
    assert_eq!(store.act(id, Act::Discard, why()), Ok(Acted::Discarded));
    let counters = store.counters();
    assert_eq!((counters.held.messages, counters.dead.messages, counters.retained.messages), (0, 0, 1));
    assert!(store.set_aside_now().is_empty());
    machine.clock.pass(8 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counters().retained.messages, 0);
    assert!(matches!(store.accept("M1", "bytes"), Acceptance::New(_)), "it was not delivered");
}

#[test]
fn a_dead_letter_that_is_held_stays_and_keeps_its_reason() {
    let machine = Machine::new();
    let (mut store, id) = with(&machine, Is::HeldFromDead);
    machine.clock.pass(60 * DAY);
    settle_down(&machine, &mut store);
    let aside = store.set_aside_now().remove(0);
    assert_eq!((aside.delivery.id, aside.kind, aside.reason), (id, SetAsideKind::Held, because()));
    let (mut store, _) = with(&Machine::new(), Is::HeldFromQueue);
    let reason = store.set_aside_now().remove(0).reason;
    assert_eq!((reason.code, reason.detail.as_str()), (FaultCode::OperatorHeld, "in a test"));
}

#[test]
fn a_payload_lost_with_the_commit_that_handed_it_on_is_lost_to_whoever_has_it() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    store.settle_all(&delivered());
    machine.clock.pass(2 * MINUTE);
    store.one(Command::Barrier);
    // Accepted, held for its other bytes, and replayed, all in one commit and in a volume of its own.
    let id = DeliveryId(store.head().sequence + 1);
    let order = Order { delivery: id, act: REPLAY_FORCED, by: Operator(1000), why: None };
    let answers = store.commit(vec![accepting("M1", "other bytes"), Command::Act(order)]).unwrap();
    let [_, Answer::Acted(Ok(Acted::ReplayedAs(new)))] = answers[..] else { panic!("{answers:?}") };
    drop(store);
    let volumes = machine.disk.list("/state/spool/volumes".as_ref()).unwrap();
    machine.disk.remove(Step::SpoolRemove, &volumes.last().expect("a volume").path).unwrap();

    let mut store = machine.open();
    let aside = store.set_aside_now().remove(0);
    assert_eq!((aside.delivery.id, aside.reason.code), (new, FaultCode::SpoolLost));
    assert_eq!(store.act(new, REPLAY, None), Err(NotAllowed::Lost));
    assert_eq!(store.act(new, Act::Discard, why()), Ok(Acted::Discarded));
}

#[test]
fn what_was_kept_as_served_is_not_compared_with_what_comes_later_and_decodes() {
    for is_discarded in [false, true] {
        let mut store = Machine::new().open();
        let Answer::Accepted(Acceptance::New(dead)) = store.one(dead_on_arrival("M1")) else { panic!("not kept") };
        store.acknowledge(dead.delivery());
        if is_discarded {
            assert_eq!(store.act(dead.delivery(), Act::Discard, why()), Ok(Acted::Discarded));
        }
        assert!(matches!(store.accept("M1", "whole"), Acceptance::New(_)), "put back by MESH");
        assert_eq!(store.counters().held.messages, 0);
        assert_eq!(store.lease(1, false)[0].delivery.continues, Some(dead.delivery()));
    }
}
