//! The cases that a machine can run, one function each.

pub(super) mod many;
pub(super) mod receive;
pub(super) mod refused;
pub(super) mod send;

use super::scene::Letter;
use crate::ports::inbox::Encoding;

/// Larger than what is kept in memory anywhere, smaller than any chunk.
const SMALL: u64 = 100_000;
/// Over 200 MB (mesh-api 11.1).
const LARGE: u64 = 210_000_000;

const PLAIN: Letter = Letter { length: SMALL, encoding: Encoding::Plain };
const GZIP: Letter = Letter { length: SMALL, encoding: Encoding::Gzip };
const CHUNKED: Letter = Letter { length: LARGE, encoding: Encoding::Plain };
