//! A mailbox that an operator has rest, and others that do not notice.

use meshd::simulator::house::Plan;
use meshd::simulator::mail::mixed;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::MAILBOX;

const OTHER: &str = "X26ABC2";

fn status(house: &House) -> Value {
    serde_json::from_str(&house.meshd(&["status", "--json"]).expect_done()).expect("JSON")
}

#[test]
fn a_mailbox_rests_across_restarts_until_it_is_resumed_and_others_do_not_notice() {
    let mailboxes = vec![MAILBOX.to_owned(), OTHER.to_owned()];
    let house = House::build(Plan { mailboxes, ..Plan::default() });
    house.set_up();
    let daemon = house.start();
    let mail = |number| mixed(number).expect("synthetic mail is well made");
    house.offer_as(MAILBOX, "BEFORE", &mail(0));
    daemon.wait_for("the first mail to come out", PATIENCE, || house.published().contains_key("BEFORE"));

    let refused = house.meshd(&["mailbox", "suspend", MAILBOX]);
    assert_eq!(refused.code, Some(2), "it takes a reason: {}", refused.stderr);
    let refused = house.meshd(&["mailbox", "suspend", "X26ABC9", "--reason", "CHG0012345"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("there are: X26ABC1, X26ABC2"), "{refused:?}");
    house.meshd(&["mailbox", "suspend", MAILBOX, "--reason", "CHG0012345"]).expect_done();
    assert_eq!(house.meshd(&["mailbox", "suspend", MAILBOX, "--reason", "again"]).code, Some(1));
    let listed = house.meshd(&["mailbox", "list"]).expect_done();
    assert!(listed.contains("suspended since") && listed.contains("CHG0012345"), "{listed}");
    let is_told = || status(&house)["obstacles"][0]["code"] == "MAILBOX-SUSPENDED";
    daemon.wait_for("the obstacle to be told", PATIENCE, is_told);
    assert_eq!(status(&house)["ready"], true, "the other mailbox takes mail in");
    daemon.stop_in_order();

    let daemon = house.start();
    house.offer_as(MAILBOX, "MEANWHILE", &mail(0));
    let listed_at = || status(&house)["mailboxes"][0]["occupancy"]["listed_at"].clone();
    let before = listed_at();
    for id in ["ONE", "TWO"] {
        house.offer_as(OTHER, id, &mail(0));
        daemon.wait_for("the other mailbox's mail", PATIENCE, || house.published_of(OTHER).contains_key(id));
    }
    assert_eq!(listed_at(), before, "a mailbox that rests is not listed");
    assert!(!house.published().contains_key("MEANWHILE"));

    house.meshd(&["mailbox", "resume", MAILBOX, "--reason", "moved"]).expect_done();
    daemon.wait_for("what waited to come out", PATIENCE, || house.published().contains_key("MEANWHILE"));
    daemon.wait_for("nothing to be in the way", PATIENCE, || status(&house)["obstacles"] == Value::Array(Vec::new()));
    assert_eq!(house.meshd(&["mailbox", "resume", MAILBOX]).code, Some(1), "it does not rest");
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.stop_in_order();
    let journal = String::from_utf8(
        house.kept_in_clear().into_iter().flat_map(|(_, bytes)| bytes).filter(u8::is_ascii).collect(),
    )
    .expect("ASCII");
    let by = rustix::process::getuid().as_raw();
    for event in ["suspended", "resumed"] {
        let record = format!("{{\"e\":\"mailbox-{event}\",\"mailbox\":\"{MAILBOX}\",\"by\":{by}");
        assert!(journal.contains(&record), "{record}");
    }
}
