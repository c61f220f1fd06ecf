//! One message into one output folder, once, beside a consumer that takes and deletes (I2, I4).
//!
//! **Bounds.** One message of two files. In one run of the model: two kills of the process; one power cut, which takes
//! the unsynced part of both disks; twice the output is away, unmounted or replaced by one with another marker.
//!
//! **Disks.** The output's file system keeps renames in order (ext4, xfs, btrfs): a power cut takes its folder back to
//! how it was at any moment since the last folder sync, the consumer's own deletions among them. A file whose content
//! was not synced may then be there with other bytes. The journal loses any unsynced record.
//!
//! **The consumer** takes the set the moment it sees the control file, deleting the control file first.
//!
//! **The marker** is read together with the names beside it: in the model, reading the marker and touching the folder
//! is one event. The code reads the marker again after it has looked.
//!
//! **Not here**: names taken by others (held); file systems without ordered renames (held when both names are gone);
//! several outputs (each has its own state); what a root with another marker holds, since nothing of it is touched;
//! failed syncs. A failed sync in staging begins staging anew; a folder sync that fails after a rename leaves a name
//! that nothing can prove later, and the payload kept for its retention is what remains against it.

use meshd::domain::step::Step;
use stateright::Property;

use crate::check::{Checked, Event, Protocol};
use crate::medium::{Journal, Medium};

const DATA: usize = 0;
const CONTROL: usize = 1;
const FILES: [usize; 2] = [DATA, CONTROL];

/// The protocol, right or with one deliberate mistake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publish {
    pub(crate) defect: Option<Defect>,
}

/// Mistakes that must be caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// An output that is away looks like one whose consumer took everything.
    SettlesOnMissingMount,
    /// The intent is journalled after the renames.
    RenamesBeforeStagedRecord,
    /// The control file is renamed first.
    ControlBeforeData,
    /// "Is the file there?" decides whether to publish, not the journal.
    LooksInsteadOfReading,
    /// Renamed without syncing what the files hold.
    RenamesUnsyncedContent,
    /// Settled while a power cut could still undo the renames.
    SettlesBeforeFolderSync,
}

/// What the journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Record {
    Staged,
    /// Published and settled: the disposition.
    Settled,
}

/// Where the name of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Nowhere,
    Staging,
    Output,
}

type Names = [Place; 2];

/// What stands where the output root should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mount {
    /// Our root, with our marker.
    Ours,
    /// An empty folder, or another root with another marker: either way ours is away.
    Away,
}

/// What the daemon is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Next {
    /// Reads the journal, and syncs it before believing it.
    Recover,
    Sweep,
    Write(usize),
    Sync(usize),
    SyncStaging,
    WriteStaged,
    SyncStaged,
    Rename(usize),
    SyncFolder(usize),
    WriteSettled,
    SyncSettled,
    Rest,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    journal: Journal<Record>,
    content: [Medium; 2],
    /// The names as they were since the last folder sync, oldest first; the last is now.
    names: Vec<Names>,
    mount: Mount,
    daemon: Option<Next>,
    taken: u8,
    taken_broken: bool,
    /// The consumer has the set, and is about to delete the data file.
    deleting: bool,
    kills: u8,
    power_cuts: u8,
    absences: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Start,
    Decide,
    /// The consumer takes what it sees, and deletes the control file.
    Take,
    /// The consumer deletes the data file.
    Delete,
    Kill,
    PowerCut {
        names: usize,
        records: usize,
        content: bool,
    },
    GoAway,
    ComeBack,
}

impl Protocol for Publish {
    type State = State;
    type Other = Other;
    const NAME: &'static str = "publish";

    fn start(&self) -> State {
        State {
            journal: Journal::EMPTY,
            content: [Medium::Absent; 2],
            names: vec![[Place::Nowhere; 2]],
            mount: Mount::Ours,
            daemon: None,
            taken: 0,
            taken_broken: false,
            deleting: false,
            kills: 2,
            power_cuts: 1,
            absences: 2,
        }
    }

