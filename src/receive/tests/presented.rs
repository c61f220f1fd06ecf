//! Messages that are listed although they were acknowledged.

use super::*;

impl House {
    /// Acknowledged by an earlier run, and listed still.
    fn list_acknowledged(&self, name: &str) {
        self.store.known.lock().expect("unpoisoned").insert(id(name), Known::Presented);
        self.mesh.acknowledged.lock().expect("unpoisoned").insert(id(name));
        self.mesh.also_listed.lock().expect("unpoisoned").push(id(name));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_late_list_still_names_is_asked_for_its_headers_once_a_poll_and_for_nothing_else() {
    let mut house = house(ROOMY, 10, 900_000);
    house.list_acknowledged("LATE");
    let messages: Vec<_> = (100..130).map(|n| n.to_string()).collect();
    house.offer(&messages.iter().map(|name| (name.as_str(), Waiting::plain(b"x"))).collect::<Vec<_>>());
    house.run(1).await;
    assert_eq!((house.logged("list"), house.logged("accept")), (3, 30), "{:?}", house.log());
    assert_eq!((house.logged("head LATE"), house.logged("fetch LATE"), house.logged("refuse")), (1, 0, 0));
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert!((4..10).contains(&house.logged("head LATE")), "once in each of the later polls: {:?}", house.log());
    assert_eq!(house.logged("fetch LATE"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_in_this_poll_is_not_asked_again_in_it() {
    let house = house(ROOMY, 10, 900_000);
    house.offer(&[("A", Waiting::plain(b"1"))]);
    let messages: Vec<_> = (100..120).map(|n| n.to_string()).collect();
    house.offer(&messages.iter().map(|name| (name.as_str(), Waiting::plain(b"x"))).collect::<Vec<_>>());
    house.mesh.also_listed.lock().expect("unpoisoned").push(id("A"));
    house.run(1).await;
    assert!(house.logged("list") > 1, "{:?}", house.log());
    assert_eq!((house.logged("fetch A"), house.logged("head")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_put_back_is_fetched_and_compared() {
    let house = house(ROOMY, 10, 900_000);
    house.store.known.lock().expect("unpoisoned").insert(id("A"), Known::Presented);
    house.offer(&[("A", Waiting::plain(b"1"))]);
    house.run(1).await;
    let counts = ["head A", "fetch A", "accept A", "acknowledge A"].map(|call| house.logged(call));
    assert_eq!(counts, [1; 4], "{:?}", house.log());
}

#[tokio::test(start_paused = true)]
async fn one_whose_headers_cannot_be_had_is_refused_and_is_still_no_loss_once_it_is_gone() {
    let mut house = house(ROOMY, 10, 900_000);
    house.list_acknowledged("A");
    house.offer(&[("B", Waiting::plain(b"1"))]);
    let broken = Fault::new(FaultCode::MeshUnavailable, Class::Transient, Origin::Message, "500");
    house.mesh.head_faults.lock().expect("unpoisoned").push_back(broken);
    house.lasting = SOME_POLLS;
    house.run(1).await;
    assert_eq!((house.logged("refuse A MESH-UNAVAILABLE"), house.logged("accept B")), (1, 1));
    assert!(house.logged("head A") > 2, "{:?}", house.log());
    assert_eq!((house.logged("refuse A MSG-GONE"), house.logged("fetch A")), (0, 0));
}
