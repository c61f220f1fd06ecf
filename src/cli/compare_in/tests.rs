//! Two folders as they are met, made of files.

mod ours;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::elements::Expected;
use super::folder::Folder;
use super::look::Look;
use super::report::Verdict;
use crate::domain::time::Timestamp;

const ID: &str = "20260105093012123456_0A1B2C";
const OTHER_ID: &str = "20260105093013123456_0A1B2D";

/// Whatever no report may say.
const SECRET: &str = "SMITH 9990000018";

/// A control file as the old client writes it (mesh-client-files 7.2).
fn control(id: &str) -> String {
    format!(
        "<DTSControl>
  <Version>1.0</Version>
  <AddressType>ALL</AddressType>
  <MessageType>Data</MessageType>
  <From_DTS>X26ABC1</From_DTS>
  <To_DTS>X26ABC2</To_DTS>
  <From_ESMTP>x26abc1@dts.nhs.uk</From_ESMTP>
  <To_ESMTP>x26abc2@dts.nhs.uk</To_ESMTP>
  <Subject>{SECRET}</Subject>
  <LocalId>RXX-000017</LocalId>
  <DTSId>{id}</DTSId>
  <PartnerId></PartnerId>
  <Compress>Y</Compress>
  <Encrypted>N</Encrypted>
  <WorkflowId>TRUST_DEMO_FLOW</WorkflowId>
  <ProcessId></ProcessId>
  <DataChecksum></DataChecksum>
  <IsCompressed>N</IsCompressed>
  <StatusRecord>
    <DateTime>20260105093013</DateTime>
    <Event>TRANSFER</Event>
    <Status>SUCCESS</Status>
    <StatusCode>00</StatusCode>
    <Description>Transferred to recipient mailbox</Description>
  </StatusRecord>
</DTSControl>
"
    )
}

fn report_of(id: &str, event: &str, code: &str) -> String {
    control(id)
        .replace("<MessageType>Data", "<MessageType>Report")
        .replace("<Event>TRANSFER", &format!("<Event>{event}"))
        .replace("<StatusCode>00", &format!("<StatusCode>{code}"))
}

struct Folders {
    base: TempDir,
}

impl Folders {
    fn new() -> Self {
        let folders = Self { base: TempDir::new().expect("a folder") };
        fs::create_dir(folders.there()).expect("made");
        fs::create_dir_all(folders.here()).expect("made");
        folders
    }

    fn there(&self) -> PathBuf {
        self.base.path().join("there")
    }

    /// An output root of meshd's.
    fn root(&self) -> PathBuf {
        self.base.path().join("root")
    }

    fn here(&self) -> PathBuf {
        self.root().join("IN")
    }

    /// A message of the same kind on both sides.
    fn both(&self, id: &str) {
        pair(&self.there(), id, &control(id), b"data");
        pair(&self.here(), id, &control(id), b"data");
    }

    fn report(&self) -> Value {
        self.report_after(Duration::ZERO)
    }

    /// The report as JSON, with its verdict. Neither it nor its lines say anything of a patient.
    fn report_after(&self, settle: Duration) -> Value {
        let (there, here) = (self.there(), self.here());
        let look = Look { there: &there, here: &here, now: now(), settle };
        let list = |folder| Folder::list(folder).expect("a folder");
        let mut report = look.compare(list(&there), list(&here), &mut |_, _, _, _| {});
        report.conclude();
        let value = serde_json::to_value(&report).expect("JSON");
        for text in [value.to_string(), report.lines(true).join("\n")] {
            assert!(!text.contains("SMITH") && !text.contains("9990000018") && !text.contains("RXX"), "{text}");
        }
        value
    }

    /// What was found, but for inodes, which are never the same twice.
    fn findings(&self) -> Vec<Value> {
        let mut report = self.report();
        let findings = report["findings"].as_array_mut().expect("a list");
        let strip = |mut finding: Value| {
            let members = finding.as_object_mut().expect("an object");
            members.remove("there");
            members.remove("here");
            finding
        };
        findings.drain(..).map(strip).collect()
    }
}

fn now() -> Timestamp {
    use crate::ports::clock::Clock as _;
    crate::daemon::SystemClock::default().wall()
}

