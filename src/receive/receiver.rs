//! One message, from its first chunk to the store's proof.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::course::{Arrival, milliseconds};
use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::MessageId;
use crate::domain::settlement::Reason;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::inbox::{Chunk, Inbox};
use crate::ports::spool::{Intake, MOST_CHUNKS, Spool};
use crate::ports::store::{Acceptance, Halt, Incoming, IncomingBody, Reply, Store};

use super::admission::{Admission, Claim, Closed, Need};
use super::body::{self, BodyError, Decoding, Inflow, Start};

/// A message that fails with every byte there is kept as served at this fetch, counted from 1.
const KEEP_AS_SERVED_AT: u32 = 3;

/// MESH takes messages of 100 GB (mesh-api 8). A tenth more, since GB or GiB is not said and the last chunk is shorter.
const LARGEST_MESSAGE: u64 = 110_000_000_000;

/// A message's bytes, all here.
struct Landed {
    body: IncomingBody,
    claim: Claim,
    /// How many came over the wire for it.
    wire: u64,
}

/// Receives the messages of one mailbox.
pub(super) struct Receiver {
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) store: Arc<dyn Store>,
    pub(super) spool: Arc<dyn Spool>,
    pub(super) admission: Arc<Admission>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What is known of a listed message before it is fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// How often it was refused before.
    pub(super) refusals: u32,
    /// Which fetch this is, counted from 1.
    pub(super) tries: u32,
    /// When it was first listed.
    pub(super) listed: Timestamp,
}

/// What came of one fetch.
pub(super) enum Fetched {
    /// All bytes are here; the store's answer is on its way, and the claim covers them until then.
    Kept(Reply<Acceptance>, Claim),
    /// No room for it now, and what it needs, if it is known.
    Closed(Closed, Option<Need>),
    /// It is one that we have, and MESH has it no more.
    Settled,
    /// It did not work.
    Failed(Fault),
}

impl Receiver {
    /// Fetches message `id`.
    pub(super) async fn fetch(&self, id: &MessageId, wanted: Wanted) -> Result<Fetched, Halt> {
        let last_try = wanted.refusals + 1 >= KEEP_AS_SERVED_AT;
        match self.attempt(id, wanted, Decoding::AsEncoded, None).await? {
            Fetched::Failed(fault) if last_try && every_byte_arrived(&fault) => {
                let verdict = Reason::new(fault.code, fault.detail);
                self.attempt(id, wanted, Decoding::AsServed, Some(verdict)).await
            }
            fetched @ (Fetched::Kept(..) | Fetched::Closed(..) | Fetched::Settled | Fetched::Failed(_)) => Ok(fetched),
        }
    }

    /// Fetches message `id`, which we have, and which was acknowledged before: the list is late, or the service desk has put it back
    /// (mesh-api 7.2). Before its bytes, its headers are asked for: MESH answers 410 to what was acknowledged
    /// (mesh-api 6.4), and that is no alarm.
    pub(super) async fn fetch_again(&self, id: &MessageId, wanted: Wanted) -> Result<Fetched, Halt> {
        let fetched = match self.inbox.head(id).await {
            Ok(_) => self.fetch(id, wanted).await?,
            Err(fault) => Fetched::Failed(fault),
        };
        Ok(match fetched {
            Fetched::Failed(fault) if fault.code == FaultCode::MsgGone => Fetched::Settled,
            other @ (Fetched::Kept(..) | Fetched::Closed(..) | Fetched::Settled | Fetched::Failed(_)) => other,
        })
    }

    async fn attempt(
        &self,
        id: &MessageId,
        wanted: Wanted,
        decoding: Decoding,
        verdict: Option<Reason>,
    ) -> Result<Fetched, Halt> {
        match self.attempt_inner(id, wanted, decoding, verdict).await {
            Ok(fetched) => Ok(fetched),
            Err(BodyError::Fault(fault)) => Ok(Fetched::Failed(fault)),
            Err(BodyError::NoRoom) => Ok(Fetched::Closed(Closed::DiskBytes, None)),
            Err(BodyError::AtFloor(_)) => Ok(Fetched::Closed(Closed::TooLargeForDisk, None)),
            Err(BodyError::Halt(halt)) => Err(halt),
        }
    }

