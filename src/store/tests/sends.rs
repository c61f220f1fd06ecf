//! What goes out: one at a time, and never forgotten how far it came.

use super::*;
use crate::domain::digest::ContentDigest;
use crate::domain::operator::{Operator, Remark};
use crate::domain::pair::Pair;
use crate::domain::sending::{Outgoing, Sending};
use crate::domain::step::Step;
use crate::ports::store::{
    Act, Acted, Amount, Class, FoundAtMesh, LookUp, NextSend, NotAllowed, Order, SendOrder, SendPage, Sent,
};
use crate::store::command::SendCommand;
use crate::store::disk::Side;

fn order(id: &str, bytes: &'static str) -> Command {
    order_of(id, bytes, None)
}

fn order_of(id: &str, bytes: &'static str, pair: Option<Pair>) -> Command {
    sending(id, bytes, |outgoing| outgoing.pair = pair)
}

pub(super) fn sending(id: &str, bytes: &'static str, of: impl FnOnce(&mut Outgoing)) -> Command {
    let to = MailboxId::new("X26ABC2").ok();
    let mut outgoing =
        Outgoing { to, chunk: 1_000, compress: false, progress: Sending::Ready, pair: None, onward: None };
    of(&mut outgoing);
    let body = IncomingBody::Small(Bytes::from_static(bytes.as_bytes()));
    Command::Send(SendCommand::Queue(Box::new(SendOrder {
        envelope: envelope(id),
        body,
        outgoing,
        by: Operator(1000),
    })))
}

fn uploading(sent: u32) -> Sending {
    Sending::Uploading { message: message("AT-MESH"), sent }
}

fn accepted() -> Sending {
    Sending::Accepted { message: message("AT-MESH") }
}

impl Committer {
    fn queue_one(&mut self, id: &str) -> DeliveryId {
        let Answer::SendQueued(queued) = self.one(order(id, "bytes")) else { panic!("another answer") };
        queued.unwrap()
    }

    fn asked_for_send(&mut self) -> NextSend {
        let Answer::NextSend(next) = self.one(Command::Send(SendCommand::Lease(mailbox()))) else { panic!() };
        next
    }

    fn lease_send(&mut self) -> Lease {
        let NextSend::Lease(lease) = self.asked_for_send() else { panic!("nothing to send") };
        *lease
    }

    fn came(&mut self, id: DeliveryId, progress: Sending) {
        let answer = self.one(Command::Send(SendCommand::Progress(id, progress)));
        assert!(matches!(answer, Answer::Done), "{answer:?}");
    }

    pub(super) fn ledger(&mut self) -> Vec<Sent> {
        let page = SendPage { mailbox: Some(mailbox()), lying: false, after: None, count: 100 };
        let Answer::Sends(sends) = self.one(Command::Send(SendCommand::List(page))) else { panic!() };
        sends
    }

    fn sends_stand(&mut self) -> Vec<(Class, Sending)> {
        let of = |sent: Sent| (sent.class, sent.delivery.outgoing.unwrap().progress);
        self.ledger().into_iter().map(of).collect()
    }

    fn order(&mut self, delivery: DeliveryId, act: Act) -> Result<Acted, NotAllowed> {
        let why = Remark::new("in a test").ok();
        let Answer::Acted(acted) = self.one(Command::Act(Order { delivery, act, by: Operator(1000), why })) else {
            panic!("another answer")
        };
        acted
    }
}

#[test]
fn what_goes_out_has_a_queue_of_its_own_and_ends_as_any_delivery() {
    let machine = Machine::new();
    let mut store = machine.open();
    let (first, second) = (store.queue_one("OURS-1"), store.queue_one("OURS-2"));
    let counters = store.counters();
    assert_eq!((counters.sending, counters.queued), (Amount { messages: 2, bytes: 10 }, Amount::default()));
    assert!(store.lease(9, false).is_empty(), "no pipeline gets it");
    let lease = store.lease_send();
    assert_eq!(lease.delivery.id, first);
    store.came(first, Sending::Begun);
    store.came(first, uploading(1));
    store.came(first, accepted());
    store.settle(lease, delivered());
    let lease = store.lease_send();
    assert_eq!(lease.delivery.id, second);
    let reason = because();
    store.settle(lease, Settlement::Defer { after: MINUTE, reason, outputs: Vec::new() });
    assert!(matches!(store.asked_for_send(), NextSend::NotBefore(Some(_))));
    assert_eq!(store.sends_stand(), [(Class::Delivered, accepted()), (Class::Waiting, Sending::Ready)]);
    machine.clock.pass(MINUTE);
    assert_eq!(store.lease_send().delivery.id, second);
    store.state.audit(store.index.as_ref()).unwrap();
    assert_eq!(store.watch().borrow().suspects, 0);
    machine.clock.pass(40 * DAY);
    (0..3).for_each(|_| settle_down(&machine, &mut store));
    assert_eq!(store.ledger().len(), 1, "what ended goes in its time");
    store.state.audit(store.index.as_ref()).unwrap();
}

