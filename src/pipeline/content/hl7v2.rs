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
    // Lines are ended by CR; files that went through an editor have LF.
    let mut segments = text.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|segment| !segment.is_empty());
    let header = segments.find(|segment| !segment.starts_with(b"FHS") && !segment.starts_with(b"BHS"))?;
    let header = header.strip_prefix(b"MSH")?;
    let (separator, component) = (*header.first()?, *header.get(1)?);
    if [separator, component].iter().any(|byte| !byte.is_ascii_punctuation()) || separator == component {
        return None;
    }
    // The separator itself counts as field 1, so field 2 is the first that it ends.
    let fields = header[1..].split(|byte| *byte == separator);
    let mut components =
        fields.skip(7).map(|field| field.split(|byte| *byte == component)).next().into_iter().flatten();
    let kind = components.next().and_then(code);
    let event = components.next().and_then(code);
    Some(Content::new(Format::Hl7v2, kind, event))
}

fn code(bytes: &[u8]) -> Option<String> {
    let is_code = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_alphanumeric);
    is_code.then(|| bytes.iter().map(|byte| char::from(*byte)).collect())
}
