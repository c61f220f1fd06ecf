//! Backups: what a running daemon keeps, as one sealed file, and a state directory made of it again.
//!
//! Whoever copies is not the daemon: it is asked to pin what is durable ([`crate::ports::store::Pin`]), goes on with its
//! work, and another process reads the pinned files. Nothing that was pinned leaves its place or changes meanwhile but
//! by growing, so the copy is the state at one record of the journal. Memory does not grow with what is copied, but for
//! the names in one folder.
//!
//! # What is in it
//!
//! One age file for the recipients named when it is made, none of which needs to be the service's. Inside it is a tar
//! archive (POSIX ustar; a name that does not fit has a GNU `L` entry before it), mode 0600, owner and times zero, so that
//! `age -d -i IDENTITY BACKUP | tar -x` needs no meshd. In this order:
//!
//! ```text
//! journal/<segment>.log[.gz]             up to the record that the manifest names
//! journal/<sequence>.checkpoint, .seen   what recovery reads besides
//! spool/volumes/<volume>.vol             sealed as they are
//! spool/chunks/<mailbox>/<message>/…     of messages taken over; what is on its way in MESH still has
//! outputs.json                           if there is one: which roots were set up
//! manifest.json                          last: a backup without it is not whole
//! ```
//!
//! # The manifest, version 1
//!
//! ```text
//! version   1
//! meshd     the version that made it
//! made      when, UTC
//! head      the journal's last record in it, as `meshd journal verify --against` takes it
//! sequence  that record's sequence
//! files     number of files before this one
//! bytes     their length together
//! sha256    of the archive up to the header of this file; lower-case hex
//! ```
//!
//! It does not hold the index, which is made again, nor any key: `keys.identity` and `keys.hmac` are kept elsewhere.

mod archive;
mod create;
mod manifest;
mod restore;
mod verify;

use std::io;
use std::path::PathBuf;

pub use self::create::{Source, create};
pub use self::manifest::Manifest;
pub use self::restore::{Restored, restore};
pub use self::verify::{Checked, verify};
use super::journal::verify::Broken;
use crate::ports::spool::SpoolError;
use crate::ports::store::Halt;

/// Piece in which files are copied, bytes.
const PIECE: usize = 256 * 1024;

/// Why a backup was not made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder did not do what it should.
    #[error("{doing} {}: {error}", .path.display())]
    Disk {
        /// As a verb phrase.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is not a backup, not whole, or not of this version.
    #[error("the backup does not read: {0}")]
    Unsound(String),
    /// No key opens it, one of the keys is not one, or the spool does not read.
    #[error(transparent)]
    Spool(SpoolError),
    /// The journal in it is not in order.
    #[error("the journal in the backup: {0}")]
    Journal(#[from] Broken),
    /// The later journal does not continue the one in the backup.
    #[error("the later journal: {0}")]
    Later(String),
    /// Something is where the state is to go.
    #[error("{0} is not empty: restore into a folder of its own")]
    Occupied(PathBuf),
}

impl From<Halt> for BackupError {
    fn from(halt: Halt) -> Self {
        Self::Unsound(halt.0)
    }
}

fn at(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.into();
    move |error| BackupError::Disk { doing, path, error }
}
