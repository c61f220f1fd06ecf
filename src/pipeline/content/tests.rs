//! What is recognised, from samples made up here and from published ones; and that no bytes do harm.

use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::declared::{Declared, declared};
use super::*;

const FHIR_XML: &str = r#"<?xml version="1.0"?><!-- c --><f:Bundle xmlns:f="http://hl7.org/fhir"><f:type value='message'/>
<f:entry><f:resource><f:Organization><f:type value="x"/></f:Organization></f:resource></f:entry>
<f:entry><f:resource><f:MessageHeader><f:event><f:system value="https://fhir.nhs.uk/STU3/CodeSystem/ITK-MessageEvent-2"/>
<f:code value="ITK003D"/></f:event></f:MessageHeader></f:resource></f:entry>
<f:entry><f:resource><f:Bundle><f:type value="document"/></f:Bundle></f:resource></f:entry></f:Bundle>"#;

const FHIR_JSON: &str = r#"{ "entry": [
    { "fullUrl": "urn:x", "resource": { "type": [1, {"a": null}], "resourceType": "Organization", "event": 1.5 } },
    { "resource": { "eventCoding": { "code": "discharge", "system": "urn:x" }, "resourceType": "MessageHeader" } },
    { "resource": { "resourceType": "Bundle", "type": "document" } } ],
    "type": "message", "resourceType": "Bundle" }"#;

const HL7: &str = "MSH|^~\\&|SYNTH|X26|DEMO|X26|20260105093012||ADT^A01^ADT_A01|1|T|2.4\rEVN|A01\r";

const EDIFACT: &str = "UNB+UNOB:2+LAB?'S:22+GP:22+260105:0930+1++MEDRPT'\r\nUNH+1+MEDRPT:0:1:RT:NHS003'BGM+LSR'";

const CDA: &str =
    r#"<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1"/><code code="371531000"/></ClinicalDocument>"#;

const ITK2: &str = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body>
<DistributionEnvelope xmlns="urn:nhs-itk:ns:201005"><header service="urn:nhs-itk:services:201005:SendNHS111Report-v2-0"/>
</DistributionEnvelope></s:Body></s:Envelope>"#;