    async fn attempt_inner(
        &self,
        id: &MessageId,
        wanted: Wanted,
        decoding: Decoding,
        verdict: Option<Reason>,
    ) -> Result<Fetched, BodyError> {
        let (began, began_at) = (self.clock.monotonic(), self.clock.wall());
        let first = self.inbox.fetch(id, 1).await?;
        check_place(&first, id, 1, first.total)?;
        let envelope = first.envelope.clone();
        let chunks = first.total.max(1);
        let (kind, per_chunk) = (envelope.kind, first.content_length.unwrap_or(0));
        let expected = per_chunk.saturating_mul(u64::from(first.total.max(1)));
        if expected > LARGEST_MESSAGE {
            let detail = format!("MESH states {expected} bytes, more than any message may have");
            return Err(Fault::message(FaultCode::MsgTooLarge, detail).into());
        }
        // Only the rest of what an earlier fetch left must still fit: it may hold the very room that the whole would need.
        let intake = if first.total > 1 { Some(self.take_up(&envelope, decoding).await?) } else { None };
        let kept = intake.as_ref().map_or(0, |intake| intake.kept());
        let needs = Need { kind, bytes: expected, landed: per_chunk.saturating_mul(u64::from(kept)).min(expected) };
        let mut claim = match self.admission.claim(self.inbox.mailbox(), needs) {
            Ok(claim) => claim,
            Err(closed) => {
                if intake.is_some() && kept == 0 {
                    self.forget(id).await?;
                }
                return Ok(Fetched::Closed(closed, Some(needs)));
            }
        };
        let landed = if let Some(intake) = intake {
            let inflow = Inflow { intake, claim, arrived: needs.landed, wire: 0 };
            self.large(id, Bytes::new(), first, decoding, inflow).await
        } else {
            match body::start(first, decoding).await? {
                Start::Whole { bytes, wire } => {
                    claim.correct(bytes.len() as u64);
                    Ok(Landed { body: IncomingBody::Small(bytes), claim, wire })
                }
                Start::Larger(read, rest) => {
                    let intake = self.take_up(&envelope, decoding).await?;
                    let inflow = Inflow { intake, claim, arrived: 0, wire: 0 };
                    self.large(id, read, *rest, decoding, inflow).await
                }
            }
        };
        let Landed { body, claim, wire } = match landed {
            Err(BodyError::AtFloor(bytes)) => {
                // A part that waited for the rest would keep the door of every mailbox closed, perhaps for ever (I6).
                self.forget(id).await?;
                self.admission.measure_again();
                let needs = Need { kind, bytes, landed: 0 };
                return Ok(Fetched::Closed(Closed::TooLargeForDisk, Some(needs)));
            }
            other => other?,
        };
        let Wanted { tries, listed, .. } = wanted;
        let took = milliseconds(self.clock.monotonic().saturating_sub(began));
        let arrival = Arrival { listed, waited: milliseconds(began_at.since(listed)), took, wire, chunks, tries };
        let accepted = self.store.accept(Incoming { envelope, body, verdict, arrival });
        Ok(Fetched::Kept(accepted, claim))
    }

