//! Every durable step, by name.
//!
//! Each call that writes, syncs, renames or removes says which [`Step`] it is.
//! The crash suite stops the process before and after each of them, the protocol model walks the same list,
//! and the crash table in the documentation is made from it.

use serde::{Deserialize, Serialize};

macro_rules! steps {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// One durable step. Its text form is what `MESHD_CRASH_AT` takes under the feature `crash-points`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Step {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Step {
            /// All steps, in the order a message meets them.
            pub const ALL: &'static [Step] = &[$(Step::$name,)+];

            /// The name in logs, crash tests and documents.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Step::$name => $text,)+
                }
            }

            /// What a crash here leaves, and what recovery does about it.
            pub fn after_a_crash(self) -> &'static str {
                match self {
                    $(Step::$name => concat!($($doc,)+),)+
                }
            }
        }
    };
}

steps! {
    /// State directories made. A crash leaves some missing: the next start makes the rest.
    StateDirectory = "state-directory",
    /// A new volume file. A crash leaves an empty volume: recovery removes it.
    VolumeCreate = "volume-create",
    /// A sealed group appended. A crash leaves a torn tail: its CRC is bad, no journal record names it, MESH still has the mail.
    GroupWrite = "group-write",
    /// A live group of a mostly dead volume copied to the open one. A crash leaves a copy that no record names: dead weight, and the group is moved again.
    GroupMove = "group-move",
    /// The volume synced. A crash before it may lose the group: nothing was acknowledged.
    VolumeSync = "volume-sync",
    /// The `.part` directory of a large message. A crash leaves it empty: the next fetch starts there.
    PartCreate = "part-create",
    /// A piece of a chunk written. A crash leaves a chunk without a sidecar: fetched again.
    ChunkWrite = "chunk-write",
    /// A chunk synced. A crash before its sidecar: fetched again.
    ChunkSync = "chunk-sync",
    /// The sidecar that says a chunk is whole. A crash after it resumes at the next chunk.
    SidecarWrite = "sidecar-write",
    /// The sidecar synced and visible in its directory.
    SidecarSync = "sidecar-sync",
    /// `.part` renamed when complete. A crash leaves a whole message no record names: fetched again, and replaced; or, if it was only sealed again, removed.
    PartRename = "part-rename",
    /// The rename made durable.
    PartSync = "part-sync",
    /// A new journal segment. A crash leaves an empty segment: recovery removes it.
    SegmentCreate = "segment-create",
    /// Records appended. A crash leaves a torn tail: cut at the first bad CRC, nothing was answered.
    JournalWrite = "journal-write",
    /// The journal synced. After it the records stand, and recovery applies them to the index.
    JournalSync = "journal-sync",
    /// The index batch. A crash loses it: applied again from the journal.
    IndexApply = "index-apply",
    /// The index flushed and synced. A crash may damage it: it is rebuilt.
    IndexSync = "index-sync",
    /// The acknowledge sent to MESH. A crash before its record repeats it, harmlessly.
    Acknowledge = "acknowledge",
    /// An output file written in staging. A crash leaves it there: removed at the next start, work done again.
    StageWrite = "stage-write",
    /// An output file synced in staging.
    StageSync = "stage-sync",
    /// The staging folder synced. A crash before `staged` is journalled: staging swept, work done again.
    StageFolderSync = "stage-folder-sync",
    /// The data file renamed to its place. A crash leaves the set half visible: recovery finishes it from the journal.
    PublishData = "publish-data",
    /// The data file's folder synced.
    PublishDataSync = "publish-data-sync",
    /// The control file renamed to its place: the consumer may take both now. A crash leaves the set published but not settled: recovery infers it.
    PublishControl = "publish-control",
    /// The control file's folder synced.
    PublishControlSync = "publish-control-sync",
    /// A report or a control file about a pair of `OUT` written in `TEMP`. A crash leaves it there: removed at the next start, made again.
    PairWrite = "pair-write",
    /// A report about a pair renamed into `IN`. A crash before the pair is put away finds it there; one that was taken is written again.
    PairReport = "pair-report",
    /// A file of a pair renamed to `SENT` or `FAILED`. A crash leaves the rest of it in `OUT`, which is put away at the next look.
    PairMove = "pair-move",
    /// A folder of pairs synced.
    PairSync = "pair-sync",
    /// The control file of a pair removed from `OUT`. A crash before its record: noted at the next look, which finds no pair.
    PairRemove = "pair-remove",
    /// A stale file in staging removed.
    StageSweep = "stage-sweep",
    /// An output root's marker written.
    MarkerWrite = "marker-write",
    /// A status file written and put in the place of the one before. A crash leaves that one: written again.
    StatusFile = "status-file",
    /// A torn journal tail cut, or the last volume written anew, at recovery. A crash repeats it.
    TailCut = "tail-cut",
    /// The checkpoint of a closed segment. A crash leaves none: recovery reads from the one before.
    Checkpoint = "checkpoint",
    /// A closed segment replaced by its compressed form. A crash leaves both: the plain one wins and is compressed again.
    SegmentCompress = "segment-compress",
    /// An index directory moved aside or removed. A crash leaves it for the next rebuild.
    IndexDiscard = "index-discard",
    /// A backup written, under another name until it is whole. A crash leaves that: removed by hand, and made again.
    BackupWrite = "backup-write",
    /// A state directory made of a backup, and the mark of it removed. A crash leaves the mark: no daemon starts, and the restore begins anew; or the epoch does.
    RestoreWrite = "restore-write",
    /// A payload removed at the end of its retention. A crash leaves it: removed again.
    SpoolRemove = "spool-remove",
}

impl std::str::FromStr for Step {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|step| step.as_str() == text).ok_or_else(|| format!("no step is named {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_reads_back_its_name_and_says_what_a_crash_leaves() {
        for step in Step::ALL {
            assert_eq!(step.as_str().parse(), Ok(*step));
            assert!(step.after_a_crash().len() > 20);
        }
    }
}
