//! Synthetic mail of every kind, for demonstrations and tests.
//!
//! Looks like the real thing from a distance only: NHS numbers come from the reserved range 999, names are plainly
//! made up, and no standard's full rules are followed. Equal numbers give equal mail.

use std::sync::Arc;

use super::SimulatorError;
use super::message::{Draft, Mail};
use super::payload::{Part, Payload, mix};

/// A kind of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A discharge letter as an ITK3 message: FHIR with a document in it (itk3 1).
    Discharge,
    /// A pathology report as EDIFACT.
    Pathology,
    /// An admission as HL7 version 2.
    Admission,
    /// A list as CSV.
    List,
    /// One byte.
    Tiny,
    /// Three chunks, 12 MB in all.
    Chunked,
    /// A CSV, kept gzip-encoded.
    Gzip,
    /// A list in two chunks, each gzip-encoded on its own.
    ChunkedGzip,
    /// The national data opt-out service's answer: NHS numbers that may be used (national-data-opt-out 5).
    OptOut,
    /// Bytes that are no text.
    Binary,
    /// A report of non-delivery: headers and no body.
    Report,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 11] = [
        Self::Discharge,
        Self::Pathology,
        Self::Admission,
        Self::List,
        Self::Tiny,
        Self::Chunked,
        Self::Gzip,
        Self::ChunkedGzip,
        Self::OptOut,
        Self::Binary,
        Self::Report,
    ];

    /// The workflow id that mail of this kind has.
    pub fn workflow(self) -> &'static str {
        match self {
            Self::Discharge => "TOC_FHIR_IP_DISCH",
            Self::Pathology => "PATH_MEDRPT_V3",
            Self::Admission => "DEMO_HL7_ADT",
            Self::List | Self::Gzip | Self::ChunkedGzip => "DEMO_CSV_LIST",
            Self::Tiny => "DEMO_TINY",
            Self::Chunked => "DEMO_LARGE",
            Self::OptOut => "SPINE_NTT_UPHOLDING",
            Self::Binary => "DEMO_BINARY",
            Self::Report => "DEMO_SENT_EARLIER",
        }
    }
}

/// The mail of this kind and number.
pub fn sample(kind: Kind, number: u64) -> Result<Arc<Mail>, SimulatorError> {
    if kind == Kind::Report {
        let linked = format!("20260105093012{:06}_0A1B2C", number % 1_000_000);
        return Draft::undelivered(kind.workflow(), &linked).ready();
    }
    let (suffix, content_type, payload) = match kind {
        Kind::Discharge => ("json", "application/fhir+json", Payload::plain(discharge(number))),
        Kind::Pathology => ("edi", "application/edifact", Payload::plain(pathology(number))),
        Kind::Admission => ("hl7", "x-application/hl7-v2+er7", Payload::plain(admission(number))),
        Kind::List => ("csv", "text/csv", Payload::plain(list(number, 40))),
        Kind::Tiny => ("txt", "text/plain", Payload::plain("x")),
        Kind::Chunked => ("bin", "application/octet-stream", Payload::generated(number, 12_000_000, 5_000_000)?),
        Kind::Gzip => ("csv", "text/csv", Payload::gzip(list(number, 2000).as_bytes())?),
        Kind::ChunkedGzip => {
            let parts = [
                Part::gzip(list(number, 2000).as_bytes())?,
                Part::gzip(list(number.wrapping_add(1), 2000).as_bytes())?,
            ];
            ("csv", "text/csv", Payload::Fixed(parts.into()))
        }
        Kind::OptOut => ("dat", "text/plain", Payload::plain(opt_out(number))),
        Kind::Binary => ("bin", "application/octet-stream", Payload::generated(number, 40_000, 40_000)?),
        Kind::Report => ("", "", Payload::Nothing),
    };
    let draft = Draft {
        subject: Some(format!("Synthetic mail {number}")),
        local_id: Some(format!("synthetic-{number}")),
        file_name: Some(format!("synthetic-{number}.{suffix}")),
        content_type: Some(content_type.to_owned()),
        ..Draft::data("X26ABC9", kind.workflow(), payload)
    };
    draft.ready()
}

/// One of each kind in turn.
pub fn mixed(number: u64) -> Result<Arc<Mail>, SimulatorError> {
    sample(Kind::ALL[(number % Kind::ALL.len() as u64) as usize], number)
}

