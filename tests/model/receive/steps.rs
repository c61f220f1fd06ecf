//! What each event of the model does to its state.

use meshd::domain::step::Step;

use super::{
    Daemon, Defect, Fact, Hand, Happening, Index, MESSAGES, Other, Phase, Receive, Record, State, acknowledge,
};
use crate::check::Event;
use crate::medium::{Journal, Medium};

impl Receive {
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// All three syncs went well.
    pub(super) fn may_answer(&self, volume: bool, journal: bool, index: bool) -> bool {
        let volume = volume || self.has(Defect::AcknowledgesBeforeAnySync) || self.has(Defect::AnswersBeforeVolumeSync);
        let journal =
            journal || self.has(Defect::AcknowledgesBeforeAnySync) || self.has(Defect::AnswersBeforeJournalSync);
        let index = index || self.has(Defect::AcknowledgesBeforeAnySync);
        volume && journal && index
    }

    /// The committer waits: receivers list, fetch and acknowledge, and the next commit may begin.
    pub(super) fn work(&self, state: &State, daemon: &Daemon, group_step: Step, events: &mut Vec<Happening>) {
        let idle = |message: &usize| state.offered[*message] && daemon.hands[*message] == Hand::Empty;
        events.extend(MESSAGES.into_iter().filter(idle).map(|message| Event::Other(Other::ListAndFetch(message))));
        acknowledge(daemon, events);
        if daemon.hands.contains(&Hand::Fetched { again: false }) {
            events.push(Event::Does(group_step, 0));
        } else if daemon.hands.iter().any(|hand| matches!(hand, Hand::Fetched { again: true } | Hand::Told)) {
            events.push(Event::Does(Step::JournalWrite, 0));
        }
    }

    pub(super) fn step(&self, state: &mut State, step: Step, message: usize) {
        let Some(daemon) = &mut state.daemon else { unreachable!("only a running daemon takes steps") };
        if step == Step::Acknowledge {
            daemon.hands[message] = Hand::Told;
            state.offered[message] = false;
            state.heard[message] = true;
            return;
        }
        if step == Step::VolumeCreate {
            daemon.has_volume = true;
            return;
        }
        daemon.phase = match (daemon.phase, step) {
            (Phase::Cutting, _) => {
                let whole = whole(&state.groups, &state.journal);
                state.journal.cut(whole);
                Phase::SegmentWanted
            }
            (Phase::SegmentWanted, _) => {
                if state.journal.length() == 0 || self.has(Defect::TrustsPageCache) {
                    self.open_index(daemon, state.index, state.journal.length())
                } else if self.has(Defect::TrustsSyncAfterRestart) {
                    Phase::VolumeSyncing
                } else {
                    Phase::GroupsAgain
                }
            }
            (Phase::GroupsAgain, _) => {
                for record in state.journal.last_commit() {
                    if let Record::Accepted(message) = record {
                        state.groups[message] = state.groups[message].written_again();
                    }
                }
                Phase::VolumeSyncing
            }
            (Phase::VolumeSyncing, _) => {
                state.groups = state.groups.map(Medium::synced);
                let rewrites = !self.has(Defect::TrustsSyncAfterRestart);
                if rewrites { Phase::RecordsAgain } else { Phase::JournalSyncing }
            }
            (Phase::RecordsAgain, _) => {
                state.journal.write_last_commit_again();
                Phase::JournalSyncing
            }
            (Phase::JournalSyncing, _) => {
                state.journal.sync();
                self.open_index(daemon, state.index, state.journal.length())
            }
            (Phase::IndexDiscarding, _) => {
                state.index = Some(Index::EMPTY);
                Phase::IndexApplying
            }
            (Phase::IndexApplying, _) => {
                daemon.index.apply(&state.journal);
                Phase::IndexSyncing
            }
            (Phase::IndexSyncing, _) => {
                state.index = Some(daemon.index);
                Phase::Idle
            }
            (Phase::Idle, Step::GroupWrite) => {
                for message in MESSAGES {
                    if daemon.hands[message] == (Hand::Fetched { again: false }) {
                        state.groups[message] = Medium::Cached;
                    }
                }
                Phase::GroupWritten
            }
            (Phase::Idle | Phase::GroupWritten, _) => {
                write_records(daemon, &mut state.journal);
                Phase::JournalWritten
            }
            (Phase::JournalWritten, _) => {
                daemon.index.apply(&state.journal);
                let has_group = state.groups.contains(&Medium::Cached);
                Phase::Syncing { volume: !has_group, journal: false, index: false }
            }
            (Phase::Syncing { journal, index, .. }, Step::VolumeSync) => {
                state.groups = state.groups.map(Medium::synced);
                Phase::Syncing { volume: true, journal, index }
            }
            (Phase::Syncing { volume, index, .. }, Step::JournalSync) => {
                state.journal.sync();
                Phase::Syncing { volume, journal: true, index }
            }
            (Phase::Syncing { volume, journal, .. }, _) => {
                state.index = Some(daemon.index);
                Phase::Syncing { volume, journal, index: true }
            }
        };
    }

