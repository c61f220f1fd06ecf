//! Small messages: from MESH through one commit into spool, journal and index, and back after a crash (I1, I9).
//!
//! **Bounds.** Two messages, in one commit or in two. In one run of the model: two crashes in all, each a kill of the
//! process or a power cut; one loss of the index; one failed sync of volume or journal; one message that MESH presents
//! again after it was acknowledged.
//!
//! **Disks.** A power cut leaves any prefix of the unsynced journal, any choice of the unsynced groups, and the index
//! as it was last synced or as it was in memory. A failed sync leaves ghosts (see [`Medium::Ghost`]). Cutting a torn
//! tail and making a file are durable at once.
//!
//! **Recovery**, as modelled: cut the journal at the first record whose bytes are not in the spool (it stands in the
//! last commit, which nobody was told of); write the last commit again, groups and records, because no later commit
//! vouches for it and a plain sync would believe a ghost; discard an index that is lost or ahead of the journal; apply
//! what it lacks.
//!
//! **Not here**: retention, refused mail, differing bytes under one id, the work that follows.

mod steps;

use meshd::domain::step::Step;
use stateright::Property;

use crate::check::{Checked, Event, Protocol};
use crate::medium::{Journal, Medium};

const MESSAGES: [usize; 2] = [0, 1];

/// The protocol, right or with one deliberate mistake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receive {
    pub(crate) defect: Option<Defect>,
}

/// Mistakes that must be caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// The proof is given out once everything is written.
    AcknowledgesBeforeAnySync,
    /// The proof is given out while the journal is still being synced.
    AnswersBeforeJournalSync,
    /// The proof is given out while the volume is still being synced.
    AnswersBeforeVolumeSync,
    /// A sync that failed is tried again, and believed.
    RetriesFailedSync,
    /// An index that knows more than the journal is believed.
    TrustsIndexOverJournal,
    /// Recovery believes what it reads.
    TrustsPageCache,
    /// Recovery syncs what it reads, and then believes it.
    TrustsSyncAfterRestart,
    /// Recovery keeps a record whose bytes are gone.
    KeepsRecordWithoutBytes,
}

/// What the journal says of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Record {
    Accepted(usize),
    Acknowledged(usize),
    /// It came again, with the bytes that we have.
    Noted(usize),
}

/// What the index says of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fact {
    New,
    Kept,
    Acknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Index {
    facts: [Fact; 2],
    /// How many journal records it contains.
    sequence: usize,
}

impl Index {
    const EMPTY: Self = Self { facts: [Fact::New; 2], sequence: 0 };

    fn apply(&mut self, journal: &Journal<Record>) {
        for record in journal.records().skip(self.sequence) {
            match record {
                Record::Accepted(message) | Record::Noted(message) => self.facts[message] = Fact::Kept,
                Record::Acknowledged(message) => self.facts[message] = Fact::Acknowledged,
            }
        }
        self.sequence = journal.length();
    }
}

/// One message in the daemon's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Hand {
    Empty,
    /// Its bytes wait for the next commit.
    Fetched {
        again: bool,
    },
    Committing,
    /// The store's proof is in hand: MESH may hear it.
    Proven,
    /// MESH heard; the note of it waits for the next commit.
    Told,
    TellingCommitted,
}

