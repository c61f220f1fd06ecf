//! Files that commands write for whoever runs them.

use std::fs::{File, OpenOptions, remove_file};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::Failure;

/// Makes a file for its owner alone; one that is there is never written over.
pub(super) fn make(path: &Path) -> Result<File, Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    Ok(made.with_context(|| format!("make {}", path.display()))?)
}

/// Removes it again after a failure: half of it could pass for the whole.
pub(super) fn give_up(path: &Path, failure: Failure) -> Failure {
    match remove_file(path) {
        Ok(()) => failure,
        Err(error) => anyhow!("{failure}; and what was written of it stays, incomplete: {error}").into(),
    }
}
