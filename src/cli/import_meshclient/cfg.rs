//! `meshclient.cfg` as it is written: elements with their lines (mesh-client-files 9).
//!
//! No document type, no entity of its own, 1 MiB, eight levels; UTF-8, since the client itself starts on nothing else.
//! Order does not matter, and what is not known is kept by its name. A mistake is told with file, line and element, and
//! never with text, which may be a password.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use quick_xml::reader::Reader;
use zeroize::Zeroizing;

use super::super::Failure;
use crate::domain::finding::Finding;

/// No configuration of a client is longer.
const LONGEST: usize = 1 << 20;
/// `MESHConfig`, `Client`, its elements, and some for what is not known.
const DEEPEST: usize = 8;
const ROOT: &str = "MESHConfig";
const CLIENT: &str = "Client";

/// A whole file.
pub(super) struct Cfg {
    /// Where it lies.
    pub(super) file: PathBuf,
    /// What stands for all mailboxes.
    pub(super) global: Table,
    /// One for each mailbox.
    pub(super) clients: Vec<Table>,
}

/// The elements of one level.
pub(super) struct Table {
    /// Where it begins.
    pub(super) line: usize,
    elements: Vec<Element>,
}

/// An element, and the text in it.
pub(super) struct Element {
    pub(super) name: String,
    pub(super) line: usize,
    /// Without the blanks around it; any may be a secret.
    pub(super) text: Zeroizing<String>,
}

/// What is wrong, where, and what with.
struct Broken {
    line: usize,
    element: String,
    problem: &'static str,
}

impl Cfg {
    /// Reads the file, or says what is wrong with it.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let named = || path.display().to_string();
        let file = File::open(path).with_context(named)?;
        let found = file.metadata().with_context(named)?;
        if !found.is_file() {
            return Err(anyhow!("{}: it is no regular file", named()).into());
        }
        // Room for all of it at once, so that no reallocation leaves a copy of passwords behind.
        let room = usize::try_from(found.len()).map_or(LONGEST, |length| length.min(LONGEST)) + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        // One more than it may have, which says that it has more.
        file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).with_context(named)?;
        Self::of(path, &bytes).map_err(|Broken { line, element, problem }| {
            Failure::Configuration(vec![mistake(path, line, &element, problem, "")])
        })
    }

    fn of(path: &Path, bytes: &[u8]) -> Result<Self, Broken> {
        let whole = |problem| Broken { line: 1, element: String::new(), problem };
        if bytes.len() > LONGEST {
            return Err(whole("it is longer than 1 MiB"));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|error| Broken {
            line: Lines::new(bytes).at(error.valid_up_to()),
            ..whole("it is not UTF-8 here; save a copy as UTF-8, and import that")
        })?;
        let (global, clients) = tables(text)?;
        Ok(Self { file: path.to_owned(), global, clients })
    }
}

impl Table {
    /// Takes an element out; one without text says nothing.
    pub(super) fn take(&mut self, name: &str) -> Option<Element> {
        let at = self.elements.iter().position(|element| element.name == name)?;
        Some(self.elements.remove(at)).filter(|element| !element.text.is_empty())
    }

    /// The names of those that nobody took.
    pub(super) fn into_rest(self) -> Vec<String> {
        self.elements.into_iter().map(|element| element.name).collect()
    }

    fn add(&mut self, element: Element) -> Result<(), Broken> {
        if self.elements.iter().any(|known| known.name == element.name) {
            let problem = "it stands there a second time, and nobody says which counts";
            return Err(Broken { line: element.line, element: element.name, problem });
        }
        self.elements.push(element);
        Ok(())
    }
}

/// A mistake in such a file.
pub(super) fn mistake(file: &Path, line: usize, element: &str, problem: &str, expected: &str) -> Finding {
    Finding {
        file: file.to_owned(),
        line: Some(line),
        key: element.to_owned(),
        problem: problem.to_owned(),
        expected: expected.to_owned(),
        did_you_mean: None,
    }
}

