//! HL7 version 2 in its own encoding: field 9 of the first `MSH`, with the separators that this segment declares.
//!
//! ```text
//! MSH|^~\&|app|facility|app|facility|time||ADT^A01^ADT_A01|…
//!    └ the field separator, then the component separator
//! ```
//!
//! Before it may stand the headers of a file and of a batch, `FHS` and `BHS`. MLLP's start byte (0x0b) is white space,
//! which is passed over in front of every format.

use super::{Content, Format};

/// Message types and events have three characters; locally defined ones a few more.
const LONGEST: usize = 8;

/// What a text that may be HL7 version 2 is.
pub(super) fn recognise(text: &[u8]) -> Option<Content> {
    let header = header(text)?;
    let separators = Separators::of(header)?;
    // The separator itself counts as field 1, so field 2 is the first that it ends.
    let kind = field(header, 9 - 1, separators.field).unwrap_or_default();
    let mut components = kind.split(|byte| *byte == separators.component);
    let kind = components.next().and_then(code);
    let event = components.next().and_then(code);
    Some(Content::new(Format::Hl7v2, kind, event))
}

/// Tells the NHS numbers in the identifier lists of patients, `PID-3`: `number^check^scheme^NHS^NH`, between `~`.
pub(super) fn numbers(text: &str, tell: &mut dyn FnMut(&str)) {
    let Some(Separators { field: separator, component, repetition }) = header(text.as_bytes()).and_then(Separators::of)
    else {
        return;
    };
    for patient in segments(text.as_bytes()).filter(|segment| segment.starts_with(&[b'P', b'I', b'D', separator])) {
        let identifiers = field(patient, 3, separator).unwrap_or_default().split(|byte| *byte == repetition);
        for identifier in identifiers {
            let parts: Vec<&[u8]> = identifier.split(|byte| *byte == component).collect();
            let part = |at: usize| parts.get(at).copied().unwrap_or_default();
            // The authority may go on with its id, as a subcomponent.
            let is_number = matches!(part(3), [b'N', b'H', b'S'] | [b'N', b'H', b'S', b'&', ..]) || part(4) == b"NH";
            if is_number {
                tell(&String::from_utf8_lossy(part(0)));
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Separators {
    field: u8,
    component: u8,
    repetition: u8,
}

impl Separators {
    /// As this `MSH` declares them.
    fn of(header: &[u8]) -> Option<Self> {
        let (field, component) = (*header.get(3)?, *header.get(4)?);
        let is_odd = [field, component].iter().any(|byte| !byte.is_ascii_punctuation()) || field == component;
        // Only `~` has ever been seen; one that is left out repeats nothing.
        let repetition = header.get(5).copied().unwrap_or(b'~');
        (!is_odd).then_some(Self { field, component, repetition })
    }
}

/// Lines are ended by CR; files that went through an editor have LF.
fn segments(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|segment| !segment.is_empty())
}

/// The first segment behind the headers of a file and of a batch, if it is `MSH`.
fn header(text: &[u8]) -> Option<&[u8]> {
    let mut segments = segments(text);
    let header = segments.find(|segment| !segment.starts_with(b"FHS") && !segment.starts_with(b"BHS"))?;
    header.starts_with(b"MSH").then_some(header)
}

/// What stands behind so many separators.
fn field(segment: &[u8], place: usize, separator: u8) -> Option<&[u8]> {
    segment.split(|byte| *byte == separator).nth(place)
}

fn code(bytes: &[u8]) -> Option<String> {
    let is_code = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_alphanumeric);
    is_code.then(|| bytes.iter().map(|byte| char::from(*byte)).collect())
}
