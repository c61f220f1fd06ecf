//! The store as everybody else sees it: calls become commands for the committer's thread.
//!
//! A call is handed over when it is made, if there is room, else when its reply is first polled; a reply that is
//! dropped does not take the command back. Replies arrive once the commit is durable.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::command::{Answer, Command, JobAnswer, JobCommand, SendCommand};
use super::thread::Request;
use crate::domain::digest::ContentDigest;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{DeliveryId, JobId, MailboxId, MessageId};
use crate::domain::legal_hold::LegalHoldId;
use crate::domain::operator::{Operator, Remark};
use crate::domain::output::OutputState;
use crate::domain::sending::Sending;
use crate::domain::settlement::Settlement;
use crate::ports::store::{
    self, Acceptance, Accepted, Acted, BringIn, Expunged, Foreseen, Foresight, FoundAside, FoundAtMesh, FoundGroups,
    FoundRetention, Halt, HoldOrder, HoldRefused, Incoming, Job, JobOrder, Jobs, KeptPayload, Known, Lease, LeaseWish,
    LookUp, NextSend, NotAllowed, NotBroughtIn, NotExpunged, NotQueued, Note, Occupancy, Order, Pin, QueuePage, Queued,
    Refusal, Reply, Reseal, Resealed, RetentionPage, SendOrder, SendPage, Sends, Sent, SetAsidePage, Stepped, Store,
    TooManyJobs,
};

/// A handle to the open store.
#[derive(Clone)]
pub struct Kept {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) occupancy: watch::Receiver<Arc<Occupancy>>,
    pub(super) halted: watch::Receiver<Option<Halt>>,
}

impl Kept {
    fn ask<T: Send + 'static>(&self, command: Command, read: fn(Answer) -> Option<T>) -> Reply<T> {
        let (reply, answer) = oneshot::channel();
        let waiting = match self.requests.try_send(Request { command, reply }) {
            Ok(()) => None,
            Err(TrySendError::Full(request) | TrySendError::Closed(request)) => Some(request),
        };
        let (requests, halted) = (self.requests.clone(), self.halted.clone());
        async move {
            if let Some(request) = waiting {
                requests.send(request).await.map_err(|_| gone(&halted))?;
            }
            match answer.await {
                Ok(Ok(Answer::Declined(why))) => Err(why),
                Ok(Ok(answer)) => read(answer).ok_or_else(|| Halt("the committer gave another answer".into())),
                Ok(Err(halt)) => Err(halt),
                Err(_) => Err(gone(&halted)),
            }
        }
        .boxed()
    }
}

/// Why nobody answers any more.
fn gone(halted: &watch::Receiver<Option<Halt>>) -> Halt {
    halted.borrow().clone().unwrap_or_else(|| Halt("the store is closed".into()))
}

fn done(answer: Answer) -> Option<()> {
    matches!(answer, Answer::Done).then_some(())
}

impl Store for Kept {
    fn accept(&self, incoming: Incoming) -> Reply<Acceptance> {
        self.ask(Command::Accept(Box::new(incoming)), |answer| {
            if let Answer::Accepted(acceptance) = answer { Some(acceptance) } else { None }
        })
    }

    fn known(&self, mailbox: &MailboxId, ids: Vec<MessageId>) -> Reply<Vec<Known>> {
        self.ask(Command::Known(mailbox.clone(), ids), |answer| {
            if let Answer::Known(known) = answer { Some(known) } else { None }
        })
    }

    fn acknowledged(&self, accepted: &Accepted) -> Reply<()> {
        self.ask(Command::Acknowledged(accepted.delivery()), done)
    }

    fn refuse(&self, refusal: Refusal) -> Reply<()> {
        self.ask(Command::Refuse(refusal), done)
    }

    fn forget_refused(&self, mailbox: &MailboxId, listed: BTreeSet<MessageId>) -> Reply<()> {
        self.ask(Command::ForgetRefused(mailbox.clone(), listed), done)
    }

