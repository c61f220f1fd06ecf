//! Secrets by reference: the configuration says where a secret lies, never what it is.
//!
//! A file that its group or anyone may read is refused, unless what is in it is public; so is one that is not a plain
//! file.
//! What is read has no `Display`, and `Debug` prints `[REDACTED]`.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::document::{Node, Value};
use super::plain;
use super::read::{Keys, Notes, Setting};
pub use crate::domain::secret::SecretRef;

/// No secret is longer than this many bytes; certificates with their chain included.
const LONGEST: u64 = 1 << 20;

/// Why a secret cannot be had. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A credential was named outside a unit.
    #[error("systemd gave no credentials: `CREDENTIALS_DIRECTORY` is not set")]
    NoCredentials,
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Others may read it.
    #[error("{path}: others may read it (mode {mode:04o})")]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Neither text nor of a sensible length.
    #[error("{path}: {problem}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl SecretRef {
    /// The file it refers to.
    pub fn path(&self, credentials: Option<&Path>) -> Result<PathBuf, SecretError> {
        match (self, credentials) {
            (Self::File(path), _) => Ok(path.clone()),
            (Self::Credential(name), Some(directory)) => Ok(directory.join(name)),
            (Self::Credential(_), None) => Err(SecretError::NoCredentials),
        }
    }

    /// The secret, without the line end after it.
    pub fn read(&self, credentials: Option<&Path>) -> Result<SecretString, SecretError> {
        let others = match self {
            Self::File(_) => 0o077,
            // systemd gives the unit's user access through an ACL, whose mask shows in the group's bits.
            Self::Credential(_) => 0o007,
        };
        self.read_unless(others, credentials)
    }

    /// What is referred to like a secret and is none, such as a certificate: anyone may read it.
    pub fn read_public(&self, credentials: Option<&Path>) -> Result<SecretString, SecretError> {
        self.read_unless(0, credentials)
    }

    /// What is there, unless its mode has one of the bits `others`.
    fn read_unless(&self, others: u32, credentials: Option<&Path>) -> Result<SecretString, SecretError> {
        let path = self.path(credentials)?;
        let unreadable = |error| SecretError::Unreadable { path: path.clone(), error };
        let file = plain::open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let mode = metadata.mode() & 0o777;
        if mode & others != 0 {
            return Err(SecretError::Exposed { path, mode });
        }
        // Room for all of it at once, so that no reallocation leaves a copy behind.
        let room = usize::try_from(metadata.len().min(LONGEST)).unwrap_or_default() + 1;
        let mut text = Zeroizing::new(String::with_capacity(room));
        file.take(LONGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > LONGEST {
            return Err(SecretError::Unusable { path, problem: "it is longer than 1 MiB" });
        }
        let trimmed = text.trim_end_matches(['\n', '\r']);
        if trimmed.is_empty() {
            return Err(SecretError::Unusable { path, problem: "it is empty" });
        }
        Ok(SecretString::from(trimmed))
    }
}

impl Setting for SecretRef {
    const EXPECTED: &'static str = Self::EXPECTED;

    fn schema() -> Json {
        json!({ "oneOf": [one_key("credential"), one_key("file")] })
    }

    fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self> {
        if !matches!(node.value, Value::Table(_)) {
            notes.find(key, "a secret is never written here", Self::EXPECTED);
            return None;
        }
        let before = notes.findings.len();
        let mut keys = Keys::of(key, Some(node.clone()), notes);
        let credential: Option<String> = keys.optional("credential");
        let file: Option<PathBuf> = keys.optional("file");
        keys.end();
        match (credential, file) {
            (Some(name), None) => {
                let credential = Self::credential(&name);
                if credential.is_none() {
                    notes.find(key, "this is not a credential's name", "letters, digits, `_`, `.` or `-`");
                }
                credential
            }
            (None, Some(path)) => Some(Self::File(path)),
            // What is written and wrong has its own finding.
            (None, None) if notes.findings.len() > before => None,
            (None, None) | (Some(_), Some(_)) => {
                notes.find(key, "exactly one reference is needed", Self::EXPECTED);
                None
            }
        }
    }
}

/// The schema of a table with this key alone, a string.
pub(super) fn one_key(key: &str) -> Json {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": [key],
        "properties": { key: { "type": "string" } },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn secret(directory: &Path, text: &str, mode: u32) -> SecretRef {
        let path = directory.join("secret");
        std::fs::write(&path, text).expect("a temporary folder is writable");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("our own file");
        SecretRef::File(path)
    }

    #[test]
    fn a_secret_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let read = secret(folder.path(), "hunter2\n", 0o600).read(None).expect("it is ours alone");
        assert_eq!(read.expose_secret(), "hunter2");
        assert!(!format!("{read:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for mode in [0o640, 0o604, 0o660, 0o644] {
            let error = secret(folder.path(), "hunter2", mode).read(None).expect_err("others may read it");
            assert!(matches!(error, SecretError::Exposed { .. }), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn what_is_public_may_have_any_mode() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let public = secret(folder.path(), "a certificate", 0o644);
        assert_eq!(public.read_public(None).expect("it is readable").expose_secret(), "a certificate");
    }

    #[test]
    fn a_credential_comes_from_systemd_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("mesh-key");
        std::fs::write(&path, "k").expect("a temporary folder is writable");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o440)).expect("our own file");
        let credential = SecretRef::Credential("mesh-key".into());
        assert_eq!(credential.read(Some(folder.path())).expect("it is there").expose_secret(), "k");
        assert!(matches!(credential.read(None), Err(SecretError::NoCredentials)));
    }
}
