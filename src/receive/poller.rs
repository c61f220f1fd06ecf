//! One mailbox: when to list, what to fetch, what to acknowledge.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::domain::envelope::MessageKind;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::MessageId;
use crate::domain::retry::Backoff;
use crate::domain::settlement::Reason;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::disk::Disk;
use crate::ports::inbox::{Inbox, Listing, Page};
use crate::ports::spool::Spool;
use crate::ports::store::{Acceptance, Accepted, Halt, Known, Note, Refusal, Store};

use super::admission::{Admission, Claim, Closed};
use super::receiver::{Fetched, Receiver, refusal_wait};
use super::schedule::Polls;

/// Messages whose commit may be waited for while others are fetched.
const COMMITS_AHEAD: usize = 32;
/// Ids asked for in one list: the API's own default (mesh-api 6.3).
const PAGE: u16 = 500;
/// Pages followed in one pass, so that a server that always says "next" ends it: half a million messages.
const PAGES: usize = 1_000;
/// MESH asks for a handshake a day, and never more than one an hour (mesh-api 11).
const HANDSHAKE_EVERY: Duration = Duration::from_secs(24 * 3600);
const HANDSHAKE_GAP: Duration = Duration::from_secs(3600);
/// MESH gives a message five days from its delivery to its acknowledge (mesh-api 7.2).
const FIVE_DAYS: Duration = Duration::from_secs(5 * 24 * 3600);
/// After a list or a fetch failed for the world's sake.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(300) };

/// How one mailbox is received.
#[derive(Debug, Clone)]
pub struct MailboxSettings {
    /// When it is listed.
    pub polls: Polls,
    /// Requests about messages in flight at once; 1 by NHS assurance (mesh-api 11.1, case 801).
    pub in_flight: usize,
    /// How long a refused message is first left alone; doubles to an hour.
    pub retry_refused: Duration,
}

/// One mailbox being received.
pub struct Receive {
    receiver: Arc<Receiver>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    disk: Arc<dyn Disk>,
    settings: MailboxSettings,
    in_flight: Arc<Semaphore>,
    failures: u32,
    /// Messages at which the world failed since the last good pass. They come last, so that none of them, if it is the
    /// message after all, stands before all other mail. One more per failed pass, and never more than pages bring.
    stumbled: BTreeSet<MessageId>,
    /// When a handshake was last tried, on the monotonic clock: one that fails is not repeated within the hour either.
    handshake_tried: Option<Duration>,
    /// What closed the door last, so that it is said once.
    said_closed: Option<Closed>,
}

/// Everything one mailbox needs.
pub struct ReceiveParts {
    /// The mailbox.
    pub inbox: Arc<dyn Inbox>,
    /// Where messages are kept.
    pub store: Arc<dyn Store>,
    /// Where large ones are sealed as they arrive.
    pub spool: Arc<dyn Spool>,
    /// The doorkeeper.
    pub admission: Arc<Admission>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Jitter.
    pub chance: Arc<dyn Chance>,
    /// Passed by at each acknowledge, for the crash suite.
    pub disk: Arc<dyn Disk>,
}

/// How one pass over the inbox ended.
#[derive(Debug, PartialEq, Eq)]
enum Pass {
    /// Nothing more to do until the next poll.
    Done,
    /// There may be more, and this pass got something: list again at once.
    Again,
    /// The same, but the world had a fault on the way: list again after a wait.
    Interrupted(Fault),
    /// The world is busy, or refuses us.
    Failed(Fault),
    /// The same, but on a call about one message: the next list tells whether it is the world.
    Stumbled(Fault),
}

/// What one page brought.
#[derive(Default)]
struct Yield {
    /// Messages acknowledged.
    acknowledged: usize,
    /// The door closed, or a dependency failed: the rest of the page was left.
    closed: bool,
    fault: Option<Fault>,
}

/// Something to do about one listed message.
struct Task {
    id: MessageId,
    refusals: u32,
    first_refused: Option<Timestamp>,
}

