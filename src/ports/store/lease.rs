//! Working on a delivery: the right to, and what is known of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::course::Handling;
use crate::domain::envelope::MessageKind;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, WorkflowId};
use crate::domain::output::{OutputState, Progress, Publication};
use crate::domain::patients::Patients;
use crate::domain::sending::Outgoing;
use crate::domain::time::Timestamp;

/// What a worker would like to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWish {
    /// The lane.
    pub mailbox: MailboxId,
    /// At most so many.
    pub count: usize,
    /// Stop adding once their payloads reach this many bytes (at least one is given).
    pub bytes: u64,
    /// Only those started before without an end, one at a time.
    pub suspects: bool,
}

/// The right to work on one delivery. Neither `Clone` nor `Copy`; settling consumes it.
///
/// One that is dropped unsettled is released by the store and counted.
#[derive(Debug)]
pub struct Lease {
    /// What is known without opening the payload.
    pub delivery: Delivery,
    /// How long we have had it, by the store's own time: setting the clock makes nothing older.
    pub age: Duration,
    /// What was done under it, for the journal: set before it is settled.
    pub handling: Option<Box<Handling>>,
    /// Whom its message names, if it was looked at: set before it is settled; the journal has the keyed digests.
    pub patients: Option<Patients>,
    ticket: Option<Ticket>,
}

/// Where dropped leases are remembered until the committer releases them.
#[derive(Debug, Clone, Default)]
pub struct DroppedLeases(Arc<Mutex<Vec<DeliveryId>>>);

impl DroppedLeases {
    /// Those dropped since the last call.
    pub(crate) fn take(&self) -> Vec<DeliveryId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Ticket {
    delivery: DeliveryId,
    dropped: DroppedLeases,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.dropped.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(self.delivery);
    }
}

impl Lease {
    /// Called by `store::committer` alone; `tests/architecture.rs` holds it to that.
    pub(crate) fn attest(delivery: Delivery, age: Duration, dropped: DroppedLeases) -> Self {
        let ticket = Some(Ticket { delivery: delivery.id, dropped });
        Self { delivery, age, handling: None, patients: None, ticket }
    }

    /// Ends the lease on its way to the committer, so that dropping it releases nothing.
    pub(crate) fn redeem(mut self) -> (DeliveryId, Option<Box<Handling>>, Option<Patients>) {
        if let Some(ticket) = self.ticket.take() {
            std::mem::forget(ticket);
        }
        (self.delivery.id, self.handling, self.patients)
    }
}

/// One delivery, as the index knows it. No patient data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The mailbox it came to, or goes out from.
    pub mailbox: MailboxId,
    /// MESH's id; of what goes out, ours.
    pub message_id: MessageId,
    /// Its workflow.
    pub workflow: WorkflowId,
    /// Its sender, when that is a mailbox id.
    pub from: Option<MailboxId>,
    /// Data or report.
    pub kind: MessageKind,
    /// Decoded length of the payload, bytes.
    pub length: u64,
    /// Keyed digest of the payload.
    pub digest: crate::domain::digest::ContentDigest,
    /// Where the spool keeps it.
    pub location: Location,
    /// When it was accepted, or replayed.
    pub accepted_at: Timestamp,
    /// Attempts that count against its pipeline's `max_attempts`.
    pub attempts: u32,
    /// Times it was started; `starts` > settled rounds marks a suspect.
    pub starts: u32,
    /// Deaths of the daemon while it was handled alone.
    pub solo_deaths: u32,
    /// The delivery this one continues, after a message came again or was replayed.
    pub continues: Option<DeliveryId>,
    /// How far each output came; empty until a pipeline decided.
    pub outputs: Vec<OutputState>,
    /// Of a report: whom the message was for that it says was lost, if it went out of here (mesh-client-files 11).
    pub meant_for: Option<MailboxId>,
    /// It goes out, and no pipeline has it.
    pub outgoing: Option<Outgoing>,
}

impl Delivery {
    /// What was sent on for it.
    pub fn sent_on(&self) -> impl Iterator<Item = DeliveryId> {
        self.outputs.iter().filter_map(|output| match output.progress {
            Progress::Published(Publication::Queued(id)) => Some(id),
            Progress::Published(Publication::Seen | Publication::Inferred | Publication::Again)
            | Progress::Planned
            | Progress::Staged(_)
            | Progress::Held(_)
            | Progress::Reopened(_) => None,
        })
    }
}

/// Where the spool keeps a payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// Member `member` of the sealed group at `offset` in volume `volume`.
    Group {
        /// Volume number.
        volume: u64,
        /// Offset of the group's clear header, bytes.
        offset: u64,
        /// Length of the whole group, bytes.
        length: u64,
        /// Place in the group, from 0.
        member: u32,
    },
    /// A chunk directory of `parts` sealed parts, by mailbox and message id.
    Parts {
        /// How many.
        parts: u32,
        /// Which life of the message id: 0 for the first, then the delivery id it continues.
        life: u64,
    },
}
