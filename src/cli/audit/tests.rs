use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::export::fhir_of;
use super::*;

fn record(sequence: u64, body: &str) -> FoundRecord {
    FoundRecord {
        sequence,
        wall: Timestamp(1_767_605_412_123),
        monotonic_ms: 5,
        run: 2,
        boot: "boot".into(),
        hash: "ab".repeat(32),
        body: body.into(),
    }
}

const ACCEPTED: &str = r#"{"e":"accepted","mailbox":"X26ABC1","message":"M1","workflow":"W","from":"X26HC001","kind":"data","length":5,"digest":"ab","location":{"parts":{"parts":2,"life":0}},"due":9,"arrival":{"listed":4,"waited":1,"took":2,"wire":3}}"#;
const DELIVERED: &str =
    r#"{"e":"delivered","id":7,"outputs":[],"keep":9,"handling":{"pipeline":"letters","file":"0123456789ab"}}"#;
const HELD: &str =
    r#"{"e":"operator-held","id":7,"reason":{"code":"OPERATOR-HELD","detail":""},"by":1000,"why":"wait"}"#;

#[test]
fn a_line_of_json_holds_the_record_as_it_was_written() {
    let line = json_line(&record(7, ACCEPTED)).expect("JSON");
    assert!(line.ends_with(&format!("\"event\":{ACCEPTED}}}")), "{line}");
    let read: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((read["sequence"].as_u64(), read["wall"].as_str()), (Some(7), Some("2026-01-05T09:30:12.123Z")));
    assert_eq!(read["event"]["message"], "M1");
}

#[test]
fn people_are_counted_in_text_and_their_digests_are_in_json_only() {
    let digests: Vec<_> = (10..74).map(|number| format!("\"{}\"", number.to_string().repeat(32))).collect();
    let body =
        |some: &[String], more: &str| format!(r#"{{"e":"concerns","id":7,"patients":[{}]{more}}}"#, some.join(","));
    let many = record(8, &body(&digests, r#","more":true"#));
    let line = text_line(&many);
    assert_eq!(line, "         8  2026-01-05T09:30:12.123Z  concerns: delivery d7 names 64 people, and maybe more");
    assert!(json_line(&many).expect("JSON").contains(&many.body));
    assert!(text_line(&record(8, &body(&digests[..1], ""))).ends_with("delivery d7 names 1 person"));
    assert!(text_line(&record(8, HELD)).ends_with(HELD), "all else is as it was written");
}

#[test]
fn a_bundle_has_an_audit_event_for_each_record_and_a_provenance_for_each_delivered_message() {
    let bundle = fhir_of(&[record(7, ACCEPTED), record(8, HELD), record(9, DELIVERED)]);
    let bundle: Value = serde_json::from_str(&bundle).expect("JSON");
    assert_eq!((bundle["resourceType"].as_str(), bundle["type"].as_str()), (Some("Bundle"), Some("collection")));
    let resources: Vec<&Value> =
        bundle["entry"].as_array().expect("entries").iter().map(|one| &one["resource"]).collect();
    let kinds: Vec<_> = resources.iter().map(|one| one["resourceType"].as_str().expect("a type")).collect();
    assert_eq!(kinds, ["AuditEvent", "AuditEvent", "AuditEvent", "Provenance"]);
    // What R4 requires of each.
    for event in &resources[..3] {
        assert!(event["type"]["code"].is_string() && event["recorded"] == "2026-01-05T09:30:12.123Z", "{event}");
        assert!(event["agent"][0]["requestor"].is_boolean() && event["source"]["observer"].is_object(), "{event}");
    }
    assert_eq!(resources[0]["type"]["code"], "110107");
    assert_eq!(resources[1]["agent"][0]["who"]["identifier"]["value"], "1000");
    assert_eq!(resources[1]["subtype"][0]["code"], "operator-held");
    let provenance = resources[3];
    assert_eq!(provenance["target"][0]["identifier"]["value"], "d7");
    assert_eq!(provenance["entity"][0]["what"]["identifier"]["value"], "M1");
    assert_eq!(provenance["entity"][0]["agent"][0]["who"]["identifier"]["value"], "X26HC001");
    assert_eq!(provenance["entity"][1]["what"]["identifier"]["value"], "letters 0123456789ab");
}

#[test]
fn an_export_of_nothing_is_a_bundle_too() {
    let bundle: Value = serde_json::from_str(&fhir_of(&[])).expect("JSON");
    assert_eq!(bundle["entry"].as_array().map(Vec::len), Some(0));
}

/// UK Core's profiles and examples are not ours to ship.
#[test]
fn resources_have_the_members_that_uk_cores_examples_have() {
    let Some(folder) = std::env::var_os("MESHD_UKCORE").map(PathBuf::from) else {
        eprintln!("NOT RUN members of UK Core's examples: MESHD_UKCORE names no folder with them");
        return;
    };
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(name)).expect("it is there")).expect("JSON")
    };
    let bundle: Value = serde_json::from_str(&fhir_of(&[record(7, ACCEPTED), record(9, DELIVERED)])).expect("JSON");
    for (place, profile, example) in [
        (0, "profiles/UKCore-AuditEvent.json", "UKCore-AuditEvent-Query-Example.json"),
        (2, "profiles/UKCore-Provenance.json", "UKCore-Provenance-RARecordConsent-Example.json"),
    ] {
        let ours = &bundle["entry"][place]["resource"];
        let profile = read(profile);
        assert_eq!(ours["meta"]["profile"][0], profile["url"]);
        let example = read(example);
        let members = example.as_object().expect("an object").keys();
        let optional = ["text", "contained", "purposeOfEvent", "period", "outcomeDesc", "extension", "language"];
        for member in members.filter(|member| !optional.contains(&member.as_str())) {
            assert!(!ours[member].is_null(), "{member} is missing in {ours}");
            assert_eq!(ours[member].is_array(), example[member].is_array(), "{member}");
        }
    }
}
