//! Pairs of files that applications put into `OUT` (mesh-client-files 3 to 8), one mailbox.
//!
//! `OUT` is the queue, and the store says what was taken of it: a pair stays there until what became of it is known, and
//! then goes to `SENT` or `FAILED`. Whatever a crash interrupts is found by the next look, which compares the two:
//!
//! | In `OUT` | In the store | What is done |
//! |---|---|---|
//! | a pair | nothing of that name | once it rested it is taken: kept, and queued |
//! | a pair | on its way, or held | nothing |
//! | a pair | sent, dead or given up | it is put away |
//! | another pair of that name | on its way, or held | it waits |
//! | another pair of that name | sent, dead or given up | the first is forgotten, and it is taken |
//! | half a pair | nothing of that name | once it rested for long it is put away, with a report |
//! | nothing | sent, dead or given up | it is forgotten |
//! | a pair of before the root was adopted | nothing of that name | it waits for a person: it may have been sent |
//!
//! | File | What it is |
//! |---|---|
//! | `look` | what is to be done, by the table above |
//! | `settle` | when what lies there is whole |
//! | `take` | a pair is read, and queued |
//! | `away` | a pair is put away |
//! | `reports` | what is told of pairs that stay |
//! | `told` | the words |
//! | `vigil` | a file system that does not answer is told of |
//!
//! A pair is recognised by keyed digests of its name, its control file and its data, and by the time of the latter.
//! What MESH refuses is refused here before the first byte goes out, all faults of a pair together.

mod away;
mod look;
mod reports;
mod settle;
mod take;
mod told;
mod vigil;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::look::Work;
use self::settle::Settling;
use self::vigil::{Beat, PATIENCE, Vigil};
use crate::domain::control::{Control, Told};
use crate::domain::digest::{ContentDigest, DigestKey};
use crate::domain::fault::Fault;
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::operator::Operator;
use crate::domain::pair::BaseName;
use crate::ports::clock::Clock;
use crate::ports::directory::Directory;
use crate::ports::obstacles::{At, Obstacles};
use crate::ports::operations::Post;
use crate::ports::pairs::{PairSeen, Pairs};
use crate::ports::pickups::Pickups;
use crate::ports::store::{Halt, MailboxOccupancy, Occupancy, Sends, Store};

/// Between two looks, whatever changes.
const PAUSE: Duration = Duration::from_millis(200);
/// And as many times as long as the look before took.
const REST: u32 = 4;

/// What it works with.
pub struct PickupParts {
    /// The folders.
    pub pairs: Arc<dyn Pairs>,
    /// Takes in what goes out.
    pub post: Arc<dyn Post>,
    /// Says how full we are.
    pub store: Arc<dyn Store>,
    /// What goes out.
    pub sends: Arc<dyn Sends>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Of the digests by which pairs are recognised.
    pub key: DigestKey,
    /// What stands in the way is told there.
    pub obstacles: Obstacles,
    /// And what lies there.
    pub told: Pickups,
    /// Knows the mailboxes of organisations, if somebody does.
    pub directory: Option<Arc<dyn Directory>>,
    /// Something changed in `OUT`. Only a hint: shares tell of nothing.
    pub hint: Arc<Notify>,
}

/// How a mailbox's pairs are picked up.
#[derive(Debug, Clone)]
pub struct PickupRules {
    /// A pair rests for so long before it is taken.
    pub settle: Duration,
    /// Half a pair is given up after so long.
    pub orphan_after: Duration,
    /// `OUT` is looked at so often.
    pub scan: Duration,
    /// What was sent goes to `SENT`, or is removed.
    pub save_sent: bool,
    /// The name of the data file is sent along.
    pub file_name: bool,
    /// A pair that was taken is reported.
    pub report_collect: bool,
    /// One that MESH has is.
    pub report_transfer: bool,
    /// One that has to wait is.
    pub report_delay: bool,
    /// Data files that have no control file; the first that fits counts.
    pub auto: Vec<AutoRule>,
    /// Bytes of a request.
    pub chunk: u64,
    /// The user that the daemon runs as: whoever writes into `OUT` is not known.
    pub by: Operator,
}

/// What is sent without a control file.
#[derive(Debug, Clone)]
pub struct AutoRule {
    /// Names of data files begin so.
    pub begins: String,
    /// They are for the mailbox that this organisation has for their workflow.
    pub organisation: Option<String>,
    /// What their control files would say; without a recipient if that is to be found.
    pub control: Control,
}

/// Whoever picks up the pairs of one mailbox.
pub struct Pickup {
    mailbox: MailboxId,
    parts: PickupParts,
    rules: PickupRules,
    settling: Settling,
    /// What could not be read, or had no end, and since when it is so, by the monotonic clock.
    unfinished: BTreeMap<BaseName, (PairSeen, Duration)>,
    /// Reports of what was taken that are still to be written.
    owed: Vec<(PairSeen, Control, Told)>,
    /// Told to have to wait, by this run.
    delayed: BTreeSet<DeliveryId>,
    /// How long the last look took.
    look_took: Duration,
    /// Files in `OUT` that are no halves of pairs, as last told.
    strangers: u64,
    /// What gets done.
    beat: Beat,
}