/// Whether MESH took an acknowledge; if not, of which message and why.
type Told = Result<(), (MessageId, Fault)>;
type Commits = FuturesUnordered<BoxFuture<'static, (Result<Acceptance, Halt>, Claim)>>;

impl Receive {
    /// A mailbox ready to run.
    pub fn new(parts: ReceiveParts, settings: MailboxSettings) -> Self {
        let ReceiveParts { inbox, store, spool, admission, clock, chance, disk } = parts;
        let in_flight = Arc::new(Semaphore::new(settings.in_flight));
        let receiver = Arc::new(Receiver { inbox, store, spool, admission });
        Self {
            receiver,
            clock,
            chance,
            disk,
            settings,
            in_flight,
            failures: 0,
            stumbled: BTreeSet::new(),
            handshake_tried: None,
            said_closed: None,
        }
    }

    /// Receives until `stop`. On `stop` the chunk in hand is cut, and what is committed is still acknowledged.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Halt> {
        while !stop.is_cancelled() {
            let wait = match self.handshake_if_due().await? {
                Some(fault) => self.wait_after(&fault, false),
                None => match self.until_next_poll() {
                    Duration::ZERO => self.poll(&stop).await?,
                    wait => wait,
                },
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(())
    }

    /// Lists and fetches until nothing more comes; says how long to wait then.
    async fn poll(&mut self, stop: &CancellationToken) -> Result<Duration, Halt> {
        let mut first = true;
        loop {
            match self.pass(first, stop).await? {
                Pass::Done => {
                    self.failures = 0;
                    self.stumbled.clear();
                    return Ok(self.until_next_poll());
                }
                Pass::Again => {
                    self.failures = 0;
                    first = false;
                }
                // What still brings mail in is not down: its waits do not grow, and more is waiting (mesh-api 11).
                Pass::Interrupted(fault) => {
                    self.failures = 0;
                    let wait = self.wait_after(&fault, true);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(wait) => {}
                    }
                    first = false;
                }
                Pass::Failed(fault) => return Ok(self.wait_after(&fault, false)),
                Pass::Stumbled(fault) => return Ok(self.wait_after(&fault, true)),
            }
            if stop.is_cancelled() {
                return Ok(Duration::ZERO);
            }
        }
    }

    /// One look at the inbox, from its oldest message on. The `first` of a poll is the one the five minutes count from.
    async fn pass(&mut self, first: bool, stop: &CancellationToken) -> Result<Pass, Halt> {
        let mut page = Page::First { max_results: PAGE, workflow_filter: None };
        for _ in 0..PAGES {
            let from_start = matches!(page, Page::First { .. });
            let listing = match self.receiver.inbox.list(page).await {
                Ok(listing) => listing,
                Err(fault) => return Ok(Pass::Failed(fault)),
            };
            let mailbox = self.receiver.inbox.mailbox().clone();
            if first && from_start {
                self.receiver.store.note(Note::Listed { mailbox: mailbox.clone() }).await?;
            }
            if listing.unusable > 0 {
                warn!(%mailbox, count = listing.unusable, "ignored listed ids that are not message ids");
            }
            let Listing { ids, next, .. } = listing;
            let full = ids.len() >= usize::from(PAGE);
            let brought = self.page(ids, stop).await?;
            if let Some(fault) = brought.fault {
                let interrupted = brought.acknowledged > 0;
                return Ok(if interrupted { Pass::Interrupted(fault) } else { Pass::Stumbled(fault) });
            }
            if brought.closed || stop.is_cancelled() {
                return Ok(Pass::Done);
            }
            // A drained page makes `next` doubtful on live: start over. Nothing got: look behind what stays.
            match next {
                next if brought.acknowledged > 0 => {
                    return Ok(if full || next.is_some() { Pass::Again } else { Pass::Done });
                }
                Some(next) => page = Page::Next(next),
                None => return Ok(Pass::Done),
            }
        }
        warn!(mailbox = %self.receiver.inbox.mailbox(), pages = PAGES, "stopped following pages of one list");
        Ok(Pass::Done)
    }

