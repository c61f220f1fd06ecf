//! Is the old client at work? It keeps lock files in `WorkPath` (mesh-client-files 2.1 and 9.4).

use std::fs::read_dir;
use std::io;
use std::path::{Path, PathBuf};

/// Assumption: how its lock files end; their names are not published.
const LOCKS: [&str; 2] = ["lock", "lck"];

/// The lock files in its folder, by name; `None` if there is no such folder on this machine.
pub(super) fn locks(work: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    let entries = match read_dir(work) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_lock = path.extension().is_some_and(|end| LOCKS.iter().any(|lock| end.eq_ignore_ascii_case(lock)));
        if is_lock {
            found.push(path);
        }
    }
    found.sort();
    Ok(Some(found))
}
