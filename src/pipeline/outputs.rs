//! `[[output]]`: where a pipeline's messages go, as written for every mailbox.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::MailboxOutputs;
use super::definition::read_name;
use super::matching::Facts;
use super::onward::{self, Onward};
use super::reading::{Keys, Node, Notes};
use crate::domain::fault::Fault;
use crate::domain::ids::{MailboxId, Name};
use crate::domain::output::{FolderPlan, Layout, OutputPlan, Transform, Unconsumed};
use crate::domain::quantity;

/// What `{mailbox.output}` in a path stands for is the mailbox's own output folder.
const MAILBOX_OUTPUT: &str = "{mailbox.output}";

/// The kinds of output.
const KINDS: [&str; 3] = ["mesh-folder", "folder", "mesh"];

/// An output as written, for every mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputTemplate {
    pub(super) name: Name,
    pub(super) line: usize,
    pub(super) target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Folder(Folder),
    Mesh(Onward),
}

/// A folder as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    layout: Layout,
    path: FolderTemplate,
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
    /// Where a message goes.
    pub(super) fn plan(
        &self,
        facts: &Facts<'_>,
        mailbox: &MailboxOutputs,
        payload: &[Transform],
    ) -> Result<OutputPlan, Fault> {
        Ok(match &self.target {
            Target::Folder(folder) => OutputPlan::Folder(folder.plan(&self.name, mailbox, payload)),
            Target::Mesh(onward) => OutputPlan::Mesh(onward.plan(&self.name, facts, payload)?),
        })
    }

    /// The folder of one mailbox, if it is one.
    pub(super) fn folder(&self, mailbox: &MailboxOutputs) -> Option<FolderPlan> {
        match &self.target {
            Target::Folder(folder) => Some(folder.plan(&self.name, mailbox, &[])),
            Target::Mesh(_) => None,
        }
    }

    /// The folder of one mailbox, and how much of it its consumer may leave; none for any amount.
    pub(super) fn waiting(&self, mailbox: &MailboxOutputs) -> Option<(FolderPlan, Unconsumed)> {
        match &self.target {
            Target::Folder(folder) => {
                Some((folder.plan(&self.name, mailbox, &[]), folder.waiting.or(mailbox.waiting)?))
            }
            Target::Mesh(_) => None,
        }
    }
}

impl Folder {
    /// In the place of an output that has a mistake.
    fn unread() -> Self {
        Self { layout: Layout::Folder, path: FolderTemplate::Fixed(PathBuf::new()), waiting: None }
    }

    fn plan(&self, name: &Name, mailbox: &MailboxOutputs, payload: &[Transform]) -> FolderPlan {
        let folder = match &self.path {
            FolderTemplate::Mailbox(rest) if rest.as_os_str().is_empty() => mailbox.output.clone(),
            FolderTemplate::Mailbox(rest) => mailbox.output.join(rest),
            FolderTemplate::Fixed(path) => path.clone(),
        };
        FolderPlan {
            name: name.clone(),
            layout: self.layout,
            line_ends: mailbox.line_ends,
            folder,
            group: mailbox.group.clone(),
            mode: mailbox.mode,
            payload: payload.to_vec(),
        }
    }
}

/// One with a name is there even if something else in it is wrong, so that nothing which names it is a mistake too.
pub(super) fn read_output(
    mut keys: Keys<'_>,
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Option<OutputTemplate> {
    let line = notes.line(&keys.at());
    let name = keys.required("name", "the output's name", notes).and_then(|node| read_name(&node, notes));
    let kind = keys.required("kind", "\"mesh-folder\", \"folder\" or \"mesh\"", notes).and_then(|node| {
        let text = node.text(notes)?;
        if !KINDS.contains(&text) {
            notes.unknown(&node.at(), &node.key, "this kind of output is not known", text, KINDS);
        }
        Some(text)
    });
    let target = match kind {
        Some("mesh") => onward::read(keys, mailboxes, notes).map(Target::Mesh),
        Some("mesh-folder") => Some(Target::Folder(read_folder(keys, Some(Layout::MeshFolder), notes))),
        Some("folder") => Some(Target::Folder(read_folder(keys, Some(Layout::Folder), notes))),
        Some(_) | None => Some(Target::Folder(read_folder(keys, None, notes))),
    };
    let unread = Target::Folder(Folder::unread());
    Some(OutputTemplate { name: name?, line, target: target.unwrap_or(unread) })
}

fn read_folder(mut keys: Keys<'_>, layout: Option<Layout>, notes: &mut Notes<'_>) -> Folder {
    let path = keys.required("path", "an absolute path, or one that begins with {mailbox.output}", notes);
    let path = path.and_then(|node| read_path(&node, layout, notes));
    let waiting = keys.optional("waiting").and_then(|node| Some(read_waiting(node.table(notes)?, notes)));
    keys.end(notes);
    match path {
        Some(path) => Folder { layout: layout.unwrap_or(Layout::Folder), path, waiting },
        None => Folder::unread(),
    }
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

fn read_path(node: &Node<'_>, layout: Option<Layout>, notes: &mut Notes<'_>) -> Option<FolderTemplate> {
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
