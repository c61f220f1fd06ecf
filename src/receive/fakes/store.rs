//! A store that remembers what a poller tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, ready};

use super::{Log, Stage, mailbox};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::output::OutputState;
use crate::domain::settlement::Settlement;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock as _;
use crate::ports::store::{
    Acceptance, Accepted, Acted, BringIn, Expunged, FoundAside, FoundGroups, FoundRetention, Halt, HoldOrder,
    HoldRefused, Incoming, IncomingBody, Kept, KeptPayload, Known, Lease, LeaseWish, LookUp, MailboxOccupancy,
    NotAllowed, NotBroughtIn, NotExpunged, Note, Occupancy, Order, Pin, QueuePage, Queued, Refusal, Reply, Reseal,
    Resealed, RetentionPage, SetAsidePage, Store,
};

#[derive(Default)]
pub(in crate::receive) struct FakeStore {
    pub(in crate::receive) full: Mutex<bool>,
    pub(in crate::receive) known: Mutex<BTreeMap<MessageId, Known>>,
    pub(in crate::receive) kept: Mutex<Vec<Incoming>>,
    pub(in crate::receive) occupancy: Mutex<Occupancy>,
    pub(in crate::receive) stage: Stage,
    pub(in crate::receive) log: Log,
}

impl FakeStore {
    pub(in crate::receive) fn proof(&self, id: &MessageId) -> Accepted {
        Accepted::attest(mailbox(), id.clone(), DeliveryId(1))
    }

    fn with_mailbox(&self, change: impl FnOnce(&mut MailboxOccupancy)) {
        change(self.occupancy.lock().expect("unpoisoned").mailboxes.entry(mailbox()).or_default());
    }
}

/// Parts of the store that a poller has no business with.
fn not_for_pollers<T: Send + 'static>() -> Reply<T> {
    Box::pin(ready(Err(Halt("a poller must not call this".into()))))
}

