//! What is shown first: the demonstration does what it says, and the README says what is there.

mod readme;
mod scenario;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use meshd::domain::output::STATUS_FILE;
use serde_json::Value;

#[test]
fn the_demonstration_loses_nothing_doubles_nothing_and_says_where_everything_went() {
    let above = tempfile::tempdir().expect("a temporary folder");
    let folder = above.path().join("demo");
    let output = Command::new(env!("CARGO_BIN_EXE_meshd"))
        .args(["demo", "--json", "--keep"])
        .arg(&folder)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("was killed (SIGKILL)") && said.contains("stopped in order"), "{said}");

    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    let count =
        |path: &str| summary.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {summary}"));
    assert_eq!(summary["ok"], true, "{summary}");
    for wrong in ["/lost", "/duplicates", "/altered", "/astray"] {
        assert_eq!(count(wrong), 0, "{wrong}");
    }
    assert_eq!((count("/presented_again"), count("/refused")), (2, 1));
    assert_eq!(count("/acknowledged") + count("/refused"), count("/offered"), "every message has an answer");
    assert_eq!((count("/dead/MSG-POISON"), count("/poison_deaths")), (1, 3), "{said}");
    assert!(count("/left_for_slow") > 0);
    assert_eq!((count("/dead/MSG-NO-ROUTE"), count("/dead/MSG-TOO-LARGE"), count("/held/MSG-ID-REUSED")), (1, 1, 1));
    assert!(count("/discarded") > 0 && count("/spool_messages") > 0);
    assert!(count("/killed_after") > 0 && count("/killed_after") < count("/offered"), "it was killed half-way");
    for mailbox in ["X26ABC1", "X26ABC2"] {
        for folder in ["IN", "archive", "lists", "unsorted"] {
            // JSON pointers write a slash as `~1`.
            assert!(count(&format!("/delivered/{mailbox}~1{folder}")) > 0, "{mailbox}/{folder}");
        }
    }
    the_judge_sees(&folder);
}

/// The judge is a process of its own: what is done to the folder afterwards, it finds.
#[expect(clippy::disallowed_methods, reason = "a tidy-minded stranger moves a file")]
fn the_judge_sees(folder: &Path) {
    assert_eq!(judged(folder), [0, 0, 0, 0]);
    let lists = folder.join("out/X26ABC2/lists");
    let control =
        |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "json") && !path.ends_with(STATUS_FILE);
    let entries = fs::read_dir(&lists).expect("it is kept").map(|entry| entry.expect("it is kept").path());
    let mut sets: Vec<PathBuf> = entries.filter(control).collect();
    sets.sort();
    let [first, second, ..] = sets.as_slice() else { panic!("more than two sets") };

    fs::write(first.with_extension("dat"), "other bytes").expect("the folder is ours");
    assert_eq!(judged(folder), [0, 0, 1, 0], "altered");
    fs::rename(second, lists.join("STRANGER.json")).expect("the folder is ours");
    assert_eq!(judged(folder), [1, 0, 1, 1], "lost where it was, and astray where it is");
    let ledger = folder.join("consumer-X26ABC1.jsonl");
    let text = fs::read_to_string(&ledger).expect("it is kept");
    let last = text.lines().last().expect("the consumer took something");
    fs::write(&ledger, format!("{text}{last}\n")).expect("the folder is ours");
    assert_eq!(judged(folder), [1, 1, 1, 1], "taken twice");
}

/// Lost, duplicates, altered, astray.
fn judged(folder: &Path) -> [u64; 4] {
    let output =
        Command::new(env!("CARGO_BIN_EXE_meshd")).arg("demo-judge").arg(folder).output().expect("the program runs");
    let verdict: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    let counts = ["lost", "duplicates", "altered", "astray"].map(|what| verdict[what].as_u64().expect("a count"));
    assert_eq!(verdict["ok"], counts == [0; 4]);
    counts
}

#[test]
fn the_demonstration_does_not_write_into_a_folder_that_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_meshd"))
        .args(["demo", "--keep"])
        .arg(folder.path())
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("must be new"), "{said}");
}
