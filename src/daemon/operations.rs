//! What operators are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::archive::Archive;
use super::bringing::Entrance;
use super::health::{Looked, is_ready};
use super::jobs::Bulk;
use super::monitors::Monitors;
use super::people;
use super::readings::Readings;
use super::rewrap::Rewrapper;
use super::sealing::Sealing;
use crate::adapters::http::Client;
use crate::domain::fault::FaultCode;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, JobId, MailboxId, Name};
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::domain::monitor::MonitorId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::recipient::{Holder, RecipientTag};
use crate::domain::time::Timestamp;
use crate::pipeline::Pipelines;
use crate::ports::clock::Clock;
use crate::ports::monitors::{MonitorAlarm, MonitorStatus};
use crate::ports::obstacles::{At, Obstacle, Obstacles};
use crate::ports::operations::{
    Bringing, FoundSubject, KeptBy, LegalHoldStatus, MailboxStatus, NotRevealed, Operations, Phase, PipelineStatus,
    Post, Posting, Reveal, Status, SubjectWish, Suspended, Told, Upload,
};
use crate::ports::pickups::Pickups;
use crate::ports::sealed::{Rewrapping, SealedPage};
use crate::ports::spool::{Opened, SpoolError};
use crate::ports::store::{
    Acted, Delivery, Expunged, Extent, Foreseen, Foresight, FoundAside, FoundAtMesh, FoundGroups, FoundRetention, Halt,
    HoldOrder, HoldRefused, Job, JobOrder, Kept, LegalHold, LookUp, NotAllowed, NotBroughtIn, NotExpunged, Note, Order,
    Pin, QueuePage, Queued, RetentionPage, Selection, SendPage, Sends, Sent, SetAsidePage, Store, TooManyJobs,
};
use crate::ports::trace::{Page, Search, Unreadable};
use crate::ports::waits::Waits;
use crate::store::journal::Head;
use crate::store::spool::Reader;
use crate::work::Suspensions;

/// Answers from the store and from what the daemon knows of itself.
pub(super) struct Desk {
    pub(super) store: Arc<dyn Store>,
    pub(super) sends: Arc<dyn Sends>,
    pub(super) head: watch::Receiver<Head>,
    pub(super) http: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started_at: Timestamp,
    pub(super) organisations: BTreeMap<MailboxId, String>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) looked: watch::Receiver<Looked>,
    pub(super) obstacles: Obstacles,
    pub(super) waits: Waits,
    pub(super) pickups: Pickups,
    pub(super) pipelines: watch::Receiver<Arc<Pipelines>>,
    pub(super) suspensions: Suspensions,
    pub(super) monitors: Monitors,
    pub(super) bulk: Bulk,
    pub(super) entrance: Entrance,
    pub(super) archive: Archive,
    pub(super) readings: Readings,
    pub(super) sealing: Sealing,
    pub(super) rewrapper: Rewrapper,
    /// Opens what is sealed.
    pub(super) reader: Reader,
}

impl Desk {
    /// While MESH does not answer for a mailbox, or it is not asked, mail may wait there since its last list.
    fn waits_since(&self, mailbox: &MailboxId, listed_at: Option<Timestamp>) -> Option<Timestamp> {
        let is_suspended = self.store.occupancy().suspension(mailbox).is_some();
        let is_silent = is_suspended || self.obstacles.has(&At::Mesh(mailbox.clone()));
        self.waits.of(mailbox).into_iter().chain(listed_at.filter(|_| is_silent)).min()
    }

    /// Whether mail is taken in for a mailbox, or was.
    fn is_known(&self, mailbox: &MailboxId) -> bool {
        self.organisations.contains_key(mailbox) || self.store.occupancy().mailboxes.contains_key(mailbox)
    }

