//! One page of listed messages: what to fetch of it, what to acknowledge, and when to leave the rest.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::domain::envelope::MessageKind;
use crate::domain::fault::{Fault, Origin};
use crate::domain::ids::MessageId;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::store::{Acceptance, Accepted, Halt, Known};
use crate::ports::timings::Span;

use super::admission::{Claim, Closed, Need};
use super::memory::Remembered;
use super::poller::Receive;
use super::receiver::{Fetched, Wanted};
use super::waiting::{Urgency, Wait};

/// Messages whose commit may be waited for while others are fetched.
const COMMITS_AHEAD: usize = 32;

/// What one page brought.
#[derive(Default)]
pub(super) struct Yield {
    /// Messages acknowledged.
    pub(super) acknowledged: usize,
    /// The door closed, or the world failed: the rest of the page was left.
    pub(super) closed: bool,
    /// How the world failed at a message that is not stuck.
    pub(super) fault: Option<Fault>,
    /// At how many such messages it may yet fail before the rest is left.
    allowance: usize,
    /// At how many stuck messages it failed.
    stuck: usize,
    /// Messages on it that are refused, whether again or not, and since when they wait.
    pub(super) refused: Vec<(MessageId, Option<Timestamp>)>,
}

/// Something to do about one listed message.
pub(super) struct Task {
    pub(super) id: MessageId,
    /// We have it, and it is listed again.
    is_presented: bool,
    pub(super) refusals: u32,
    pub(super) first_refused: Option<Timestamp>,
    /// MESH did not serve it any more.
    pub(super) is_lost: bool,
}

impl Task {
    /// About a message that is not refused.
    fn new(id: MessageId, is_presented: bool) -> Self {
        Self { id, is_presented, refusals: 0, first_refused: None, is_lost: false }
    }
}

/// Which message's acknowledge MESH took, or did not take, and why.
type Told = Result<MessageId, (MessageId, Fault)>;
type Commits = FuturesUnordered<BoxFuture<'static, (Result<Acceptance, Halt>, Claim)>>;

impl Receive {
    /// Brings in one page: at most `in_flight` messages on their way, at most [`COMMITS_AHEAD`] waiting to be durable.
    pub(super) async fn page(&mut self, ids: Vec<MessageId>, stop: &CancellationToken) -> Result<Yield, Halt> {
        let mut brought = Yield { allowance: self.stumbles.allowance(), ..Yield::default() };
        let (mut tasks, late) = self.sort(ids, &mut brought).await?;
        let mut commits = Commits::new();
        let mut fetches = FuturesUnordered::new();
        let mut acknowledges = FuturesUnordered::new();
        loop {
            while !(brought.closed || stop.is_cancelled())
                && fetches.len() < self.settings.in_flight
                && commits.len() < COMMITS_AHEAD
                && let Some(task) = tasks.pop_front()
            {
                if self.stumbles.is_left(&task.id, brought.stuck) {
                    continue;
                }
                // What is on its way counts twice for a moment, claimed and queued: let it settle before judging.
                // And what asks MESH below stands in the way of everything else here: nothing may be under way.
                let settled = fetches.is_empty() && commits.is_empty() && acknowledges.is_empty();
                if !settled && self.receiver.admission.open(self.receiver.inbox.mailbox(), MessageKind::Data).is_err() {
                    tasks.push_front(task);
                    break;
                }
                if self.may_fetch(&task.id, &mut brought).await {
                    let receiver = Arc::clone(&self.receiver);
                    let in_flight = Arc::clone(&self.in_flight);
                    let wanted = Wanted {
                        refusals: task.refusals,
                        tries: task.refusals + self.stumbles.times(&task.id) + 1,
                        listed: self.sightings.first(&task.id).unwrap_or_else(|| self.clock.wall()),
                    };
                    fetches.push(async move {
                        let _permit = in_flight.acquire_owned().await;
                        let fetched = if task.is_presented {
                            receiver.fetch_again(&task.id, wanted).await
                        } else {
                            receiver.fetch(&task.id, wanted).await
                        };
                        (task, fetched)
                    });
                }
            }
            tokio::select! {
                biased;
                Some((accepted, claim)) = commits.next() => {
                    let accepted: Result<Acceptance, Halt> = accepted;
                    match accepted? {
                        Acceptance::New(proof) | Acceptance::Repeated(proof) => {
                            acknowledges.push(self.acknowledge(proof));
                        }
                        Acceptance::NotKept(why) => {
                            warn!(mailbox = %self.receiver.inbox.mailbox(), why, "message not kept, left at MESH");
                            brought.closed = true;
                        }
                    }
                    drop(claim);
                }
                Some(acknowledged) = acknowledges.next() => self.told(acknowledged?, &mut brought),
                Some((task, fetched)) = fetches.next(), if !stop.is_cancelled() => match fetched? {
                    Fetched::Kept(accepted, claim) => {
                        commits.push(Box::pin(async move { (accepted.await, claim) }));
                    }
                    Fetched::Closed(closed, needs) => {
                        if let Some(needs) = needs {
                            self.memory.remember(task.id, Remembered::Waits(needs));
                        }
                        self.close(closed, &mut brought);
                    }
                    Fetched::Settled => {
                        debug!(mailbox = %self.receiver.inbox.mailbox(), message_id = %task.id, "listed again, though acknowledged");
                        self.stumbles.forget(&task.id);
                        self.memory.remember(task.id, Remembered::Settled);
                    }
                    Fetched::Failed(fault) => {
                        self.memory.forget_need(&task.id);
                        self.failed(task, fault, &mut brought).await?;
                    }
                },
                () = stop.cancelled(), if !fetches.is_empty() => fetches.clear(),
                else => break,
            }
        }
        for accepted in late {
            if brought.closed || stop.is_cancelled() {
                break;
            }
            if self.stumbles.is_left(accepted.message_id(), brought.stuck) {
                continue;
            }
            let told = self.acknowledge(accepted).await?;
            self.told(told, &mut brought);
        }
        Ok(brought)
    }