    /// Brings in one page: at most `in_flight` messages on their way, at most [`COMMITS_AHEAD`] waiting to be durable.
    async fn page(&mut self, ids: Vec<MessageId>, stop: &CancellationToken) -> Result<Yield, Halt> {
        let mut brought = Yield::default();
        let (mut tasks, late) = self.sort(ids, &mut brought).await?;
        let mut commits = Commits::new();
        let mut fetches = FuturesUnordered::new();
        let mut acknowledges = FuturesUnordered::new();
        loop {
            while !(brought.closed || brought.fault.is_some() || stop.is_cancelled())
                && fetches.len() < self.settings.in_flight
                && commits.len() < COMMITS_AHEAD
                && let Some(task) = tasks.pop_front()
            {
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
                    fetches.push(async move {
                        let _permit = in_flight.acquire_owned().await;
                        let fetched = receiver.fetch(&task.id, task.refusals).await;
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
                Some(acknowledged) = acknowledges.next() => match acknowledged? {
                    Ok(()) => brought.acknowledged += 1,
                    Err((id, fault)) => self.stumble(id, fault, &mut brought),
                },
                Some((task, fetched)) = fetches.next(), if !stop.is_cancelled() => match fetched? {
                    Fetched::Kept(accepted, claim) => {
                        commits.push(Box::pin(async move { (accepted.await, claim) }));
                    }
                    Fetched::Closed(closed) => self.close(closed, &mut brought),
                    Fetched::Failed(fault) => self.failed(task, fault, &mut brought).await?,
                },
                () = stop.cancelled(), if !fetches.is_empty() => fetches.clear(),
                else => break,
            }
        }
        for accepted in late {
            if brought.fault.is_some() || stop.is_cancelled() {
                break;
            }
            match self.acknowledge(accepted).await? {
                Ok(()) => brought.acknowledged += 1,
                Err((id, fault)) => self.stumble(id, fault, &mut brought),
            }
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
        ids.sort_by_key(|id| self.stumbled.contains(id));
        let mailbox = self.receiver.inbox.mailbox();
        let known = self.receiver.store.known(mailbox, ids.clone()).await?;
        let now = self.clock.wall();
        let (mut tasks, mut late) = (VecDeque::with_capacity(ids.len()), Vec::new());
        for (id, known) in ids.into_iter().zip(known) {
            match known {
                Known::New | Known::Presented => tasks.push_back(Task { id, refusals: 0, first_refused: None }),
                Known::Kept(accepted) if self.stumbled.contains(&id) => late.push(accepted),
                Known::Kept(accepted) => match self.acknowledge(accepted).await? {
                    Ok(()) => brought.acknowledged += 1,
                    Err((id, fault)) => {
                        self.stumble(id, fault, brought);
                        break;
                    }
                },
                Known::Refused { until, times, first } if until <= now => {
                    tasks.push_back(Task { id, refusals: times, first_refused: Some(first) });
                }
                Known::Refused { .. } => {}
            }
        }
        Ok((tasks, late))
    }

    /// Is there room for it? With the door closed, only a report may still pass, and a HEAD tells.
    async fn may_fetch(&mut self, id: &MessageId, brought: &mut Yield) -> bool {
        let mailbox = self.receiver.inbox.mailbox();
        let Err(closed) = self.receiver.admission.open(mailbox, MessageKind::Data) else {
            self.said_closed = None;
            return true;
        };
        if self.receiver.admission.open(mailbox, MessageKind::Report).is_err() {
            self.close(closed, brought);
            return false;
        }
        self.say_closed(closed);
        match self.receiver.inbox.head(id).await {
            Ok(envelope) => envelope.kind == MessageKind::Report,
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
            receiver.store.acknowledged(&accepted).await.map(Ok)
        })
    }

    /// The world failed at this message: the pass ends, and the message goes behind the others.
    fn stumble(&mut self, id: MessageId, fault: Fault, brought: &mut Yield) {
        self.stumbled.insert(id);
        brought.fault = Some(fault);
    }

    /// The world's fault ends the pass; the message's own leaves it at MESH, to be tried again ever more rarely.
    async fn failed(&mut self, task: Task, fault: Fault, brought: &mut Yield) -> Result<(), Halt> {
        let Task { id, refusals, first_refused } = task;
        if fault.origin != Origin::Message {
            self.stumble(id, fault, brought);
            return Ok(());
        }
        let mailbox = self.receiver.inbox.mailbox();
        let now = self.clock.wall();
        let age = now.since(first_refused.unwrap_or(now));
        let (code, detail) = (fault.code, fault.detail);
        // Another reader of the mailbox may have it: no alarm on the first (mesh-api 9.4, 404).
        let is_gone_for_now = code == FaultCode::MsgGone && fault.class == Class::Transient;
        if is_gone_for_now && refusals == 0 {
            debug!(%mailbox, message_id = %id, %code, %detail, "listed message is not there");
        } else if age >= FIVE_DAYS.mul_f64(0.7) {
            error!(%mailbox, message_id = %id, %code, %detail, "refused message will soon be lost: MESH keeps it five days");
        } else if age >= FIVE_DAYS.mul_f64(0.4) || refusals > 0 {
            warn!(%mailbox, message_id = %id, %code, %detail, refusals = refusals + 1, "refused message again");
        } else {
            warn!(%mailbox, message_id = %id, %code, %detail, "refused message, left at MESH");
        }
        let refusal = Refusal {
            mailbox: mailbox.clone(),
            message_id: id,
            reason: Reason::new(code, detail),
            until: now.plus(refusal_wait(self.settings.retry_refused, refusals)),
        };
        self.receiver.store.refuse(refusal).await
    }

    /// Proves our credentials at the start and once a day. While they are refused, that is all we do (mesh-api 4.4).
    async fn handshake_if_due(&mut self) -> Result<Option<Fault>, Halt> {
        let mailbox = self.receiver.inbox.mailbox().clone();
        let last = self.receiver.store.occupancy().mailboxes.get(&mailbox).and_then(|of| of.handshake_at);
        let age = last.map(|last| self.clock.wall().since(last));
        let now = self.clock.monotonic();
        let tried_lately = self.handshake_tried.is_some_and(|tried| now.saturating_sub(tried) < HANDSHAKE_GAP);
        let wanted = match age {
            None => true,
            Some(age) => age >= HANDSHAKE_EVERY || (self.failures > 0 && age >= HANDSHAKE_GAP),
        };
        if !wanted || tried_lately {
            return Ok(None);
        }
        self.handshake_tried = Some(now);
        match self.receiver.inbox.handshake().await {
            Ok(()) => {
                self.receiver.store.note(Note::Handshake { mailbox: mailbox.clone() }).await?;
                info!(%mailbox, "handshake accepted");
                Ok(None)
            }
            Err(fault) => Ok(Some(fault)),
        }
    }

    /// How long to leave the mailbox alone after `fault`, which is said here, once.
    ///
    /// A 403 about one message may only say that it is another mailbox's (mesh-api 6.4): the next list tells.
    fn wait_after(&mut self, fault: &Fault, is_of_message: bool) -> Duration {
        let mailbox = self.receiver.inbox.mailbox();
        let wait = if fault.code == FaultCode::MeshAuth && !is_of_message {
            error!(%mailbox, code = %fault.code, detail = %fault.detail, "MESH refuses this mailbox's credentials: stopped, tried again hourly");
            HANDSHAKE_GAP
        } else {
            let wait = BACKOFF.wait(self.failures, fault.retry_after, self.chance.dice()).max(Duration::from_secs(1));
            warn!(%mailbox, code = %fault.code, detail = %fault.detail, wait_s = wait.as_secs(), "MESH did not answer as it should");
            wait
        };
        self.failures = self.failures.saturating_add(1);
        wait
    }

    fn until_next_poll(&self) -> Duration {
        let now = self.clock.wall();
        let mailbox = self.receiver.inbox.mailbox();
        let listed_at = self.receiver.store.occupancy().mailboxes.get(mailbox).and_then(|of| of.listed_at);
        self.settings.polls.next(now, listed_at).since(now)
    }
}
