//! The doorkeeper.

use super::super::admission::Closed;
use super::super::fakes::amount;
use super::*;
use crate::domain::ids::MailboxId;

#[tokio::test(start_paused = true)]
async fn a_disk_at_its_floor_takes_nothing() {
    let house = house(ROOMY, 500, 100_000);
    house.offer(&[("A", Waiting::plain(b"1"))]);
    house.run(1).await;
    assert_eq!(house.logged("fetch"), 0);
    assert_eq!(house.admission.open(&mailbox(), MessageKind::Report), Err(Closed::DiskBytes));
}

#[tokio::test(start_paused = true)]
async fn a_giant_waits_for_an_empty_mailbox_and_goes_alone() {
    let house = house(Limits { messages: 10, bytes: 1_000 }, 500, 900_000);
    let admit = |bytes| house.admission.claim(&mailbox(), data(bytes));
    let giant = admit(5_000).expect("the mailbox is empty");
    assert_eq!(admit(5_000).err(), Some(Closed::Giant));
    drop(giant);
    house.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default().queued = amount(1, 1);
    assert_eq!(admit(5_000).err(), Some(Closed::Giant));
    assert!(admit(500).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_has_come_of_a_giant_is_not_counted_twice_against_the_disk() {
    let house = house(ROOMY, 500, 500_000);
    let mut giant = house.admission.claim(&mailbox(), data(300_000)).expect("room");
    let large = || house.admission.claim(&mailbox(), data(150_000)).map(drop);
    assert_eq!(large(), Err(Closed::TooLargeForDisk));
    giant.correct(300_000);
    assert_eq!(large(), Ok(()), "the disk shows what has come");
}

#[tokio::test(start_paused = true)]
async fn claims_count_until_they_are_dropped() {
    let house = house(Limits { messages: 2, bytes: 1_000 }, 500, 900_000);
    let admit = |bytes| house.admission.claim(&mailbox(), data(bytes));
    let mut first = admit(400).expect("room");
    first.correct(900);
    assert_eq!(admit(200).err(), Some(Closed::MailboxBytes));
    let second = admit(100).expect("room");
    assert_eq!(admit(0).err(), Some(Closed::MailboxMessages));
    drop((first, second));
    assert!(admit(900).is_ok());
}

#[tokio::test(start_paused = true)]
async fn mail_set_aside_closes_its_own_mailbox_and_reports_still_pass() {
    let closes = [(amount(4, 1), amount(1, 1)), (amount(0, 0), amount(5, 1)), (amount(1, 4_000), amount(1, 1_000))];
    let leaves_open = [(amount(2, 1), amount(2, 1)), (amount(1, 3_000), amount(1, 1_999))];
    let all = closes.map(|of| (of, true)).into_iter().chain(leaves_open.map(|of| (of, false)));
    for ((held, dead), is_closed) in all {
        let house = house(ROOMY, 500, 900_000);
        {
            let mut occupancy = house.store.occupancy.lock().expect("unpoisoned");
            let own = occupancy.mailboxes.entry(mailbox()).or_default();
            (own.held, own.dead) = (held, dead);
        }
        let expected = if is_closed { Err(Closed::MailboxSetAside) } else { Ok(()) };
        assert_eq!(house.admission.open(&mailbox(), MessageKind::Data), expected, "{held:?} {dead:?}");
        // A giant is no way round it.
        for bytes in [1, ROOMY.bytes] {
            let claim = house.admission.claim(&mailbox(), data(bytes)).map(drop);
            assert!(!is_closed || claim.is_err(), "{held:?} {dead:?} {bytes}");
        }
        assert_eq!(house.admission.open(&mailbox(), MessageKind::Report), Ok(()));
        let other = MailboxId::new("X26ABC2").expect("a mailbox id");
        assert_eq!(house.admission.open(&other, MessageKind::Data), Ok(()), "the other mailbox is unharmed");
    }
}

#[tokio::test(start_paused = true)]
async fn mail_set_aside_in_all_closes_every_mailbox() {
    let house = house(ROOMY, 500, 900_000);
    for (name, dead) in [("X26ABC2", amount(4, 1)), ("GONE", amount(4, 1))] {
        let mailbox = MailboxId::new(name).expect("a mailbox id");
        house.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox).or_default().dead = dead;
    }
    assert_eq!(house.admission.open(&mailbox(), MessageKind::Data), Err(Closed::AllSetAside));
    assert_eq!(house.admission.open(&mailbox(), MessageKind::Report), Ok(()), "by the reserve");
}
