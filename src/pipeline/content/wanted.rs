//! `content = { format = …, type = …, event = … }`: what a rule asks of a payload. Every key that is written must fit.

use std::fmt;

use super::{Content, LONGEST_WORD};
use crate::pipeline::matching::Pattern;
use crate::pipeline::reading::{Node, Notes};

/// What `format` can say: every format, and ITK3, which is FHIR with more to it.
const FORMATS: [&str; 8] = ["fhir-json", "fhir-xml", "itk3", "itk2", "cda", "hl7v2", "edifact", "nhs-numbers"];

/// A condition on content. An empty list is a key that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Wanted {
    formats: Vec<&'static str>,
    kinds: Vec<Pattern>,
    events: Vec<Pattern>,
}

impl Wanted {
    /// Whether a payload with this content fits. One that is not recognised never does.
    pub(in crate::pipeline) fn fits(&self, content: Option<&Content>) -> bool {
        let Some(content) = content else { return false };
        let is_of = |format: &&str| match *format {
            "itk3" => content.is_itk3,
            format => content.format.as_str() == format,
        };
        let has = |patterns: &[Pattern], word: &Option<String>| {
            patterns.is_empty()
                || word.as_ref().is_some_and(|word| patterns.iter().any(|pattern| pattern.matches(word)))
        };
        (self.formats.is_empty() || self.formats.iter().any(is_of))
            && has(&self.kinds, &content.kind)
            && has(&self.events, &content.event)
    }

    /// Whether content of this format can fit at all, so that a mismatch lies in its type or event.
    pub(in crate::pipeline) fn is_of_format(&self, content: &Content) -> bool {
        let any = Self { kinds: Vec::new(), events: Vec::new(), ..self.clone() };
        any.fits(Some(content))
    }
}

impl fmt::Display for Wanted {
    /// The operator's own words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |patterns: &[Pattern]| patterns.iter().map(Pattern::as_str).collect::<Vec<_>>().join(" or ");
        let formats = if self.formats.is_empty() { "any format".into() } else { self.formats.join(" or ") };
        f.write_str(&formats)?;
        if !self.kinds.is_empty() {
            write!(f, " of type {}", joined(&self.kinds))?;
        }
        if !self.events.is_empty() {
            write!(f, " with event {}", joined(&self.events))?;
        }
        Ok(())
    }
}

/// Reads the table.
pub(in crate::pipeline) fn read(node: &Node<'_>, notes: &mut Notes<'_>) -> Option<Wanted> {
    let mut keys = node.table(notes)?;
    let mut formats = Vec::new();
    for (node, text) in keys.optional("format").map(|node| node.texts(notes)).unwrap_or_default() {
        match FORMATS.into_iter().find(|format| *format == text) {
            Some(format) => formats.push(format),
            None => notes.unknown(&node.at(), &node.key, "this format is not known", text, FORMATS),
        }
    }
    let mut patterns = |key, notes: &mut Notes<'_>| {
        let mut read = Vec::new();
        for (node, text) in keys.optional(key).map(|node| node.texts(notes)).unwrap_or_default() {
            let is_word = (1..=LONGEST_WORD).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
            if is_word {
                read.push(Pattern::new(text));
            } else {
                notes.mistake(&node.at(), &node.key, "this can never match", "a word, with `*` for any run");
            }
        }
        read
    };
    let (kinds, events) = (patterns("type", notes), patterns("event", notes));
    if [keys.is_written("format"), keys.is_written("type"), keys.is_written("event")] == [false; 3] {
        notes.mistake(&node.at(), &node.key, "this fits everything that is recognised", "at least one key");
    }
    keys.end(notes);
    Some(Wanted { formats, kinds, events })
}