/// Counts lines, once for all positions that come one after another.
struct Lines<'a> {
    bytes: &'a [u8],
    position: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, line: 1 }
    }

    /// The line of a position that is not before the last one.
    fn at(&mut self, position: usize) -> usize {
        let position = position.clamp(self.position, self.bytes.len());
        let between = &self.bytes[self.position..position];
        self.line += between.iter().filter(|byte| **byte == b'\n').count();
        self.position = position;
        self.line
    }
}

fn tables(text: &str) -> Result<(Table, Vec<Table>), Broken> {
    let mut reader = Reader::from_str(text);
    let mut lines = Lines::new(text.as_bytes());
    let mut open: Vec<Element> = Vec::new();
    let mut global = Table { line: 1, elements: Vec::new() };
    let (mut clients, mut is_whole) = (Vec::<Table>::new(), false);
    loop {
        let line = lines.at(usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX));
        let event = reader.read_event();
        let broken = |problem| {
            let element = open.last().map(|element| element.name.clone()).unwrap_or_default();
            Broken { line, element, problem }
        };
        let event = event.map_err(|_| broken("it is no well-formed XML"))?;
        match event {
            Event::Start(start) => {
                let name = start.local_name().into_inner().to_owned();
                check_place(&open, &name, is_whole).map_err(broken)?;
                if is_client(&open, &name) {
                    clients.push(Table { line, elements: Vec::new() });
                }
                open.push(Element { name, line, text: Zeroizing::default() });
            }
            Event::Empty(empty) => {
                let name = empty.local_name().into_inner().to_owned();
                check_place(&open, &name, is_whole).map_err(broken)?;
                if is_client(&open, &name) {
                    clients.push(Table { line, elements: Vec::new() });
                }
                is_whole |= open.is_empty();
                keep(&open, Element { name, line, text: Zeroizing::default() }, &mut global, &mut clients)?;
            }
            Event::End(_) => {
                let Some(mut element) = open.pop() else {
                    return Err(Broken { line, element: String::new(), problem: "it is no well-formed XML" });
                };
                is_whole |= open.is_empty();
                element.text = Zeroizing::new(element.text.trim().to_owned());
                keep(&open, element, &mut global, &mut clients)?;
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()),
            Event::CData(text) => add(&mut open, &text.xml10_content()),
            Event::GeneralRef(reference) => {
                let known = resolved(&reference).ok_or_else(|| broken("it has an entity of its own"))?;
                add(&mut open, &known);
            }
            Event::DocType(_) => return Err(broken("it has a document type declaration, which none may have")),
            Event::Eof if is_whole && open.is_empty() => return Ok((global, clients)),
            Event::Eof => return Err(broken("it is cut off")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn check_place(open: &[Element], name: &str, is_whole: bool) -> Result<(), &'static str> {
    match open.len() {
        0 if is_whole || name != ROOT => Err("its one root element is not MESHConfig"),
        depth if depth >= DEEPEST => Err("it has more than eight levels"),
        _ => Ok(()),
    }
}

fn is_client(open: &[Element], name: &str) -> bool {
    open.len() == 1 && name == CLIENT
}

/// Puts an element that ended where it belongs; what lies deeper belongs to nothing that is known.
fn keep(open: &[Element], element: Element, global: &mut Table, clients: &mut [Table]) -> Result<(), Broken> {
    match open {
        [_] if element.name == CLIENT => Ok(()),
        [_] => global.add(element),
        [_, client] if client.name == CLIENT => clients.last_mut().map_or(Ok(()), |table| table.add(element)),
        _ => Ok(()),
    }
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// One of the five that XML knows, or a character by its number.
fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Some(character.to_string()),
        Ok(None) => resolve_predefined_entity(reference).map(str::to_owned),
        Err(_) => None,
    }
}
