//! Faults as a scenario names them: which requests, when, and what becomes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::values;
use crate::simulator::SimulatorError;
use crate::simulator::calls::Call;
use crate::simulator::faults::{Chance, Fault, Rule};

/// One fault and the requests it strikes. What is left out fits all.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// The kind of request.
    pub call: Option<Call>,
    /// The mailbox.
    pub mailbox: Option<String>,
    /// The message.
    pub message: Option<String>,
    /// The chunk.
    pub chunk: Option<u64>,
    /// The first of the fitting requests that is struck, from 1.
    #[serde(default = "first")]
    pub from_nth: u64,
    /// How many are struck from there on; all if not said.
    pub times: Option<u64>,
    /// Of those, so many in a hundred.
    pub percent: Option<u8>,
    /// How long after the start it begins.
    #[serde(default, deserialize_with = "values::period")]
    pub after: Duration,
    /// How long it lasts from there on; for ever if not said.
    #[serde(default, deserialize_with = "values::some_period")]
    pub lasting: Option<Duration>,
    /// What goes wrong.
    pub what: Trouble,
}

/// What becomes of a request: see [`Fault`].
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trouble {
    /// [`Fault::status`], or [`Fault::retry_after`].
    Status {
        /// The status.
        code: u16,
        /// `Retry-After`: seconds, a date, or nonsense.
        retry_after: Option<String>,
    },
    /// [`Fault::xml`].
    Xml,
    /// [`Fault::garbage`].
    Garbage,
    /// [`Fault::redirect`] to this address.
    Redirect(String),
    /// [`Fault::missing_chunk`].
    MissingChunk,
    /// [`Fault::Delay`].
    Delay(#[serde(deserialize_with = "values::period")] Duration),
    /// [`Fault::Refuse`].
    Refuse,
    /// [`Fault::LoseReply`].
    LoseReply,
    /// [`Fault::Cut`] after so many bytes.
    Cut(#[serde(deserialize_with = "values::bytes")] u64),
    /// [`Fault::CutWire`] after so many bytes.
    CutWire(#[serde(deserialize_with = "values::bytes")] u64),
    /// [`Fault::CloseWire`] after so many bytes.
    CloseWire(#[serde(deserialize_with = "values::bytes")] u64),
    /// [`Fault::CorruptWire`] behind so many bytes.
    CorruptWire(#[serde(deserialize_with = "values::bytes")] u64),
    /// [`Fault::Stall`].
    Stall {
        /// Body bytes sent before.
        #[serde(deserialize_with = "values::bytes")]
        after: u64,
        /// How long.
        #[serde(deserialize_with = "values::period")]
        lasting: Duration,
    },
    /// [`Fault::Drip`].
    Drip {
        /// Bytes of each piece.
        #[serde(deserialize_with = "values::bytes")]
        piece: u64,
        /// Time between pieces.
        #[serde(deserialize_with = "values::period")]
        every: Duration,
    },
    /// [`Fault::Trickle`].
    Trickle {
        /// Bytes of each piece.
        #[serde(deserialize_with = "values::bytes")]
        piece: u64,
        /// Time before each piece.
        #[serde(deserialize_with = "values::period")]
        every: Duration,
    },
    /// [`Fault::Twice`].
    Twice,
    /// [`Fault::ContentLength`] that differs by so much.
    ContentLength(i64),
    /// [`Fault::Headers`].
    Headers(BTreeMap<String, String>),
    /// [`Fault::not_gzip`].
    NotGzip,
    /// [`Fault::torn_gzip`].
    TornGzip,
    /// [`Fault::bomb`] of so many bytes.
    Bomb(#[serde(deserialize_with = "values::bytes")] u64),
}

impl FaultPlan {
    /// The rule to script; equal seeds give equal shares.
    pub(in crate::simulator) fn rule(&self, seed: u64) -> Result<Rule, SimulatorError> {
        Ok(Rule {
            call: self.call,
            mailbox: self.mailbox.clone(),
            message: self.message.clone(),
            chunk: self.chunk,
            from_nth: self.from_nth,
            times: self.times.unwrap_or(u64::MAX),
            chance: self.percent.map(|percent| Chance { seed, percent }),
            after: self.after,
            lasting: self.lasting,
            fault: self.what.fault()?,
        })
    }
}

impl Trouble {
    fn fault(&self) -> Result<Fault, SimulatorError> {
        Ok(match self {
            Self::Status { code, retry_after: None } => Fault::status(*code),
            Self::Status { code, retry_after: Some(value) } => Fault::retry_after(*code, value),
            Self::Xml => Fault::xml(),
            Self::Garbage => Fault::garbage(),
            Self::Redirect(location) => Fault::redirect(location),
            Self::MissingChunk => Fault::missing_chunk(),
            Self::Delay(lasting) => Fault::Delay(*lasting),
            Self::Refuse => Fault::Refuse,
            Self::LoseReply => Fault::LoseReply,
            Self::Cut(after) => Fault::Cut { after: *after },
            Self::CutWire(after) => Fault::CutWire { after: *after },
            Self::CloseWire(after) => Fault::CloseWire { after: *after },
            Self::CorruptWire(at) => Fault::CorruptWire { at: *at },
            Self::Stall { after, lasting } => Fault::Stall { after: *after, lasting: *lasting },
            Self::Drip { piece, every } => Fault::Drip { piece: *piece, every: *every },
            Self::Trickle { piece, every } => Fault::Trickle { piece: *piece, every: *every },
            Self::Twice => Fault::Twice,
            Self::ContentLength(difference) => Fault::ContentLength(*difference),
            Self::Headers(headers) => {
                Fault::Headers(headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect())
            }
            Self::NotGzip => Fault::not_gzip(),
            Self::TornGzip => Fault::torn_gzip()?,
            Self::Bomb(decoded_bytes) => Fault::bomb(*decoded_bytes)?,
        })
    }
}

fn first() -> u64 {
    1
}
