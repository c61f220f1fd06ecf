//! Looking through what is set aside.

use super::*;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::operator::{Operator, Remark};
use crate::ports::store::{Act, Acted, AsideState, FailureGroup, FoundAside, FoundGroups};
use crate::store::index::keys::kind;
use crate::store::index::{Batch, Index as _, Order};

impl Committer {
    /// A message of `workflow` that ends as `end` says.
    fn end_one(&mut self, mailbox: &str, workflow: &str, number: usize, end: &Settlement) -> DeliveryId {
        let mailbox = MailboxId::new(mailbox).unwrap();
        let Command::Accept(mut incoming) = accepting(&format!("M{number}"), "bytes") else { panic!("no message") };
        incoming.envelope.mailbox = mailbox.clone();
        incoming.envelope.workflow = WorkflowId::new(workflow).unwrap();
        let Answer::Accepted(acceptance) = self.one(Command::Accept(incoming)) else { panic!("not accepted") };
        let wish = LeaseWish { mailbox, count: 1, bytes: u64::MAX, suspects: false };
        let Answer::Leases(mut leases) = self.one(Command::Lease(wish)) else { panic!("no leases") };
        self.settle(leases.remove(0), end.clone());
        acceptance.proof().unwrap().delivery()
    }

    fn look(&mut self, before: Option<DeliveryId>, selection: &Selection, count: usize) -> FoundAside {
        let page = SetAsidePage { before, only: None, selection: selection.clone(), count };
        let Answer::SetAside(found) = self.one(Command::SetAside(page)) else { panic!("another answer") };
        found
    }

    fn groups(&mut self, after: Option<Fingerprint>) -> FoundGroups {
        let Answer::Groups(found) = self.one(Command::Groups(after)) else { panic!("another answer") };
        found
    }

    fn discard(&mut self, delivery: DeliveryId) {
        let why = Remark::new("in a test").ok();
        let order = crate::ports::store::Order { delivery, act: Act::Discard, by: Operator(1000), why };
        let Answer::Acted(acted) = self.one(Command::Act(order)) else { panic!("another answer") };
        assert_eq!(acted, Ok(Acted::Discarded));
    }

    /// All that a selection takes, newest first.
    fn all(&mut self, selection: &Selection) -> Vec<DeliveryId> {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let FoundAside { page, rest } = self.look(before, selection, 2);
            found.extend(page.into_iter().map(|aside| aside.delivery.id));
            before = rest;
            if before.is_none() {
                return found;
            }
        }
    }
}

fn died(code: FaultCode, cause: DeathCause, detail: &str) -> Settlement {
    Settlement::Dead { cause, reason: Reason::new(code, detail) }
}

fn held(code: FaultCode, detail: &str) -> Settlement {
    Settlement::Held { reason: Reason::new(code, detail), outputs: Vec::new() }
}

#[test]
fn each_filter_takes_what_it_names_and_all_given_must_hold() {
    let machine = Machine::new();
    let mut store = machine.open();
    let no_route = died(FaultCode::MsgNoRoute, DeathCause::Permanent, "no pipeline takes it");
    let exhausted = died(FaultCode::MsgContentMismatch, DeathCause::Exhausted, "not XML");
    let first = store.end_one("X26ABC1", "ONE", 1, &no_route);
    let second = store.end_one("X26ABC2", "ONE", 2, &exhausted);
    let noon = machine.clock.wall().plus(HOUR);
    machine.clock.pass(HOUR);
    let third = store.end_one("X26ABC1", "TWO", 3, &held(FaultCode::MsgTooOld, "it waited"));
    let all = || Selection::default();
    let mailbox = MailboxId::new("X26ABC1").ok();
    let workflow = WorkflowId::new("ONE").ok();
    let cases = [
        (all(), vec![third, second, first]),
        (Selection { mailbox: mailbox.clone(), ..all() }, vec![third, first]),
        (Selection { state: Some(AsideState::Held), ..all() }, vec![third]),
        (Selection { state: Some(AsideState::Dead), ..all() }, vec![second, first]),
        (Selection { cause: Some(DeathCause::Exhausted), ..all() }, vec![second]),
        (Selection { code: Some(FaultCode::MsgNoRoute), ..all() }, vec![first]),
        (Selection { workflow: workflow.clone(), ..all() }, vec![second, first]),
        (Selection { from: MailboxId::new("NOBODY").ok(), ..all() }, vec![]),
        (Selection { since: Some(noon), ..all() }, vec![third]),
        (Selection { until: Some(noon), ..all() }, vec![second, first]),
        (Selection { mailbox, workflow, ..all() }, vec![first]),
    ];
    for (selection, expected) in &cases {
        assert_eq!(store.all(selection), *expected, "{selection:?}");
    }
    drop(store);
    machine.index.burn();
    let mut again = machine.open();
    for (selection, expected) in &cases {
        assert_eq!(again.all(selection), *expected, "made anew from the journal: {selection:?}");
    }
}

