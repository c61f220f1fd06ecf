//! The search for reports before a closed door.

use super::*;

/// So many messages before a closed door, and a report behind them.
fn crowd(count: usize) -> House {
    let house = house(Limits { messages: 0, bytes: 1_000_000 }, 4_000, 900_000);
    let names: Vec<_> = (0..count).map(|n| (100_000 + n).to_string()).collect();
    house.offer(&names.iter().map(|name| (name.as_str(), Waiting::plain(b"1"))).collect::<Vec<_>>());
    house.offer(&[("Z", Waiting { kind: MessageKind::Report, chunks: Vec::new(), ..Waiting::plain(b"") })]);
    house
}

#[tokio::test(start_paused = true)]
async fn so_many_messages_are_asked_for_in_one_poll_and_no_more() {
    let mut house = crowd(700);
    house.run(1).await;
    assert_eq!((house.logged("head"), house.logged("accept Z")), (500, 0));
    // A restart forgets them.
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!((house.logged("head"), house.logged("accept Z")), (500 + 701, 1));
}

#[tokio::test(start_paused = true)]
async fn a_report_behind_more_messages_than_are_remembered_is_found_in_the_end() {
    let mut house = crowd(11_300);
    house.lasting = Duration::from_secs(24 * 300);
    house.run(1).await;
    assert_eq!((house.logged("accept Z"), house.logged("head Z")), (1, 1));
    assert_eq!(house.logged("head 110600"), 1, "each is asked for once on the way");
}
