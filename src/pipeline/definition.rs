//! One pipeline file as written, read and checked by itself.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use toml::de::DeTable;

use super::cases::{self, Case};
use super::matching::{Condition, Pattern, Sealed};
use super::monitors::{self, Monitor};
use super::reading::{Keys, Node, Notes};
use super::stages::{self, Stage};
use super::{Limits, MailboxOutputs};
use crate::domain::envelope::MessageKind;
use crate::domain::finding::Finding;
use crate::domain::ids::{MailboxId, Name, WorkflowId};
use crate::domain::output::{Layout, OutputPlan, Transform, Unconsumed};
use crate::domain::quantity;

/// What `{mailbox.output}` in a path stands for is the mailbox's own output folder.
const MAILBOX_OUTPUT: &str = "{mailbox.output}";

/// A file without mistakes of its own.
pub(super) struct Definition {
    pub(super) name: Name,
    /// Where the name stands.
    pub(super) name_line: usize,
    pub(super) matching: Condition,
    /// Where `[match]` stands; the name's line without one.
    pub(super) match_line: usize,
    pub(super) limits: Limits,
    pub(super) stages: Vec<Stage>,
    pub(super) outputs: Vec<OutputTemplate>,
    pub(super) monitors: Vec<Monitor>,
    pub(super) cases: Vec<Case>,
}

/// An output as written, for every mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputTemplate {
    pub(super) name: Name,
    pub(super) line: usize,
    layout: Layout,
    folder: FolderTemplate,
    waiting: Option<Unconsumed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FolderTemplate {
    /// Below the mailbox's output; empty for that folder itself.
    Mailbox(PathBuf),
    /// The same for every mailbox.
    Fixed(PathBuf),
}

impl OutputTemplate {
    /// How much of it its consumer may leave, in one mailbox; `None` for any amount.
    pub(super) fn waiting(&self, mailbox: &MailboxOutputs) -> Option<Unconsumed> {
        self.waiting.or(mailbox.waiting)
    }

    /// The output of one mailbox.
    pub(super) fn plan(&self, mailbox: &MailboxOutputs, payload: &[Transform]) -> OutputPlan {
        let folder = match &self.folder {
            FolderTemplate::Mailbox(rest) if rest.as_os_str().is_empty() => mailbox.output.clone(),
            FolderTemplate::Mailbox(rest) => mailbox.output.join(rest),
            FolderTemplate::Fixed(path) => path.clone(),
        };
        OutputPlan {
            name: self.name.clone(),
            layout: self.layout,
            line_ends: mailbox.line_ends,
            folder,
            group: mailbox.group.clone(),
            mode: mailbox.mode,
            payload: payload.to_vec(),
        }
    }
}

/// Reads one file. `None` if it has a mistake; then at least one finding says which.
pub(super) fn read(
    file: &Path,
    text: &str,
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    findings: &mut Vec<Finding>,
) -> Option<Definition> {
    let before = findings.len();
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut notes = Notes::new(file, text, findings);
    for error in &errors {
        let problem = format!("this is not TOML: {}", error.message());
        notes.mistake(&error.span().unwrap_or(0..0), "", problem, "lines such as `key = \"value\"`");
    }
    if !errors.is_empty() {
        return None;
    }
    let definition = read_root(Keys::root(&document), mailboxes, &mut notes);
    if findings.len() == before { definition } else { None }
}

