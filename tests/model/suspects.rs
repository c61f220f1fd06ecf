//! A message that kills the daemon whenever it is worked on, beside healthy ones (I4, I10).
//!
//! **Bounds.** One poisonous message and two healthy ones, leased in any batches. In one run of the model: one kill
//! from outside and one power cut. The deaths by poison are not bounded: that they end is part of what is checked.
//!
//! **Recovery**, as modelled: whatever was started and not settled is a suspect. Suspects run one at a time with
//! nothing else leased. If the last start was such a solo run, on this boot, and did not settle, its death is
//! journalled, once; the second one makes the message a dead letter.
//!
//! **Rest**: a suspect with a death of its own is not tried before the daemon has been calm for a while; other mail goes
//! on meanwhile. The model has no clock: the daemon becomes calm at some moment at which it could lease. Whoever kills
//! it again and again does so early, before that moment; two such kills condemn nobody, and without the rest they do.
//!
//! **Known limit**: two kills from outside, both while the same healthy message runs alone on one boot, the second of
//! them in a calm daemon, cannot be told from poison. A test shows that the model finds exactly this when two kills at
//! any moment are allowed.
//!
//! **Not here**: faults that stages report, whose attempts are counted apart from starts; a stop in order, which
//! settles or releases what is leased; failed syncs and the index (see the model `receive`).

use meshd::domain::step::Step;
use stateright::Property;

use crate::check::{Checked, Event, Protocol};
use crate::medium::Journal;

const MESSAGES: std::ops::Range<usize> = 0..3;
const POISON: usize = 0;
const DEATHS_TO_POISON: usize = 2;

/// The protocol, right or with one deliberate mistake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspects {
    pub(crate) defect: Option<Defect>,
    /// Kills from outside, such as an operator's: a bound.
    pub(crate) kills: u8,
    /// When they come.
    pub(crate) kills_come: When,
}

/// When kills from outside come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// At any moment.
    Ever,
    /// Soon after a start, before the daemon is calm.
    Early,
}

/// Mistakes that must be caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A death counts against everything that was started.
    CountsDeathInCompany,
    /// A solo run that a power cut ended counts.
    CountsAcrossBoots,
    /// A solo run without an end is counted at each start after it, though its death has a record.
    CountsOneDeathTwice,
    /// A suspect with a death of its own is tried at once.
    DoesNotRest,
    /// Suspects are leased as a batch.
    RunsSuspectsTogether,
    /// Work begins without a record of it.
    WorksWithoutStarted,
}

/// Messages as bits.
type Set = u8;

/// What the journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Record {
    Started { set: Set, solo: bool, boot: u8 },
    Died(usize),
    Settled(usize),
    Dead(usize),
}

/// What the daemon is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Next {
    /// Reads the journal, and syncs it before believing it.
    Recover,
    Judge,
    Judged,
    Lease,
    Start {
        set: Set,
        solo: bool,
    },
    Started(Set),
    Work(Set),
    /// A healthy message is done; the rest of the lease goes on.
    Settle {
        done: usize,
        rest: Set,
    },
    Settled(Set),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    journal: Journal<Record>,
    boot: u8,
    daemon: Option<Next>,
    /// The daemon runs for a while now.
    is_calm: bool,
    kills: u8,
    power_cuts: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Boot,
    Lease {
        set: Set,
        solo: bool,
    },
    Finish(usize),
    /// A while has passed.
    Calm,
    /// The poison works.
    Die,
    Kill,
    PowerCut {
        records: usize,
    },
}

impl Protocol for Suspects {
    type State = State;
    type Other = Other;
    const NAME: &'static str = "suspects";

    fn start(&self) -> State {
        State { journal: Journal::EMPTY, boot: 0, daemon: None, is_calm: false, kills: self.kills, power_cuts: 1 }
    }

