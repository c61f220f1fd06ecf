//! Acting on very many dead letters at once.

use std::collections::BTreeMap;

use meshd::domain::ids::JobId;
use meshd::simulator::house::{EVERYTHING, Plan};
use meshd::simulator::mail::{Kind, sample};
use meshd::store::disk::Real;
use meshd::store::journal::Records;
use meshd::store::journal::event::Event;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::reload::reload;

/// Takes nothing that comes.
const OTHERS_ONLY: &str = r#"
name = "others-only"
[match]
workflow = ["NOBODY_SENDS_THIS"]
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

const REASON: [&str; 2] = ["--reason", "the pipeline is there"];

/// So many steps of a job, some of each run, and several pages of each question, in seconds: 10,000 show nothing that
/// these do not, and take five times as long. `MESHD_JOB=10000` has them all the same.
const DEAD: u64 = 2_000;

fn json(house: &House, arguments: &[&str]) -> Value {
    serde_json::from_str(&house.meshd(arguments).expect_done()).expect("JSON")
}

fn occupancy(house: &House) -> Value {
    json(house, &["status", "--json"])["mailboxes"][0]["occupancy"].clone()
}

fn amount(house: &House, what: &str) -> u64 {
    occupancy(house)[what]["messages"].as_u64().expect("a number")
}

/// A house with `count` dead letters, whose pipeline is there by now.
fn with_dead(count: u64) -> (House, crate::place::Daemon) {
    let pipelines = vec![("others-only.toml", OTHERS_ONLY.to_owned())];
    let house = House::build(Plan { pipelines, mailbox: "set_aside = { messages = 20_000 }\n", ..Plan::default() });
    house.set_up();
    house.offer(count, |number| sample(Kind::Tiny, number).expect("synthetic mail is well made"));
    let daemon = house.start();
    daemon.wait_for("the mail to be dead", 5 * PATIENCE, || amount(&house, "dead") == count);
    house.wait_until_all_acknowledged(PATIENCE);
    house.write("pipelines/everything.toml", EVERYTHING);
    reload(&daemon, "configuration reloaded");
    (house, daemon)
}

/// What the journal says that jobs replayed: how often each delivery was, and by which.
fn replayed(house: &House) -> BTreeMap<u64, Vec<JobId>> {
    let (disk, journal) = (Real::new(), house.state().join("journal"));
    let mut records = Records::from(&disk, &journal, 1).expect("the journal reads");
    let mut found: BTreeMap<u64, Vec<JobId>> = BTreeMap::new();
    while let Some(record) = records.read().expect("the journal reads") {
        if let Event::Replayed(replay) = record.event {
            found.entry(replay.of.0).or_default().extend(replay.job);
        }
    }
    found
}