    fn pipelines(&self) -> Vec<PipelineStatus> {
        let suspended = self.suspensions.all();
        let pipelines = self.pipelines.borrow();
        let mut all: Vec<_> = pipelines
            .all()
            .iter()
            .map(|pipeline| PipelineStatus {
                name: pipeline.name().clone(),
                sha256: pipeline.sha256().to_owned(),
                outputs: pipeline.outputs().cloned().collect(),
                suspended: suspended.get(pipeline.name()).copied(),
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

/// A suspended pipeline stands in the way of its mail.
fn suspended(pipeline: &PipelineStatus) -> Option<Obstacle> {
    let Suspended { code, since } = pipeline.suspended?;
    Some(Obstacle {
        at: At::Pipeline(pipeline.name.clone()),
        code: FaultCode::PipelineSuspended.as_str().to_owned(),
        detail: format!("its messages failed alike, {code}: mend it, then `meshd pipeline resume {}`", pipeline.name),
        since,
    })
}

/// Mail that did not come is in nobody's way, and yet must be seen.
fn missed(monitor: &MonitorStatus) -> Option<Obstacle> {
    let MonitorStatus { pipeline, name, alarm, .. } = monitor;
    let MonitorAlarm { code, detail, since } = alarm.clone()?;
    let at = At::Monitor(MonitorId { pipeline: pipeline.clone(), monitor: name.clone() });
    Some(Obstacle { at, code, detail, since })
}

/// A legal hold, without the digests it finds people by.
fn told((id, hold): (&LegalHoldId, &LegalHold)) -> LegalHoldStatus {
    let keeps = match &hold.scope {
        HoldScope::Mailbox(mailbox) => KeptBy::Mailbox(mailbox.clone()),
        HoldScope::Delivery(delivery) => KeptBy::Delivery(*delivery),
        HoldScope::Patients(patients) => KeptBy::Patients(patients.len() as u64),
    };
    let LegalHold { since, by, why, is_complete, .. } = hold.clone();
    LegalHoldStatus { id: *id, keeps, since, by, why, is_complete }
}

impl Operations for Desk {
    fn status(&self) -> Status {
        let occupancy = self.store.occupancy();
        let now = self.clock.wall();
        let ids: BTreeSet<&MailboxId> = self.organisations.keys().chain(occupancy.mailboxes.keys()).collect();
        let mailboxes = ids
            .into_iter()
            .map(|id| MailboxStatus {
                id: id.clone(),
                organisation: self.organisations.get(id).cloned(),
                pickup: self.pickups.of(id),
                waits_since: self.waits_since(id, occupancy.mailboxes.get(id).and_then(|of| of.listed_at)),
                occupancy: occupancy.mailboxes.get(id).cloned().unwrap_or_default(),
            })
            .collect();
        let (pipelines, monitors) = (self.pipelines(), self.monitors.all());
        let found = pipelines.iter().filter_map(suspended).chain(monitors.iter().filter_map(missed));
        let ready = is_ready(
            *self.phase.borrow(),
            self.clock.monotonic(),
            *self.looked.borrow(),
            &self.obstacles,
            self.organisations.keys(),
        );
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            phase: *self.phase.borrow(),
            started_at: self.started_at,
            now,
            sequence: occupancy.sequence,
            suspects: occupancy.suspects,
            dropped_leases: occupancy.dropped_leases,
            certificate_days: self.http.health().client_certificate_days(now),
            ready,
            legal_holds: occupancy.legal_holds.iter().map(told).collect(),
            obstacles: self.obstacles.all().into_iter().chain(found).collect(),
            pipelines,
            monitors,
            mailboxes,
        }
    }

    fn set_aside(&self, page: SetAsidePage) -> Told<'_, FoundAside> {
        self.store.set_aside(page)
    }

    fn groups(&self, after: Option<Fingerprint>) -> Told<'_, FoundGroups> {
        self.store.groups(after)
    }

    fn queue(&self, page: QueuePage) -> Told<'_, Vec<Queued>> {
        self.store.queue(page)
    }