    fn progress(&self, state: &State, events: &mut Vec<Event<Other>>) {
        if state.mount == Mount::Away {
            events.push(Event::Other(Other::ComeBack));
        } else if state.now()[CONTROL] == Place::Output {
            events.push(Event::Other(Other::Take));
        } else if state.deleting {
            events.push(Event::Other(Other::Delete));
        }
        let Some(next) = state.daemon else {
            events.push(Event::Other(Other::Start));
            return;
        };
        let ours = state.mount == Mount::Ours;
        let event = match next {
            Next::Recover | Next::SyncStaged | Next::SyncSettled => Event::Does(Step::JournalSync, 0),
            Next::WriteStaged | Next::WriteSettled => Event::Does(Step::JournalWrite, 0),
            Next::Rest => return,
            Next::Rename(_) if !ours && self.has(Defect::SettlesOnMissingMount) => Event::Other(Other::Decide),
            _ if !ours => return,
            Next::Sweep => Event::Does(Step::StageSweep, 0),
            Next::Write(file) => Event::Does(Step::StageWrite, file),
            Next::Sync(file) => Event::Does(Step::StageSync, file),
            Next::SyncStaging => Event::Does(Step::StageFolderSync, 0),
            Next::Rename(file) if state.now()[file] != Place::Staging => Event::Other(Other::Decide),
            Next::Rename(DATA) => Event::Does(Step::PublishData, DATA),
            Next::Rename(file) => Event::Does(Step::PublishControl, file),
            Next::SyncFolder(DATA) => Event::Does(Step::PublishDataSync, DATA),
            Next::SyncFolder(file) => Event::Does(Step::PublishControlSync, file),
        };
        events.push(event);
    }

    fn harm(&self, state: &State, events: &mut Vec<Event<Other>>) {
        if state.kills > 0 && state.daemon.is_some() {
            events.push(Event::Other(Other::Kill));
        }
        if state.power_cuts > 0 {
            for names in 0..state.names.len() {
                for records in state.journal.prefixes() {
                    for content in [false, true] {
                        events.push(Event::Other(Other::PowerCut { names, records, content }));
                    }
                }
            }
        }
        if state.absences > 0 && state.mount == Mount::Ours {
            events.push(Event::Other(Other::GoAway));
        }
    }

    fn after(&self, state: &State, event: Event<Other>) -> State {
        let mut next = state.clone();
        match event {
            Event::Does(_, file) => self.step(&mut next, file),
            Event::Other(other) => self.other(&mut next, other),
        }
        next
    }

    fn claims() -> Vec<Property<Checked<Self>>> {
        vec![
            Property::always("I2: taken once, and once more at most if the output lost power", |_, state: &State| {
                state.taken <= if state.power_cuts == 0 { 2 } else { 1 }
            }),
            Property::always("I2: what is taken is whole", |_, state: &State| !state.taken_broken),
            Property::always("I4: one disposition", |_, state: &State| state.journal.count(Record::Settled) <= 1),
            Property::always("I4: settled means published for good", |_, state: &State| {
                let may_vanish = state.names.iter().any(|names| *names != [Place::Output; 2]);
                !state.journal.is_durable(Record::Settled) || state.taken > 0 || !may_vanish
            }),
            Property::always("at rest the set is taken and settled", |model, state: &State| {
                !model.is_at_rest(state) || (state.taken > 0 && state.journal.is_durable(Record::Settled))
            }),
            Property::sometimes("a power cut of the output brings a second copy", |_, state: &State| state.taken == 2),
        ]
    }
}

impl State {
    fn now(&self) -> Names {
        *self.names.last().expect("the list of names is never empty")
    }

    fn put(&mut self, file: usize, place: Place) {
        let mut names = self.now();
        names[file] = place;
        self.names.push(names);
    }

    fn sync_folder(&mut self) {
        self.names = vec![self.now()];
    }
}

impl Publish {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn first(&self) -> usize {
        if self.has(Defect::ControlBeforeData) { CONTROL } else { DATA }
    }

