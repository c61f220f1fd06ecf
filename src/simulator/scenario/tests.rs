//! Scenario files: what they may say, and how their mistakes are told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::faults::Trouble;
use super::*;

const EXAMPLE: &str = include_str!("example.toml");

fn read_text(text: &str) -> Result<Scenario, Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scenario.toml");
    fs::write(&path, text).expect("write the scenario");
    let named = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    read(&path).map_err(|findings| findings.iter().map(|finding| named(finding.to_string())).collect())
}

#[test]
fn the_example_is_read_whole() {
    let scenario = read_text(EXAMPLE).expect("no mistake");
    assert_eq!((scenario.seed, scenario.storm, scenario.threads), (Some(7), Some(2), 1));
    assert_eq!((scenario.auth.ahead_ms, scenario.auth.shared_key.as_str()), (3_600_000, "TestKey"));
    assert!(scenario.ledger.is_some_and(|ledger| ledger.requests && !ledger.synced));
    let passwords: Vec<&str> = scenario.mailboxes.iter().map(|mailbox| mailbox.password.as_str()).collect();
    assert_eq!(passwords, ["password", "another"]);
    assert!(matches!(&scenario.mail[1].what, Content::Kind(Kind::Report)));
    let Content::Sized(sized) = &scenario.mail[2].what else { panic!("{:?}", scenario.mail[2]) };
    assert_eq!((sized.size, sized.chunk, sized.gzip, sized.distinct), (1_000_000, 300_000, true, true));
    let [storm, lost, range] = scenario.faults.as_slice() else { panic!("three faults") };
    assert_eq!((storm.percent, storm.lasting), (Some(50), Some(Duration::from_secs(60))));
    assert!(matches!(&storm.what, Trouble::Status { code: 503, retry_after: Some(value) } if value == "2"));
    assert_eq!((lost.from_nth, lost.times, lost.mailbox.as_deref()), (3, Some(2), Some("X26ABC1")));
    assert!(matches!(&range.what, Trouble::Headers(headers) if headers["mex-chunk-range"] == "3:2"));
}

#[test]
fn a_mistake_is_told_with_file_line_and_key() {
    let start = "[tls]\nfolder = \"t\"\n[[mailbox]]\nid = \"X26ABC1\"\n";
    for (text, expected) in [
        ("colour = 1\n", "scenario.toml:1: colour: unknown field `colour`"),
        ("seed = \"x\"\n", "scenario.toml:1: seed: invalid type"),
        ("[[mail\n", "scenario.toml:1: "),
    ] {
        told(&format!("{text}{start}"), expected);
    }
    for (text, expected) in [
        ("[[mail]]\ncount = 1\nwhat = \"mixt\"", "scenario.toml:7: mail[1].what: unknown variant `mixt`"),
        ("[[mail]]\nwhat = \"mixed\"", "scenario.toml:5: mail[1]: missing field `count`"),
        (
            "[[mail]]\ncount = 1\nwhat = { sized = { size = \"1\" } }",
            "scenario.toml:7: mail[1].what.sized.size: this value is not understood; expected a whole number and a unit: B",
        ),
        (
            "[[mail]]\ncount = 1\nwhat = { sized = { size = \"0B\" } }",
            "scenario.toml:7: mail[1].what.sized.size: 0 bytes in chunks of 75000000 are not a message that MESH takes; expected 1B",
        ),
        (
            "[[mail]]\ncount = 1\nmailboxes = [\"X26ABC1\", \"X26ABC\"]\nwhat = \"mixed\"",
            "scenario.toml:7: mail[1].mailboxes[2]: there is no such mailbox; expected one of: X26ABC1; did you mean `X26ABC1`?",
        ),
        ("[[fault]]\nwhat = { stall = { after = \"1B\" } }", "scenario.toml:6: fault[1].what.stall: missing field"),
        ("[[fault]]\nlasting = \"soon\"\nwhat = \"refuse\"", "scenario.toml:6: fault[1].lasting: this value is not"),
        (
            "[[fault]]\npercent = 101\nwhat = \"refuse\"",
            "scenario.toml:6: fault[1].percent: this is no share; expected 0",
        ),
        ("[[fault]]\ncall = \"fetsh\"\nwhat = \"xml\"", "scenario.toml:6: fault[1].call: unknown variant `fetsh`"),
        ("[[mailbox]]\nid = \"X26ABC1\"", "scenario.toml:6: mailbox[2].id: this mailbox is there already"),
    ] {
        told(&format!("{start}{text}\n"), expected);
    }
    let missing = read(Path::new("/there/is/none.toml")).map(|_| ()).expect_err("no file");
    assert!(missing[0].to_string().starts_with("/there/is/none.toml: it cannot be read"), "{}", missing[0]);
}

fn told(text: &str, expected: &str) {
    let mistakes = read_text(text).map(|_| ()).expect_err(expected);
    assert!(mistakes.len() == 1 && mistakes[0].starts_with(expected), "{mistakes:#?}\ninstead of {expected}");
}
