//! The control file of a message that goes out (mesh-client-files 5 and 6), read as leniently as the senders of twenty
//! years need it, and no further: no document type, no entity of its own, 64 KiB, four levels.
//!
//! All that is wrong with one is told together. Errors name elements and never their text, which may be about a patient.

use quick_xml::events::{BytesRef, Event};
use quick_xml::reader::Reader;

use super::rules::Broken;
use crate::domain::control::Control;
use crate::domain::ids::{MailboxId, Sensitive, WorkflowId};

/// No control file is longer.
pub const LONGEST: usize = 64 * 1024;
/// `DTSControl`, `StatusRecord`, its members, and one for luck.
const DEEPEST: usize = 4;

/// The elements that mean something here, with other spellings that are met. All others are passed over.
const ELEMENTS: [(&str, Element); 16] = [
    ("Version", Element::Version),
    ("AddressType", Element::AddressType),
    ("MessageType", Element::MessageType),
    ("WorkflowId", Element::WorkflowId),
    ("To_DTS", Element::To),
    ("From_DTS", Element::From),
    ("Subject", Element::Subject),
    ("LocalId", Element::LocalId),
    ("PartnerId", Element::PartnerId),
    ("PartnerIdentifier", Element::PartnerId),
    ("DataChecksum", Element::DataChecksum),
    ("DataCheckSum", Element::DataChecksum),
    ("Compress", Element::Compress),
    ("Encrypted", Element::Encrypted),
    ("AllowChunking", Element::AllowChunking),
    ("IsCompressed", Element::IsCompressed),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Version,
    AddressType,
    MessageType,
    WorkflowId,
    To,
    From,
    Subject,
    LocalId,
    PartnerId,
    DataChecksum,
    Compress,
    Encrypted,
    AllowChunking,
    IsCompressed,
}

/// Whether a control file comes to its end: one that does not may still be on its way.
pub fn is_closed(bytes: &[u8]) -> bool {
    // Longer than it may be is as wrong as it will get.
    let Ok(text) = decode(bytes) else { return bytes.len() > LONGEST };
    let last = text.trim_end().rsplit_once('<').map_or("", |(_, last)| last);
    let name = last.trim_start_matches('/').trim_end_matches(['>', '/']).trim();
    last.ends_with('>') && (name == "DTSControl" || name.ends_with(":DTSControl"))
}

/// Reads a control file, or says everything that is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Control, Vec<Broken>> {
    let text = decode(bytes).map_err(|problem| vec![broken("control file", problem)])?;
    let said = elements(&text).map_err(|problem| vec![broken("control file", problem)])?;
    said.control()
}

/// What a control file says as far as it reads, whatever is wrong with that: for whoever looks for the report.
pub fn said(bytes: &[u8], mailbox: &MailboxId) -> Option<Control> {
    let said = elements(&decode(bytes).ok()?).ok()?;
    let workflow = said.of(Element::WorkflowId).and_then(|text| WorkflowId::new(text).ok());
    let is_no = |element| said.of(element).is_some_and(|text| text.eq_ignore_ascii_case("n"));
    Some(Control {
        from: mailbox.clone(),
        to: said.text(Element::To).unwrap_or_else(|| Sensitive::new("")),
        workflow: workflow.or_else(|| WorkflowId::new("").ok())?,
        subject: said.text(Element::Subject),
        local_id: said.text(Element::LocalId),
        partner_id: said.text(Element::PartnerId),
        checksum: said.text(Element::DataChecksum),
        compress: !is_no(Element::Compress),
        encrypted: said.of(Element::Encrypted).is_some_and(|text| text.eq_ignore_ascii_case("y")),
        allow_chunking: !is_no(Element::AllowChunking),
    })
}

/// Every element that says something, known or not, by its path such as `StatusRecord/Event`: for whoever compares two.
pub fn texts(bytes: &[u8]) -> Result<Vec<(String, Sensitive)>, &'static str> {
    let said = paths(&decode(bytes)?)?.into_iter().filter(|(_, text)| !text.is_empty());
    Ok(said.map(|(path, text)| (path, Sensitive::new(text))).collect())
}

fn broken(header: &'static str, problem: &str) -> Broken {
    Broken { header, problem: problem.to_owned(), code: None }
}

/// UTF-8, with a mark or without; UTF-16 with its mark; and what Windows editors wrote before either.
fn decode(bytes: &[u8]) -> Result<String, &'static str> {
    if bytes.len() > LONGEST {
        return Err("it is longer than 64 KiB");
    }
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).map_err(|_| "it is no UTF-16, as its first bytes say")
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).map(str::to_owned).map_err(|_| "it is no UTF-8"),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        other => Ok(std::str::from_utf8(other).map_or_else(|_| of_windows(other), str::to_owned)),
    }
}

/// Windows-1252: Latin 1, but for 32 places. Five of them are empty.
fn of_windows(bytes: &[u8]) -> String {
    const PLACES: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let char_of = |byte: &u8| match byte {
        0x80..=0x9f => PLACES[usize::from(byte - 0x80)],
        other => char::from(*other),
    };
    bytes.iter().map(char_of).collect()
}

