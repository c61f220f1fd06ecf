//! The second pass: what the references lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use age::x25519;
use secrecy::{ExposeSecret, SecretString};

use super::Loaded;
use super::secret::{SecretError, SecretRef};
use crate::domain::digest::{DigestKey, MOST_KEYS};
use crate::domain::finding::Finding;
use crate::domain::ids::MailboxId;
use crate::domain::recipient::Holder;

/// An HMAC key shorter than its digest weakens it.
const SHORTEST_HMAC_BYTES: usize = 32;

const NO_IDENTITY: &str = "there is no age identity, or a line that is none";
const IDENTITY_FILE: &str = "a file of `meshd keys generate`";

const IDENTITY: &str = "keys.identity";
const RETIRED: &str = "keys.retired_identities";
const HMAC: &str = "keys.hmac";
const RETIRED_HMAC: &str = "keys.retired_hmac";

/// More former keys would make every look at what the journal knows as many times longer.
const MOST_RETIRED_HMAC: usize = MOST_KEYS - 1;

/// One of the ways to read what is referred to.
type Reading = fn(&SecretRef, Option<&Path>) -> Result<SecretString, SecretError>;

/// Everything secret but the TLS identity, which its adapter reads and watches itself.
#[derive(Debug)]
pub struct Secrets {
    /// The age identities that open payloads, the current ones first.
    pub identities: Vec<SecretString>,
    /// Whose they are, in the same order.
    pub holders: Vec<Holder>,
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
        let identity = read(IDENTITY, &config.keys.identity);
        let retired = config.keys.retired_identities.iter();
        let retired: Vec<_> = retired.map(|retired| (retired, read(RETIRED, retired))).collect();
        let hmac = read(HMAC, &config.keys.hmac);
        let former: Vec<_> = config.keys.retired_hmac.iter().filter_map(|former| read(RETIRED_HMAC, former)).collect();
        let shared_key = mesh.and_then(|mesh| read("mesh.shared_key", &mesh.shared_key));
        let key = mesh.and_then(|mesh| read("mesh.client_key", &mesh.client_key));
        let passwords: BTreeMap<MailboxId, SecretString> = self
            .mailboxes()
            .filter_map(|(name, mailbox)| {
                let password = read(&format!("{name}.password"), &mailbox.password)?;
                Some((mailbox.id.clone(), password))
            })
            .collect();

