//! What operators do with dead and held mail.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use age::x25519::Identity;
use meshd::simulator::house::{EVERYTHING, Plan};
use meshd::simulator::mail::{Kind, mixed, sample};
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::sha256;
use crate::reload::reload;
use crate::sealed::opened;

/// Takes nothing that comes.
pub(crate) const OTHERS_ONLY: &str = r#"
name = "others-only"
[match]
workflow = ["NOBODY_SENDS_THIS"]
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

/// The deliveries set aside, by their ids, oldest first.
pub(crate) fn set_aside(house: &House) -> Vec<String> {
    let listed = house.meshd(&["deadletter", "list", "--json"]).expect_done();
    let Value::Array(listed) = serde_json::from_str(&listed).expect("JSON") else { panic!("{listed}") };
    listed.iter().rev().map(|aside| format!("d{}", aside["delivery"]["id"])).collect()
}

#[test]
fn a_dead_letter_is_replayed_once_its_pipeline_is_there_and_another_discarded() {
    let pipelines = vec![("others-only.toml", OTHERS_ONLY.to_owned())];
    let house = House::build(Plan { pipelines, ..Plan::default() });
    house.set_up();
    house.offer(4, |number| mixed(number).expect("synthetic mail is well made"));
    let daemon = house.start();
    daemon.wait_for("the mail to be dead", PATIENCE, || set_aside(&house).len() == 4);
    let dead = set_aside(&house);
    let shown = house.meshd(&["deadletter", "show", &dead[0]]).expect_done();
    for line in ["reason      MSG-NO-ROUTE", "to do       ", "mailbox     X26ABC1", "attempts    0 counted, 1 starts"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.to_lowercase().contains("synthetic"), "subject, local id and file name are not shown: {shown}");
    let shown = house.meshd(&["deadletter", "show", &dead[0], "--json"]).expect_done();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["reason"]["code"], "MSG-NO-ROUTE");
    let groups = house.meshd(&["deadletter", "groups", "--json"]).expect_done();
    let groups: Value = serde_json::from_str(&groups).expect("JSON");
    assert_eq!((groups.as_array().map(Vec::len), groups[0]["count"].as_u64()), (Some(1), Some(4)), "{groups}");
    let group = groups[0]["fingerprint"].as_str().expect("a fingerprint");
    for (filter, count) in [(["--group", group], 4), (["--code", "MSG-GONE"], 0), (["--cause", "permanent"], 4)] {
        let listed = house.meshd(&[&["deadletter", "list", "--json"][..], &filter[..]].concat()).expect_done();
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        assert_eq!(listed.as_array().map(Vec::len), Some(count), "{filter:?}");
    }
    let held = house.meshd(&["deadletter", "hold", &dead[3], "--reason", "INC0012345"]).expect_done();
    assert_eq!(held, format!("{} is held\n", dead[3]));
    daemon.stop_in_order();

    house.write("pipelines/everything.toml", EVERYTHING);
    let daemon = house.start();
    let replayed = house.meshd(&["deadletter", "replay", &dead[0], &dead[1], "--json"]).expect_done();
    let replayed: Value = serde_json::from_str(&replayed).expect("JSON");
    let new = format!("d{}", replayed[0]["done"]["replayed-as"]);
    assert_eq!(
        house.meshd(&["deadletter", "release", &dead[3]]).expect_done(),
        format!("{} is back at work\n", dead[3])
    );
    let nothing = house.meshd(&["deadletter", "discard", &dead[2]]);
    assert_eq!(nothing.code, Some(2), "it takes a reason: {}", nothing.stderr);
    house.meshd(&["deadletter", "discard", &dead[2], "--reason", "sent again"]).expect_done();
    daemon.wait_for("what was put back to work to come out", PATIENCE, || house.published().len() == 3);
    assert_eq!(set_aside(&house), Vec::<String>::new());

    for (delivery, standing) in [(&dead[0], format!("{new}: delivered")), (&dead[2], "discarded by user".to_owned())] {
        let shown = house.meshd(&["deadletter", "show", delivery]).expect_done();
        assert!(shown.contains("neither dead nor held") && shown.contains(&standing), "{shown}");
    }
    let unheard = house.meshd(&["deadletter", "show", "d999999"]);
    assert!(unheard.code == Some(1) && unheard.stderr.contains("never heard of"), "{unheard:?}");
    let refused = house.meshd(&["deadletter", "replay", &dead[0]]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains(&format!("it was replayed as {new}")), "{}", refused.stderr);
    let refused = house.meshd(&["deadletter", "replay", &new]);
    assert!(refused.code == Some(1) && refused.stderr.contains("--again and --reason"), "{refused:?}");
    let before = house.published();
    for entry in fs::read_dir(house.inbox()).expect("the folder is ours") {
        fs::remove_file(entry.expect("the folder is ours").path()).expect("a consumer takes it");
    }
    house.meshd(&["deadletter", "replay", &new, "--again", "--reason", "the practice lost it"]).expect_done();
    daemon.wait_for("one to come out again", PATIENCE, || house.published().len() == 1);
    assert!(house.published().iter().all(|(id, sha256)| before.get(id) == Some(sha256)));
    daemon.stop_in_order();

    let offered = house.offered();
    assert!(before.iter().all(|(id, sha256)| offered.get(id) == Some(sha256)));
    house.meshd(&["journal", "verify"]).expect_done();
    let by = format!("\"by\":{}", rustix::process::getuid().as_raw());
    let kept = house.kept_in_clear();
    for event in ["replayed", "operator-released", "operator-held", "operator-discarded"] {
        let event = format!("\"{event}\"");
        let says = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.split("{\"e\":").any(|record| record.starts_with(&event) && record.contains(&by))
        };
        assert!(kept.iter().any(|(_, bytes)| says(bytes)), "{event} does not say who");
    }
}

