//! The second pass: what the references lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use age::x25519;
use secrecy::{ExposeSecret, SecretString};

use super::Loaded;
use super::secret::{SecretError, SecretRef};
use crate::domain::digest::DigestKey;
use crate::domain::finding::Finding;
use crate::domain::ids::MailboxId;

/// An HMAC key shorter than its digest weakens it.
const SHORTEST_HMAC_BYTES: usize = 32;

const NO_IDENTITY: &str = "there is no age identity, or a line that is none";

/// One of the ways to read what is referred to.
type Reading = fn(&SecretRef, Option<&Path>) -> Result<SecretString, SecretError>;

/// Everything secret but the TLS identity, which its adapter reads and watches itself.
#[derive(Debug)]
pub struct Secrets {
    /// The age identities that open payloads.
    pub identities: Vec<SecretString>,
    /// The key of keyed digests.
    pub hmac: DigestKey,
    /// The environment's shared key.
    pub shared_key: SecretString,
    /// Each mailbox's password.
    pub passwords: BTreeMap<MailboxId, SecretString>,
}

impl Loaded {
    /// Reads every secret that is soundly named. Nothing of any secret is in a finding.
    pub fn resolve(&self) -> Result<Secrets, Vec<Finding>> {
        let credentials = credentials();
        let mut findings = Vec::new();
        let mut read_as = |how: Reading, expected: &str, key: &str, reference: &SecretRef| {
            if !self.is_sound(key) {
                return None;
            }
            how(reference, credentials.as_deref())
                .map_err(|error| findings.push(self.finding(key, error.to_string(), expected)))
                .ok()
        };
        let config = &self.config;
        let mesh = config.mesh.as_ref();
        let certificate = mesh.and_then(|mesh| {
            read_as(SecretRef::read_public, "a file we can read", "mesh.client_certificate", &mesh.client_certificate)
        });
        let mut read =
            |key: &str, reference| read_as(SecretRef::read, "a secret that only we can read", key, reference);
        let identity = read("keys.identity", &config.keys.identity);
        let hmac = read("keys.hmac", &config.keys.hmac);
        let shared_key = mesh.and_then(|mesh| read("mesh.shared_key", &mesh.shared_key));
        let key = mesh.and_then(|mesh| read("mesh.client_key", &mesh.client_key));
        let passwords: BTreeMap<MailboxId, SecretString> = self
            .mailboxes()
            .filter_map(|(name, mailbox)| {
                let password = read(&format!("{name}.password"), &mailbox.password)?;
                Some((mailbox.id.clone(), password))
            })
            .collect();

        let identities = identity.map(|secret| self.identities(&secret, &mut findings));
        if let Some(secret) = &hmac
            && secret.expose_secret().len() < SHORTEST_HMAC_BYTES
        {
            findings.push(self.finding("keys.hmac", "this key is too short", "a key of `meshd keys generate --hmac`"));
        }
        match (identities, hmac, shared_key, certificate, key) {
            (Some(identities), Some(hmac), Some(shared_key), Some(_), Some(_)) if findings.is_empty() => {
                Ok(Secrets { identities, hmac: DigestKey::new(hmac.expose_secret().as_bytes()), shared_key, passwords })
            }
            _ => Err(findings),
        }
    }

    /// The key of keyed digests alone.
    pub fn digest_key(&self) -> Result<DigestKey, Vec<Finding>> {
        let expected = "a secret that only we can read";
        let secret = self.config.keys.hmac.read(credentials().as_deref());
        let secret = secret.map_err(|error| vec![self.finding("keys.hmac", error.to_string(), expected)])?;
        Ok(DigestKey::new(secret.expose_secret().as_bytes()))
    }

    /// The identities in an age key file; each mailbox must be sealed for at least one, or its mail could not be read.
    fn identities(&self, file: &SecretString, findings: &mut Vec<Finding>) -> Vec<SecretString> {
        let Some(identities) = age_identities(file) else {
            findings.push(self.finding("keys.identity", NO_IDENTITY, "a file of `meshd keys generate`"));
            return Vec::new();
        };
        let ours: BTreeSet<String> = identities.iter().map(|identity| identity.to_public().to_string()).collect();
        for (name, mailbox) in self.mailboxes() {
            let key = format!("{name}.recipients");
            if self.is_sound(&key) && !mailbox.recipients.iter().any(|recipient| ours.contains(recipient)) {
                let problem = "none of these belongs to keys.identity, so its mail could be kept but never opened";
                let expected = format!("{} among them", ours.iter().cloned().collect::<Vec<_>>().join(" or "));
                findings.push(self.finding(&key, problem, expected));
            }
        }
        identities.iter().map(x25519::Identity::to_string).collect()
    }
}

/// The age identities that lie at `reference`. Nothing of them is in the answer why not.
pub fn identities_at(reference: &SecretRef) -> Result<Vec<x25519::Identity>, String> {
    let secret = reference.read(credentials().as_deref()).map_err(|error| error.to_string())?;
    age_identities(&secret).ok_or_else(|| NO_IDENTITY.into())
}

/// Where systemd put the unit's credentials.
pub fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// The identities in an age key file: at least one, and nothing else but comments.
fn age_identities(file: &SecretString) -> Option<Vec<x25519::Identity>> {
    let lines = file.expose_secret().lines().map(str::trim);
    let secrets = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let identities: Vec<x25519::Identity> = secrets.map(|line| line.parse().ok()).collect::<Option<_>>()?;
    (!identities.is_empty()).then_some(identities)
}
