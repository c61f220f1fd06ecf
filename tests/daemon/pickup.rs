//! Pairs of files that applications put into `OUT`: the compatibility list of mesh-client-files 12.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::house::Plan;
use serde_json::Value;

use crate::PATIENCE;
use crate::backup::{adopt, back_up, restore};
use crate::house::House;
use crate::place::sha256;

const FROM: &str = "X26ABC1";
const TO: &str = "X26ABC2";
const QUICK: &str = "pickup = { settle = \"1s\", orphan_after = \"3s\", scan = \"1s\" }\n";

fn house_with(mailbox: &'static str) -> House {
    let plan = Plan {
        mailboxes: vec![FROM.to_owned(), TO.to_owned()],
        mailbox,
        mesh: "ask_after = \"1s\"\n",
        ..Plan::default()
    };
    let house = House::build(plan);
    house.set_up();
    house
}

impl House {
    fn folder(&self, name: &str) -> PathBuf {
        self.output_of(FROM).join(name)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let listed = fs::read_dir(self.folder(folder)).expect("it is there");
        let mut names: Vec<String> =
            listed.map(|entry| entry.expect("it lists").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.folder("OUT").join(name), bytes).expect("the folder is ours");
    }

    /// As applications do: the data, then the control file.
    fn put_pair(&self, base: &str, bytes: impl AsRef<[u8]>) {
        self.put(&format!("{base}.dat"), bytes);
        self.put(&format!("{base}.ctl"), control(base, ""));
    }

    fn text(&self, folder: &str, name: &str) -> String {
        fs::read_to_string(self.folder(folder).join(name)).unwrap_or_else(|error| panic!("{folder}/{name}: {error}"))
    }

    /// The text of the one report in `IN` whose name has these parts.
    fn report(&self, parts: [&str; 2]) -> String {
        let names = self.names("IN");
        let mut found = names.iter().filter(|name| parts.iter().all(|part| name.contains(part)));
        let one = found.next().unwrap_or_else(|| panic!("no report {parts:?} among {names:?}"));
        assert_eq!(found.next(), None, "one report {parts:?}");
        self.text("IN", one)
    }

    fn messages_at_mesh(&self) -> usize {
        self.simulator().messages(TO).expect("the mailbox is there").len()
    }
}

fn control(local_id: &str, more: &str) -> String {
    control_of(FROM, local_id, more)
}

