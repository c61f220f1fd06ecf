//! Where a message stands after all that the journal says of it.

use std::fmt;

use super::story::{because, dead, why};
use crate::domain::ids::DeliveryId;
use crate::domain::time::Timestamp;
use crate::ports::store::SetAsideKind;
use crate::store::journal::event::{Event, Replaced};

/// The standing of its last life, or that it has none.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Its last life.
    life: Option<DeliveryId>,
    text: String,
    since: Timestamp,
    is_acknowledged: bool,
    is_purged: bool,
}

impl Standing {
    /// The record `sequence`, of all about the message in their order, says this.
    pub(super) fn after(&mut self, sequence: u64, at: Timestamp, event: &Event) {
        let text = match event {
            Event::Accepted(accepted) => {
                *self = Self { life: Some(DeliveryId(sequence)), ..Self::default() };
                match &accepted.aside {
                    None => "waits for work".to_owned(),
                    Some(aside) => match aside.kind {
                        SetAsideKind::Held => format!("held for a person, {}", because(&aside.reason)),
                        SetAsideKind::Dead(cause) => format!("{}: {}", dead(cause), because(&aside.reason)),
                    },
                }
            }
            Event::Replayed(replay) => {
                self.life = Some(DeliveryId(sequence));
                self.is_purged = false;
                format!("waits for work, as the replay of {}", replay.of)
            }
            Event::BroughtIn(brought) => {
                let is_acknowledged = self.is_acknowledged || brought.replaces.is_none();
                *self = Self { life: Some(DeliveryId(sequence)), is_acknowledged, ..Self::default() };
                match brought.replaces {
                    Some(Replaced { id, .. }) => format!("waits for work, as the replay of {id} with another payload"),
                    None => format!("held for a person, brought in by {}", brought.by),
                }
            }
            Event::SendQueued(queued) => {
                *self = Self { life: Some(DeliveryId(sequence)), is_acknowledged: true, ..Self::default() };
                queued.outgoing.progress.to_string()
            }
            Event::Refused { reason, lost, .. } if self.life.is_none() || self.is_purged => {
                let stays = if *lost { "gone from MESH before it was kept" } else { "refused, still at MESH" };
                format!("{stays}: {}", because(reason))
            }
            Event::Forgotten { .. } if self.life.is_none() => "never kept: MESH lists it no more".to_owned(),
            Event::Acknowledged { .. } => {
                self.is_acknowledged = true;
                return;
            }
            // Of an earlier life there is nothing more to say than how its successor stands.
            other if !self.is_of_life(other) => return,
            Event::Purged { .. } => {
                self.is_purged = true;
                return;
            }
            Event::Sending { progress, .. } => progress.to_string(),
            Event::PairPutAway { .. } => return,
            Event::SendResolved { message, by, why: said, .. } => {
                format!("at MESH as {message}, says {by}{}", why(Some(said)))
            }
            Event::Working { .. } => "in work".to_owned(),
            Event::Suspect { .. } => "waits to be tried alone, since the daemon ended while it was in work".to_owned(),
            Event::Delivered { .. } => "delivered".to_owned(),
            Event::Discarded { reason, .. } => format!("discarded by rule, {}", because(reason)),
            Event::Retry { due, reason, .. } => format!("waits for its next attempt at {due}: {}", because(reason)),
            Event::Deferred { due, reason, .. } => format!("waits until {due}: {}", because(reason)),
            Event::Released { .. } => "waits for work".to_owned(),
            Event::Held { reason, .. } => format!("held for a person, {}", because(reason)),
            Event::Dead { cause, reason, .. } => format!("{}: {}", dead(*cause), because(reason)),
            Event::OperatorReleased { by, why: said, .. } => {
                format!("waits for work, put back by {by}{}", why(said.as_ref()))
            }
            Event::OperatorHeld { by, why: said, .. } => format!("held by {by}{}", why(Some(said))),
            Event::OperatorDiscarded { by, why: said, .. } => format!("discarded by {by}{}", why(Some(said))),
            Event::JobBegun(_)
            | Event::JobPassed { .. }
            | Event::JobEnded { .. }
            | Event::Run { .. }
            | Event::Started { .. }
            | Event::Stopping
            | Event::Stopped
            | Event::Repeated { .. }
            | Event::Refused { .. }
            | Event::Forgotten { .. }
            | Event::Staged { .. }
            | Event::Moved { .. }
            | Event::KeyMade { .. }
            | Event::RewrapBegun { .. }
            | Event::Resealed(_)
            | Event::VolumeRemoved { .. }
            | Event::PartsRemoved { .. }
            | Event::Abandoned { .. }
            | Event::TailCut { .. }
            | Event::Rebuilt { .. }
            | Event::SegmentRemoved { .. }
            | Event::ClockStep { .. }
            | Event::HandshakeTried { .. }
            | Event::Handshake { .. }
            | Event::Listed { .. }
            | Event::Configured { .. }
            | Event::Suspended { .. }
            | Event::Resumed { .. }
            | Event::BackupBegun { .. }
            | Event::BackupEnded { .. }
            | Event::Restored { .. }
            | Event::AuditRead { .. }
            | Event::Revealed { .. }
            | Event::MailboxSuspended { .. }
            | Event::MailboxResumed { .. }
            | Event::Concerns { .. }
            | Event::Alarmed { .. }
            | Event::LegalHoldAdded { .. }
            | Event::SubjectSought { .. }
            | Event::LegalHoldTook { .. }
            | Event::LegalHoldComplete { .. }
            | Event::LegalHoldRemoved { .. }
            | Event::Spared { .. }
            | Event::Monitor { .. } => return,
        };
        self.text = text;
        self.since = at;
    }

    fn is_of_life(&self, event: &Event) -> bool {
        self.life.is_some_and(|life| event.about().deliveries.contains(&life))
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(life) = self.life {
            write!(f, "{life}: ")?;
        }
        let text = if self.text.is_empty() { "as the last step below says" } else { self.text.as_str() };
        write!(f, "{text}, since {}", self.since)?;
        if self.life.is_some() && !self.is_acknowledged {
            f.write_str("; MESH has not heard that it is kept")?;
        }
        f.write_str(if self.is_purged { "; purged" } else { "" })
    }
}
