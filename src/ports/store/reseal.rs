//! Sealing a kept payload again, for other recipients.

use super::{IncomingBody, Location};
use crate::domain::envelope::Envelope;
use crate::domain::ids::DeliveryId;

/// A payload to be sealed again, or sealed again already.
#[derive(Debug, Clone)]
pub struct Reseal {
    /// Whose.
    pub delivery: DeliveryId,
    /// Where it was read from.
    pub from: Location,
    /// Its headers.
    pub envelope: Envelope,
    /// Its bytes as they were opened; or sealed anew beside the old ones, durable and named by no record yet.
    pub body: IncomingBody,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resealed {
    /// It lies elsewhere from now on.
    Done,
    /// Nothing: it is in work, or no longer where it was read from.
    Elsewhere,
    /// Nothing: there is no room, or what was sealed anew does not read.
    NotKept(String),
}
