//! Messages at which the world fails for ever, while it answers lists.

use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);

impl House {
    /// Every call about these messages fails.
    fn stick(&self, names: impl IntoIterator<Item = String>, fault: &Fault) {
        for name in names {
            self.offer(&[(&name, Waiting::plain(b"x"))]);
            self.mesh.stuck.lock().expect("unpoisoned").insert(id(&name), fault.clone());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_message_stands_before_no_page_and_the_mailbox_is_well() {
    let mut house = house(ROOMY, 1, 900_000);
    house.stick(["A".into()], &busy());
    house.offer(&[("B", Waiting::plain(b"1"))]);
    house.run(1).await;
    assert_eq!((house.logged("accept B"), house.obstacles.all().len()), (0, 1), "it may be MESH: {:?}", house.log());
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!((house.logged("accept B"), house.logged("refuse")), (1, 0), "{:?}", house.log());
    assert_eq!(house.obstacles.all(), []);
    let polls = SOME_POLLS.as_secs() as usize / 300;
    assert!((4..=polls + 4).contains(&house.logged("fetch A")), "once a poll: {:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn a_page_full_of_stuck_messages_has_an_end_within_the_day() {
    let mut house = house(ROOMY, 500, 900_000);
    house.stick((1000..1500).map(|n| n.to_string()), &busy());
    house.offer(&[("Z", Waiting::plain(b"1"))]);
    house.lasting = DAY / 2;
    house.run(1).await;
    assert_eq!(house.logged("accept Z"), 1);
    assert_eq!(house.obstacles.all(), []);
    let tried = (1000..1500).filter(|n| house.logged(&format!("fetch {n}")) > 3).count();
    assert_eq!(tried, 500, "each has its turn");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_all_but_the_lists_is_not_hammered() {
    let mut house = house(ROOMY, 500, 900_000);
    house.stick((1000..1400).map(|n| n.to_string()), &busy());
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!(house.obstacles.all().len(), 1);
    assert!(house.logged("list") < 9 && house.logged("fetch") < 21 * house.logged("list"), "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_mesh_asks_for_is_kept() {
    let mut house = house(ROOMY, 500, 900_000);
    house.stick((1000..1400).map(|n| n.to_string()), &busy().after(Some(DAY / 24)));
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert!(house.logged("fetch") > 3);
    assert_eq!(house.logged("fetch"), house.logged("list"), "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn an_acknowledge_that_always_fails_stands_before_no_page() {
    let mut house = house(ROOMY, 1, 900_000);
    house.stick(["A".into()], &busy());
    house.offer(&[("B", Waiting::plain(b"1"))]);
    let proof = house.store.proof(&id("A"));
    house.store.known.lock().expect("unpoisoned").insert(id("A"), Known::Kept(proof));
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!((house.logged("accept B"), house.logged("fetch A")), (1, 0), "{:?}", house.log());
    assert!(house.logged("acknowledge A") > 3, "{:?}", house.log());
    assert_eq!(house.obstacles.all(), []);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_message_waits_until_it_is_taken() {
    let mut house = house(ROOMY, 500, 900_000);
    house.stick(["A".into()], &busy());
    house.lasting = SOME_POLLS;
    let begun = house.stage.wall();
    house.run(1).await;
    let since = house.waits.of(&mailbox()).expect("it waits");
    assert!(since.since(begun) < ONE_POLL, "since it was first met");
    house.mesh.stuck.lock().expect("unpoisoned").clear();
    house.run(1).await;
    assert_eq!((house.logged("accept A"), house.waits.of(&mailbox())), (1, None));
}
