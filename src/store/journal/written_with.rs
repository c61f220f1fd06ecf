//! Which HMAC key a journal was written with, found without the index: also while a daemon writes it.

use std::path::Path;

use super::event::Event;
use super::segment::{Name, Reader, Trouble};
use super::segments;
use crate::ports::disk::Disk;
use crate::ports::store::Halt;

/// The id of the key, by the last record that names it; `None` if no record that can be read does.
///
/// Damage is not reported here: whoever opens the journal does.
pub fn written_with(disk: &dyn Disk, directory: &Path) -> Result<Option<String>, Halt> {
    if disk.entry(directory).map_err(|error| Halt(format!("look for the journal: {error}")))?.is_none() {
        return Ok(None);
    }
    // A run may be longer than a segment.
    for name in segments(disk, directory)?.iter().rev() {
        if let Some(key) = in_segment(disk, directory, name) {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn in_segment(disk: &dyn Disk, directory: &Path, name: &Name) -> Option<String> {
    let mut found = None;
    let mut look = || -> Result<(), Trouble> {
        let mut reader = Reader::open(disk, directory, name)?;
        while let Some(record) = reader.read()? {
            if let Event::Run { key, .. } = record.event {
                found = Some(key);
            }
        }
        Ok(())
    };
    // A torn tail, or one that is being written: what stands before it counts.
    drop(look());
    found
}
