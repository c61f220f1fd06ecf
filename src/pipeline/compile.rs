//! From files to [`Pipelines`], with the checks that need more than one place to look at.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::definition::{self, Definition};
use super::keyring::Keyring;
use super::{MailboxOutputs, Pipeline, Pipelines, loops};
use crate::domain::digest::Hasher;
use crate::domain::finding::Finding;
use crate::domain::ids::MailboxId;
use crate::domain::output::{FolderPlan, Layout};

impl Pipelines {
    /// Compiles all files, or says everything that is wrong with them, by file and line.
    ///
    /// No file at all is a mistake too: every message would become a dead letter.
    pub fn compile(
        files: &[(PathBuf, String)],
        mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    ) -> Result<Self, Vec<Finding>> {
        let (pipelines, findings) = Self::examine(files, mailboxes);
        if findings.is_empty() { Ok(pipelines) } else { Err(findings) }
    }

    /// The same, with those that could be read beside all that is wrong: what they name can be looked at.
    pub fn examine(
        files: &[(PathBuf, String)],
        mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    ) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        if files.is_empty() {
            findings.push(finding(Path::new(""), None, "pipelines", "there is no pipeline", "at least one file"));
        }
        let mut read: Vec<Read<'_>> = Vec::new();
        for (file, text) in files {
            let definition = definition::read(file, text, mailboxes, &mut findings);
            read.extend(definition.map(|definition| Read { file, text, definition }));
        }
        for (place, later) in read.iter().enumerate() {
            check_outputs(later.file, &later.definition, mailboxes, &mut findings);
            for earlier in &read[..place] {
                check_pair(earlier, later, &mut findings);
            }
        }
        let definitions: Vec<_> = read.iter().map(|Read { file, definition, .. }| (*file, definition)).collect();
        loops::check(&definitions, mailboxes, &mut findings);
        findings.sort_by(|a, b| (&a.file, a.line, &a.key).cmp(&(&b.file, b.line, &b.key)));
        (Self::index(read, mailboxes.clone()), findings)
    }

    fn index(read: Vec<Read<'_>>, mailboxes: BTreeMap<MailboxId, MailboxOutputs>) -> Self {
        let mut exact: HashMap<String, Vec<usize>> = HashMap::new();
        let mut open = Vec::new();
        for (place, Read { definition: Definition { matching, .. }, .. }) in read.iter().enumerate() {
            let mut words: Vec<&str> = matching.workflow.iter().filter_map(|pattern| pattern.exact()).collect();
            if words.len() < matching.workflow.len() || matching.workflow.is_empty() {
                open.push(place);
            }
            words.sort_unstable();
            words.dedup();
            for word in words {
                exact.entry(word.into()).or_default().push(place);
            }
        }
        let compiled = |Read { file, text, definition }: Read<'_>| Pipeline {
            name: definition.name,
            file: file.into(),
            sha256: sha256(text),
            matching: definition.matching,
            limits: definition.limits,
            stages: definition.stages,
            outputs: definition.outputs,
            monitors: definition.monitors,
            cases: definition.cases,
            keys: Keyring::default(),
        };
        Self { pipelines: read.into_iter().map(compiled).collect(), exact, open, mailboxes, keys: Keyring::default() }
    }
}

/// One file, read by itself.
struct Read<'a> {
    file: &'a Path,
    text: &'a str,
    definition: Definition,
}

fn sha256(text: &str) -> String {
    let mut hasher = Hasher::new();
    hasher.update(text.as_bytes());
    hasher.clear()
}

/// Two pipelines need two names, and no message may fit both equally well.
fn check_pair(
    Read { file: earlier_file, definition: earlier, .. }: &Read<'_>,
    Read { file, definition: later, .. }: &Read<'_>,
    findings: &mut Vec<Finding>,
) {
    if earlier.name == later.name {
        let problem = format!("{} has this name already", earlier_file.display());
        findings.push(finding(file, Some(later.name_line), "name", &problem, "a name of its own"));
    }
    if earlier.matching.could_tie(&later.matching) {
        let problem = format!(
            "a message could fit this and {} (line {}) equally well",
            earlier_file.display(),
            earlier.match_line
        );
        findings.push(finding(file, Some(later.match_line), "match", &problem, "one of the two to be more specific"));
    }
}

/// Outputs need names of their own, and folders that never share a path for any one mailbox.
fn check_outputs(
    file: &Path,
    definition: &Definition,
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    findings: &mut Vec<Finding>,
) {
    for (place, output) in definition.outputs.iter().enumerate() {
        for earlier in &definition.outputs[..place] {
            let key = format!("output[{}]", place + 1);
            if earlier.name == output.name {
                let problem = format!("two outputs are named `{}`", output.name);
                findings.push(finding(file, Some(output.line), &format!("{key}.name"), &problem, "a name of its own"));
            }
            let shared =
                mailboxes.iter().find(|(_, mailbox)| share_a_path(earlier.folder(mailbox), output.folder(mailbox)));
            if let Some((mailbox, _)) = shared {
                let problem = format!(
                    "`{}` and `{}` (line {}) could write the same path for mailbox {mailbox}",
                    output.name, earlier.name, earlier.line
                );
                let expected = "folders of their own, in roots of their own for mesh-folder";
                findings.push(finding(file, Some(output.line), &format!("{key}.path"), &problem, expected));
            }
        }
    }
}

fn share_a_path(one: Option<FolderPlan>, other: Option<FolderPlan>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let (ours, theirs) = ([&one.folder, &staging(&one)], [&other.folder, &staging(&other)]);
    ours.iter().any(|path| theirs.contains(path))
}

/// Where a set is written before it is published.
fn staging(plan: &FolderPlan) -> PathBuf {
    match plan.layout {
        Layout::MeshFolder => plan.folder.with_file_name("TEMP"),
        Layout::Folder => plan.folder.join(".staging"),
    }
}

fn finding(file: &Path, line: Option<usize>, key: &str, problem: &str, expected: &str) -> Finding {
    Finding {
        file: file.into(),
        line,
        key: key.into(),
        problem: problem.into(),
        expected: expected.into(),
        did_you_mean: None,
    }
}