#[test]
fn a_bulk_replay_killed_half_way_goes_on_and_replays_each_once() {
    let dead = std::env::var("MESHD_JOB").ok().and_then(|text| text.parse().ok()).unwrap_or(DEAD);
    let (house, daemon) = with_dead(dead);
    let groups = json(&house, &["deadletter", "groups", "--json"]);
    let group = groups[0]["fingerprint"].as_str().expect("a fingerprint").to_owned();
    let replay = [&["deadletter", "replay", "--group", &group, "--rate", "500/s"], &REASON[..]].concat();

    let told = house.meshd(&replay).expect_done();
    for part in ["X26ABC1", "MSG-NO-ROUTE", &dead.to_string(), "nothing is done yet", "'the pipeline is there' --yes"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(amount(&house, "dead"), dead, "nothing was done");
    assert_eq!(json(&house, &["deadletter", "job", "list", "--json"]), Value::Array(Vec::new()));

    let mut looking_on = house.command();
    looking_on.args(&replay).arg("--yes");
    let looking_on = house.spawn(looking_on);
    daemon.wait_for("half of them to be replayed", 5 * PATIENCE, || amount(&house, "dead") <= dead / 2);
    daemon.kill();
    drop(looking_on);
    let before = replayed(&house);
    assert!((1..dead).contains(&(before.len() as u64)), "{} are replayed", before.len());

    let daemon = house.start();
    daemon.wait_for("all mail to come out", 5 * PATIENCE, || occupancy(&house)["delivered_total"] == dead);
    let jobs = || json(&house, &["deadletter", "job", "list", "--json"]);
    daemon.wait_for("the job to end", PATIENCE, || jobs()[0]["ended"]["how"] == "done");
    let job = jobs()[0].clone();
    assert_eq!((&job["done"], &job["left"]), (&Value::from(dead), &serde_json::json!({})), "{job}");
    let shown = house.meshd(&["deadletter", "job", "show", &format!("j{}", job["id"])]).expect_done();
    assert!(shown.contains(&format!("--group {group}")) && shown.contains("500/s"), "{shown}");
    assert_eq!((amount(&house, "dead"), amount(&house, "queued")), (0, 0));
    daemon.stop_in_order();

    // The far side's own bytes came out, each once; so says the journal.
    assert_eq!(house.published(), house.offered());
    let after = replayed(&house);
    let id = JobId(job["id"].as_u64().expect("a number"));
    assert_eq!(after.len() as u64, dead);
    assert!(after.values().all(|jobs| *jobs == [id]), "one replay each, and of this job");
    assert!(before.keys().all(|delivery| after.contains_key(delivery)), "what was replayed stays so");
    house.meshd(&["journal", "verify"]).expect_done();
}

#[test]
fn a_bulk_act_needs_its_reason_and_says_what_it_leaves_and_a_cancelled_one_stops() {
    let (house, daemon) = with_dead(40);
    for wrong in [
        &["deadletter", "replay"][..],
        &["deadletter", "replay", "--state", "dead"],
        &["deadletter", "replay", "--state", "dead", "--force", "--reason", "x"],
        &["deadletter", "replay", "d1", "--state", "dead", "--reason", "x"],
        &["deadletter", "replay", "d1", "--yes"],
        &["deadletter", "discard", "--state", "dead", "--yes"],
        &["deadletter", "discard", "--state", "dead", "--reason", "x", "--rate", "0/s"],
    ] {
        let refused = house.meshd(wrong);
        assert_eq!(refused.code, Some(2), "{wrong:?}: {}", refused.stderr);
    }
    let none = house.meshd(&["deadletter", "discard", "--code", "MSG-GONE", "--reason", "x", "--yes"]).expect_done();
    assert!(none.contains("nothing of that kind"), "{none}");

    // Nothing of it is held, so all of it is left, and no job begins.
    let release = ["deadletter", "release", "--state", "dead", "--reason", "x", "--yes"];
    let told = house.meshd(&release);
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    let told = told.stdout;
    assert!(told.contains("40 would be left as they are: dead, and not held"), "{told}");

    let all = ["deadletter", "hold", "--state", "dead", "--reason", "INC0012345", "--rate", "4/s", "--yes"];
    let mut looking_on = house.command();
    looking_on.args(all);
    let mut looking_on = house.spawn(looking_on);
    daemon.wait_for("some to be held", PATIENCE, || amount(&house, "held") > 0);
    let job = json(&house, &["deadletter", "job", "list", "--json"])[0]["id"].to_string();
    let ended = looking_on.end(rustix::process::Signal::INT);
    assert_eq!(ended.code(), Some(75), "it goes on by itself");
    let held = amount(&house, "held");
    daemon.wait_for("more to be held", PATIENCE, || amount(&house, "held") > held);
    let cancelled = house.meshd(&["deadletter", "job", "cancel", &format!("j{job}"), "--json"]).expect_done();
    let cancelled: Value = serde_json::from_str(&cancelled).expect("JSON");
    let done = cancelled["done"].as_u64().expect("a number");
    assert!(done > held && done < 40 && cancelled["ended"]["how"]["cancelled"].is_u64(), "{cancelled}");
    assert_eq!(amount(&house, "held"), done);
    let again = house.meshd(&["deadletter", "job", "cancel", &format!("j{job}")]);
    assert!(again.code == Some(1) && again.stderr.contains("not under way"), "{again:?}");

    // What is held already is left, counted, and told by the exit code.
    let hold = ["deadletter", "hold", "--mailbox", "X26ABC1", "--reason", "INC0012345", "--rate", "1000/s", "--yes"];
    let ended = house.meshd(&hold);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("{done} of 40 left as they were")), "{}", ended.stderr);
    assert_eq!(amount(&house, "held"), 40);
    let told = house.meshd(&["audit", "find", "--kind", "job-begun", "--kind", "job-ended", "--json"]).expect_done();
    assert!(told.contains("INC0012345") && told.contains("cancelled"), "{told}");
    daemon.stop_in_order();
}
