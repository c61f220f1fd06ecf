//! Mail that should have come and did not.

use meshd::simulator::house::{EVERYTHING, Plan};
use meshd::simulator::message::Draft;
use meshd::simulator::payload::Payload;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::{Daemon, MAILBOX};

const NUMBERS: &str = "[[monitor]]\nname = \"numbers\"\nkind = \"sequence\"\ngrace = \"1s\"\n";
const TRAFFIC: &str = "[[monitor]]\nname = \"lab\"\nkind = \"traffic\"\nfrom = \"LAB*\"\nevery = \"2s\"\n";

/// A house whose one pipeline has this monitor.
fn watching(monitor: &str) -> House {
    let pipelines = vec![("everything.toml", format!("{EVERYTHING}{monitor}"))];
    let house = House::build(Plan { pipelines, ..Plan::default() });
    house.set_up();
    house
}

impl House {
    /// An interchange with this number comes.
    fn interchange(&self, number: u64) {
        let text = format!("UNB+UNOB:2+9990000018:22+GP:22+260105:0930+{number:08}'UNH+1+MEDRPT:0:1:RT:NHS003'");
        let mail = Draft::data("LAB1", "PATH_MEDRPT_V3", Payload::plain(text.into_bytes())).ready();
        self.offer_as(MAILBOX, &format!("M{number}"), &mail.expect("synthetic mail is well made"));
    }

    fn monitor(&self) -> Value {
        let listed = self.meshd(&["monitor", "list", "--json"]).expect_done();
        serde_json::from_str::<Value>(&listed).expect("JSON")[0].clone()
    }

    fn has_alarm(&self) -> bool {
        self.monitor()["alarm"].is_object()
    }
}

fn told(daemon: &Daemon, what: &str) -> usize {
    daemon.log().matches(what).count()
}

#[test]
fn a_gap_is_told_once_outlives_the_daemon_and_ends_with_the_late_message() {
    let house = watching(NUMBERS);
    let daemon = house.start();
    house.interchange(7);
    daemon.wait_for("the first to come out", PATIENCE, || house.published().len() == 1);
    house.interchange(9);
    daemon.wait_for("an alarm", PATIENCE, || house.has_alarm());
    let alarm = house.monitor();
    assert_eq!(alarm["alarm"]["code"], "MONITOR-GAP");
    assert_eq!(alarm["flows"][0]["missing"], serde_json::json!([[8, 8]]));
    assert_eq!(alarm["flows"][0]["from"], "LAB1");
    let status = house.meshd(&["status"]).expect_done();
    assert!(status.contains("the monitor numbers of the pipeline everything: MONITOR-GAP: "), "{status}");
    daemon.kill();

    let daemon = house.start();
    assert_eq!(house.monitor(), alarm, "as before");
    house.interchange(8);
    daemon.wait_for("the alarm to end", PATIENCE, || !house.has_alarm());
    assert_eq!(house.monitor()["flows"][0]["next"], 10);
    house.interchange(10);
    daemon.wait_for("all to come out", PATIENCE, || house.published().len() == 4);
    daemon.wait_for("the end to be told", PATIENCE, || told(&daemon, "a monitor's alarm ended") == 1);
    assert_eq!(told(&daemon, "a monitor raised an alarm"), 1, "both runs write one log");
    for (path, bytes) in house.kept_in_clear() {
        let is_named = bytes.windows(10).any(|window| window == b"9990000018");
        assert!(!is_named, "{} names what a sender wrote", path.display());
    }
    daemon.stop_in_order();
}

#[test]
fn an_operator_accepts_a_gap_and_the_journal_says_so() {
    let house = watching(NUMBERS);
    let daemon = house.start();
    house.interchange(7);
    daemon.wait_for("the first to come out", PATIENCE, || house.published().len() == 1);
    let early = house.meshd(&["monitor", "accept", "everything", "numbers", "--reason", "void"]);
    assert!(early.stderr.contains("has no alarm"), "{}", early.stderr);
    let unknown = house.meshd(&["monitor", "accept", "everything", "nunbers", "--reason", "void"]);
    assert!(unknown.stderr.contains("there are: everything numbers"), "{}", unknown.stderr);

    house.interchange(9);
    daemon.wait_for("an alarm", PATIENCE, || house.has_alarm());
    house.meshd(&["monitor", "accept", "everything", "numbers", "--reason", "the lab voided 8"]).expect_done();
    assert!(!house.has_alarm());
    assert_eq!(house.monitor()["flows"][0]["missing"], serde_json::json!([]));
    let is_evident = |(_, bytes): &(_, Vec<u8>)| String::from_utf8_lossy(bytes).contains(r#""why":"the lab voided 8""#);
    assert!(house.kept_in_clear().iter().any(is_evident), "the journal says why");
    assert_eq!(told(&daemon, "a monitor raised an alarm"), 1);
    daemon.stop_in_order();
}

#[test]
fn silence_is_told_and_ends_with_a_message_from_whom_it_was_awaited() {
    let house = watching(TRAFFIC);
    let daemon = house.start();
    daemon.wait_for("an alarm", PATIENCE, || house.has_alarm());
    assert_eq!(house.monitor()["alarm"]["code"], "MONITOR-QUIET");
    let other = Draft::data("X26ABC2", "LETTER", Payload::plain(b"a letter".as_slice())).ready();
    house.offer_as(MAILBOX, "OTHER", &other.expect("synthetic mail is well made"));
    daemon.wait_for("the letter to come out", PATIENCE, || house.published().len() == 1);
    assert!(house.monitor()["last"].is_null(), "it was not from the laboratory");
    house.interchange(7);
    daemon.wait_for("the alarm to end", PATIENCE, || told(&daemon, "a monitor's alarm ended") >= 1);
    assert!(house.monitor()["last"].is_i64());
    daemon.stop_in_order();
}