fn pair(folder: &Path, base: &str, control: &str, data: &[u8]) {
    put(folder, &format!("{base}.dat"), data);
    put(folder, &format!("{base}.ctl"), control.as_bytes());
}

fn put(folder: &Path, name: &str, bytes: &[u8]) {
    fs::write(folder.join(name), bytes).expect("written");
}

#[test]
fn equal_folders_are_the_same_and_stay_as_they_were() {
    let folders = Folders::new();
    folders.both(ID);
    put(&folders.there(), "R1.ctl", report_of(ID, "SEND", "14").as_bytes());
    put(&folders.here(), "R1.ctl", report_of(ID, "SEND", "14").as_bytes());
    let names = || fs::read_dir(folders.there()).expect("a folder").count();
    let before = (names(), fs::metadata(folders.there()).expect("there").modified().expect("a time"));
    let report = folders.report();
    assert_eq!(report["verdict"], "same");
    assert_eq!(report["counts"]["same"], 2);
    assert_eq!((&report["there"]["data"], &report["there"]["reports"]), (&json!(1), &json!(1)));
    assert_eq!((&report["findings"], &report["expected"]), (&json!([]), &json!([])));
    assert_eq!((names(), fs::metadata(folders.there()).expect("there").modified().expect("a time")), before);
}

/// Programs read it: names are never changed, only added.
#[test]
fn the_report_has_its_shape_in_every_version() {
    let folders = Folders::new();
    pair(&folders.there(), ID, &control(ID), b"data");
    pair(&folders.here(), ID, &control(ID).replace("Transferred to", "In"), b"dota");
    let mut report = folders.report();
    report["there"]["folder"] = json!("/there");
    report["here"]["folder"] = json!("/here");
    report["findings"][0]["there"] = json!(1);
    report["findings"][0]["here"] = json!(2);
    let seen = |folder: &str| {
        let passed_over = json!({ "files": 0, "folders": 0, "links": 0, "others": 0 });
        json!({ "folder": folder, "data": 1, "reports": 0, "named_otherwise": 0, "passed_over": passed_over })
    };
    let (what, why) = Expected::Description.words();
    let data = json!({ "there": 4, "here": 4, "first": 1 });
    let detail = json!({ "elements": [], "data": data });
    let expected = json!({
        "verdict": "different",
        "there": seen("/there"),
        "here": seen("/here"),
        "counts": {
            "same": 0, "control_differs": 0, "data_differs": 1, "only_there": 0, "only_here": 0, "more_there": 0,
            "more_here": 0, "data_without_control": 0, "control_without_data": 0, "unreadable_control": 0,
            "not_read": 0, "in_motion": 0, "not_settled": 0,
        },
        "expected": [{ "kind": "description", "what": what, "why": why, "messages": 1 }],
        "findings": [{ "kind": "differs", "detail": detail, "message": ID, "there": 1, "here": 2 }],
    });
    assert_eq!(report, expected);
}

#[test]
fn a_control_file_that_differs_is_told_by_element_and_never_by_value() {
    let folders = Folders::new();
    folders.both(ID);
    let other = control(ID).replace(SECRET, "SMITH").replace("<Version>1.0<", "<Version>2<");
    put(&folders.here(), &format!("{ID}.ctl"), other.replace("<LocalId>RXX-000017</LocalId>", "").as_bytes());
    let elements = json!([
        { "element": "Version", "there": 3, "here": 1 },
        { "element": "Subject", "there": 16, "here": 5 },
        { "element": "LocalId", "there": 10, "here": null },
    ]);
    let detail = json!({ "elements": elements, "data": null });
    assert_eq!(folders.findings(), [json!({ "kind": "differs", "detail": detail, "message": ID })]);
    let counts = &folders.report()["counts"];
    assert_eq!(
        (&counts["control_differs"], &counts["data_differs"], &counts["same"]),
        (&json!(1), &json!(0), &json!(0))
    );
}

