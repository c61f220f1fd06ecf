//! The clear note beside a sealed chunk: that it is whole, and what it is, without a key.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::domain::digest::{ContentDigest, hex};
use crate::domain::recipient::RecipientTag;

/// The version this code writes.
const VERSION: u8 = 1;
/// No sidecar is longer, bytes: it has a fixed set of short fields, and 19 bytes for each recipient.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// What is known of one chunk without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sidecar {
    pub(super) version: u8,
    /// Which chunk, from 1.
    pub(super) number: u32,
    /// Of how many.
    pub(super) of: u32,
    /// Decoded length, bytes.
    pub(super) length: u64,
    /// Keyed digest of the decoded bytes.
    pub(super) digest: ContentDigest,
    /// The same with each key of before; absent if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) former: Vec<ContentDigest>,
    /// The names of the keys, the present one first; absent in sidecars of before they were named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<String>,
    /// The sealed chunk.
    pub(super) sealed: SealedFile,
    /// The sealed envelope; on the first chunk only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) envelope: Option<SealedFile>,
    /// For whom it is sealed; none where nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) recipients: Vec<RecipientTag>,
    /// The bytes are as MESH served them, for a dead letter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) as_served: bool,
}

/// What the bytes of a message on its way in are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `Content-Encoding` was undone.
    Decoded,
    /// As MESH served them.
    AsServed,
}

/// A sealed file as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SealedFile {
    /// Length, bytes.
    pub(super) length: u64,
    /// SHA-256, lower-case hex.
    pub(super) sha256: String,
}

/// The file is `{"chunk":<sidecar>,"crc32c":<number>}` and a line feed; the CRC32C is that of the sidecar's JSON as written.
const HEAD: &str = "{\"chunk\":";
const MIDDLE: &str = ",\"crc32c\":";
const END: &str = "}\n";

/// Why bytes are no sidecar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotASidecar {
    #[error("torn or damaged")]
    Damaged,
    #[error("of format {0}, which a newer release wrote")]
    Newer(u8),
}

impl Sidecar {
    pub(super) fn new(number: u32, of: u32, length: u64, digest: ContentDigest, sealed: SealedFile) -> Self {
        let (former, keys, envelope, recipients) = (Vec::new(), Vec::new(), None, Vec::new());
        Self {
            version: VERSION,
            number,
            of,
            length,
            digest,
            former,
            keys,
            sealed,
            envelope,
            recipients,
            as_served: false,
        }
    }

    pub(super) fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let chunk = serde_json::to_string(self)?;
        let crc = crc32c::crc32c(chunk.as_bytes());
        Ok(format!("{HEAD}{chunk}{MIDDLE}{crc}{END}").into_bytes())
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NotASidecar> {
        let chunk = checked(bytes).ok_or(NotASidecar::Damaged)?;
        #[derive(Deserialize)]
        struct Versioned {
            version: u8,
        }
        let Versioned { version } = serde_json::from_str(chunk).map_err(|_| NotASidecar::Damaged)?;
        if version != VERSION {
            return Err(NotASidecar::Newer(version));
        }
        serde_json::from_str(chunk).map_err(|_| NotASidecar::Damaged)
    }
}

/// The sidecar's JSON, if its CRC32C is right.
fn checked(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?.strip_prefix(HEAD)?.strip_suffix(END)?;
    let (chunk, crc) = text.rsplit_once(MIDDLE)?;
    (crc.parse() == Ok(crc32c::crc32c(chunk.as_bytes()))).then_some(chunk)
}

/// Length and SHA-256 of a stream, as it passes.
pub(super) struct Measure {
    length: u64,
    sha256: Context,
}

impl Measure {
    pub(super) fn new() -> Self {
        Self { length: 0, sha256: Context::new(&SHA256) }
    }

    pub(super) fn of(bytes: &[u8]) -> SealedFile {
        let mut measure = Self::new();
        measure.add(bytes);
        measure.finish()
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.sha256.update(bytes);
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn finish(self) -> SealedFile {
        SealedFile { length: self.length, sha256: hex(self.sha256.finish().as_ref()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sidecar {
        let mut sidecar = Sidecar::new(1, 3, 5, ContentDigest("ab".into()), Measure::of(b"sealed"));
        sidecar.envelope = Some(Measure::of(b"envelope"));
        sidecar
    }

    #[test]
    fn a_sidecar_reads_back() {
        let bytes = sample().to_bytes().unwrap();
        assert_eq!(Sidecar::parse(&bytes), Ok(sample()));
        assert!(bytes.len() < MAX_BYTES / 4);
    }

    #[test]
    fn a_torn_or_changed_sidecar_is_none() {
        let bytes = sample().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert_eq!(Sidecar::parse(&bytes[..length]), Err(NotASidecar::Damaged));
        }
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(Sidecar::parse(text.replace("\"of\":3", "\"of\":2").as_bytes()), Err(NotASidecar::Damaged));
    }

    #[test]
    fn a_newer_sidecar_is_named_as_such() {
        let mut newer = sample();
        newer.version = 2;
        assert_eq!(Sidecar::parse(&newer.to_bytes().unwrap()), Err(NotASidecar::Newer(2)));
    }
}
