//! The last word of a backup.

use serde::{Deserialize, Serialize};

use super::BackupError;
use crate::store::journal::Head;

/// Its name in the archive.
pub(super) const NAME: &str = "manifest.json";

const VERSION: u32 = 1;

/// What a backup says of itself: see [`super`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    version: u32,
    /// The version of meshd that made it.
    pub meshd: String,
    /// When.
    pub made: String,
    /// The journal's last record in it.
    pub head: String,
    /// That record's sequence.
    pub sequence: u64,
    /// Number of files.
    pub files: u64,
    /// Their length together, bytes.
    pub bytes: u64,
    /// SHA-256 of the archive before this.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn new(made: String, head: String, sequence: u64, (files, bytes): (u64, u64), sha256: String) -> Self {
        Self { version: VERSION, meshd: env!("CARGO_PKG_VERSION").into(), made, head, sequence, files, bytes, sha256 }
    }

    /// Reads one, of this version.
    pub(super) fn parse(json: &[u8]) -> Result<Self, BackupError> {
        let unsound = |error: serde_json::Error| BackupError::Unsound(format!("its manifest: {error}"));
        let manifest: Self = serde_json::from_slice(json).map_err(unsound)?;
        if manifest.version != VERSION {
            let version = manifest.version;
            return Err(BackupError::Unsound(format!("it is of version {version}, expected {VERSION}")));
        }
        Ok(manifest)
    }

    /// The journal's last record in it.
    pub(super) fn head(&self) -> Result<Head, BackupError> {
        let head: Head = self.head.parse().map_err(|error| BackupError::Unsound(format!("its head: {error}")))?;
        if head.sequence == self.sequence { Ok(head) } else { Err(BackupError::Unsound("its head".into())) }
    }
}
