//! Mail about synthetic patients, on a national service: held until the configuration says that this is a rehearsal.

use std::fs;

use meshd::simulator::house::{EVERYTHING, Plan};
use meshd::simulator::message::Draft;
use meshd::simulator::payload::Payload;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::MAILBOX;

const LETTER: &str = "MSH|^~\\&|SYNTH|X26|DEMO|X26|20260105093012||ADT^A01^ADT_A01|1|T|2.4\r\
    PID|1||9990000018^^^NHS^NH||SYNTHETIC^PATIENT\r";

/// The integration environment in place of the simulator, through a proxy that is not there: nothing is asked of it.
fn national(house: &House, allow: &str) {
    let text = fs::read_to_string(house.path("meshd.toml")).expect("the house has it");
    let (before, rest) = text.split_once("environment = \"custom\"\nurl = ").expect("a custom environment");
    let (_, rest) = rest.split_once('\n').expect("more lines");
    let rest = rest.replace("\"* * * * * *\"", "\"0 */5 * * * *\"");
    let mesh = "environment = \"int\"\nproxy = \"http://127.0.0.1:9\"";
    house.write("meshd.toml", &format!("[features]\nallow = [{allow}]\n{before}{mesh}\n{rest}"));
}

#[test]
fn a_national_service_holds_it_until_it_is_allowed_by_name() {
    let nobody = EVERYTHING.replace("[[output]]", "[match]\nworkflow = [\"NOBODY_SENDS_THIS\"]\n[[output]]");
    let house = House::build(Plan { pipelines: vec![("everything.toml", nobody)], ..Plan::default() });
    house.set_up();
    let mail = Draft::data("X26ABC9", "ADT", Payload::plain(LETTER.to_owned())).ready().expect("a sound message");
    house.offer_as(MAILBOX, "SYNTHETIC", &mail);
    let set_aside = || -> Value {
        let listed = house.meshd(&["deadletter", "list", "--json"]).expect_done();
        serde_json::from_str(&listed).expect("JSON")
    };
    let daemon = house.start();
    daemon.wait_for("it to be accepted, and dead", PATIENCE, || set_aside()[0]["delivery"]["id"].is_u64());
    let dead = format!("d{}", set_aside()[0]["delivery"]["id"]);
    daemon.stop_in_order();

    house.write("pipelines/everything.toml", EVERYTHING);
    let simulated = fs::read_to_string(house.path("meshd.toml")).expect("the house has it");
    national(&house, "\"simulator-certificates\"");
    let daemon = house.start();
    house.meshd(&["deadletter", "replay", &dead]).expect_done();
    daemon.wait_for("it to be held", PATIENCE, || set_aside()[0]["reason"]["code"] == "MSG-SYNTHETIC");
    let held = format!("d{}", set_aside()[0]["delivery"]["id"]);
    daemon.stop_in_order();
    assert!(house.published().is_empty(), "it went nowhere");

    house.write("meshd.toml", &simulated);
    national(&house, "\"simulator-certificates\", \"synthetic-numbers\"");
    let daemon = house.start();
    house.meshd(&["deadletter", "release", &held]).expect_done();
    daemon.wait_for("it to come out", PATIENCE, || house.published().contains_key("SYNTHETIC"));
    daemon.stop_in_order();
    assert!(house.kept_in_clear().iter().all(|(_, bytes)| !String::from_utf8_lossy(bytes).contains("9990000018")));
}
