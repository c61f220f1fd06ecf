//! Keyed digests: equal content can be recognised, small content cannot be guessed back.

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use serde::{Deserialize, Serialize};

use super::nhs_number::NhsNumber;

/// Before each NHS number that is signed. No header has a zero byte and no mailbox a space: nothing else signs alike.
const PATIENT: &[u8] = b"meshd nhs number\0";

/// There are no more keys of digests at a time, the present one among them.
pub const MOST_KEYS: usize = 4;

/// The journal's HMAC key, with those of before: what these digested is still recognised, and nothing new is digested
/// with them. It has no `Display`, and `Debug` prints nothing of it.
#[derive(Clone)]
pub struct DigestKey {
    key: hmac::Key,
    id: String,
    former: Arc<[DigestKey]>,
}

impl DigestKey {
    /// A key of 32 bytes or more.
    pub fn new(secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let id = hex(&hmac::sign(&key, b"meshd key id").as_ref()[..4]);
        Self { key, id, former: Arc::default() }
    }

    /// The same, which recognises what `former` ones digested.
    pub fn after(self, former: Vec<Self>) -> Self {
        Self { former: former.into(), ..self }
    }

    /// It, and then those of before.
    pub fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.former.iter())
    }

    /// The one of that name.
    pub fn named(&self, id: &str) -> Option<&Self> {
        self.each().find(|key| key.id == id)
    }

    /// Eight hex digits that name the key without revealing it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The keyed digest of an identifier, such as a local id.
    pub fn identify(&self, text: &str) -> ContentDigest {
        ContentDigest(hex(hmac::sign(&self.key, text.as_bytes()).as_ref()))
    }

    /// The keyed digest of an NHS number, which no other digest equals.
    pub fn patient(&self, number: &NhsNumber) -> ContentDigest {
        ContentDigest(hex(hmac::sign(&self.key, &[PATIENT, number.reveal()].concat()).as_ref()))
    }

    /// The keyed digests of an NHS number: with this key, and then with those of before.
    pub fn each_patient(&self, number: &NhsNumber) -> Vec<ContentDigest> {
        self.each().map(|key| key.patient(number)).collect()
    }

    /// The keyed digest of what `hasher` saw.
    pub fn sign(&self, hasher: Hasher) -> ContentDigest {
        self.sign_sum(&hasher.0.finish())
    }

    /// The keyed digests of what `hasher` saw: with this key, and then with those of before.
    pub fn sign_each(&self, hasher: Hasher) -> Vec<ContentDigest> {
        let sum = hasher.0.finish();
        self.each().map(|key| key.sign_sum(&sum)).collect()
    }

    fn sign_sum(&self, sum: &digest::Digest) -> ContentDigest {
        ContentDigest(hex(hmac::sign(&self.key, sum.as_ref()).as_ref()))
    }

    /// The keyed digest of `bytes`.
    pub fn of(&self, bytes: &[u8]) -> ContentDigest {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        self.sign(hasher)
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[key {}]", self.id)
    }
}

/// SHA-256 of a stream.
pub struct Hasher(digest::Context);

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// An empty stream.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The first 64 bits of the SHA-256 of what was seen, to tell our own words apart.
    pub(super) fn short(self) -> u64 {
        self.0.finish().as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// SHA-256 of what was seen, in lower-case hex.
    ///
    /// Only for what the operator's own output files say: a clear digest of small content can be guessed back.
    pub fn clear(&self) -> String {
        hex(self.0.clone().finish().as_ref())
    }
}

/// HMAC-SHA256 over the SHA-256 of some content, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentDigest(pub String);

impl ContentDigest {
    /// Whether it has the form of one.
    pub fn is_sound(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_content_has_equal_digests_under_one_key_only() {
        let (a, b) = (DigestKey::new(b"one"), DigestKey::new(b"two"));
        assert_eq!(a.of(b"hello"), a.of(b"hello"));
        assert_ne!(a.of(b"hello"), b.of(b"hello"));
        assert_ne!(a.id(), b.id());
    }

    #[test]
    fn a_patient_s_digest_equals_no_other_of_the_same_digits() {
        let (key, text) = (DigestKey::new(b"one"), "9990000018");
        let patient = key.patient(&text.parse().expect("its check digit is right"));
        assert_ne!(patient, key.identify(text));
        assert_ne!(patient, key.of(text.as_bytes()));
        assert_eq!(patient, key.patient(&"999 000 0018".parse().expect("the same")));
    }

    #[test]
    fn the_clear_digest_is_plain_sha_256() {
        let mut hasher = Hasher::new();
        hasher.update(b"abc");
        assert_eq!(hasher.clear(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_key_is_not_printed() {
        let key = DigestKey::new(b"secret");
        assert_eq!(format!("{key:?}"), format!("[key {}]", key.id()));
    }
}
