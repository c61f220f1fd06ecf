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
//! A pair is recognised by keyed digests of its name, its control file and its data, and by the time of the latter.
//! What MESH refuses is refused here before the first byte goes out, all faults of a pair together.

mod settle;
mod take;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::settle::{Rests, Ripe, Settling};
use self::take::Taken;
use super::control;
use crate::domain::control::{Control, Told};
use crate::domain::digest::{ContentDigest, DigestKey, Hasher};
use crate::domain::fault::Fault;
use crate::domain::ids::{DeliveryId, MailboxId, Sensitive};
use crate::domain::operator::Operator;
use crate::domain::pair::{BaseName, Pair};
use crate::ports::clock::Clock;
use crate::ports::directory::Directory;
use crate::ports::obstacles::{At, Obstacles};
use crate::ports::operations::Post;
use crate::ports::pairs::{Away, Lying, PairSeen, Pairs, Report, Shelf};
use crate::ports::pickups::Pickups;
use crate::ports::store::{
    Class, Halt, MailboxOccupancy, NotBroughtIn, Occupancy, QueuePlace, SendPage, Sends, Sent, Store,
};

/// Between two looks, whatever changes.
const PAUSE: Duration = Duration::from_millis(200);
/// And as many times as long as the look before took.
const REST: u32 = 4;
/// Sends of the store that are asked for at a time.
const PAGE: usize = 256;
/// Pairs that could not be taken at one look: the others wait for the next.
const MOST_FAILURES: u32 = 16;
/// Pairs that are put away together.
const MOST_AWAY: usize = 64;

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
}

/// What one look at `OUT` found to do.
#[derive(Default)]
struct Work {
    take: Vec<PairSeen>,
    stale: Vec<PairSeen>,
    /// What ended and lies there.
    ended: Vec<(PairSeen, Sent)>,
    /// What ended and does not.
    gone: Vec<DeliveryId>,
    /// What has to wait, and was not told so.
    delayed: Vec<(PairSeen, Sent)>,
    /// When there is more, by the monotonic clock.
    next: Option<Duration>,
    /// What keeps some from being taken.
    waits: Option<Waits>,
}

