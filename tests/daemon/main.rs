//! The real program against the simulated far side: what operators do, from keys to an orderly stop.

mod backlog;
mod backup;
mod brought;
mod bulk;
mod certificate;
mod comparing;
mod consumer;
mod desk;
mod drain;
mod full;
mod handshake;
mod health;
mod house;
mod legal_hold;
mod manager;
mod mistakes;
mod monitors;
mod moving;
mod online;
mod onward;
mod pickup;
mod place;
mod reload;
mod rest;
mod rotation;
mod sealed;
mod send;
mod subject;
mod synthetic;
mod trace;

use std::fs;
use std::time::Duration;

use house::House;
use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::mail::mixed;
use rustix::process::Signal;
use serde_json::Value;

/// Two of each kind: small, large, gzip, chunked, and reports.
const MESSAGES: u64 = 18;

/// Long enough for a busy machine, short enough to fail by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints a line that is seen even if the test passes: what was not run.
fn say(line: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "{line}").expect("standard error is there");
}

#[test]
fn mail_of_every_kind_comes_out_once_and_is_acknowledged() {
    let house = House::new();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up();

    let daemon = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    let status: Value = serde_json::from_str(&house.meshd(&["status", "--json"]).expect_done()).expect("JSON");
    let occupancy = &status["mailboxes"][0]["occupancy"];
    assert_eq!(occupancy["accepted_total"], MESSAGES);
    assert_eq!(house.meshd(&["deadletter", "list", "--json"]).expect_done().trim(), "[]");
    let head = house.meshd(&["journal", "head"]).expect_done();
    daemon.stop_in_order();

    assert_eq!(house.published(), house.offered());
    house.meshd(&["journal", "verify", "--against", head.trim()]).expect_done();
    let verified = house.meshd(&["spool", "verify"]).expect_done();
    assert!(verified.contains("as sealed, and opened"), "with keys.identity: {verified}");
    fs::remove_file(house.path("identity")).expect("the folder is ours");
    let verified = house.meshd(&["spool", "verify"]);
    assert!(verified.stderr.contains("nothing is opened") && verified.stderr.contains("keys.identity"), "{verified:?}");
    assert!(verified.expect_done().contains("checked as sealed\n"));
}

#[test]
fn subjects_local_ids_and_file_names_stay_out_of_log_journal_and_status() {
    let house = House::new();
    // Each says `synthetic` in subject, local id and file name (see the simulator's `mail`).
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up();
    let daemon = house.start();
    daemon.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    let told = house.meshd(&["status", "--json"]).expect_done() + &house.meshd(&["spool", "list"]).expect_done();
    daemon.stop_in_order();
    for (place, bytes) in house.kept_in_clear() {
        assert!(!says_synthetic(&bytes), "{}", place.display());
    }
    assert!(!says_synthetic(told.as_bytes()), "{told}");
}

fn says_synthetic(bytes: &[u8]) -> bool {
    bytes.windows(9).any(|window| window.eq_ignore_ascii_case(b"synthetic"))
}

