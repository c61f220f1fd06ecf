//! What can be said of a message afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use meshd::simulator::house::Plan;
use meshd::simulator::mail::mixed;
use meshd::simulator::message::Draft;
use meshd::simulator::payload::Payload;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;

/// The records that `arguments` find.
pub(crate) fn found(house: &House, arguments: &[&str]) -> Vec<Value> {
    let all = [&["audit", "find", "--json"], arguments].concat();
    let lines = house.meshd(&all).expect_done();
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn the_whole_story_of_a_message_is_told_and_reading_the_journal_is_journalled() {
    let house = House::build(Plan::default());
    house.set_up();
    house.offer(5, |number| mixed(number).expect("synthetic mail is well made"));
    let daemon = house.start();
    daemon.wait_for("the mail to come out", PATIENCE, || house.published().len() == 5);
    daemon.wait_for("it to be settled", PATIENCE, || found(&house, &["--kind", "delivered"]).len() == 5);
    let queue = house.meshd(&["queue", "list"]).expect_done();
    assert_eq!(queue, "nothing waits\n");

    let accepted = found(&house, &["--kind", "accepted"]);
    let message = accepted[2]["event"]["message"].as_str().expect("an id");
    let delivery = format!("d{}", accepted[2]["sequence"]);
    let shown = house.meshd(&["message", "show", message]).expect_done();
    let steps = ["listed by MESH", "fetched in", "kept: ", "acknowledged", "started", "staged", "delivered: "];
    let places = steps.map(|step| shown.find(step).unwrap_or_else(|| panic!("{step}: {shown}")));
    assert!(shown.contains(&format!("standing  {delivery}: delivered, since")), "{shown}");
    assert!(places[0] < places[2] && places[2] < places[4] && places[5] < shown.rfind("delivered: ").unwrap_or(0));
    assert!(shown.contains("(pipeline everything, file "), "{shown}");
    assert!(!shown.to_lowercase().contains("synthetic"), "subject, local id and file name are not shown: {shown}");
    assert_eq!(house.meshd(&["message", "show", &delivery]).expect_done(), shown, "by its delivery");
    let told = house.meshd(&["message", "show", message, "--mailbox", "X26ABC1", "--json"]).expect_done();
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["steps"].as_array().map(Vec::len), Some(shown.lines().count() - 4));
    let unknown = house.meshd(&["message", "show", "20200101000000000000_000000"]);
    assert!(unknown.code == Some(1) && unknown.stderr.contains("never heard of here"), "{unknown:?}");

    let reads = found(&house, &["--kind", "audit-read"]);
    let user = u64::from(rustix::process::getuid().as_raw());
    let last = &reads.last().expect("it was read before")["event"];
    assert_eq!((last["by"].as_u64(), last["records"].as_u64()), (Some(user), Some(5)));
    assert_eq!(last["what"], "kinds accepted, from record 1");

    let out = house.path("audit.json");
    let export = ["audit", "export", "--format", "fhir", "--out", out.to_str().expect("a path of letters")];
    house.meshd(&export).expect_done();
    assert_eq!(fs::metadata(&out).expect("it is there").permissions().mode() & 0o777, 0o600);
    let bundle: Value = serde_json::from_slice(&fs::read(&out).expect("it is ours")).expect("JSON");
    let entries = bundle["entry"].as_array().expect("entries");
    let provenances = entries.iter().filter(|entry| entry["resource"]["resourceType"] == "Provenance");
    assert_eq!(provenances.count(), 5);
    let again = house.meshd(&export);
    assert!(again.code == Some(1) && again.stderr.contains("exists"), "{again:?}");
    daemon.stop_in_order();

    let stopped = house.meshd(&["message", "show", message]);
    assert_eq!(stopped.code, Some(69), "{stopped:?}");
    house.meshd(&["journal", "verify"]).expect_done();
}

#[test]
fn messages_about_a_person_are_found_by_whoever_has_the_key_and_the_number_is_nowhere() {
    const NUMBER: &str = "9990000018";
    let house = House::build(Plan::default());
    house.set_up();
    let about = |number: u64| match number {
        1 => "a letter about 999 000 0018, and nobody else".to_owned(),
        _ => format!("a letter {number} about nobody"),
    };
    house.offer(3, |number| {
        let mail = Draft::data("X26ABC9", "LETTERS", Payload::plain(about(number)));
        mail.ready().expect("synthetic mail is well made")
    });
    let daemon = house.start();
    daemon.wait_for("the mail to come out", PATIENCE, || house.published().len() == 3);
    daemon.wait_for("it to be settled", PATIENCE, || found(&house, &["--kind", "delivered"]).len() == 3);

    house.write("numbers", &format!("{NUMBER}\n"));
    let numbers = house.path("numbers");
    let of_them = ["--nhs-number-file", numbers.to_str().expect("a path of letters")];
    let concerns = found(&house, &of_them);
    let delivered = found(&house, &["--kind", "delivered"]);
    assert_eq!(concerns.len(), 1, "{concerns:?}");
    assert!(delivered.iter().any(|record| record["event"]["id"] == concerns[0]["event"]["id"]), "{concerns:?}");
    house.write("numbers", "9990000026\n");
    assert!(found(&house, &of_them).is_empty(), "another person");
    house.write("numbers", &format!("{NUMBER}\n9990000019\n"));
    let wrong = house.meshd(&[&["audit", "find"][..], &of_them].concat());
    assert!(wrong.code == Some(1) && wrong.stderr.contains("line 2"), "{wrong:?}");
    assert!(!wrong.stderr.contains("9990000019"), "{wrong:?}");
    fs::set_permissions(&numbers, fs::Permissions::from_mode(0o644)).expect("it is ours");
    assert_eq!(house.meshd(&[&["audit", "find"][..], &of_them].concat()).code, Some(1), "anyone may read the numbers");
    daemon.stop_in_order();
    for (path, bytes) in house.kept_in_clear() {
        assert!(!bytes.windows(NUMBER.len()).any(|some| some == NUMBER.as_bytes()), "{}", path.display());
    }
}
