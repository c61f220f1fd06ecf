//! `use = "decrypt"`: a payload that is an age file is published as what is sealed in it.
//!
//! ```toml
//! use = "decrypt"
//! identity = { credential = "partner-identity" }    # or { file = "/path" }
//! ```
//!
//! What is not an age file passes untouched, unless the stage says `required = true`; then it is a dead letter, as is one
//! that is sealed for another key or is damaged. `max_bytes` (1 GB) bounds what comes out. The ASCII form is not read.

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::output::Transform;
use crate::domain::quantity;
use crate::domain::secret::SecretRef;
use crate::pipeline::keyring::Keyring;
use crate::pipeline::message::Message;
use crate::pipeline::reading::{Keys, Notes};
use crate::pipeline::transform::{USUAL_MAX_BYTES, decrypt, start};

/// By which key, within which limit, and whether everything must be an age file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Decrypt {
    identity: SecretRef,
    /// Line and key, where that is written.
    place: (usize, String),
    max_bytes: u64,
    is_required: bool,
}

impl Decrypt {
    /// Where the identity lies.
    pub(in crate::pipeline) fn identity(&self) -> &SecretRef {
        &self.identity
    }

    /// Line and key, where that is written.
    pub(in crate::pipeline) fn place(&self) -> (usize, &str) {
        (self.place.0, &self.place.1)
    }

    /// Opens the payload if it starts as an age file.
    pub(in crate::pipeline) fn work(&self, message: &mut Message<'_>, keys: &Keyring) -> Result<(), Fault> {
        let is_sealed = start(message.payload()?, decrypt::MAGIC.len())? == decrypt::MAGIC;
        if is_sealed {
            let (identity, max_bytes) = (self.identity.clone(), self.max_bytes);
            return message.transform(Transform::Decrypt { identity, max_bytes }, keys);
        }
        if self.is_required {
            Err(Fault::message(FaultCode::MsgNotDecryptable, "it is not an age file"))
        } else {
            Ok(())
        }
    }
}

/// Reads `identity`, `max_bytes` and `required`.
pub(super) fn read(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Option<Decrypt> {
    let identity = keys.required("identity", SecretRef::EXPECTED, notes).and_then(|node| {
        let mut reference = node.table(notes)?;
        let credential = reference.optional("credential").map(|node| {
            node.parse(notes, "a credential's name: letters, digits, `_`, `.` or `-`", SecretRef::credential)
        });
        let file = reference.optional("file").map(|node| {
            node.parse(notes, "an absolute path", |text| text.starts_with('/').then(|| SecretRef::File(text.into())))
        });
        reference.end(notes);
        if credential.is_some() == file.is_some() {
            notes.mistake(&node.at(), &node.key, "exactly one reference is needed", SecretRef::EXPECTED);
            return None;
        }
        Some((credential.or(file)??, (notes.line(&node.at()), node.key)))
    });
    let max_bytes = keys.optional("max_bytes").and_then(|node| node.parse(notes, quantity::BYTES, quantity::bytes));
    let is_required = keys.optional("required").is_some_and(|node| node.claim(notes));
    keys.end(notes);
    let (identity, place) = identity?;
    Some(Decrypt { identity, place, max_bytes: max_bytes.unwrap_or(USUAL_MAX_BYTES), is_required })
}