/// Why something waits: a code, and words.
type Waits = (&'static str, String);

/// What came of a look: when there is more to do, and what waits.
type Came = (Option<Duration>, Option<Waits>);

impl Pickup {
    /// Nothing is looked at yet.
    pub fn new(mailbox: MailboxId, parts: PickupParts, rules: PickupRules) -> Self {
        Self {
            mailbox,
            parts,
            rules,
            settling: Settling::default(),
            unfinished: BTreeMap::new(),
            owed: Vec::new(),
            delayed: BTreeSet::new(),
            look_took: Duration::ZERO,
            strangers: 0,
            beat: Beat::default(),
        }
    }

    /// Picks up until told to stop.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Halt> {
        let mut watch = self.parts.store.watch();
        let vigil = Vigil {
            mailbox: self.mailbox.clone(),
            obstacles: self.parts.obstacles.clone(),
            clock: Arc::clone(&self.parts.clock),
            beat: self.beat.clone(),
            patience: PATIENCE,
        };
        loop {
            let stood = of_sends(&watch.borrow_and_update(), &self.mailbox);
            let next = vigil.over(self.turn(&stop)).await?;
            let now = self.parts.clock.monotonic();
            // A look at many pairs takes its time, and must not be all that is done.
            let pause = PAUSE.max(REST * self.look_took).min(self.rules.scan);
            let wait = next.map_or(self.rules.scan, |next| next.saturating_sub(now).min(self.rules.scan));
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.parts.hint.notified() => {}
                () = moved_on(&mut watch, &self.mailbox, stood) => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One look, and what it finds to do. When there is more is the answer.
    async fn turn(&mut self, stop: &CancellationToken) -> Result<Option<Duration>, Halt> {
        let began = self.parts.clock.monotonic();
        let known = self.known().await?;
        let pairs = Arc::clone(&self.parts.pairs);
        let at = At::Pickup(self.mailbox.clone());
        let came = match unblocked(move || pairs.look()).await? {
            Ok(lying) => {
                let work = self.compare(&lying, known);
                self.look_took = self.parts.clock.monotonic().saturating_sub(began);
                self.carry_out(work, stop).await?
            }
            Err(fault) => Err(fault),
        };
        let (next, obstacle) = match came {
            Ok((next, waits)) => (next, waits),
            Err(Fault { code, detail, .. }) => (None, Some((code.as_str(), detail))),
        };
        match obstacle {
            None => self.parts.obstacles.clear(&at),
            Some((code, detail)) => {
                if !self.parts.obstacles.has(&at) {
                    tracing::error!(mailbox = %self.mailbox, code, detail, "pairs in OUT are not picked up: tried again");
                }
                self.parts.obstacles.put(at, code, detail, self.parts.clock.wall());
            }
        }
        Ok(next)
    }

    /// Does it, and says when there is more, and what keeps some of it waiting.
    async fn carry_out(&mut self, work: Work, stop: &CancellationToken) -> Result<Result<Came, Fault>, Halt> {
        for delivery in work.gone {
            self.parts.sends.put_away(delivery).await?;
        }
        let mut finished = Vec::new();
        for (pair, sent) in work.ended {
            finished.extend(self.end(pair, &sent).await?);
        }
        for half in work.stale {
            finished.push(self.orphan(half).await?);
        }
        let (mut refused, mut waits) = (Vec::new(), work.waits);
        if !stop.is_cancelled() && !self.rests() {
            let why = self.take_all(work.take, stop, &mut refused).await?;
            waits = waits.or(why);
        }
        finished.append(&mut refused);
        let put = self.put_away(finished).await?;
        self.owe_delays(work.delayed).await?;
        let owed = self.report_owed().await?;
        Ok(put.and(owed).map(|()| (work.next, waits)))
    }

    /// An operator has the mailbox rest.
    fn rests(&self) -> bool {
        let occupancy = self.parts.store.occupancy();
        occupancy.mailboxes.get(&self.mailbox).is_some_and(|of| of.suspended.is_some())
    }

    /// Both files are there, or one that needs no other.
    fn is_whole(&self, pair: &PairSeen) -> bool {
        pair.data.is_some() && (pair.control.is_some() || self.auto(pair).is_some())
    }

    /// The rule for a data file without a control file.
    fn auto(&self, pair: &PairSeen) -> Option<&AutoRule> {
        let is_lone = pair.data.is_some() && pair.control.is_none();
        self.rules.auto.iter().filter(|_| is_lone).find(|rule| pair.base.reveal().starts_with(&rule.begins))
    }

    /// The keyed digests of a name, under each key.
    fn names(&self, base: &BaseName) -> Vec<ContentDigest> {
        self.parts.key.each().map(|key| key.identify(base.reveal())).collect()
    }
}

/// What of a mailbox changes when a send comes to its end, or room is made.
type OfSends = (u64, u64, u64, u64, u64, bool);

fn of_sends(occupancy: &Occupancy, mailbox: &MailboxId) -> OfSends {
    let of = |of: &MailboxOccupancy| {
        let rests = of.suspended.is_some();
        (of.sending.messages, of.sent_total, of.dead.messages, of.held.messages, of.retained.messages, rests)
    };
    occupancy.mailboxes.get(mailbox).map(of).unwrap_or_default()
}

/// Resolves when a send of the mailbox ended since it stood so; never, once the store is closed.
async fn moved_on(watch: &mut watch::Receiver<Arc<Occupancy>>, mailbox: &MailboxId, stood: OfSends) {
    if watch.wait_for(|now| of_sends(now, mailbox) != stood).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Off the threads that serve.
async fn unblocked<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Halt> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Halt(format!("pick up: {error}")))
}
