//! A client certificate out of its dates: people are told loudly, and the daemon still gives out what it has.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use meshd::simulator::certificates::{CLIENT_NAME, Validity};
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;

/// A house whose client certificate is valid in these years only.
fn house(from: i32, until: i32) -> House {
    let house = House::new();
    house.set_up();
    let validity = Validity { from: (from, 1, 1), until: (until, 1, 1) };
    let client = house.simulator().authority().client(CLIENT_NAME, validity).expect("a certificate");
    house.write("tls/client.pem", &client.certificate_pem);
    house.write("tls/client.key", &client.key_pem);
    house
}

#[test]
fn one_that_is_not_valid_now_is_a_mistake_that_keeps_no_daemon_from_starting() {
    for (from, until, told) in [(2020, 2021, "it expired at 2021-01-01"), (2098, 2099, "it is not valid before 2098")] {
        let house = house(from, until);
        let checked = house.meshd(&["check", "--online"]);
        assert_eq!(checked.code, Some(78), "{checked:?}");
        assert!(checked.stderr.contains(&format!("mesh.client_certificate: {told}")), "{checked:?}");
        assert_eq!(checked.stderr.matches(told).count(), 1, "told once: {checked:?}");
        let before = house.meshd(&["check", "--before-start"]).expect_done();
        assert!(before.contains("away for now: ") && before.contains(told), "{before}");
    }
}

#[test]
fn one_that_has_expired_is_an_error_in_the_log() {
    let house = house(2020, 2021);
    let daemon = house.start();
    let is_told = || {
        let log = daemon.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.any(|line| line["level"] == "ERROR" && line["message"] == "the client certificate has expired")
    };
    daemon.wait_for("the log to say so", PATIENCE, is_told);
    daemon.stop_in_order();
}

#[test]
fn it_may_be_read_by_anyone_for_it_is_shown_to_anyone() {
    let house = House::new();
    house.set_up();
    let mode = |name, mode| fs::set_permissions(house.path(name), PermissionsExt::from_mode(mode)).expect("our file");
    mode("tls/client.pem", 0o644);
    house.meshd(&["check"]).expect_done();
    mode("tls/client.key", 0o644);
    assert_eq!(house.meshd(&["check"]).code, Some(78), "the key is a secret");
}
