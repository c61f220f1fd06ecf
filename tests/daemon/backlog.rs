//! A consumer that takes nothing: the chain closes as far as MESH, and opens by itself.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use meshd::simulator::house::{EVERYTHING, Plan};
use meshd::simulator::mail::mixed;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;

/// Deferred mail comes back after some seconds, doubled each time.
const LONG: Duration = Duration::from_secs(180);

fn house(waiting: &str, mailbox: &'static str) -> House {
    let pipelines = vec![("everything.toml", format!("{EVERYTHING}waiting = {waiting}\n"))];
    let house = House::build(Plan { pipelines, mailbox, ..Plan::default() });
    house.set_up();
    house.meshd(&["check"]).expect_done();
    house
}

fn offer(house: &House, count: u64) {
    house.offer(count, |_| mixed(0).expect("synthetic mail is well made"));
}

fn status(house: &House) -> Value {
    serde_json::from_str(&house.meshd(&["status", "--json"]).expect_done()).expect("JSON")
}

fn codes(house: &House) -> Vec<String> {
    let obstacles = status(house)["obstacles"].as_array().cloned().expect("a list");
    obstacles.iter().map(|obstacle| obstacle["code"].as_str().expect("a word").to_owned()).collect()
}

/// A consumer takes everything that is there.
fn take(house: &House, taken: &mut BTreeMap<String, Option<String>>) {
    for (name, sha256) in house.published() {
        for suffix in ["dat", "ctl"] {
            fs::remove_file(house.inbox().join(format!("{name}.{suffix}"))).expect("a consumer may");
        }
        assert!(taken.insert(name, sha256).is_none(), "it came out twice");
    }
}

#[test]
fn a_stopped_consumer_closes_the_chain_to_mesh_and_everything_goes_on_once_it_takes_again() {
    const OFFERED: u64 = 16;
    let house = house("{ files = 8 }", "limits = { messages = 5 }");
    offer(&house, OFFERED);
    let daemon = house.start();
    // Four lie there with two files each; five are queued.
    let kept = || status(&house)["mailboxes"][0]["occupancy"].clone();
    let is_closed = || codes(&house) == ["NO-ROOM", "OUT-BACKLOG"];
    daemon.wait_for("the chain to close", PATIENCE, || kept()["accepted_total"] == 9 && is_closed());
    assert_eq!(house.published().len(), 4);
    let listed = |times: u32| {
        for _ in 0..times {
            let before = kept()["listed_at"].clone();
            daemon.wait_for("the inbox to be listed", PATIENCE, || kept()["listed_at"] != before);
        }
    };
    listed(2);
    assert_eq!(kept()["accepted_total"], 9, "nothing more is fetched");
    assert_eq!(kept()["queued"]["messages"], 5);
    daemon.kill();

    let daemon = house.start();
    daemon.wait_for("the chain to be closed again", PATIENCE, is_closed);
    assert_eq!((kept()["accepted_total"].clone(), house.published().len()), (9.into(), 4));
    let taken = std::cell::RefCell::new(BTreeMap::new());
    daemon.wait_for("all mail to be taken", LONG, || {
        take(&house, &mut taken.borrow_mut());
        taken.borrow().len() as u64 == OFFERED
    });
    assert_eq!(taken.into_inner(), house.offered());
    daemon.wait_for("nothing to be in the way", PATIENCE, || codes(&house).is_empty());
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.stop_in_order();
}

#[test]
fn a_file_that_nobody_takes_in_time_keeps_back_those_after_it() {
    let house = house("{ age = \"2s\" }", "");
    offer(&house, 1);
    let daemon = house.start();
    daemon.wait_for("the first to come out", PATIENCE, || house.published().len() == 1);
    daemon.wait_for("it to be told", PATIENCE, || codes(&house) == ["OUT-BACKLOG"]);
    offer(&house, 2);
    let queued = || status(&house)["mailboxes"][0]["occupancy"]["queued"]["messages"].clone();
    daemon.wait_for("the others to wait", PATIENCE, || queued() == 2);
    assert_eq!(house.published().len(), 1);
    let taken = std::cell::RefCell::new(BTreeMap::new());
    daemon.wait_for("all mail to be taken", LONG, || {
        take(&house, &mut taken.borrow_mut());
        taken.borrow().len() == 3
    });
    daemon.stop_in_order();
}
