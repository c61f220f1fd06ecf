//! What an event is about, and who did it.

use super::Event;
use crate::domain::course::Handling;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::legal_hold::HoldScope;
use crate::domain::monitor::Turn;
use crate::domain::operator::Operator;
use crate::ports::store::JobOutcome;

/// What a record names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct About<'a> {
    /// Deliveries, but for the one that the record itself begins.
    pub deliveries: &'a [DeliveryId],
    /// The mailbox.
    pub mailbox: Option<&'a MailboxId>,
    /// The message.
    pub message: Option<&'a MessageId>,
    /// Who did it by hand; none: the daemon by itself.
    pub by: Option<Operator>,
    /// It begins a delivery, whose id is its sequence.
    pub is_beginning: bool,
}

impl Event {
    /// What it names.
    pub fn about(&self) -> About<'_> {
        let of = |id| About { deliveries: std::slice::from_ref(id), ..About::default() };
        let at = |mailbox| About { mailbox: Some(mailbox), ..About::default() };
        match self {
            Self::Accepted(accepted) => About {
                deliveries: accepted.continues.as_slice(),
                message: Some(&accepted.message),
                is_beginning: true,
                ..at(&accepted.mailbox)
            },
            Self::Replayed(replay) => About {
                deliveries: std::slice::from_ref(&replay.of),
                message: Some(&replay.message),
                by: Some(replay.by),
                is_beginning: true,
                ..at(&replay.mailbox)
            },
            Self::BroughtIn(brought) => About {
                deliveries: brought.kept.continues.as_slice(),
                message: Some(&brought.kept.message),
                by: Some(brought.by),
                is_beginning: true,
                ..at(&brought.kept.mailbox)
            },
            Self::SendQueued(queued) => About {
                message: Some(&queued.kept.message),
                by: Some(queued.by),
                is_beginning: true,
                ..at(&queued.kept.mailbox)
            },
            Self::Sending { id, .. } | Self::PairPutAway { id } => of(id),
            Self::SendResolved { id, by, .. } => About { by: Some(*by), ..of(id) },
            Self::Repeated { id, mailbox, message } => {
                About { mailbox: Some(mailbox), message: Some(message), ..of(id) }
            }
            Self::Purged { id, mailbox, message, asked, .. } => {
                let by = asked.as_ref().map(|asked| asked.by);
                About { mailbox: Some(mailbox), message: Some(message), by, ..of(id) }
            }
            Self::Resealed(moved) => {
                About { mailbox: Some(&moved.mailbox), message: Some(&moved.message), ..of(&moved.id) }
            }
            Self::Refused { mailbox, message, .. }
            | Self::Forgotten { mailbox, message }
            | Self::Abandoned { mailbox, message } => About { message: Some(message), ..at(mailbox) },
            Self::Acknowledged { id }
            | Self::Suspect { id, .. }
            | Self::Concerns { id, .. }
            | Self::Staged { id, .. }
            | Self::Delivered { id, .. }
            | Self::Discarded { id, .. }
            | Self::Retry { id, .. }
            | Self::Deferred { id, .. }
            | Self::Released { id, .. }
            | Self::Held { id, .. }
            | Self::Dead { id, .. }
            | Self::PartsRemoved { id }
            | Self::Alarmed { id, .. } => of(id),
            Self::OperatorReleased { id, by, .. }
            | Self::OperatorHeld { id, by, .. }
            | Self::OperatorDiscarded { id, by, .. }
            | Self::Revealed { id, by, .. } => About { by: Some(*by), ..of(id) },
            Self::Working { ids, .. }
            | Self::Moved { ids, .. }
            | Self::LegalHoldTook { ids, .. }
            | Self::Spared { ids } => About { deliveries: ids, ..About::default() },
            Self::LegalHoldAdded { scope, by, .. } => {
                let of = match scope {
                    HoldScope::Mailbox(mailbox) => at(mailbox),
                    HoldScope::Delivery(id) => of(id),
                    HoldScope::Patients(_) => About::default(),
                };
                About { by: Some(*by), ..of }
            }
            Self::HandshakeTried { mailbox } | Self::Handshake { mailbox } | Self::Listed { mailbox } => at(mailbox),
            Self::MailboxSuspended { mailbox, by, .. } | Self::MailboxResumed { mailbox, by, .. } => {
                About { by: Some(*by), ..at(mailbox) }
            }
            Self::JobBegun(order) => About { by: Some(order.by), ..About::default() },
            Self::JobEnded { how: JobOutcome::Cancelled(by), .. } => About { by: Some(*by), ..About::default() },
            Self::Resumed { by, .. }
            | Self::AuditRead { by, .. }
            | Self::LegalHoldRemoved { by, .. }
            | Self::SubjectSought { by, .. }
            | Self::KeyMade { by, .. }
            | Self::RewrapBegun { by }
            | Self::BackupBegun { by }
            | Self::BackupEnded { by, .. } => About { by: Some(*by), ..About::default() },
            Self::Monitor { turn: Turn::Accepted { by, .. }, .. } => About { by: Some(*by), ..About::default() },
            Self::Monitor { turn: Turn::Begun | Turn::Raised | Turn::Cleared | Turn::Ended, .. }
            | Self::JobPassed { .. }
            | Self::JobEnded { how: JobOutcome::Done | JobOutcome::Restored, .. }
            | Self::Run { .. }
            | Self::Started { .. }
            | Self::Stopping
            | Self::Stopped
            | Self::VolumeRemoved { .. }
            | Self::TailCut { .. }
            | Self::Rebuilt { .. }
            | Self::SegmentRemoved { .. }
            | Self::ClockStep { .. }
            | Self::Configured { .. }
            | Self::Restored { .. }
            | Self::LegalHoldComplete { .. }
            | Self::Suspended { .. } => About::default(),
        }
    }

    /// What a round of work did with a delivery.
    pub fn handling(&self) -> Option<(DeliveryId, &Handling)> {
        let (Self::Delivered { id, handling, .. }
        | Self::Discarded { id, handling, .. }
        | Self::Retry { id, handling, .. }
        | Self::Deferred { id, handling, .. }
        | Self::Held { id, handling, .. }
        | Self::Dead { id, handling, .. }) = self
        else {
            return None;
        };
        Some((*id, handling.as_deref()?))
    }
}
