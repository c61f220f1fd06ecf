//! The families that come as XML: FHIR, ITK 2 with or without SOAP, and CDA. Told apart by namespace and local name.
//!
//! A document type declaration makes the whole unknown (itk3 7), as does a depth beyond [`DEEPEST`].
//! Where the text ends or is not well formed, what was met before counts.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::fhir::{Seen, Word};
use super::{Content, Format};

/// As deep as any of these messages goes, and more (itk3 6).
pub(super) const DEEPEST: usize = 64;

/// What a text that begins with `<` is.
pub(super) fn recognise(text: &str) -> Option<Content> {
    let mut reader = NsReader::from_str(text);
    let mut walk = Walk::default();
    loop {
        match reader.read_resolved_event() {
            Ok((namespace, Event::Start(element))) => {
                let family = family(&namespace);
                walk.enter(family, &element)?;
            }
            Ok((namespace, Event::Empty(element))) => {
                let family = family(&namespace);
                walk.enter(family, &element)?;
                walk.leave();
            }
            Ok((_, Event::End(_))) => walk.leave(),
            Ok((_, Event::DocType(_))) => return None,
            Ok((_, Event::Eof)) | Err(_) => return walk.content(),
            Ok((
                _,
                Event::Text(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::GeneralRef(_),
            )) => {}
        }
    }
}

/// A letter for each namespace that says something, so that a path can be compared as one text.
fn family(namespace: &ResolveResult<'_>) -> char {
    let ResolveResult::Bound(Namespace(namespace)) = namespace else { return '-' };
    match *namespace {
        "http://hl7.org/fhir" => 'f',
        "urn:nhs-itk:ns:201005" => 'i',
        "urn:hl7-org:v3" => 'c',
        "http://schemas.xmlsoap.org/soap/envelope/" | "http://www.w3.org/2003/05/soap-envelope" => 's',
        _ => '-',
    }
}

#[derive(Default)]
struct Walk {
    /// Such as `/f:Bundle/f:type`.
    path: String,
    /// Length of the path before each open element.
    lengths: Vec<usize>,
    format: Option<Format>,
    fhir: Seen,
    kind: Word,
}

impl Walk {
    /// Notes an element; `None` if it lies too deep.
    fn enter(&mut self, family: char, element: &BytesStart<'_>) -> Option<()> {
        if self.lengths.len() == DEEPEST {
            return None;
        }
        let name = element.local_name();
        let name = name.into_inner();
        self.lengths.push(self.path.len());
        self.path.push('/');
        self.path.push(family);
        self.path.push(':');
        self.path.push_str(name);
        let is_root = self.lengths.len() == 1;
        match self.path.as_str() {
            "/f:Bundle/f:type" => set(&mut self.fhir.bundle, element, "value"),
            "/f:Bundle/f:entry/f:resource/f:MessageHeader/f:event/f:system"
            | "/f:Bundle/f:entry/f:resource/f:MessageHeader/f:eventCoding/f:system" => {
                set(&mut self.fhir.entry.system, element, "value");
            }
            "/f:Bundle/f:entry/f:resource/f:MessageHeader/f:event/f:code"
            | "/f:Bundle/f:entry/f:resource/f:MessageHeader/f:eventCoding/f:code"
            | "/f:Bundle/f:entry/f:resource/f:MessageHeader/f:eventUri" => {
                set(&mut self.fhir.entry.code, element, "value");
            }
            "/c:ClinicalDocument" => self.format = Some(Format::Cda),
            "/c:ClinicalDocument/c:code" => set(&mut self.kind, element, "code"),
            "/i:DistributionEnvelope" | "/s:Envelope/s:Body/i:DistributionEnvelope" => self.format = Some(Format::Itk2),
            "/i:DistributionEnvelope/i:header" | "/s:Envelope/s:Body/i:DistributionEnvelope/i:header" => {
                set(&mut self.kind, element, "service");
            }
            path if is_root && path.starts_with("/f:") => {
                self.format = Some(Format::FhirXml);
                self.fhir.resource.set(name);
            }
            path if self.lengths.len() == 4 && path.starts_with("/f:Bundle/f:entry/f:resource/f:") => {
                self.fhir.end_entry();
                self.fhir.entry.resource.set(name);
            }
            _ => {}
        }
        Some(())
    }

    fn leave(&mut self) {
        self.path.truncate(self.lengths.pop().unwrap_or_default());
    }

    fn content(self) -> Option<Content> {
        match self.format? {
            format @ (Format::FhirXml | Format::FhirJson) => self.fhir.content(format),
            format @ (Format::Itk2 | Format::Cda | Format::Hl7v2 | Format::Edifact | Format::NhsNumbers) => {
                Some(Content::new(format, self.kind.one(), None))
            }
        }
    }
}

/// Takes an attribute's value. An element without it says nothing; one that does not read, or repeats an attribute, is
/// unclear.
fn set(place: &mut Word, element: &BytesStart<'_>, name: &str) {
    for attribute in element.attributes() {
        let Ok(attribute) = attribute else {
            *place = Word::Unclear;
            return;
        };
        if attribute.key.as_ref() == name {
            match attribute.normalized_value(XmlVersion::Implicit1_0) {
                Ok(value) => place.set(&value),
                Err(_) => *place = Word::Unclear,
            }
        }
    }
}
