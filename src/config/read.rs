//! From written values to checked ones: each type says what it expects, each table which keys it has.
//!
//! A table is read key by key rather than by a derived deserializer, because a derived one stops at its first mistake
//! and operators need all of them. An unknown key is always a mistake, as with `deny_unknown_fields`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::document::{Node, Place, Table, Value};
use crate::domain::finding::{Finding, nearest};

/// What reading gathers beside the values: the mistakes, and where each key stands.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Everything wrong so far.
    pub(super) findings: Vec<Finding>,
    /// Where each key that is written stands, by its full name such as `mailbox[2].poll`.
    pub(super) places: BTreeMap<String, Place>,
    /// The full name of each mailbox of the configuration, such as `mailbox[2]`.
    pub(super) mailboxes: Vec<String>,
    /// The tables with stand-ins for required keys.
    pub(super) incomplete: BTreeSet<String>,
    /// Every key that could be written, by its name without numbers such as `mailbox.poll`.
    pub(super) known: BTreeMap<String, Known>,
}

/// A key that could be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) shape: Shape,
    pub(super) is_required: bool,
}

/// What stands behind a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// One value, with its JSON schema.
    Value(fn() -> Json),
    Table,
    /// Tables, each headed `[[key]]`.
    Tables,
}

impl Notes {
    /// A mistake at `key`, which may be absent; then it stands nowhere but in `file`.
    pub(super) fn find(&mut self, key: &str, problem: impl Into<String>, expected: impl Into<String>) {
        let finding = self.finding(key, problem, expected);
        self.findings.push(finding);
    }

    /// The same, handed back.
    pub(super) fn finding(&self, key: &str, problem: impl Into<String>, expected: impl Into<String>) -> Finding {
        at(self.place(key), key, problem.into(), expected.into(), None)
    }

    fn find_at(&mut self, node: &Node, key: &str, problem: impl Into<String>, expected: impl Into<String>) {
        self.findings.push(at(Some(&node.place), key, problem.into(), expected.into(), None));
    }

    /// Where `key` stands, or the nearest table around it that is written.
    fn place(&self, key: &str) -> Option<&Place> {
        self.places.get(key).or_else(|| key.rsplit_once('.').and_then(|(table, _)| self.place(table)))
    }
}

fn at(place: Option<&Place>, key: &str, problem: String, expected: String, did_you_mean: Option<String>) -> Finding {
    let (file, line) = match place {
        Some(place) => (place.file.to_path_buf(), Some(place.line)),
        None => (PathBuf::new(), None),
    };
    Finding { file, line, key: key.into(), problem, expected, did_you_mean }
}

/// A type that can be written in the configuration.
pub(super) trait Setting: Sized {
    /// What may stand there, for the message.
    const EXPECTED: &'static str;

    /// The same for editors, as a JSON schema.
    fn schema() -> Json;

    /// The checked value; on a mistake a finding in `notes` and `None`.
    fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self>;
}

/// A table being read.
pub(super) struct Keys<'a> {
    name: String,
    table: Table,
    asked: Vec<&'static str>,
    notes: &'a mut Notes,
}

impl<'a> Keys<'a> {
    /// Begins with the table `name`; an absent one has no keys.
    pub(super) fn of(name: &str, node: Option<Node>, notes: &'a mut Notes) -> Self {
        let mut table = Table::new();
        if let Some(node) = node {
            notes.places.insert(name.into(), node.place.clone());
            match node.value {
                Value::Table(written) => table = written,
                Value::Text(_) | Value::Whole(_) | Value::Truth(_) | Value::List(_) | Value::Other(_) => {
                    notes.find_at(&node, name, format!("this is {}", node.value.kind()), "a table");
                }
            }
        }
        Self { name: name.into(), table, asked: Vec::new(), notes }
    }

