//! What a command reads of the state itself, beside the daemon: may this user?

use std::io;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{Access, access};

use super::Failure;

/// Fails as not permitted if this user may not look into `folder`. One that is not there is for whoever reads it to tell.
pub(super) fn readable(folder: &Path) -> Result<(), Failure> {
    match access(folder, Access::READ_OK | Access::EXEC_OK).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(error).with_context(|| format!("look into {}", folder.display()))?
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
