//! `meshd simulate --scenario` as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const EXAMPLE: &str = include_str!("../../src/simulator/scenario/example.toml");

/// Starts it with this scenario, its files beside it.
fn simulate(folder: &Path, scenario: &str) -> Child {
    let file = folder.join("scenario.toml");
    std::fs::write(&file, scenario).expect("the folder is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshd"));
    command.args(["simulate", "--scenario"]).arg(file).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs")
}

#[test]
fn the_example_is_served_until_it_is_told_to_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut child = simulate(folder.path(), EXAMPLE);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = || -> Value {
        let line = lines.next().expect("a line").expect("UTF-8");
        serde_json::from_str(&line).expect("a line of JSON")
    };
    let ready = line();
    assert_eq!(ready["ready"], true, "{ready}");
    assert_eq!(ready["mailboxes"], serde_json::json!(["X26ABC1", "X26ABC2"]));
    assert!(ready["waiting"].as_u64().is_some_and(|waiting| waiting >= 100), "{ready}");
    assert!(folder.path().join("far-side.jsonl").exists() && folder.path().join("tls/ca.pem").exists());
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let totals = line();
    assert_eq!((&totals["waiting"], &totals["connections"]), (&ready["waiting"], &0.into()), "{totals}");
    assert!(child.wait().expect("it is our child").success());
}

#[test]
fn a_mistake_ends_it_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ended = simulate(folder.path(), &EXAMPLE.replace("seed = 7", "sead = 7")).wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("scenario.toml:2") && said.contains("`seed`"), "{said}");
}
