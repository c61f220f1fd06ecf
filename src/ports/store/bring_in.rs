//! Payloads that an operator brings in, instead of MESH.

use serde::{Deserialize, Serialize};

use super::{IncomingBody, NotAllowed};
use crate::domain::envelope::Envelope;
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::operator::{Operator, Remark};

/// A message that an operator brings in, with its payload.
#[derive(Debug, Clone)]
pub struct BringIn {
    /// The delivery in whose place it is handled; none: it is held, for a person to look at.
    pub replaces: Option<Replaces>,
    /// Its headers.
    pub envelope: Envelope,
    /// Its bytes.
    pub body: IncomingBody,
    /// By whom.
    pub by: Operator,
    /// Why, in their words.
    pub why: Remark,
}

/// A delivery that is handled anew with another payload. It ends as discarded, and keeps its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaces {
    /// Which.
    pub delivery: DeliveryId,
    /// Although it may harm the daemon, or pass for another message.
    pub force: bool,
    /// Although a consumer has it, or may have it.
    pub again: bool,
}

/// Why nothing was brought in. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NotBroughtIn {
    /// What it is to replace must stay as it is.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// It has no payload that could be another.
    #[error("it is a report of MESH, which has no payload")]
    Report,
    /// The message is here.
    #[error("its message is here as {0}: replay that one, with --payload if its bytes are to be others")]
    Here(DeliveryId),
    /// MESH would not take it.
    #[error("MESH would not take it: {}", .0.join("; "))]
    Unsendable(Vec<String>),
    /// As much of its mailbox waits to be sent as may.
    #[error("as much of {0} waits to be sent as its `limits` allow: ask again when some of it is sent")]
    TooMuchWaits(MailboxId),
    /// There is nobody to seal it for.
    #[error("mailbox {0} is not configured here")]
    NoMailbox(MailboxId),
    /// The state directory would fall below its floor.
    #[error("there is no room for it: state.min_free would be taken")]
    NoRoom,
    /// There is one at a time.
    #[error("another payload is being brought in: ask again when that is done")]
    Busy,
    /// It does not open, or was not kept.
    #[error("{0}")]
    Failed(String),
}
