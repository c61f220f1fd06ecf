//! A delivery that asks, parks and resumes when the answer comes, even one that came first (I2, I4).
//!
//! **Bounds.** One delivery; two answers with its correlation (the second is a repetition), either of which may come
//! at any time: never, late, or before the delivery has asked, as after a send that an earlier life made. In one run
//! of the model: two crashes, each a kill of the process or a power cut, which leaves any prefix of the unsynced
//! journal.
//!
//! **Time.** The deadline of a park passes only while no answer has been accepted, and the day for which an unclaimed
//! answer is kept passes only once the delivery has ended: a wait shorter than the time it is allowed is the case
//! that must work.
//!
//! **What is written.** "Parked" and "send queued" are one record; so are "answer used" and "due again". All commands
//! that wait are committed together, and decided one after the other by the committer. At a start, kept answers are
//! offered to parks once more, because a torn commit may hold the park without its match.
//!
//! **Not here**: bytes, failed syncs and the index (see the model `receive`); the reserve that lets answers in when the
//! house is full; chunks of a send.

use meshd::domain::step::Step;
use stateright::Property;

use crate::check::{Checked, Event, Protocol};
use crate::medium::Journal;

const ANSWERS: [usize; 2] = [0, 1];
/// Commands in one commit.
const MOST_WAITING: usize = 2;

/// The protocol, right or with one deliberate mistake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Park {
    pub(crate) defect: Option<Defect>,
}

/// Mistakes that must be caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// An answer that nobody waits for is ordinary mail at once.
    ForgetsOvertaker,
    /// Kept answers are looked for by the worker, before its park is committed.
    LooksBeforeCommit,
    /// Kept answers are not offered again at a start.
    OffersOnlyOnce,
    /// The answer is settled in one commit, the delivery made due in the next.
    SettlesAnswerFirst,
    /// The send is made before its intent is durable.
    SendsBeforeIntent,
}

/// What the journal says. What it adds up to does not depend on the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Record {
    /// Parked, and a send queued.
    Asked,
    /// The send may have been made from here on.
    Sending,
    Sent,
    Accepted(usize),
    Kept(usize),
    /// Only with a defect: the answer's end without the delivery's beginning.
    Used(usize),
    /// The answer is used and the delivery due again.
    Resumed(usize),
    /// The answer is ordinary mail.
    Routed(usize),
    Delivered,
    Held,
}

/// What waits for the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Command {
    /// With the kept answer that the worker saw.
    Ask(Option<usize>),
    Send,
    Sent,
    Accept(usize),
    /// A worker has an answer in hand.
    Take(usize),
    /// Only with a defect.
    Resume(usize),
    DayPasses(usize),
    DeadlinePasses,
    Deliver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    /// Reads the journal, and syncs it before believing it.
    Recover,
    Offer,
    Gather,
    Written,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Daemon {
    phase: Phase,
    waiting: Vec<Command>,
    /// The intent is committed and this process has not sent yet.
    may_send: bool,
    has_sent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AtMesh {
    NotYet,
    Offered,
    Acknowledged,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    journal: Journal<Record>,
    answers: [AtMesh; 2],
    sends: u8,
    daemon: Option<Daemon>,
    crashes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Start,
    Submit(Command),
    Send,
    AnswerComes(usize),
    Kill,
    PowerCut { records: usize },
}

/// How far one answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Unknown,
    Accepted,
    Kept,
    Ended,
}

/// What the records add up to.
struct View {
    is_asked: bool,
    is_resumed: bool,
    is_ended: bool,
    is_sending: bool,
    is_sent: bool,
    answers: [Answer; 2],
}

impl View {
    fn of(journal: &Journal<Record>) -> Self {
        let mut view = Self {
            is_asked: false,
            is_resumed: false,
            is_ended: false,
            is_sending: false,
            is_sent: false,
            answers: [Answer::Unknown; 2],
        };
        for record in journal.records() {
            match record {
                Record::Asked => view.is_asked = true,
                Record::Sending => view.is_sending = true,
                Record::Sent => view.is_sent = true,
                Record::Accepted(answer) => view.answers[answer] = Answer::Accepted,
                Record::Kept(answer) => view.answers[answer] = Answer::Kept,
                Record::Used(answer) | Record::Routed(answer) => view.answers[answer] = Answer::Ended,
                Record::Resumed(answer) => {
                    view.answers[answer] = Answer::Ended;
                    view.is_resumed = true;
                }
                Record::Delivered | Record::Held => view.is_ended = true,
            }
        }
        view
    }

    fn is_parked(&self) -> bool {
        self.is_asked && !self.is_resumed && !self.is_ended
    }

