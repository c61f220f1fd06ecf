//! `[[test]]` in a pipeline file: a message as it could come, and what must become of it.
//!
//! ```toml
//! [[test]]
//! name = "a discharge summary goes to the practice"
//! message = "fixtures/discharge.xml"          # beside the pipeline's file; left out for a report
//! given = { from = "X26HC001" }               # also workflow, mailbox, type, subject, local_id, file_name
//! expect = { outputs = ["practice"], bytes = "same" }
//! ```
//!
//! What `given` leaves out is the first value of that key in `[match]` without `*`; a key of `[match]` whose values all
//! have one must be given. Without such a key the workflow is `TEST`, the sender of data `TESTSENDER`, the mailbox the
//! first that is configured and fits, and there is no subject, local id and file name.
//!
//! `expect` names one end: `outputs`, `discard = true`, `dead = "CODE"` or `held = "CODE"`. With outputs it may say
//! `bytes = "same"`, or the `sha256` of what is published. `alarm = true` expects that a stage raises one; without it none
//! may be raised.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::MailboxOutputs;
use super::definition::read_kind;
use super::matching::{Condition, Pattern};
use super::outputs::OutputTemplate;
use super::reading::{Keys, Node, Notes};
use super::stages::route::read_names;
use crate::domain::envelope::MessageKind;
use crate::domain::fault::FaultCode;
use crate::domain::ids::{MailboxId, Name, Sensitive, WorkflowId};

const USUAL_WORKFLOW: &str = "TEST";
const USUAL_SENDER: &str = "TESTSENDER";

/// One `[[test]]`.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    /// Its key, such as `test[2]`.
    pub(super) key: String,
    pub(super) line: usize,
    /// Relative to the folder of the pipeline's file; none for a report.
    pub(super) message: Option<PathBuf>,
    pub(super) given: Given,
    pub(super) expected: Expected,
}

/// What MESH says of the message.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) workflow: WorkflowId,
    pub(super) mailbox: MailboxId,
    pub(super) from: Option<MailboxId>,
    pub(super) kind: MessageKind,
    pub(super) subject: Option<Sensitive>,
    pub(super) local_id: Option<Sensitive>,
    pub(super) file_name: Option<Sensitive>,
}

/// What must become of it.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) end: End,
    pub(super) bytes: Option<Bytes>,
    pub(super) is_alarmed: bool,
}

/// An end of a message, as a test can expect it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It goes to these, in the order of their names.
    Outputs(Vec<Name>),
    Discard,
    Dead(FaultCode),
    Held(FaultCode),
}

/// What must be published.
#[derive(Debug)]
pub(super) enum Bytes {
    /// The payload as it came.
    Same,
    /// A payload with this digest, in lower-case hex.
    Sha256(String),
}

