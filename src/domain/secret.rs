//! Where a secret lies, never what it is.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a secret lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// `{ credential = "name" }`: a file of that name in `$CREDENTIALS_DIRECTORY`, put there by systemd.
    Credential(String),
    /// `{ file = "/path" }`: a file only its owner may read.
    File(PathBuf),
}

impl SecretRef {
    /// How one is written.
    pub const EXPECTED: &'static str = "`{ credential = \"name\" }` or `{ file = \"/path\" }`";

    /// A credential, if its name cannot leave the credentials directory.
    pub fn credential(name: &str) -> Option<Self> {
        let is_name = !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        is_name.then(|| Self::Credential(name.to_owned()))
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_not_names() {
        for name in ["", "..", "../shadow", "a/b", ".hidden"] {
            assert_eq!(SecretRef::credential(name), None, "{name}");
        }
        assert!(SecretRef::credential("meshd-age.identity_1").is_some());
    }
}
