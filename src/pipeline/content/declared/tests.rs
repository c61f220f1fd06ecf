//! What counts as declared in each format, and that nothing else does.

use proptest::prelude::*;

use super::*;

const FHIR: &str = r#"{"resourceType":"Bundle","type":"message","entry":[
  {"resource":{"resourceType":"MessageHeader","id":"9990000018"}},
  {"resource":{"resourceType":"Bundle","type":"document","entry":[{"resource":{"resourceType":"Patient","identifier":[
    {"use":"official","type":{"coding":[{"system":"urn:x","code":"NH"}]},"system":"SYSTEM","value":"NUMBER"},
    {"system":"urn:hospital","value":"9990000026"}]}}]}}]}"#;

const FHIR_XML: &str = r#"<Bundle xmlns="http://hl7.org/fhir"><id value="9990000018"/><entry><resource><Patient>
<identifier><extension url="u"><valueCoding><system value="urn:x"/></valueCoding></extension>
<system value="SYSTEM"/><value value="NUMBER"/></identifier>
<identifier><system value="urn:hospital"/><value value="9990000026"/></identifier></Patient></resource></entry></Bundle>"#;

const CDA: &str = r#"<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1" extension="9990000018"/><recordTarget>
<patientRole><id root="2.16.840.1.113883.2.1.4.1" extension="NUMBER"/></patientRole></recordTarget></ClinicalDocument>"#;

const HL7: &str = "MSH|^~\\&|SYNTH|X26|DEMO|X26|20260105093012||ADT^A01|9990000018|T|2.4\r\
    PID|1|9990000026|H9990000018^^^X26^PI~NUMBER^^^NHS&2.16&ISO^NH||SYNTH^ETIC\rPV1|1\r";

const EDIFACT: &str = "UNB+UNOB:2+LAB:22+GP:22+260105:0930+9990000018++MEDRPT'\r\nUNH+1+MEDRPT:0:1:RT:NHS003'\
    RFF+HES:9990000026'PNA+PAT+NUMBER:OPI+++SU:SYNTH?'S'PNA+PO+9990000018'";

/// A number with a right check digit that is not of the synthetic range, and was never given to anyone either.
const OTHER: &str = "9000000009";

fn told(text: &str) -> (u32, u32) {
    let Declared { synthetic, other } = declared(text.as_bytes());
    (synthetic, other)
}

#[test]
fn a_number_counts_where_its_format_declares_it() {
    let systems = SYSTEMS.map(|system| (FHIR.replace("SYSTEM", system), FHIR_XML.replace("SYSTEM", system)));
    let [(json, xml), (old_json, old_xml)] = &systems;
    for text in [json, xml, old_json, old_xml, CDA, HL7, EDIFACT] {
        assert_eq!(told(&text.replace("NUMBER", "9990000018")), (1, 0), "{text}");
        assert_eq!(told(&text.replace("NUMBER", OTHER)), (0, 1), "{text}");
        // A placeholder, and no number at all: neither is proof that the patient is synthetic.
        assert_eq!(told(&text.replace("NUMBER", "9999999999")), (0, 1), "{text}");
        assert_eq!(told(&text.replace("NUMBER", "unknown")), (0, 1), "{text}");
        assert_eq!(told(&text.replace("NUMBER", "")), (0, 0), "{text}");
    }
    assert_eq!(told("9990000018,\n9990000026,\n9000000009"), (2, 1));
    assert_eq!(told(&HL7.replace("NHS&2.16&ISO^NH", "^NH").replace("NUMBER", "999 000 0018")), (1, 0));
}

#[test]
fn the_order_of_members_does_not_matter_and_one_that_is_cut_short_counts_once() {
    let text = r#"{"resourceType":"Patient","identifier":[{"value":"9990000018","system":"https://fhir.nhs.uk/Id/nhs-number","period"#;
    assert_eq!(told(text), (1, 0));
    let text = r#"<Patient xmlns="http://hl7.org/fhir"><identifier><value value="9990000018"/><system value="https://fhir.nhs.uk/Id/nhs-number"/><per"#;
    assert_eq!(told(text), (1, 0));
}

#[test]
fn what_stands_elsewhere_or_in_an_unknown_format_says_nothing() {
    assert_eq!(told(&FHIR.replace("SYSTEM", "urn:other").replace("NUMBER", "9990000018")), (0, 0));
    assert_eq!(told("Dear doctor, 999 000 0018"), (0, 0));
    assert_eq!(told(r#"{"patient":"9990000018"}"#), (0, 0));
    assert_eq!(told("MSH|^~\\&|SYNTH\rPID|1||9990000018^^^X26^PI\r"), (0, 0));
}

proptest! {
    #[test]
    fn no_bytes_do_harm(start in "(\\{|<ClinicalDocument xmlns=\"urn:hl7-org:v3\">|MSH\\|\\^~|UNB\\+|9)", rest in any::<Vec<u8>>()) {
        declared(&[start.as_bytes(), &rest].concat());
    }

    #[test]
    fn wherever_a_payload_is_cut_no_number_counts_twice(cut in 0..FHIR.len()) {
        let text = FHIR.replace("SYSTEM", SYSTEMS[0]).replace("NUMBER", "9990000018");
        let (synthetic, other) = told(&text[..cut.min(text.len())]);
        prop_assert!(synthetic <= 1 && other == 0);
    }
}
