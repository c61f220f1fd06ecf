//! The files as written: parsed, with the place of every value, and laid over one another.
//!
//! Later files win key by key; `[[mailbox]]` tables of all files are put one after another.
//! All syntax errors of all files are reported. Nothing here knows which keys exist.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::finding::Finding;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file.
    pub(super) file: Arc<Path>,
    /// Its line, from 1.
    pub(super) line: usize,
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where its key, or the value itself inside a list, stands.
    pub(super) place: Place,
    /// What is written there.
    pub(super) value: Value,
}

/// What can be written.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// `true` or `false`.
    Truth(bool),
    /// Several values.
    List(Vec<Node>),
    /// Keys and values.
    Table(Table),
    /// Something no key takes: its kind, for the message.
    Other(&'static str),
}

/// Keys and values.
pub(super) type Table = BTreeMap<String, Node>;

impl Value {
    /// What it is, for messages. Never the value: it may be a secret in the wrong place.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Whole(_) => "a whole number",
            Self::Truth(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// One configuration file as read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path, as shown in findings.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

/// Parses all files and lays them over one another, the first at the bottom.
pub(super) fn merge(sources: &[Source], findings: &mut Vec<Finding>) -> Table {
    let mut merged = Table::new();
    for source in sources {
        lay_over(&mut merged, parse(source, findings), true);
    }
    merged
}

fn parse(source: &Source, findings: &mut Vec<Finding>) -> Table {
    let file: Arc<Path> = Arc::from(source.path.as_path());
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    for error in errors {
        findings.push(Finding {
            file: source.path.clone(),
            line: error.span().map(|span| line_of(&source.text, span.start)),
            key: String::new(),
            problem: format!("this is not TOML: {}", error.message()),
            expected: "lines such as `key = \"value\"`".into(),
            did_you_mean: None,
        });
    }
    convert_table(table.into_inner(), &source.text, &file)
}

fn convert_table(table: DeTable<'_>, text: &str, file: &Arc<Path>) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let place = Place { file: Arc::clone(file), line: line_of(text, key.span().start) };
            let value = convert(value, text, file);
            (key.into_inner().into_owned(), Node { place, value: value.value })
        })
        .collect()
}

fn convert(value: Spanned<DeValue<'_>>, text: &str, file: &Arc<Path>) -> Node {
    let place = Place { file: Arc::clone(file), line: line_of(text, value.span().start) };
    let value = match value.into_inner() {
        DeValue::String(string) => Value::Text(string.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number beyond 64 bits"), Value::Whole),
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Boolean(truth) => Value::Truth(truth),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| convert(item, text, file)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(table, text, file)),
    };
    Node { place, value }
}

/// `top` holds for the whole document: there lists of tables are joined; further down the later list wins.
fn lay_over(under: &mut Table, over: Table, top: bool) {
    for (key, node) in over {
        match (under.get_mut(&key).map(|node| &mut node.value), node.value) {
            (Some(Value::Table(below)), Value::Table(above)) if top => lay_over(below, above, false),
            (Some(Value::List(below)), Value::List(above)) if top => below.extend(above),
            (_, value) => {
                under.insert(key, Node { place: node.place, value });
            }
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    #[test]
    fn later_files_win_key_by_key_and_mailboxes_add_up() {
        let mut findings = Vec::new();
        let merged = merge(
            &[
                source("a.toml", "[log]\nlevel = \"info\"\nformat = \"json\"\n[[mailbox]]\nid = \"A\"\n"),
                source("b.toml", "[log]\nlevel = \"debug\"\n[[mailbox]]\nid = \"B\"\n"),
            ],
            &mut findings,
        );
        assert!(findings.is_empty());
        let Value::Table(log) = &merged["log"].value else { panic!("log is a table") };
        assert!(matches!(&log["level"].value, Value::Text(text) if text == "debug"));
        assert_eq!(log["level"].place, Place { file: Arc::from(Path::new("b.toml")), line: 2 });
        assert!(matches!(&log["format"].value, Value::Text(text) if text == "json"));
        assert!(matches!(&merged["mailbox"].value, Value::List(items) if items.len() == 2));
    }

    #[test]
    fn every_syntax_error_of_every_file_is_reported_with_its_line() {
        let mut findings = Vec::new();
        merge(&[source("a.toml", "[log]\nlevel = \nformat = \n"), source("b.toml", "x y\n")], &mut findings);
        let lines: Vec<_> = findings.iter().map(|f| (f.file.display().to_string(), f.line)).collect();
        assert!(lines.contains(&("a.toml".into(), Some(2))), "{lines:?}");
        assert!(lines.contains(&("a.toml".into(), Some(3))), "{lines:?}");
        assert!(lines.contains(&("b.toml".into(), Some(1))), "{lines:?}");
    }
}