    /// Acknowledges what is already kept; returns what is to be fetched, and what is to be acknowledged after that, both
    /// in the order listed, but for those that stumbled. An id that is listed twice counts once: two fetches of one
    /// message at a time would write over each other.
    async fn sort(
        &mut self,
        mut ids: Vec<MessageId>,
        brought: &mut Yield,
    ) -> Result<(VecDeque<Task>, Vec<Accepted>), Halt> {
        let mut listed = HashSet::new();
        ids.retain(|id| listed.insert(id.clone()));
        self.stumbles.listed(&mut ids);
        let mailbox = self.receiver.inbox.mailbox();
        let known = self.receiver.store.known(mailbox, ids.clone()).await?;
        let now = self.clock.wall();
        let (mut tasks, mut late) = (VecDeque::with_capacity(ids.len()), Vec::new());
        for (id, known) in ids.into_iter().zip(known) {
            let is_settled = self.memory.listed(&id) == Some(Remembered::Settled);
            self.sightings.listed(&id, now);
            self.say_stuck(&id, now);
            if matches!(known, Known::New | Known::Presented) {
                self.say_wait(&id, now);
            }
            match known {
                Known::New => tasks.push_back(Task::new(id, false)),
                Known::Presented if is_settled => {}
                Known::Presented => tasks.push_back(Task::new(id, true)),
                Known::Kept(accepted) if self.stumbles.has(&id) => late.push(accepted),
                Known::Kept(accepted) => {
                    let told = self.acknowledge(accepted).await?;
                    self.told(told, brought);
                    if brought.closed {
                        break;
                    }
                }
                Known::Refused { until, times, first, presented, lost } => {
                    brought.refused.push((id.clone(), (!lost).then_some(first)));
                    if until <= now && !is_settled {
                        tasks.push_back(Task {
                            id,
                            is_presented: presented,
                            refusals: times,
                            first_refused: Some(first),
                            is_lost: lost,
                        });
                    }
                }
            }
        }
        Ok((tasks, late))
    }

    /// Is there room for it? With the door closed, only a report may still pass, and a HEAD tells, once.
    async fn may_fetch(&mut self, id: &MessageId, brought: &mut Yield) -> bool {
        let receiver = Arc::clone(&self.receiver);
        let (admission, mailbox) = (&receiver.admission, receiver.inbox.mailbox());
        let has_room = match self.memory.of(id) {
            Some(Remembered::Waits(need)) => Some(admission.room_for(mailbox, need).is_ok()),
            Some(Remembered::Settled) | None => None,
        };
        let Err(closed) = admission.open(mailbox, MessageKind::Data) else {
            self.said_closed = None;
            self.door = None;
            return has_room.unwrap_or(true);
        };
        self.say_door(closed);
        if admission.open(mailbox, MessageKind::Report).is_err() {
            self.close(closed, brought);
            return false;
        }
        self.say_closed(closed);
        let is_reached = self.search.reaches(id);
        if let Some(has_room) = has_room {
            return has_room;
        }
        if !is_reached {
            return false;
        }
        self.search.asked(id);
        match receiver.inbox.head(id).await {
            Ok(envelope) => {
                // A HEAD does not tell the size, but that it is no report is enough until the door opens.
                let need = Need { kind: envelope.kind, bytes: 1, landed: 0 };
                self.memory.remember(id.clone(), Remembered::Waits(need));
                envelope.kind == MessageKind::Report
            }
            // The world is away: the messages behind would fare no better.
            Err(fault) if !matches!(fault.origin, Origin::Message) => {
                self.stumble(id.clone(), fault, brought);
                false
            }
            Err(fault) => {
                debug!(mailbox = %self.receiver.inbox.mailbox(), message_id = %id, code = %fault.code, "head failed");
                false
            }
        }
    }