    fn kept(&self) -> Option<usize> {
        ANSWERS.into_iter().find(|answer| self.answers[*answer] == Answer::Kept)
    }
}

impl Protocol for Park {
    type State = State;
    type Other = Other;
    const NAME: &'static str = "park";

    fn start(&self) -> State {
        State { journal: Journal::EMPTY, answers: [AtMesh::NotYet; 2], sends: 0, daemon: None, crashes: 2 }
    }

    fn progress(&self, state: &State, events: &mut Vec<Event<Other>>) {
        let Some(daemon) = &state.daemon else { return events.push(Event::Other(Other::Start)) };
        match daemon.phase {
            Phase::Recover | Phase::Written => events.push(Event::Does(Step::JournalSync, 0)),
            Phase::Offer => events.push(Event::Does(Step::JournalWrite, 0)),
            Phase::Gather => {
                let view = View::of(&state.journal);
                let commands = self.commands(state, daemon, &view);
                if daemon.waiting.len() < MOST_WAITING {
                    events.extend(commands.map(|command| Event::Other(Other::Submit(command))));
                }
                let proven = |answer: &usize| {
                    state.answers[*answer] == AtMesh::Offered && view.answers[*answer] != Answer::Unknown
                };
                events.extend(ANSWERS.into_iter().filter(proven).map(|answer| Event::Does(Step::Acknowledge, answer)));
                if daemon.may_send {
                    events.push(Event::Other(Other::Send));
                }
                if !daemon.waiting.is_empty() {
                    events.push(Event::Does(Step::JournalWrite, 0));
                }
            }
        }
    }

    fn harm(&self, state: &State, events: &mut Vec<Event<Other>>) {
        let to_come = |answer: &usize| state.answers[*answer] == AtMesh::NotYet;
        events.extend(ANSWERS.into_iter().find(to_come).map(|answer| Event::Other(Other::AnswerComes(answer))));
        if state.crashes > 0 {
            if state.daemon.is_some() {
                events.push(Event::Other(Other::Kill));
            }
            events.extend(state.journal.prefixes().map(|records| Event::Other(Other::PowerCut { records })));
        }
    }

    fn after(&self, state: &State, event: Event<Other>) -> State {
        let mut next = state.clone();
        match event {
            Event::Does(Step::Acknowledge, answer) => next.answers[answer] = AtMesh::Acknowledged,
            Event::Does(step, _) => self.step(&mut next, step),
            Event::Other(other) => self.other(&mut next, other),
        }
        next
    }

    fn claims() -> Vec<Property<Checked<Self>>> {
        vec![
            Property::always("what is parked resumes", |model, state: &State| {
                let view = View::of(&state.journal);
                let has_come = view.answers.iter().any(|answer| *answer != Answer::Unknown);
                !model.is_at_rest(state) || !view.is_parked() || !has_come
            }),
            Property::always("I4: never two dispositions", |_, state: &State| {
                let count = |record| state.journal.count(record);
                let ends = |answer| {
                    count(Record::Used(answer)) + count(Record::Resumed(answer)) + count(Record::Routed(answer))
                };
                count(Record::Delivered) + count(Record::Held) <= 1
                    && ANSWERS.into_iter().all(|answer| ends(answer) <= 1)
            }),
            Property::always("I1: an answer that was acknowledged is kept", |_, state: &State| {
                let is_kept = |answer| state.journal.is_durable(Record::Accepted(answer));
                ANSWERS.into_iter().all(|answer| state.answers[answer] != AtMesh::Acknowledged || is_kept(answer))
            }),
            Property::always("I2: sent at most once", |_, state: &State| state.sends <= 1),
            Property::always("at rest delivery and answers have their dispositions", |model, state: &State| {
                let view = View::of(&state.journal);
                let is_done =
                    |answer: usize| state.answers[answer] == AtMesh::NotYet || view.answers[answer] == Answer::Ended;
                !model.is_at_rest(state) || (view.is_ended && ANSWERS.into_iter().all(is_done))
            }),
            Property::sometimes("an answer overtakes its park", |_, state: &State| {
                state.sends == 0 && state.journal.has(Record::Resumed(0))
            }),
            Property::sometimes("a park ends by its deadline", |_, state: &State| state.journal.has(Record::Held)),
        ]
    }
}

