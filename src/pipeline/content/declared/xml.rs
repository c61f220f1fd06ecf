//! The families that come as XML. FHIR has the number in two children of one element, CDA in two attributes.
//!
//! Where the text ends, is not well formed, goes too deep or has entities of its own, what was met before counts.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::{OID, SYSTEMS};
use crate::pipeline::content::xml::DEEPEST;

/// What the children of an open element said.
#[derive(Default)]
struct Identifier {
    is_number: bool,
    value: Option<String>,
}

/// Tells every number that is declared.
pub(super) fn numbers(text: &str, tell: &mut dyn FnMut(&str)) {
    let mut reader = Reader::from_str(text);
    let mut open = Vec::new();
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(element) if open.len() < DEEPEST => {
                look_at(&element, open.last_mut(), tell);
                open.push(Identifier::default());
            }
            Event::Empty(element) => look_at(&element, open.last_mut(), tell),
            Event::End(_) => drop(open.pop()),
            Event::Start(_) | Event::DocType(_) | Event::Eof => return,
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

fn look_at(element: &BytesStart<'_>, parent: Option<&mut Identifier>, tell: &mut dyn FnMut(&str)) {
    if attribute(element, "root").is_some_and(|root| root == OID)
        && let Some(number) = attribute(element, "extension")
    {
        tell(&number);
    }
    let Some(parent) = parent else { return };
    match element.local_name().into_inner() {
        "system" => {
            parent.is_number = attribute(element, "value").is_some_and(|system| SYSTEMS.contains(&system.as_str()));
        }
        "value" => parent.value = attribute(element, "value"),
        _ => return,
    }
    if parent.is_number
        && let Some(number) = parent.value.take()
    {
        tell(&number);
    }
}

/// An attribute's value, if it reads.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.attributes().flatten().find(|attribute| attribute.key.as_ref() == name)?;
    attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(String::from)
}
