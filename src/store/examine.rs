//! Whether a start would take up what lies in a state directory: for people, beside or without the daemon.
//!
//! Looks at the mark of a restore and at the end of the journal, as recovery does, and writes nothing. Closed segments
//! are not read, since a start with a sound index does not read them either; the index is not opened, since it belongs to
//! whoever holds the lock.

use std::path::Path;

use super::epoch::Mark;
use super::journal::tail;
use crate::ports::disk::Disk;
use crate::ports::store::Halt;

/// A daemon may write meanwhile, and what it is writing may look torn: damage looks the same twice.
const LOOKS: usize = 5;

/// What a start would halt at.
pub fn examine(disk: &dyn Disk, state: &Path) -> Result<(), Halt> {
    Mark::read_whole(disk, state)?;
    let journal = state.join("journal");
    let nothing_ran = disk.entry(&journal).map_err(|error| Halt(format!("look for the journal: {error}")))?.is_none();
    if nothing_ran {
        return Ok(());
    }
    let mut before = None;
    for _ in 0..LOOKS {
        let Err(Halt(now)) = tail::find(disk, &journal) else { return Ok(()) };
        if before.as_ref() == Some(&now) {
            return Err(Halt(now));
        }
        before = Some(now);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::time::Timestamp;
    use crate::store::disk::Real;
    use crate::store::journal::event::Event;
    use crate::store::journal::segment::HEADER;
    use crate::store::journal::{Journal, Stamp};

    fn tripped(state: &Path, what: &str) {
        let Halt(told) = examine(&Real::new(), state).expect_err("a start would halt");
        assert!(told.contains(what), "{told}");
    }

    #[test]
    fn a_flipped_bit_and_a_half_made_restore_are_seen_and_a_torn_tail_is_left_as_it_is() {
        let state = tempfile::tempdir().expect("a folder");
        examine(&Real::new(), state.path()).expect("nothing ever ran here");
        let folder = state.path().join("journal");
        let (mut journal, _) = Journal::open(Arc::new(Real::new()), &folder, "boot", Timestamp(0)).expect("opens");
        for _ in 0..3 {
            journal.add(Stamp { wall: Timestamp(0), monotonic_ms: 0 }, &Event::Stopped).expect("it is added");
            journal.write().expect("it is written");
            journal.synced();
        }
        drop(journal);
        examine(&Real::new(), state.path()).expect("it is in order");

        let segment = folder.join("00000000000000000001.log");
        let whole = std::fs::read(&segment).expect("it is there");
        let torn = &whole[..whole.len() - 3];
        std::fs::write(&segment, torn).expect("it is ours");
        examine(&Real::new(), state.path()).expect("a start cuts it");
        assert_eq!(std::fs::read(&segment).expect("it is there"), torn);
        let mut damaged = whole.clone();
        damaged[HEADER + 90] ^= 1;
        std::fs::write(&segment, &damaged).expect("it is ours");
        tripped(state.path(), "damage at offset");

        // As a crash leaves it between the two steps of a roll.
        std::fs::write(&segment, &whole).expect("it is ours");
        let next = folder.join("00000000000000000004.log");
        std::fs::write(&next, b"half").expect("it is ours");
        examine(&Real::new(), state.path()).expect("a start removes it");
        assert_eq!(std::fs::read(&next).expect("it is still there"), b"half");

        Mark::half(false).write(&Real::new(), state.path()).expect("it is ours");
        tripped(state.path(), "half restored");
    }
}