    /// An index that is lost, or ahead of the journal, is not used.
    fn open_index(&self, daemon: &mut Daemon, found: Option<Index>, journal_length: usize) -> Phase {
        let is_of_journal =
            |index: &Index| self.has(Defect::TrustsIndexOverJournal) || index.sequence <= journal_length;
        let Some(index) = found.filter(is_of_journal) else { return Phase::IndexDiscarding };
        daemon.index = index;
        Phase::IndexApplying
    }

    pub(super) fn other(&self, state: &mut State, other: Other) {
        match other {
            Other::Start => {
                let cuts = whole(&state.groups, &state.journal) < state.journal.length()
                    && !self.has(Defect::KeepsRecordWithoutBytes);
                let phase = if cuts { Phase::Cutting } else { Phase::SegmentWanted };
                let hands = [Hand::Empty; 2];
                state.daemon = Some(Daemon { phase, hands, index: Index::EMPTY, has_volume: false });
            }
            Other::ListAndFetch(message) => {
                let Some(daemon) = &mut state.daemon else { unreachable!("only a running daemon lists") };
                daemon.hands[message] = match daemon.index.facts[message] {
                    Fact::New => Hand::Fetched { again: false },
                    Fact::Kept => Hand::Proven,
                    Fact::Acknowledged => Hand::Fetched { again: true },
                };
            }
            Other::Answer => {
                let Some(daemon) = &mut state.daemon else { unreachable!("only a running daemon answers") };
                daemon.phase = Phase::Idle;
                for hand in &mut daemon.hands {
                    *hand = match *hand {
                        Hand::Committing => Hand::Proven,
                        Hand::TellingCommitted => Hand::Empty,
                        Hand::Empty | Hand::Fetched { .. } | Hand::Proven | Hand::Told => *hand,
                    };
                }
            }
            Other::FailSync(step) => {
                state.failed_syncs -= 1;
                if step == Step::VolumeSync {
                    state.groups = state.groups.map(Medium::sync_failed);
                } else {
                    state.journal.fail_sync();
                }
                if !self.has(Defect::RetriesFailedSync) {
                    state.daemon = None;
                }
            }
            Other::Kill { index_reached_disk } => crash(state, index_reached_disk),
            Other::PowerCut { groups, records, index_reached_disk } => {
                crash(state, index_reached_disk);
                state.journal.power_cut(records);
                for message in MESSAGES {
                    state.groups[message] = state.groups[message].power_cut(groups[message]);
                }
            }
            Other::LoseIndex => {
                state.index = None;
                state.index_losses -= 1;
            }
            Other::PresentAgain(message) => {
                state.offered[message] = true;
                state.presentations -= 1;
            }
        }
    }
}

/// How many records there are before the first whose bytes are not there.
fn whole(groups: &[Medium; 2], journal: &Journal<Record>) -> usize {
    let lost = |record| matches!(record, Record::Accepted(message) if !groups[message].is_readable());
    journal.records().position(lost).unwrap_or(journal.length())
}

/// The committer takes all that waits.
fn write_records(daemon: &mut Daemon, journal: &mut Journal<Record>) {
    let mut records = Vec::new();
    for message in MESSAGES {
        daemon.hands[message] = match daemon.hands[message] {
            Hand::Fetched { again } => {
                records.push(if again { Record::Noted(message) } else { Record::Accepted(message) });
                Hand::Committing
            }
            Hand::Told => {
                records.push(Record::Acknowledged(message));
                Hand::TellingCommitted
            }
            busy @ (Hand::Empty | Hand::Committing | Hand::Proven | Hand::TellingCommitted) => busy,
        };
    }
    journal.write(records);
}

fn crash(state: &mut State, index_reached_disk: bool) {
    state.crashes -= 1;
    if let Some(daemon) = state.daemon.take()
        && index_reached_disk
    {
        state.index = Some(daemon.index);
    }
}
