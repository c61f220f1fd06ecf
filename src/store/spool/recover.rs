//! What the volumes need when a process takes them over from the one before.

use std::collections::BTreeMap;

use super::group::NotAGroup;
use super::layout::Layout;
use super::{Files, errors, volume};
use crate::domain::step::Step;
use crate::ports::disk::{DiskFile, EntryKind};
use crate::ports::spool::SpoolError;
use crate::ports::store::Halt;

/// Piece in which a volume is copied, bytes.
const PIECE: usize = 256 * 1024;

/// The numbers of all volumes, and their lengths. What reads back from them is durable on return; empty ones, which a crash leaves, are gone.
pub(super) fn volumes(files: &Files) -> Result<BTreeMap<u64, u64>, SpoolError> {
    let mut volumes = BTreeMap::new();
    let entries =
        files.disk.list(&files.layout.volumes()).map_err(|error| errors::halted("list the volumes", error))?;
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File) {
        let Some(number) = Layout::volume_number(&entry.path) else { continue };
        if entry.length == 0 {
            let removed = files.disk.remove(Step::SpoolRemove, &entry.path);
            removed.map_err(|error| errors::written("remove an empty volume", error))?;
        } else {
            volumes.insert(number, entry.length);
        }
    }
    if let Some((last, _)) = volumes.last_key_value() {
        refuse_newer(files, *last)?;
        make_durable(files, *last)?;
    }
    Ok(volumes)
}

/// A release that wrote a newer format wrote it last.
fn refuse_newer(files: &Files, last: u64) -> Result<(), SpoolError> {
    let failed = |error| errors::halted("read a volume", error);
    let file = files.disk.read(&files.layout.volume(last)).map_err(failed)?;
    match volume::header_at(file.as_ref(), 0).map_err(failed)? {
        Err(newer @ NotAGroup::Newer(_)) => {
            Err(SpoolError::Failed(Halt(format!("volume {last} begins with {newer}: use that release"))))
        }
        Ok(_) | Err(NotAGroup::Tail) => Ok(()),
    }
}

/// Writes the last volume anew, byte for byte.
///
/// The process before may have ended between a write and its sync, or because the sync failed. Then groups read back
/// from memory that are not on the disk, and no sync of this file would put them there. A copy is on the disk, and only
/// the last volume can need one: a volume is closed only after its sync. Without room for a copy a sync has to do.
fn make_durable(files: &Files, last: u64) -> Result<(), SpoolError> {
    let halted = |error| errors::halted("write the last volume anew", error);
    let (disk, volumes) = (&files.disk, files.layout.volumes());
    let (from, to) = (files.layout.renewed_volume(), files.layout.volume(last));
    disk.remove(Step::TailCut, &from).map_err(halted)?;
    let old = disk.open(&to).map_err(halted)?;
    let copied = disk
        .create(Step::TailCut, &from)
        .map_err(|error| errors::written("write the last volume anew", error))
        .and_then(|mut new| copy(old.as_ref(), new.as_mut()).map(|()| new));
    match copied {
        Ok(new) => {
            new.sync(Step::TailCut).map_err(halted)?;
            disk.rename(Step::TailCut, &from, &to).map_err(halted)?;
        }
        Err(SpoolError::NoRoom(_)) => {
            disk.remove(Step::TailCut, &from).map_err(halted)?;
            old.sync(Step::TailCut).map_err(halted)?;
        }
        Err(other @ (SpoolError::Failed(_) | SpoolError::Unreadable(_))) => return Err(other),
    }
    disk.sync_folder(Step::TailCut, &volumes).map_err(halted)
}

fn copy(old: &dyn DiskFile, new: &mut dyn DiskFile) -> Result<(), SpoolError> {
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    loop {
        let count = old.read_at(&mut piece, at).map_err(|error| errors::halted("read the last volume", error))?;
        if count == 0 {
            return Ok(());
        }
        let written = new.append(Step::TailCut, &piece[..count]);
        written.map_err(|error| errors::written("write the last volume anew", error))?;
        at += count as u64;
    }
}