    fn progress(&self, state: &State, events: &mut Vec<Event<Other>>) {
        let Some(next) = state.daemon else {
            events.push(Event::Other(Other::Boot));
            return;
        };
        match next {
            Next::Recover | Next::Judged | Next::Started(_) | Next::Settled(_) => {
                events.push(Event::Does(Step::JournalSync, 0));
            }
            Next::Judge | Next::Start { .. } | Next::Settle { .. } => events.push(Event::Does(Step::JournalWrite, 0)),
            Next::Lease => self.leases(state, events),
            Next::Work(set) => {
                let healthy = MESSAGES.filter(|message| *message != POISON && contains(set, *message));
                events.extend(healthy.map(|message| Event::Other(Other::Finish(message))));
            }
        }
        if let Next::Work(set) | Next::Settle { rest: set, .. } | Next::Settled(set) = next
            && contains(set, POISON)
        {
            events.push(Event::Other(Other::Die));
        }
    }

    fn harm(&self, state: &State, events: &mut Vec<Event<Other>>) {
        let may_kill = match self.kills_come {
            When::Ever => true,
            When::Early => !state.is_calm,
        };
        if state.kills > 0 && state.daemon.is_some() && may_kill {
            events.push(Event::Other(Other::Kill));
        }
        if state.power_cuts > 0 {
            events.extend(state.journal.prefixes().map(|records| Event::Other(Other::PowerCut { records })));
        }
    }

    fn after(&self, state: &State, event: Event<Other>) -> State {
        let mut next = state.clone();
        match event {
            Event::Does(_, _) => self.step(&mut next),
            Event::Other(other) => self.other(&mut next, other),
        }
        next
    }

    fn claims() -> Vec<Property<Checked<Self>>> {
        vec![
            Property::always("I10: no healthy message is quarantined", |_, state: &State| {
                !MESSAGES.into_iter().any(|message| message != POISON && state.journal.has(Record::Dead(message)))
            }),
            Property::always("I4: never two dispositions", |_, state: &State| {
                MESSAGES.into_iter().all(|message| ends(state, message) <= 1)
            }),
            Property::always("at rest each message has its disposition", |model, state: &State| {
                let ended = |message: usize| {
                    let end = if message == POISON { Record::Dead(message) } else { Record::Settled(message) };
                    state.journal.is_durable(end)
                };
                !model.is_at_rest(state) || MESSAGES.into_iter().all(ended)
            }),
            Property::sometimes("a healthy message is a suspect beside poison", |_, state: &State| {
                contains(suspects(state), POISON) && contains(suspects(state), 1)
            }),
        ]
    }
}

fn contains(set: Set, message: usize) -> bool {
    set >> message & 1 == 1
}

fn just(message: usize) -> Set {
    1 << message
}

fn of(messages: impl Iterator<Item = usize>) -> Set {
    messages.fold(0, |set, message| set | just(message))
}

fn ends(state: &State, message: usize) -> usize {
    state.journal.count(Record::Settled(message)) + state.journal.count(Record::Dead(message))
}

fn unsettled(state: &State) -> Set {
    of(MESSAGES.filter(|message| ends(state, *message) == 0))
}

/// Started and not settled.
fn suspects(state: &State) -> Set {
    let started = state.journal.records().fold(0, |started, record| match record {
        Record::Started { set, .. } => started | set,
        Record::Died(_) | Record::Settled(_) | Record::Dead(_) => started,
    });
    started & unsettled(state)
}

