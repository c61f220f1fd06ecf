//! The handle and the thread.

use super::*;
use crate::ports::store::{Note, Store};

#[tokio::test]
async fn a_message_goes_from_accepted_to_delivered() {
    let machine = Machine::new();
    let (store, thread) = open(machine.parts()).unwrap();
    let body = IncomingBody::Small(Bytes::from_static(b"bytes"));
    let incoming = Incoming { envelope: envelope("M1"), body, verdict: None, arrival: Arrival::default() };
    let acceptance = store.accept(incoming).await.unwrap();
    store.acknowledged(acceptance.proof().unwrap()).await.unwrap();
    let wish = LeaseWish { mailbox: mailbox(), count: 5, bytes: 1, suspects: false };
    let lease = store.lease(wish).await.unwrap().remove(0);
    store.staged(lease.delivery.id, Vec::new()).await.unwrap();
    store.settle(lease, delivered()).await.unwrap();
    store.barrier().await.unwrap();
    let counters = store.occupancy().mailboxes[&mailbox()].clone();
    assert_eq!((counters.accepted_total, counters.acknowledged_total, counters.delivered_total), (1, 1, 1));
    assert_eq!((counters.queued.messages, counters.retained.messages), (0, 1));
    tokio::task::spawn_blocking(|| thread.stop()).await.unwrap().unwrap();
    assert!(store.note(Note::Stopped).await.is_err(), "it is closed");
}

#[tokio::test]
async fn a_dropped_lease_is_released_and_counted() {
    let machine = Machine::new();
    let (store, thread) = open(machine.parts()).unwrap();
    let body = IncomingBody::Small(Bytes::from_static(b"bytes"));
    store
        .accept(Incoming { envelope: envelope("M1"), body, verdict: None, arrival: Arrival::default() })
        .await
        .unwrap();
    let wish = LeaseWish { mailbox: mailbox(), count: 5, bytes: 1, suspects: false };
    drop(store.lease(wish.clone()).await.unwrap());
    assert_eq!(store.lease(wish).await.unwrap().len(), 1);
    assert_eq!(store.occupancy().dropped_leases, 1);
    drop(store);
    drop(thread);
}

#[tokio::test]
async fn a_halt_answers_everyone_and_is_told() {
    let machine = Machine::new();
    let (store, thread) = open(machine.parts()).unwrap();
    machine.disk.fail_sync(1);
    let halt = store.note(Note::Stopped).await.unwrap_err();
    assert_eq!(store.halted().await, halt);
    assert_eq!(store.barrier().await.unwrap_err(), halt);
    let stopped = tokio::task::spawn_blocking(|| thread.stop()).await.unwrap();
    assert_eq!(stopped.unwrap_err(), halt);
}

#[tokio::test]
async fn settling_twice_is_declined_and_halts_nothing() {
    let machine = Machine::new();
    let (store, _thread) = open(machine.parts()).unwrap();
    assert!(store.staged(DeliveryId(999), Vec::new()).await.is_err());
    store.barrier().await.unwrap();
}