#[test]
fn sealed_mail_is_shown_to_a_person_with_a_reason_and_the_journal_says_so() {
    let pipelines = vec![("others-only.toml", OTHERS_ONLY.to_owned())];
    let house = House::build(Plan { pipelines, ..Plan::default() });
    house.set_up();
    let kinds = [Kind::Discharge, Kind::Chunked];
    house.offer(2, |number| sample(kinds[number as usize % 2], number).expect("synthetic mail is well made"));
    let daemon = house.start();
    daemon.wait_for("the mail to be dead", PATIENCE, || set_aside(&house).len() == 2);
    let dead = set_aside(&house);

    let nothing = house.meshd(&["deadletter", "show", &dead[0], "--reveal"]);
    assert_eq!(nothing.code, Some(2), "it takes a reason: {}", nothing.stderr);
    let reveal = ["--reveal", "--reason", "INC0012345"];
    let unknown = house.meshd(&[&["deadletter", "show", "d999999"][..], &reveal[..]].concat());
    assert!(unknown.code == Some(1) && unknown.stdout.is_empty(), "{unknown:?}");
    let before = house.meshd(&["audit", "find", "--kind", "revealed", "--json"]).expect_done();
    assert_eq!(before, "", "nothing was shown");

    let shown = house.meshd(&[&["deadletter", "show", &dead[0]][..], &reveal[..]].concat()).expect_done();
    for line in ["reason      MSG-NO-ROUTE", "subject     Synthetic mail ", "local id    synthetic-"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let offered = house.offered();
    for delivery in &dead {
        let out = house.path(&format!("{delivery}.out"));
        let out = out.to_str().expect("it is text");
        let give = [&["deadletter", "show", delivery, "--payload", "--out", out, "--json"][..], &reveal[..]].concat();
        let shown: Value = serde_json::from_str(&house.meshd(&give).expect_done()).expect("JSON");
        assert!(shown["envelope"]["subject"].as_str().is_some_and(|text| text.starts_with("Synthetic")), "{shown}");
        let bytes = fs::read(out).expect("it was written");
        let id = shown["delivery"]["message_id"].as_str().expect("an id");
        assert_eq!(sha256(Path::new(out)), offered[id], "{delivery}");
        assert_eq!(fs::metadata(out).expect("it is there").permissions().mode() & 0o777, 0o600);
        let again = house.meshd(&give);
        assert!(again.code == Some(1) && fs::read(out).expect("it is there") == bytes, "never written over: {again:?}");
    }
    let piped = house.meshd(&[&["deadletter", "show", &dead[0], "--payload"][..], &reveal[..]].concat()).expect_done();
    assert_eq!(piped.into_bytes(), fs::read(house.path(&format!("{}.out", dead[0]))).expect("it was written"));

    let told = house.meshd(&["message", "show", &dead[0]]).expect_done();
    let by = rustix::process::getuid().as_raw();
    for what in ["its envelope", "its envelope and payload"] {
        assert!(told.contains(&format!("user {by} was shown {what}: INC0012345")), "{told}");
    }
    daemon.stop_in_order();
    for (path, bytes) in house.kept_in_clear() {
        assert!(!String::from_utf8_lossy(&bytes).contains("Synthetic mail"), "{}", path.display());
    }
}

#[test]
fn dead_mail_goes_out_sealed_for_somebody_and_stays_as_it_is() {
    let pipelines = vec![("others-only.toml", OTHERS_ONLY.to_owned())];
    let house = House::build(Plan { pipelines, ..Plan::default() });
    house.set_up();
    let kinds = [Kind::Discharge, Kind::Chunked, Kind::Report];
    house.offer(3, |number| sample(kinds[number as usize % 3], number).expect("synthetic mail is well made"));
    let daemon = house.start();
    daemon.wait_for("the mail to be dead", PATIENCE, || set_aside(&house).len() == 3);
    let dead = set_aside(&house);
    let (identity, other) = (Identity::generate(), Identity::generate());
    let recipient = identity.to_public().to_string();
    let export = |deliveries: &[&str], out: &Path| {
        let out = out.to_str().expect("a path of letters");
        let rest = ["--recipient", &recipient, "--out", out, "--reason", "INC0012345"];
        house.meshd(&[&["deadletter", "export"][..], deliveries, &rest].concat())
    };
    let (file, none) = (house.path("letters"), house.path("none"));
    export(&dead.iter().map(String::as_str).collect::<Vec<_>>(), &file).expect_done();
    assert!(opened(&file, &other).is_none(), "it is not sealed for this key");
    let members = opened(&file, &identity).expect("it is sealed for this one");
    assert_eq!(members.len(), 3 * dead.len(), "{:?}", members.keys());
    let offered = house.offered();
    for delivery in &dead {
        let json = |name: &str| -> Value {
            serde_json::from_slice(&members[&format!("{delivery}/{name}.json")]).expect("JSON")
        };
        assert_eq!(json("letter")["reason"]["code"], "MSG-NO-ROUTE");
        assert_eq!(json("headers")["mailbox"], "X26ABC1");
        let id = json("headers")["message_id"].as_str().expect("an id").to_owned();
        let payload = house.path("payload");
        fs::write(&payload, &members[&format!("{delivery}/payload")]).expect("the folder is ours");
        match &offered[&id] {
            Some(_) => assert_eq!(sha256(&payload), offered[&id], "{delivery}"),
            None => assert_eq!(fs::metadata(&payload).expect("it is there").len(), 0, "a report has none"),
        }
    }
    let refused = export(&[&dead[0], "d999999"], &none);
    assert!(refused.code == Some(1) && refused.stderr.contains("d999999 is neither dead nor held"), "{refused:?}");
    assert!(!none.exists(), "half of them could pass for all");
    assert_eq!(set_aside(&house), dead, "they stay");
    let taken = house.meshd(&["audit", "find", "--kind", "revealed", "--json"]).expect_done();
    assert_eq!(taken.lines().filter(|line| line.contains("\"payload\":true")).count(), 4, "{taken}");
    daemon.stop_in_order();
}

#[test]
fn mail_for_an_output_that_stays_away_waits_and_is_held_at_its_limit() {
    let patient = format!("{EVERYTHING}[limits]\nmax_age = \"3s\"\n");
    let house = House::build(Plan { pipelines: vec![("everything.toml", patient)], ..Plan::default() });
    house.set_up();
    fs::remove_file(house.output().join(".meshd-output")).expect("a marker");
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    let daemon = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    assert_eq!(set_aside(&house), Vec::<String>::new(), "an outage is not poison");
    daemon.wait_for("the mail to be held", PATIENCE, || set_aside(&house).len() == 1);
    let listed = house.meshd(&["deadletter", "list"]).expect_done();
    assert!(listed.contains("held") && listed.contains("MSG-TOO-OLD"), "{listed}");
    daemon.stop_in_order();
}

/// Too small for any message.
const NARROW: &str = r#"
name = "narrow"
[limits]
max_bytes = "1B"
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

#[test]
fn a_wave_suspends_its_pipeline_and_a_person_has_it_go_on() {
    let pipelines = vec![("narrow.toml", NARROW.to_owned())];
    let house = House::build(Plan { pipelines, ..Plan::default() });
    house.set_up();
    house.offer(30, |_| mixed(0).expect("synthetic mail is well made"));
    let daemon = house.start();
    daemon.wait_for("the mail to be dead or held", PATIENCE, || set_aside(&house).len() == 30);
    let listed = house.meshd(&["pipeline", "list"]).expect_done();
    assert!(
        listed.contains("narrow") && listed.contains("suspended since") && listed.contains("MSG-TOO-LARGE"),
        "{listed}"
    );
    let status = house.meshd(&["status"]).expect_done();
    assert!(status.contains("meshd pipeline resume narrow"), "{status}");

    let resumed = house.meshd(&["pipeline", "resume", "narrow", "--only-new"]).expect_done();
    assert_eq!(resumed, "narrow goes on; deliveries back at work: 0\n");
    assert!(!house.meshd(&["status"]).expect_done().contains("suspended"));

    house.write("pipelines/narrow.toml", &NARROW.replace("1B", "1GB"));
    reload(&daemon, "configuration reloaded");
    let resumed = house.meshd(&["pipeline", "resume", "narrow", "--reason", "INC0012345", "--json"]).expect_done();
    let resumed: Value = serde_json::from_str(&resumed).expect("JSON");
    let released = resumed["released"].as_u64().expect("a number");
    assert!((1..=10).contains(&released), "{resumed}");
    daemon.wait_for("what was held to come out", PATIENCE, || house.published().len() as u64 == released);
    let refused = house.meshd(&["pipeline", "resume", "narrow"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("is not suspended"), "{refused:?}");
    let refused = house.meshd(&["pipeline", "resume", "narow"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("there are: narrow"), "{refused:?}");
    daemon.stop_in_order();
}