impl Suspects {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn leases(&self, state: &State, events: &mut Vec<Event<Other>>) {
        let suspects = suspects(state);
        let rests = |message: &usize| {
            !state.is_calm && state.journal.count(Record::Died(*message)) > 0 && !self.has(Defect::DoesNotRest)
        };
        let resting = of(MESSAGES.filter(|message| contains(suspects, *message)).filter(rests));
        if resting != 0 {
            events.push(Event::Other(Other::Calm));
        }
        let tried = suspects & !resting;
        if tried != 0 && self.has(Defect::RunsSuspectsTogether) {
            events.push(Event::Other(Other::Lease { set: tried, solo: true }));
        } else if tried != 0 {
            let each = MESSAGES.filter(|message| contains(tried, *message));
            events.extend(each.map(|message| Event::Other(Other::Lease { set: just(message), solo: true })));
        } else {
            let waiting = unsettled(state) & !suspects;
            let batches = (1..=waiting).filter(|batch| batch & !waiting == 0);
            events.extend(batches.map(|set| Event::Other(Other::Lease { set, solo: false })));
        }
    }

    fn step(&self, state: &mut State) {
        let Some(next) = state.daemon else { unreachable!("only a running daemon takes steps") };
        state.daemon = Some(match next {
            Next::Recover => {
                state.journal.sync();
                if self.judgement(state).is_empty() { Next::Lease } else { Next::Judge }
            }
            Next::Judge => {
                let records = self.judgement(state);
                state.journal.write(records);
                Next::Judged
            }
            Next::Judged => {
                state.journal.sync();
                Next::Lease
            }
            Next::Start { set, solo } => {
                state.journal.write([Record::Started { set, solo, boot: state.boot }]);
                Next::Started(set)
            }
            Next::Started(set) => {
                state.journal.sync();
                Next::Work(set)
            }
            Next::Settle { done, rest } => {
                state.journal.write([Record::Settled(done)]);
                Next::Settled(rest)
            }
            Next::Settled(rest) => {
                state.journal.sync();
                if rest == 0 { Next::Lease } else { Next::Work(rest) }
            }
            Next::Lease | Next::Work(_) => unreachable!("no durable step"),
        });
    }

    /// What the end of the last run says about messages, as records that are not written yet.
    fn judgement(&self, state: &State) -> Vec<Record> {
        let mut records = Vec::new();
        let died = self.died(state);
        for message in MESSAGES.filter(|message| contains(unsettled(state), *message)) {
            let fresh = contains(died, message);
            if fresh {
                records.push(Record::Died(message));
            }
            if state.journal.count(Record::Died(message)) + usize::from(fresh) >= DEATHS_TO_POISON {
                records.push(Record::Dead(message));
            }
        }
        records
    }

    /// Whom the last start killed, unless a record says so already.
    fn died(&self, state: &State) -> Set {
        let mut open = 0;
        for record in state.journal.records() {
            match record {
                Record::Started { set, solo, boot } => {
                    let counts = (solo || self.has(Defect::CountsDeathInCompany))
                        && (boot == state.boot || self.has(Defect::CountsAcrossBoots));
                    let before = if self.has(Defect::CountsOneDeathTwice) { open } else { 0 };
                    open = if counts { before | set } else { before };
                }
                Record::Died(_) if self.has(Defect::CountsOneDeathTwice) => {}
                Record::Died(message) | Record::Settled(message) | Record::Dead(message) => open &= !just(message),
            }
        }
        open
    }

    fn other(&self, state: &mut State, other: Other) {
        match other {
            Other::Boot => (state.daemon, state.is_calm) = (Some(Next::Recover), false),
            Other::Calm => state.is_calm = true,
            Other::Lease { set, .. } if self.has(Defect::WorksWithoutStarted) => state.daemon = Some(Next::Work(set)),
            Other::Lease { set, solo } => state.daemon = Some(Next::Start { set, solo }),
            Other::Finish(done) => {
                if let Some(Next::Work(set)) = state.daemon {
                    state.daemon = Some(Next::Settle { done, rest: set & !just(done) });
                }
            }
            Other::Die => state.daemon = None,
            Other::Kill => {
                state.kills -= 1;
                state.daemon = None;
            }
            Other::PowerCut { records } => {
                state.power_cuts -= 1;
                state.boot += 1;
                state.daemon = None;
                state.journal.power_cut(records);
            }
        }
    }
}
