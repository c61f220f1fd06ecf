//! One record, byte by byte. All numbers are big-endian.
//!
//! ```text
//! offset  length  field
//!      0       4  length n of what follows the checksum
//!      4       4  CRC32C of the length field and those n bytes
//!      8       8  sequence, from 1, without a gap
//!     16       8  wall clock, milliseconds since 1970, signed
//!     24       8  monotonic clock, milliseconds
//!     32       4  run
//!     36       8  settled: the last sequence known durable when this was written
//!     44      32  link: SHA-256 of the record before, or of the segment's header
//!     76    n-68  body: one event as JSON
//! ```
//!
//! The hash of a record covers its bytes from `sequence` on. `settled` tells a torn tail from damage: a whole record
//! behind a bad one whose `settled` reaches the bad one proves that it had been durable, so it was not torn off.

use crate::domain::time::Timestamp;

/// SHA-256.
pub type Hash = [u8; 32];

/// No body is longer; a length beyond it is a bad frame, not a request for memory.
pub const LONGEST: usize = 1024 * 1024;

/// Bytes before the hashed part.
pub const PREFIX: usize = 8;
/// Bytes of the hashed part before the body.
pub const FIXED: usize = 68;

/// What surrounds an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Place in the journal.
    pub sequence: u64,
    /// Wall clock.
    pub wall: Timestamp,
    /// Monotonic clock, milliseconds.
    pub monotonic_ms: u64,
    /// Which opening of the store wrote it.
    pub run: u32,
    /// The last sequence known durable when this was written.
    pub settled: u64,
    /// Hash of what comes before.
    pub link: Hash,
}

/// Adds one record to `buffer`; its hash is returned.
pub fn encode(frame: &Frame, body: &[u8], buffer: &mut Vec<u8>) -> Hash {
    let start = buffer.len();
    let length = u32::try_from(FIXED + body.len()).unwrap_or(u32::MAX);
    buffer.extend(length.to_be_bytes());
    buffer.extend([0; 4]);
    buffer.extend(frame.sequence.to_be_bytes());
    buffer.extend(frame.wall.0.to_be_bytes());
    buffer.extend(frame.monotonic_ms.to_be_bytes());
    buffer.extend(frame.run.to_be_bytes());
    buffer.extend(frame.settled.to_be_bytes());
    buffer.extend(frame.link);
    buffer.extend(body);
    let crc = checksum(length, &buffer[start + PREFIX..]);
    buffer[start + 4..start + PREFIX].copy_from_slice(&crc.to_be_bytes());
    sha256(&buffer[start + PREFIX..])
}

/// The length in a frame's prefix, if a frame may have it.
pub fn length(prefix: &[u8; PREFIX]) -> Option<usize> {
    let length = u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
    (FIXED..=FIXED + LONGEST).contains(&length).then_some(length)
}

/// Reads what follows `prefix`; `None` if the checksum does not hold.
pub fn decode<'a>(prefix: &[u8; PREFIX], rest: &'a [u8]) -> Option<(Frame, &'a [u8])> {
    let crc = u32::from_be_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]);
    if length(prefix)? != rest.len() || checksum(u32::try_from(rest.len()).ok()?, rest) != crc {
        return None;
    }
    let (fixed, body) = rest.split_at_checked(FIXED)?;
    let frame = Frame {
        sequence: u64::from_be_bytes(fixed[0..8].try_into().ok()?),
        wall: Timestamp(i64::from_be_bytes(fixed[8..16].try_into().ok()?)),
        monotonic_ms: u64::from_be_bytes(fixed[16..24].try_into().ok()?),
        run: u32::from_be_bytes(fixed[24..28].try_into().ok()?),
        settled: u64::from_be_bytes(fixed[28..36].try_into().ok()?),
        link: fixed[36..68].try_into().ok()?,
    };
    Some((frame, body))
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Hash {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

fn checksum(length: u32, rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_be_bytes()), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { sequence: 7, wall: Timestamp(-1), monotonic_ms: 3, run: 2, settled: 6, link: [9; 32] };

    #[test]
    fn reads_back_what_it_wrote() {
        let mut bytes = Vec::new();
        let hash = encode(&FRAME, b"{}", &mut bytes);
        let prefix: [u8; PREFIX] = bytes[..PREFIX].try_into().expect("eight bytes");
        assert_eq!(length(&prefix), Some(bytes.len() - PREFIX));
        assert_eq!(decode(&prefix, &bytes[PREFIX..]), Some((FRAME, &b"{}"[..])));
        assert_eq!(hash, sha256(&bytes[PREFIX..]));
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let mut bytes = Vec::new();
        encode(&FRAME, b"{\"e\":\"stopped\"}", &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let prefix: [u8; PREFIX] = damaged[..PREFIX].try_into().expect("eight bytes");
            assert_eq!(decode(&prefix, &damaged[PREFIX..]), None, "bit {bit}");
        }
    }
}
