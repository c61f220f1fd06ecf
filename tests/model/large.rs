//! Large messages: chunk by chunk into a directory of their own, then one record (I1).
//!
//! **Bounds.** One message of two chunks. In one run of the model: three crashes, each a kill of the process or a power
//! cut; one failed sync of a chunk, a sidecar or the journal.
//!
//! **Disks.** Before its sync, a chunk or a sidecar may be lost by a power cut, each by itself; so may the rename of
//! the directory. [`Step::SidecarSync`] stands for file and directory, [`Step::PartSync`] for the folder above.
//!
//! **Recovery**, as modelled: the last commit of the journal is written again. A chunk with a sidecar is whole and is
//! not fetched again, but a process that did not write its sidecar writes the same sidecar again and syncs it before
//! building on it: the one that wrote it may have died before its sync, or of its failing. A directory that already
//! has its final name is synced for the same reason.
//!
//! **Not here**: a failed [`Step::PartSync`], since a name cannot be written again (recovery takes up what a record
//! names under either name); the index (see the model `receive`); pieces of a chunk, since a chunk without a sidecar
//! is fetched again whole.

use meshd::domain::step::Step;
use stateright::Property;

use crate::check::{Checked, Event, Protocol};
use crate::medium::{Journal, Medium};

const CHUNKS: [usize; 2] = [0, 1];

/// The protocol, right or with one deliberate mistake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Large {
    pub(crate) defect: Option<Defect>,
}

/// Mistakes that must be caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// The sidecar says "whole" of a chunk that is still in the page cache.
    SidecarBeforeChunkSync,
    /// What a dead process left is taken as durable.
    TrustsPageCache,
    /// What a dead process left is synced, and then taken as durable.
    TrustsSyncAfterRestart,
    /// A directory that has its final name is taken as synced.
    AdoptsWithoutSync,
    /// The record is written before the directory has its name for good.
    RecordsUnsyncedName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Accepted;

/// The directory of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Directory {
    Missing,
    Part,
    /// Renamed; a power cut may take it back.
    Renamed,
    Named,
}

/// What the daemon is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Next {
    /// Reads the journal, and syncs it before believing it.
    Recover,
    Fetch,
    ChunkWrite(usize),
    ChunkSync(usize),
    SidecarWrite(usize),
    SidecarSync(usize),
    PartRename,
    PartSync,
    JournalWrite,
    JournalSync,
    Acknowledge,
    Rest,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    offered: bool,
    chunks: [Medium; 2],
    sidecars: [Medium; 2],
    directory: Directory,
    journal: Journal<Accepted>,
    daemon: Option<Next>,
    crashes: u8,
    failed_syncs: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Start,
    /// Looks at what is there and decides what is missing.
    Look,
    FailSync,
    Kill,
    PowerCut {
        chunks: [bool; 2],
        sidecars: [bool; 2],
        rename: bool,
        records: usize,
    },
}

impl Protocol for Large {
    type State = State;
    type Other = Other;
    const NAME: &'static str = "large";

    fn start(&self) -> State {
        State {
            offered: true,
            chunks: [Medium::Absent; 2],
            sidecars: [Medium::Absent; 2],
            directory: Directory::Missing,
            journal: Journal::EMPTY,
            daemon: None,
            crashes: 3,
            failed_syncs: 1,
        }
    }

    fn progress(&self, state: &State, events: &mut Vec<Event<Other>>) {
        let Some(next) = state.daemon else {
            events.push(Event::Other(Other::Start));
            return;
        };
        let (step, chunk) = match next {
            Next::Fetch => {
                events.push(Event::Other(Other::Look));
                return;
            }
            Next::Rest => return,
            Next::Recover | Next::JournalSync => (Step::JournalSync, 0),
            Next::ChunkWrite(_) if state.directory == Directory::Missing => (Step::PartCreate, 0),
            Next::ChunkWrite(chunk) => (Step::ChunkWrite, chunk),
            Next::ChunkSync(chunk) => (Step::ChunkSync, chunk),
            Next::SidecarWrite(chunk) => (Step::SidecarWrite, chunk),
            Next::SidecarSync(chunk) => (Step::SidecarSync, chunk),
            Next::PartRename => (Step::PartRename, 0),
            Next::PartSync => (Step::PartSync, 0),
            Next::JournalWrite => (Step::JournalWrite, 0),
            Next::Acknowledge => (Step::Acknowledge, 0),
        };
        events.push(Event::Does(step, chunk));
    }

    fn harm(&self, state: &State, events: &mut Vec<Event<Other>>) {
        let syncs =
            matches!(state.daemon, Some(Next::Recover | Next::ChunkSync(_) | Next::SidecarSync(_) | Next::JournalSync));
        if syncs && state.failed_syncs > 0 {
            events.push(Event::Other(Other::FailSync));
        }
        if state.crashes == 0 {
            return;
        }
        if state.daemon.is_some() {
            events.push(Event::Other(Other::Kill));
        }
        let fate = |is_open: bool| if is_open { &[false, true][..] } else { &[false] };
        let of = |medium: Medium| fate(medium == Medium::Cached);
        for records in state.journal.prefixes() {
            for &rename in fate(state.directory == Directory::Renamed) {
                for (&first, &second) in pairs(of(state.chunks[0]), of(state.chunks[1])) {
                    for (&third, &fourth) in pairs(of(state.sidecars[0]), of(state.sidecars[1])) {
                        let (chunks, sidecars) = ([first, second], [third, fourth]);
                        events.push(Event::Other(Other::PowerCut { chunks, sidecars, rename, records }));
                    }
                }
            }
        }
    }

    fn after(&self, state: &State, event: Event<Other>) -> State {
        let mut next = state.clone();
        match event {
            Event::Does(step, chunk) => self.step(&mut next, step, chunk),
            Event::Other(other) => self.other(&mut next, other),
        }
        next
    }

