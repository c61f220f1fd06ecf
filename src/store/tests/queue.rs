use super::*;
use crate::ports::store::{QueuePage, QueuePlace, Queued, Wait};

fn page(store: &mut Committer, after: Option<QueuePlace>, count: usize) -> Vec<Queued> {
    let Answer::Queue(page) = store.one(Command::Queue(QueuePage { mailbox: Some(mailbox()), after, count })) else {
        panic!("not a page");
    };
    page
}

fn ids(page: &[Queued]) -> Vec<DeliveryId> {
    page.iter().map(|queued| queued.delivery.id).collect()
}

#[test]
fn pages_tell_all_that_waits_once_in_its_order_and_what_is_in_work_first() {
    let machine = Machine::new();
    let mut store = machine.open();
    let mut all: Vec<_> = ["A", "B", "C", "D", "E"].map(|id| store.new_delivery(id, "bytes")).into();
    let lease = store.lease(1, false);
    let first = page(&mut store, None, 2);
    assert_eq!(ids(&first), all[..3], "one is in work, and two wait");
    assert_eq!((first[0].wait, first[0].place.is_none()), (Wait::InWork, true));
    assert_eq!(first[1].wait, Wait::Due(machine.clock.wall()));
    let second = page(&mut store, first[2].place.clone(), 2);
    assert_eq!(ids(&second), all[3..]);
    assert_eq!(ids(&page(&mut store, second[1].place.clone(), 2)), []);

    let retry = Settlement::Retry { after: HOUR, reason: because() };
    lease.into_iter().for_each(|lease| store.settle(lease, retry.clone()));
    all.rotate_left(1);
    let later = page(&mut store, None, 10);
    assert_eq!(ids(&later), all, "what failed comes last");
    assert_eq!(later[4].last, Some(because()));
    assert_eq!(later[4].wait, Wait::Due(machine.clock.wall().plus(HOUR)));
    assert_eq!((later[4].delivery.attempts, &later[0].last), (1, &None));

    let elsewhere = QueuePage { mailbox: MailboxId::new("ANOTHER").ok(), after: None, count: 10 };
    assert!(matches!(store.one(Command::Queue(elsewhere)), Answer::Queue(none) if none.is_empty()));
}

#[test]
fn a_suspect_is_told_before_what_waits_for_its_turn() {
    let machine = Machine::new();
    let mut store = machine.open();
    let ids_of = ["A", "B"].map(|id| store.new_delivery(id, "bytes"));
    let lease = store.lease(1, false);
    lease.into_iter().for_each(std::mem::forget);
    drop(store);
    let mut store = machine.open();
    let told = page(&mut store, None, 10);
    assert_eq!(ids(&told), ids_of);
    assert_eq!(told[0].wait, Wait::Alone);
}
