//! Which files a copy of a spool takes.

use std::path::Path;
use std::sync::Arc;

use super::layout::{Layout, PartsName};
use super::{Files, errors, folders};
use crate::ports::disk::{Disk, EntryKind};
use crate::ports::spool::SpoolError;

/// Visits the volumes up to `last`, a number and a length, and the chunk directories taken over, with the length that
/// belongs to the copy. What is on its way in is left out: MESH still has it.
///
/// A chunk directory that goes meanwhile is passed over: while the spool is pinned, no record names it.
pub(in crate::store) fn contents<E: From<SpoolError>>(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    (last, bytes): (u64, u64),
    mut visit: impl FnMut(&Path, u64) -> Result<(), E>,
) -> Result<(), E> {
    let files = Files { disk: disk.clone(), layout: Layout::new(directory) };
    let listed = |error| errors::read("list the spool", error);
    for entry in disk.list(&files.layout.volumes()).map_err(listed)? {
        match Layout::volume_number(&entry.path) {
            Some(number) if number < last => visit(&entry.path, entry.length)?,
            Some(number) if number == last => visit(&entry.path, bytes)?,
            Some(_) | None => {}
        }
    }
    for mailbox in folders::mailboxes(&files)? {
        for (name, folder) in folders::of_mailbox(&files, &mailbox)? {
            let PartsName::Adopted(..) = name else { continue };
            let parts = match disk.list(&folder.path) {
                Ok(parts) => parts,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(listed(error).into()),
            };
            for part in parts.into_iter().filter(|part| part.kind == EntryKind::File) {
                visit(&part.path, part.length)?;
            }
        }
    }
    Ok(())
}