#[test]
fn a_page_that_finds_nothing_says_where_to_go_on() {
    let machine = Machine::new();
    let mut store = machine.open();
    let wanted = store.end_one("X26ABC1", "WANTED", 0, &dead());
    // More than one question looks at.
    for hundred in 0..83 {
        let commands = (0..100).map(|number| dead_on_arrival(&format!("N{hundred}x{number}"))).collect();
        store.commit(commands).unwrap();
    }
    let selection = Selection { workflow: WorkflowId::new("WANTED").ok(), ..Selection::default() };
    let found = store.look(None, &selection, 50);
    assert!(found.page.is_empty() && found.rest.is_some_and(|rest| rest > wanted), "{found:?}");
    assert_eq!(store.all(&selection), [wanted]);
}

#[test]
fn failures_that_are_alike_are_one_group_over_mailboxes_until_the_last_is_gone() {
    let machine = Machine::new();
    let mut store = machine.open();
    let waited = |hours: u32| held(FaultCode::MsgTooOld, &format!("it waited {hours} h"));
    let first = store.end_one("X26ABC1", "ONE", 1, &waited(73));
    machine.clock.pass(HOUR);
    let second = store.end_one("X26ABC2", "TWO", 2, &waited(80));
    let other = store.end_one("X26ABC1", "ONE", 3, &dead());
    let groups = store.groups(None).page;
    assert_eq!(groups.len(), 2, "{groups:?}");
    let group = groups.iter().find(|group| group.code == FaultCode::MsgTooOld).unwrap().clone();
    assert_eq!((group.count, group.mailboxes, group.detail.as_str()), (2, 2, "it waited # h"));
    assert_eq!(group.last_seen.since(group.first_seen), HOUR);
    let selection = |group: &FailureGroup| Selection { group: Some(group.fingerprint), ..Selection::default() };
    assert_eq!(store.all(&selection(&group)), [second, first]);

    store.discard(second);
    let before = store.groups(None).page;
    let left = before.iter().find(|left| left.fingerprint == group.fingerprint).unwrap();
    assert_eq!((left.count, left.mailboxes), (1, 1));
    drop(store);
    machine.index.burn();
    let mut store = machine.open();
    assert_eq!(store.groups(None).page, before, "made anew from the journal");

    let after_first = store.groups(Some(before[0].fingerprint)).page;
    assert_eq!(after_first, before[1..]);
    store.discard(first);
    store.discard(other);
    assert_eq!(store.groups(None).page, []);
}

#[test]
fn no_answer_tells_of_more_groups_than_a_hundred_and_the_next_goes_on() {
    let machine = Machine::new();
    let mut store = machine.open();
    for number in 0..101_u8 {
        let words = format!("{}{}", char::from(b'a' + number / 26), char::from(b'a' + number % 26));
        store.end_one("X26ABC1", "ONE", number.into(), &held(FaultCode::MsgTooOld, &words));
    }
    let FoundGroups { page, rest } = store.groups(None);
    assert_eq!((page.len(), rest), (100, page.last().map(|group| group.fingerprint)));
    let next = store.groups(rest);
    assert_eq!((next.page.len(), next.rest), (1, None));
}

#[test]
fn an_index_that_counts_wrongly_what_is_alike_is_made_anew() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.end_one("X26ABC1", "ONE", 1, &dead());
    let expected = store.groups(None).page;
    drop(store);
    let (key, value) = machine.index.scan(&[kind::ALIKE], &[kind::ALIKE + 1], Order::Ascending, 1).unwrap().remove(0);
    for damage in [Some(b"\x01".to_vec()), None] {
        let mut index = machine.index.clone();
        index.apply(&Batch::from([(key.clone(), damage)])).unwrap();
        let mut store = machine.open();
        assert_eq!(store.groups(None).page, expected);
        drop(store);
        assert_eq!(machine.index.get(&key).unwrap().as_ref(), Some(&value));
    }
}
