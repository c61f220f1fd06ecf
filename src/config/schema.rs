//! What may be written, as a JSON schema (draft 7) for editors.
//!
//! Keys and types are those that reading asks for, so the two cannot differ; words and defaults are those of
//! `config/meshd.toml`. It is good for the main file and for drop-ins, which may set one key of a table: only a
//! mailbox, whose table is never laid over another, must have all it needs.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::document::{self, Node, Source, Table, Value};
use super::model::Config;
use super::read::{Known, Notes, Shape};

/// The file that shows every key.
pub(super) const SHIPPED: &str = include_str!("../../config/meshd.toml");

/// The schema.
pub fn schema() -> Json {
    let mut notes = Notes::default();
    let shown = Source { path: "meshd.toml".into(), text: shipped_in_full() };
    Config::read(document::merge(&[shown], &mut notes.findings), &mut notes);
    let usual = Source { path: "meshd.toml".into(), text: SHIPPED.into() };
    let parts = Parts { words: words(), defaults: document::merge(&[usual], &mut notes.findings), known: notes.known };
    let mut schema = parts.table("", false);
    schema.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".into(), json!("meshd.toml, and conf.d/*.toml beside it"));
    Json::Object(schema)
}

/// The shipped file with every commented key switched on.
pub(super) fn shipped_in_full() -> String {
    let mut text = String::new();
    for line in SHIPPED.lines() {
        text.push_str(key_line(line).unwrap_or(line));
        text.push('\n');
    }
    text
}

/// A line with a key or the head of a table, switched on.
fn key_line(line: &str) -> Option<&str> {
    let line = line.strip_prefix('#').unwrap_or(line);
    line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[').then_some(line)
}

struct Parts {
    known: BTreeMap<String, Known>,
    words: BTreeMap<String, String>,
    defaults: Table,
}

impl Parts {
    /// The table `name`; empty for the whole file.
    fn table(&self, name: &str, is_whole: bool) -> Map<String, Json> {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (full, known) in &self.known {
            let (parent, key) = full.rsplit_once('.').unwrap_or(("", full));
            if parent != name {
                continue;
            }
            let mut property = match known.shape {
                Shape::Value(schema) => schema(),
                Shape::Table => Json::Object(self.table(full, is_whole)),
                Shape::Tables => json!({ "type": "array", "items": self.table(full, true) }),
            };
            if let Some(words) = self.words.get(full) {
                property["description"] = json!(words);
            }
            if let (Shape::Value(_), Some(node)) = (known.shape, self.default(full)) {
                property["default"] = as_json(&node.value);
            }
            properties.insert(key.into(), property);
            if is_whole && known.is_required {
                required.push(key);
            }
        }
        let mut table = Map::new();
        table.insert("type".into(), json!("object"));
        table.insert("additionalProperties".into(), json!(false));
        if !required.is_empty() {
            table.insert("required".into(), json!(required));
        }
        table.insert("properties".into(), Json::Object(properties));
        table
    }

    fn default(&self, full: &str) -> Option<&Node> {
        let mut table = &self.defaults;
        let (parents, key) = full.rsplit_once('.')?;
        for part in parents.split('.') {
            match &table.get(part)?.value {
                Value::Table(inner) => table = inner,
                Value::Text(_) | Value::Whole(_) | Value::Truth(_) | Value::List(_) | Value::Other(_) => return None,
            }
        }
        table.get(key)
    }
}

fn as_json(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Whole(number) => json!(number),
        Value::Truth(truth) => json!(truth),
        Value::List(items) => items.iter().map(|item| as_json(&item.value)).collect(),
        Value::Table(table) => table.iter().map(|(key, node)| (key.clone(), as_json(&node.value))).collect(),
        // No key takes one, so no default is one.
        Value::Other(_) => Json::Null,
    }
}

/// The comment above each key and each table of the shipped file.
fn words() -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    let (mut table, mut comment) = (String::new(), Vec::new());
    for line in SHIPPED.lines() {
        let name = match key_line(line) {
            Some(head) if head.starts_with('[') => {
                table = head.trim_matches(['[', ']']).into();
                table.clone()
            }
            Some(key) => format!("{table}.{}", key.split(' ').next().unwrap_or_default()),
            None => {
                match line.strip_prefix("# ") {
                    Some(text) => comment.extend(text.split_whitespace()),
                    None => comment.clear(),
                }
                continue;
            }
        };
        if !comment.is_empty() {
            words.insert(name, comment.join(" "));
            comment.clear();
        }
    }
    words
}

#[cfg(test)]
mod tests;