#[test]
fn a_death_of_the_daemon_makes_no_suspect_and_forgets_nothing() {
    for progress in [Sending::Ready, Sending::Begun, uploading(3), accepted()] {
        for burns in [false, true] {
            let machine = Machine::new();
            let mut store = machine.open();
            let id = store.queue_one("OURS");
            let lease = store.lease_send();
            if progress != Sending::Ready {
                store.came(id, progress.clone());
            }
            std::mem::forget(lease);
            drop(store);
            if burns {
                machine.index.burn();
            }
            let mut store = machine.open();
            store.new_delivery("IN", "bytes");
            assert_eq!(store.lease(9, false).len(), 1, "mail that comes in does not wait for it");
            assert_eq!(store.sends_stand(), [(Class::Waiting, progress.clone())]);
            let lease = store.lease_send();
            assert_eq!((lease.delivery.id, lease.delivery.solo_deaths), (id, 0));
            store.state.audit(store.index.as_ref()).unwrap();
        }
    }
}

#[test]
fn a_crash_at_any_step_leaves_a_message_whole_or_not_at_all() {
    for step in [Step::GroupWrite, Step::VolumeSync, Step::JournalWrite, Step::JournalSync] {
        for side in [Side::Before, Side::After] {
            let machine = Machine::new();
            let mut store = machine.open();
            store.one(Command::Barrier);
            machine.disk.stop_at(step, 1, side);
            assert!(store.commit(vec![order("OURS", "bytes")]).is_err(), "{step:?} {side:?}: the stop was not reached");
            drop(store);
            machine.disk.crash();
            let parts = machine.parts();
            let spool = parts.spool.0.clone();
            let mut store = Committer::open(parts).unwrap();
            let ledger = store.ledger();
            // Before the journal is synced a power cut may keep what was written, or not.
            match (step, side) {
                (Step::JournalSync, Side::After) => assert_eq!(ledger.len(), 1, "it is durable"),
                (Step::JournalWrite, Side::After) | (Step::JournalSync, _) => assert!(ledger.len() <= 1),
                (_, _) => assert_eq!(ledger.len(), 0, "{step:?} {side:?}: no record names it"),
            }
            for Sent { delivery, class, .. } in &ledger {
                let opened = spool.reader().open(&delivery.mailbox, &delivery.message_id, &delivery.location).unwrap();
                assert_eq!(opened.payload.read_bounded(100).unwrap(), b"bytes", "{step:?} {side:?}");
                assert_eq!(*class, Class::Waiting);
            }
            store.state.audit(store.index.as_ref()).unwrap();
            store.queue_one("OTHER");
            assert_eq!(store.lease_send().delivery.length, 5, "{step:?} {side:?}: it goes on");
        }
    }
}

#[test]
fn what_is_sent_once_more_is_another_send_and_mesh_has_nothing_of_it() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.queue_one("OURS");
    let lease = store.lease_send();
    store.came(id, accepted());
    store.settle(lease, delivered());
    let again = |again| Act::Replay { force: false, again };
    assert_eq!(store.order(id, again(false)), Err(NotAllowed::NeedsAgain));
    let Ok(Acted::ReplayedAs(next)) = store.order(id, again(true)) else { panic!("not sent again") };
    assert_eq!(store.sends_stand(), [(Class::Replayed, accepted()), (Class::Waiting, Sending::Ready)]);
    assert_eq!(store.lease_send().delivery.id, next);
    store.state.audit(store.index.as_ref()).unwrap();
}

#[test]
fn what_mesh_may_have_is_sent_again_only_if_somebody_says_so() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.queue_one("OURS");
    let lease = store.lease_send();
    store.came(id, Sending::Begun);
    let reason = Reason::new(FaultCode::SendUnknown, "no answer");
    store.settle(lease, Settlement::Held { reason, outputs: Vec::new() });
    assert_eq!(store.order(id, Act::Release { force: false, again: false }), Err(NotAllowed::NeedsAgain));
    assert_eq!(store.order(id, Act::Replay { force: false, again: false }), Err(NotAllowed::NeedsAgain));
    store.order(id, Act::Release { force: false, again: true }).unwrap();
    assert_eq!(store.sends_stand(), [(Class::Waiting, Sending::Ready)]);
}

#[test]
fn a_mailbox_that_rests_sends_nothing() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.queue_one("OURS");
    let (by, why) = (Operator(1000), Remark::new("in a test").unwrap());
    store.one(Command::Note(crate::ports::store::Note::MailboxSuspended { mailbox: mailbox(), by, why: why.clone() }));
    assert!(matches!(store.asked_for_send(), NextSend::NotBefore(None)));
    store.one(Command::Note(crate::ports::store::Note::MailboxResumed { mailbox: mailbox(), by, why: Some(why) }));
    store.lease_send();
}