#[test]
fn data_that_differs_is_told_by_its_first_offset_beyond_a_piece_too() {
    for (there, here, first) in [
        (b"abc".to_vec(), b"abd".to_vec(), 2),
        (b"abc".to_vec(), b"abcd".to_vec(), 3),
        (Vec::new(), b"x".to_vec(), 0),
        (vec![7; 200_000], [vec![7; 150_000], vec![8; 50_000]].concat(), 150_000),
        (vec![7; 65_536], vec![7; 65_537], 65_536),
    ] {
        let folders = Folders::new();
        pair(&folders.there(), ID, &control(ID), &there);
        pair(&folders.here(), ID, &control(ID), &here);
        let data = json!({ "there": there.len(), "here": here.len(), "first": first });
        let detail = json!({ "elements": [], "data": data });
        assert_eq!(folders.findings(), [json!({ "kind": "differs", "detail": detail, "message": ID })]);
    }
}

#[test]
fn what_readers_take_for_the_same_is_counted_and_no_difference() {
    let folders = Folders::new();
    folders.both(ID);
    let other = control(ID)
        .replace("<Version>1.0</Version>\n", "")
        .replace("</DTSControl>", "<Version>1.0</Version></DTSControl>")
        .replace(">Data<", ">DATA<")
        .replace("<StatusCode>00", "<StatusCode>0")
        .replace("<Encrypted>N</Encrypted>", "")
        .replace("<PartnerId></PartnerId>", "")
        .replace("Transferred to recipient mailbox", "Sent")
        .replace('\n', "\r\n");
    put(&folders.here(), &format!("{ID}.ctl"), other.as_bytes());
    let report = folders.report();
    assert_eq!((&report["verdict"], &report["counts"]["same"]), (&json!("same"), &json!(1)));
    let kinds: Vec<_> = report["expected"].as_array().expect("a list").iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(kinds, ["description", "spelling", "order", "line-ends"]);
}

#[test]
fn the_time_of_the_status_is_the_servers_and_no_excuse_within_one_mailbox() {
    let folders = Folders::new();
    folders.both(ID);
    put(&folders.here(), &format!("{ID}.ctl"), control(ID).replace("20260105093013<", "20260105103013<").as_bytes());
    assert_eq!(folders.findings()[0]["detail"]["elements"][0]["element"], "StatusRecord/DateTime");
}

#[test]
fn mail_of_two_mailboxes_is_found_by_its_content() {
    let folders = Folders::new();
    pair(&folders.there(), ID, &control(ID), b"data");
    let own = control(OTHER_ID).replace("X26ABC2", "X26ABC9").replace("x26abc2", "x26abc9").replace("93013<", "93014<");
    pair(&folders.here(), OTHER_ID, &own, b"data");
    let report = folders.report();
    assert_eq!((&report["verdict"], &report["counts"]["same"]), (&json!("same"), &json!(1)));
    assert_eq!(report["expected"][0]["kind"], "own-mailbox");
    // Another sender, and it is another message.
    put(&folders.here(), &format!("{OTHER_ID}.ctl"), own.replace("X26ABC1", "X26ABC7").as_bytes());
    let counts = folders.report()["counts"].clone();
    assert_eq!((&counts["only_there"], &counts["only_here"]), (&json!(1), &json!(1)));
    // Other bytes of the same length, too.
    pair(&folders.here(), OTHER_ID, &own, b"dota");
    assert_eq!(folders.report()["counts"]["only_there"], 1);
}

#[test]
fn a_message_that_lies_there_once_more_is_a_duplicate() {
    let twice = |id: &str, other: &str, folder: &Path| {
        pair(folder, "A", &control(id), b"data");
        pair(folder, "B", &control(other), b"data");
    };
    // By id, and by content.
    for (other, mine) in [(ID, ID), (OTHER_ID, "20260105093014123456_0A1B2E")] {
        for is_here in [false, true] {
            let folders = Folders::new();
            let (one, two) =
                if is_here { (folders.there(), folders.here()) } else { (folders.here(), folders.there()) };
            pair(&one, "A", &control(mine), b"data");
            twice(ID, other, &two);
            let (side, key) = if is_here { ("here", "more_here") } else { ("there", "more_there") };
            let report = folders.report();
            assert_eq!((&report["counts"][key], &report["counts"]["same"]), (&json!(1), &json!(1)), "{report}");
            let finding = &report["findings"][0];
            assert_eq!((&finding["kind"], &finding["detail"]["side"]), (&json!("more"), &json!(side)));
            assert_eq!(finding["detail"][side], 2);
        }
    }
    // Twice on both is the same.
    let folders = Folders::new();
    twice(ID, ID, &folders.there());
    twice(ID, ID, &folders.here());
    assert_eq!(folders.report()["verdict"], "same");
}

