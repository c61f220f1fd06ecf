//! `use = "decompress"`: a payload that starts as gzip is published without that layer.
//!
//! What starts otherwise passes untouched, unless the stage says `required = true`: then it is a dead letter.
//! Only one layer is undone. `max_bytes` (1 GB) and `max_ratio` (200) bound what comes out; more is a dead letter.

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::output::Transform;
use crate::domain::quantity;
use crate::pipeline::keyring::Keyring;
use crate::pipeline::message::Message;
use crate::pipeline::reading::{Keys, Notes};
use crate::pipeline::transform::{USUAL_MAX_BYTES, gunzip, start};

/// As for a compressed transfer (`receive::body`): text seldom compresses more than fifty times, a bomb thousandfold.
const USUAL_MAX_RATIO: u32 = 200;

/// Limits, and whether everything must be gzip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Decompress {
    max_bytes: u64,
    max_ratio: u32,
    is_required: bool,
}

impl Decompress {
    /// Undoes gzip if the payload starts as such.
    pub(in crate::pipeline) fn work(&self, message: &mut Message<'_>, keys: &Keyring) -> Result<(), Fault> {
        let is_gzip = start(message.payload()?, gunzip::MAGIC.len())? == gunzip::MAGIC;
        if is_gzip {
            let Self { max_bytes, max_ratio, .. } = *self;
            return message.transform(Transform::Gunzip { max_bytes, max_ratio }, keys);
        }
        if self.is_required { Err(Fault::message(FaultCode::MsgBadCompression, "it is not gzip")) } else { Ok(()) }
    }
}

/// Reads `max_bytes`, `max_ratio` and `required`.
pub(super) fn read(mut keys: Keys<'_>, notes: &mut Notes<'_>) -> Decompress {
    let max_bytes = keys.optional("max_bytes").and_then(|node| node.parse(notes, quantity::BYTES, quantity::bytes));
    let max_ratio = keys.optional("max_ratio").and_then(|node| node.count(notes));
    let is_required = keys.optional("required").is_some_and(|node| node.claim(notes));
    keys.end(notes);
    Decompress {
        max_bytes: max_bytes.unwrap_or(USUAL_MAX_BYTES),
        max_ratio: max_ratio.unwrap_or(USUAL_MAX_RATIO),
        is_required,
    }
}
