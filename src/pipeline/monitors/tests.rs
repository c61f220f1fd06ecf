use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::domain::envelope::MessageKind;
use crate::domain::ids::{MailboxId, WorkflowId};
use crate::domain::sequence::Sequence;
use crate::pipeline::tests::Given;
use crate::pipeline::{Facts, Pipelines};
use crate::ports::store::Flow;

const OUTPUT: &str = "\n[[output]]\nname = \"inbox\"\nkind = \"folder\"\npath = \"/srv/inbox\"\n";

fn compile(text: &str) -> Result<Pipelines, String> {
    let file = (PathBuf::from("lab.toml"), format!("name = \"lab\"\n{text}{OUTPUT}"));
    Pipelines::compile(&[file], &BTreeMap::new())
        .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The first monitor of a pipeline with these keys.
fn monitor(keys: &str) -> Monitor {
    let pipelines = compile(&format!("[[monitor]]\nname = \"m\"\n{keys}")).expect("no findings");
    pipelines.all()[0].monitors()[0].clone()
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let text = r#"[[monitor]]
name = "One"
kind = "trafic"
[[monitor]]
name = "two"
kind = "traffic"
from = "A B"
between = ["9:00", "17:30"]
days = ["monday"]
grace = "1m"
[[monitor]]
name = "two"
kind = "sequence"
every = "4h"
grace = "soon"
[[monitor]]
name = "three"
kind = "traffic"
every = "9h"
between = ["09:00", "17:30"]
[[monitor]]
kind = "traffic"
every = "1h"
between = ["09:00", "09:00"]
[[monitor]]
name = "four"
kind = "traffic"
every = "3d"
days = ["sat", "sun"]
"#;
    insta::assert_snapshot!(compile(text).expect_err("mistakes"), @r#"
    lab.toml:3: monitor[1].name: this value is not understood; expected 1 to 64 lower-case letters, digits, `_`, `.` or `-`
    lab.toml:4: monitor[1].kind: this kind of monitor is not known; expected one of: traffic, sequence; did you mean `traffic`?
    lab.toml:5: monitor[2].every: this key is missing; expected a whole number and a unit: ms, s, m, h, d, w or y, such as "72h"
    lab.toml:8: monitor[2].from: this can never match; expected letters, digits, `_`, `-`, with `*` for any run of them
    lab.toml:9: monitor[2].between[1]: this value is not understood; expected a time of day in UTC, such as "09:00"
    lab.toml:10: monitor[2].days[1]: this day is not known; expected one of: mon, tue, wed, thu, fri, sat, sun
    lab.toml:11: monitor[2].grace: this key is not known here; expected one of: name, kind, from, every, between, days
    lab.toml:15: monitor[3].every: this key is not known here; expected one of: name, kind, grace
    lab.toml:16: monitor[3].grace: this value is not understood; expected a whole number and a unit: ms, s, m, h, d, w or y, such as "72h"
    lab.toml:20: monitor[4].every: the window is never open for so long, so there would never be an alarm; expected less than from the window's opening to its end
    lab.toml:22: monitor[5].name: this key is missing; expected the monitor's name
    lab.toml:25: monitor[5].between: this is no window; expected two times, such as ["09:00", "17:30"]
    lab.toml:29: monitor[6].every: the window is never open for so long, so there would never be an alarm; expected less than from the window's opening to its end
    "#);
}

/// What the monitors see of a message.
fn seen(pipelines: &Pipelines, from: Option<&str>, bytes: &[u8]) -> Vec<Sighting> {
    let (workflow, mailbox) = (WorkflowId::new("A").expect("a letter"), MailboxId::new("MB1").expect("an id"));
    let from = from.map(|from| MailboxId::new(from).expect("an id"));
    let kind = if bytes.is_empty() { MessageKind::Report } else { MessageKind::Data };
    let facts = Facts { workflow: &workflow, mailbox: &mailbox, from: from.as_ref(), kind, length: 1 };
    let letter = Given::new(&facts, [None; 3], bytes);
    let (seen, fault) = pipelines.all()[0].see(&Message::new(facts, &letter), &DigestKey::new(&[7; 32]));
    assert_eq!(fault, None);
    seen
}

#[test]
fn a_message_is_seen_by_those_whom_it_concerns() {
    let pipelines = compile(
        "[[monitor]]\nname = \"all\"\nkind = \"traffic\"\nevery = \"1h\"\n\
         [[monitor]]\nname = \"lab\"\nkind = \"traffic\"\nevery = \"1h\"\nfrom = [\"LAB*\"]\n\
         [[monitor]]\nname = \"numbers\"\nkind = \"sequence\"",
    )
    .expect("no findings");
    let names = |from, bytes: &[u8]| {
        let seen = seen(&pipelines, from, bytes);
        seen.iter().map(|sighting| sighting.monitor.to_string()).collect::<Vec<_>>().join(" ")
    };
    let interchange = b"UNB+UNOB:2+9990000018:22+GP:22+260105:0930+00000042++MEDRPT'UNH+1+MEDRPT:0:1:RT:NHS003'";
    assert_eq!(names(Some("LAB1"), b"a letter"), "all lab");
    assert_eq!(names(Some("X26"), b"a letter"), "all");
    assert_eq!(names(None, b""), "all");
    assert_eq!(names(Some("X26"), interchange), "all numbers");
}

#[test]
fn an_interchange_is_counted_by_its_number_in_a_flow_that_names_nobody() {
    let pipelines = compile("[[monitor]]\nname = \"n\"\nkind = \"sequence\"").expect("no findings");
    let number = |bytes: &str| {
        let mut seen = seen(&pipelines, None, bytes.as_bytes());
        seen.pop().and_then(|sighting| sighting.number).map(|numbered| (numbered.flow, numbered.number))
    };
    let text = "UNB+UNOB:2+9990000018:22+GP:22+260105:0930+00000042++MEDRPT'UNH+1+MEDRPT:0:1:RT:NHS003'";
    let (flow, first) = number(text).expect("it has a number");
    assert_eq!((flow.len(), first), (12, 42));
    assert!(!flow.contains("999"), "{flow}");
    let declared = text.replace("UNB", "UNA*!.# ~UNB").replace(':', "*").replace('+', "!").replace('\'', "~");
    for same in [
        text.replace("0930+00000042", "0931+42"),
        text.replace("+00000042++MEDRPT'UNH+1+MEDRPT:0:1:RT:NHS003'", "+42'UNZ+0+42'"),
    ] {
        assert_eq!(number(&same), Some((flow.clone(), 42)), "{same}");
    }
    assert_eq!(number(&declared).map(|(_, number)| number), Some(42), "{declared}");
    for other in [text.replace("GP:22", "GP:23"), text.replace("8:22+GP", "8:22?+GP+")] {
        assert_ne!(number(&other).map(|(flow, _)| flow), Some(flow.clone()), "{other}");
    }
    for none in ["A42", "", "-1", "4 2", "123456789012345", "00000042'"] {
        let bytes = text.replace("00000042", none);
        let expected = (none == "00000042'").then_some(42);
        assert_eq!(number(&bytes).map(|(_, number)| number), expected, "{none:?}");
    }
    assert_eq!(number(&text.replace("+260105:0930+00000042++MEDRPT", "")), None);
}

const HOUR: Duration = Duration::from_secs(3_600);

fn at(text: &str) -> Timestamp {
    let parsed = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
    Timestamp(parsed.and_utc().timestamp_millis())
}

/// A run that has lasted for days.
fn moment(wall: Timestamp) -> Moment {
    Moment { wall, time: wall, run: 48 * HOUR }
}

#[test]
fn silence_is_counted_from_the_later_of_the_last_message_and_the_opening() {
    let office =
        monitor("kind = \"traffic\"\nevery = \"4h\"\nbetween = [\"09:00\", \"17:30\"]\ndays = [\"mon\", \"tue\"]");
    let last = Some(at("2026-01-05 10:00"));
    let known = Monitored { begun: at("2026-01-01 00:00"), last, ..Monitored::default() };
    // The 5th is a Monday.
    let cases = [
        ("2026-01-05 14:00", false),
        ("2026-01-05 14:01", true),
        ("2026-01-05 17:30", false),
        ("2026-01-06 13:00", false),
        ("2026-01-06 13:01", true),
        ("2026-01-07 13:01", false),
    ];
    for (now, is_alarm) in cases {
        assert_eq!(office.alarm(&known, moment(at(now))).is_some(), is_alarm, "{now}");
    }
    let accepted = Monitored { begun: at("2026-01-05 13:00"), ..known.clone() };
    assert_eq!(office.alarm(&accepted, moment(at("2026-01-05 14:01"))), None, "counted anew");
    let never = Monitored { last: None, ..known };
    let alarm = office.alarm(&never, moment(at("2026-01-05 13:01"))).expect("an alarm");
    assert_eq!(alarm.code, "MONITOR-QUIET");
    assert_eq!(alarm.detail, "nothing came for 4 h; none has been seen yet");
}

#[test]
fn a_new_alarm_waits_until_what_came_meanwhile_is_in() {
    let always = monitor("kind = \"traffic\"\nevery = \"4h\"");
    let now = at("2026-01-05 12:00");
    let known = Monitored { begun: at("2026-01-01 00:00"), ..Monitored::default() };
    let young = Moment { run: SETTLING, ..moment(now) };
    assert_eq!(always.alarm(&known, young), None);
    assert!(always.alarm(&known, Moment { run: SETTLING + HOUR, ..young }).is_some());
    let standing = Monitored { alarmed: Some(now), ..known };
    assert!(always.alarm(&standing, young).is_some(), "it stands as before the restart");
}

#[test]
fn a_gap_is_an_alarm_once_its_grace_is_over() {
    let counting = monitor("kind = \"sequence\"\ngrace = \"1h\"");
    let start = at("2026-01-05 12:00");
    let mut sequence = Sequence::begin(7);
    sequence.take(9, start);
    sequence.take(12, start.plus(HOUR));
    let from = Some(MailboxId::new("LAB1").expect("an id"));
    let flow = Flow { sequence, last: start, from };
    let known = Monitored { flows: [("0123456789ab".to_owned(), flow)].into(), ..Monitored::default() };
    let told = |after: Duration| counting.alarm(&known, moment(start.plus(after))).map(|alarm| alarm.detail);
    assert_eq!(told(HOUR - Duration::from_secs(1)), None);
    assert_eq!(told(HOUR).as_deref(), Some("interchanges did not come: 8 of flow 0123456789ab from LAB1"));
    let both = "interchanges did not come: 8 of flow 0123456789ab from LAB1; 10 to 11 of flow 0123456789ab from LAB1";
    assert_eq!(told(2 * HOUR).as_deref(), Some(both));

    let now = moment(start.plus(HOUR));
    let mut accepted = known.clone();
    let flow = accepted.flows.get_mut("0123456789ab").expect("it is there");
    flow.sequence.accept(counting.acceptable(now));
    assert_eq!(counting.alarm(&accepted, now), None);
    assert!(counting.alarm(&accepted, moment(start.plus(2 * HOUR))).is_some(), "what nobody had seen is not accepted");
}

#[test]
fn a_clock_that_was_ahead_for_one_message_keeps_no_alarm_back() {
    let always = monitor("kind = \"traffic\"\nevery = \"4h\"");
    let ahead = Some(at("2027-01-05 12:00"));
    let known = Monitored { begun: at("2026-01-01 00:00"), last: ahead, ..Monitored::default() };
    assert!(always.alarm(&known, moment(at("2026-03-05 12:00"))).is_some(), "nothing came for two months");
}