impl Store for FakeStore {
    fn accept(&self, incoming: Incoming) -> Reply<Acceptance> {
        let id = incoming.envelope.message_id.clone();
        let bytes = match &incoming.body {
            IncomingBody::Small(bytes) => bytes.len() as u64,
            IncomingBody::Large(sealed) => sealed.length,
        };
        self.log.lock().expect("unpoisoned").push(format!("accept {id}"));
        self.with_mailbox(|of| {
            of.queued.messages += 1;
            of.queued.bytes += bytes;
        });
        self.kept.lock().expect("unpoisoned").push(incoming);
        let proof = self.proof(&id);
        let full = *self.full.lock().expect("unpoisoned");
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(if full { Acceptance::NotKept("no room".into()) } else { Acceptance::New(proof) })
        })
    }

    fn known(&self, _: &MailboxId, ids: Vec<MessageId>) -> Reply<Vec<Known>> {
        let known = self.known.lock().expect("unpoisoned");
        let answers = ids.iter().map(|id| known.get(id).cloned().unwrap_or(Known::New)).collect();
        Box::pin(ready(Ok(answers)))
    }

    fn acknowledged(&self, accepted: &Accepted) -> Reply<()> {
        self.log.lock().expect("unpoisoned").push(format!("acknowledged {}", accepted.message_id()));
        self.known.lock().expect("unpoisoned").insert(accepted.message_id().clone(), Known::Presented);
        Box::pin(ready(Ok(())))
    }

    fn refuse(&self, refusal: Refusal) -> Reply<()> {
        let Refusal { message_id, reason, until, lost, .. } = refusal;
        self.log.lock().expect("unpoisoned").push(format!("refuse {message_id} {}", reason.code));
        let mut known = self.known.lock().expect("unpoisoned");
        let (times, presented) = match known.get(&message_id) {
            Some(Known::Refused { times, presented, .. }) => (times + 1, *presented),
            Some(Known::New | Known::Kept(_) | Known::Presented) | None => {
                self.with_mailbox(|of| of.refused += 1);
                (1, known.get(&message_id) == Some(&Known::Presented))
            }
        };
        known.insert(message_id, Known::Refused { until, times, first: Timestamp(0), presented, lost });
        Box::pin(ready(Ok(())))
    }

    fn forget_refused(&self, _: &MailboxId, listed: BTreeSet<MessageId>) -> Reply<()> {
        let mut known = self.known.lock().expect("unpoisoned");
        let is_gone = |id: &MessageId, known: &Known| matches!(known, Known::Refused { .. }) && !listed.contains(id);
        for (id, _) in known.extract_if(.., |id, known| is_gone(id, known)) {
            self.log.lock().expect("unpoisoned").push(format!("forget {id}"));
            self.with_mailbox(|of| of.refused -= 1);
        }
        Box::pin(ready(Ok(())))
    }

    fn note(&self, note: Note) -> Reply<()> {
        let now = self.stage.wall();
        match note {
            Note::HandshakeTried { .. } => self.with_mailbox(|of| of.handshake_tried_at = Some(now)),
            Note::Handshake { .. } => self.with_mailbox(|of| of.handshake_at = Some(now)),
            Note::Listed { .. } => self.with_mailbox(|of| of.listed_at = Some(now)),
            Note::Started { .. }
            | Note::Stopping
            | Note::Stopped
            | Note::ClockStep { .. }
            | Note::Configured { .. }
            | Note::Suspended { .. }
            | Note::Resumed { .. }
            | Note::BackupEnded { .. }
            | Note::AuditRead { .. }
            | Note::SubjectSought { .. }
            | Note::Revealed { .. }
            | Note::MailboxSuspended { .. }
            | Note::MailboxResumed { .. }
            | Note::KeyMade { .. }
            | Note::RewrapBegun { .. }
            | Note::Alarmed { .. }
            | Note::Monitor { .. } => {}
        }
        Box::pin(ready(Ok(())))
    }

    fn lease(&self, _: LeaseWish) -> Reply<Vec<Lease>> {
        not_for_pollers()
    }

    fn staged(&self, _: DeliveryId, _: Vec<OutputState>) -> Reply<()> {
        not_for_pollers()
    }

    fn settle(&self, _: Lease, _: Settlement) -> Reply<()> {
        not_for_pollers()
    }

    fn payloads(&self, _: Option<DeliveryId>, _: usize) -> Reply<Vec<KeptPayload>> {
        not_for_pollers()
    }

    fn reseal(&self, _: Reseal) -> Reply<Resealed> {
        not_for_pollers()
    }

    fn act(&self, _: Order) -> Reply<Result<Acted, NotAllowed>> {
        not_for_pollers()
    }

    fn bring_in(&self, _: BringIn) -> Reply<Result<DeliveryId, NotBroughtIn>> {
        not_for_pollers()
    }
    fn legal_hold(&self, _: HoldOrder) -> Reply<Result<LegalHoldId, HoldRefused>> {
        not_for_pollers()
    }
    fn tally(&self, _: RetentionPage) -> Reply<FoundRetention> {
        not_for_pollers()
    }
    fn look_up(&self, _: LookUp) -> Reply<Vec<Kept>> {
        not_for_pollers()
    }
    fn expunge(&self, _: DeliveryId, _: Operator, _: Remark) -> Reply<Result<Expunged, NotExpunged>> {
        not_for_pollers()
    }
    fn pin(&self, _: Operator) -> Reply<Pin> {
        not_for_pollers()
    }

    fn queue(&self, _: QueuePage) -> Reply<Vec<Queued>> {
        not_for_pollers()
    }
    fn groups(&self, _: Option<Fingerprint>) -> Reply<FoundGroups> {
        not_for_pollers()
    }

    fn set_aside(&self, _: SetAsidePage) -> Reply<FoundAside> {
        not_for_pollers()
    }

    fn occupancy(&self) -> Arc<Occupancy> {
        Arc::new(self.occupancy.lock().expect("unpoisoned").clone())
    }

    fn watch(&self) -> tokio::sync::watch::Receiver<Arc<Occupancy>> {
        tokio::sync::watch::channel(self.occupancy()).1
    }

    fn barrier(&self) -> Reply<()> {
        Box::pin(ready(Ok(())))
    }

    fn halted(&self) -> BoxFuture<'static, Halt> {
        Box::pin(std::future::pending())
    }
}
