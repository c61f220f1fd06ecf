//! What is kept of deliveries that someone named, and ending it before its time.

use serde::{Deserialize, Serialize};

use super::{Class, Delivery};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::time::Timestamp;

/// No question is about more deliveries, or messages.
pub const MOST_LOOKED_UP: usize = 32;

/// Which deliveries are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Its payload is kept until then, by the wall clock; without limit if none.
    pub until: Option<Timestamp>,
    /// A legal hold keeps it.
    pub is_legally_held: bool,
}
