//! Another age identity in the place of the one that mail was sealed for.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use meshd::simulator::house::Plan;
use meshd::simulator::mail::mixed;
use meshd::simulator::message::Draft;
use meshd::simulator::payload::Payload;
use serde_json::Value;

use crate::house::House;
use crate::place::MAILBOX;
use crate::{MESSAGES, PATIENCE};

#[test]
fn mail_sealed_for_the_old_identity_comes_out_under_the_new_one() {
    let house = House::new();
    house.set_up();
    let marker = (house.output().join(".meshd-output"), house.output().join("away"));
    rustix::fs::rename(&marker.0, &marker.1).expect("the folder is ours");
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    let daemon = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.stop_in_order();
    rustix::fs::rename(&marker.1, &marker.0).expect("the folder is ours");

    let text = |name: &str| fs::read_to_string(house.path(name)).expect("it is ours");
    let new = house.path("new").display().to_string();
    let recipient = house.meshd(&["keys", "generate", "--output", &new]).expect_done();
    let old = text("identity").lines().next().and_then(|line| line.rsplit(' ').next().map(str::to_owned));
    let configuration = text("meshd.toml").replace(&old.expect("a public key"), recipient.trim());
    house.write("meshd.toml", &configuration);
    let refused = house.meshd(&["check"]);
    assert_eq!(refused.code, Some(78), "the new recipient's identity is not loaded: {refused:?}");
    house.write("identity", &(text("new") + &text("identity")));
    house.meshd(&["check"]).expect_done();

    let daemon = house.start();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    daemon.wait_for("mail of both to come out", PATIENCE, || house.published().len() as u64 == 2 * MESSAGES);
    daemon.stop_in_order();
    assert_eq!(house.published(), house.offered());
    house.meshd(&["spool", "verify"]).expect_done();
    let verified = house.meshd(&["spool", "verify", "--identity", &new]);
    assert!(
        verified.code == Some(1) && verified.stderr.contains("problems"),
        "the old one is needed yet: {verified:?}"
    );
}

#[test]
fn an_identity_is_rotated_as_the_command_says_and_needed_until_nothing_is_sealed_for_it_alone() {
    let house = House::new();
    house.set_up();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    let daemon = house.start();
    daemon.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    let status = keys_status(&house);
    let old = text(&status["identities"][0]["recipient"]);
    assert_eq!(status["identities"][0]["opens"]["messages"], MESSAGES);
    for none in ["closed", "unnamed", "unreadable", "outdated"] {
        assert_eq!(status[none]["messages"], 0, "{none}: {status}");
    }

    let path = house.path("identity-2").display().to_string();
    let said = house.meshd(&["keys", "rotate", "--output", &path]).expect_done();
    let new = said.lines().next().expect("the recipient").to_owned();
    let again = house.meshd(&["keys", "rotate", "--output", &path]);
    assert!(again.code == Some(1) && again.stderr.contains("exists"), "never over another: {again:?}");
    let made = house.meshd(&["audit", "export", "--json"]);
    assert!(!made.stdout.contains("AGE-SECRET"), "{made:?}");
    daemon.stop_in_order();

    let configured = |name: &str| fs::read_to_string(house.path(name)).expect("it is ours");
    let [identity, retired] = ["identity = ", "retired_identities = "].map(|key| {
        let line = said.lines().map(str::trim).find(|line| line.starts_with(key));
        line.expect("it is printed").to_owned()
    });
    let before = configured("meshd.toml");
    let present = before.lines().find(|line| line.starts_with("identity = ")).expect("it is configured").to_owned();
    // The old recipient may stay nowhere.
    house.write("meshd.toml", &before.replace(&present, &format!("{identity}\n{retired}")));
    let refused = house.meshd(&["check"]);
    assert!(refused.code == Some(78) && refused.stderr.contains("retired_identities"), "{refused:?}");
    let rotated = before.replace(&present, &format!("{identity}\n{retired}")).replace(&old, &new);
    house.write("meshd.toml", &rotated);
    house.meshd(&["check"]).expect_done();

    let daemon = house.start();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    daemon.wait_for("new mail to come out", PATIENCE, || house.published().len() as u64 == 2 * MESSAGES);
    let status = keys_status(&house);
    let of = |number: usize, what: &str| status["identities"][number][what]["messages"].clone();
    assert_eq!(status["identities"][0]["recipient"], new.as_str());
    assert_eq!((of(0, "opens"), of(1, "opens"), of(1, "needed")), (MESSAGES.into(), MESSAGES.into(), MESSAGES.into()));
    assert_eq!(status["outdated"]["messages"], MESSAGES);
    house.meshd(&["spool", "verify"]).expect_done();
    daemon.stop_in_order();

    // While the old identity is there: what was sealed for it may lie in volumes that others still need.
    house.meshd(&["spool", "verify"]).expect_done();
    house.write("meshd.toml", &rotated.replace(&retired, ""));
    let daemon = house.start();
    let closed = house.meshd(&["keys", "status"]);
    assert!(closed.code == Some(1) && closed.stdout.contains("no identity opens"), "{closed:?}");
    daemon.stop_in_order();
}