#[test]
fn each_format_is_known_with_its_words() {
    let una =
        EDIFACT.replace("UNB", "UNA*!.# ~UNB").replace(':', "*").replace('+', "!").replace('\'', "~").replace('?', "#");
    let hash = HL7.replace('|', "#").replace('^', "$");
    let cases = [
        (FHIR_XML, "fhir-xml itk3 message ITK003D"),
        (FHIR_JSON, "fhir-json message discharge"),
        (r#"{"resourceType":"Patient","type":{"a":1}}"#, "fhir-json Patient -"),
        (r#"{"resourceType":"Bundle","type":"document"}"#, "fhir-json document -"),
        (r#"<Patient xmlns="http://hl7.org/fhir"/>"#, "fhir-xml Patient -"),
        (CDA, "cda 371531000 -"),
        (ITK2, "itk2 urn:nhs-itk:services:201005:SendNHS111Report-v2-0 -"),
        (HL7, "hl7v2 ADT A01"),
        (&format!("\u{b}{HL7}\u{1c}\r"), "hl7v2 ADT A01"),
        (&format!("FHS|^~\\&|\rBHS|^~\\&|\r{HL7}"), "hl7v2 ADT A01"),
        (&hash, "hl7v2 ADT A01"),
        ("MSH|^~\\&|SYNTH|X26|DEMO|X26|2026||ACK|1", "hl7v2 ACK -"),
        ("MSH|^~\\&|SYNTH", "hl7v2 - -"),
        (EDIFACT, "edifact MEDRPT NHS003"),
        (&una, "edifact MEDRPT NHS003"),
        ("UNB+UNOB:2+A+B'UNZ+1+1'", "edifact - -"),
        ("9990000018,\r\n9990000026\n9990000034,", "nhs-numbers - -"),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn what_is_not_sure_is_not_known() {
    let doctype = CDA.replacen('<', "<!DOCTYPE x [<!ENTITY a 'b'>]><", 1);
    let deep = format!("{}{CDA}", "<a>".repeat(100));
    for text in [
        "",
        " \r\n",
        "{}",
        "[1]",
        "{\"resourceType\":5}",
        "<a/>",
        "<Bundle/>",
        "<Bundle xmlns='urn:x'/>",
        &doctype,
        &deep,
        "MSHX",
        "MSHAAAAAA",
        "MSH||",
        "PID|1",
        "UNH+1+MEDRPT'",
        "UNB+",
        "UNA",
        "UN",
        "One or more NHS numbers are invalid",
        "999000001,\n",
        "9990000018,\nno answer\n",
        "99900000180",
        "%PDF-1.7",
    ] {
        assert_eq!(told(text.as_bytes()), "unknown", "{text}");
    }
}

#[test]
fn a_value_that_stands_twice_and_differs_says_nothing() {
    let cases = [
        (r#"{"resourceType":"Bundle","type":"message","type":"document"}"#, "fhir-json - -"),
        (r#"{"resourceType":"Bundle","type":"message","type":"message"}"#, "fhir-json message -"),
        (
            r#"<Bundle xmlns="http://hl7.org/fhir"><type value="message"/><type value="document"/></Bundle>"#,
            "fhir-xml - -",
        ),
        (r#"{"resourceType":"Bundle","resourceType":"Patient"}"#, "unknown"),
        (r#"<Bundle xmlns="http://hl7.org/fhir"><type value="a" value="b"/></Bundle>"#, "fhir-xml - -"),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn every_byte_order_mark_is_read() {
    let wide = |unit: fn(u16) -> [u8; 2], mark: [u8; 2]| {
        mark.into_iter().chain(FHIR_XML.encode_utf16().flat_map(unit)).collect::<Vec<u8>>()
    };
    for text in [
        ["\u{feff}", FHIR_XML].concat().into_bytes(),
        wide(u16::to_le_bytes, [0xff, 0xfe]),
        wide(u16::to_be_bytes, [0xfe, 0xff]),
    ] {
        assert_eq!(told(&text), "fhir-xml itk3 message ITK003D");
    }
}

#[test]
fn no_more_than_the_prefix_is_looked_at() {
    let late = format!("{{\"id\":\"{}\",\"resourceType\":\"Patient\"}}", "x".repeat(PREFIX));
    assert_eq!(told(late.as_bytes()), "unknown");
    let long = format!("{{\"resourceType\":\"Patient\",\"id\":\"{}", "x".repeat(2 * PREFIX));
    assert_eq!(told(long.as_bytes()), "fhir-json Patient -");
    let numbers = "9990000018,\n".repeat(PREFIX / 12 + 100);
    assert_eq!(told(numbers.as_bytes()), "nhs-numbers - -");
}

#[test]
fn published_examples_are_known() {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let Some(root) = above.map(|folder| folder.join("shared/fixtures")).find(|folder| folder.is_dir()) else {
        // Past the harness, which would swallow it.
        let line = "NOT RUN: published examples: there is no folder shared/fixtures above this package\n";
        std::io::stderr().write_all(line.as_bytes()).expect("standard error is there");
        return;
    };
    let expected = [
        ("itk3/messages/toc-edischarge-header.xml", "fhir-xml itk3 message ITK003D"),
        ("itk3/messages/update-record-header.xml", "fhir-xml itk3 message ITK014M"),
        ("itk3/hostile/prefixed-namespace.xml", "fhir-xml itk3 message ITK007C"),
        ("itk3/hostile/header-not-first.xml", "fhir-xml itk3 message ITK007C"),
        ("itk3/hostile/utf8-bom.xml", "fhir-xml itk3 message ITK007C"),
        ("itk3/hostile/whitespace-and-comments.xml", "fhir-xml itk3 message ITK007C"),
        ("itk3/hostile/truncated.xml", "fhir-xml itk3 message ITK007C"),
        ("itk3/hostile/doctype-entity.xml", "unknown"),
        ("itk3/hostile/empty.xml", "unknown"),
        ("itk3/hostile/wrong-root.xml", "cda - -"),
        ("itk3/other-families/edifact/misc-pathology.nhsack.dat", "edifact NHSACK NHS001"),
        ("ukcore/UKCore-Bundle-NEWS2Observations-Example.json", "fhir-json collection -"),
        ("ukcore/UKCore-MessageHeader-Discharge-Example.json", "fhir-json MessageHeader -"),
        ("ndop/01-basic/response.dat", "nhs-numbers - -"),
        ("ndop/04-crlf-response/response.dat", "nhs-numbers - -"),
        ("ndop/05-invalid-number-rejected/response.dat", "unknown"),
        ("ndop/06-submission-receipt/receipt.dat", "unknown"),
    ];
    for (name, expected) in expected {
        assert_eq!(told(&read(&root.join(name))), expected, "{name}");
    }
    for (name, declares) in [
        ("itk3/messages/send-ok.xml", true),
        ("itk3/other-families/edifact/misc-pathology_2.edifact.dat", false),
        ("ukcore/UKCore-Patient-RichardSmith-Example.json", false),
        ("ndop/01-basic/response.dat", true),
    ] {
        let Declared { synthetic, other } = declared(&read(&root.join(name)));
        assert_eq!((synthetic > 0, other > 0), (declares, !declares), "{name}: {synthetic}, {other}");
    }
    for (folder, expected) in [
        ("itk3/acks", "fhir-xml itk3 message ITK008M"),
        ("itk3/other-families/itk2-nhs111-cda", "itk2 urn:nhs-itk:services:201005:SendNHS111Report-v2-0 -"),
    ] {
        for path in files(&root.join(folder)) {
            assert_eq!(told(&read(&path)), expected, "{}", path.display());
        }
    }
    for path in files(&root.join("itk3/other-families/edifact")) {
        assert!(told(&read(&path)).starts_with("edifact "), "{}", path.display());
    }
}

/// What the simulator makes looks to us like what it stands for.
#[cfg(feature = "simulator")]
#[test]
fn synthetic_mail_is_known_for_what_it_is() {
    use crate::simulator::mail::{Kind, sample};
    use crate::simulator::payload::Payload;

    for kind in Kind::ALL {
        let expected = match kind {
            Kind::Discharge => "fhir-json itk3 message ITK003D",
            Kind::Pathology => "edifact MEDRPT NHS003",
            Kind::Admission => "hl7v2 ADT A01",
            Kind::OptOut => "nhs-numbers - -",
            Kind::List | Kind::Tiny | Kind::Chunked | Kind::Gzip | Kind::ChunkedGzip | Kind::Binary | Kind::Report => {
                "unknown"
            }
        };
        for number in [0, 7, u64::MAX] {
            let mail = sample(kind, number).expect("a sample");
            let first = match &mail.payload {
                Payload::Nothing => Vec::new(),
                Payload::Fixed(parts) => parts[0].decoded().expect("sound gzip").to_vec(),
                Payload::Generated { pattern, .. } => pattern.bytes(0, PREFIX as u64).to_vec(),
            };
            assert_eq!(told(&first), expected, "{kind:?} {number}");
            let Declared { synthetic, other } = declared(&first);
            assert_eq!((synthetic > 0, other), (expected != "unknown", 0), "{kind:?} {number}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(noise in proptest::collection::vec(any::<u8>(), 0..400)) {
        for start in ["", "{\"resourceType\":", "<a xmlns='http://hl7.org/fhir'", "MSH", "UNA", "UNB", "9990000018,\n"] {
            let bytes = [start.as_bytes(), &noise].concat();
            told(&bytes);
        }
    }

    #[test]
    fn a_sample_that_is_cut_or_spoilt_does_no_harm(
        which in 0..6_usize, cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8
    ) {
        let mut bytes = [FHIR_XML, FHIR_JSON, HL7, EDIFACT, CDA, ITK2][which].as_bytes().to_vec();
        bytes.truncate(cut.index(bytes.len()) + 1);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        told(&bytes);
    }

    #[test]
    fn a_cut_sample_is_never_taken_for_another_format(which in 0..6_usize, cut in any::<prop::sample::Index>()) {
        let text = [FHIR_XML, FHIR_JSON, HL7, EDIFACT, CDA, ITK2][which];
        let format = |text: &[u8]| recognise(text).map(|content| content.format());
        let cut = &text.as_bytes()[..cut.index(text.len())];
        if let Some(known) = format(cut) {
            prop_assert_eq!(Some(known), format(text.as_bytes()));
        }
    }
}

fn told(bytes: &[u8]) -> String {
    let Some(content) = recognise(bytes) else { return "unknown".into() };
    let word = |word: Option<String>| word.unwrap_or("-".into());
    let itk3 = if content.is_itk3 { " itk3" } else { "" };
    format!("{}{itk3} {} {}", content.format.as_str(), word(content.kind), word(content.event))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a readable example")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of examples");
    let files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}
