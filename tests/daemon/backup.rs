//! A backup of a daemon at work, and what comes of a state directory made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use meshd::simulator::house::Plan;
use meshd::simulator::mail::mixed;
use rustix::process::Signal;
use serde_json::Value;

use crate::house::House;
use crate::place::{Daemon, MAILBOX};
use crate::{MESSAGES, PATIENCE};

/// A second mailbox, whose output is away while the first one's is there.
const OTHER: &str = "X26ABC2";

/// The recipient of a new identity in the file `backup-identity`.
fn recipient(house: &House) -> String {
    let identity = house.path("backup-identity");
    let made = house.meshd(&["keys", "generate", "--output", text(&identity)]).expect_done();
    made.trim().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}

pub(crate) fn back_up(house: &House, to: &Path) -> Value {
    let recipient = recipient(house);
    let made = house.meshd(&["backup", "create", "--to", text(to), "--recipient", &recipient, "--json"]).expect_done();
    serde_json::from_str(&made).expect("JSON")
}

#[test]
fn a_backup_is_made_under_load_and_is_consistent() {
    let house = House::new();
    house.set_up();
    let daemon = house.start();
    let backup = house.path("backup");
    let recipient = recipient(&house);
    let create = |to: &Path| house.meshd(&["backup", "create", "--to", text(to), "--recipient", &recipient]);
    house.offer(8 * MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    daemon.wait_for("mail to come out", PATIENCE, || house.published().len() > 20);
    create(&backup).expect_done();
    daemon.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == 8 * MESSAGES);

    assert_eq!(fs::metadata(&backup).expect("it is there").permissions().mode() & 0o777, 0o600);
    let again = create(&backup);
    assert!(again.code == Some(1) && !house.path("backup.part").exists(), "{again:?}");
    let folder = house.path("backups");
    fs::create_dir(&folder).expect("the folder is ours");
    create(&folder).expect_done();
    assert_eq!(fs::read_dir(&folder).expect("the folder is ours").count(), 1);
    daemon.stop_in_order();

    let verify = |identity: &str| {
        let identity = house.path(identity);
        house.meshd(&["backup", "verify", text(&backup), "--identity", text(&identity)])
    };
    let verified = verify("backup-identity").expect_done();
    assert!(verified.contains("in order: "), "{verified}");
    assert!(!house.path("backup.scratch").exists());
    assert_eq!(verify("identity").code, Some(1), "it is sealed for another than the service");
    let head = verified.split("head ").nth(1).and_then(|rest| rest.lines().next()).expect("a head");
    house.meshd(&["journal", "verify", "--against", head]).expect_done();
    let told: Vec<u8> = house.kept_in_clear().into_iter().flat_map(|(_, bytes)| bytes).collect();
    let told = String::from_utf8_lossy(&told);
    let by = format!("\"by\":{}", rustix::process::getuid().as_raw());
    assert!(told.contains(&format!("{{\"e\":\"backup-begun\",{by}}}")));
    assert_eq!(told.matches("{\"e\":\"backup-ended\",").count(), 2, "the second try never began to end");

    let mut bytes = fs::read(&backup).expect("it is ours");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&backup, &bytes).expect("it is ours");
    assert_eq!(verify("backup-identity").code, Some(1), "one bit is another");
    bytes[middle] ^= 1;
    bytes.truncate(bytes.len() - 1000);
    fs::write(&backup, &bytes).expect("it is ours");
    assert_eq!(verify("backup-identity").code, Some(1), "its end is missing");
}

/// What a consumer took from a mailbox's folder: it is not there any more.
fn take(house: &House, mailbox: &str, taken: &mut BTreeMap<String, u32>) {
    let folder = house.output_of(mailbox).join("IN");
    for name in house.published_of(mailbox).into_keys() {
        for ending in ["dat", "ctl"] {
            drop(fs::remove_file(folder.join(format!("{name}.{ending}"))));
        }
        *taken.entry(name).or_default() += 1;
    }
}

fn marker(house: &House, mailbox: &str) -> (PathBuf, PathBuf) {
    let root = house.output_of(mailbox);
    (root.join(".meshd-output"), root.join("away"))
}

fn unmount(house: &House, mailbox: &str) {
    let (marker, away) = marker(house, mailbox);
    rustix::fs::rename(marker, away).expect("the folder is ours");
}

