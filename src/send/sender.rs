//! Sending one message: what is done next by how far it came.
//!
//! | How far | What is done |
//! |---|---|
//! | queued | "begun" is noted, the first request is made |
//! | begun | nothing is sent: after [`SenderSettings::ask_after`] MESH is asked for the local id, if that is ours and was sent once |
//! | uploading | the chunks behind the last that MESH answered for |
//! | accepted | nothing: it is settled |
//!
//! What the world does defers it, without an end; what MESH refuses is dead; what nobody can find out is held.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pieces::Pieces;
use crate::domain::envelope::Envelope;
use crate::domain::fault::{Class, Fault, FaultCode};
use crate::domain::ids::{DeliveryId, MessageId};
use crate::domain::retry::Backoff;
use crate::domain::sending::{Outgoing, Sending};
use crate::domain::settlement::{DeathCause, Reason, Settlement};
use crate::ports::clock::Chance;
use crate::ports::inbox::Encoding;
use crate::ports::outbox::{Found, Outbox, Taken, Tracked, TrackedState, Unsent};
use crate::ports::spool::{Opened, Spool, SpoolError};
use crate::ports::store::{Halt, Lease, Sends};

/// After something failed for the world's sake.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(300) };

/// How it is sent.
#[derive(Debug, Clone, Copy)]
pub struct SenderSettings {
    /// MESH is asked for a message whose request got no answer after so long: it may still be on its way in. How long
    /// MESH takes is published nowhere.
    pub ask_after: Duration,
}

impl Default for SenderSettings {
    /// Five minutes.
    fn default() -> Self {
        Self { ask_after: Duration::from_secs(300) }
    }
}

/// Who sends the messages of one mailbox.
pub struct Sender {
    outbox: Arc<dyn Outbox>,
    sends: Arc<dyn Sends>,
    spool: Arc<dyn Spool>,
    chance: Arc<dyn Chance>,
    settings: SenderSettings,
    /// Found begun by this run, and given the time to arrive.
    waited: Mutex<BTreeSet<DeliveryId>>,
    /// How often the world failed since something succeeded.
    failures: AtomicU32,
}

impl Sender {
    /// Nothing is sent yet.
    pub fn new(
        outbox: Arc<dyn Outbox>,
        sends: Arc<dyn Sends>,
        spool: Arc<dyn Spool>,
        chance: Arc<dyn Chance>,
        settings: SenderSettings,
    ) -> Self {
        Self { outbox, sends, spool, chance, settings, waited: Mutex::default(), failures: AtomicU32::new(0) }
    }

    /// Sends what is leased, as far as it goes. `stop` ends it between two chunks.
    pub async fn send(&self, lease: Lease, stop: &CancellationToken) -> Result<(Lease, Settlement), Halt> {
        let (lease, settlement) = self.try_send(lease, stop).await?;
        self.tell(&lease, &settlement);
        Ok((lease, settlement))
    }

    async fn try_send(&self, lease: Lease, stop: &CancellationToken) -> Result<(Lease, Settlement), Halt> {
        let spool = Arc::clone(&self.spool);
        let opening = tokio::task::spawn_blocking(move || (spool.open(&lease), lease));
        let (opened, lease) = opening.await.map_err(|error| Halt(format!("open what goes out: {error}")))?;
        let opened = match opened {
            Ok(opened) => opened,
            Err(SpoolError::Failed(halt)) => return Err(halt),
            Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
                return Ok((lease, held(FaultCode::SpoolUnreadable, error.to_string())));
            }
        };
        let Some(outgoing) = lease.delivery.outgoing.clone() else {
            return Ok((lease, held(FaultCode::SendUnknown, "it does not go out")));
        };
        let (id, is_again) = (lease.delivery.id, lease.delivery.continues.is_some());
        let one = One { sender: self, id, is_again, opened, outgoing, stop };
        let settlement = one.go().await?;
        Ok((lease, settlement))
    }

    /// What needs a person is in the log.
    fn tell(&self, lease: &Lease, settlement: &Settlement) {
        let (Settlement::Dead { reason, .. } | Settlement::Held { reason, .. }) = settlement else { return };
        let (delivery, mailbox) = (lease.delivery.id, self.outbox.mailbox());
        let (code, detail) = (reason.code.as_str(), reason.detail.as_str());
        let what = if matches!(settlement, Settlement::Held { .. }) { "held" } else { "dead" };
        tracing::warn!(%delivery, %mailbox, code, detail, disposition = what, "a message was not sent");
    }
}