/// Why something waits: a code, and words.
type Waits = (&'static str, String);

/// What came of a look: when there is more to do, and what waits.
type Came = (Option<Duration>, Option<Waits>);

/// A pair that is to be put away.
#[derive(Clone)]
struct Finished {
    pair: PairSeen,
    spoken: Option<Spoken>,
    told: Told,
    to: Shelf,
    report: bool,
    /// What it went out as.
    delivery: Option<DeliveryId>,
}

/// What a control file says.
#[derive(Clone)]
struct Spoken {
    control: Control,
    /// Nothing is wrong with it; what is wrong is left to its sender as it is.
    is_sound: bool,
}

impl Spoken {
    fn sound(control: Control) -> Self {
        Self { control, is_sound: true }
    }
}

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
        }
    }

    /// Picks up until told to stop.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Halt> {
        let mut watch = self.parts.store.watch();
        loop {
            let stood = of_sends(&watch.borrow_and_update(), &self.mailbox);
            let next = self.turn(&stop).await?;
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

    /// All that was taken and lies in `OUT`, as far as the store knows, by name.
    async fn known(&self) -> Result<BTreeMap<String, Sent>, Halt> {
        let mut known = BTreeMap::new();
        let mut after = None;
        loop {
            let page = SendPage { mailbox: Some(self.mailbox.clone()), lying: true, after, count: PAGE };
            let page = self.parts.sends.sends(page).await?;
            let is_last = page.len() < PAGE;
            let last = page.last().map(|sent| sent.delivery.id);
            known.extend(page.into_iter().filter_map(|sent| {
                let name = sent.delivery.outgoing.as_ref()?.pair.as_ref()?.name.0.clone();
                Some((name, sent))
            }));
            match last {
                Some(delivery) if !is_last => after = Some(QueuePlace { mailbox: self.mailbox.clone(), delivery }),
                Some(_) | None => return Ok(known),
            }
        }
    }

    /// What is to be done, by what lies there and what is known.
    fn compare(&mut self, lying: &Lying, mut known: BTreeMap<String, Sent>) -> Work {
        let now = self.parts.clock.monotonic();
        self.settling.see(&lying.pairs, now);
        let lies = |base: &BaseName| lying.pairs.binary_search_by(|pair| pair.base.cmp(base)).is_ok();
        self.unfinished.retain(|base, _| lies(base));
        self.tell(lying);
        let rests = Rests { pair: self.rules.settle, half: self.rules.orphan_after };
        let (mut work, mut of_before) = (Work::default(), 0);
        for pair in &lying.pairs {
            let sent = self.names(&pair.base).iter().find_map(|name| known.remove(&name.0));
            match sent {
                Some(sent) if has_ended(&sent) => work.ended.push((pair.clone(), sent)),
                Some(sent) => {
                    let waits = self.rules.report_delay && sent.class == Class::Waiting && sent.reason.is_some();
                    if waits && self.delayed.insert(sent.delivery.id) {
                        work.delayed.push((pair.clone(), sent));
                    }
                }
                None if is_of_before(pair, lying) => of_before += 1,
                None => match self.settling.ripe(pair, self.is_whole(pair), rests, now) {
                    Ripe::NotBefore(then) => work.next = work.next.into_iter().chain([then]).min(),
                    Ripe::Whole | Ripe::Stale if self.is_whole(pair) => {
                        work.take.push(pair.clone());
                    }
                    Ripe::Whole | Ripe::Stale => work.stale.push(pair.clone()),
                },
            }
        }
        if of_before > 0 {
            let what = "lie in OUT since before the state was restored, and may have been sent: `touch` the control \
                        files of those that are to be sent, and take the others away";
            work.waits = Some(("RESTORED", format!("{of_before} pairs {what}")));
        }
        work.gone = known.into_values().filter(has_ended).map(|sent| sent.delivery.id).collect();
        // In the order of their times, then of their names (mesh-client-files 4.3).
        work.take.sort_by_key(|pair| pair.control.as_ref().or(pair.data.as_ref()).map(|file| file.modified));
        work
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
        let told = self.tell_delays(work.delayed).await?;
        let owed = self.report_owed().await?;
        Ok(put.and(told).and(owed).map(|()| (work.next, waits)))
    }

    /// Takes what can be taken; why the first of the others waits is the answer.
    async fn take_all(
        &mut self,
        pairs: Vec<PairSeen>,
        stop: &CancellationToken,
        refused: &mut Vec<Finished>,
    ) -> Result<Option<Waits>, Halt> {
        let (mut waits, mut failures) = (None, 0);
        for pair in pairs {
            if stop.is_cancelled() || failures >= MOST_FAILURES {
                break;
            }
            match self.take(&pair).await? {
                Taken::Queued(delivery, control) => {
                    tracing::info!(mailbox = %self.mailbox, %delivery, "picked up");
                    if self.rules.report_collect {
                        self.owed.push((pair, control, told::collected(self.parts.clock.wall())));
                    }
                }
                Taken::Before(sent, control) => {
                    let delivery = sent.delivery.id;
                    let what = "a pair that was picked up before lies in OUT again and is not sent twice: change the \
                                time of its data file if it is to be";
                    tracing::warn!(mailbox = %self.mailbox, %delivery, "{what}");
                    refused.extend(self.finished(pair, Some(control), &sent));
                }
                Taken::Refused(told, spoken) => refused.push(self.failed(pair, spoken, told)),
                Taken::Unfinished(told) => {
                    if self.is_given_up(&pair) {
                        refused.push(self.failed(pair, None, told));
                    }
                }
                // As much waits as may: it goes on by itself.
                Taken::NotNow(NotBroughtIn::TooMuchWaits(_) | NotBroughtIn::Busy) => break,
                // Of one alone, such as one that is too large for the room there is.
                Taken::NotNow(why) => {
                    failures += 1;
                    let code = if why == NotBroughtIn::NoRoom { "NO-ROOM" } else { "NOT-TAKEN" };
                    waits.get_or_insert((code, why.to_string()));
                }
            }
        }
        Ok(waits)
    }

    /// Whether a pair could not be read, or had no end, for as long as half a pair may wait.
    fn is_given_up(&mut self, pair: &PairSeen) -> bool {
        let now = self.parts.clock.monotonic();
        let (seen, since) = self.unfinished.entry(pair.base.clone()).or_insert_with(|| (pair.clone(), now));
        if seen != pair {
            (*seen, *since) = (pair.clone(), now);
        }
        now.saturating_sub(*since) >= self.rules.orphan_after
    }

    /// Writes the reports of what was taken. What cannot be written is tried again.
    async fn report_owed(&mut self) -> Result<Result<(), Fault>, Halt> {
        if self.owed.is_empty() {
            return Ok(Ok(()));
        }
        let (pairs, owed) = (Arc::clone(&self.parts.pairs), std::mem::take(&mut self.owed));
        let (written, owed) = unblocked(move || {
            let reports: Vec<Report<'_>> =
                owed.iter().map(|(pair, control, told)| Report { pair, control, told }).collect();
            let written = pairs.report(&reports);
            (written, owed)
        })
        .await?;
        if written.is_err() {
            self.owed = owed;
        }
        Ok(written)
    }

    /// How what ended is put away; none if another pair lies there by now, for which the name is free then.
    async fn end(&mut self, pair: PairSeen, sent: &Sent) -> Result<Option<Finished>, Halt> {
        let bytes = match &pair.control {
            Some(file) => match self.control_bytes(file).await? {
                Some(bytes) => Some(bytes),
                None => {
                    self.is_given_up(&pair);
                    return Ok(None);
                }
            },
            None => None,
        };
        let of = sent.delivery.outgoing.as_ref().and_then(|outgoing| outgoing.pair.as_ref());
        let is_its_control = bytes.as_ref().zip(of).is_none_or(|(bytes, of)| self.is_of(&of.control, bytes));
        let is_it = match of {
            Some(of) if is_its_control => self.is_its_data(&pair, of).await?,
            Some(_) | None => Some(false),
        };
        match is_it {
            Some(true) => {
                let control = match bytes {
                    Some(bytes) => control::read(&bytes).ok(),
                    None => self.auto(&pair).map(|rule| went_to(sent, &rule.control)),
                };
                Ok(self.finished(pair, control, sent))
            }
            Some(false) => {
                let delivery = sent.delivery.id;
                tracing::warn!(mailbox = %self.mailbox, %delivery, "another pair of its name lies in OUT: it is taken next");
                self.parts.sends.put_away(delivery).await?;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Whether the data that lies there is what was sent; none if it cannot be told for now.
    async fn is_its_data(&self, pair: &PairSeen, of: &Pair) -> Result<Option<bool>, Halt> {
        let Some(data) = &pair.data else {
            // It was put away, and a crash came: unless another control file came first.
            return Ok(Some(pair.control.as_ref().map(|control| control.modified) == of.control_modified));
        };
        if data.length != of.length {
            return Ok(Some(false));
        }
        if data.modified == of.modified {
            return Ok(Some(true));
        }
        // Somebody may have touched it.
        let (pairs, data, keys) = (Arc::clone(&self.parts.pairs), data.clone(), self.parts.key.clone());
        let digests = unblocked(move || {
            let (mut reader, mut hasher, mut slice) = (pairs.read(&data)?, Hasher::new(), vec![0; 128 * 1024]);
            loop {
                match reader.read(&mut slice)? {
                    0 => return Ok::<_, std::io::Error>(keys.sign_each(hasher)),
                    count => hasher.update(&slice[..count]),
                }
            }
        });
        Ok(digests.await?.map(|digests| digests.contains(&of.data)).ok())
    }

    fn finished(&self, pair: PairSeen, control: Option<Control>, sent: &Sent) -> Option<Finished> {
        let (told, shelf) = told::outcome(sent, self.parts.clock.wall())?;
        let to = if shelf == Shelf::Sent && !self.rules.save_sent { Shelf::Removed } else { shelf };
        let report = shelf == Shelf::Failed || self.rules.report_transfer;
        let spoken = control.map(Spoken::sound);
        Some(Finished { pair, spoken, told, to, report, delivery: Some(sent.delivery.id) })
    }

    /// How half a pair is put away. Whatever its control file says is told again, for whoever looks for its report.
    async fn orphan(&self, half: PairSeen) -> Result<Finished, Halt> {
        let now = self.parts.clock.wall();
        let Some(file) = &half.control else { return Ok(self.failed(half, None, told::no_control(now))) };
        let bytes = self.control_bytes(file).await?.unwrap_or_default();
        // The pair may have been refused before its data was put away, and a crash came between.
        let (told, spoken) = match control::read(&bytes) {
            Err(faults) => (told::faults(&faults, now), self.unsound(&bytes)),
            Ok(control) => match self.faults(&control, 0) {
                faults if faults.is_empty() => (told::no_data(now), Some(Spoken::sound(control))),
                faults => (told::faults(&faults, now), Some(Spoken::sound(control))),
            },
        };
        Ok(self.failed(half, spoken, told))
    }

    /// What a control file that is wrong says all the same.
    fn unsound(&self, bytes: &[u8]) -> Option<Spoken> {
        control::said(bytes, &self.mailbox).map(|control| Spoken { control, is_sound: false })
    }

    fn failed(&self, pair: PairSeen, spoken: Option<Spoken>, told: Told) -> Finished {
        self.parts.told.failed(&self.mailbox);
        let Told { event, code, .. } = &told;
        tracing::warn!(mailbox = %self.mailbox, event = event.as_str(), code, "a pair in OUT cannot be sent: see FAILED");
        Finished { pair, spoken, told, to: Shelf::Failed, report: true, delivery: None }
    }

    /// Puts away, and notes it. What changed meanwhile is looked at again. One that resists keeps no other back.
    async fn put_away(&self, finished: Vec<Finished>) -> Result<Result<(), Fault>, Halt> {
        let mut result = Ok(());
        for batch in finished.chunks(MOST_AWAY) {
            if self.put_batch(batch).await?.is_ok() {
                continue;
            }
            for one in batch {
                if let Err(fault) = self.put_batch(std::slice::from_ref(one)).await? {
                    result = Err(fault);
                }
            }
        }
        Ok(result)
    }

    async fn put_batch(&self, batch: &[Finished]) -> Result<Result<(), Fault>, Halt> {
        let (pairs, of_batch) = (Arc::clone(&self.parts.pairs), batch.to_vec());
        let put = move || {
            let away: Vec<Away<'_>> = of_batch.iter().map(Finished::away).collect();
            pairs.put_away(&away)
        };
        let put = match unblocked(put).await? {
            Ok(put) => put,
            Err(fault) => return Ok(Err(fault)),
        };
        let away = batch.iter().zip(put).filter(|(_, was_put)| *was_put);
        for delivery in away.filter_map(|(one, _)| one.delivery) {
            self.parts.sends.put_away(delivery).await?;
        }
        Ok(Ok(()))
    }

    async fn tell_delays(&self, delayed: Vec<(PairSeen, Sent)>) -> Result<Result<(), Fault>, Halt> {
        for (pair, sent) in delayed {
            let Some(file) = &pair.control else { continue };
            let Some(bytes) = self.control_bytes(file).await? else { continue };
            let Ok(control) = control::read(&bytes) else { continue };
            let why = sent.reason.as_ref().map_or("", |reason| reason.detail.as_str());
            let told = told::delayed(why, self.parts.clock.wall());
            if let Err(fault) = self.report(pair, control, told).await? {
                return Ok(Err(fault));
            }
        }
        Ok(Ok(()))
    }

    async fn report(&self, pair: PairSeen, control: Control, told: Told) -> Result<Result<(), Fault>, Halt> {
        let pairs = Arc::clone(&self.parts.pairs);
        unblocked(move || pairs.report(&[Report { pair: &pair, control: &control, told: &told }])).await
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

    fn tell(&mut self, lying: &Lying) {
        let times = lying.pairs.iter().filter_map(|pair| Some(pair.control.as_ref().or(pair.data.as_ref())?.modified));
        self.parts.told.looked(&self.mailbox, lying.pairs.len() as u64, times.min());
        let count = lying.strangers;
        if count > self.strangers {
            let what = "files in OUT are neither <name>.dat nor <name>.ctl, or have a name that is not allowed";
            tracing::warn!(mailbox = %self.mailbox, count, "{what}: they are left there");
        }
        self.strangers = count;
    }
}

impl Finished {
    fn away(&self) -> Away<'_> {
        let Self { pair, spoken, told, to, report, .. } = self;
        let rewrites = spoken.as_ref().is_some_and(|spoken| spoken.is_sound);
        Away { pair, control: spoken.as_ref().map(|spoken| &spoken.control), rewrites, told, to: *to, report: *report }
    }
}

/// It lay there when the root was adopted, and nothing is known of it: the daemon of before may have sent it.
fn is_of_before(pair: &PairSeen, lying: &Lying) -> bool {
    let signal = pair.control.as_ref().or(pair.data.as_ref()).map(|file| file.modified);
    lying.adopted.zip(signal).is_some_and(|(adopted, signal)| signal <= adopted)
}

/// The control file of what went out without one.
fn went_to(sent: &Sent, control: &Control) -> Control {
    let to = sent.delivery.outgoing.as_ref().and_then(|outgoing| outgoing.to.as_ref());
    let to = to.map_or_else(|| control.to.clone(), |to| Sensitive::new(to.as_str()));
    Control { to, ..control.clone() }
}

/// Nothing more becomes of it by itself, nor by a person.
fn has_ended(sent: &Sent) -> bool {
    match sent.class {
        Class::Dead | Class::Delivered | Class::Discarded => true,
        Class::Waiting | Class::Held | Class::Replayed => false,
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

#[cfg(test)]
mod tests;
