//! Archives that commands seal for somebody: opened as they open them, with the usual tar.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use age::x25519::Identity;

/// The members, by name; none if it is not sealed for this key.
pub(crate) fn opened(file: &Path, identity: &Identity) -> Option<BTreeMap<String, Vec<u8>>> {
    let sealed = age::Decryptor::new(File::open(file).expect("it was written")).expect("an age file");
    let mut clear = sealed.decrypt(std::iter::once(identity as &dyn age::Identity)).ok()?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--directory"]).arg(folder.path()).stdin(Stdio::piped());
    let mut tar = tar.spawn().expect("the usual tar");
    std::io::copy(&mut clear, tar.stdin.as_mut().expect("a pipe")).expect("a whole age file");
    assert!(tar.wait_with_output().expect("it ends").status.success());
    let entries = |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files =
        entries(folder.path()).flat_map(|path| if path.is_dir() { entries(&path).collect() } else { vec![path] });
    let name = |path: &Path| path.strip_prefix(&folder).expect("below it").display().to_string();
    Some(files.map(|path| (name(&path), fs::read(&path).expect("a member"))).collect())
}
