//! What a simulated message holds: fixed bytes, nothing, or a pattern of up to 100 GB made while it is served.
//!
//! A pattern costs the same memory whatever its length: every piece of it is a slice of one shared block.

use std::io::{Read, Write};
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::SimulatorError;
use crate::domain::digest::hex;

/// The largest body of one request (mesh-api 8; section 16 chooses MB over MiB).
pub const LARGEST_BODY: u64 = 100_000_000;
/// The largest message (mesh-api 8).
pub const LARGEST_MESSAGE: u64 = 100_000_000_000;

/// The largest message that is gzipped when it is made: it is in memory whole.
const LARGEST_GZIPPED: u64 = 64_000_000;

/// The content of one message, chunk by chunk.
#[derive(Debug)]
pub enum Payload {
    /// No body and no chunks: a report (mesh-api 7.3).
    Nothing,
    /// One part per chunk.
    Fixed(Vec<Part>),
    /// Made while it is served.
    Generated {
        /// The bytes.
        pattern: Pattern,
        /// Length of every chunk but the last.
        chunk_bytes: u64,
    },
}

impl Payload {
    /// One chunk, served plain unless the client offers gzip and the simulator transcodes.
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Self::Fixed(vec![Part::plain(bytes)])
    }

    /// One chunk, kept gzip-encoded.
    pub fn gzip(bytes: &[u8]) -> Result<Self, SimulatorError> {
        Ok(Self::Fixed(vec![Part::gzip(bytes)?]))
    }

    /// `length` bytes of `seed`'s pattern in chunks of `chunk_bytes`; refuses what MESH would.
    pub fn generated(seed: u64, length: u64, chunk_bytes: u64) -> Result<Self, SimulatorError> {
        check_size(length, chunk_bytes, LARGEST_MESSAGE)?;
        Ok(Self::Generated { pattern: Pattern { seed, length }, chunk_bytes })
    }

    /// The same bytes, each chunk gzipped on its own, and kept so: all of it in memory.
    pub fn generated_gzip(seed: u64, length: u64, chunk_bytes: u64) -> Result<Self, SimulatorError> {
        check_size(length, chunk_bytes, LARGEST_GZIPPED)?;
        let pattern = Pattern { seed, length };
        let chunk = |n: u64| Part::gzip(&pattern.bytes(n * chunk_bytes, ((n + 1) * chunk_bytes).min(length)));
        Ok(Self::Fixed((0..length.div_ceil(chunk_bytes)).map(chunk).collect::<Result<_, _>>()?))
    }

    /// Number of chunks; 0 for a report.
    pub fn chunks(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Fixed(parts) => parts.len() as u64,
            Self::Generated { pattern, chunk_bytes } => pattern.length.div_ceil(*chunk_bytes),
        }
    }

    /// Decoded length of all chunks; `None` if a part declared gzip is not.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Nothing => Some(0),
            Self::Fixed(parts) => parts.iter().map(|part| part.decoded().map(|bytes| bytes.len() as u64)).sum(),
            Self::Generated { pattern, .. } => Some(pattern.length),
        }
    }

    /// SHA-256 over the decoded chunks in lower-case hex; `None` if a part declared gzip is not.
    ///
    /// Blocks: about a second per gigabyte of a pattern.
    pub fn sha256(&self) -> Option<String> {
        let mut hasher = Sha256::default();
        match self {
            Self::Nothing => {}
            Self::Fixed(parts) => {
                for part in parts {
                    hasher.update(&part.decoded()?);
                }
            }
            Self::Generated { pattern, .. } => pattern.each_piece(|piece| hasher.update(piece)),
        }
        Some(hasher.hex())
    }
}

fn check_size(length: u64, chunk_bytes: u64, limit: u64) -> Result<(), SimulatorError> {
    if length == 0 || length > limit || chunk_bytes == 0 || chunk_bytes > LARGEST_BODY {
        return Err(SimulatorError::Size { length, chunk_bytes });
    }
    Ok(())
}