impl Park {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// What workers, receiver, sender and clock may hand to the committer now.
    fn commands<'a>(&self, state: &State, daemon: &'a Daemon, view: &View) -> impl Iterator<Item = Command> + use<'a> {
        let mut commands = Vec::new();
        let is_new = |wanted: fn(&Command) -> bool| !daemon.waiting.iter().any(wanted);
        if !view.is_asked && is_new(|command| matches!(command, Command::Ask(_))) {
            commands.push(Command::Ask(view.kept()));
        }
        if view.is_asked && !view.is_sending && !daemon.has_sent {
            commands.push(Command::Send);
        }
        if daemon.has_sent && !view.is_sent {
            commands.push(Command::Sent);
        }
        for answer in ANSWERS {
            match view.answers[answer] {
                Answer::Unknown if state.answers[answer] == AtMesh::Offered => commands.push(Command::Accept(answer)),
                Answer::Accepted => commands.push(Command::Take(answer)),
                Answer::Kept if view.is_ended => commands.push(Command::DayPasses(answer)),
                Answer::Unknown | Answer::Kept | Answer::Ended => {}
            }
        }
        if view.is_parked() && view.answers == [Answer::Unknown; 2] {
            commands.push(Command::DeadlinePasses);
        }
        if view.is_resumed && !view.is_ended {
            commands.push(Command::Deliver);
        }
        commands.into_iter().filter(|command| !daemon.waiting.contains(command))
    }

    fn step(&self, state: &mut State, step: Step) {
        let Some(daemon) = &mut state.daemon else { unreachable!("only a running daemon takes steps") };
        if step == Step::JournalWrite {
            if daemon.phase == Phase::Offer {
                let kept = View::of(&state.journal).kept();
                state.journal.write(kept.map(Record::Resumed));
            } else {
                let mut decided = Vec::new();
                for command in &daemon.waiting {
                    let mut so_far = state.journal.clone();
                    so_far.write(decided.iter().copied());
                    decided.extend(self.decide(*command, &View::of(&so_far)));
                }
                state.journal.write(decided);
            }
            daemon.phase = Phase::Written;
            return;
        }
        state.journal.sync();
        state.journal.forget_order();
        let view = View::of(&state.journal);
        let offers = view.is_parked() && view.kept().is_some() && !self.has(Defect::OffersOnlyOnce);
        daemon.phase = if daemon.phase == Phase::Recover && offers { Phase::Offer } else { Phase::Gather };
        daemon.may_send |= daemon.waiting.contains(&Command::Send) && !daemon.has_sent;
        let half_done = std::mem::take(&mut daemon.waiting).into_iter().filter_map(|command| {
            let Command::Take(answer) = command else { return None };
            self.has(Defect::SettlesAnswerFirst).then_some(Command::Resume(answer))
        });
        daemon.waiting = half_done.collect();
    }

    /// The committer's word on one command, given everything before it.
    fn decide(&self, command: Command, view: &View) -> Vec<Record> {
        match command {
            Command::Ask(seen) => {
                let kept = if self.has(Defect::LooksBeforeCommit) { seen } else { view.kept() };
                std::iter::once(Record::Asked).chain(kept.map(Record::Resumed)).collect()
            }
            Command::Send => vec![Record::Sending],
            Command::Sent => vec![Record::Sent],
            Command::Accept(answer) => vec![Record::Accepted(answer)],
            Command::Take(answer) if view.is_parked() && self.has(Defect::SettlesAnswerFirst) => {
                vec![Record::Used(answer)]
            }
            Command::Take(answer) if view.is_parked() => vec![Record::Resumed(answer)],
            Command::Take(answer) if self.has(Defect::ForgetsOvertaker) => vec![Record::Routed(answer)],
            Command::Take(answer) => vec![Record::Kept(answer)],
            Command::Resume(answer) if view.is_parked() => vec![Record::Resumed(answer)],
            Command::Resume(_) => vec![],
            Command::DayPasses(answer) => vec![Record::Routed(answer)],
            Command::DeadlinePasses if view.answers == [Answer::Unknown; 2] => vec![Record::Held],
            Command::DeadlinePasses => vec![],
            Command::Deliver => vec![Record::Delivered],
        }
    }

    fn other(&self, state: &mut State, other: Other) {
        match other {
            Other::Start => {
                let phase = Phase::Recover;
                state.daemon = Some(Daemon { phase, waiting: vec![], may_send: false, has_sent: false });
            }
            Other::Submit(command) => {
                if let Some(daemon) = &mut state.daemon {
                    daemon.may_send |= command == Command::Send && self.has(Defect::SendsBeforeIntent);
                    daemon.waiting.push(command);
                }
            }
            Other::Send => {
                state.sends += 1;
                if let Some(daemon) = &mut state.daemon {
                    daemon.may_send = false;
                    daemon.has_sent = true;
                }
            }
            Other::AnswerComes(answer) => state.answers[answer] = AtMesh::Offered,
            Other::Kill => crash(state),
            Other::PowerCut { records } => {
                crash(state);
                state.journal.power_cut(records);
                state.journal.forget_order();
            }
        }
    }
}

fn crash(state: &mut State) {
    state.crashes -= 1;
    state.daemon = None;
}
