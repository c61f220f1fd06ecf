//! Checks the whole chain, without the store: what `verify` on the command line does.
//!
//! Finds edits, deletions, swaps, splices and damage by the chain itself, and a cut tail or a chain written anew by
//! comparing with a head noted elsewhere. Segments may be missing at the beginning only as far as the journal itself says
//! that they ended their retention. Changes nothing.

use std::path::Path;

use super::event::Event;
use super::segment::{Name, Reader, Trouble};
use super::{Head, segments};
use crate::ports::disk::Disk;

/// What was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many segments.
    pub segments: usize,
    /// The first record: later than 1 where segments ended their retention.
    pub first: u64,
    /// The last record.
    pub head: Head,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A segment is damaged, edited, or not the one that belongs there.
    #[error("{file}: {problem}")]
    Segment {
        /// Its file name.
        file: String,
        /// What and where.
        problem: String,
    },
    /// The head noted elsewhere is not in this journal.
    #[error("record {sequence} should have another hash: this is not the journal that the head was noted from")]
    Other {
        /// The noted sequence.
        sequence: u64,
    },
    /// The journal ends before the head noted elsewhere.
    #[error("the journal ends at record {ends}, but record {noted} was noted: its tail is cut off")]
    Short {
        /// Where it ends.
        ends: u64,
        /// The noted sequence.
        noted: u64,
    },
    /// Segments are missing at the beginning, and no record says that they ended their retention.
    #[error("the journal begins at record {first}, and no record in it says that what came before was removed")]
    Beginning {
        /// Where it begins.
        first: u64,
    },
    /// The journal begins after the head noted elsewhere, so nothing can be said about it.
    #[error("record {noted} has ended its retention: note a later head")]
    Gone {
        /// The noted sequence.
        noted: u64,
    },
    /// Nothing to check, which nobody may take for all being well.
    #[error("there is no record in it: nothing ever ran here, or what it had was removed")]
    Empty,
    /// The journal does not read.
    #[error("{0}")]
    Unreadable(String),
}

/// Checks the journal in `directory`, and that it contains the head `against`.
pub fn verify(disk: &dyn Disk, directory: &Path, against: Option<Head>) -> Result<Verified, Broken> {
    let names = segments(disk, directory).map_err(|halt| Broken::Unreadable(halt.0))?;
    let first = names.first().map_or(1, |name| name.first);
    let mut head = Head { sequence: first - 1, ..Head::default() };
    let mut met = against.is_none();
    let mut is_begun = first == 1;
    for (place, name) in names.iter().enumerate() {
        let broken = |trouble: Trouble| broken(directory, name, trouble);
        let mut reader = Reader::open(disk, directory, name).map_err(broken)?;
        let header = reader.header();
        if name.first != head.sequence + 1 {
            return Err(broken(Trouble::Bad { offset: 9, what: "first sequence" }));
        }
        if (place > 0 || first == 1) && header.link != head.hash {
            return Err(broken(Trouble::Bad { offset: 17, what: "link" }));
        }
        head.hash = header.link;
        met = met || meets(against, head)?;
        while let Some(record) = reader.read().map_err(broken)? {
            head = Head { sequence: record.frame.sequence, hash: record.hash };
            met = met || meets(against, head)?;
            // Written before the segment went, so it is never missing.
            is_begun |= matches!(record.event, Event::SegmentRemoved { next, .. } if next == first);
        }
    }
    if head.sequence == 0 {
        return Err(Broken::Empty);
    }
    if !is_begun {
        return Err(Broken::Beginning { first });
    }
    match against {
        Some(noted) if !met && noted.sequence > head.sequence => {
            Err(Broken::Short { ends: head.sequence, noted: noted.sequence })
        }
        Some(noted) if !met => Err(Broken::Gone { noted: noted.sequence }),
        Some(_) | None => Ok(Verified { segments: names.len(), first, head }),
    }
}

fn meets(against: Option<Head>, head: Head) -> Result<bool, Broken> {
    match against {
        Some(noted) if noted.sequence == head.sequence && noted.hash != head.hash => {
            Err(Broken::Other { sequence: noted.sequence })
        }
        Some(noted) => Ok(noted == head),
        None => Ok(true),
    }
}

fn broken(directory: &Path, name: &Name, trouble: Trouble) -> Broken {
    let path = name.path(directory);
    let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
    Broken::Segment { file, problem: trouble.to_string() }
}