/// One chunk of fixed bytes. Its other encoding is made when first asked for, and kept.
#[derive(Debug)]
pub struct Part {
    stored: Bytes,
    is_gzip: bool,
    other: OnceLock<Option<Bytes>>,
}

impl Part {
    /// Kept as it is.
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Self::stored(bytes.into(), false)
    }

    /// Compressed, and kept so.
    pub fn gzip(bytes: &[u8]) -> Result<Self, SimulatorError> {
        Ok(Self::stored(compress(bytes)?, true))
    }

    /// Bytes a sender declared to be gzip or not, unchecked, as MESH keeps them (mesh-api 8).
    pub fn stored(stored: Bytes, is_gzip: bool) -> Self {
        Self { stored, is_gzip, other: OnceLock::new() }
    }

    /// The encoded bytes and whether they are gzip; `None` where decoding was due and failed (mesh-api 8, table).
    pub(super) fn served(&self, gzip_offered: bool, transcode: bool) -> Option<(Bytes, bool)> {
        match (self.is_gzip, gzip_offered) {
            (true, true) => Some((self.stored.clone(), true)),
            (true, false) => self.decoded().map(|bytes| (bytes, false)),
            (false, true) if transcode => {
                self.other.get_or_init(|| compress(&self.stored).ok()).clone().map(|bytes| (bytes, true))
            }
            (false, _) => Some((self.stored.clone(), false)),
        }
    }

    /// The bytes without their encoding; `None` if they are declared gzip and are not.
    pub fn decoded(&self) -> Option<Bytes> {
        if !self.is_gzip {
            return Some(self.stored.clone());
        }
        self.other
            .get_or_init(|| {
                let mut plain = Vec::new();
                let mut reader = MultiGzDecoder::new(&*self.stored).take(LARGEST_BODY * 20);
                reader.read_to_end(&mut plain).ok().map(|_| plain.into())
            })
            .clone()
    }
}

/// gzip of `bytes`, fast rather than small.
pub fn compress(bytes: &[u8]) -> Result<Bytes, SimulatorError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.into())
}

/// gzip of so many zero bytes, as small as it gets: about a thousandth.
pub(super) fn compressed_zeros(length: u64) -> Result<Bytes, SimulatorError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    std::io::copy(&mut std::io::repeat(0).take(length), &mut encoder)?;
    Ok(encoder.finish()?.into())
}

/// Bytes that follow from a seed and a length.
///
/// The first 16 are the seed in hex, so that equal messages are told apart.
/// Then come blocks of 64 KiB, each the same random block turned by an amount that follows from seed and place:
/// a swapped, repeated or missing block changes the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Which pattern.
    pub seed: u64,
    /// In bytes.
    pub length: u64,
}

const BLOCK: usize = 64 * 1024;
const STAMP: u64 = 16;

impl Pattern {
    /// Bytes from `offset` on: at least one and at most `limit`, none from the end on. Does not copy.
    pub fn piece(&self, offset: u64, limit: u64) -> Bytes {
        let left = limit.min(self.length.saturating_sub(offset));
        if left == 0 {
            return Bytes::new();
        }
        if offset < STAMP {
            let stamp = Bytes::from(format!("{:016x}", self.seed));
            let end = STAMP.min(offset + left);
            return stamp.slice(offset as usize..end as usize);
        }
        let within = (offset % BLOCK as u64) as usize;
        let turn = (mix(self.seed ^ mix(offset / BLOCK as u64)) % BLOCK as u64) as usize;
        let take = (BLOCK - within).min(usize::try_from(left).unwrap_or(BLOCK));
        shared_block().slice(turn + within..turn + within + take)
    }