/// What the elements said, trimmed; an empty one says nothing. Of several of a name the last counts.
#[derive(Debug, Default)]
struct Said(Vec<(Element, String)>);

fn elements(text: &str) -> Result<Said, &'static str> {
    let known = |name: &str| ELEMENTS.iter().find(|(known, _)| *known == name).map(|(_, element)| *element);
    let said = paths(text)?.into_iter().filter_map(|(path, text)| Some((known(&path)?, text)));
    Ok(Said(said.collect()))
}

/// Every element below the root in the order they end, by its path such as `StatusRecord/Event`, with its own text.
fn paths(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    const BROKEN: &str = "it is no well-formed XML, or is cut off";
    let mut reader = Reader::from_str(text);
    let (mut open, mut said, mut is_whole) = (Vec::<(String, String)>::new(), Vec::new(), false);
    loop {
        match reader.read_event().map_err(|_| BROKEN)? {
            Event::Start(start) => {
                let name = start.local_name().into_inner().trim_end().to_owned();
                match open.len() {
                    0 if is_whole || name != "DTSControl" => return Err("its one root element is not DTSControl"),
                    depth if depth >= DEEPEST => return Err("it has more than four levels"),
                    _ => open.push((name, String::new())),
                }
            }
            Event::Empty(empty) if open.is_empty() => {
                let is_root = !is_whole && empty.local_name().into_inner().trim_end() == "DTSControl";
                if !is_root {
                    return Err("its one root element is not DTSControl");
                }
                is_whole = true;
            }
            Event::End(_) => {
                let Some((name, text)) = open.pop() else { return Err(BROKEN) };
                is_whole |= open.is_empty();
                if !open.is_empty() {
                    let above = open[1..].iter().map(|(name, _)| name.as_str());
                    let path: Vec<&str> = above.chain([name.as_str()]).collect();
                    said.push((path.join("/"), text.trim().to_owned()));
                }
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()),
            Event::CData(text) => add(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                add(&mut open, character(&reference).ok_or("it has an entity of its own")?.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err("it has a document type declaration, which none may have"),
            Event::Eof if is_whole && open.is_empty() => return Ok(said),
            Event::Eof => return Err(BROKEN),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn add(open: &mut [(String, String)], text: &str) {
    if let Some((_, so_far)) = open.last_mut() {
        so_far.push_str(text);
    }
}

/// One of the five that XML knows, or a character by its number.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

impl Said {
    fn of(&self, element: Element) -> Option<&str> {
        let found = self.0.iter().rev().find(|(said, _)| *said == element);
        found.map(|(_, text)| text.as_str()).filter(|text| !text.is_empty())
    }

    fn text(&self, element: Element) -> Option<Sensitive> {
        self.of(element).map(Sensitive::new)
    }

    fn control(&self) -> Result<Control, Vec<Broken>> {
        let mut found = Vec::new();
        let mut say = |element, problem, code| found.push(Broken { code, ..broken(element, problem) });
        // A version of the document's own is met: `1`, `2` (mesh-client-files 6).
        let is_version = |text: &str| text.split('.').count() <= 2 && text.split('.').all(is_number);
        if !self.of(Element::Version).is_some_and(is_version) {
            say("Version", "expected 1.0", Some("09"));
        }
        let is_one = |element, words: &[&str]| {
            self.of(element).is_some_and(|text| words.iter().any(|word| word.eq_ignore_ascii_case(text)))
        };
        if !is_one(Element::AddressType, &["DTS", "ALL"]) {
            say("AddressType", "expected DTS, or ALL", Some("10"));
        }
        if !is_one(Element::MessageType, &["Data"]) {
            say("MessageType", "expected Data: nobody else sends reports", Some("11"));
        }
        let mut flag = |element, name, default| match self.of(element) {
            None => default,
            Some(text) if text.eq_ignore_ascii_case("y") => true,
            Some(text) if text.eq_ignore_ascii_case("n") => false,
            Some(_) => {
                say(name, "expected Y or N", None);
                default
            }
        };
        let compress = flag(Element::Compress, "Compress", true);
        let encrypted = flag(Element::Encrypted, "Encrypted", false);
        let allow_chunking = flag(Element::AllowChunking, "AllowChunking", true);
        flag(Element::IsCompressed, "IsCompressed", false);
        let workflow = self.of(Element::WorkflowId).and_then(|text| WorkflowId::new(text).ok());
        if workflow.is_none() {
            say("WorkflowId", "expected 1 to 300 printable ASCII characters", None);
        }
        let from = self.of(Element::From).and_then(|text| MailboxId::new(text.to_ascii_uppercase()).ok());
        if from.is_none() {
            say("From_DTS", "expected the mailbox that sends", Some("07"));
        }
        let to = self.text(Element::To);
        if to.is_none() {
            say("To_DTS", "expected who is to have it", Some("08"));
        }
        match (from, to, workflow, found.is_empty()) {
            (Some(from), Some(to), Some(workflow), true) => Ok(Control {
                from,
                to,
                workflow,
                subject: self.text(Element::Subject),
                local_id: self.text(Element::LocalId),
                partner_id: self.text(Element::PartnerId),
                checksum: self.text(Element::DataChecksum),
                compress,
                encrypted,
                allow_chunking,
            }),
            _ => Err(found),
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