fn mount(house: &House, mailbox: &str) {
    let (marker, away) = marker(house, mailbox);
    rustix::fs::rename(away, marker).expect("the folder is ours");
}

/// Each delivery set aside, with its reason.
fn set_aside(house: &House) -> Vec<(String, String)> {
    let listed = house.meshd(&["deadletter", "list", "--count", "200", "--json"]).expect_done();
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    let one = |aside: &Value| {
        let code = aside["reason"]["code"].as_str().expect("text").to_owned();
        (format!("d{}", aside["delivery"]["id"]), code)
    };
    listed.iter().map(one).collect()
}

struct Story {
    house: House,
    /// What the consumer took so far, and how often.
    taken: BTreeMap<String, u32>,
    /// Accepted by the original after the backup, and acknowledged.
    since: usize,
}

/// So many in each wave, and to each mailbox.
const WAVE: u64 = 9;

/// Two mailboxes with mail that waits for its outputs; a backup; then the original delivers all of the first mailbox's,
/// takes in more of the second one's, and is killed.
fn original() -> Story {
    let plan = Plan { mailboxes: vec![MAILBOX.to_owned(), OTHER.to_owned()], ..Plan::default() };
    let house = House::build(plan);
    house.set_up();
    let offer = |mailbox: &str, wave: u64| {
        for number in wave * WAVE..(wave + 1) * WAVE {
            let mail = mixed(number).expect("synthetic mail is well made");
            house.offer_as(mailbox, &format!("{mailbox}_{number}"), &mail);
        }
    };
    let mut taken = BTreeMap::new();
    let daemon = house.start();
    offer(MAILBOX, 0);
    daemon.wait_for("the first wave to come out", PATIENCE, || house.published().len() as u64 == WAVE);
    take(&house, MAILBOX, &mut taken);
    [MAILBOX, OTHER].into_iter().for_each(|mailbox| unmount(&house, mailbox));
    offer(MAILBOX, 1);
    offer(OTHER, 1);
    house.wait_until_all_acknowledged(PATIENCE);
    back_up(&house, &house.path("backup"));

    mount(&house, MAILBOX);
    daemon.wait_for("the second wave to come out", PATIENCE, || house.published().len() as u64 == WAVE);
    take(&house, MAILBOX, &mut taken);
    offer(OTHER, 2);
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.kill();
    mount(&house, OTHER);
    Story { house, taken, since: WAVE as usize }
}

/// Restores into another state directory and has the house use it from here on.
pub(crate) fn restore(house: &House, more: &[&str]) {
    let (backup, identity, to) = (house.path("backup"), house.path("backup-identity"), house.path("restored"));
    let mut arguments = vec!["backup", "restore", text(&backup), "--to", text(&to), "--identity", text(&identity)];
    arguments.extend(more);
    house.meshd(&arguments).expect_done();
    let configuration = fs::read_to_string(house.path("meshd.toml")).expect("it is ours");
    let state = format!("directory = \"{}\"", house.state().display());
    house.write("meshd.toml", &configuration.replace(&state, &format!("directory = \"{}\"", to.display())));
    let again = house.meshd(&arguments);
    assert!(again.stderr.contains("not empty"), "{again:?}");
}

