//! One mailbox: when to list, and how far to follow the list.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::retry::Backoff;
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::disk::Disk;
use crate::ports::inbox::{Inbox, Listing, Page};
use crate::ports::obstacles::{At, Obstacles};
use crate::ports::spool::Spool;
use crate::ports::store::{Halt, Note, Store};
use crate::ports::timings::Timings;
use crate::ports::waits::Waits;

use super::admission::{Admission, Closed};
use super::handshake::{HANDSHAKE_GAP, handshake_not_before};
use super::memory::Memory;
use super::receiver::Receiver;
use super::refusals::{MOST_LISTED, Refused};
use super::schedule::Polls;
use super::search::Search;
use super::sightings::Sightings;
use super::stumbles::Stumbles;
use super::trail::{Endless, Trail};
use super::waiting::{Urgency, Wait};

/// Ids asked for in one list: the API's own default (mesh-api 6.3).
const PAGE: u16 = 500;
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
    pub(super) receiver: Arc<Receiver>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chance: Arc<dyn Chance>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) settings: MailboxSettings,
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) failures: u32,
    /// Messages at which the world failed. They come last, so that none of them, if it is the message after all, stands
    /// before all other mail.
    pub(super) stumbles: Stumbles,
    pub(super) memory: Memory,
    pub(super) sightings: Sightings,
    pub(super) search: Search,
    /// Until then on the monotonic clock no handshake is tried: one that fails is not repeated within the hour either.
    pub(super) handshake_not_before: Duration,
    /// What closed the door last, so that it is said once.
    pub(super) said_closed: Option<Closed>,
    /// How long MESH has not answered, since the last list.
    pub(super) silence: Option<Wait>,
    /// How long listed mail waits before a closed door.
    pub(super) door: Option<Wait>,
    /// That a list has no end was said, and none has had one since.
    pub(super) said_endless: bool,
    /// When the last list was answered, on the monotonic clock.
    pub(super) listed: Duration,
    pub(super) timings: Arc<dyn Timings>,
    obstacles: Obstacles,
    waits: Waits,
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
    /// Told how long each message took.
    pub timings: Arc<dyn Timings>,
    /// Told while MESH does not answer as it should.
    pub obstacles: Obstacles,
    /// Told since when mail waits at MESH that we could not take.
    pub waits: Waits,
}

/// How one pass over the inbox ended.
#[derive(Debug, PartialEq, Eq)]
enum Pass {
    /// The whole inbox was seen: nothing more to do until the next poll. A fault that it went past, if any.
    Whole(Option<Fault>),
    /// The same, but the end of the inbox was not reached: the door closed, or the list has no end.
    Done(Option<Fault>),
    /// There may be more, and this pass got something: list again at once.
    Again,
    /// The same, but the world had a fault on the way: list again after a wait.
    Interrupted(Fault),
    /// The world is busy, or refuses us.
    Failed(Fault),
    /// The same, but on a call about one message: the next list tells whether it is the world.
    Stumbled(Fault),
}

impl Receive {
    /// A mailbox ready to run.
    pub fn new(parts: ReceiveParts, settings: MailboxSettings) -> Self {
        let ReceiveParts { inbox, store, spool, admission, clock, chance, disk, timings, obstacles, waits } = parts;
        let in_flight = Arc::new(Semaphore::new(settings.in_flight));
        let handshake_not_before = handshake_not_before(&inbox, &store, &clock);
        let receiver = Arc::new(Receiver { inbox, store, spool, admission, clock: Arc::clone(&clock) });
        Self {
            receiver,
            clock,
            chance,
            disk,
            settings,
            in_flight,
            failures: 0,
            stumbles: Stumbles::default(),
            memory: Memory::default(),
            sightings: Sightings::default(),
            search: Search::default(),
            handshake_not_before,
            said_closed: None,
            silence: None,
            door: None,
            said_endless: false,
            listed: Duration::ZERO,
            timings,
            obstacles,
            waits,
        }
    }