fn report(id: &str, linked: &str) -> Command {
    let status = Status { code: Some("14".to_owned()), ..Status::default() };
    let linked_message_id = Some(message(linked));
    let envelope = Envelope { kind: MessageKind::Report, linked_message_id, status, chunks: 0, ..envelope(id) };
    let body = IncomingBody::Small(Bytes::new());
    Command::Accept(Box::new(Incoming { envelope, body, verdict: None, arrival: Arrival::default() }))
}

#[test]
fn a_report_is_matched_with_what_went_out_under_the_id_that_it_names() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.queue_one("OURS");
    let lease = store.lease_send();
    store.came(id, accepted());
    store.settle(lease, delivered());
    store.one(report("REPORT-1", "ANOTHERS"));
    assert_eq!(store.sends_stand(), [(Class::Delivered, accepted())], "of another's message it says nothing");
    store.one(report("REPORT-2", "AT-MESH"));
    let undelivered = Sending::Undelivered { message: message("AT-MESH"), code: Some("14".to_owned()) };
    assert_eq!(store.sends_stand(), [(Class::Delivered, undelivered.clone())]);
    let meant_for: Vec<_> = store.lease(9, false).iter().map(|lease| lease.delivery.meant_for.clone()).collect();
    assert_eq!(meant_for, [None, MailboxId::new("X26ABC2").ok()], "the reports go to their pipeline as any mail");
    drop(store);
    machine.index.burn();
    assert_eq!(machine.open().sends_stand(), [(Class::Delivered, undelivered)]);
}

#[test]
fn a_person_may_find_what_got_no_answer_and_nothing_else() {
    let machine = Machine::new();
    let mut store = machine.open();
    let find = |delivery| FoundAtMesh {
        delivery,
        message: message("AT-MESH"),
        by: Operator(1000),
        why: Remark::new("they have it").unwrap(),
    };
    let resolve = |store: &mut Committer, delivery| {
        let Answer::SendResolved(done) = store.one(Command::Send(SendCommand::Resolve(find(delivery)))) else {
            panic!()
        };
        done
    };
    let id = store.queue_one("OURS");
    assert_eq!(resolve(&mut store, id), Err(NotAllowed::NotUnknown), "it waits");
    let lease = store.lease_send();
    store.came(id, Sending::Begun);
    assert_eq!(resolve(&mut store, id), Err(NotAllowed::NotUnknown), "it is being found out");
    let reason = Reason::new(FaultCode::SendUnknown, "no answer");
    store.settle(lease, Settlement::Held { reason, outputs: Vec::new() });
    assert_eq!(resolve(&mut store, id), Ok(()));
    assert_eq!(store.sends_stand(), [(Class::Delivered, accepted())]);
    assert_eq!(resolve(&mut store, id), Err(NotAllowed::NotUnknown), "once");
    assert_eq!(resolve(&mut store, DeliveryId(999)), Err(NotAllowed::Unknown));
    store.state.audit(store.index.as_ref()).unwrap();
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing_under_its_id() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.queue_one("OURS");
    let lease = store.lease_send();
    store.came(id, uploading(1));
    store.came(id, Sending::Ready);
    store.settle(lease, dead());
    store.state.audit(store.index.as_ref()).unwrap();
    store.one(report("REPORT", "AT-MESH"));
    assert_eq!(store.sends_stand(), [(Class::Dead, Sending::Ready)]);
}

#[test]
fn what_goes_out_is_found_by_the_id_that_its_payload_lies_under() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.queue_one("OURS");
    store.queue_one("OTHER");
    let lease = store.lease_send();
    store.came(id, accepted());
    store.settle(lease, delivered());
    let Ok(Acted::ReplayedAs(again)) = store.order(id, Act::Replay { force: false, again: true }) else { panic!() };
    let came_in = store.new_delivery("IN", "bytes");
    let wanted = ["OURS", "IN", "UNKNOWN"].map(|id| (mailbox(), message(id))).to_vec();
    let Answer::LookedUp(kept) = store.one(Command::LookUp(LookUp::Messages(wanted))) else { panic!() };
    let mut found: Vec<_> = kept.into_iter().map(|kept| kept.delivery.id).collect();
    found.sort();
    assert_eq!(found, [id, again, came_in]);
}