    /// Says it of a message that waits for room of its own. Before a closed door all mail waits: that is said once.
    fn say_wait(&mut self, id: &MessageId, now: Timestamp) {
        let mailbox = self.receiver.inbox.mailbox();
        if self.receiver.admission.open(mailbox, MessageKind::Data).is_err() {
            return;
        }
        let Some((urgency, age)) = self.memory.alarm(id, now) else { return };
        let hours = age.as_secs() / 3600;
        if urgency == Urgency::Pressing {
            error!(%mailbox, message_id = %id, hours, "message without room will soon be lost: MESH keeps it five days");
        } else {
            warn!(%mailbox, message_id = %id, hours, "message still waits at MESH for room");
        }
    }

    /// Says it of a message at which the world fails.
    fn say_stuck(&mut self, id: &MessageId, now: Timestamp) {
        let Some((urgency, age)) = self.stumbles.alarm(id, now) else { return };
        let mailbox = self.receiver.inbox.mailbox();
        let hours = age.as_secs() / 3600;
        if urgency == Urgency::Pressing {
            error!(%mailbox, message_id = %id, hours, "message that MESH fails at will soon be lost: MESH keeps it five days");
        } else {
            warn!(%mailbox, message_id = %id, hours, "MESH still fails at this message");
        }
    }

    fn say_door(&mut self, limit: Closed) {
        let now = self.clock.wall();
        let Some((urgency, age)) = self.door.get_or_insert(Wait::begin(now)).alarm(now) else { return };
        let mailbox = self.receiver.inbox.mailbox();
        let hours = age.as_secs() / 3600;
        if urgency == Urgency::Pressing {
            error!(%mailbox, %limit, hours, "no room: mail will soon be lost, MESH keeps it five days");
        } else {
            warn!(%mailbox, %limit, hours, "no room: mail still waits at MESH");
        }
    }

    /// A door that opened while no mail was listed has nothing waiting before it.
    pub(super) fn look_at_door(&mut self) {
        if self.receiver.admission.open(self.receiver.inbox.mailbox(), MessageKind::Data).is_ok() {
            self.door = None;
        }
    }

    fn close(&mut self, closed: Closed, brought: &mut Yield) {
        self.say_closed(closed);
        // What is too large to fit, or says it is, waits; what is smaller behind it need not.
        let mailbox = self.receiver.inbox.mailbox();
        brought.closed |= self.receiver.admission.open(mailbox, MessageKind::Data).is_err();
    }

    fn say_closed(&mut self, closed: Closed) {
        if self.said_closed != Some(closed) {
            warn!(mailbox = %self.receiver.inbox.mailbox(), limit = %closed, "no room: mail waits at MESH");
            self.said_closed = Some(closed);
        }
    }

    /// Tells MESH, then the journal. Holds one of the mailbox's permits, so that `in_flight` counts every request.
    fn acknowledge(&self, accepted: Accepted) -> BoxFuture<'static, Result<Told, Halt>> {
        let receiver = Arc::clone(&self.receiver);
        let in_flight = Arc::clone(&self.in_flight);
        let disk = Arc::clone(&self.disk);
        Box::pin(async move {
            let permit = in_flight.acquire_owned().await;
            if let Err(fault) = receiver.inbox.acknowledge(&accepted).await {
                return Ok(Err((accepted.message_id().clone(), fault)));
            }
            drop(permit);
            disk.pass(Step::Acknowledge);
            receiver.store.acknowledged(&accepted).await?;
            Ok(Ok(accepted.message_id().clone()))
        })
    }

    fn told(&mut self, told: Told, brought: &mut Yield) {
        match told {
            Ok(id) => {
                brought.acknowledged += 1;
                let time = self.clock.monotonic().saturating_sub(self.listed);
                self.timings.took(Span::ListedToAcknowledged, self.receiver.inbox.mailbox(), time);
                self.stumbles.forget(&id);
                self.sightings.forget(&id);
                self.memory.remember(id, Remembered::Settled);
            }
            Err((id, fault)) => self.stumble(id, fault, brought),
        }
    }

    /// The world failed at this message, which goes behind the others. Unless it is stuck, or so were some before it,
    /// the pass ends. A wait that MESH asks for is kept in any case.
    pub(super) fn stumble(&mut self, id: MessageId, fault: Fault, brought: &mut Yield) {
        if self.stumbles.met(id.clone(), self.clock.wall()) {
            let mailbox = self.receiver.inbox.mailbox();
            warn!(%mailbox, message_id = %id, code = %fault.code, detail = %fault.detail, "MESH fails at this message, tried again at the next poll");
            brought.stuck += 1;
            return;
        }
        brought.closed |= brought.allowance == 0 || fault.retry_after.is_some();
        brought.allowance = brought.allowance.saturating_sub(1);
        brought.fault = Some(fault);
    }
}