fn keys_status(house: &House) -> Value {
    let said = house.meshd(&["keys", "status", "--json"]).expect_done();
    serde_json::from_str(&said).expect("it is JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("it is text").to_owned()
}

/// Takes no pathology: that is dead.
const MOST: &str = r#"
name = "most"
[match]
workflow = ["TOC_*", "DEMO_*"]
[[stage]]
use = "route"
rules = [ { otherwise = true, to = ["inbox"] } ]
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

#[test]
fn everything_is_sealed_again_under_traffic_and_kills_and_opens_without_the_old_identity() {
    let house = House::build(Plan { pipelines: vec![("most.toml", MOST.to_owned())], ..Plan::default() });
    house.set_up();
    let mail = |number| mixed(number).expect("synthetic mail is well made");
    let daemon = house.start();
    house.offer(MESSAGES, mail);
    house.wait_until_all_acknowledged(PATIENCE);
    let dead = || -> Vec<String> {
        let listed = house.meshd(&["deadletter", "list", "--json"]).expect_done();
        let listed: Vec<Value> = serde_json::from_str(&listed).expect("it is JSON");
        listed.iter().map(|found| format!("d{}", found["delivery"]["id"])).collect()
    };
    let published = || house.published().len();
    daemon.wait_for("all to be dead or out", PATIENCE, || (dead().len() + published()) as u64 == MESSAGES);
    let [dead_each, out_each] = [dead().len(), published()];
    assert!(dead_each > 0 && out_each > 0);
    house.meshd(&["deadletter", "hold", &dead()[0], "--reason", "INC0012345"]).expect_done();
    // What comes now has to wait.
    let marker = (house.output().join(".meshd-output"), house.output().join("away"));
    rustix::fs::rename(&marker.0, &marker.1).expect("the folder is ours");
    house.offer(MESSAGES, mail);
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.stop_in_order();

    let new = house.path("new").display().to_string();
    let recipient = house.meshd(&["keys", "generate", "--output", &new]).expect_done();
    let configured = fs::read_to_string(house.path("meshd.toml")).expect("it is ours");
    let present = configured.lines().find(|line| line.starts_with("identity = ")).expect("it is configured");
    let retired = present.replace("identity = ", "retired_identities = [") + "]";
    let identity = format!("identity = {{ file = {new:?} }}");
    let old = fs::read_to_string(house.path("identity")).expect("it is ours");
    let old = old.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a public key").to_owned();
    let rotated = configured.replace(present, &format!("{identity}\n{retired}")).replace(&old, recipient.trim());
    house.write("meshd.toml", &rotated);

    for wait in [50, 200, 600] {
        let daemon = house.start();
        house.offer(MESSAGES / 3, mail);
        let asked = house.command().args(["keys", "rewrap"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        std::thread::sleep(Duration::from_millis(wait));
        daemon.kill();
        asked.expect("it is built").wait().expect("it ends");
    }
    let daemon = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    house.meshd(&["keys", "rewrap"]).expect_done();
    let status = keys_status(&house);
    for none in ["closed", "unnamed", "unreadable", "outdated"] {
        assert_eq!(status[none]["messages"], 0, "{none}: {status}");
    }
    assert_eq!(status["identities"][1]["needed"]["messages"], 0, "{status}");
    assert_eq!(status["identities"][0]["opens"]["messages"], 3 * MESSAGES, "{status}");
    let told = house.meshd(&["audit", "export", "--json"]);
    assert!(!told.stdout.contains("AGE-SECRET"), "{told:?}");
    daemon.stop_in_order();

    // While the old identity is there: what was sealed for it may lie in volumes that others still need.
    house.meshd(&["spool", "verify"]).expect_done();
    house.write("meshd.toml", &rotated.replace(&retired, ""));
    fs::remove_file(house.path("identity")).expect("it is ours");
    rustix::fs::rename(&marker.1, &marker.0).expect("the folder is ours");
    let daemon = house.start();
    daemon.wait_for("all that waited to come out", PATIENCE, || published() == 3 * out_each);
    house.meshd(&["keys", "status"]).expect_done();
    assert_eq!(dead().len(), 3 * dead_each, "each once");
    daemon.stop_in_order();
    let offered = house.offered();
    assert!(house.published().iter().all(|(id, sha256)| offered.get(id) == Some(sha256)));
}

#[test]
fn another_hmac_key_knows_what_the_old_one_knew() {
    let house = House::build(Plan::default());
    house.set_up();
    let letter = |about: &str| {
        let text = format!("a letter about {about}");
        Draft::data("X26ABC9", "LETTERS", Payload::plain(text)).ready().expect("synthetic mail is well made")
    };
    house.offer_as(MAILBOX, "M1", &letter("999 000 0018"));
    let daemon = house.start();
    daemon.wait_for("it to come out", PATIENCE, || house.published().len() == 1);
    house.wait_until_all_acknowledged(PATIENCE);
    house.write("numbers", "9990000018\n");
    let numbers = ["--nhs-number-file", &house.path("numbers").display().to_string(), "--reason", "INC0012345"];
    house.meshd(&[&["hold", "add"][..], &numbers].concat()).expect_done();
    daemon.stop_in_order();

    let old = house.path("hmac").display().to_string();
    let new = house.path("hmac-2").display().to_string();
    house.meshd(&["keys", "generate", "--hmac", "--output", &new]).expect_done();
    let configuration = fs::read_to_string(house.path("meshd.toml")).expect("it is ours");
    house.write("meshd.toml", &configuration.replace(&old, &new));
    let refused = house.meshd(&["check"]);
    assert!(refused.code == Some(78) && refused.stderr.contains("keys.retired_hmac"), "{refused:?}");
    let retired = format!("[keys]\nretired_hmac = [{{ file = \"{old}\" }}]\n");
    house.write("meshd.toml", &configuration.replace(&old, &new).replace("[keys]\n", &retired));
    house.meshd(&["check"]).expect_done();

    // The same message again, and one more about the same person.
    house.offer_as(MAILBOX, "M1", &letter("999 000 0018"));
    house.offer_as(MAILBOX, "M2", &letter("999 000 0018"));
    let daemon = house.start();
    daemon.wait_for("the second to come out", PATIENCE, || house.published().len() == 2);
    house.wait_until_all_acknowledged(PATIENCE);
    let listed = house.meshd(&["deadletter", "list"]).expect_done();
    assert!(listed.contains("nothing is dead or held"), "the first is no other content: {listed}");
    let found = |arguments: &[&str]| {
        let found = house.meshd(&[&["audit", "find", "--json"][..], arguments].concat()).expect_done();
        found.lines().count()
    };
    assert_eq!(found(&["--kind", "repeated"]), 1);
    assert_eq!(found(&["--kind", "accepted"]), 2);
    assert_eq!(found(&[&["--kind", "concerns"][..], &numbers[..2]].concat()), 2, "under either key");
    daemon.stop_in_order();
    house.meshd(&["journal", "verify"]).expect_done();
}