#[test]
fn halves_and_unreadable_control_files_are_told_once_and_take_their_partner_along() {
    let folders = Folders::new();
    for number in 0..4 {
        folders.both(&format!("A{number}"));
    }
    let remove = |folder: PathBuf, name: &str| fs::remove_file(folder.join(name)).expect("removed");
    remove(folders.there(), "A0.ctl");
    remove(folders.here(), "A1.dat");
    put(&folders.here(), "A2.ctl", b"<DTSControl><Subject>SMITH 9990000018</DTSControl>");
    put(&folders.there(), "A3.ctl", &vec![b' '; 64 * 1024 + 1]);
    put(&folders.there(), "SMITH 9990000018.dat", b"");
    let findings = folders.findings();
    let of = |finding: &Value| (finding["kind"].clone(), finding["detail"]["side"].clone(), finding["message"].clone());
    let told: Vec<_> = findings.iter().map(of).collect();
    let (there, here) = (json!("there"), json!("here"));
    assert_eq!(
        told,
        [
            (json!("data-without-control"), there.clone(), json!("A0")),
            (json!("control-without-data"), here.clone(), json!("A1")),
            (json!("unreadable-control"), here, json!("A2")),
            (json!("unreadable-control"), there.clone(), json!("A3")),
            (json!("data-without-control"), there, Value::Null),
        ]
    );
    assert_eq!(findings[3]["detail"]["why"], "it is longer than 64 KiB");
    assert_eq!(folders.report()["counts"]["same"], 0);
}

