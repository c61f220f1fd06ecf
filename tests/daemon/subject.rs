//! What is kept about a person.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use age::x25519::Identity;
use meshd::simulator::house::Plan;
use meshd::simulator::message::{Draft, Mail};
use meshd::simulator::payload::Payload;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::Daemon;
use crate::sealed::opened;
use crate::trace::found;

const NUMBER: &str = "9990000018";

/// Looks at the first megabyte alone: what names somebody behind it is in no record.
const LONG: usize = (1 << 20) + 100;

fn letter(text: String) -> Arc<Mail> {
    Draft::data("X26ABC9", "LETTERS", Payload::plain(text)).ready().expect("synthetic mail is well made")
}

/// Three letters: about the person, about the person on its last page, and later, so that it is sealed by itself, about
/// nobody.
fn with_letters(house: &House) -> Daemon {
    house.set_up();
    house.offer(2, |number| match number {
        0 => letter("a letter about 999 000 0018".into()),
        _ => letter(format!("{} about {NUMBER}", "long ".repeat(LONG / 5))),
    });
    let daemon = house.start();
    daemon.wait_for("it to be settled", PATIENCE, || found(house, &["--kind", "delivered"]).len() == 2);
    house.offer(1, |_| letter("a letter about nobody".into()));
    daemon.wait_for("it to be settled", PATIENCE, || found(house, &["--kind", "delivered"]).len() == 3);
    house.write("numbers", &format!("{NUMBER}\n"));
    daemon
}

/// What `arguments` say about the person, as JSON.
fn about(house: &House, arguments: &[&str]) -> Value {
    let (code, told) = ended(house, arguments);
    assert_eq!(code, Some(0), "{told}");
    told
}

/// The same, and how it ended.
fn ended(house: &House, arguments: &[&str]) -> (Option<i32>, Value) {
    let numbers = house.path("numbers");
    let numbers =
        ["--nhs-number-file", numbers.to_str().expect("a path of letters"), "--reason", "INC0012345", "--json"];
    let told = house.meshd(&[&["subject"][..], arguments, &numbers].concat());
    (told.code, serde_json::from_str(&told.stdout).unwrap_or_else(|_| panic!("{told:?}")))
}

#[test]
fn what_is_kept_about_a_person_is_removed_unless_a_legal_hold_keeps_it() {
    let house = House::build(Plan::default());
    let daemon = with_letters(&house);
    let ids: Vec<String> = about(&house, &["find", "--scan"])["deliveries"]
        .as_object()
        .expect("a map")
        .keys()
        .map(|id| format!("d{id}"))
        .collect();
    let foreseen = about(&house, &["purge", "--scan"]);
    let fates = |told: &Value| {
        let fates = told["deliveries"].as_object().expect("a map").values();
        fates.map(|fate| fate.as_str().expect("a word").to_owned()).collect::<BTreeSet<_>>()
    };
    let both = ["names-others", "would-go"].map(str::to_owned).into();
    assert_eq!(fates(&foreseen), both, "not all of the long one was looked at");
    let all = about(&house, &["purge", "--scan", "--with-others"]);
    assert_eq!(fates(&all), ["would-go".to_owned()].into());
    assert_eq!(deliveries(&about(&house, &["find", "--scan"])).len(), 2, "nothing was removed");
    assert!(foreseen["elsewhere"].to_string().contains("published to"), "{foreseen}");

    let hold = house.meshd(&["hold", "add", "--delivery", &ids[0], "--reason", "INC0012345", "--json"]).expect_done();
    let hold: Value = serde_json::from_str(&hold).expect("JSON");
    let (code, done) = ended(&house, &["purge", "--scan", "--yes", "--with-others"]);
    assert_eq!(code, Some(1), "something stays");
    assert_eq!(done["deliveries"][&ids[0][1..]]["stays"], "legally-held", "{done}");
    assert!(
        done["deliveries"][&ids[1][1..]]["gone"].is_string() || done["deliveries"][&ids[1][1..]]["gone"].is_object(),
        "{done}"
    );
    house.meshd(&["hold", "remove", hold["added"].as_str().expect("an id"), "--reason", "INC0012345"]).expect_done();
    about(&house, &["purge", "--scan", "--yes", "--with-others"]);
    daemon.wait_for("both payloads to be gone from the disk", PATIENCE, || {
        let left = about(&house, &["find", "--scan"]);
        deliveries(&left).is_empty() && left["left_behind"] == Value::Array(Vec::new())
    });
    let still = house.meshd(&["spool", "list"]).expect_done();
    assert_eq!(still.lines().count(), 1, "the letter about nobody stays: {still}");
    house.meshd(&["spool", "verify"]).expect_done();
    let purged = found(&house, &["--kind", "purged"]);
    assert!(purged.iter().all(|record| record["event"]["asked"]["why"] == "INC0012345"), "{purged:?}");
    let told = house.meshd(&["message", "show", &ids[0]]).expect_done();
    assert!(told.contains("had its payload removed before its time: INC0012345"), "{told}");
    daemon.stop_in_order();
    house.meshd(&["journal", "verify"]).expect_done();
}

