//! What is shown first: the demonstration does what it says, and the README says what is there.

mod readme;

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn the_demonstration_loses_nothing_doubles_nothing_and_says_where_everything_went() {
    let output = Command::new(env!("CARGO_BIN_EXE_meshd"))
        .args(["demo", "--json"])
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
    assert_eq!((count("/dead/MSG-NO-ROUTE"), count("/dead/MSG-TOO-LARGE"), count("/held/MSG-ID-REUSED")), (1, 1, 1));
    assert!(count("/discarded") > 0 && count("/spool_messages") > 0);
    assert!(count("/killed_after") > 0 && count("/killed_after") < count("/offered"), "it was killed half-way");
    for mailbox in ["X26ABC1", "X26ABC2"] {
        for folder in ["IN", "archive", "lists", "unsorted"] {
            // JSON pointers write a slash as `~1`.
            assert!(count(&format!("/delivered/{mailbox}~1{folder}")) > 0, "{mailbox}/{folder}");
        }
    }
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