    /// Receives until `stop`, but while an operator has the mailbox rest: then there are handshakes alone, for MESH asks
    /// for one a day (mesh-api 11). On `stop` the chunk in hand is cut, and what is committed is still acknowledged.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Halt> {
        while !stop.is_cancelled() {
            let wait = match self.handshake_if_due().await? {
                Some(fault) => self.wait_after(&fault, false),
                None if self.is_suspended() => {
                    self.until_resumed(&stop).await?;
                    continue;
                }
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

    fn is_suspended(&self) -> bool {
        self.receiver.store.occupancy().suspension(self.receiver.inbox.mailbox()).is_some()
    }

    /// Until an operator lets the mailbox go on, or a handshake may be due.
    async fn until_resumed(&self, stop: &CancellationToken) -> Result<(), Halt> {
        let mut watch = self.receiver.store.watch();
        let mailbox = self.receiver.inbox.mailbox();
        let resumed = watch.wait_for(|occupancy| occupancy.suspension(mailbox).is_none());
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            resumed = resumed => resumed.map(drop).map_err(|_| Halt("the store is gone".into())),
            () = tokio::time::sleep(HANDSHAKE_GAP) => Ok(()),
        }
    }

    /// Lists and fetches until nothing more comes; says how long to wait then.
    async fn poll(&mut self, stop: &CancellationToken) -> Result<Duration, Halt> {
        let mut first = true;
        self.memory.begin_poll();
        self.search.begin_poll();
        self.stumbles.begin_poll();
        loop {
            match self.pass(first, stop).await? {
                Pass::Whole(None) | Pass::Done(None) => {
                    self.answered();
                    return Ok(self.until_next_poll());
                }
                Pass::Again => {
                    self.answered();
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
                Pass::Whole(Some(fault)) | Pass::Done(Some(fault)) | Pass::Stumbled(fault) => {
                    return Ok(self.wait_after(&fault, true));
                }
            }
            if stop.is_cancelled() {
                return Ok(Duration::ZERO);
            }
        }
    }

    /// One look at the inbox, from its oldest message on. The `first` of a poll is the one the five minutes count from.
    async fn pass(&mut self, first: bool, stop: &CancellationToken) -> Result<Pass, Halt> {
        let mut refused = Refused::new();
        let ended = self.pages(first, &mut refused, stop).await?;
        let is_whole = matches!(ended, Pass::Whole(_));
        self.memory.end_pass(is_whole);
        self.sightings.end_pass(is_whole);
        self.search.end_pass(is_whole);
        self.stumbles.end_pass(is_whole);
        self.look_at_door();
        self.tell_waits(&refused, is_whole);
        if is_whole {
            self.said_endless = false;
            self.forget_refused(refused).await?;
        }
        Ok(ended)
    }

    /// Follows the list, and gathers the `refused` messages it names.
    async fn pages(&mut self, first: bool, refused: &mut Refused, stop: &CancellationToken) -> Result<Pass, Halt> {
        let mut page = Page::First { max_results: PAGE, workflow_filter: None };
        let mut trail = Trail::default();
        let mut passed = None;
        loop {
            let from_start = matches!(page, Page::First { .. });
            let listing = match self.receiver.inbox.list(page).await {
                Ok(listing) => listing,
                Err(fault) => return Ok(Pass::Failed(fault)),
            };
            self.listed = self.clock.monotonic();
            self.silence = None;
            let mailbox = self.receiver.inbox.mailbox().clone();
            if first && from_start {
                self.receiver.store.note(Note::Listed { mailbox: mailbox.clone() }).await?;
            }
            if listing.unusable > 0 {
                warn!(%mailbox, count = listing.unusable, "ignored listed ids that are not message ids");
            }
            let Listing { ids, next, .. } = listing;
            let full = ids.len() >= usize::from(PAGE);
            trail.saw(&ids);
            let brought = self.page(ids, stop).await?;
            refused.extend(brought.refused.into_iter().take(MOST_LISTED - refused.len()));
            match brought.fault {
                Some(fault) if brought.acknowledged > 0 => return Ok(Pass::Interrupted(fault)),
                Some(fault) if brought.closed => return Ok(Pass::Stumbled(fault)),
                fault => passed = fault.or(passed),
            }
            if brought.closed || stop.is_cancelled() {
                return Ok(Pass::Done(passed));
            }
            // A drained page makes `next` doubtful on live: start over. Nothing got: look behind what stays.
            match next {
                next if brought.acknowledged > 0 => {
                    return Ok(if full || next.is_some() { Pass::Again } else { Pass::Whole(passed) });
                }
                Some(next) => {
                    if let Err(why) = trail.follow(&next) {
                        self.say_endless(why);
                        return Ok(Pass::Done(passed));
                    }
                    page = Page::Next(next);
                }
                None => return Ok(Pass::Whole(passed)),
            }
        }
    }

    fn tell_waits(&self, refused: &Refused, is_whole: bool) {
        let refused = refused.values().flatten().copied();
        let door = self.door.map(|wait| wait.since());
        let since = refused.chain(self.memory.waits_since()).chain(self.stumbles.waits_since()).chain(door).min();
        self.waits.met(self.receiver.inbox.mailbox(), since, is_whole);
    }

    fn say_endless(&mut self, why: Endless) {
        if !self.said_endless {
            warn!(mailbox = %self.receiver.inbox.mailbox(), %why, "stopped following the pages of a list");
            self.said_endless = true;
        }
    }

    /// MESH answers as it should.
    fn answered(&mut self) {
        self.failures = 0;
        self.obstacles.clear(&At::Mesh(self.receiver.inbox.mailbox().clone()));
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
        let at = At::Mesh(mailbox.clone());
        self.obstacles.put(at, fault.code.as_str(), fault.detail.clone(), self.clock.wall());
        self.failures = self.failures.saturating_add(1);
        if !is_of_message {
            self.say_silence();
        }
        wait
    }

    /// Nobody knows what waits at a MESH that does not answer: the five days may run since the last list.
    fn say_silence(&mut self) {
        let now = self.clock.wall();
        let listed_at = self.listed_at().unwrap_or(now);
        let Some((urgency, age)) = self.silence.get_or_insert(Wait::begin(listed_at)).alarm(now) else { return };
        let mailbox = self.receiver.inbox.mailbox();
        let hours = age.as_secs() / 3600;
        if urgency == Urgency::Pressing {
            error!(%mailbox, hours, "MESH has not listed this mailbox: its mail may soon be lost, MESH keeps it five days");
        } else {
            warn!(%mailbox, hours, "MESH still does not list this mailbox");
        }
    }

    fn listed_at(&self) -> Option<Timestamp> {
        let occupancy = self.receiver.store.occupancy();
        occupancy.mailboxes.get(self.receiver.inbox.mailbox()).and_then(|of| of.listed_at)
    }

    fn until_next_poll(&self) -> Duration {
        let now = self.clock.wall();
        self.settings.polls.next(now, self.listed_at()).since(now)
    }
}