fn deliveries(found: &Value) -> Vec<&Value> {
    found["deliveries"].as_object().expect("a map").values().collect()
}

#[test]
fn what_is_kept_about_a_person_is_found_in_the_journal_and_the_rest_by_a_scan() {
    let house = House::build(Plan::default());
    let daemon = with_letters(&house);
    let by_journal = about(&house, &["find"]);
    let [one] = deliveries(&by_journal)[..] else { panic!("{by_journal}") };
    assert_eq!((&one["class"], &one["is_in_journal"]), (&"delivered".into(), &true.into()));
    let by_scan = about(&house, &["find", "--scan"]);
    let both = deliveries(&by_scan);
    assert_eq!(both.len(), 2, "{by_scan}");
    assert!(both.iter().all(|one| one["is_in_payload"] == true), "{by_scan}");
    assert_eq!(both.iter().filter(|one| one["is_in_journal"] == true).count(), 1, "{by_scan}");
    house.write("numbers", "9990000026\n");
    let nobody = about(&house, &["find", "--scan"]);
    assert!(deliveries(&nobody).is_empty() && nobody["gone"] == Value::Array(Vec::new()), "{nobody}");
    house.write("numbers", &format!("{NUMBER}\n"));

    let user = u64::from(rustix::process::getuid().as_raw());
    let sought = found(&house, &["--kind", "subject-sought", "--by", &user.to_string()]);
    let purposes: Vec<_> = sought.iter().map(|record| record["event"]["purpose"].clone()).collect();
    assert_eq!(purposes, ["find", "scan", "scan"]);
    assert!(sought.iter().all(|record| record["event"]["why"] == "INC0012345"), "{sought:?}");
    let report = house.meshd(&["retention", "report", "--json"]).expect_done();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["tallies"][0]["amount"]["messages"], 3, "{report}");
    assert!(house.meshd(&["retention", "report"]).expect_done().contains("X26ABC1          delivered         3"));
    daemon.stop_in_order();
    for (path, bytes) in house.kept_in_clear() {
        assert!(!bytes.windows(NUMBER.len()).any(|some| some == NUMBER.as_bytes()), "{}", path.display());
    }
}

