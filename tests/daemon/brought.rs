//! Payloads that operators bring in: mended ones for dead letters, and exported ones of another daemon.

use std::fs::{self, File};
use std::path::Path;

use meshd::simulator::house::{EVERYTHING, Plan};
use meshd::simulator::mail::{Kind, sample};
use serde_json::Value;

use crate::PATIENCE;
use crate::desk::{OTHERS_ONLY, set_aside};
use crate::house::House;
use crate::place::{Daemon, MAILBOX, sha256};

/// One message in one piece and one in several, dead for want of a pipeline, which is there by now.
fn with_dead_letters() -> (House, Daemon, Vec<String>) {
    let pipelines = vec![("others-only.toml", OTHERS_ONLY.to_owned())];
    let house = House::build(Plan { pipelines, ..Plan::default() });
    house.set_up();
    let kinds = [Kind::Discharge, Kind::Chunked];
    house.offer(2, |number| sample(kinds[number as usize % 2], number).expect("synthetic mail is well made"));
    let daemon = house.start();
    daemon.wait_for("the mail to be dead", PATIENCE, || set_aside(&house).len() == 2);
    daemon.stop_in_order();
    house.write("pipelines/everything.toml", EVERYTHING);
    let daemon = house.start();
    let dead = set_aside(&house);
    (house, daemon, dead)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}

/// The message of a dead letter.
fn message_of(house: &House, delivery: &str) -> String {
    let shown = house.meshd(&["deadletter", "show", delivery, "--json"]).expect_done();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    shown["delivery"]["message_id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_mended_payload_comes_out_in_the_place_of_a_dead_letters_which_is_kept() {
    let (house, daemon, dead) = with_dead_letters();
    // One that is sealed with others, and one that is sealed by itself in two chunks.
    let lengths = [1_000, (64 << 20) + 1];
    let mut expected = Vec::new();
    for (delivery, length) in dead.iter().zip(lengths) {
        let mended = house.path(&format!("{delivery}.mended"));
        fs::write(&mended, vec![b'm'; length]).expect("the folder is ours");
        expected.push((message_of(&house, delivery), sha256(&mended)));
        let replay = ["deadletter", "replay", delivery, "--payload", text(&mended)];
        let nothing = house.meshd(&replay);
        assert_eq!(nothing.code, Some(2), "it takes a reason: {}", nothing.stderr);
        let said = house.meshd(&[&replay[..], &["--reason", "INC0012345"]].concat()).expect_done();
        assert!(said.contains(&format!("{delivery} is replayed as d")) && said.contains("keeps its own"), "{said}");
        let again = house.meshd(&[&replay[..], &["--reason", "INC0012345"]].concat());
        assert!(again.code == Some(1) && again.stderr.contains("it was discarded"), "{again:?}");
    }
    // What was told is durable.
    daemon.kill();
    let daemon = house.start();
    daemon.wait_for("both to come out", PATIENCE, || house.published().len() == 2);
    let published = house.published();
    assert!(expected.iter().all(|(id, sha256)| published.get(id) == Some(sha256)), "{published:?}");
    assert_eq!(set_aside(&house), Vec::<String>::new());

    let offered = house.offered();
    for (delivery, (id, _)) in dead.iter().zip(&expected) {
        let told = house.meshd(&["message", "show", delivery]).expect_done();
        let by = rustix::process::getuid().as_raw();
        assert!(told.contains(&format!("user {by} had {delivery} replayed as d")), "{told}");
        assert!(told.contains("with another payload") && told.contains("INC0012345"), "{told}");
        let own = house.path(&format!("{delivery}.own"));
        let out = File::create(&own).expect("the folder is ours");
        let open = house.command().args(["spool", "open", MAILBOX, id, "--nth", "1"]).stdout(out).output();
        let said = String::from_utf8(open.expect("it ends").stderr).expect("text");
        assert!(said.contains("1 of 2 payloads"), "{said}");
        assert_eq!(sha256(&own), offered[id], "{delivery} has the bytes that MESH gave");
    }
    let found = house.meshd(&["audit", "find", "--kind", "brought-in", "--json"]).expect_done();
    assert_eq!(found.lines().count(), 2, "{found}");
    let short = house.meshd(&["deadletter", "replay", &dead[0], &dead[1], "--payload", "x", "--reason", "x"]);
    assert!(short.code == Some(1) && short.stderr.contains("name one delivery"), "{short:?}");
    daemon.stop_in_order();
    house.meshd(&["journal", "verify"]).expect_done();
    house.meshd(&["spool", "verify"]).expect_done();
}

#[test]
fn what_was_exported_is_held_at_another_daemon_once_and_comes_out_when_it_is_released() {
    let (house, daemon, dead) = with_dead_letters();
    let key = house.path("carrier");
    let recipient = house.meshd(&["keys", "generate", "--output", text(&key)]).expect_done();
    let letters = house.path("letters");
    let export = ["deadletter", "export", &dead[0], &dead[1], "--recipient", recipient.trim()];
    house.meshd(&[&export[..], &["--out", text(&letters), "--reason", "INC0012345"]].concat()).expect_done();
    let import = |house: &House, key: &Path, file: &Path| {
        let rest = ["--identity", text(key), "--reason", "old server, INC0012345"];
        house.meshd(&[&["deadletter", "import", text(file)][..], &rest].concat())
    };
    let here = import(&house, &key, &letters);
    assert!(here.code == Some(1) && here.stderr.contains("is here as d"), "{here:?}");
    assert_eq!(set_aside(&house), dead, "nothing came in twice");

    let other = House::new();
    other.set_up();
    let second = other.start();
    let said = import(&other, &key, &letters).expect_done();
    assert_eq!(said.lines().filter(|line| line.ends_with(", held")).count(), 2, "{said}");
    let again = import(&other, &key, &letters);
    assert!(again.code == Some(1) && again.stderr.contains("2 of 2 were not brought in"), "{again:?}");
    second.kill();
    let second = other.start();
    let held = set_aside(&other);
    let listed = other.meshd(&["deadletter", "list"]).expect_done();
    assert!(held.len() == 2 && listed.contains("held") && listed.contains("OPERATOR-HELD"), "{listed}");
    assert_eq!(other.published().len(), 0, "a person looks first");
    other.meshd(&["deadletter", "release", &held[0], &held[1], "--reason", "looked at"]).expect_done();
    second.wait_for("both to come out", PATIENCE, || other.published().len() == 2);
    assert_eq!(other.published(), house.offered());

    let wrong = import(&other, &other.path("identity"), &letters);
    assert!(wrong.code == Some(1) && wrong.stderr.contains("open "), "another's key: {wrong:?}");
    let cut = other.path("cut");
    let bytes = fs::read(&letters).expect("it was written");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("the folder is ours");
    let wrong = import(&other, &key, &cut);
    assert!(wrong.code == Some(1), "cut short: {wrong:?}");
    second.stop_in_order();
    daemon.stop_in_order();
    other.meshd(&["journal", "verify"]).expect_done();
}