    fn step(&self, state: &mut State, file: usize) {
        let Some(next) = state.daemon else { unreachable!("only a running daemon takes steps") };
        let done = match next {
            Next::Recover => {
                state.journal.sync();
                self.resume(state)
            }
            Next::Sweep => {
                for file in FILES {
                    if state.now()[file] == Place::Staging {
                        state.put(file, Place::Nowhere);
                    }
                }
                if state.journal.has(Record::Settled) { Next::Rest } else { Next::Write(DATA) }
            }
            Next::Write(_) => {
                state.put(file, Place::Staging);
                state.content[file] = Medium::Cached;
                if file == DATA { Next::Write(CONTROL) } else { Next::Sync(DATA) }
            }
            Next::Sync(_) => {
                if !self.has(Defect::RenamesUnsyncedContent) {
                    state.content[file] = state.content[file].synced();
                }
                if file == DATA { Next::Sync(CONTROL) } else { Next::SyncStaging }
            }
            Next::SyncStaging => {
                state.sync_folder();
                let early = self.has(Defect::RenamesBeforeStagedRecord);
                if early { Next::Rename(self.first()) } else { Next::WriteStaged }
            }
            Next::WriteStaged => {
                state.journal.write([Record::Staged]);
                Next::SyncStaged
            }
            Next::SyncStaged => {
                state.journal.sync();
                let early = self.has(Defect::RenamesBeforeStagedRecord);
                if early { Next::WriteSettled } else { Next::Rename(self.first()) }
            }
            Next::Rename(_) => {
                state.put(file, Place::Output);
                self.renamed(file)
            }
            Next::SyncFolder(_) => {
                state.sync_folder();
                self.synced(file)
            }
            Next::WriteSettled => {
                state.journal.write([Record::Settled]);
                Next::SyncSettled
            }
            Next::SyncSettled => {
                state.journal.sync();
                Next::Rest
            }
            Next::Rest => unreachable!("no step at rest"),
        };
        state.daemon = Some(done);
    }

    fn renamed(&self, file: usize) -> Next {
        if self.has(Defect::SettlesBeforeFolderSync) { self.synced(file) } else { Next::SyncFolder(file) }
    }

    fn synced(&self, file: usize) -> Next {
        match (file == self.first(), self.has(Defect::RenamesBeforeStagedRecord)) {
            (true, _) => Next::Rename(1 - file),
            (false, true) => Next::WriteStaged,
            (false, false) => Next::WriteSettled,
        }
    }

    /// What the journal says is left to do.
    fn resume(&self, state: &State) -> Next {
        let is_staged = state.journal.has(Record::Staged);
        if state.journal.has(Record::Settled) {
            return Next::Sweep;
        }
        if is_staged && self.has(Defect::RenamesBeforeStagedRecord) {
            return Next::WriteSettled;
        }
        if is_staged && !(self.has(Defect::LooksInsteadOfReading) && is_gone(state)) {
            return Next::Rename(self.first());
        }
        Next::Sweep
    }

    fn other(&self, state: &mut State, other: Other) {
        match other {
            Other::Start => state.daemon = Some(Next::Recover),
            // The name is not in staging, though the journal says it was: it is in the output, or the consumer has it.
            Other::Decide => {
                if let Some(Next::Rename(file)) = state.daemon {
                    let away = state.mount == Mount::Away;
                    state.daemon = Some(if away { self.synced(file) } else { self.renamed(file) });
                }
            }
            Other::Take => {
                state.taken += 1;
                let is_whole = |file: usize| state.now()[file] == Place::Output && state.content[file].is_readable();
                state.taken_broken |= !FILES.into_iter().all(is_whole);
                state.put(CONTROL, Place::Nowhere);
                state.deleting = true;
            }
            Other::Delete => {
                state.put(DATA, Place::Nowhere);
                state.deleting = false;
            }
            Other::Kill => {
                state.kills -= 1;
                state.daemon = None;
            }
            Other::PowerCut { names, records, content } => {
                state.power_cuts -= 1;
                state.daemon = None;
                state.journal.power_cut(records);
                state.names = vec![state.names[names]];
                state.deleting = false;
                state.content = state.content.map(|medium| medium.power_cut(content));
            }
            Other::GoAway => {
                state.absences -= 1;
                state.mount = Mount::Away;
            }
            Other::ComeBack => state.mount = Mount::Ours,
        }
    }
}

/// Neither name is in the output.
fn is_gone(state: &State) -> bool {
    FILES.into_iter().all(|file| state.now()[file] == Place::Nowhere)
}