pub(crate) fn adopt(house: &House) {
    let refused = house.meshd(&["output", "init"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("--adopt"), "{refused:?}");
    house.meshd(&["output", "init", "--adopt"]).expect_done();
    house.meshd(&["output", "init"]).expect_done();
}

fn new_mail_comes_out(story: &mut Story, daemon: &Daemon) {
    let house = &story.house;
    house.offer_as(MAILBOX, "NEW", &mixed(1).expect("synthetic mail is well made"));
    daemon.wait_for("new mail to come out", PATIENCE, || house.published().contains_key("NEW"));
    take(house, MAILBOX, &mut story.taken);
}

#[test]
fn a_restored_state_holds_what_was_not_settled_and_publishes_nothing_twice() {
    let mut story = original();
    restore(&story.house, &[]);
    adopt(&story.house);
    let daemon = story.house.start();
    new_mail_comes_out(&mut story, &daemon);
    let house = &story.house;
    let held = set_aside(house);
    assert_eq!(held.len() as u64, 2 * WAVE, "both mailboxes' mail waited when the backup was made: {held:?}");
    assert!(held.iter().all(|(_, code)| code == "RESTORED"), "{held:?}");
    assert!(story.taken.values().all(|times| *times == 1), "{:?}", story.taken);
    assert!(house.published_of(OTHER).is_empty(), "what is held is not published");

    // A person knows that the consumer of the second mailbox has nothing.
    let listed = house.meshd(&["deadletter", "list", "--count", "200", "--json"]).expect_done();
    let listed: Vec<Value> = serde_json::from_str(&listed).expect("JSON");
    let of_other = listed.iter().filter(|aside| aside["delivery"]["mailbox"] == OTHER);
    let ids: Vec<String> = of_other.map(|aside| format!("d{}", aside["delivery"]["id"])).collect();
    let release: Vec<&str> = ["deadletter", "release"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    house.meshd(&release).expect_done();
    daemon.wait_for("what was released to come out", PATIENCE, || house.published_of(OTHER).len() as u64 == WAVE);
    daemon.stop_in_order();
    let daemon = house.start();
    assert_eq!(set_aside(house).len() as u64, WAVE, "the epoch began once");
    daemon.stop_in_order();
    house.meshd(&["journal", "verify"]).expect_done();
    // What the original took in after the backup is in neither journal alone.
    rustix::fs::rename(house.state(), house.path("before")).expect("the folder is ours");
}

#[test]
fn a_later_journal_says_what_was_settled_and_the_rest_goes_on() {
    let mut story = original();
    let journal = story.house.state().join("journal");
    restore(&story.house, &["--against", text(&journal)]);
    adopt(&story.house);
    let daemon = story.house.start();
    new_mail_comes_out(&mut story, &daemon);
    let house = &story.house;
    daemon.wait_for("what the original left to come out", PATIENCE, || house.published_of(OTHER).len() as u64 == WAVE);
    assert!(story.taken.values().all(|times| *times == 1), "{:?}", story.taken);
    let lost = set_aside(house);
    assert_eq!(lost.len(), story.since, "accepted after the backup, they are in no copy: {lost:?}");
    assert!(lost.iter().all(|(_, code)| code == "SPOOL-LOST"), "{lost:?}");
    let names: BTreeSet<String> = house.published_of(OTHER).into_keys().collect();
    assert_eq!(names, (WAVE..2 * WAVE).map(|number| format!("{OTHER}_{number}")).collect());
    daemon.stop_in_order();
    house.meshd(&["journal", "verify"]).expect_done();
    // The restored journal knows all that either daemon acknowledged: the house looks at the end.
    rustix::fs::rename(house.state(), house.path("before")).expect("the folder is ours");
    rustix::fs::rename(house.path("restored"), house.state()).expect("the folder is ours");
}

#[test]
fn the_original_is_fenced_off_once_its_outputs_are_adopted() {
    let house = House::new();
    house.set_up();
    let original = house.start();
    back_up(&house, &house.path("backup"));
    let (before, socket) = (house.path("meshd.toml"), house.path("control.sock"));
    let configuration = fs::read_to_string(&before).expect("it is ours");
    restore(&house, &[]);
    adopt(&house);
    house.offer(1, |_| mixed(1).expect("synthetic mail is well made"));
    house.wait_until_all_acknowledged(PATIENCE);
    house.write("meshd.toml", &configuration);
    let status = || house.meshd(&["status", "--json"]).expect_done();
    original.wait_for("the original to find the root another's", PATIENCE, || status().contains("OUT-UNAVAILABLE"));
    assert!(house.published().is_empty(), "the original publishes no more");
    original.signal(Signal::TERM);
    original.wait_for("the original to end", PATIENCE, || !socket.exists());
}

#[test]
fn no_daemon_starts_on_a_state_that_is_half_restored() {
    let house = House::new();
    house.set_up();
    let daemon = house.start();
    back_up(&house, &house.path("backup"));
    daemon.stop_in_order();
    restore(&house, &[]);
    let mark = house.path("restored/restored.json");
    let whole = fs::read_to_string(&mark).expect("it was not started");
    fs::write(&mark, whole.replace("\"whole\":true", "\"whole\":false")).expect("it is ours");
    let refused = house.meshd(&["run"]);
    assert!(refused.code == Some(70) && refused.stderr.contains("half restored"), "{refused:?}");
}