#[test]
fn what_is_kept_about_a_person_is_one_file_that_its_recipient_alone_opens() {
    let house = House::build(Plan::default());
    let daemon = with_letters(&house);
    let (identity, other) = (Identity::generate(), Identity::generate());
    let (recipient, file) = (identity.to_public().to_string(), house.path("answer"));
    let out = file.to_str().expect("a path of letters");
    let first = about(&house, &["find"])["deliveries"].as_object().expect("a map").keys().next().cloned();
    let first = format!("d{}", first.expect("the journal connects it"));
    house.meshd(&["deadletter", "replay", &first, "--again", "--reason", "INC0012345"]).expect_done();
    daemon.wait_for("it to be delivered again", PATIENCE, || found(&house, &["--kind", "delivered"]).len() == 4);

    let told = about(&house, &["export", "--scan", "--recipient", &recipient, "--out", out]);
    let members = opened(&file, &identity).expect("it is sealed for this key");
    assert!(opened(&file, &other).is_none(), "and for no other");
    let index: Value = serde_json::from_slice(&members["index.json"]).expect("JSON");
    assert_eq!(index, told);
    let deliveries = index["deliveries"].as_object().expect("a map");
    let of = |key: &str| deliveries.values().filter_map(|one| one[key].as_str()).collect::<Vec<_>>();
    assert_eq!((deliveries.len(), of("folder").len(), of("missing").len()), (3, 2, 0), "{index}");
    assert!(deliveries[&first[1..]]["same_as"].is_u64(), "its payload is the replay's: {index}");
    let payloads: BTreeSet<String> =
        of("folder").iter().map(|folder| utf8(&members[&format!("{folder}/payload")])).collect();
    let long = format!("{} about {NUMBER}", "long ".repeat(LONG / 5));
    assert_eq!(payloads, ["a letter about 999 000 0018".to_owned(), long].into());
    for folder in of("folder") {
        let headers: Value = serde_json::from_slice(&members[&format!("{folder}/headers.json")]).expect("JSON");
        assert_eq!(headers["workflow"], "LETTERS", "{headers}");
    }
    assert_eq!(members.len(), 5, "nothing of anybody else: {:?}", members.keys());

    let before = fs::read(&file).expect("it was written");
    assert!(!before.windows(NUMBER.len()).any(|some| some == NUMBER.as_bytes()), "none of it is in clear");
    let numbers = house.path("numbers");
    let export = ["subject", "export", "--reason", "INC0012345", "--recipient", &recipient, "--out"];
    let wrong = |numbers: &str, out: &str| house.meshd(&[&export[..], &[out, "--nhs-number-file", numbers]].concat());
    assert_eq!(wrong(numbers.to_str().expect("letters"), out).code, Some(1), "it is there already");
    assert_eq!(fs::read(&file).expect("it is still there"), before);
    let second = house.path("second");
    let unreadable = wrong("/nowhere", second.to_str().expect("letters"));
    assert_eq!(unreadable.code, Some(1));
    assert_eq!(unreadable.stderr, "meshd: /nowhere: No such file or directory (os error 2)\n");
    assert!(!second.exists(), "half an answer could pass for a whole one");
    let purposes = found(&house, &["--kind", "subject-sought"]);
    assert!(purposes.iter().any(|record| record["event"]["purpose"] == "export"), "{purposes:?}");
    daemon.stop_in_order();
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a letter")
}

#[test]
fn what_waits_to_be_handled_again_is_found_after_what_it_takes_the_place_of_is_gone() {
    let house = House::build(Plan { tables: "[retention]\ndelivered = \"1m\"\n".into(), ..Plan::default() });
    house.set_up();
    house.offer(1, |_| letter("a letter about 999 000 0018".into()));
    let daemon = house.start();
    daemon.wait_for("it to be settled", PATIENCE, || found(&house, &["--kind", "delivered"]).len() == 1);
    house.write("numbers", &format!("{NUMBER}\n"));
    let first = deliveries(&about(&house, &["find"]))[0]["delivery"]["id"].clone();
    let because = ["--reason", "INC0012345"];
    house.meshd(&[&["mailbox", "suspend", "X26ABC1"][..], &because].concat()).expect_done();
    let delivery = format!("d{first}");
    house.meshd(&[&["deadletter", "replay", &delivery, "--again"][..], &because].concat()).expect_done();
    assert_eq!(deliveries(&about(&house, &["find"])).len(), 2, "both are known");
    daemon.wait_for("the first to go", PATIENCE * 2, || found(&house, &["--kind", "purged"]).len() == 1);
    let told = about(&house, &["find"]);
    let [one] = deliveries(&told)[..] else { panic!("{told}") };
    assert_eq!((&one["class"], &told["gone"][0]), (&"waiting".into(), &first), "{told}");
    daemon.stop_in_order();
}
