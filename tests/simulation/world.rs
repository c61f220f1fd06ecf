//! One simulated machine: its disk, its clocks, its store, and the hands that use it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use meshd::domain::digest::DigestKey;
use meshd::domain::ids::{DeliveryId, JobId, MailboxId, MessageId};
use meshd::domain::legal_hold::LegalHoldId;
use meshd::domain::operator::{Operator, Remark};
use meshd::domain::settlement::Settlement;
use meshd::domain::step::Step;
use meshd::ports::disk::{Disk, Floor};
use meshd::ports::store::{Halt, HoldOrder, Job, Lease, LeaseWish, Note};
use meshd::store::command::Command;
use meshd::store::committer::Committer;
use meshd::store::disk::{Side, Simulated};
use meshd::store::index::Pair;
use meshd::store::index::keys::{self, kind};
use meshd::store::index::memory::Memory;
use meshd::store::journal::event::Acceptance;
use meshd::store::journal::verify::verify;
use meshd::store::spool::{Spool, SpoolSettings};
use meshd::store::{Retention, StoreParts, StoreSettings};

use secrecy::SecretString;

use crate::dice::{Dice, SimulatedClock};
use crate::hands::{FLOW, Intent};
use crate::model::{Model, Stands};
use crate::oracle::Oracle;
use crate::sends::Outbound;

const HOUR: Duration = Duration::from_secs(3600);

/// Steps of the store at which the power may go. The others never happen here.
const STEPS: &[Step] = &[
    Step::StateDirectory,
    Step::VolumeCreate,
    Step::GroupWrite,
    Step::GroupMove,
    Step::VolumeSync,
    Step::PartCreate,
    Step::ChunkWrite,
    Step::ChunkSync,
    Step::SidecarWrite,
    Step::SidecarSync,
    Step::PartRename,
    Step::PartSync,
    Step::SegmentCreate,
    Step::JournalWrite,
    Step::JournalSync,
    Step::TailCut,
    Step::Checkpoint,
    Step::SegmentCompress,
    Step::SpoolRemove,
];