#[test]
fn what_became_of_a_send_that_is_known_no_more_is_of_no_account() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.queue_one("OURS");
    let lease = store.lease_send();
    store.came(id, accepted());
    store.settle(lease, delivered());
    machine.clock.pass(40 * DAY);
    (0..3).for_each(|_| settle_down(&machine, &mut store));
    assert_eq!(store.ledger(), []);
    store.came(id, Sending::Collected { message: message("AT-MESH") });
    let came_in = store.new_delivery("IN", "bytes");
    let answer = store.one(Command::Send(SendCommand::Progress(came_in, Sending::Begun)));
    assert!(matches!(answer, Answer::Declined(_)), "{answer:?}");
}

fn pair(name: &str) -> Pair {
    let digest = |text: &str| ContentDigest(text.to_owned());
    Pair {
        name: digest(name),
        control: digest("c"),
        control_modified: None,
        data: digest("d"),
        length: 5,
        modified: Timestamp(5),
        is_put_away: false,
    }
}

impl Committer {
    fn pick_up(&mut self, id: &str, name: &str) -> DeliveryId {
        let Answer::SendQueued(queued) = self.one(order_of(id, "bytes", Some(pair(name)))) else { panic!() };
        queued.unwrap()
    }

    fn lying(&mut self) -> Vec<DeliveryId> {
        let page = SendPage { mailbox: Some(mailbox()), lying: true, after: None, count: 100 };
        let Answer::Sends(sends) = self.one(Command::Send(SendCommand::List(page))) else { panic!() };
        sends.into_iter().map(|sent| sent.delivery.id).collect()
    }

    fn put_away(&mut self, id: DeliveryId) {
        assert!(matches!(self.one(Command::Send(SendCommand::PutAway(id))), Answer::Done));
    }

    fn last_of(&mut self, name: &str) -> Option<DeliveryId> {
        let names = ["OTHER-KEY", name].map(|name| ContentDigest(name.to_owned())).to_vec();
        let Answer::Sends(sends) = self.one(Command::Send(SendCommand::PickedUpAs(mailbox(), names))) else { panic!() };
        sends.first().map(|sent| sent.delivery.id)
    }
}

#[test]
fn a_pair_is_known_by_its_name_until_it_is_put_away_and_for_as_long_as_its_send_is() {
    let machine = Machine::new();
    let mut store = machine.open();
    let (first, other) = (store.pick_up("OURS-1", "a"), store.pick_up("OURS-2", "b"));
    store.queue_one("BY-HAND");
    assert_eq!(store.lying(), [first, other]);
    assert_eq!((store.last_of("a"), store.last_of("c")), (Some(first), None));
    let lease = store.lease_send();
    store.came(first, accepted());
    store.settle(lease, delivered());
    drop(store);
    machine.index.burn();
    let mut store = machine.open();
    assert_eq!(store.lying(), [first, other], "a crash, and the loss of the index, forget nothing");
    store.put_away(first);
    store.put_away(first);
    assert_eq!(store.lying(), [other]);
    assert_eq!(store.last_of("a"), Some(first), "put back, it is recognised");
    let second = store.pick_up("OURS-3", "a");
    assert_eq!(store.last_of("a"), Some(second), "the last of its name");
    store.state.audit(store.index.as_ref()).unwrap();
    machine.clock.pass(40 * DAY);
    (0..3).for_each(|_| settle_down(&machine, &mut store));
    assert_eq!(store.last_of("a"), Some(second));
    store.state.audit(store.index.as_ref()).unwrap();
}

#[test]
fn what_is_known_of_a_pair_outlives_its_time_while_it_lies_in_out() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.pick_up("OURS", "a");
    let lease = store.lease_send();
    store.came(id, accepted());
    store.settle(lease, delivered());
    machine.clock.pass(40 * DAY);
    (0..3).for_each(|_| settle_down(&machine, &mut store));
    assert_eq!(store.lying(), [id], "forgotten, it would be sent again");
    store.put_away(id);
    (0..3).for_each(|_| settle_down(&machine, &mut store));
    assert_eq!((store.ledger(), store.last_of("a")), (Vec::new(), None));
    store.state.audit(store.index.as_ref()).unwrap();
}

#[test]
fn a_pair_goes_over_to_the_send_that_replays_its_own_while_it_lies_in_out() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.pick_up("OURS", "a");
    let lease = store.lease_send();
    store.settle(lease, dead());
    let Ok(Acted::ReplayedAs(next)) = store.order(id, Act::Replay { force: false, again: false }) else { panic!() };
    assert_eq!((store.lying(), store.last_of("a")), (vec![next], Some(next)));
    store.state.audit(store.index.as_ref()).unwrap();
    let lease = store.lease_send();
    store.settle(lease, dead());
    store.put_away(next);
    let Ok(Acted::ReplayedAs(last)) = store.order(next, Act::Replay { force: false, again: false }) else { panic!() };
    assert_eq!(store.lying(), [], "it lies in FAILED");
    assert_eq!(store.lease_send().delivery.id, last);
    store.state.audit(store.index.as_ref()).unwrap();
}