#[test]
fn odd_entries_are_not_opened_and_rubbish_is_only_counted() {
    let folders = Folders::new();
    folders.both(ID);
    let there = folders.there();
    put(&there, "SMITH.csv.txt", b"");
    put(&there, ".dat", b"");
    fs::create_dir(there.join("archive")).expect("made");
    symlink("/etc/passwd", there.join("link")).expect("made");
    let report = folders.report();
    assert_eq!(report["verdict"], "same");
    assert_eq!(report["there"]["passed_over"], json!({ "files": 2, "folders": 1, "links": 1, "others": 0 }));

    let outside = folders.base.path().join("outside");
    fs::write(&outside, b"data").expect("written");
    fs::remove_file(there.join(format!("{ID}.dat"))).expect("removed");
    symlink(&outside, there.join(format!("{ID}.dat"))).expect("made");
    rustix::fs::mknodat(rustix::fs::CWD, there.join("pipe.ctl"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("made");
    put(&there, "B.dat", b"");
    put(&there, "B.DAT", b"");
    let why: Vec<_> = folders.findings().iter().map(|finding| finding["detail"]["why"].clone()).collect();
    let link = "it is a symbolic link, which is not followed";
    assert_eq!(why, [link, "two names differ only in their capitals", "it is no regular file"]);
    assert_eq!(folders.report()["verdict"], "different");
}

#[test]
fn what_is_young_is_not_settled_and_what_is_old_is_missed() {
    let folders = Folders::new();
    folders.both(ID);
    pair(&folders.there(), OTHER_ID, &control(OTHER_ID), b"data");
    let report = folders.report_after(Duration::from_secs(600));
    assert_eq!((&report["verdict"], &report["counts"]["not_settled"]), (&json!("unsettled"), &json!(1)));
    assert_eq!(report["counts"]["same"], 1);
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_767_614_400);
    for end in ["dat", "ctl"] {
        let file = File::options().write(true).open(folders.there().join(format!("{OTHER_ID}.{end}")));
        file.and_then(|file| file.set_modified(long_ago)).expect("the file is ours");
    }
    let report = folders.report_after(Duration::from_secs(600));
    assert_eq!((&report["verdict"], &report["counts"]["only_there"]), (&json!("different"), &json!(1)));
}

#[test]
fn data_that_grows_while_it_is_read_is_said_to_be_in_motion() {
    let folders = Folders::new();
    let bytes = vec![7; 70_000];
    pair(&folders.there(), ID, &control(ID), &bytes);
    pair(&folders.here(), ID, &control(ID), &bytes);
    let (there, here) = (folders.there(), folders.here());
    let look = Look { there: &there, here: &here, now: now(), settle: Duration::ZERO };
    let list = |folder| Folder::list(folder).expect("a folder");
    let grown = [bytes.clone(), bytes].concat();
    let mut report = look.compare(list(&there), list(&here), &mut |_, _, _, read| {
        if read > 0 {
            put(&here, &format!("{ID}.dat"), &grown);
        }
    });
    assert_eq!(report.conclude(), Verdict::Unsettled);
    let finding = serde_json::to_value(&report.findings[0].what).expect("JSON");
    assert_eq!(finding, json!({ "kind": "in-motion", "detail": { "side": "here", "why": "it was written to" } }));
}

#[test]
fn what_vanishes_meanwhile_is_said_to_be_in_motion() {
    let folders = Folders::new();
    folders.both("A");
    folders.both("B");
    let (there, here) = (folders.there(), folders.here());
    let look = Look { there: &there, here: &here, now: now(), settle: Duration::ZERO };
    let list = |folder| Folder::list(folder).expect("a folder");
    let mut is_done = false;
    let mut report = look.compare(list(&there), list(&here), &mut |what, _, _, _| {
        if what == "here" && !is_done {
            is_done = true;
            fs::remove_file(there.join("A.dat")).expect("removed");
            fs::remove_file(here.join("B.ctl")).expect("removed");
        }
    });
    assert_eq!(report.conclude(), Verdict::Unsettled);
    let value = serde_json::to_value(&report).expect("JSON");
    assert_eq!(value["counts"]["in_motion"], 2);
    assert_eq!(value["findings"][0]["detail"]["why"], "it went away");
    assert!(report.lines(false)[0].ends_with("it went away meanwhile"), "{:?}", report.lines(false));
}

#[test]
fn reports_are_known_by_what_they_say_and_a_clients_own_are_not_missed() {
    let folders = Folders::new();
    put(&folders.there(), "R1.ctl", report_of(ID, "SEND", "14").as_bytes());
    put(&folders.here(), "R2.ctl", report_of(ID, "SEND", "14").as_bytes());
    put(&folders.there(), "poll.ctl", report_of("", "RECEIVE", "00").as_bytes());
    put(&folders.there(), "collect.ctl", report_of("", "COLLECT", "00").as_bytes());
    let report = folders.report();
    assert_eq!((&report["verdict"], &report["counts"]["same"]), (&json!("same"), &json!(1)));
    let expected: Vec<_> = report["expected"].as_array().expect("a list").iter().collect();
    assert_eq!((&expected[0]["kind"], &expected[0]["messages"]), (&json!("own-report"), &json!(2)));
    assert_eq!(expected[1]["kind"], "report-name");
    put(&folders.here(), "R3.ctl", report_of(OTHER_ID, "SEND", "14").as_bytes());
    assert_eq!(folders.report()["counts"]["only_here"], 1);
}

#[test]
fn another_name_for_the_same_message_is_a_difference() {
    let folders = Folders::new();
    pair(&folders.there(), ID, &control(ID), b"data");
    pair(&folders.here(), "00000001", &control(ID), b"data");
    assert_eq!(folders.findings()[0]["detail"]["elements"][0]["element"], "file name");
    assert_eq!(folders.report()["here"]["named_otherwise"], 1);
}

#[test]
fn a_long_list_is_cut_for_people() {
    let folders = Folders::new();
    for number in 0..25 {
        let id = format!("A{number:02}");
        pair(&folders.there(), &id, &control(&id), id.as_bytes());
    }
    let (there, here) = (folders.there(), folders.here());
    let look = Look { there: &there, here: &here, now: now(), settle: Duration::ZERO };
    let list = |folder| Folder::list(folder).expect("a folder");
    let report = look.compare(list(&there), list(&here), &mut |_, _, _, _| {});
    let lines = report.lines(false);
    assert_eq!(lines[0], "A00  only there: lost here, or not yet come");
    assert_eq!(lines[20], "… and 5 more: --all shows them");
    assert_eq!(report.lines(true).len(), lines.len() + 4);
}