    fn claims() -> Vec<Property<Checked<Self>>> {
        vec![
            Property::always("I1: acknowledged means kept", |_, state: &State| state.offered || is_kept(state)),
            Property::always("at rest the message is kept and acknowledged", |model, state: &State| {
                !model.is_at_rest(state) || (!state.offered && is_kept(state))
            }),
            Property::sometimes("a crash between chunks keeps the first", |_, state: &State| {
                state.crashes < 3 && state.daemon == Some(Next::ChunkWrite(1)) && state.chunks[0] == Medium::Durable
            }),
        ]
    }
}

fn pairs<'a>(first: &'a [bool], second: &'a [bool]) -> impl Iterator<Item = (&'a bool, &'a bool)> {
    first.iter().flat_map(move |one| second.iter().map(move |other| (one, other)))
}

/// The worst power cut would leave every byte, under the name that the record stands for, and the record.
fn is_kept(state: &State) -> bool {
    state.chunks.iter().chain(&state.sidecars).all(|medium| *medium == Medium::Durable)
        && state.directory == Directory::Named
        && state.journal.is_durable(Accepted)
}

impl Large {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn step(&self, state: &mut State, step: Step, chunk: usize) {
        let Some(next) = &mut state.daemon else { unreachable!("only a running daemon takes steps") };
        if step == Step::PartCreate {
            state.directory = Directory::Part;
            return;
        }
        *next = match *next {
            Next::Recover => {
                if !self.has(Defect::TrustsSyncAfterRestart) {
                    state.journal.write_last_commit_again();
                }
                state.journal.sync();
                Next::Fetch
            }
            Next::ChunkWrite(_) => {
                state.chunks[chunk] = Medium::Cached;
                if self.has(Defect::SidecarBeforeChunkSync) {
                    Next::SidecarWrite(chunk)
                } else {
                    Next::ChunkSync(chunk)
                }
            }
            Next::ChunkSync(_) => {
                state.chunks[chunk] = state.chunks[chunk].synced();
                if self.has(Defect::SidecarBeforeChunkSync) { Next::Fetch } else { Next::SidecarWrite(chunk) }
            }
            Next::SidecarWrite(_) => {
                state.sidecars[chunk] = Medium::Cached;
                Next::SidecarSync(chunk)
            }
            Next::SidecarSync(_) => {
                state.sidecars[chunk] = state.sidecars[chunk].synced();
                let is_open = self.has(Defect::SidecarBeforeChunkSync) && state.chunks[chunk] == Medium::Cached;
                if is_open { Next::ChunkSync(chunk) } else { Next::Fetch }
            }
            Next::PartRename => {
                state.directory = Directory::Renamed;
                if self.has(Defect::RecordsUnsyncedName) { Next::JournalWrite } else { Next::PartSync }
            }
            Next::PartSync => {
                state.directory = Directory::Named;
                Next::JournalWrite
            }
            Next::JournalWrite => {
                state.journal.write([Accepted]);
                Next::JournalSync
            }
            Next::JournalSync => {
                state.journal.sync();
                Next::Acknowledge
            }
            Next::Acknowledge => {
                state.offered = false;
                Next::Rest
            }
            Next::Fetch | Next::Rest => unreachable!("no durable step"),
        };
    }

    fn other(&self, state: &mut State, other: Other) {
        match other {
            Other::Start => state.daemon = Some(Next::Recover),
            Other::Look => state.daemon = Some(self.look(state)),
            Other::FailSync => {
                state.failed_syncs -= 1;
                let halted = state.daemon.take();
                if let Some(Next::ChunkSync(chunk)) = halted {
                    state.chunks[chunk] = state.chunks[chunk].sync_failed();
                } else if let Some(Next::SidecarSync(chunk)) = halted {
                    state.sidecars[chunk] = state.sidecars[chunk].sync_failed();
                } else {
                    state.journal.fail_sync();
                }
            }
            Other::Kill => crash(state),
            Other::PowerCut { chunks, sidecars, rename, records } => {
                crash(state);
                state.journal.power_cut(records);
                if state.directory == Directory::Renamed {
                    state.directory = if rename { Directory::Named } else { Directory::Part };
                }
                for chunk in CHUNKS {
                    state.chunks[chunk] = state.chunks[chunk].power_cut(chunks[chunk]);
                    state.sidecars[chunk] = state.sidecars[chunk].power_cut(sidecars[chunk]);
                }
            }
        }
    }

    /// What is missing, first things first.
    fn look(&self, state: &State) -> Next {
        if state.journal.has(Accepted) {
            return if state.offered { Next::Acknowledge } else { Next::Rest };
        }
        for chunk in CHUNKS {
            match state.sidecars[chunk] {
                Medium::Absent => return Next::ChunkWrite(chunk),
                Medium::Cached if self.has(Defect::TrustsSyncAfterRestart) => return Next::SidecarSync(chunk),
                Medium::Ghost if self.has(Defect::TrustsSyncAfterRestart) => {}
                Medium::Cached | Medium::Ghost if self.has(Defect::TrustsPageCache) => {}
                // The daemon writes again whatever it finds; where that changes nothing the model skips it.
                Medium::Cached | Medium::Ghost => return Next::SidecarWrite(chunk),
                Medium::Durable => {}
            }
        }
        match state.directory {
            Directory::Missing | Directory::Part => Next::PartRename,
            Directory::Renamed | Directory::Named if self.has(Defect::AdoptsWithoutSync) => Next::JournalWrite,
            Directory::Renamed | Directory::Named => Next::PartSync,
        }
    }
}

fn crash(state: &mut State) {
    state.crashes -= 1;
    state.daemon = None;
}
