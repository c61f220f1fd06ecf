//! Which chunk directories there are.

use std::path::Path;

use super::layout::{Layout, PartsName};
use super::{Files, errors};
use crate::domain::ids::MailboxId;
use crate::domain::step::Step;
use crate::ports::disk::{Entry, EntryKind};
use crate::ports::spool::SpoolError;

/// The mailboxes that have a folder for them.
pub(super) fn mailboxes(files: &Files) -> Result<Vec<MailboxId>, SpoolError> {
    let name = |entry: Entry| MailboxId::new(entry.path.file_name()?.to_str()?).ok();
    Ok(list(files, &files.layout.chunks())?.filter_map(name).collect())
}

/// The chunk directories of a mailbox.
pub(super) fn of_mailbox(files: &Files, mailbox: &MailboxId) -> Result<Vec<(PartsName, Entry)>, SpoolError> {
    let entries = list(files, &files.layout.mailbox(mailbox))?;
    Ok(entries.filter_map(|entry| Some((Layout::parts_name(&entry.path)?, entry))).collect())
}

/// Removes what an earlier process was sealing here: nothing names it.
pub(super) fn remove_beside(files: &Files) -> Result<(), SpoolError> {
    for mailbox in mailboxes(files)? {
        for entry in list(files, &files.layout.mailbox(&mailbox))?.filter(|entry| Layout::is_beside(&entry.path)) {
            let removed = files.disk.remove(Step::PartCreate, &entry.path);
            removed.map_err(|error| errors::written("remove chunks half sealed", error))?;
        }
    }
    Ok(())
}

fn list(files: &Files, folder: &Path) -> Result<impl Iterator<Item = Entry> + use<>, SpoolError> {
    let entries = files.disk.list(folder).map_err(|error| errors::read("list the chunk directories", error))?;
    Ok(entries.into_iter().filter(|entry| entry.kind == EntryKind::Folder))
}