    /// The value of a key that need not be there.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let node = self.take(key, Shape::Value(T::schema), false)?;
        T::read(&node, &self.full(key), self.notes)
    }

    /// The value of a key, or its default.
    pub(super) fn or<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let Some(node) = self.take(key, Shape::Value(T::schema), true) else {
            let full = self.full(key);
            self.notes.find(&full, "this key is missing", T::EXPECTED);
            return None;
        };
        T::read(&node, &self.full(key), self.notes)
    }

    /// The value of a key that must be there, or a stand-in; with that the table is incomplete.
    pub(super) fn required_or<T: Setting>(&mut self, key: &'static str, stand_in: impl FnOnce() -> T) -> T {
        self.required(key).unwrap_or_else(|| {
            self.notes.incomplete.insert(self.name.clone());
            stand_in()
        })
    }

    /// A table inside this one.
    pub(super) fn table(&mut self, key: &'static str) -> Keys<'_> {
        let node = self.take(key, Shape::Table, false);
        Keys::of(&self.full(key), node, self.notes)
    }

    /// A table inside this one that need not be there.
    pub(super) fn optional_table(&mut self, key: &'static str) -> Option<Keys<'_>> {
        let node = self.take(key, Shape::Table, false)?;
        Some(Keys::of(&self.full(key), Some(node), self.notes))
    }

    /// The tables of a `[[list]]` inside this one, with their full names, counted from 1.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(String, Node)> {
        let full = self.full(key);
        match self.take(key, Shape::Tables, false) {
            None => Vec::new(),
            Some(Node { value: Value::List(nodes), .. }) => {
                (1..).zip(nodes).map(|(number, node)| (format!("{full}[{number}]"), node)).collect()
            }
            Some(node) => {
                let problem = format!("this is {}", node.value.kind());
                self.notes.find_at(&node, &full, problem, format!("tables, each headed `[[{full}]]`"));
                Vec::new()
            }
        }
    }

    /// Ends the table: every key nobody asked for is a mistake.
    pub(super) fn end(self) {
        for (key, node) in &self.table {
            let full = self.full(key);
            let expected = format!("one of: {}", self.asked.join(", "));
            let guess = nearest(key, self.asked.iter().copied());
            self.notes.findings.push(at(Some(&node.place), &full, "this key is not known".into(), expected, guess));
        }
    }

    /// What reading gathers.
    pub(super) fn notes(&mut self) -> &mut Notes {
        self.notes
    }

    fn take(&mut self, key: &'static str, shape: Shape, is_required: bool) -> Option<Node> {
        self.asked.push(key);
        let full = self.full(key);
        let name = full.chars().filter(|c| !matches!(c, '[' | ']' | '0'..='9')).collect();
        self.notes.known.insert(name, Known { shape, is_required });
        let node = self.table.remove(key)?;
        self.notes.places.insert(full, node.place.clone());
        Some(node)
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }
}

/// Reads a type that is written as a string and built by a checking function.
pub(super) fn read_text<T, E: std::fmt::Display>(
    node: &Node,
    key: &str,
    notes: &mut Notes,
    expected: &str,
    build: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let Value::Text(text) = &node.value else {
        notes.find_at(node, key, format!("this is {}", node.value.kind()), expected);
        return None;
    };
    match build(text) {
        Ok(value) => Some(value),
        Err(error) => {
            notes.find_at(node, key, error.to_string(), expected);
            None
        }
    }
}

/// Reads one of a few words.
pub(super) fn read_word<T: Copy>(node: &Node, key: &str, notes: &mut Notes, words: &[(&str, T)]) -> Option<T> {
    let expected = format!("one of: {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "));
    let Value::Text(text) = &node.value else {
        notes.find_at(node, key, format!("this is {}", node.value.kind()), expected);
        return None;
    };
    let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
    if found.is_none() {
        let guess = nearest(text, words.iter().map(|(word, _)| *word));
        notes.findings.push(at(Some(&node.place), key, "this word is not known".into(), expected, guess));
    }
    found
}

/// Reads a whole number of a range.
pub(super) fn read_whole<T: TryFrom<i64>>(
    node: &Node,
    key: &str,
    notes: &mut Notes,
    expected: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Option<T> {
    let Value::Whole(number) = node.value else {
        notes.find_at(node, key, format!("this is {}", node.value.kind()), expected);
        return None;
    };
    let value = range.contains(&number).then(|| T::try_from(number).ok()).flatten();
    if value.is_none() {
        notes.find_at(node, key, format!("{number} is out of range"), expected);
    }
    value
}

impl<T: Setting> Setting for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }

    fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self> {
        let Value::List(items) = &node.value else {
            notes.find_at(node, key, format!("this is {}", node.value.kind()), format!("a list, each {}", T::EXPECTED));
            return None;
        };
        let before = items.len();
        let read: Vec<T> = items.iter().filter_map(|item| T::read(item, key, notes)).collect();
        (read.len() == before).then_some(read)
    }
}