fn control_of(from: &str, local_id: &str, more: &str) -> String {
    format!(
        "<DTSControl>\n<Version>1.0</Version><AddressType>DTS</AddressType><MessageType>Data</MessageType>\n\
         <WorkflowId>LETTERS</WorkflowId><To_DTS>{TO}</To_DTS><From_DTS>{from}</From_DTS>\n\
         <Subject>a letter</Subject><LocalId>{local_id}</LocalId>{more}</DTSControl>\n"
    )
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

/// Point 14: in `SENT`, of the report, and of what the recipient's mailbox gets.
#[test]
fn every_control_file_has_the_ends_of_lines_that_are_configured() {
    let house =
        house_with("line_ends = \"crlf\"\npickup = { settle = \"1s\", orphan_after = \"3s\", scan = \"1s\" }\n");
    let daemon = house.start();
    house.put_pair("letter", "bytes\n");
    daemon.wait_for("it to be sent and received", PATIENCE, || {
        house.names("SENT").len() == 2 && house.published_of(TO).len() == 1
    });
    daemon.stop_in_order();
    let received = house.published_of(TO).into_keys().next().expect("one message");
    let received = house.output_of(TO).join("IN").join(format!("{received}.ctl"));
    let received = fs::read_to_string(received).expect("it is there");
    for text in [house.text("SENT", "letter.ctl"), house.report(["letter", "COLLECT"]), received] {
        assert_eq!(text.matches("\r\n").count(), text.lines().count(), "{text:?}");
        assert!(text.ends_with("</DTSControl>\r\n"), "{text:?}");
    }
    assert_eq!(house.text("SENT", "letter.dat"), "bytes\n", "data is the application's");
}

/// Points 1, 2, 6 in part, 10, 14: what is put into `OUT` arrives once and whole, and lies in `SENT` with its id.
#[test]
fn a_pair_is_sent_once_and_whole_however_it_is_written() {
    let house = house_with(QUICK);
    let daemon = house.start();
    // The control file first, and the data slowly.
    house.put("slow.ctl", control("slow", ""));
    let mut slow = Vec::new();
    for _ in 0..5 {
        slow.extend_from_slice(&[b's'; 40_000]);
        house.put("slow.dat", &slow);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(house.names("SENT"), [""; 0], "it is not whole");
    house.put_pair("list.csv", "a,b\n");
    house.put("UPPER.DAT", "upper");
    house.put("UPPER.CTL", control("UPPER", "<Compress>N</Compress>"));
    house.put(".hidden.dat", "on its way");
    house.put("list.dat.csv", "no half of a pair");
    daemon.wait_for("all to be in SENT", PATIENCE, || house.names("SENT").len() == 6);
    assert_eq!(
        house.names("SENT"),
        ["UPPER.DAT", "UPPER.ctl", "list.csv.ctl", "list.csv.dat", "slow.ctl", "slow.dat"],
        "the two of each under one name"
    );
    assert_eq!(house.names("OUT"), [".hidden.dat", "list.dat.csv"]);
    daemon.wait_for("all to come back in", PATIENCE, || house.published_of(TO).len() == 3);
    let mut found: Vec<_> = house.published_of(TO).into_values().collect();
    let mut expected = ["UPPER.DAT", "list.csv.dat", "slow.dat"].map(|name| sha256(&house.folder("SENT").join(name)));
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(fs::read(house.folder("SENT").join("slow.dat")).expect("it is there"), slow);
    let sent = house.text("SENT", "list.csv.ctl");
    has(
        &sent,
        &["<LocalId>list.csv</LocalId>", "<Event>TRANSFER</Event>", "<Status>SUCCESS</Status>", "<StatusCode>00<"],
    );
    assert!(!sent.contains("<DTSId></DTSId>"), "MESH's id is in it: {sent}");
    has(&house.report(["list.csv_", "_COLLECT-00.ctl"]), &["<MessageType>Report<", "<Status>SUCCESS<"]);
    // The name may be used again, for the same bytes too.
    house.put_pair("list.csv", "a,b\n");
    daemon.wait_for("another of its name", PATIENCE, || house.names("SENT").contains(&"list.csv~2.ctl".to_owned()));
    assert_eq!(house.messages_at_mesh(), 4);
    daemon.stop_in_order();
    house.meshd(&["journal", "verify"]).expect_done();
}

/// Points 3, 4, 6, 7: what cannot be sent is in `FAILED` with a report, and MESH hears nothing of it.
#[test]
#[expect(clippy::disallowed_methods, reason = "an operator moves a file back")]
fn what_cannot_be_sent_fails_with_its_code_before_any_request() {
    let house = house_with(QUICK);
    let daemon = house.start();
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><DTSControl>&c;</DTSControl>";
    for (base, control) in [
        ("stranger", control_of("X26XXX9", "stranger", "")),
        ("version", control("version", "").replace("1.0", "one")),
        ("nobody", control("nobody", "").replace(TO, "")),
        ("bomb", bomb.to_owned()),
        ("huge", "<DTSControl>".to_owned() + &"x".repeat(10_000_000) + "</DTSControl>"),
        ("empty", control("empty", "")),
        ("whole", control("whole", "<AllowChunking>maybe</AllowChunking>").replace("a letter", &"s".repeat(600))),
    ] {
        house.put(&format!("{base}.dat"), if base == "empty" { "" } else { "bytes" });
        house.put(&format!("{base}.ctl"), control);
    }
    house.put("orphan-data.dat", "bytes");
    house.put("orphan-control.ctl", control("orphan-control", ""));
    house.put("cut.dat", "bytes");
    house.put("cut.ctl", &control("cut", "")[..100]);
    daemon.wait_for("all to be in FAILED", PATIENCE, || house.names("OUT").is_empty());
    assert_eq!(house.names("FAILED").len(), 18);
    for (base, event, code) in [
        ("stranger", "SEND", "07"),
        ("version", "SEND", "09"),
        ("nobody", "SEND", "08"),
        ("bomb", "TRANSFER", "06"),
        ("huge", "TRANSFER", "06"),
        ("empty", "COLLECT", "02"),
        ("whole", "TRANSFER", "06"),
        ("orphan-data", "COLLECT", "01"),
        ("orphan-control", "COLLECT", "02"),
        ("cut", "COLLECT", "01"),
    ] {
        let report = house.report([&format!("{base}_2"), &format!("_{event}-{code}.ctl")]);
        has(&report, &["<MessageType>Report<", "<Status>ERROR<", &format!("<StatusCode>{code}<")]);
    }
    has(&house.report(["orphan-control_", "_COLLECT"]), &["<LocalId>orphan-control<"]);
    has(&house.report(["version_", "_SEND-09"]), &["<LocalId>version<", "<Subject>a letter<"]);
    has(&house.text("FAILED", "version.ctl"), &["<Version>one</Version>"]);
    has(&house.text("FAILED", "stranger.ctl"), &["<LocalId>stranger<", "<StatusCode>07<"]);
    assert_eq!(house.text("FAILED", "bomb.ctl"), bomb, "what does not read stays as it is");
    assert_eq!(house.messages_at_mesh(), 0);
    let listed: Value = serde_json::from_str(&house.meshd(&["sent", "list", "--json"]).expect_done()).expect("JSON");
    assert_eq!(listed, Value::Array(Vec::new()), "none of them was ever queued");
    // What MESH alone can know.
    house.put("unknown.dat", "bytes");
    house.put("unknown.ctl", control("unknown", "").replace(TO, "NOSUCH"));
    daemon.wait_for("MESH to refuse it", PATIENCE, || house.names("FAILED").len() == 20);
    has(&house.report(["unknown_", "_SEND-12"]), &["<StatusCode>12<", "<LocalId>unknown<"]);
    // Mended and put back, with the control file that says why it failed, it goes.
    let mended = house.text("FAILED", "unknown.ctl").replace("NOSUCH", TO);
    fs::rename(house.folder("FAILED").join("unknown.dat"), house.folder("OUT").join("unknown.dat")).expect("moved");
    house.put("unknown.ctl", mended);
    daemon.wait_for("it to be sent", PATIENCE, || house.names("SENT").len() == 2);
    assert_eq!(house.messages_at_mesh(), 1);
    daemon.stop_in_order();
}

/// Point 8: no kill makes a pair go twice, or get lost.
#[test]
fn kills_at_any_moment_lose_no_pair_and_send_none_twice() {
    let house = house_with("pickup = { settle = \"1s\", scan = \"1s\", reports = [\"transfer\"] }\n");
    let count = 40;
    let mut daemon = house.start();
    for number in 0..count {
        let base = format!("pair-{number:02}");
        house.put(&format!("{base}.dat"), format!("the bytes of {number}"));
        // Without a local id of its sender's, MESH can be asked for it.
        house.put(&format!("{base}.ctl"), control("", ""));
    }
    for pause in [1_150, 1_300, 1_500, 1_700, 2_000, 1_250, 1_400] {
        std::thread::sleep(Duration::from_millis(pause));
        daemon.kill();
        daemon = house.start();
    }
    daemon.wait_for("OUT to be empty", PATIENCE, || house.names("OUT").is_empty());
    assert_eq!(house.names("SENT").len(), 2 * count, "each pair once");
    daemon.wait_for("all to come back in", PATIENCE, || house.published_of(TO).len() == count);
    assert_eq!(house.messages_at_mesh(), count, "none of them twice");
    let reports = house.names("IN").iter().filter(|name| name.contains("_TRANSFER-00")).count();
    assert_eq!(reports, count, "nobody takes them, so that each is there once");
    daemon.stop_in_order();
}

/// Points 8 and 10: a send that nobody can find out about keeps its pair in `OUT`.
#[test]
fn a_pair_stays_until_somebody_says_what_became_of_it_and_goes_then() {
    let house = house_with(
        "pickup = { settle = \"1s\", scan = \"1s\", save_sent = false, reports = [\"transfer\", \"delay\"] }\n",
    );
    house.fault(Rule::once(Call::Send, Fault::LoseReply));
    let daemon = house.start();
    house.put_pair("letter", "bytes");
    let ledger =
        || -> Value { serde_json::from_str(&house.meshd(&["sent", "list", "--json"]).expect_done()).expect("JSON") };
    daemon.wait_for("it to be held", PATIENCE, || ledger()[0]["class"] == "held");
    assert_eq!(house.names("OUT"), ["letter.ctl", "letter.dat"]);
    // Touched, it is the same. Another of its name waits.
    house.put("letter.dat", "bytes");
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(ledger().as_array().map(Vec::len), Some(1));
    let there = house.simulator().messages(TO).expect("the mailbox is there");
    let id = format!("d{}", ledger()[0]["delivery"]["id"]);
    house.meshd(&["sent", "resolve", &id, "--arrived", &there[0].id, "--reason", "they have it"]).expect_done();
    daemon.wait_for("it to be gone", PATIENCE, || house.names("OUT").is_empty());
    assert_eq!((house.names("SENT").len(), house.messages_at_mesh()), (0, 1));
    has(&house.report(["letter_", "_TRANSFER-00"]), &[&there[0].id]);
    has(&house.report(["letter_", "_TRANSFER-05"]), &["<Status>SUCCESS<", "<DTSId></DTSId>"]);

    house.meshd(&["mailbox", "suspend", FROM, "--reason", "INC0012345"]).expect_done();
    house.put_pair("second", "first bytes");
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(ledger().as_array().map(Vec::len), Some(1), "nothing is taken while its mailbox rests");
    house.meshd(&["mailbox", "resume", FROM, "--reason", "INC0012345"]).expect_done();
    daemon.wait_for("it to be gone", PATIENCE, || house.names("OUT").is_empty());
    daemon.stop_in_order();
}

/// A name that is used again before its first pair was sent: both are, in their order.
#[test]
fn another_pair_of_the_same_name_waits_for_the_first() {
    let house = house_with(QUICK);
    house.fault(Rule { times: 2, ..Rule::once(Call::Send, Fault::status(429)) });
    let daemon = house.start();
    house.put_pair("batch", "first");
    daemon.wait_for("it to be queued", PATIENCE, || house.meshd(&["sent", "list"]).expect_done().contains("LETTERS"));
    house.put_pair("batch", "second");
    daemon.wait_for("both to be sent", PATIENCE * 2, || house.messages_at_mesh() == 2 && house.names("OUT").is_empty());
    daemon.wait_for("both to come back in", PATIENCE, || house.published_of(TO).len() == 2);
    assert_eq!(house.text("SENT", "batch.dat"), "second", "the first was overwritten by its sender");
    daemon.stop_in_order();
}

/// Points 11 and 13: a root that is away, or another daemon's, is left alone, and said so.
#[test]
#[expect(clippy::disallowed_methods, reason = "a disk goes away and comes back")]
fn a_root_that_is_away_or_another_s_is_left_alone() {
    let house = house_with(QUICK);
    let daemon = house.start();
    let (root, aside) = (house.output_of(FROM), house.path("aside"));
    fs::rename(&root, &aside).expect("moved");
    fs::create_dir_all(root.join("OUT")).expect("made");
    let status = || house.meshd(&["status"]).stdout;
    daemon.wait_for("it to be told", PATIENCE, || status().contains(&format!("the OUT folder of {FROM}")));
    house.put_pair("astray", "bytes");
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(house.names("OUT").len(), 2);
    fs::remove_dir_all(&root).expect("removed");
    fs::rename(&aside, &root).expect("moved back");
    house.put_pair("letter", "bytes");
    daemon.wait_for("it to be sent", PATIENCE, || house.names("SENT").len() == 2);
    assert!(!status().contains("the OUT folder"));
    // Another daemon set it up since.
    let marker = root.join(".meshd-output");
    fs::write(&marker, "{\"version\":1,\"id\":\"another\",\"created\":\"2026-01-05T09:30:12.123Z\"}\n").expect("ours");
    house.put_pair("second", "bytes");
    daemon.wait_for("it to be told", PATIENCE, || status().contains("another marker"));
    assert_eq!((house.names("OUT").len(), house.messages_at_mesh()), (2, 1));
    daemon.stop_in_order();
}

/// Lone data files, by a rule; and one that no rule names.
#[test]
fn a_data_file_without_a_control_file_goes_by_its_rule() {
    let house = house_with(
        "[mailbox.pickup]\nsettle = \"1s\"\norphan_after = \"3s\"\nscan = \"1s\"\nreports = [\"transfer\"]\n\
         [[mailbox.pickup.auto]]\nbegins = \"RXX_\"\nto = \"X26ABC2\"\nworkflow = \"LETTERS\"\nsubject = \"the list\"\n",
    );
    let daemon = house.start();
    house.put("RXX_1.csv.dat", "a,b\n");
    house.put("other.dat", "bytes");
    daemon.wait_for("both to be put away", PATIENCE, || house.names("OUT").is_empty());
    assert_eq!(house.names("SENT"), ["RXX_1.csv.ctl", "RXX_1.csv.dat"]);
    has(&house.text("SENT", "RXX_1.csv.ctl"), &["<Subject>the list<", "<WorkflowId>LETTERS<", "<To_DTS>X26ABC2<"]);
    has(&house.report(["RXX_1.csv_", "_TRANSFER-00"]), &["<Subject>the list<"]);
    assert_eq!(house.names("FAILED"), ["other.dat"]);
    daemon.wait_for("it to come back in", PATIENCE, || house.published_of(TO).len() == 1);
    daemon.stop_in_order();
}

/// A backup knows nothing of what was sent since: nothing of that is sent again unless somebody says so.
#[test]
fn after_a_restore_what_lies_there_waits_for_a_person() {
    let house = house_with("pickup = { settle = \"1s\", scan = \"1s\", reports = [] }\nsend = { compress = false }\n");
    let daemon = house.start();
    // Else one of the two states would know of mail that the other acknowledged.
    house.meshd(&["mailbox", "suspend", TO, "--reason", "INC0012345"]).expect_done();
    back_up(&house, &house.path("backup"));
    house.fault(Rule::once(Call::Send, Fault::LoseReply));
    house.put_pair("letter", "bytes");
    daemon.wait_for("it to be held", PATIENCE, || house.meshd(&["sent", "list"]).expect_done().contains("unknown"));
    daemon.stop_in_order();
    restore(&house, &[]);
    adopt(&house);
    let daemon = house.start();
    let status = || house.meshd(&["status"]).stdout;
    daemon.wait_for("it to be told", PATIENCE, || status().contains("before the state was restored"));
    assert_eq!((house.names("OUT").len(), house.messages_at_mesh()), (2, 1));
    house.put_pair("another", "bytes");
    daemon.wait_for("the other to be sent", PATIENCE, || house.names("SENT").len() == 2);
    house.put("letter.ctl", control("letter", ""));
    daemon.wait_for("it to be sent", PATIENCE, || house.names("OUT").is_empty());
    assert_eq!(house.messages_at_mesh(), 3);
    daemon.stop_in_order();
}

#[test]
fn check_names_a_folder_between_which_pairs_cannot_be_moved() {
    let house = house_with(QUICK);
    house.meshd(&["check"]).expect_done();
    fs::remove_dir(house.folder("SENT")).expect("it is empty");
    let checked = house.meshd(&["check"]);
    assert_ne!(checked.code, Some(0), "{checked:?}");
    let said = checked.stderr + &checked.stdout;
    assert!(said.contains("mailbox[1].pickup") && said.contains("SENT: No such file"), "{said}");
}
