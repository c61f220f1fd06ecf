//! A house with no room for more, and which doors that closes.

use meshd::simulator::house::Plan;
use meshd::simulator::mail::mixed;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::MAILBOX;

/// Takes nothing that comes to [`MAILBOX`].
const OTHERS_ONLY: &str = r#"
name = "others-only"
[match]
mailbox = ["X26ABC2"]
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

#[test]
fn a_flood_of_mail_that_nothing_takes_closes_its_own_mailbox_and_says_so() {
    const OTHER: &str = "X26ABC2";
    const FLOOD: u64 = 40;
    let mailboxes = vec![MAILBOX.to_owned(), OTHER.to_owned()];
    let pipelines = vec![("others-only.toml", OTHERS_ONLY.to_owned())];
    let house = House::build(Plan { mailboxes, pipelines, ..Plan::default() });
    house.set_up();
    let id = format!("id = \"{MAILBOX}\"");
    // As many may be queued on top of what is set aside, before the door closes.
    let limits = "limits = { messages = 5 }\nset_aside = { messages = 10 }";
    let configuration = std::fs::read_to_string(house.path("meshd.toml")).expect("the file is there");
    house.write("meshd.toml", &configuration.replace(&id, &format!("{id}\n{limits}")));
    house.meshd(&["check"]).expect_done();
    let mail = || mixed(0).expect("synthetic mail is well made");
    house.offer(FLOOD, |_| mail());

    let daemon = house.start();
    let status = || serde_json::from_str::<Value>(&house.meshd(&["status", "--json"]).expect_done()).expect("JSON");
    let closed = || status()["obstacles"][0]["detail"].as_str().map(str::to_owned).unwrap_or_default();
    daemon.wait_for("the door to close", PATIENCE, || closed().contains("dead and held"));
    assert!(house.meshd(&["status"]).expect_done().contains(&format!("the door of {MAILBOX}: NO-ROOM")));
    daemon.wait_for("the log to say it", PATIENCE, || daemon.log().contains("limit of dead and held mail"));

    house.offer_as(OTHER, "AFTER", &mail());
    let is_out = || house.published_of(OTHER).contains_key("AFTER");
    daemon.wait_for("the other mailbox's mail to come out", PATIENCE, is_out);
    let status = status();
    assert_eq!(status["obstacles"].as_array().map(Vec::len), Some(1), "{status}");
    assert_eq!(status["ready"], true, "the other mailbox has room");
    let occupancy = &status["mailboxes"][0]["occupancy"];
    let kept = occupancy["accepted_total"].as_u64().expect("a count");
    assert!((10..=15).contains(&kept), "{occupancy}");
    daemon.stop_in_order();
}
