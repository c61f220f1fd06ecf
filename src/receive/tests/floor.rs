//! Messages that turn out larger than was claimed for them, on a disk that fills as they come.

use std::sync::atomic::Ordering;

use super::*;

/// Ten gzip chunks, each many times as long once decoded.
fn swelling(chunk: usize) -> Waiting {
    let noise: Vec<u8> = (0..chunk).map(|n| (n / 40 % 251) as u8).collect();
    Waiting { encoding: Encoding::Gzip, chunks: vec![gzip(&noise); 10], ..Waiting::plain(b"") }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_outgrows_its_claim_stops_above_the_floor_and_holds_up_nothing() {
    let mut house = house(ROOMY, 500, 500_000);
    house.offer(&[("A", swelling(90_000)), ("B", Waiting::plain(b"1"))]);
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!((house.logged("accept A"), house.logged("refuse"), house.logged("accept B")), (0, 0, 1));
    // Four chunks leave the disk above its floor, the fifth does not; its size is remembered.
    assert_eq!(house.logged("fetch A"), 5, "{:?}", house.log());
    assert_eq!(house.stage.spooled.load(Ordering::Relaxed), 0, "what came of it is removed");
    assert_eq!(house.admission.open(&mailbox(), MessageKind::Data), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn one_long_chunk_is_stopped_on_its_way() {
    let house = house(ROOMY, 500, 900_000);
    let chunk = gzip(&vec![7; 40_000_000]);
    house.offer(&[("A", Waiting { encoding: Encoding::Gzip, ..Waiting::plain(&chunk[..chunk.len() / 2]) })]);
    house.run(1).await;
    // A body that is cut off is refused, unless the disk was looked at before its end.
    assert_eq!((house.logged("fetch A"), house.logged("refuse")), (1, 0), "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_outgrows_its_claim_leaves_what_is_promised_to_others() {
    let house = house(ROOMY, 500, 500_000);
    let promised = house.admission.claim(&mailbox(), data(300_000)).expect("room");
    let mut grown = house.admission.claim(&mailbox(), data(10)).expect("room");
    let lands = |bytes| house.stage.spooled.store(bytes, Ordering::Relaxed);
    lands(90_000);
    grown.correct(90_000);
    assert!(grown.is_above_floor());
    lands(110_000);
    grown.correct(110_000);
    assert!(!grown.is_above_floor() && promised.is_above_floor());
}
