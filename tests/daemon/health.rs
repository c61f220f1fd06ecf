//! What machines that watch are told: over HTTP, and in the file beside the outputs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::mail::mixed;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::Daemon;

const MESSAGES: u64 = 5;

/// Status line and body.
fn get(daemon: &Daemon, path: &str) -> (String, String) {
    let log = daemon.log();
    let told = log.lines().find(|line| line.contains("told over HTTP")).expect("it says where it listens");
    let told: Value = serde_json::from_str(told).expect("a line of JSON");
    let mut stream = TcpStream::connect(told["address"].as_str().expect("an address")).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

#[test]
fn watchers_learn_that_mail_flows_and_what_stands_in_its_way() {
    let house = House::new();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up();
    let daemon = house.start();
    daemon.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    let is_ready = || get(&daemon, "/readyz").0 == "HTTP/1.1 200 OK";
    daemon.wait_for("readiness", PATIENCE, is_ready);
    assert_eq!(get(&daemon, "/healthz").0, "HTTP/1.1 200 OK");
    assert_eq!(get(&daemon, "/elsewhere").0, "HTTP/1.1 404 Not Found");

    let metrics = get(&daemon, "/metrics").1;
    for line in ["meshd_accepted_total{mailbox=\"X26ABC1\"} 5.0", "meshd_ready 1.0"] {
        assert!(metrics.lines().any(|told| told == line), "{line}\n{metrics}");
    }

    let posted = || {
        let text = fs::read_to_string(house.output().join("meshd-status.json")).unwrap_or_default();
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    daemon.wait_for("the status file", PATIENCE, || posted()["state"] == "running");
    let file = posted();
    assert_eq!(file["mailboxes"], serde_json::json!(["X26ABC1"]));
    assert_eq!(file["obstacles"], serde_json::json!([]));
    assert!(file["journal_head"].as_str().is_some_and(|head| head.contains(':')), "{file}");

    // The share is gone: mail still comes in, and everybody is told.
    let marker = house.output().join(".meshd-output");
    let kept = fs::read(&marker).expect("a marker");
    fs::remove_file(&marker).expect("removed");
    let is_told = || get(&daemon, "/readyz").1.contains("OUT-UNAVAILABLE");
    daemon.wait_for("the root to be missed", PATIENCE, is_told);
    let told: Value = serde_json::from_str(&get(&daemon, "/readyz").1).expect("JSON");
    let since = told["obstacles"][0]["since"].as_str().expect("a time as text, as in the status file");
    assert!(since.ends_with('Z') && since.contains('T'), "{since}");
    assert!(house.meshd(&["status"]).expect_done().contains("the output root"));
    assert!(is_ready(), "mail can still be taken in");
    fs::write(&marker, kept).expect("put back");
    daemon.wait_for("the root to be back", PATIENCE, || !is_told());

    daemon.stop_in_order();
    assert_eq!(posted()["state"], "stopped");
}

#[test]
fn a_mesh_that_does_not_answer_is_told_everywhere_within_five_seconds() {
    let house = House::new();
    house.set_up();
    let daemon = house.start();
    let ready = || get(&daemon, "/readyz").0;
    daemon.wait_for("readiness", PATIENCE, || ready() == "HTTP/1.1 200 OK");
    daemon.wait_for("a list", PATIENCE, || get(&daemon, "/metrics").1.contains("meshd_last_list_timestamp_seconds{"));
    house.fault(Rule::always(Call::List, Fault::status(503)));
    let failed = Instant::now();
    daemon.wait_for("the end of readiness", PATIENCE, || ready() == "HTTP/1.1 503 Service Unavailable");
    // The simulated MESH is listed each second.
    assert!(failed.elapsed() < Duration::from_secs(5), "{:?}", failed.elapsed());

    let metrics = get(&daemon, "/metrics").1;
    let told = |start: &str| metrics.lines().any(|line| line.starts_with(start));
    assert!(told("meshd_obstacles{at=\"mesh\",code=\"MESH-UNAVAILABLE\"} 1.0"), "{metrics}");
    assert!(told("meshd_waits_since_timestamp_seconds{mailbox=\"X26ABC1\"} "), "since the last list: {metrics}");
    assert!(told("meshd_ready 0.0"), "{metrics}");
    let status = house.meshd(&["status"]).expect_done();
    assert!(status.contains("MESH for X26ABC1") && status.contains("mail waits at MESH since"), "{status}");
    let posted = || fs::read_to_string(house.output().join("meshd-status.json")).unwrap_or_default();
    daemon.wait_for("the status file", PATIENCE, || posted().contains("\"mesh\":\"X26ABC1\""));
    daemon.stop_in_order();
}
