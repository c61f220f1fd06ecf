//! Mail that an inquiry may ask for.

use std::fs;
use std::time::Duration;

use meshd::simulator::house::Plan;
use meshd::simulator::message::Draft;
use meshd::simulator::payload::Payload;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::trace::found;

const NUMBER: &str = "9990000018";

/// The shortest retention that there is, and what may come on top.
const GONE_AFTER: Duration = Duration::from_secs(60 + 60);

fn spared(house: &House) -> u64 {
    let status: Value = serde_json::from_str(&house.meshd(&["status", "--json"]).expect_done()).expect("JSON");
    status["mailboxes"][0]["occupancy"]["spared"]["messages"].as_u64().expect("a number")
}

#[test]
fn mail_under_a_legal_hold_outlives_its_time_kills_and_the_index_and_the_rest_goes() {
    let house = House::build(Plan { tables: "[retention]\ndelivered = \"1m\"\n".into(), ..Plan::default() });
    house.set_up();
    let letter = |number: u64| match number {
        1 => "a letter about 999 000 0018".to_owned(),
        _ => format!("a letter {number} about nobody"),
    };
    house.offer(3, |number| {
        let mail = Draft::data("X26ABC9", "LETTERS", Payload::plain(letter(number)));
        mail.ready().expect("synthetic mail is well made")
    });
    let daemon = house.start();
    daemon.wait_for("it to be settled", PATIENCE, || found(&house, &["--kind", "delivered"]).len() == 3);

    house.write("numbers", &format!("{NUMBER}\n"));
    let numbers = house.path("numbers");
    let numbers = numbers.to_str().expect("a path of letters");
    let theirs = found(&house, &["--nhs-number-file", numbers])[0]["event"]["id"].clone();
    let other = found(&house, &["--kind", "accepted"])
        .iter()
        .map(|record| record["sequence"].clone())
        .find(|id| *id != theirs)
        .expect("there are three");
    let because = ["--reason", "INC0012345"];
    let add = |what: &[&str]| {
        let added = house.meshd(&[&["hold", "add", "--json"][..], what, &because].concat()).expect_done();
        let added: Value = serde_json::from_str(&added).expect("JSON");
        added["added"].as_str().expect("an id").to_owned()
    };
    assert_eq!(house.meshd(&["hold", "add", "--mailbox", "X26ABC1"]).code, Some(2), "it takes a reason");
    assert_eq!(house.meshd(&[&["hold", "add"][..], &because].concat()).code, Some(2), "it takes a scope");
    let nowhere = house.meshd(&[&["hold", "add", "--mailbox", "X26ABC8"][..], &because].concat());
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("no mailbox is called that"), "{nowhere:?}");
    let about = add(&["--nhs-number-file", numbers]);
    daemon.wait_for("the journal to be searched", PATIENCE, || {
        !house.meshd(&["hold", "list"]).expect_done().contains("still searched")
    });
    let one = add(&["--delivery", &format!("d{other}")]);
    daemon.kill();
    fs::remove_dir_all(house.state().join("index")).expect("the index may burn");

    let daemon = house.start();
    daemon.wait_for("the other letter to go", GONE_AFTER, || found(&house, &["--kind", "purged"]).len() == 1);
    daemon.wait_for("the time of both to be over", PATIENCE, || spared(&house) == 2);
    let listed = house.meshd(&["hold", "list"]).expect_done();
    assert!(listed.contains("2 legal holds keep 2 messages"), "{listed}");
    assert!(house.meshd(&["status"]).expect_done().contains("2 legal holds keep 2 messages"));
    let told = house.meshd(&["message", "show", &format!("d{theirs}")]).expect_done();
    assert!(told.contains(&format!("legal hold {about} keeps it")) && told.contains("time is over"), "{told}");
    for hold in [&about, &one] {
        house.meshd(&[&["hold", "remove", hold][..], &because].concat()).expect_done();
    }
    daemon.wait_for("both to go", PATIENCE, || found(&house, &["--kind", "purged"]).len() == 3);
    let gone = house.meshd(&[&["hold", "remove", &about][..], &because].concat());
    assert!(gone.code == Some(1) && gone.stderr.contains("no such legal hold"), "{gone:?}");
    let user = u64::from(rustix::process::getuid().as_raw());
    for kind in ["legal-hold-added", "legal-hold-removed"] {
        let records = found(&house, &["--kind", kind, "--by", &user.to_string()]);
        assert_eq!(records.iter().filter(|record| record["event"]["why"] == "INC0012345").count(), 2, "{kind}");
    }
    daemon.stop_in_order();
    house.meshd(&["journal", "verify"]).expect_done();
    for (path, bytes) in house.kept_in_clear() {
        assert!(!bytes.windows(NUMBER.len()).any(|some| some == NUMBER.as_bytes()), "{}", path.display());
    }
}
