//! From TOML to checked values, gathering every mistake on the way.
//!
//! Tables are read key by key rather than by a derived deserializer, because a derived one stops at its first mistake.
//! A key nobody asked for is always a mistake.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::finding::{Finding, nearest};

/// A message lists at most so many words: a trust may have hundreds of mailboxes.
const MOST_WORDS: usize = 12;

/// The mistakes of one file.
pub(super) struct Notes<'a> {
    file: &'a Path,
    text: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str, findings: &'a mut Vec<Finding>) -> Self {
        Self { file, text, findings }
    }

    /// How many there are so far.
    pub(super) fn count(&self) -> usize {
        self.findings.len()
    }

    /// The line, from 1, of a place in the file.
    pub(super) fn line(&self, at: &Range<usize>) -> usize {
        1 + self.text.bytes().take(at.start).filter(|byte| *byte == b'\n').count()
    }

    /// Notes a mistake.
    pub(super) fn mistake(
        &mut self,
        at: &Range<usize>,
        key: &str,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.note(at, key, problem.into(), expected.into(), None);
    }

    /// Notes a word that is none of `words`.
    pub(super) fn unknown<'w>(
        &mut self,
        at: &Range<usize>,
        key: &str,
        problem: impl Into<String>,
        word: &str,
        words: impl IntoIterator<Item = &'w str>,
    ) {
        let words: Vec<&str> = words.into_iter().collect();
        let did_you_mean = nearest(word, words.iter().copied());
        let shown = words.len().min(MOST_WORDS);
        let mut expected = format!("one of: {}", words[..shown].join(", "));
        if shown < words.len() {
            expected.push_str(&format!(" and {} more", words.len() - shown));
        }
        self.note(at, key, problem.into(), expected, did_you_mean);
    }

    fn note(&mut self, at: &Range<usize>, key: &str, problem: String, expected: String, did_you_mean: Option<String>) {
        let line = Some(self.line(at));
        self.findings.push(Finding { file: self.file.into(), line, key: key.into(), problem, expected, did_you_mean });
    }
}

/// A value and the full name of its key.
#[derive(Clone)]
pub(super) struct Node<'t> {
    pub(super) key: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Node<'t> {
    pub(super) fn at(&self) -> Range<usize> {
        self.value.span()
    }

    /// A string.
    pub(super) fn text(&self, notes: &mut Notes<'_>) -> Option<&'t str> {
        let text = self.value.get_ref().as_str();
        if text.is_none() {
            self.wrong_kind(notes, "a string");
        }
        text
    }

    /// A string that `read` understands.
    pub(super) fn parse<T>(
        &self,
        notes: &mut Notes<'_>,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.text(notes)?);
        if value.is_none() {
            notes.mistake(&self.at(), &self.key, "this value is not understood", expected);
        }
        value
    }

    /// A whole number from 1.
    pub(super) fn count(&self, notes: &mut Notes<'_>) -> Option<u32> {
        let number = self.value.get_ref().as_integer().and_then(|integer| {
            u32::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|number| *number > 0)
        });
        if number.is_none() {
            self.wrong_kind(notes, "a whole number from 1");
        }
        number
    }

    /// `true`.
    pub(super) fn claim(&self, notes: &mut Notes<'_>) -> bool {
        let is_true = self.value.get_ref().as_bool() == Some(true);
        if !is_true {
            self.wrong_kind(notes, "true, or the key left out");
        }
        is_true
    }

    /// Strings in a list that is not empty, or a single one.
    pub(super) fn texts(&self, notes: &mut Notes<'_>) -> Vec<(Node<'t>, &'t str)> {
        if let Some(text) = self.value.get_ref().as_str() {
            return vec![(self.clone(), text)];
        }
        let items = self.items(notes, "a list of strings");
        if items.is_empty() {
            notes.mistake(&self.at(), &self.key, "nothing is named", "at least one string");
        }
        items.into_iter().filter_map(|item| item.text(notes).map(|text| (item, text))).collect()
    }

    /// A table.
    pub(super) fn table(&self, notes: &mut Notes<'_>) -> Option<Keys<'t>> {
        let table = self.value.get_ref().as_table();
        if table.is_none() {
            self.wrong_kind(notes, "a table");
        }
        table.map(|table| Keys { name: self.key.clone(), at: self.at(), table: Some(table), asked: Vec::new() })
    }

    /// Tables in a list.
    pub(super) fn tables(&self, notes: &mut Notes<'_>) -> Vec<Keys<'t>> {
        self.items(notes, "a list of tables").iter().filter_map(|item| item.table(notes)).collect()
    }

    fn items(&self, notes: &mut Notes<'_>, expected: &str) -> Vec<Node<'t>> {
        let Some(items) = self.value.get_ref().as_array() else {
            self.wrong_kind(notes, expected);
            return Vec::new();
        };
        let name = |place: usize| format!("{}[{}]", self.key, place + 1);
        items.iter().enumerate().map(|(place, value)| Node { key: name(place), value }).collect()
    }

    fn wrong_kind(&self, notes: &mut Notes<'_>, expected: &str) {
        let kind = self.value.get_ref().type_str();
        notes.mistake(&self.at(), &self.key, format!("this is of the kind {kind}"), expected);
    }
}

/// A table being read.
pub(super) struct Keys<'t> {
    name: String,
    at: Range<usize>,
    /// None for a table that is not written.
    table: Option<&'t DeTable<'t>>,
    asked: Vec<&'static str>,
}

impl<'t> Keys<'t> {
    /// The whole file.
    pub(super) fn root(document: &'t Spanned<DeTable<'t>>) -> Self {
        Self { name: String::new(), at: 0..0, table: Some(document.get_ref()), asked: Vec::new() }
    }

    pub(super) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The full name of `key`.
    pub(super) fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }

    /// Whether `key` has a value, right or wrong.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.iter().any(|(written, _)| written.get_ref() == key))
    }

    /// The value of `key`, if it is written.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Node<'t>> {
        self.asked.push(key);
        let (_, value) = self.table?.iter().find(|(written, _)| written.get_ref() == key)?;
        Some(Node { key: self.full(key), value })
    }

    /// A table inside this one; without any keys if it is not written.
    pub(super) fn inner(&mut self, key: &'static str, notes: &mut Notes<'_>) -> Option<Keys<'t>> {
        match self.optional(key) {
            Some(node) => node.table(notes),
            None => Some(Keys { name: self.full(key), at: self.at(), table: None, asked: Vec::new() }),
        }
    }

    /// The value of `key`; its absence is a mistake.
    pub(super) fn required(&mut self, key: &'static str, expected: &str, notes: &mut Notes<'_>) -> Option<Node<'t>> {
        let node = self.optional(key);
        if node.is_none() {
            notes.mistake(&self.at, &self.full(key), "this key is missing", expected);
        }
        node
    }

    /// Reports the keys nobody asked for.
    pub(super) fn end(self, notes: &mut Notes<'_>) {
        for (written, _) in self.table.into_iter().flatten() {
            let key: &str = written.get_ref();
            if !self.asked.contains(&key) {
                let asked = self.asked.iter().copied();
                notes.unknown(&written.span(), &self.full(key), "this key is not known here", key, asked);
            }
        }
    }
}
