//! What is not asked of MESH again.

use super::super::fakes::amount;
use super::*;
use crate::ports::store::Amount;

impl House {
    fn queued(&self, queued: Amount) {
        self.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default().queued = queued;
    }
}

#[tokio::test(start_paused = true)]
async fn a_giants_size_is_asked_once_while_it_does_not_fit() {
    let mut house = house(Limits { messages: 10, bytes: 1_000 }, 500, 900_000);
    house.offer(&[("A", Waiting::plain(&[7; 2_000]))]);
    house.queued(amount(1, 1));
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!((house.logged("fetch A"), house.logged("accept A")), (1, 0));
    assert!(house.logged("list") > 3, "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn a_message_too_large_for_the_disk_is_asked_once() {
    let mut house = house(ROOMY, 500, 150_000);
    house.offer(&[("A", Waiting::plain(&[7; 120_000])), ("B", Waiting::plain(b"1"))]);
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!((house.logged("fetch A"), house.logged("fetch B")), (1, 1));
    assert!(house.logged("list") > 3, "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn with_the_door_closed_the_kind_of_a_message_is_asked_once() {
    let mut house = house(Limits { messages: 1, bytes: 1_000_000 }, 500, 900_000);
    house.offer(&[("A", Waiting::plain(b"1")), ("B", Waiting::plain(b"2"))]);
    house.queued(amount(1, 1));
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!((house.logged("head"), house.logged("fetch")), (2, 0));
    assert!(house.logged("list") > 3, "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn a_giant_is_asked_again_once_it_fits() {
    let mut house = house(Limits { messages: 10, bytes: 1_000 }, 500, 900_000);
    house.offer(&[("A", Waiting::plain(&[7; 2_000]))]);
    house.queued(amount(1, 1));
    house.lasting = SOME_POLLS;
    let emptied = async {
        tokio::time::sleep(SOME_POLLS / 2).await;
        assert_eq!(house.logged("accept A"), 0);
        house.queued(amount(0, 0));
    };
    tokio::join!(house.run(1), emptied);
    assert_eq!((house.logged("fetch A"), house.logged("accept A")), (2, 1));
}