/// One message on its way.
struct One<'a> {
    sender: &'a Sender,
    id: DeliveryId,
    /// It is sent once more, as another message.
    is_again: bool,
    opened: Opened,
    outgoing: Outgoing,
    stop: &'a CancellationToken,
}

impl One<'_> {
    async fn go(&self) -> Result<Settlement, Halt> {
        match self.outgoing.progress.clone() {
            Sending::Ready => self.begin().await,
            Sending::Begun => self.find_out().await,
            Sending::Uploading { message, sent } => self.go_on(message, self.pieces(sent)).await,
            Sending::Accepted { .. } | Sending::Collected { .. } | Sending::Undelivered { .. } => Ok(sent()),
        }
    }

    /// The first request.
    async fn begin(&self) -> Result<Settlement, Halt> {
        let mut pieces = self.pieces(0);
        let Some(piece) = pieces.next().await else { return Ok(held(FaultCode::SpoolUnreadable, "it has no bytes")) };
        self.note(Sending::Begun).await?;
        let unsent = match self.sender.outbox.send(&self.opened.envelope, piece).await {
            Ok(message) => return self.go_on_after(message, 1, pieces).await,
            Err(unsent) => unsent,
        };
        match unsent {
            Unsent::NotTaken(fault) => {
                self.note(Sending::Ready).await?;
                Ok(self.later(&fault))
            }
            Unsent::Refused(fault) => {
                self.note(Sending::Ready).await?;
                Ok(Settlement::Dead { cause: DeathCause::Permanent, reason: reason(&fault) })
            }
            Unsent::Unreadable(why) => {
                self.note(Sending::Ready).await?;
                Ok(held(FaultCode::SpoolUnreadable, why))
            }
            Unsent::Unknown(fault) => {
                self.waited().insert(self.id);
                let reason = Reason::new(FaultCode::SendUnknown, format!("MESH may have it: {}", fault.detail));
                Ok(Settlement::Defer { after: self.sender.settings.ask_after, reason, outputs: Vec::new() })
            }
        }
    }

    /// Whether MESH has what a request without an answer may have brought it.
    async fn find_out(&self) -> Result<Settlement, Halt> {
        let Envelope { local_id, message_id, .. } = &self.opened.envelope;
        let Some(ours) = local_id.as_ref().map(|id| id.reveal()).filter(|id| *id == message_id.as_str()) else {
            return Ok(held(FaultCode::SendUnknown, "its local id is its sender's, and others may have the same"));
        };
        if self.is_again {
            return Ok(held(FaultCode::SendUnknown, "it was sent before, and that message has the same local id"));
        }
        if self.waited().insert(self.id) {
            let reason = Reason::new(FaultCode::SendUnknown, "the daemon ended before MESH answered: it may have it");
            return Ok(Settlement::Defer { after: self.sender.settings.ask_after, reason, outputs: Vec::new() });
        }
        match self.sender.outbox.find(ours).await {
            Err(fault) => Ok(self.later(&fault)),
            Ok(Found::None) => {
                tracing::info!(delivery = %self.id, "MESH does not have what got no answer: it is sent now");
                self.note(Sending::Ready).await?;
                self.begin().await
            }
            Ok(Found::Several) => Ok(held(FaultCode::SendUnknown, "MESH knows several of its local id")),
            Ok(Found::One(tracked)) => {
                tracing::info!(delivery = %self.id, message = %tracked.message, "MESH has what got no answer");
                self.go_on_after(tracked.message, 1, self.pieces(1)).await
            }
        }
    }

    /// MESH has the first `count` chunks.
    async fn go_on_after(&self, message: MessageId, count: u32, pieces: Pieces) -> Result<Settlement, Halt> {
        self.waited().remove(&self.id);
        self.sender.failures.store(0, Ordering::Relaxed);
        if count >= pieces.total() {
            self.note(Sending::Accepted { message: message.clone() }).await?;
            tracing::info!(delivery = %self.id, mailbox = %self.sender.outbox.mailbox(), %message, "sent");
            return Ok(sent());
        }
        self.note(Sending::Uploading { message: message.clone(), sent: count }).await?;
        Box::pin(self.go_on(message, pieces)).await
    }

    async fn go_on(&self, message: MessageId, mut pieces: Pieces) -> Result<Settlement, Halt> {
        if self.stop.is_cancelled() {
            return Ok(Settlement::Release);
        }
        let Some(piece) = pieces.next().await else { return self.go_on_after(message, pieces.total(), pieces).await };
        let number = piece.number;
        match self.sender.outbox.send_chunk(&message, piece).await {
            Ok(Taken::Stored) => self.go_on_after(message, number, pieces).await,
            Ok(Taken::WasWhole) => self.is_it_whole(message, pieces).await,
            Err(fault) if fault.class == Class::Permanent => {
                // What MESH has of it, it shows to nobody: it was never whole.
                self.note(Sending::Ready).await?;
                Ok(Settlement::Dead { cause: DeathCause::Permanent, reason: reason(&fault) })
            }
            Err(fault) if fault.code == FaultCode::SpoolUnreadable => Ok(held(fault.code, fault.detail)),
            Err(fault) => Ok(self.later(&fault)),
        }
    }

    /// MESH says that it needs no more chunks (423, mesh-api 6.6): an answer to the last one may have been lost.
    async fn is_it_whole(&self, message: MessageId, pieces: Pieces) -> Result<Settlement, Halt> {
        match self.sender.outbox.track(&message).await {
            Err(fault) => Ok(self.later(&fault)),
            Ok(Some(Tracked { state: TrackedState::Accepted | TrackedState::Acknowledged, .. })) => {
                let total = pieces.total();
                self.go_on_after(message, total, pieces).await
            }
            Ok(Some(Tracked { state: TrackedState::Uploading | TrackedState::Undeliverable, .. }) | None) => {
                Ok(held(FaultCode::SendUnknown, "MESH takes no more of its chunks, and does not have it whole"))
            }
        }
    }

    fn pieces(&self, sent: u32) -> Pieces {
        let is_packed = self.outgoing.compress && !self.opened.envelope.content_encrypted;
        let encoding = if is_packed { Encoding::Gzip } else { Encoding::Plain };
        Pieces::after(sent, self.opened.payload.clone(), self.outgoing.chunk, encoding)
    }

    async fn note(&self, progress: Sending) -> Result<(), Halt> {
        self.sender.sends.sending(self.id, progress).await
    }

    fn later(&self, fault: &Fault) -> Settlement {
        let failures = self.sender.failures.fetch_add(1, Ordering::Relaxed);
        let after = BACKOFF.wait(failures, fault.retry_after, self.sender.chance.dice());
        Settlement::Defer { after, reason: reason(fault), outputs: Vec::new() }
    }

    fn waited(&self) -> std::sync::MutexGuard<'_, BTreeSet<DeliveryId>> {
        self.sender.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sent() -> Settlement {
    Settlement::Delivered(Vec::new())
}

fn held(code: FaultCode, why: impl Into<String>) -> Settlement {
    Settlement::Held { reason: Reason::new(code, why), outputs: Vec::new() }
}

fn reason(fault: &Fault) -> Reason {
    Reason::new(fault.code, fault.detail.clone())
}

#[cfg(test)]
mod tests;