/// How a run ended.
enum End {
    /// The process died; what the machine was told stays.
    Killed,
    /// The power went.
    Cut,
    /// The store halted, and the process with it.
    Halted,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) disk: Simulated,
    pub(crate) index: Memory,
    pub(crate) clock: Arc<SimulatedClock>,
    pub(crate) key: DigestKey,
    pub(crate) boot: u64,
    /// Of a disk without a limit: 90 makes it one that is always near its floor, so that what can go early does.
    floor_percent: u8,
    pub(crate) identity: SecretString,
    pub(crate) recipient: String,
    pub(crate) spool: Option<Spool>,
    /// Writing a large message failed: the store halts.
    pub(crate) spool_failed: bool,
    pub(crate) committer: Option<Committer>,
    pub(crate) leases: Vec<Lease>,
    /// What is being sent.
    pub(crate) outbound: Vec<Outbound>,
    /// What is in work, and was sent on.
    pub(crate) sent_on: BTreeSet<DeliveryId>,
    /// What follows the last command.
    pub(crate) next: Option<(Command, Intent)>,
    /// What was posted: MESH outlives every crash.
    pub(crate) at_mesh: BTreeSet<DeliveryId>,
    /// Copies of the index from earlier, to be restored.
    pub(crate) copies: Vec<Vec<Pair>>,
    pub(crate) oracle: Oracle,
    /// Delivery ids the hands may speak of.
    pub(crate) known: Vec<DeliveryId>,
    /// Whose they are.
    pub(crate) messages: BTreeMap<DeliveryId, (MailboxId, MessageId)>,
    /// Large messages that a commit to come takes in: nobody fetches one twice at a time.
    pub(crate) taking_in: BTreeSet<MessageId>,
    pub(crate) offered: Vec<(MailboxId, MessageId, Bytes)>,
    /// How often the store was opened.
    pub(crate) recoveries: u64,
    /// How many groups were moved in its life.
    pub(crate) moves: u64,
    /// How often an operator did something.
    pub(crate) acts: u64,
    /// Bulk acts that the hands may speak of.
    pub(crate) jobs: Vec<JobId>,
    /// How many deliveries bulk acts acted on.
    pub(crate) bulk_acts: u64,
    /// Legal holds that the hands may speak of.
    pub(crate) holds: Vec<LegalHoldId>,
    /// How often a legal hold kept what would have gone.
    pub(crate) spared: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let key = DigestKey::new(b"a key for simulations, 32 bytes.");
        let identity = age::x25519::Identity::generate();
        Self {
            recipient: identity.to_public().to_string(),
            identity: identity.to_string(),
            spool: None,
            spool_failed: false,
            floor_percent: if Dice::new(seed).once_in(2) { 90 } else { 0 },
            dice: Dice::new(seed),
            disk: Simulated::new(seed),
            index: Memory::default(),
            clock: Arc::new(SimulatedClock::new()),
            oracle: Oracle::default(),
            key,
            boot: 1,
            committer: None,
            leases: Vec::new(),
            outbound: Vec::new(),
            sent_on: BTreeSet::new(),
            next: None,
            at_mesh: BTreeSet::new(),
            copies: Vec::new(),
            known: Vec::new(),
            messages: BTreeMap::new(),
            taking_in: BTreeSet::new(),
            offered: Vec::new(),
            recoveries: 0,
            moves: 0,
            acts: 0,
            jobs: Vec::new(),
            bulk_acts: 0,
            holds: Vec::new(),
            spared: 0,
        }
    }

    /// Lives through `rounds` commits with faults, then without, and checks everything.
    pub(crate) fn live(&mut self, rounds: u64) {
        self.start();
        for _ in 0..rounds {
            self.round();
        }
        self.end(End::Cut);
        self.committer = Some(self.open().expect("no faults"));
        self.check();
        self.drain();
        self.rest();
        self.burn_and_compare();
        let model = self.check();
        self.read_everything(&model);
        (self.moves, self.acts, self.spared) = (model.moves, model.acts, model.spared);
        self.bulk_acts = model.jobs.values().map(|bulk| bulk.done).sum();
    }

    fn round(&mut self) {
        self.pass_time();
        self.plan_a_fault();
        // Without commands the store does what is due by itself.
        let count = if self.dice.once_in(4) { 0 } else { 1 + self.dice.below(5) };
        self.taking_in.clear();
        let (commands, intents): (Vec<_>, Vec<_>) = (0..count).map(|_| self.command()).unzip();
        if std::mem::take(&mut self.spool_failed) {
            return self.restart(End::Cut);
        }
        match self.store().commit(commands) {
            Ok(answers) => {
                for (intent, answer) in intents.into_iter().zip(answers) {
                    self.heard(intent, answer);
                }
                let head = self.store().head();
                self.oracle.heads.push(head);
                if self.dice.once_in(6) {
                    self.copies.push(self.index.rows());
                }
                match self.dice.below(24) {
                    0 => self.restart(End::Killed),
                    1 => self.restart(End::Cut),
                    2 => self.stop_in_order(),
                    _ => {}
                }
            }
            Err(Halt(why)) => {
                // A failed sync of a file may be followed by a restart of the process alone. A failed sync of a folder
                // means that the file system gave up its journal: the machine has to be started again.
                let of_a_file = why.starts_with("sync the journal:") || why.starts_with("sync the spool:");
                let end = if of_a_file && self.dice.once_in(2) { End::Halted } else { End::Cut };
                self.restart(end);
            }
        }
    }

    /// Ends the run, damages what may be damaged, and starts until it starts.
    fn restart(&mut self, end: End) {
        self.end(end);
        match self.dice.below(8) {
            0 => self.index.burn(),
            1 if !self.copies.is_empty() => self.index.restore(&self.dice.pick(&self.copies).clone()),
            _ => {}
        }
        self.start();
    }

    fn end(&mut self, end: End) {
        self.committer = None;
        // What a dead process held is not given back.
        std::mem::take(&mut self.leases).into_iter().for_each(std::mem::forget);
        std::mem::take(&mut self.outbound).into_iter().for_each(std::mem::forget);
        self.forget_outputs();
        match end {
            End::Killed => self.oracle.died(),
            End::Cut => self.cut_power(),
            // The disk may be off; the machine then has to be started again.
            End::Halted if self.disk.entry(Path::new("/")).is_err() => self.cut_power(),
            End::Halted => {}
        }
        self.oracle.run_ended();
    }

    fn forget_outputs(&mut self) {
        self.sent_on.clear();
        self.next = None;
    }

    fn cut_power(&mut self) {
        self.disk.crash();
        let kept = self.dice.below(self.index.unsynced() as u64 + 1) as usize;
        self.index.crash(kept);
        self.boot += 1;
    }

    pub(crate) fn store(&mut self) -> &mut Committer {
        self.committer.as_mut().expect("the store is open between rounds")
    }

    fn start(&mut self) {
        loop {
            self.recoveries += 1;
            // Interrupted recoveries, a few in a row at most.
            if self.dice.once_in(4) {
                let step = *self.dice.pick(&[Step::TailCut, Step::JournalWrite, Step::JournalSync, Step::Checkpoint]);
                let side = if self.dice.once_in(2) { Side::Before } else { Side::After };
                self.disk.stop_at(step, 1 + self.dice.below(3), side);
            }
            match self.open() {
                Ok(committer) => {
                    self.committer = Some(committer);
                    break;
                }
                Err(why) => {
                    let ours = ["machine is off", "Input/output error"].iter().any(|text| why.0.contains(text));
                    assert!(ours, "recovery failed: {why}");
                    self.cut_power();
                }
            }
        }
        self.check();
    }

    fn open(&mut self) -> Result<Committer, Halt> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let settings = SpoolSettings {
            directory: PathBuf::from("/state/spool"),
            recipients: mailboxes().into_iter().map(|mailbox| (mailbox, vec![self.recipient.clone()])).collect(),
            identities: vec![self.identity.clone()],
            volume_bytes: 5_000,
            volume_age: Duration::from_secs(600),
        };
        let (spool, appender) = Spool::open(disk.clone(), self.clock.clone(), self.key.clone(), settings)
            .map_err(|error| Halt(error.to_string()))?;
        self.spool = Some(spool.clone());
        let spool = (spool, appender);
        Committer::open(StoreParts {
            disk,
            clock: self.clock.clone(),
            key: self.key.clone(),
            spool,
            index: Box::new(self.index.clone()),
            settings: StoreSettings {
                directory: PathBuf::from("/state"),
                segment_bytes: 6_000,
                strict: [strict()].into(),
                checkpoint_rows: 30,
                floor: Floor { bytes_percent: self.floor_percent, inodes_percent: 0 },
                retention: Retention { delivered: 2 * HOUR, dead: 8 * HOUR, seen: 900 * HOUR, journal: 90_000 * HOUR },
                head_interval: HOUR,
                boot: format!("boot-{}", self.boot),
            },
        })
    }

    /// Compares the store with its journal, and both with what was promised.
    fn check(&mut self) -> Model {
        let directory = Path::new("/state/journal");
        let model = Model::read(&self.disk, directory, [strict()].into())
            .unwrap_or_else(|problem| panic!("journal: {problem}"));
        self.oracle.check(&model);
        if self.dice.once_in(3) && !self.oracle.heads.is_empty() {
            let head = *self.dice.pick(&self.oracle.heads);
            verify(&self.disk, directory, Some(head)).unwrap_or_else(|broken| panic!("{broken}"));
        }
        let occupancy = self.store().watch().borrow().clone();
        let mut counted = occupancy.mailboxes.clone();
        let rests = counted.iter().filter(|(_, counters)| counters.suspended.is_some());
        assert_eq!(rests.map(|(id, _)| id.clone()).collect::<BTreeSet<_>>(), model.suspended);
        for counters in counted.values_mut() {
            (counters.next_due, counters.listed_at) = (None, None);
            counters.suspended = None;
            (counters.handshake_at, counters.handshake_tried_at) = (None, None);
        }
        assert_eq!(counted, model.recount(), "counters differ from a recount");
        let holds = occupancy.legal_holds.iter().map(|(id, hold)| (*id, (hold.scope.clone(), hold.is_complete)));
        assert_eq!(holds.collect::<BTreeMap<_, _>>(), model.legal_holds, "legal holds differ from the journal's");
        assert_eq!(occupancy.suspects, model.suspects(), "suspects differ from a recount");
        self.check_jobs(&model);
        let flows = occupancy.monitors.values().filter_map(|known| known.flows.get(FLOW));
        let gaps = flows.flat_map(|flow| flow.sequence.gaps()).flat_map(|gap| gap.first..=gap.last);
        assert_eq!(gaps.collect::<BTreeSet<_>>(), model.missing().into_iter().collect(), "gaps differ from a recount");
        if self.dice.once_in(8) {
            self.read_everything(&model);
        }
        model
    }

    /// What the index has of bulk acts is what their records say.
    fn check_jobs(&self, model: &Model) {
        let rows = self.index.rows().into_iter().filter(|(key, _)| key.first() == Some(&kind::JOB));
        let jobs: Vec<Job> = rows.map(|(_, value)| keys::decode(&value).expect("a job")).collect();
        for job in &jobs {
            let bulk = &model.jobs[&job.id];
            let told = (job.done, &job.left, job.reached, job.ended.is_some());
            assert_eq!(told, (bulk.done, &bulk.left, bulk.reached, bulk.has_ended), "{}", job.id);
        }
        let open = model.jobs.iter().filter(|(_, bulk)| !bulk.has_ended).map(|(id, _)| *id);
        let told = jobs.iter().filter(|job| job.ended.is_none()).map(|job| job.id);
        assert_eq!(told.collect::<Vec<_>>(), open.collect::<Vec<_>>());
    }

    /// Every payload that was not purged reads, wherever it was moved to (I1).
    fn read_everything(&self, model: &Model) {
        let spool = self.spool.as_ref().expect("open");
        for (id, life) in
            model.lives.iter().filter(|(_, life)| !matches!(life.stands, Stands::Replayed | Stands::Purged))
        {
            let Acceptance { mailbox, message, digest, .. } = &life.accepted;
            let opened = spool.reader().open(mailbox, message, &life.location);
            let opened = opened.unwrap_or_else(|error| panic!("payload of {id}: {error}"));
            let read = opened.payload.read_bounded(1000).expect("reads");
            assert_eq!(read, self.oracle.offered[&digest.0].as_ref(), "payload of {id}");
        }
    }

    /// No more faults: everything reaches its end.
    fn drain(&mut self) {
        for mailbox in mailboxes() {
            let note = Note::MailboxResumed { mailbox, by: Operator(1000), why: None };
            self.store().commit(vec![Command::Note(note)]).expect("no faults");
        }
        loop {
            self.clock.pass(Duration::from_secs(3600));
            for (mailbox, suspects) in
                mailboxes().into_iter().flat_map(|mailbox| [(mailbox.clone(), true), (mailbox, false)])
            {
                let wish = LeaseWish { mailbox, count: 50, bytes: 1 << 40, suspects };
                let mut answers = self.store().commit(vec![Command::Lease(wish)]).expect("no faults");
                self.heard(Intent::Lease { alone: suspects }, answers.remove(0));
            }
            if self.leases.is_empty() {
                break;
            }
            for lease in std::mem::take(&mut self.leases) {
                self.settle_now(lease, Settlement::Delivered(Vec::new()));
            }
        }
        self.drain_sends();
        let model = Model::read(&self.disk, Path::new("/state/journal"), [strict()].into()).expect("the journal reads");
        for (id, life) in &model.lives {
            let ended = !matches!(life.stands, Stands::Queued | Stands::Working { .. } | Stands::Suspect);
            assert!(ended, "{id} did not come to an end: {:?}", life.story);
        }
        self.check();
    }

    /// Hours without mail, and without legal holds in the second half: what was delivered goes, what lives on is moved
    /// together.
    fn rest(&mut self) {
        for half in [1, 2] {
            for _ in 0..6 {
                self.clock.pass(HOUR);
                self.store().commit(Vec::new()).expect("no faults");
            }
            if half == 1 {
                let holds: Vec<_> = self.store().watch().borrow().legal_holds.keys().copied().collect();
                let why = Remark::new("as simulated").expect("a remark");
                let end = |hold| HoldOrder::Remove { hold, by: Operator(1000), why: why.clone() };
                let ended = holds.into_iter().map(|hold| Command::LegalHold(end(hold))).collect();
                self.store().commit(ended).expect("no faults");
            }
        }
        let spared: u64 = self.store().watch().borrow().mailboxes.values().map(|of| of.spared.messages).sum();
        assert_eq!(spared, 0, "nothing keeps it any more");
    }

    /// The index may burn: made anew, it is what it was (I9).
    fn burn_and_compare(&mut self) {
        let before = content(&self.index.rows());
        self.committer = None;
        self.index.burn();
        self.committer = Some(self.open().expect("no faults"));
        self.check();
        assert_eq!(before, content(&self.index.rows()), "the index made anew differs");
    }

    fn settle_now(&mut self, lease: Lease, settlement: Settlement) {
        let id = lease.delivery.id;
        self.oracle.given_back(id);
        let command = Command::Settle(Box::new(lease), Box::new(settlement));
        let mut answers = self.store().commit(vec![command]).expect("no faults");
        self.heard(Intent::Settle(id, "delivered"), answers.remove(0));
    }

    fn stop_in_order(&mut self) {
        let leases = std::mem::take(&mut self.leases);
        std::mem::take(&mut self.outbound).into_iter().for_each(std::mem::forget);
        self.forget_outputs();
        // Half the time workers give back what they hold; otherwise it is still in work at the end.
        if self.dice.once_in(2) {
            drop(leases);
        } else {
            leases.into_iter().for_each(std::mem::forget);
        }
        let before = self.store().watch().borrow().suspects;
        let committer = self.store();
        let stopped = committer.commit(vec![Command::Note(Note::Stopped)]).and_then(|_| committer.finish());
        if stopped.is_err() {
            return self.restart(End::Cut);
        }
        self.committer = None;
        self.oracle.run_ended();
        // Made anew, and that is interrupted: what is left must not pass for the whole, though the stop was in order.
        if self.dice.once_in(2) {
            self.index.burn();
            self.index.stop_after(self.dice.below(5) as usize);
        }
        self.start();
        assert!(self.store().watch().borrow().suspects <= before, "an orderly stop made suspects");
    }

    fn pass_time(&mut self) {
        match self.dice.below(30) {
            0 | 2 => self.clock.pass(Duration::from_secs(3 * 3600)),
            1 => self.clock.step(self.dice.below(7_200_000) as i64 - 3_600_000),
            3..7 => self.clock.pass(Duration::from_secs(self.dice.below(600))),
            _ => self.clock.pass(Duration::from_millis(self.dice.below(1500))),
        }
    }

    fn plan_a_fault(&mut self) {
        match self.dice.below(24) {
            0..3 => {
                let step = *self.dice.pick(STEPS);
                let side = if self.dice.once_in(2) { Side::Before } else { Side::After };
                self.disk.stop_at(step, 1 + self.dice.below(4), side);
            }
            3 => self.disk.fail_sync(1 + self.dice.below(3)),
            _ => {}
        }
    }
}

pub(crate) fn mailboxes() -> Vec<MailboxId> {
    ["A", "AB", "B"].map(|name| MailboxId::new(name).expect("a mailbox id")).to_vec()
}

/// The one of them whose deliveries are handled in the order of acceptance.
pub(crate) fn strict() -> MailboxId {
    MailboxId::new("AB").expect("a mailbox id")
}

/// All rows but those that say where in the journal we are.
fn content(rows: &[Pair]) -> Vec<Pair> {
    rows.iter().filter(|(key, _)| key != b"M").cloned().collect()
}