/// A synthetic NHS number: 999, six digits that follow from `number`, and a right check digit.
///
/// The check is modulus 11 over weights 10 to 2; a number whose check would be 10 does not exist.
pub fn nhs_number(number: u64) -> String {
    let mut digits = format!("999{:06}", number % 1_000_000);
    let mut bump = number;
    loop {
        let sum: u32 = digits.bytes().zip((2..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        match (11 - sum % 11) % 11 {
            10 => {
                bump = bump.wrapping_add(1);
                digits = format!("999{:06}", bump % 1_000_000);
            }
            check => return format!("{digits}{check}"),
        }
    }
}

fn family(number: u64) -> &'static str {
    const NAMES: [&str; 4] =
        ["XXTESTPATIENT-ALPHA", "XXTESTPATIENT-BRAVO", "XXTESTPATIENT-CHARLIE", "XXTESTPATIENT-DELTA"];
    NAMES[(mix(number) % NAMES.len() as u64) as usize]
}

fn discharge(number: u64) -> String {
    let (nhs_number, family) = (nhs_number(number), family(number));
    let letter = serde_json::json!({
        "resourceType": "Bundle",
        "type": "document",
        "identifier": { "value": format!("synthetic-{number}") },
        "entry": [
            { "resource": {
                "resourceType": "Composition",
                "status": "final",
                "title": "Discharge summary (synthetic)",
                "section": [{ "title": "Summary", "text": { "status": "generated",
                    "div": "<div>This letter is made up. Nobody was admitted, and nobody left.</div>" } }]
            } },
            { "resource": {
                "resourceType": "Patient",
                "identifier": [{ "system": "https://fhir.nhs.uk/Id/nhs-number", "value": nhs_number }],
                "name": [{ "family": family, "given": ["Synthetic"] }],
                "birthDate": "1900-01-01"
            } }
        ]
    });
    let header = serde_json::json!({
        "resourceType": "MessageHeader",
        "event": { "system": "https://fhir.nhs.uk/STU3/CodeSystem/ITK-MessageEvent-2", "code": "ITK003D" },
        "timestamp": "2026-01-05T09:30:12+00:00"
    });
    let entries = [header, letter].map(|resource| serde_json::json!({ "resource": resource }));
    serde_json::json!({ "resourceType": "Bundle", "type": "message", "entry": entries }).to_string()
}

fn pathology(number: u64) -> String {
    let (nhs_number, family, number) = (nhs_number(number), family(number), number % 100_000_000_000_000);
    format!(
        "UNB+UNOB:2+SYNTHLAB:22+SYNTHGP:22+260105:0930+{number:014}++MEDRPT'\
         UNH+1+MEDRPT:0:1:RT:NHS003'BGM+LSR'DTM+137:202601050930:203'\
         S01+01'PNA+PAT+{nhs_number}:OPI+++SU:{family}+FO:SYNTHETIC'DTM+329:19000101:102'\
         S06+06'FTX+RIT+++MADE UP RESULT, NO SPECIMEN WAS TAKEN'UNT+9+1'UNZ+1+{number:014}'"
    )
}

fn admission(number: u64) -> String {
    let (nhs_number, family) = (nhs_number(number), family(number));
    format!(
        "MSH|^~\\&|SYNTH|X26|DEMO|X26|20260105093012||ADT^A01|{number}|T|2.4\r\
         EVN|A01|20260105093012\r\
         PID|1||{nhs_number}^^^NHS^NH||{family}^SYNTHETIC||19000101|U\r\
         PV1|1|I|NOWARD^0^0\r"
    )
}

fn opt_out(number: u64) -> String {
    (0..40).map(|row| format!("{},\r\n", nhs_number(number.wrapping_mul(1000).wrapping_add(row)))).collect()
}

fn list(number: u64, rows: u64) -> String {
    let mut text = String::from("nhs_number,family_name,given_name,note\r\n");
    for row in 0..rows {
        let of = number.wrapping_mul(1000).wrapping_add(row);
        text.push_str(&format!("{},{},SYNTHETIC,\"row {row}, made up\"\r\n", nhs_number(of), family(of)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nhs_numbers_are_synthetic_and_have_a_right_check_digit() {
        for number in (0..2000).chain([999_999, u64::MAX / 2]) {
            let text = nhs_number(number);
            assert!(text.len() == 10 && text.starts_with("999"), "{text}");
            let digits: Vec<u32> = text.bytes().map(|digit| u32::from(digit - b'0')).collect();
            let sum: u32 = digits[..9].iter().zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
            assert_eq!((11 - sum % 11) % 11, digits[9], "{text}");
        }
    }

    #[test]
    fn every_kind_can_be_made_and_equal_numbers_give_equal_mail() {
        for kind in Kind::ALL {
            let (a, b) = (sample(kind, 7).expect("a sample"), sample(kind, 7).expect("a sample"));
            assert_eq!(a.sha256(), b.sha256(), "{kind:?}");
            assert_eq!(a.workflow, kind.workflow());
            let expected_chunks = match kind {
                Kind::Report => 0,
                Kind::Chunked => 3,
                Kind::ChunkedGzip => 2,
                Kind::Discharge | Kind::Pathology | Kind::Admission | Kind::List | Kind::Tiny | Kind::Gzip => 1,
                Kind::OptOut | Kind::Binary => 1,
            };
            assert_eq!(a.payload.chunks(), expected_chunks, "{kind:?}");
        }
    }
}