    fn lease(&self, wish: LeaseWish) -> Reply<Vec<Lease>> {
        self.ask(Command::Lease(wish), |answer| if let Answer::Leases(leases) = answer { Some(leases) } else { None })
    }

    fn staged(&self, delivery: DeliveryId, outputs: Vec<OutputState>) -> Reply<()> {
        self.ask(Command::Staged(delivery, outputs), done)
    }

    fn settle(&self, lease: Lease, settlement: Settlement) -> Reply<()> {
        self.ask(Command::Settle(Box::new(lease), Box::new(settlement)), done)
    }

    fn note(&self, note: Note) -> Reply<()> {
        self.ask(Command::Note(note), done)
    }

    fn set_aside(&self, page: SetAsidePage) -> Reply<FoundAside> {
        self.ask(Command::SetAside(page), |answer| if let Answer::SetAside(page) = answer { Some(page) } else { None })
    }

    fn groups(&self, after: Option<Fingerprint>) -> Reply<FoundGroups> {
        self.ask(Command::Groups(after), |answer| if let Answer::Groups(groups) = answer { Some(groups) } else { None })
    }

    fn queue(&self, page: QueuePage) -> Reply<Vec<Queued>> {
        self.ask(Command::Queue(page), |answer| if let Answer::Queue(page) = answer { Some(page) } else { None })
    }

    fn payloads(&self, after: Option<DeliveryId>, count: usize) -> Reply<Vec<KeptPayload>> {
        self.ask(
            Command::Payloads(after, count),
            |answer| if let Answer::Payloads(page) = answer { Some(page) } else { None },
        )
    }

    fn reseal(&self, reseal: Reseal) -> Reply<Resealed> {
        self.ask(Command::Reseal(Box::new(reseal)), |answer| {
            if let Answer::Resealed(resealed) = answer { Some(resealed) } else { None }
        })
    }

    fn act(&self, order: Order) -> Reply<Result<Acted, NotAllowed>> {
        self.ask(Command::Act(order), |answer| if let Answer::Acted(acted) = answer { Some(acted) } else { None })
    }

    fn bring_in(&self, wish: BringIn) -> Reply<Result<DeliveryId, NotBroughtIn>> {
        self.ask(Command::BringIn(Box::new(wish)), |answer| {
            if let Answer::BroughtIn(brought) = answer { Some(brought) } else { None }
        })
    }

    fn legal_hold(&self, order: HoldOrder) -> Reply<Result<LegalHoldId, HoldRefused>> {
        self.ask(
            Command::LegalHold(order),
            |answer| if let Answer::LegalHold(done) = answer { Some(done) } else { None },
        )
    }

    fn tally(&self, page: RetentionPage) -> Reply<FoundRetention> {
        self.ask(Command::Tally(page), |answer| if let Answer::Tally(found) = answer { Some(found) } else { None })
    }

    fn look_up(&self, wanted: LookUp) -> Reply<Vec<store::Kept>> {
        self.ask(Command::LookUp(wanted), |answer| if let Answer::LookedUp(kept) = answer { Some(kept) } else { None })
    }

    fn expunge(&self, delivery: DeliveryId, by: Operator, why: Remark) -> Reply<Result<Expunged, NotExpunged>> {
        let command = Command::Expunge(delivery, by, why);
        self.ask(command, |answer| if let Answer::Expunged(done) = answer { Some(done) } else { None })
    }

    fn pin(&self, by: Operator) -> Reply<Pin> {
        self.ask(Command::Pin(by), |answer| if let Answer::Pinned(pin) = answer { Some(pin) } else { None })
    }