        let keyring = identity.map(|secret| self.keyring(&secret, &retired, &mut findings));
        let hmac = hmac.and_then(|hmac| self.digest_keys(&hmac, &former, &mut findings));
        match (keyring, hmac, shared_key, certificate, key) {
            (Some(keyring), Some(hmac), Some(shared_key), Some(_), Some(_)) if findings.is_empty() => {
                let (holders, identities) = keyring.into_iter().unzip();
                Ok(Secrets { identities, holders, hmac, shared_key, passwords })
            }
            _ => Err(findings),
        }
    }

    /// The identities alone, the current ones first.
    pub fn identities(&self) -> Result<Vec<SecretString>, Vec<Finding>> {
        let keys = &self.config.keys;
        let mut findings = Vec::new();
        let mut read = |key: &str, reference: &SecretRef| {
            let found = identities_at(reference);
            let found = found.map_err(|problem| format!("{reference}: {problem}"));
            found.map_err(|problem| findings.push(self.finding(key, problem, IDENTITY_FILE))).unwrap_or_default()
        };
        let mut found = read(IDENTITY, &keys.identity);
        for retired in &keys.retired_identities {
            found.extend(read(RETIRED, retired));
        }
        if findings.is_empty() { Ok(found.iter().map(x25519::Identity::to_string).collect()) } else { Err(findings) }
    }

    /// The key of keyed digests alone, with those of before.
    pub fn digest_key(&self) -> Result<DigestKey, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut read = |key: &str, reference: &SecretRef| {
            let secret = reference.read(credentials().as_deref());
            let failed = |error: SecretError| self.finding(key, error.to_string(), "a secret that only we can read");
            secret.map_err(|error| findings.push(failed(error))).ok()
        };
        let keys = &self.config.keys;
        let hmac = read(HMAC, &keys.hmac);
        let former: Vec<_> = keys.retired_hmac.iter().filter_map(|former| read(RETIRED_HMAC, former)).collect();
        let key = hmac.and_then(|hmac| self.digest_keys(&hmac, &former, &mut findings));
        key.filter(|_| findings.is_empty()).ok_or(findings)
    }

    /// The key of keyed digests, with those of before; each of its own, or nobody could say which is which.
    fn digest_keys(
        &self,
        hmac: &SecretString,
        former: &[SecretString],
        findings: &mut Vec<Finding>,
    ) -> Option<DigestKey> {
        let mut keys: Vec<DigestKey> = Vec::new();
        for (name, secret) in std::iter::once((HMAC, hmac)).chain(former.iter().map(|secret| (RETIRED_HMAC, secret))) {
            let bytes = secret.expose_secret().as_bytes();
            let key = DigestKey::new(bytes);
            if bytes.len() < SHORTEST_HMAC_BYTES {
                findings.push(self.finding(name, "this key is too short", "a key of `meshd keys generate --hmac`"));
            }
            if keys.iter().any(|other| other.id() == key.id()) {
                let problem = format!("the same key is here, or in {HMAC}, as well");
                findings.push(self.finding(name, problem, "each key once"));
            }
            keys.push(key);
        }
        if former.len() > MOST_RETIRED_HMAC {
            let problem = format!("these are {} keys", former.len());
            findings.push(self.finding(RETIRED_HMAC, problem, format!("at most {MOST_RETIRED_HMAC}")));
        }
        let mut keys = keys.into_iter();
        keys.next().map(|key| key.after(keys.collect()))
    }

    /// The identities in the files, with whose they are. Each mailbox must be sealed for a current one, or its mail
    /// could not be read once the retired ones are gone; and for no retired one, or these would never be.
    fn keyring(
        &self,
        current: &SecretString,
        retired: &[(&SecretRef, Option<SecretString>)],
        findings: &mut Vec<Finding>,
    ) -> Vec<(Holder, SecretString)> {
        let mut keyring = Vec::new();
        let mut take = |key: &str, reference: &SecretRef, file: &SecretString, is_retired| {
            let Some(identities) = age_identities(file) else {
                findings.push(self.finding(key, format!("{reference}: {NO_IDENTITY}"), IDENTITY_FILE));
                return false;
            };
            keyring.extend(identities.iter().map(|identity| {
                let recipient = identity.to_public().to_string();
                (Holder { key: key.to_owned(), recipient, is_retired }, identity.to_string())
            }));
            true
        };
        if !take(IDENTITY, &self.config.keys.identity, current, false) {
            return Vec::new();
        }
        for (reference, file) in retired {
            if let Some(file) = file {
                take(RETIRED, reference, file, true);
            }
        }
        let (retired, ours): (Vec<_>, Vec<_>) = keyring.iter().map(|(holder, _)| holder).partition(|of| of.is_retired);
        let holds = |holders: &[&Holder], recipient: &str| holders.iter().any(|holder| holder.recipient == recipient);
        for holder in &retired {
            if holds(&ours, &holder.recipient) {
                let problem = format!("the identity of {} is in keys.identity as well", holder.recipient);
                findings.push(self.finding(RETIRED, problem, "each identity in one of the two"));
            }
        }
        for (name, mailbox) in self.mailboxes() {
            let key = format!("{name}.recipients");
            if !self.is_sound(&key) {
                continue;
            }
            if !mailbox.recipients.iter().any(|recipient| holds(&ours, recipient)) {
                let problem = "none of these belongs to keys.identity, so its mail could be kept but never opened";
                let ours: BTreeSet<_> = ours.iter().map(|holder| holder.recipient.as_str()).collect();
                let expected = format!("{} among them", ours.into_iter().collect::<Vec<_>>().join(" or "));
                findings.push(self.finding(&key, problem, expected));
            }
            for (place, _) in (1..).zip(&mailbox.recipients).filter(|(_, recipient)| holds(&retired, recipient)) {
                let problem = format!("number {place} belongs to an identity of keys.retired_identities");
                findings.push(self.finding(&key, problem, "recipients that mail is to be sealed for from now on"));
            }
        }
        keyring
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
