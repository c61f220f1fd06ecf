//! What is kept of deliveries that someone named, and ending it before its time.

use serde::{Deserialize, Serialize};

use super::{Class, Delivery};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::time::Timestamp;

/// No question is about more deliveries, or messages.
pub const MOST_LOOKED_UP: usize = 32;

/// Which deliveries are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookUp {
    /// These, and whichever replay them; at most [`MOST_LOOKED_UP`].
    Deliveries(Vec<DeliveryId>),
    /// All known lives of these messages; at most [`MOST_LOOKED_UP`].
    Messages(Vec<(MailboxId, MessageId)>),
}

/// A delivery that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The delivery.
    pub delivery: Delivery,
    /// What it is kept as.
    pub class: Class,
    /// Which delivery has its payload, if it was replayed.
    pub replayed_as: Option<DeliveryId>,
    /// Its payload is kept until then, by the wall clock; without limit if none.
    pub until: Option<Timestamp>,
    /// A legal hold keeps it, or one is still searched for that may.
    pub is_legally_held: bool,
}

/// What became of a payload that was removed before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expunged {
    /// It leaves the disk with the next commit.
    Now,
    /// It leaves the disk with its volume, out of which all others are being moved.
    WithVolume {
        /// Which.
        volume: u64,
    },
    /// It is sealed together with others that are kept, and leaves the disk with the last of them.
    Shared {
        /// In this volume.
        volume: u64,
        /// So many deliveries.
        shared_by: u64,
        /// They are kept until then; none if a person or a legal hold decides.
        until: Option<Timestamp>,
    },
}

/// Why a payload was not removed. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NotExpunged {
    /// No such delivery.
    #[error("it is not known: its payload is gone")]
    Unknown,
    /// It has not come to its end.
    #[error("it is on its way: let it come to its end, or `meshd deadletter hold` it, and ask again")]
    OnItsWay,
    /// An output may be about to have it.
    #[error("it is staged for an output: release or discard it first")]
    Staged,
    /// It was replayed.
    #[error("it was replayed as {0}, which has its payload")]
    ReplayedAs(DeliveryId),
    /// Nothing goes that an inquiry may ask for.
    #[error("a legal hold keeps it, or is still searched for: `meshd hold list` shows them")]
    LegallyHeld,
}
