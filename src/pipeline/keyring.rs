//! The age identities that stages name, read once: at a start, and for `meshd check`.
//!
//! Compiling is pure and touches no secret. Until they are read nothing is decrypted, and mail that needs one is held:
//! a missing key is our configuration's fault, never the message's (I5).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use age::x25519::Identity;

use super::stages::Stage;
use super::stages::decrypt::Decrypt;
use super::{Pipeline, Pipelines};
use crate::domain::finding::Finding;
use crate::domain::secret::SecretRef;

/// Identities, by where they lie.
#[derive(Clone, Default)]
pub(super) struct Keyring(BTreeMap<SecretRef, Arc<[Identity]>>);

impl Keyring {
    /// Those that lie there, if they were read.
    pub(super) fn get(&self, reference: &SecretRef) -> Option<&Arc<[Identity]>> {
        self.0.get(reference)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} identities]", self.0.len())
    }
}

impl Pipelines {
    /// Reads every identity that a stage names, and says which cannot be had. `read` answers why not, without the secret.
    pub fn with_keys(mut self, read: impl Fn(&SecretRef) -> Result<Vec<Identity>, String>) -> (Self, Vec<Finding>) {
        let (mut keys, mut findings) = (BTreeMap::new(), Vec::new());
        for pipeline in &self.pipelines {
            for decrypt in pipeline.stages.iter().filter_map(named) {
                let reference = decrypt.identity();
                if keys.contains_key(reference) {
                    continue;
                }
                match read(reference) {
                    Ok(identities) => drop(keys.insert(reference.clone(), identities.into())),
                    Err(problem) => findings.push(finding(pipeline, decrypt, problem)),
                }
            }
        }
        self.keys = Keyring(keys);
        for pipeline in &mut self.pipelines {
            pipeline.keys = self.keys.clone();
        }
        (self, findings)
    }
}

fn named(stage: &Stage) -> Option<&Decrypt> {
    match stage {
        Stage::Decrypt(decrypt) => Some(decrypt),
        Stage::Decompress(_) | Stage::Discard(_) | Stage::Expect(_) | Stage::Route(_) => None,
    }
}

fn finding(pipeline: &Pipeline, decrypt: &Decrypt, problem: String) -> Finding {
    let (line, key) = decrypt.place();
    Finding {
        file: pipeline.file().into(),
        line: Some(line),
        key: key.into(),
        problem,
        expected: "a file of age identities that only we can read, as `meshd keys generate` makes it".into(),
        did_you_mean: None,
    }
}
