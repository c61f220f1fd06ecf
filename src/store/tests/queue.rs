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

fn behind(page: &[Queued]) -> Option<QueuePlace> {
    page.last().map(|last| QueuePlace { mailbox: mailbox(), delivery: last.delivery.id })
}

#[test]
fn pages_tell_all_that_waits_or_is_in_work_once_and_oldest_first() {
    let machine = Machine::new();
    let mut store = machine.open();
    let all = ["A", "B", "C", "D", "E"].map(|id| store.new_delivery(id, "bytes"));
    let lease = store.lease(1, false);
    let first = page(&mut store, None, 2);
    assert_eq!(ids(&first), all[..2]);
    assert_eq!((first[0].wait, first[1].wait), (Wait::InWork, Wait::Due(machine.clock.wall())));
    let second = page(&mut store, behind(&first), 2);
    assert_eq!(ids(&second), all[2..4]);
    let third = page(&mut store, behind(&second), 2);
    assert_eq!(ids(&third), all[4..]);
    assert_eq!(ids(&page(&mut store, behind(&third), 2)), []);

    let retry = Settlement::Retry { after: HOUR, reason: because() };
    lease.into_iter().for_each(|lease| store.settle(lease, retry.clone()));
    let later = page(&mut store, None, 10);
    assert_eq!(ids(&later), all);
    assert_eq!(later[0].last, Some(because()));
    assert_eq!(later[0].wait, Wait::Due(machine.clock.wall().plus(HOUR)));
    assert_eq!((later[0].delivery.attempts, &later[1].last), (1, &None));

    let elsewhere = QueuePage { mailbox: MailboxId::new("ANOTHER").ok(), after: None, count: 10 };
    assert!(matches!(store.one(Command::Queue(elsewhere)), Answer::Queue(none) if none.is_empty()));
}

#[test]
fn a_suspect_is_told_to_be_tried_alone() {
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