    /// All bytes of a range, copied into one piece: for what fits in memory easily.
    pub fn bytes(&self, from: u64, to: u64) -> Bytes {
        let mut all = Vec::with_capacity((to - from) as usize);
        let mut at = from;
        while at < to.min(self.length) {
            let piece = self.piece(at, to - at);
            at += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
        all.into()
    }

    fn each_piece(&self, mut visit: impl FnMut(&[u8])) {
        let mut at = 0;
        while at < self.length {
            let piece = self.piece(at, u64::MAX);
            at += piece.len() as u64;
            visit(&piece);
        }
    }
}

/// The random block twice in a row, so that any turn of it is one slice.
fn shared_block() -> &'static Bytes {
    static BLOCKS: OnceLock<Bytes> = OnceLock::new();
    BLOCKS.get_or_init(|| {
        let once: Vec<u8> = (0..BLOCK as u64 / 8).flat_map(|i| mix(i).to_le_bytes()).collect();
        [once.as_slice(), once.as_slice()].concat().into()
    })
}

/// One step of SplitMix64: a number that looks random and follows from `x`.
pub(super) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// SHA-256 in the clear: synthetic content may be compared openly.
pub(super) struct Sha256(aws_lc_rs::digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256))
    }
}

impl Sha256 {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn hex(self) -> String {
        hex(self.0.finish().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reads_the_same_from_any_offset() {
        let pattern = Pattern { seed: 7, length: 3 * BLOCK as u64 + 5 };
        let whole = pattern.bytes(0, pattern.length);
        assert_eq!(whole.len() as u64, pattern.length);
        for (from, to) in [(0, 1), (5, 40), (16, 17), (65_530, 65_550), (131_000, 196_613)] {
            assert_eq!(pattern.bytes(from, to), whole.slice(from as usize..to as usize), "{from}..{to}");
        }
        let mut hasher = Sha256::default();
        hasher.update(&whole);
        let payload = Payload::generated(7, pattern.length, 1000).expect("within the limits");
        assert_eq!(payload.sha256(), Some(hasher.hex()));
        assert_eq!((payload.chunks(), payload.length()), (197, Some(pattern.length)));
    }

    #[test]
    fn a_gzipped_pattern_holds_the_same_bytes() {
        let plain = Payload::generated(7, 250, 100).expect("within the limits");
        let gzip = Payload::generated_gzip(7, 250, 100).expect("within the limits");
        assert_eq!((gzip.chunks(), gzip.length(), gzip.sha256()), (3, Some(250), plain.sha256()));
    }

    #[test]
    fn blocks_differ_by_place_and_seed() {
        let (a, b) = (Pattern { seed: 1, length: 1 << 20 }, Pattern { seed: 2, length: 1 << 20 });
        let block = BLOCK as u64;
        assert_ne!(a.bytes(block, block + 64), a.bytes(2 * block, 2 * block + 64));
        assert_ne!(a.bytes(block, block + 64), b.bytes(block, block + 64));
        assert_ne!(a.bytes(0, 16), b.bytes(0, 16));
    }

    #[test]
    fn what_mesh_would_refuse_cannot_be_generated() {
        assert!(Payload::generated(1, 0, 10).is_err());
        assert!(Payload::generated(1, LARGEST_MESSAGE + 1, 10).is_err());
        assert!(Payload::generated(1, 10, LARGEST_BODY + 1).is_err());
        assert!(Payload::generated_gzip(1, LARGEST_GZIPPED + 1, LARGEST_BODY).is_err());
    }

    #[test]
    fn a_part_is_served_as_the_client_and_the_table_of_encodings_say() {
        let plain = Part::plain("hello hello hello");
        let gzip = Part::gzip(b"hello hello hello").expect("gzip in memory");
        for (part, offered, transcode, is_gzip) in [
            (&plain, false, true, false),
            (&plain, true, false, false),
            (&plain, true, true, true),
            (&gzip, true, false, true),
            (&gzip, false, false, false),
        ] {
            let (bytes, served_gzip) = part.served(offered, transcode).expect("a sound part");
            assert_eq!(served_gzip, is_gzip);
            assert_eq!(Part::stored(bytes, served_gzip).decoded().as_deref(), Some(&b"hello hello hello"[..]));
        }
        assert_eq!(Part::stored("not gzip".into(), true).served(false, false), None);
    }
}
