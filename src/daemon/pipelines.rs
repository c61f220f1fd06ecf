//! The pipelines as files: read from their folder, then compiled.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{Loaded, identities_at, read_bounded, toml_files};
use crate::domain::finding::Finding;
use crate::pipeline::{MailboxOutputs, Pipelines};

/// Reads and compiles every pipeline and reads the keys they name, or says everything that is wrong with them.
pub fn load_with_keys(loaded: &Loaded) -> Result<Pipelines, Vec<Finding>> {
    load(loaded)?.resolve(identities_at)
}

/// Reads and compiles every pipeline, or says everything that is wrong with them. It touches no secret.
pub fn load(loaded: &Loaded) -> Result<Pipelines, Vec<Finding>> {
    let folder = &loaded.config.pipelines.directory;
    let unreadable = |path: &PathBuf, error: std::io::Error| {
        loaded.finding("pipelines.directory", format!("{}: {error}", path.display()), "a readable folder of pipelines")
    };
    let paths = toml_files(folder).map_err(|error| vec![unreadable(folder, error)])?;
    if paths.is_empty() {
        let problem = format!("{}: there is no pipeline", folder.display());
        return Err(vec![loaded.finding("pipelines.directory", problem, "at least one *.toml in it")]);
    }
    let mut findings = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        match read_bounded(&path) {
            Ok(text) => files.push((path, text)),
            Err(error) => findings.push(unreadable(&path, error)),
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let mailboxes: BTreeMap<_, _> = loaded
        .config
        .mailboxes
        .iter()
        .map(|mailbox| {
            let outputs = MailboxOutputs {
                output: mailbox.output.clone(),
                group: mailbox.group.clone(),
                mode: mailbox.mode.0,
                waiting: mailbox.waiting,
            };
            (mailbox.id.clone(), outputs)
        })
        .collect();
    Pipelines::compile(&files, &mailboxes)
}