/// Where the committer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Cutting,
    SegmentWanted,
    GroupsAgain,
    VolumeSyncing,
    RecordsAgain,
    JournalSyncing,
    IndexDiscarding,
    IndexApplying,
    IndexSyncing,
    Idle,
    GroupWritten,
    JournalWritten,
    /// Three syncs side by side; each flag is set when its sync is done.
    Syncing {
        volume: bool,
        journal: bool,
        index: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Daemon {
    phase: Phase,
    hands: [Hand; 2],
    index: Index,
    has_volume: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// MESH would list it.
    offered: [bool; 2],
    /// MESH heard "acknowledged" at least once.
    heard: [bool; 2],
    groups: [Medium; 2],
    journal: Journal<Record>,
    index: Option<Index>,
    daemon: Option<Daemon>,
    crashes: u8,
    index_losses: u8,
    failed_syncs: u8,
    presentations: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Start,
    ListAndFetch(usize),
    Answer,
    FailSync(Step),
    Kill { index_reached_disk: bool },
    PowerCut { groups: [bool; 2], records: usize, index_reached_disk: bool },
    LoseIndex,
    PresentAgain(usize),
}

type Happening = Event<Other>;

impl Protocol for Receive {
    type State = State;
    type Other = Other;
    const NAME: &'static str = "receive";

    fn start(&self) -> State {
        State {
            offered: [true; 2],
            heard: [false; 2],
            groups: [Medium::Absent; 2],
            journal: Journal::EMPTY,
            index: None,
            daemon: None,
            crashes: 2,
            index_losses: 1,
            failed_syncs: 1,
            presentations: 1,
        }
    }

    fn progress(&self, state: &State, events: &mut Vec<Happening>) {
        let Some(daemon) = &state.daemon else {
            events.push(Event::Other(Other::Start));
            return;
        };
        let group_step = if daemon.has_volume { Step::GroupWrite } else { Step::VolumeCreate };
        let step = match daemon.phase {
            Phase::Cutting => Step::TailCut,
            Phase::SegmentWanted => Step::SegmentCreate,
            Phase::GroupsAgain => group_step,
            Phase::VolumeSyncing => Step::VolumeSync,
            Phase::RecordsAgain | Phase::GroupWritten => Step::JournalWrite,
            Phase::JournalSyncing => Step::JournalSync,
            Phase::IndexDiscarding => Step::IndexDiscard,
            Phase::IndexApplying | Phase::JournalWritten => Step::IndexApply,
            Phase::IndexSyncing => Step::IndexSync,
            Phase::Idle => return self.work(state, daemon, group_step, events),
            Phase::Syncing { volume, journal, index } => {
                let waiting = [(volume, Step::VolumeSync), (journal, Step::JournalSync), (index, Step::IndexSync)];
                let unfinished = waiting.into_iter().filter(|(done, _)| !done);
                events.extend(unfinished.map(|(_, step)| Event::Does(step, 0)));
                if self.may_answer(volume, journal, index) {
                    events.push(Event::Other(Other::Answer));
                }
                acknowledge(daemon, events);
                return;
            }
        };
        events.push(Event::Does(step, 0));
        acknowledge(daemon, events);
    }

    fn harm(&self, state: &State, events: &mut Vec<Happening>) {
        let flushed: &[bool] = match &state.daemon {
            Some(daemon) if state.index != Some(daemon.index) => &[false, true],
            _ => &[false],
        };
        if state.crashes > 0 {
            if state.daemon.is_some() {
                events
                    .extend(flushed.iter().map(|&index_reached_disk| Event::Other(Other::Kill { index_reached_disk })));
            }
            for records in state.journal.prefixes() {
                for groups in [[false, false], [false, true], [true, false], [true, true]] {
                    let tells_nothing = |message: &usize| groups[*message] && state.groups[*message] != Medium::Cached;
                    if MESSAGES.iter().any(tells_nothing) {
                        continue;
                    }
                    events.extend(flushed.iter().map(|&index_reached_disk| {
                        Event::Other(Other::PowerCut { groups, records, index_reached_disk })
                    }));
                }
            }
        }
        if state.failed_syncs > 0
            && let Some(daemon) = &state.daemon
        {
            let may_fail = |step| matches!(step, Step::VolumeSync | Step::JournalSync);
            let mut going_on = Vec::new();
            self.progress(state, &mut going_on);
            for event in going_on {
                if let Event::Does(step, _) = event
                    && may_fail(step)
                    && daemon.phase != Phase::Idle
                {
                    events.push(Event::Other(Other::FailSync(step)));
                }
            }
        }
        if state.index_losses > 0 && state.daemon.is_none() && state.index.is_some() {
            events.push(Event::Other(Other::LoseIndex));
        }
        if state.presentations > 0 {
            let acknowledged = MESSAGES.into_iter().filter(|message| !state.offered[*message]);
            events.extend(acknowledged.map(|message| Event::Other(Other::PresentAgain(message))));
        }
    }

    fn after(&self, state: &State, event: Happening) -> State {
        let mut next = state.clone();
        match event {
            Event::Does(step, message) => self.step(&mut next, step, message),
            Event::Other(other) => self.other(&mut next, other),
        }
        next
    }

    fn claims() -> Vec<Property<Checked<Self>>> {
        vec![
            Property::always("I1: acknowledged means kept", |_, state: &State| {
                MESSAGES.into_iter().all(|message| !state.heard[message] || is_kept(state, message))
            }),
            Property::always("I4: one message is one delivery", |_, state: &State| {
                MESSAGES.into_iter().all(|message| state.journal.count(Record::Accepted(message)) <= 1)
            }),
            Property::always("at rest everything is kept and acknowledged", |model, state: &State| {
                let is_done = |message: usize| {
                    !state.offered[message]
                        && is_kept(state, message)
                        && state.index.is_some_and(|index| index.facts[message] != Fact::New)
                };
                !model.is_at_rest(state) || MESSAGES.into_iter().all(is_done)
            }),
            Property::sometimes("a message that comes again is noted", |_, state: &State| {
                state.journal.has(Record::Noted(0))
            }),
        ]
    }
}

/// The worst power cut would leave bytes and record.
fn is_kept(state: &State, message: usize) -> bool {
    state.groups[message] == Medium::Durable && state.journal.is_durable(Record::Accepted(message))
}

/// Proofs in hand are told to MESH, whatever the committer does.
fn acknowledge(daemon: &Daemon, events: &mut Vec<Happening>) {
    let proven = MESSAGES.into_iter().filter(|message| daemon.hands[*message] == Hand::Proven);
    events.extend(proven.map(|message| Event::Does(Step::Acknowledge, message)));
}