    fn occupancy(&self) -> Arc<Occupancy> {
        self.occupancy.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Arc<Occupancy>> {
        self.occupancy.clone()
    }

    fn barrier(&self) -> Reply<()> {
        self.ask(Command::Barrier, done)
    }

    fn halted(&self) -> BoxFuture<'static, Halt> {
        let mut halted = self.halted.clone();
        async move {
            let met = halted.wait_for(Option::is_some).await.ok().and_then(|halt| halt.clone());
            match met {
                Some(halt) => halt,
                // Closed in order: it will never halt.
                None => std::future::pending().await,
            }
        }
        .boxed()
    }
}

impl Kept {
    fn ask_job<T: Send + 'static>(&self, command: JobCommand, read: fn(JobAnswer) -> Option<T>) -> Reply<T> {
        let asked =
            self.ask(Command::Job(command), |answer| if let Answer::Job(told) = answer { Some(told) } else { None });
        async move { read(asked.await?).ok_or_else(|| Halt("the committer gave another answer".into())) }.boxed()
    }
}

impl Jobs for Kept {
    fn foresee(&self, wanted: Foresight) -> Reply<Foreseen> {
        self.ask_job(JobCommand::Foresee(Box::new(wanted)), |told| {
            if let JobAnswer::Foreseen(foreseen) = told { Some(foreseen) } else { None }
        })
    }

    fn begin_job(&self, order: JobOrder) -> Reply<Result<JobId, TooManyJobs>> {
        self.ask_job(JobCommand::Begin(Box::new(order)), |told| {
            if let JobAnswer::Begun(begun) = told { Some(begun) } else { None }
        })
    }

    fn step_job(&self, job: JobId, count: usize) -> Reply<Stepped> {
        self.ask_job(JobCommand::Step(job, count), |told| {
            if let JobAnswer::Stepped(stepped) = told { Some(stepped) } else { None }
        })
    }

    fn cancel_job(&self, job: JobId, by: Operator) -> Reply<bool> {
        self.ask_job(JobCommand::Cancel(job, by), |told| {
            if let JobAnswer::Cancelled(was_open) = told { Some(was_open) } else { None }
        })
    }

    fn jobs(&self) -> Reply<Vec<Job>> {
        self.ask_job(JobCommand::List, |told| if let JobAnswer::Listed(jobs) = told { Some(jobs) } else { None })
    }
}

impl Sends for Kept {
    fn queue_send(&self, order: SendOrder) -> Reply<Result<DeliveryId, NotQueued>> {
        self.ask(Command::Send(SendCommand::Queue(Box::new(order))), |answer| {
            if let Answer::SendQueued(queued) = answer { Some(queued) } else { None }
        })
    }

    fn lease_send(&self, mailbox: &MailboxId) -> Reply<NextSend> {
        self.ask(Command::Send(SendCommand::Lease(mailbox.clone())), |answer| {
            if let Answer::NextSend(next) = answer { Some(next) } else { None }
        })
    }

    fn sending(&self, delivery: DeliveryId, progress: Sending) -> Reply<()> {
        self.ask(Command::Send(SendCommand::Progress(delivery, progress)), done)
    }

    fn resolve_send(&self, found: FoundAtMesh) -> Reply<Result<(), NotAllowed>> {
        self.ask(Command::Send(SendCommand::Resolve(found)), |answer| {
            if let Answer::SendResolved(done) = answer { Some(done) } else { None }
        })
    }

    fn sends(&self, page: SendPage) -> Reply<Vec<Sent>> {
        self.ask(Command::Send(SendCommand::List(page)), |answer| {
            if let Answer::Sends(page) = answer { Some(page) } else { None }
        })
    }

    fn put_away(&self, delivery: DeliveryId) -> Reply<()> {
        self.ask(Command::Send(SendCommand::PutAway(delivery)), done)
    }

    fn picked_up_as(&self, mailbox: &MailboxId, name: Vec<ContentDigest>) -> Reply<Option<Sent>> {
        self.ask(Command::Send(SendCommand::PickedUpAs(mailbox.clone(), name)), |answer| {
            if let Answer::Sends(mut found) = answer { Some(found.pop()) } else { None }
        })
    }
}
