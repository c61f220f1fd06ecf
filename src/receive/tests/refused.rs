//! Messages that stay at MESH.

use super::*;

impl House {
    /// Refused by an earlier run, and not to be fetched for now.
    fn refuse(&self, name: &str) {
        let refused =
            Known::Refused { until: Timestamp(i64::MAX), times: 1, first: Timestamp(0), presented: false, lost: false };
        self.store.known.lock().expect("unpoisoned").insert(id(name), refused);
        self.store.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default().refused += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_that_a_whole_look_at_the_inbox_does_not_name_is_forgotten() {
    let house = house(ROOMY, 10, 900_000);
    let messages: Vec<_> = (100..120).map(|n| n.to_string()).collect();
    messages.iter().for_each(|name| house.refuse(name));
    house.offer(&messages[1..].iter().map(|name| (name.as_str(), Waiting::plain(b"x"))).collect::<Vec<_>>());
    house.run(1).await;
    assert_eq!((house.logged("forget"), house.logged("forget 100")), (1, 1), "{:?}", house.log());
    house.run(1).await;
    assert_eq!(house.logged("forget"), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_forgotten_by_a_look_that_did_not_come_to_the_end() {
    let broken = || house(ROOMY, 10, 900_000);
    let closed = || house(Limits { messages: 0, bytes: 0 }, 10, 100_000);
    for (mut house, fault) in [(broken(), Some(busy())), (closed(), None)] {
        house.refuse("GONE");
        house.offer(&[("A", Waiting::plain(b"x"))]);
        house.mesh.fetch_faults.lock().expect("unpoisoned").extend(fault.map(|fault| (id("A"), fault)));
        house.lasting = Duration::from_secs(1);
        house.run(1).await;
        assert_eq!((house.logged("list"), house.logged("forget")), (1, 0), "{:?}", house.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_went_past_a_stuck_message_came_to_the_end() {
    let mut house = house(ROOMY, 10, 900_000);
    house.refuse("GONE");
    house.offer(&[("A", Waiting::plain(b"x"))]);
    house.mesh.stuck.lock().expect("unpoisoned").insert(id("A"), busy());
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!(house.logged("forget GONE"), 1, "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn what_this_look_itself_refuses_is_not_forgotten() {
    let house = house(ROOMY, 10, 900_000);
    house.refuse("GONE");
    house.offer(&[("A", Waiting { encoding: Encoding::Gzip, ..Waiting::plain(b"no gzip") })]);
    house.run(1).await;
    assert_eq!((house.logged("refuse A"), house.logged("forget"), house.logged("forget GONE")), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_mesh_will_not_give_any_more_is_asked_for_again_a_day_later() {
    let mut house = house(ROOMY, 10, 900_000);
    house.mesh.acknowledged.lock().expect("unpoisoned").insert(id("LOST"));
    house.mesh.also_listed.lock().expect("unpoisoned").push(id("LOST"));
    house.lasting = Duration::from_secs(23 * 3600);
    house.run(1).await;
    assert_eq!((house.logged("fetch LOST"), house.logged("refuse LOST MSG-GONE")), (1, 1));
    house.lasting = Duration::from_secs(2 * 3600);
    house.run(1).await;
    assert_eq!(house.logged("fetch LOST"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_waits_for_nothing_after_a_restart_either() {
    let mut house = house(ROOMY, 10, 900_000);
    house.mesh.acknowledged.lock().expect("unpoisoned").insert(id("LOST"));
    house.mesh.also_listed.lock().expect("unpoisoned").push(id("LOST"));
    house.lasting = SOME_POLLS;
    for run in ["the first", "after a restart"] {
        house.run(1).await;
        assert_eq!((house.logged("fetch LOST"), house.waits.of(&mailbox())), (1, None), "{run}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_waits_since_it_was_first_refused() {
    let house = house(ROOMY, 10, 900_000);
    house.refuse("OLD");
    house.offer(&[("OLD", Waiting::plain(b"x"))]);
    house.run(1).await;
    assert_eq!(house.waits.of(&mailbox()), Some(Timestamp(0)));
}