    fn sealed(&self, after: Option<DeliveryId>) -> Told<'_, SealedPage> {
        Box::pin(self.sealing.page(after))
    }

    fn key_made(&self, recipient: RecipientTag, by: Operator) -> Told<'_, Vec<Holder>> {
        tracing::info!(%recipient, user = by.0, "an operator made an identity");
        Box::pin(async move {
            self.store.note(Note::KeyMade { recipient, by }).await?;
            Ok(self.sealing.keyholders.holders.clone())
        })
    }

    fn rewrap(&self, by: Operator) -> Told<'_, Rewrapping> {
        Box::pin(async move {
            if !self.rewrapper.now().is_running {
                tracing::info!(user = by.0, "an operator has payloads sealed again");
                self.store.note(Note::RewrapBegun { by }).await?;
                // Someone else may have had it begun meanwhile.
                self.rewrapper.begin();
            }
            Ok(self.rewrapper.now())
        })
    }

    fn rewrapping(&self) -> Rewrapping {
        self.rewrapper.now()
    }

    fn act(&self, order: Order) -> Told<'_, Result<Acted, NotAllowed>> {
        let (delivery, user, act) = (order.delivery, order.by.0, order.act);
        let reply = self.store.act(order);
        Box::pin(async move {
            let result = reply.await?;
            match &result {
                Ok(acted) => tracing::info!(%delivery, user, ?acted, "an operator acted"),
                Err(refused) => tracing::info!(%delivery, user, ?act, %refused, "an operator was refused"),
            }
            Ok(result)
        })
    }

    fn bring_in(&self, wish: Bringing) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>> {
        tracing::info!(user = wish.by.0, bytes = wish.length, "an operator brings a payload in");
        Box::pin(self.entrance.begin(wish))
    }

    fn post(&self, posting: Posting) -> Told<'_, Result<Box<dyn Upload>, NotBroughtIn>> {
        let Posting { letter, length, by, .. } = &posting;
        tracing::info!(user = by.0, mailbox = %letter.mailbox, bytes = length, "an operator sends a message");
        self.entrance.post(posting)
    }

    fn resolve_send(&self, found: FoundAtMesh) -> Told<'_, Result<(), NotAllowed>> {
        let (delivery, user) = (found.delivery, found.by.0);
        let reply = self.sends.resolve_send(found);
        Box::pin(async move {
            let result = reply.await?;
            tracing::info!(%delivery, user, ?result, "an operator says that MESH has a send");
            Ok(result)
        })
    }

    fn sends(&self, page: SendPage) -> Told<'_, Vec<Sent>> {
        self.sends.sends(page)
    }

    fn foresee(&self, wanted: Foresight) -> Told<'_, Foreseen> {
        Box::pin(self.bulk.foresee(wanted))
    }

    fn begin_job(&self, order: JobOrder) -> Told<'_, Result<JobId, TooManyJobs>> {
        Box::pin(self.bulk.begin(order))
    }

    fn jobs(&self) -> Told<'_, Vec<Job>> {
        Box::pin(self.bulk.all())
    }

    fn cancel_job(&self, job: JobId, by: Operator) -> Told<'_, bool> {
        Box::pin(self.bulk.cancel(job, by))
    }

    fn resume(&self, pipeline: Name, by: Operator, why: Option<Remark>) -> Told<'_, bool> {
        Box::pin(async move {
            let is_lifted = self.suspensions.lift(&pipeline);
            if is_lifted {
                tracing::info!(%pipeline, user = by.0, "an operator resumed a pipeline");
                self.store.note(Note::Resumed { pipeline, by, why }).await?;
            }
            Ok(is_lifted)
        })
    }

    fn accept_monitor(&self, of: MonitorId, by: Operator, why: Remark) -> Told<'_, bool> {
        Box::pin(self.monitors.accept(of, by, why))
    }

    fn legal_hold(&self, order: HoldOrder) -> Told<'_, Result<LegalHoldId, HoldRefused>> {
        if let HoldOrder::Add { scope: HoldScope::Mailbox(mailbox), .. } = &order
            && !self.is_known(mailbox)
        {
            return Box::pin(async { Ok(Err(HoldRefused::UnknownMailbox)) });
        }
        let reply = self.store.legal_hold(order);
        Box::pin(async move {
            let done = reply.await?;
            if let Ok(hold) = &done {
                tracing::info!(%hold, "an operator began or ended a legal hold: the journal says who, and why");
            }
            Ok(done)
        })
    }

    fn tally(&self, page: RetentionPage) -> Told<'_, FoundRetention> {
        self.store.tally(page)
    }

    fn look_up(&self, wanted: LookUp) -> Told<'_, Vec<Kept>> {
        self.store.look_up(wanted)
    }

    fn subject(&self, wish: SubjectWish) -> Told<'_, Result<FoundSubject, Unreadable>> {
        Box::pin(async move {
            let SubjectWish { patients, purpose, from, by, why } = wish;
            if from == 0 {
                tracing::info!(user = by.0, ?purpose, "someone looks for what is kept about people");
                self.store.note(Note::SubjectSought { patients: patients.clone(), purpose, by, why }).await?;
            }
            people::find(&self.archive, &*self.store, patients, from).await
        })
    }

    fn expunge(&self, delivery: DeliveryId, by: Operator, why: Remark) -> Told<'_, Result<Expunged, NotExpunged>> {
        let reply = self.store.expunge(delivery, by, why);
        Box::pin(async move {
            let result = reply.await?;
            match &result {
                Ok(_) => tracing::info!(%delivery, user = by.0, "an operator had a payload removed before its time"),
                Err(refused) => tracing::info!(%delivery, user = by.0, %refused, "an operator was refused a removal"),
            }
            Ok(result)
        })
    }

    fn pin(&self, by: Operator) -> Told<'_, Pin> {
        let reply = self.store.pin(by);
        Box::pin(async move {
            let pin = reply.await?;
            tracing::info!(user = by.0, head = pin.extent.head, "a backup begins: nothing leaves the spool meanwhile");
            Ok(pin)
        })
    }

    fn backup_ended(&self, extent: Extent, by: Operator) -> Told<'_, ()> {
        tracing::info!(user = by.0, head = extent.head, "a backup is whole");
        self.store.note(Note::BackupEnded { sequence: extent.sequence, by })
    }

    fn trace(&self, wanted: Search) -> Told<'_, Result<Page, Unreadable>> {
        Box::pin(async move {
            // Whatever was handed over before the question is in the answer.
            self.store.barrier().await?;
            self.archive.search(wanted).await
        })
    }

    fn audit(&self, wanted: Search, by: Operator) -> Told<'_, Result<Page, Unreadable>> {
        Box::pin(async move {
            let what = wanted.to_string();
            let goes_on = self.readings.take(by, &wanted);
            let found = self.trace(wanted).await?;
            if !goes_on {
                let records = found.as_ref().map_or(0, |page| page.records.len() as u64);
                self.store.note(Note::AuditRead { by, what, records }).await?;
            }
            if let Ok(Page { rest: Some(rest), .. }) = &found {
                self.readings.offer(by, (**rest).clone());
            }
            Ok(found)
        })
    }

    fn reveal(&self, wish: Reveal) -> Told<'_, Result<Opened, NotRevealed>> {
        Box::pin(async move {
            let Reveal { delivery: id, payload, by, why } = wish;
            let only = SetAsidePage { before: None, only: Some(id), selection: Selection::default(), count: 1 };
            let Some(aside) = self.store.set_aside(only).await?.page.pop() else {
                return Ok(Err(NotRevealed::NotAside));
            };
            let (reader, Delivery { mailbox, message_id, location, .. }) = (self.reader.clone(), aside.delivery);
            let opened = tokio::task::spawn_blocking(move || reader.open(&mailbox, &message_id, &location));
            match opened.await.map_err(|_| Halt("opening a payload ended without an answer".into()))? {
                Ok(opened) => {
                    tracing::info!(delivery = %id, user = by.0, payload, "an operator is shown sealed mail");
                    self.store.note(Note::Revealed { id, payload, by, why }).await?;
                    Ok(Ok(opened))
                }
                Err(SpoolError::Failed(halt)) => Err(halt),
                Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
                    Ok(Err(NotRevealed::Unreadable(error.to_string())))
                }
            }
        })
    }

    fn suspend_mailbox(&self, mailbox: MailboxId, by: Operator, why: Remark) -> Told<'_, bool> {
        Box::pin(async move {
            let is_new = self.store.occupancy().suspension(&mailbox).is_none();
            if is_new {
                tracing::warn!(%mailbox, user = by.0, "an operator suspended a mailbox");
                self.store.note(Note::MailboxSuspended { mailbox, by, why }).await?;
            }
            Ok(is_new)
        })
    }

    fn resume_mailbox(&self, mailbox: MailboxId, by: Operator, why: Option<Remark>) -> Told<'_, bool> {
        Box::pin(async move {
            let was_suspended = self.store.occupancy().suspension(&mailbox).is_some();
            if was_suspended {
                tracing::info!(%mailbox, user = by.0, "an operator resumed a mailbox");
                self.store.note(Note::MailboxResumed { mailbox, by, why }).await?;
            }
            Ok(was_suspended)
        })
    }

    fn journal_head(&self) -> Told<'_, String> {
        Box::pin(async {
            // Whatever was handed over before the question is in the answer.
            self.store.barrier().await?;
            Ok(self.head.borrow().to_string())
        })
    }
}