/// Reads the `[[test]]` tables. A table with a mistake is left out; then at least one finding says which.
pub(super) fn read(
    node: &Node<'_>,
    matching: &Condition,
    outputs: &[OutputTemplate],
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Vec<Case> {
    let tables = node.tables(notes).into_iter();
    tables.filter_map(|keys| read_case(keys, matching, outputs, mailboxes, notes)).collect()
}

fn read_case(
    mut keys: Keys<'_>,
    matching: &Condition,
    outputs: &[OutputTemplate],
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Option<Case> {
    let (at, line) = (keys.at(), notes.line(&keys.at()));
    let key = keys.full("").trim_end_matches('.').to_owned();
    let name = keys.required("name", "what the test shows", notes);
    let name = name.and_then(|node| {
        let is_said = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        node.parse(notes, "what the test shows, in a few words", is_said)
    });
    let message = keys.optional("message").map(|node| {
        let expected = "a path below the folder of this file, without `..`";
        node.parse(notes, expected, |text| below(text).then(|| PathBuf::from(text)))
    });
    let given = keys.inner("given", notes).and_then(|keys| read_given(keys, matching, mailboxes, notes));
    let expected = keys.required("expect", "what becomes of the message", notes);
    let expected = expected.and_then(|node| read_expected(node.table(notes)?, outputs, notes));
    keys.end(notes);
    let given = given?;
    match (given.kind, &message) {
        (MessageKind::Data, None) => notes.mistake(&at, &key, "there is no `message`", "the file with its payload"),
        (MessageKind::Report, Some(_)) => notes.mistake(&at, &key, "a report has no payload", "no `message`"),
        (MessageKind::Data, Some(_)) | (MessageKind::Report, None) => {}
    }
    Some(Case { name: name?, key, line, message: message.flatten(), given, expected: expected? })
}

fn below(text: &str) -> bool {
    let mut parts = Path::new(text).components();
    !text.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn read_given<'a>(
    mut keys: Keys<'a>,
    matching: &'a Condition,
    mailboxes: &'a BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Option<Given> {
    let kind = match read_kind(&mut keys, notes) {
        Some(kind) => kind,
        None => matching.kind.unwrap_or(MessageKind::Data),
    };
    let mut value = |key, patterns, usual, notes: &mut Notes<'_>| read_value(&mut keys, key, patterns, usual, notes);
    let workflow = value("workflow", &matching.workflow, Some(USUAL_WORKFLOW), notes);
    let mailbox = mailboxes.keys().find(|id| matching.admits(id)).map(MailboxId::as_str);
    let mailbox = value("mailbox", &[], mailbox, notes);
    let sender = (kind == MessageKind::Data).then_some(USUAL_SENDER);
    let from = value("from", &matching.from, sender, notes);
    let subject = value("subject", &matching.sealed.subject, None, notes);
    let local_id = value("local_id", &matching.sealed.local_id, None, notes);
    let file_name = value("file_name", &matching.sealed.file_name, None, notes);
    let workflow = WorkflowId::new(workflow?).ok();
    let mailbox = mailbox.and_then(|text| mailboxes.keys().find(|id| id.as_str() == text).cloned());
    let from = from.map(MailboxId::new).transpose().ok();
    for (key, is_wrong, expected) in [
        ("workflow", workflow.is_none(), "printable ASCII"),
        ("mailbox", mailbox.is_none(), "a configured mailbox"),
        ("from", from.is_none(), "letters, digits, `_`, `-`"),
    ] {
        if is_wrong {
            notes.mistake(&keys.at(), &keys.full(key), "this value cannot be", expected);
        }
    }
    keys.end(notes);
    let [subject, local_id, file_name] = [subject, local_id, file_name].map(|text| text.map(Sensitive::new));
    Some(Given { workflow: workflow?, mailbox: mailbox?, from: from?, kind, subject, local_id, file_name })
}

/// What is given for a key, else the first value of `[match]` that stands for itself, else what is usual.
fn read_value<'t>(
    keys: &mut Keys<'t>,
    key: &'static str,
    patterns: &'t [Pattern],
    usual: Option<&'t str>,
    notes: &mut Notes<'_>,
) -> Option<&'t str> {
    if let Some(node) = keys.optional(key) {
        return node.text(notes);
    }
    if patterns.is_empty() {
        return usual;
    }
    let exact = patterns.iter().find_map(Pattern::exact);
    if exact.is_none() {
        let expected = "a value, since all those of [match] have a `*`";
        notes.mistake(&keys.at(), &keys.full(key), "this key is missing", expected);
    }
    exact
}

fn read_expected(mut keys: Keys<'_>, outputs: &[OutputTemplate], notes: &mut Notes<'_>) -> Option<Expected> {
    let at = keys.at();
    let mut ends = Vec::new();
    if let Some(node) = keys.optional("outputs") {
        let places = read_names(&node, outputs, notes);
        let mut names: Vec<Name> = places.into_iter().map(|place| outputs[place].name.clone()).collect();
        names.sort();
        ends.push(End::Outputs(names));
    }
    if let Some(node) = keys.optional("discard") {
        node.claim(notes);
        ends.push(End::Discard);
    }
    ends.extend(keys.optional("dead").and_then(|node| read_code(&node, notes)).map(End::Dead));
    ends.extend(keys.optional("held").and_then(|node| read_code(&node, notes)).map(End::Held));
    let same = keys
        .optional("bytes")
        .and_then(|node| node.parse(notes, "\"same\"", |text| (text == "same").then_some(Bytes::Same)));
    let sha256 = keys.optional("sha256").and_then(|node| {
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b"0123456789abcdef".contains(&b));
        node.parse(notes, "64 lower-case hex digits", |text| is_digest(text).then(|| Bytes::Sha256(text.to_owned())))
    });
    let is_alarmed = keys.optional("alarm").is_some_and(|node| node.claim(notes));
    let key = keys.full("").trim_end_matches('.').to_owned();
    keys.end(notes);
    let bytes = match (same, sha256) {
        (Some(_), Some(_)) => {
            notes.mistake(&at, &key, "both `bytes` and `sha256` are expected", "one of the two");
            return None;
        }
        (same, sha256) => same.or(sha256),
    };
    let (Some(end), None) = (ends.pop(), ends.pop()) else {
        notes.mistake(&at, &key, "a message has one end", "one of: outputs, discard, dead, held");
        return None;
    };
    if bytes.is_some() && !matches!(end, End::Outputs(_)) {
        notes.mistake(&at, &key, "nothing is published", "`bytes` and `sha256` with `outputs` alone");
    }
    Some(Expected { end, bytes, is_alarmed })
}

fn read_code(node: &Node<'_>, notes: &mut Notes<'_>) -> Option<FaultCode> {
    let text = node.text(notes)?;
    let code = text.parse().ok();
    if code.is_none() {
        notes.unknown(
            &node.at(),
            &node.key,
            "no reason has this code",
            text,
            FaultCode::ALL.iter().map(|c| c.as_str()),
        );
    }
    code
}