#[test]
fn a_second_start_finds_everything_done() {
    let house = House::new();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up();
    let first = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    first.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    first.stop_in_order();
    let published = house.published();

    let second = house.start();
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    house.wait_until_all_acknowledged(PATIENCE);
    second.wait_for("the new mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES + 1);
    second.stop_in_order();
    let after = house.published();
    assert!(published.iter().all(|(name, data)| after.get(name) == Some(data)));
}

#[test]
fn a_daemon_killed_again_and_again_takes_up_where_it_was() {
    let house = House::new();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up();
    for already in [1, 4, 9, 14] {
        let daemon = house.start();
        daemon.wait_for("some mail to come out", PATIENCE, || house.published().len() >= already);
        daemon.kill();
    }

    let last = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    last.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    last.stop_in_order();
    assert_eq!(house.published(), house.offered());
    house.meshd(&["journal", "verify"]).expect_done();
}

#[test]
fn signals_that_are_not_for_stopping_do_not_stop() {
    let house = House::new();
    house.set_up();
    let daemon = house.start();
    daemon.signal(Signal::USR1);
    daemon.wait_for("the status in the log", PATIENCE, || daemon.log().contains("0 queued"));
    daemon.signal(Signal::HUP);
    daemon.wait_for("a word on reloading", PATIENCE, || daemon.log().contains("configuration reloaded"));
    daemon.stop_in_order();
}

#[test]
fn a_second_signal_ends_what_the_first_waits_for_and_loses_nothing() {
    let house = House::new();
    house.set_up();
    house.fault(Rule::once(Call::Acknowledge, Fault::Delay(PATIENCE)));
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    let mut daemon = house.start();
    daemon.wait_for("the mail to come out", PATIENCE, || house.published().len() == 1);
    daemon.signal(Signal::TERM);
    daemon.wait_for("it to say what it waits for", PATIENCE, || daemon.log().contains("acknowledges of what is kept"));
    assert_eq!(daemon.end(Signal::TERM).code(), Some(75), "cut off");

    let next = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    next.stop_in_order();
    assert_eq!(house.published().len(), 1);
}

#[test]
fn a_stop_that_outlasts_its_drain_is_cut_off_and_says_so() {
    let house = House::build(Plan { drain: "1s", ..Plan::default() });
    house.set_up();
    house.fault(Rule::once(Call::Acknowledge, Fault::Delay(PATIENCE)));
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    let mut daemon = house.start();
    daemon.wait_for("the mail to come out", PATIENCE, || house.published().len() == 1);
    assert_eq!(daemon.end(Signal::TERM).code(), Some(75), "{}", daemon.log());
    assert!(daemon.log().contains("cut off a task") && !daemon.log().contains("stopped in order"), "{}", daemon.log());
    let next = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    next.stop_in_order();
    assert_eq!(house.published().len(), 1);
}

#[test]
fn what_a_killed_run_left_in_staging_is_removed() {
    let house = House::new();
    house.set_up();
    let leftover = "out/X26ABC1/TEMP/20260105093012123456_0A1B2C.d7.0000000000000000.dat.part";
    house.write(leftover, "half a payload");
    let daemon = house.start();
    assert!(!house.path(leftover).exists(), "{}", daemon.log());
    daemon.stop_in_order();
}

#[test]
fn another_key_than_the_journals_is_a_mistake_that_says_what_to_do() {
    let house = House::new();
    house.set_up();
    house.start().stop_in_order();
    let key = fs::read_to_string(house.path("hmac")).expect("it was made");
    house.write("hmac", &"another key of sufficient length\n".repeat(2));
    for command in ["run", "check"] {
        let refused = house.meshd(&[command]);
        assert_eq!(refused.code, Some(78), "{command}: {}", refused.stderr);
        for word in ["keys.hmac", "written with another", "put it back"] {
            assert!(refused.stderr.contains(word), "{command}: {}", refused.stderr);
        }
    }
    house.write("hmac", &key);
    house.meshd(&["check"]).expect_done();
    house.start().stop_in_order();
}

#[test]
fn only_one_daemon_runs_on_a_state_directory() {
    let house = House::new();
    house.set_up();
    let first = house.start();
    let second = house.meshd(&["run"]);
    assert_eq!(second.code, Some(75), "{}", second.stderr);
    assert!(second.stderr.contains("another meshd"), "{}", second.stderr);
    first.stop_in_order();
}

#[test]
fn commands_say_what_is_wrong_and_end_with_their_code() {
    let house = House::new();
    house.set_up();
    let asked = house.meshd(&["status"]);
    assert_eq!(asked.code, Some(69), "{}", asked.stderr);
    assert_eq!(house.meshd(&["status", "--colour"]).code, Some(2));

    house.write("meshd.toml", "[log]\nlevl = \"info\"\n");
    let checked = house.meshd(&["check"]);
    assert_eq!(checked.code, Some(78));
    assert!(checked.stderr.contains("meshd.toml:2: log.levl"), "{}", checked.stderr);
    assert!(checked.stderr.contains("did you mean `level`?"), "{}", checked.stderr);
    assert!(checked.stderr.contains("there is no mailbox"), "{}", checked.stderr);
    assert_eq!(house.meshd(&["run"]).code, Some(78));
}

#[test]
fn check_runs_the_tests_of_pipelines_when_asked() {
    let house = House::new();
    house.set_up();
    let test =
        "[[test]]\nname = \"a letter\"\nmessage = \"letter.txt\"\nexpect = { outputs = \"inbox\", bytes = \"same\" }\n";
    let everything = std::fs::read_to_string(house.path("pipelines/everything.toml")).expect("it was written");
    house.write("pipelines/everything.toml", &format!("{everything}{test}"));
    let failed = house.meshd(&["check", "--tests"]);
    assert_eq!(failed.code, Some(78), "{}", failed.stderr);
    assert!(failed.stderr.contains("everything.toml:7: test[1].message: test \"a letter\""), "{}", failed.stderr);
    assert!(!house.meshd(&["check"]).expect_done().contains("tests"));
    house.write("pipelines/letter.txt", "a letter");
    assert!(house.meshd(&["check", "--tests"]).expect_done().contains("tests: 1"));
}

#[test]
fn an_output_that_was_not_set_up_is_a_mistake_but_does_not_keep_the_daemon_from_starting() {
    let house = House::new();
    house.set_up_without_output();
    let checked = house.meshd(&["check"]);
    assert_eq!(checked.code, Some(78), "{}", checked.stderr);
    assert!(checked.stderr.contains("OUT-UNAVAILABLE"), "{}", checked.stderr);
    house.meshd(&["check", "--before-start"]).expect_done();
}

#[test]
fn what_it_prints_for_shells_and_readers_is_there() {
    let house = House::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(house.meshd(&["completions", shell]).expect_done().contains("deadletter"), "{shell}");
    }
    assert!(house.meshd(&["man"]).expect_done().contains(".TH meshd 1"));
    assert!(house.meshd(&["man", "journal", "verify"]).expect_done().contains("against"));
    let folder = house.path("pages");
    fs::create_dir(&folder).expect("the folder is ours");
    house.meshd(&["man", "--all", folder.to_str().expect("UTF-8")]).expect_done();
    for page in ["meshd.1", "meshd-check.1", "meshd-journal-verify.1"] {
        assert!(folder.join(page).exists(), "{page}");
    }
    assert!(!folder.join("meshd-index-probe.1").exists(), "it is nobody's command");
    assert!(!house.meshd(&["--help"]).expect_done().contains("index-probe"));
}