    /// Brings the chunks that are missing of a large message, of whose `first` so much is `read`.
    async fn large(
        &self,
        id: &MessageId,
        read: Bytes,
        first: Chunk,
        decoding: Decoding,
        mut inflow: Inflow,
    ) -> Result<Landed, BodyError> {
        let total = first.total.max(1);
        let mut first = Some((read, first)).filter(|_| inflow.intake.kept() == 0);
        while inflow.intake.kept() < total {
            let number = inflow.intake.kept() + 1;
            let (read, chunk) = match first.take() {
                Some(first) => first,
                None => {
                    let fetched = self.inbox.fetch(id, number).await;
                    (Bytes::new(), fetched.map_err(|fault| missing(fault, number, total))?)
                }
            };
            check_place(&chunk, id, number, total)?;
            let arrived = inflow.arrived;
            inflow = body::stream(read, chunk, decoding, inflow).await.map_err(|error| match error {
                BodyError::AtFloor(seems) => BodyError::AtFloor(whole(arrived.saturating_add(seems), number, total)),
                other @ (BodyError::Fault(_) | BodyError::NoRoom | BodyError::Halt(_)) => other,
            })?;
        }
        let Inflow { intake, claim, wire, .. } = inflow;
        let sealed = blocking(move || intake.finish()).await??;
        Ok(Landed { body: IncomingBody::Large(sealed), claim, wire })
    }

    /// Removes what is there of a message.
    async fn forget(&self, id: &MessageId) -> Result<(), BodyError> {
        let (spool, mailbox, id) = (Arc::clone(&self.spool), self.inbox.mailbox().clone(), id.clone());
        Ok(blocking(move || spool.forget(&mailbox, &id)).await??)
    }

    /// Takes a large message up where an earlier fetch left it. What that left counts as if each chunk were as long as
    /// the first.
    async fn take_up(&self, envelope: &Envelope, decoding: Decoding) -> Result<Box<dyn Intake>, BodyError> {
        let spool = Arc::clone(&self.spool);
        let envelope = envelope.clone();
        let intake = blocking(move || match decoding {
            Decoding::AsEncoded => spool.intake(&envelope),
            Decoding::AsServed => spool.intake_as_served(&envelope),
        });
        Ok(intake.await??)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BodyError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|died| BodyError::Halt(Halt(format!("spool: {died}"))))
}

/// Every response must say it is the chunk that was asked for, of the message that was asked for (mesh-api 6.4).
fn check_place(chunk: &Chunk, id: &MessageId, number: u32, total: u32) -> Result<(), Fault> {
    if chunk.envelope.message_id != *id {
        return Err(Fault::message(FaultCode::MsgBadHeaders, "the answer is about another message"));
    }
    if chunk.total > MOST_CHUNKS {
        let detail = format!("{} chunks are announced, at most {MOST_CHUNKS} are taken", chunk.total);
        return Err(Fault::message(FaultCode::MsgBadChunks, detail));
    }
    let bodiless_report = chunk.envelope.kind == MessageKind::Report && chunk.total == 0;
    if !bodiless_report && (chunk.number != number || chunk.total != total) {
        let (n, m) = (chunk.number, chunk.total);
        return Err(Fault::message(
            FaultCode::MsgBadChunks,
            format!("asked for chunk {number} of {total}, got {n} of {m}"),
        ));
    }
    Ok(())
}

/// What a message needs of which `chunks` of `total` have so many `bytes`, and a little more, since sealing adds some.
fn whole(bytes: u64, chunks: u32, total: u32) -> u64 {
    let whole = u128::from(bytes) * u128::from(total) / u128::from(chunks.max(1));
    u64::try_from(whole + whole / 64).unwrap_or(u64::MAX)
}

/// A later chunk that is not there (404) is a hole in the message, not a message that somebody else has handled.
fn missing(fault: Fault, number: u32, total: u32) -> Fault {
    if fault.code != FaultCode::MsgGone || fault.class != Class::Transient || number == 1 {
        return fault;
    }
    let detail = format!("chunk {number} of {total} is not there: {}", fault.detail);
    Fault::new(FaultCode::MsgBadChunks, Class::Transient, Origin::Message, detail)
}

/// Did all bytes come, so that they can be kept as they are although they make no sense?
fn every_byte_arrived(fault: &Fault) -> bool {
    fault.origin == Origin::Message
        && fault.class == Class::Permanent
        && matches!(fault.code, FaultCode::MsgBadEncoding | FaultCode::MsgTooLarge)
}
