//! What a payload is, by its first bytes: a closed set of formats, and of each the words that routes ask about.
//!
//! | Format | Starts as | `type` | `event` |
//! |---|---|---|---|
//! | `fhir-json`, `fhir-xml` | an object with `resourceType`; a root in FHIR's namespace | of a bundle its type, else the resource's | of a message bundle the code of its header's event |
//! | `itk3` | one of the two, whose event is of the ITK3 code system (itk3 1) | as above: `message` | such as `ITK003D` |
//! | `itk2` | a distribution envelope, perhaps in SOAP (itk3 8) | its service | – |
//! | `cda` | a clinical document (itk3 8) | the document's code | – |
//! | `hl7v2` | `MSH`, perhaps behind MLLP's byte or batch headers | such as `ADT` | such as `A01` |
//! | `edifact` | `UNA` or `UNB` (itk3 8) | such as `MEDRPT` | the association's code, such as `NHS003` |
//! | `nhs-numbers` | lines of ten digits, perhaps with a comma (national-data-opt-out 5) | – | – |
//!
//! It looks at [`PREFIX`] bytes at most. What does not stand there, is ambiguous, or is not well formed so far is not
//! known: that is never an error, since a payload that we do not understand is not our business to refuse.
//! Only words of operators are printed; words of a payload are compared and dropped (I8).

pub(super) mod declared;
mod edifact;
mod fhir;
mod hl7v2;
mod json;
mod numbers;
pub(super) mod wanted;
mod xml;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub(super) use wanted::Wanted;

/// All of a payload that is looked at, bytes. A bundle's header stands in its first entry or two.
pub(super) const PREFIX: usize = 64 * 1024;

/// No word that routes ask about is longer: the longest are URNs of services.
const LONGEST_WORD: usize = 128;

/// What a payload was recognised as.
pub(super) struct Content {
    format: Format,
    /// FHIR, and an ITK3 message.
    is_itk3: bool,
    kind: Option<String>,
    event: Option<String>,
    interchange: Option<Interchange>,
}

/// What the header of an EDIFACT interchange with a number says.
pub(super) struct Interchange {
    /// Its sender and recipient, as text that nobody is told (I8).
    pub(super) parties: String,
    /// Its control reference.
    pub(super) number: u64,
}

/// A format by itself; ITK3 is FHIR with more to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    FhirJson,
    FhirXml,
    Itk2,
    Cda,
    Hl7v2,
    Edifact,
    NhsNumbers,
}

impl Format {
    /// The word in rules, logs and the journal.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::FhirJson => "fhir-json",
            Self::FhirXml => "fhir-xml",
            Self::Itk2 => "itk2",
            Self::Cda => "cda",
            Self::Hl7v2 => "hl7v2",
            Self::Edifact => "edifact",
            Self::NhsNumbers => "nhs-numbers",
        }
    }
}

impl Content {
    /// A recognised format with its words.
    fn new(format: Format, kind: Option<String>, event: Option<String>) -> Self {
        Self { format, is_itk3: false, kind, event, interchange: None }
    }

    /// Its interchange, if it has one with a number.
    pub(super) fn interchange(&self) -> Option<&Interchange> {
        self.interchange.as_ref()
    }

    /// Its format.
    pub(super) fn format(&self) -> Format {
        self.format
    }
}

/// What a payload with this prefix is, if it is known.
pub(super) fn recognise(prefix: &[u8]) -> Option<Content> {
    let prefix = &prefix[..prefix.len().min(PREFIX)];
    let text = text_of(prefix);
    let start = text.trim_start();
    match start.as_bytes().first()? {
        b'{' => json::recognise(start),
        b'<' => xml::recognise(start),
        b'U' => edifact::recognise(start.as_bytes()),
        b'0'..=b'9' => numbers::recognise(start, prefix.len() == PREFIX),
        _ => hl7v2::recognise(start.as_bytes()),
    }
}

/// The text, by its byte order mark or as UTF-8. Whatever is neither becomes a character that no word has.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    let wide = |rest: &[u8], read: fn([u8; 2]) -> u16| {
        let units = rest.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        [0xff, 0xfe, rest @ ..] => Cow::Owned(wide(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(wide(rest, u16::from_be_bytes)),
        bytes => String::from_utf8_lossy(bytes),
    }
}

/// A word that a route could ask about.
fn word(text: &str) -> Option<String> {
    let is_word = (1..=LONGEST_WORD).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.to_owned())
}
