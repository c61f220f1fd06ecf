//! Large messages whose download was cut off.

use super::super::admission::Closed;
use super::*;

/// Ten chunks of 40 kB, cut off before the ninth. What came before it leaves room for the rest, not for the whole again.
fn cut(free_bytes: u64) -> House {
    let mut house = house(ROOMY, 500, free_bytes);
    let chunks = vec![Bytes::from(vec![7; 40_000]); 10];
    house.offer(&[("A", Waiting { chunks, ..Waiting::plain(b"") })]);
    house.mesh.chunk_faults.lock().expect("unpoisoned").insert((id("A"), 9), busy());
    house.lasting = SOME_POLLS;
    house
}

#[tokio::test(start_paused = true)]
async fn what_is_there_of_a_message_needs_no_room_again() {
    let house = cut(550_000);
    house.run(1).await;
    // Chunk 1 again is for its headers; chunks 2 to 8 come once.
    let counts = ["fetch A 1", "fetch A 2", "fetch A 8", "fetch A 9", "accept A"].map(|call| house.logged(call));
    assert_eq!(counts, [3, 1, 1, 2, 1], "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn a_kept_message_tells_how_it_came() {
    let house = cut(550_000);
    house.run(1).await;
    let kept = house.store.kept.lock().expect("unpoisoned");
    let arrival = &kept.first().expect("it is kept").arrival;
    assert_eq!((arrival.chunks, arrival.tries), (10, 2), "the second fetch brought the last two chunks");
    assert_eq!(arrival.wire, 80_000);
    assert!(arrival.waited > 0, "it was listed before the fetch that failed: {arrival:?}");
}

#[tokio::test(start_paused = true)]
async fn what_it_needed_before_it_was_cut_off_is_forgotten() {
    let house = cut(550_000);
    let other = house.admission.claim(&mailbox(), data(100_000)).expect("room");
    let room = async {
        tokio::time::sleep(SOME_POLLS / 3).await;
        assert_eq!((house.logged("fetch A 1"), house.logged("fetch A 2")), (1, 0));
        assert!(house.spool.folders.lock().expect("unpoisoned").is_empty(), "nothing is left of what was not begun");
        drop(other);
    };
    tokio::join!(house.run(1), room);
    assert_eq!((house.logged("fetch A 2"), house.logged("accept A")), (1, 1), "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn what_is_there_of_a_message_counts_against_the_budgets_and_not_twice_against_the_disk() {
    let house = house(ROOMY, 500, 300_000);
    let resumed = Need { landed: 320_000, ..data(400_000) };
    let claim = house.admission.claim(&mailbox(), resumed).expect("80 kB are missing, 200 kB are free");
    assert_eq!(house.admission.room_for(&mailbox(), data(120_000)), Err(Closed::TooLargeForDisk));
    assert_eq!(house.admission.room_for(&mailbox(), data(119_999)), Ok(()));
    assert_eq!(
        house.admission.room_for(&mailbox(), Need { landed: 9_700_000, ..data(9_700_000) }),
        Err(Closed::MailboxBytes)
    );
    drop(claim);
    assert_eq!(house.admission.room_for(&mailbox(), data(199_999)), Ok(()));
}
