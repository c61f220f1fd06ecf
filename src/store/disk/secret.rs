//! Key files of our own making.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Real;
use crate::domain::step::Step;
use crate::ports::disk::Disk;

/// Makes a new file that only its owner reads. Durable on return: what it seals must not outlive it.
///
/// It is never readable by others, not even for a moment, and never takes the place of another file.
pub fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    let disk = Real::new();
    disk.open(path)?.sync(Step::StateDirectory)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    disk.sync_folder(Step::StateDirectory, folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_ours_alone_and_never_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("identity");
        write_secret(&path, "one").expect("it is new");
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        write_secret(&path, "two").expect_err("it is there already");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "one");
    }
}
