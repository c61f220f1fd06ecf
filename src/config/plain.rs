//! Opening what an operator named: a plain file and nothing else, since a pipe would be waited for without end.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a plain file for reading; a link to one will do.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK the opening of a pipe waits for its writer; plain files ignore it.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a plain file")) }
}