fn read_root(
    mut root: Keys<'_>,
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Option<Definition> {
    let name = root.required("name", "the pipeline's name", notes).and_then(|node| {
        let line = notes.line(&node.at());
        Some((read_name(&node, notes)?, line))
    });
    let matching = root.optional("match").and_then(|node| {
        let line = notes.line(&node.at());
        Some((read_condition(node.table(notes)?, mailboxes, notes), line))
    });
    let limits = root.optional("limits").and_then(|node| Some(read_limits(node.table(notes)?, notes)));
    let outputs: Vec<OutputTemplate> = root
        .required("output", "at least one [[output]]", notes)
        .map(|node| node.tables(notes).into_iter().filter_map(|keys| read_output(keys, notes)).collect())
        .unwrap_or_default();
    let stages = root.optional("stage").map(|node| stages::read(&node, &outputs, mailboxes, notes)).unwrap_or_default();
    let monitors = root.optional("monitor").map(|node| monitors::read(&node, notes)).unwrap_or_default();
    let tests = root.optional("test");
    root.end(notes);
    let (matching, match_line) = matching.map_or((Condition::default(), None), |(read, line)| (read, Some(line)));
    let cases = tests.map(|node| cases::read(&node, &matching, &outputs, mailboxes, notes)).unwrap_or_default();
    let (name, name_line) = name?;
    let match_line = match_line.unwrap_or(name_line);
    let limits = limits.unwrap_or_default();
    Some(Definition { name, name_line, matching, match_line, limits, stages, outputs, monitors, cases })
}

/// The keys of `[match]` and of `when`.
pub(super) fn read_condition(
    mut keys: Keys<'_>,
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Condition {
    let mut patterns = |key, expected: &str, is_valid: fn(&str) -> bool, notes: &mut Notes<'_>| {
        read_patterns(&mut keys, key, expected, is_valid, notes)
    };
    let of_mailboxes = "letters, digits, `_`, `-`, with `*` for any run of them";
    let workflow =
        patterns("workflow", "printable ASCII, with `*` for any run", |text| WorkflowId::new(text).is_ok(), notes);
    let mailbox = patterns("mailbox", of_mailboxes, |text| MailboxId::new(text).is_ok(), notes);
    let from = patterns("from", of_mailboxes, |text| MailboxId::new(text).is_ok(), notes);
    let of_headers = "text without control characters, with `*` for any run";
    let is_header = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    let subject = patterns("subject", of_headers, is_header, notes);
    let local_id = patterns("local_id", of_headers, is_header, notes);
    let file_name = patterns("file_name", of_headers, is_header, notes);
    for (node, pattern) in &mailbox {
        if !mailboxes.keys().any(|id| pattern.matches(id.as_str())) {
            let problem = "no configured mailbox matches";
            let word = node.text(notes).unwrap_or_default();
            notes.unknown(&node.at(), &node.key, problem, word, mailboxes.keys().map(MailboxId::as_str));
        }
    }
    let kind = read_kind(&mut keys, notes);
    keys.end(notes);
    let only = |read: Vec<(Node<'_>, Pattern)>| read.into_iter().map(|(_, pattern)| pattern).collect();
    let sealed = Sealed { subject: only(subject), local_id: only(local_id), file_name: only(file_name) };
    Condition { workflow: only(workflow), mailbox: only(mailbox), from: only(from), kind, sealed }
}

/// The patterns of `key`, each with the place where it stands.
pub(super) fn read_patterns<'t>(
    keys: &mut Keys<'t>,
    key: &'static str,
    expected: &str,
    is_valid: fn(&str) -> bool,
    notes: &mut Notes<'_>,
) -> Vec<(Node<'t>, Pattern)> {
    let mut read = Vec::new();
    for (node, text) in keys.optional(key).map(|node| node.texts(notes)).unwrap_or_default() {
        // A `*` stands for characters the identifier may have, so a letter may stand for it in the check.
        if is_valid(&text.replace('*', "x")) {
            read.push((node, Pattern::new(text)));
        } else {
            notes.mistake(&node.at(), &node.key, "this can never match", expected);
        }
    }
    read
}

/// The key `type`.
pub(super) fn read_kind(keys: &mut Keys<'_>, notes: &mut Notes<'_>) -> Option<MessageKind> {
    let node = keys.optional("type")?;
    let text = node.text(notes)?;
    let kinds = [MessageKind::Data, MessageKind::Report];
    let kind = kinds.into_iter().find(|kind| kind.as_str() == text);
    if kind.is_none() {
        let words = kinds.map(MessageKind::as_str);
        notes.unknown(&node.at(), &node.key, "this type of message is not known", text, words);
    }
    kind
}

fn read_limits(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Limits {
    let usual = Limits::default();
    let max_attempts = keys.optional("max_attempts").and_then(|node| node.count(notes));
    let max_age = keys.optional("max_age").and_then(|node| node.parse(notes, quantity::PERIOD, quantity::period));
    let max_bytes = keys.optional("max_bytes").and_then(|node| node.parse(notes, quantity::BYTES, quantity::bytes));
    keys.end(notes);
    Limits {
        max_attempts: max_attempts.unwrap_or(usual.max_attempts),
        max_age: max_age.unwrap_or(usual.max_age),
        max_bytes: max_bytes.or(usual.max_bytes),
    }
}

/// One with a name is there even if something else in it is wrong, so that nothing which names it is a mistake too.
fn read_output(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Option<OutputTemplate> {
    let line = notes.line(&keys.at());
    let name = keys.required("name", "the output's name", notes).and_then(|node| read_name(&node, notes));
    let layout = keys.required("kind", "\"mesh-folder\" or \"folder\"", notes).and_then(|node| {
        let text = node.text(notes)?;
        match text {
            "mesh-folder" => Some(Layout::MeshFolder),
            "folder" => Some(Layout::Folder),
            _ => {
                let words = ["mesh-folder", "folder"];
                notes.unknown(&node.at(), &node.key, "this kind of output is not known", text, words);
                None
            }
        }
    });
    let path = keys.required("path", "an absolute path, or one that begins with {mailbox.output}", notes);
    let folder = path.and_then(|node| read_folder(&node, layout, notes));
    let waiting = keys.optional("waiting").and_then(|node| Some(read_waiting(node.table(notes)?, notes)));
    keys.end(notes);
    let folder = folder.unwrap_or_else(|| FolderTemplate::Fixed(PathBuf::new()));
    Some(OutputTemplate { name: name?, line, layout: layout.unwrap_or(Layout::Folder), folder, waiting })
}

/// A message has two files, so fewer would let none in.
const LEAST_FILES: u32 = 2;

fn read_waiting(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Unconsumed {
    let files = keys.optional("files").and_then(|node| {
        let files = node.count(notes)?;
        if files < LEAST_FILES {
            notes.mistake(&node.at(), &node.key, "a message has two files", "a whole number from 2");
        }
        Some(u64::from(files))
    });
    let age = keys.optional("age").and_then(|node| node.parse(notes, quantity::PERIOD, quantity::period));
    keys.end(notes);
    Unconsumed { files, age }
}

fn read_folder(node: &Node<'_>, layout: Option<Layout>, notes: &mut Notes<'_>) -> Option<FolderTemplate> {
    let text = node.text(notes)?;
    let (rest, is_in_mailbox) = match text.strip_prefix(MAILBOX_OUTPUT) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    if let Some(start) = rest.find(['{', '}']) {
        let end = rest[start..].find('}').map_or(rest.len(), |length| start + length + 1);
        let problem = "a placeholder other than {mailbox.output} at the beginning";
        notes.unknown(&node.at(), &node.key, problem, &rest[start..end], [MAILBOX_OUTPUT]);
        return None;
    }
    let mut wrong = |problem: &str, expected: &str| {
        notes.mistake(&node.at(), &node.key, problem, expected);
        None
    };
    if !(rest.starts_with('/') || is_in_mailbox && rest.is_empty()) {
        return wrong("this path is not absolute", "an absolute path, or {mailbox.output} and perhaps a `/` after it");
    }
    if rest.split('/').any(|part| part == "." || part == "..") || rest.chars().any(char::is_control) {
        return wrong("this path has `.`, `..` or a control character in it", "plain folder names");
    }
    let folders: PathBuf = Path::new(rest).components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let depth = folders.components().count();
    let is_staging = folders.file_name().is_some_and(|name| name.eq_ignore_ascii_case("TEMP"));
    let is_at_root = if is_in_mailbox { depth == 0 } else { depth < 2 };
    match layout {
        Some(Layout::MeshFolder) if is_at_root || is_staging => wrong(
            "the folder of this layout lies in its root, beside TEMP",
            "a folder below the root and not TEMP, such as {mailbox.output}/IN",
        ),
        Some(Layout::MeshFolder | Layout::Folder) | None if is_in_mailbox => Some(FolderTemplate::Mailbox(folders)),
        Some(Layout::MeshFolder | Layout::Folder) | None => Some(FolderTemplate::Fixed(Path::new("/").join(folders))),
    }
}

pub(super) fn read_name(node: &Node<'_>, notes: &mut Notes<'_>) -> Option<Name> {
    node.parse(notes, "1 to 64 lower-case letters, digits, `_`, `.` or `-`", |text| Name::new(text).ok())
}
