//! Files that commands write for whoever runs them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, read_dir, remove_file, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::Failure;

/// The mode of a folder that nobody else may look into.
pub(super) const FOR_ITS_OWNER: u32 = 0o700;

/// Makes a folder for its owner alone, or takes one that is empty. Its parent must be there.
pub(super) fn folder(path: &Path) -> Result<(), Failure> {
    let named = || format!("make {}", path.display());
    match DirBuilder::new().mode(FOR_ITS_OWNER).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if read_dir(path).with_context(named)?.next().is_some() {
                return Err(anyhow!("{}: it is there, and not empty; name a new folder", path.display()).into());
            }
            Ok(set_permissions(path, Permissions::from_mode(FOR_ITS_OWNER)).with_context(named)?)
        }
        made => Ok(made.with_context(named)?),
    }
}

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
