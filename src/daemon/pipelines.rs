//! The pipelines as files: read from their folder, then compiled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{Loaded, Mailbox, identities_at, read_bounded, toml_files};
use crate::domain::finding::Finding;
use crate::domain::ids::MailboxId;
use crate::pipeline::{MailboxOutputs, Pipelines};

/// Reads and compiles every pipeline and reads the keys they name, or says everything that is wrong with them.
pub(super) fn load_with_keys(loaded: &Loaded) -> Result<Pipelines, Vec<Finding>> {
    match examine(loaded) {
        (Some(pipelines), findings) if findings.is_empty() => Ok(pipelines),
        (_, findings) => Err(findings),
    }
}

/// Reads and compiles every pipeline, or says everything that is wrong with them. It touches no secret.
pub fn load(loaded: &Loaded) -> Result<Pipelines, Vec<Finding>> {
    let (files, findings) = read(loaded);
    if findings.is_empty() { Pipelines::compile(&files, &outputs(loaded)) } else { Err(findings) }
}

/// The pipelines that are sound by themselves, with the keys that could be read, and everything that is wrong.
pub fn examine(loaded: &Loaded) -> (Option<Pipelines>, Vec<Finding>) {
    let (files, mut findings) = read(loaded);
    if files.is_empty() {
        return (None, findings);
    }
    let (pipelines, wrong) = Pipelines::examine(&files, &outputs(loaded));
    let (pipelines, unreadable) = pipelines.with_keys(identities_at);
    findings.extend(wrong);
    findings.extend(unreadable);
    (Some(pipelines), findings)
}

/// The files that can be read, and those that cannot.
fn read(loaded: &Loaded) -> (Vec<(PathBuf, String)>, Vec<Finding>) {
    let folder = &loaded.config.pipelines.directory;
    let unreadable = |path: &PathBuf, error: std::io::Error| {
        loaded.finding("pipelines.directory", format!("{}: {error}", path.display()), "a readable folder of pipelines")
    };
    let paths = match toml_files(folder) {
        Ok(paths) => paths,
        Err(error) => return (Vec::new(), vec![unreadable(folder, error)]),
    };
    if paths.is_empty() {
        let problem = format!("{}: there is no pipeline", folder.display());
        return (Vec::new(), vec![loaded.finding("pipelines.directory", problem, "at least one *.toml in it")]);
    }
    let (mut files, mut findings) = (Vec::new(), Vec::new());
    for path in paths {
        match read_bounded(&path) {
            Ok(text) => files.push((path, text)),
            Err(error) => findings.push(unreadable(&path, error)),
        }
    }
    (files, findings)
}

fn outputs(loaded: &Loaded) -> BTreeMap<MailboxId, MailboxOutputs> {
    let outputs = |mailbox: &Mailbox| MailboxOutputs {
        output: mailbox.output.clone(),
        group: mailbox.group.clone(),
        mode: mailbox.mode.0,
        line_ends: mailbox.line_ends,
        waiting: mailbox.waiting,
    };
    loaded.nameable_mailboxes().map(|mailbox| (mailbox.id.clone(), outputs(mailbox))).collect()
}
