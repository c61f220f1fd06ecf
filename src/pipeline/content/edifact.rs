//! EDIFACT: the type of the first message in the interchange, and its association's code; and whose interchange it is.
//!
//! ```text
//! UNA:+.? '                                  optional: component, element, decimal, release, reserved, terminator
//! UNB+UNOC:3+sender+recipient+260105:0930+42+…'
//!                                        └ interchange control reference (data element 0020)
//! UNH+1+MEDRPT:0:1:RT:NHS003'
//!       └ type         └ association
//! ```
//!
//! An interchange can hold many messages (itk3 8); the first stands for all of them.

use super::{Content, Format, Interchange, word};

/// More segments do not stand before the first message: `UNB`, perhaps `UNG`.
const MOST_HEADERS: usize = 3;

/// Characters of an interchange control reference at most (ISO 9735, data element 0020: an..14).
const LONGEST_REFERENCE: usize = 14;

#[derive(Clone, Copy)]
struct Separators {
    component: u8,
    element: u8,
    release: u8,
    terminator: u8,
}

impl Separators {
    /// As `UNA` declares them, or the usual; and what follows. None if `UNA` is cut.
    fn of(text: &[u8]) -> Option<(Self, &[u8])> {
        let Some(declared) = text.strip_prefix(b"UNA") else {
            return Some((Self { component: b':', element: b'+', release: b'?', terminator: b'\'' }, text));
        };
        let [component, element, _, release, _, terminator, rest @ ..] = declared else { return None };
        let [component, element, release, terminator] = [*component, *element, *release, *terminator];
        Some((Self { component, element, release, terminator }, rest))
    }
}

/// What a text that begins with `U` is.
pub(super) fn recognise(text: &[u8]) -> Option<Content> {
    let (separators, mut rest) = Separators::of(text)?;
    let mut is_interchange = false;
    let mut interchange = None;
    for _ in 0..MOST_HEADERS {
        let (segment, after) = segment(rest.trim_ascii_start(), separators)?;
        match segment.get(..3)? {
            b"UNB" => {
                is_interchange = true;
                interchange = numbered(segment, separators);
            }
            b"UNH" if is_interchange => return Some(Content { interchange, ..message(segment, separators) }),
            _ => {}
        }
        if !is_interchange {
            return None;
        }
        rest = after;
        if rest.trim_ascii_start().is_empty() {
            break;
        }
    }
    Some(Content { interchange, ..Content::new(Format::Edifact, None, None) })
}

/// Tells the NHS numbers of patients in all messages: `PNA+PAT+number:OPI`.
pub(super) fn numbers(text: &[u8], tell: &mut dyn FnMut(&str)) {
    let Some((separators, mut rest)) = Separators::of(text) else { return };
    while let Some((segment, after)) = segment(rest.trim_ascii_start(), separators) {
        if let [b"PNA", b"PAT", identifier, ..] = elements(segment, separators).as_slice() {
            let mut components = identifier.split(|byte| *byte == separators.component);
            if let (Some(number), Some(b"OPI")) = (components.next(), components.next()) {
                tell(&String::from_utf8_lossy(number));
            }
        }
        rest = after;
    }
}

/// Up to the terminator, and what stands after it. A released character ends nothing.
fn segment(text: &[u8], separators: Separators) -> Option<(&[u8], &[u8])> {
    let mut is_released = false;
    for (at, byte) in text.iter().enumerate() {
        if is_released {
            is_released = false;
        } else if *byte == separators.release {
            is_released = true;
        } else if *byte == separators.terminator {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

/// `UNH`: its second element is type, version, release, agency, association.
fn message(segment: &[u8], separators: Separators) -> Content {
    let identifier = segment.split(|byte| *byte == separators.element).nth(2).unwrap_or_default();
    let mut components = identifier.split(|byte| *byte == separators.component);
    let text = |bytes: Option<&[u8]>| bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(word);
    let kind = text(components.next());
    let association = text(components.nth(3));
    Content::new(Format::Edifact, kind, association)
}

/// `UNB`: sender, recipient and control reference; none if that is no number.
fn numbered(segment: &[u8], separators: Separators) -> Option<Interchange> {
    let elements = elements(segment, separators);
    let [_, _, sender, recipient, _, reference, ..] = elements.as_slice() else { return None };
    let is_number = (1..=LONGEST_REFERENCE).contains(&reference.len()) && reference.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(reference).ok().filter(|_| is_number)?.parse().ok()?;
    // No element holds the separator that stands between them, unless released.
    let parties = [*sender, *recipient].map(String::from_utf8_lossy).join(&char::from(separators.element).to_string());
    Some(Interchange { parties, number })
}

/// The elements of a segment, the first of which is its tag. A released separator is part of an element.
fn elements(segment: &[u8], separators: Separators) -> Vec<&[u8]> {
    let mut elements = Vec::new();
    let (mut start, mut is_released) = (0, false);
    for (at, byte) in segment.iter().enumerate() {
        if is_released {
            is_released = false;
        } else if *byte == separators.release {
            is_released = true;
        } else if *byte == separators.element {
            elements.push(&segment[start..at]);
            start = at + 1;
        }
    }
    elements.push(&segment[start..]);
    elements
}
