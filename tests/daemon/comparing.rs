//! The old client's folder beside meshd's: what an operator is told, and by which exit code.

use std::fs;
use std::path::{Path, PathBuf};

use meshd::simulator::mail::mixed;
use serde_json::{Value, json};

use crate::house::House;
use crate::place::{Ended, Place};
use crate::{MESSAGES, PATIENCE, says_synthetic};

const SUBJECT: &str = "SMITH 9990000018";

fn control(id: &str, subject: &str) -> String {
    format!(
        "<DTSControl><Version>1.0</Version><AddressType>ALL</AddressType><MessageType>Data</MessageType>\
        <From_DTS>X26ABC1</From_DTS><To_DTS>X26ABC2</To_DTS><Subject>{subject}</Subject><DTSId>{id}</DTSId>\
        <WorkflowId>TRUST_DEMO_FLOW</WorkflowId><IsCompressed>N</IsCompressed></DTSControl>\n"
    )
}

/// Two folders of the same messages.
fn folders(place: &Place) -> (String, String) {
    for side in ["old", "new"] {
        for number in 0..30 {
            let id = format!("202601050930121234{number:02}_0A1B2C");
            place.write(&format!("{side}/{id}.dat"), &format!("data {number}"));
            place.write(&format!("{side}/{id}.ctl"), &control(&id, SUBJECT));
        }
    }
    (place.path("old").display().to_string(), place.path("new").display().to_string())
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn two_folders_end_in_the_exit_code_that_says_how_they_compare() {
    let place = Place::new();
    let (old, new) = folders(&place);
    let compare = |more: &[&str]| place.meshd(&[&["compare-in", &old, "--with", &new][..], more].concat());
    let same = compare(&[]);
    assert!(same.stdout.contains("30  the same"), "{same:?}");
    same.expect_done();

    for number in 0..25 {
        let id = format!("202601050930121234{number:02}_0A1B2C");
        place.write(&format!("new/{id}.ctl"), &control(&id, "SMITH"));
    }
    let young = compare(&[]);
    assert_eq!(young.code, Some(75), "{young:?}");
    let different = compare(&["--settle", "0s"]);
    assert_eq!(different.code, Some(1), "{different:?}");
    assert!(different.stdout.contains("Subject (16 bytes there, 5 bytes here)"), "{different:?}");
    assert!(different.stdout.contains("… and 5 more"), "{different:?}");
    let all = compare(&["--settle", "0s", "--all"]);
    assert!(!all.stdout.contains("more: --all"), "{all:?}");
    let report = compare(&["--settle", "0s", "--json"]);
    assert_eq!(report.code, Some(1));
    for ended in [&different, &all, &report] {
        assert!(!format!("{ended:?}").contains("SMITH"), "{ended:?}");
    }
    let report = json_of(&report);
    assert_eq!((&report["verdict"], &report["counts"]["same"]), (&json!("different"), &json!(5)));
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(25));

    fs::create_dir(place.path("empty")).expect("the folder is ours");
    fs::create_dir(place.path("empty-too")).expect("the folder is ours");
    let path = |name: &str| place.path(name).display().to_string();
    for (one, other) in [(&old, path("missing")), (&old, old.clone()), (&path("empty"), path("empty-too"))] {
        let unseen = place.meshd(&["compare-in", one, "--with", &other]);
        assert_eq!(unseen.code, Some(66), "{unseen:?}");
    }
    assert_eq!(compare(&["--settle", "soon"]).code, Some(2));
}

fn copy(from: &Path, to: &PathBuf) {
    fs::create_dir(to).expect("the folder is ours");
    for entry in fs::read_dir(from).expect("the folder is ours") {
        let entry = entry.expect("the folder is ours");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("it is a file");
    }
}

#[test]
fn what_the_daemon_put_into_its_configured_folder_is_compared() {
    let house = House::new();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up();
    let daemon = house.start();
    daemon.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    daemon.stop_in_order();
    let old = house.path("old");
    copy(&house.inbox(), &old);
    let old_text = old.display().to_string();
    let compare = ["compare-in", &old_text, "--settle", "0s", "--json"];
    let report = house.meshd(&compare);
    assert_eq!(report.code, Some(0), "{report:?}");
    assert_eq!(json_of(&report)["counts"]["same"], MESSAGES);

    let data = fs::read_dir(&old).expect("the folder is ours").filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let control = data.into_iter().find(|path| path.extension().is_some_and(|end| end == "ctl")).expect("one");
    fs::copy(&control, old.join("twice.ctl")).expect("copied");
    let data = control.with_extension("dat");
    if data.exists() {
        fs::copy(data, old.join("twice.dat")).expect("copied");
    }
    let report = house.meshd(&compare);
    assert_eq!(report.code, Some(1), "{report:?}");
    assert_eq!(json_of(&report)["counts"]["more_there"], 1);
    assert!(!says_synthetic(format!("{report:?}").as_bytes()), "{report:?}");
    assert_eq!(house.meshd(&["compare-in", &old_text, "--mailbox", "NOBODY"]).code, Some(66));
}
