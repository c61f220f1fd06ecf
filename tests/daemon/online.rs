//! `meshd check --online` against the simulated far side: what it asks, what it lists, and how it ends.

use std::fs;
use std::process::Command;

use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::mail::mixed;
use serde_json::Value;

use crate::house::House;
use crate::place::{Ended, PROGRAM};

/// Every question in the order of the answers, when all is well.
const QUESTIONS: [&str; 7] =
    ["state disk", "X26ABC1, keys", "client certificate", "https://", "clock", "X26ABC1, handshake", "X26ABC1, list"];

fn online(house: &House) -> Ended {
    house.meshd(&["check", "--online"])
}

/// What was asked of the far side: how many handshakes, lists, and calls beyond a mailbox, which are pings.
fn asked(house: &House) -> [u64; 3] {
    let requests = house.simulator().statistics().requests;
    [Call::Handshake, Call::List, Call::Other].map(|call| requests.get(&call).copied().unwrap_or_default())
}

#[test]
fn when_all_is_well_each_question_has_a_line_and_mesh_is_asked_once() {
    let house = House::new();
    house.set_up();
    house.offer(3, |number| mixed(number).expect("synthetic mail is well made"));
    let told = online(&house).expect_done();
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("X26ABC1, output inbox in ") && lines[0].ends_with("written to as this user"),
        "{told}"
    );
    for (line, about) in lines[1..].iter().zip(QUESTIONS) {
        assert!(line.starts_with(about) && line.contains(": good: "), "{about}: {told}");
    }
    assert_eq!(lines.len(), QUESTIONS.len() + 2, "{told}");
    for words in ["floor 0%", "CN=SERVER001.X26.api.mesh-client.nhs.uk", "for localhost", "days)", "3 messages wait"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let ids = house.offered();
    assert!(ids.keys().all(|id| !told.contains(id.as_str())), "a count, never an id: {told}");
    assert_eq!(asked(&house), [1, 1, 1]);
    assert_eq!(fs::read_dir(house.output().join("TEMP")).expect("staging").count(), 0, "the trial file is removed");
}

#[test]
fn a_daemon_that_runs_is_not_in_the_way() {
    let house = House::new();
    house.set_up();
    let daemon = house.start();
    online(&house).expect_done();
    daemon.stop_in_order();
}

#[test]
fn a_wrong_password_is_a_refusal_and_the_list_is_not_asked() {
    let house = House::new();
    house.set_up();
    house.write("password", "another password\n");
    let ended = online(&house);
    assert_eq!(ended.code, Some(77), "{ended:?}");
    assert!(ended.stdout.contains("X26ABC1, handshake: refused: MESH-AUTH"), "{ended:?}");
    assert!(ended.stderr.contains("MESH refuses"), "{ended:?}");
    assert!(!ended.stdout.contains("another password"), "{ended:?}");
    assert_eq!(asked(&house), [2, 0, 1], "a 403 is tried once more with a fresh token");
}

#[test]
fn a_clock_that_is_off_is_odd_and_beyond_two_hours_a_mistake() {
    let house = House::new();
    house.set_up();
    house.simulator().clock().set_offset_ms(5 * 60 * 1_000);
    let told = online(&house).expect_done();
    assert!(told.contains("clock: odd: ") && told.contains("s behind MESH's"), "{told}");
    assert_eq!(asked(&house), [1, 1, 1]);

    house.simulator().clock().set_offset_ms(-3 * 3_600 * 1_000);
    let ended = online(&house);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stderr.contains("clock: 10") && ended.stderr.contains("s ahead of MESH's"), "{ended:?}");
    assert_eq!(asked(&house), [1, 1, 2], "no handshake that would be refused");
}

#[test]
fn a_far_side_that_is_away_is_unreachable() {
    let house = House::new();
    house.set_up();
    let address = house.simulator().url();
    let configuration = fs::read_to_string(house.path("meshd.toml")).expect("it was written");
    house.write("meshd.toml", &configuration.replace(&address, "https://127.0.0.1:9"));
    let ended = online(&house);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.stdout.contains("https://127.0.0.1:9: away: MESH-UNREACHABLE"), "{ended:?}");
}

#[test]
fn a_server_of_another_authority_is_told_with_the_chain_it_presents() {
    let (house, other) = (House::new(), House::new());
    house.set_up();
    other.set_up();
    house.write("tls/ca.pem", &other.simulator().authority().pem());
    let ended = online(&house);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    let said = "no anchor of the CA bundle issued it; it presents CN=simulated MESH, for localhost";
    assert!(ended.stdout.contains(said), "{ended:?}");
}

#[test]
fn a_list_that_is_not_served_is_away_and_machines_read_all_of_it() {
    let house = House::new();
    house.set_up();
    house.fault(Rule::always(Call::List, Fault::status(503)));
    let ended = house.meshd(&["check", "--online", "--json"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(told["online"].as_array().map(Vec::len), Some(QUESTIONS.len()), "{told}");
    assert_eq!(told["online"][6]["about"], "X26ABC1, list");
    assert_eq!(told["online"][6]["verdict"], "away");
    assert_eq!(told["outputs"][0]["once"], true);
}

#[test]
fn an_output_that_takes_no_file_is_told_even_though_its_marker_is_there() {
    let house = House::new();
    house.set_up();
    let limited = |arguments: &[&str]| {
        let mut shell = Command::new("sh");
        // No byte may be added to any file; what is printed goes to a pipe.
        shell.args(["-c", "ulimit -f 0; trap '' XFSZ; exec \"$0\" \"$@\"", PROGRAM]).args(arguments);
        house.command_of(shell).output().expect("there is a shell")
    };
    assert!(limited(&["check"]).status.success());
    let ended = limited(&["check", "--online"]);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(78), "{said}");
    assert!(said.contains("OUT-WRITE: write a trial file into the staging folder"), "{said}");
    let ended = limited(&["check", "--before-start"]);
    let told = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "it waits for its output, and keeps none from starting: {ended:?}");
    assert!(told.contains("away for now: ") && told.contains("OUT-WRITE"), "{told}");
    assert_eq!(fs::read_dir(house.output().join("TEMP")).expect("staging").count(), 0, "nothing of it is left");
}

#[test]
fn a_configuration_with_a_mistake_asks_nobody() {
    let house = House::new();
    house.set_up();
    let configuration = fs::read_to_string(house.path("meshd.toml")).expect("it was written");
    house.write("meshd.toml", &configuration.replace("[life]", "[life]\nworker = 4"));
    let ended = online(&house);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stderr.contains("asked once there is no other mistake"), "{ended:?}");
    assert_eq!(asked(&house), [0, 0, 0]);
}

#[test]
fn without_the_switch_nothing_is_asked() {
    let house = House::new();
    house.set_up();
    assert!(!house.meshd(&["check"]).expect_done().contains("handshake"));
    assert_eq!(asked(&house), [0, 0, 0]);
}
