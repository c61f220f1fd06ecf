//! What comes to one mailbox and is sent on to another of the same daemon, through a MESH that fails and a daemon that
//! dies.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Chance, Fault, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::message::{Draft, Mail};
use meshd::simulator::payload::Payload;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::Daemon;

const FROM: &str = "X26ABC1";
const TO: &str = "X26ABC2";

/// Mail for the first mailbox is put into its folder and sent on; mail for the second is put into its folder.
const PIPELINES: [(&str, &str); 2] = [
    (
        "onward.toml",
        r#"
name = "onward"
[match]
mailbox = "X26ABC1"
workflow = "DEMO_*"
type = "data"
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
[[output]]
name = "practice"
kind = "mesh"
to = "X26ABC2"
workflow = "SENT_ON"
subject = "sent on"
keep = ["file_name"]
"#,
    ),
    (
        "rest.toml",
        r#"
name = "rest"
[match]
mailbox = "X26ABC2"
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#,
    ),
];

fn two_mailboxes() -> House {
    let house = House::build(Plan {
        mailboxes: vec![FROM.to_owned(), TO.to_owned()],
        pipelines: PIPELINES.map(|(name, text)| (name, text.to_owned())).into(),
        mailbox: "send = { chunk = \"100KB\" }\n",
        mesh: "ask_after = \"1s\"\ntrack_after = \"1s\"\n",
        ..Plan::default()
    });
    house.set_up();
    house
}

fn mail(seed: u64, length: u64) -> Arc<Mail> {
    let payload = Payload::generated(seed, length, 1 << 20).expect("MESH takes it");
    let draft = Draft::data("X26HC001", "DEMO_LETTERS", payload);
    Draft { file_name: Some(format!("letter-{seed}.txt")), ..draft }.ready().expect("a sound message")
}

/// How often each digest was put into the folder of a mailbox.
fn digests(house: &House, mailbox: &str) -> BTreeMap<Option<String>, usize> {
    let mut counted = BTreeMap::new();
    for sha256 in house.published_of(mailbox).into_values() {
        *counted.entry(sha256).or_default() += 1;
    }
    counted
}

fn expected(house: &House) -> BTreeMap<Option<String>, usize> {
    house.offered().into_values().map(|sha256| (sha256, 1)).collect()
}

fn wait_until_all_is_there(house: &House, daemon: &Daemon) {
    let expected = expected(house);
    daemon.wait_for("all to be sent on", PATIENCE, || digests(house, TO) == expected);
    daemon.wait_for("all to be published", PATIENCE, || digests(house, FROM) == expected);
}

#[test]
fn what_comes_in_is_published_and_sent_on_byte_for_byte() {
    let house = two_mailboxes();
    let daemon = house.start();
    for (seed, length) in [(1, 1), (2, 60_000), (3, 100_000), (4, 750_001)] {
        house.offer_as(FROM, &format!("MAIL-{seed}"), &mail(seed, length));
    }
    wait_until_all_is_there(&house, &daemon);
    for name in house.published_of(TO).into_keys() {
        let control = house.inbox_of(TO).join(format!("{name}.ctl"));
        let control = fs::read_to_string(control).expect("it was published");
        for said in ["<WorkflowId>SENT_ON<", "<Subject>sent on<"] {
            assert!(control.contains(said), "{said}: {control}");
        }
    }
    let story = house.meshd(&["message", "show", "MAIL-4"]).expect_done();
    assert!(story.contains("practice is sent on to X26ABC2, as d"), "{story}");
    let listed: Value = serde_json::from_str(&house.meshd(&["sent", "list", "--json"]).expect_done()).expect("JSON");
    assert_eq!(listed[0]["delivery"]["outgoing"]["onward"]["output"], "practice", "{listed}");
    let send = format!("d{}", listed[0]["delivery"]["id"]);
    let story = house.meshd(&["message", "show", &send]).expect_done();
    assert!(story.contains("practice of d") && story.contains("to be sent on to X26ABC2"), "{story}");
    daemon.stop_in_order();
}

#[test]
fn whatever_dies_each_message_is_sent_on_once() {
    let house = two_mailboxes();
    let some = Some(Chance { seed: 1, percent: 20 });
    house.fault(Rule { chance: some, ..Rule::always(Call::Send, Fault::LoseReply) });
    let mut offered = 0;
    for round in 0..6 {
        let daemon = house.start();
        for seed in offered..offered + 12 {
            house.offer_as(FROM, &format!("MAIL-{seed}"), &mail(seed, if seed % 4 == 0 { 150_000 } else { 900 }));
        }
        offered += 12;
        daemon.wait_for("some to be sent on", PATIENCE, || digests(&house, TO).len() as u64 >= round * 12 + 3);
        daemon.kill();
    }
    house.simulator().heal();
    let daemon = house.start();
    wait_until_all_is_there(&house, &daemon);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(house.simulator().messages(TO).expect("the mailbox is there").len() as u64, offered, "each once");
    daemon.stop_in_order();
}

#[test]
fn circles_and_reports_are_refused_before_the_daemon_runs() {
    let circle = PIPELINES[0].1.replace("to = \"X26ABC2\"\nworkflow = \"SENT_ON\"", "to = \"X26ABC1\"");
    let report = PIPELINES[0].1.replace("type = \"data\"", "").replace("onward", "reports");
    for (text, problem) in [
        (circle, "would come back to it, for ever"),
        (report, "reports would come to `practice`"),
        (PIPELINES[0].1.replace("keep = [\"file_name\"]", "keep = [\"subject\"]"), "there is a `subject` too"),
        (
            PIPELINES[0].1.replace("kind = \"mesh\"", "kind = \"mesh\"\nfrom = \"X26ABC3\""),
            "no mailbox of the configuration",
        ),
        (PIPELINES[0].1.replace("to = \"X26ABC2\"\n", ""), "output[2].to"),
    ] {
        let house = House::build(Plan {
            mailboxes: vec![FROM.to_owned(), TO.to_owned()],
            pipelines: vec![("onward.toml", text), ("rest.toml", PIPELINES[1].1.to_owned())],
            ..Plan::default()
        });
        house.set_up_without_output();
        let checked = house.meshd(&["check"]);
        assert_eq!(checked.code, Some(78), "{problem}: {checked:?}");
        assert!(checked.stderr.contains(problem) || checked.stdout.contains(problem), "{problem}: {checked:?}");
    }
}
