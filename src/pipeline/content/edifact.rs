//! EDIFACT: the type of the first message in the interchange, and its association's code.
//!
//! ```text
//! UNA:+.? '                                  optional: component, element, decimal, release, reserved, terminator
//! UNB+UNOC:3+sender+recipient+…'
//! UNH+1+MEDRPT:0:1:RT:NHS003'
//!       └ type         └ association
//! ```
//!
//! An interchange can hold many messages (itk3 8); the first stands for all of them.

use super::{Content, Format, word};

/// More segments do not stand before the first message: `UNB`, perhaps `UNG`.
const MOST_HEADERS: usize = 3;

#[derive(Clone, Copy)]
struct Separators {
    component: u8,
    element: u8,
    release: u8,
    terminator: u8,
}

/// What a text that begins with `U` is.
pub(super) fn recognise(text: &[u8]) -> Option<Content> {
    let (separators, mut rest) = match text.strip_prefix(b"UNA") {
        Some(declared) => {
            let [component, element, _, release, _, terminator, rest @ ..] = declared else { return None };
            let [component, element, release, terminator] = [*component, *element, *release, *terminator];
            (Separators { component, element, release, terminator }, rest)
        }
        None => (Separators { component: b':', element: b'+', release: b'?', terminator: b'\'' }, text),
    };
    let mut is_interchange = false;
    for _ in 0..MOST_HEADERS {
        let (segment, after) = segment(rest.trim_ascii_start(), separators)?;
        match segment.get(..3)? {
            b"UNB" => is_interchange = true,
            b"UNH" if is_interchange => return Some(message(segment, separators)),
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
    Some(Content::new(Format::Edifact, None, None))
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
