//! Asking the daemon for records of its journal, page after page, until there are no more.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::anyhow;

use super::Failure;
use crate::daemon::{Answer, Ask, ask};
use crate::ports::trace::{FoundRecord, Search};

/// Hands over every record that `question` finds, in the journal's order, in the memory of a page, until `each` has
/// seen enough.
pub(super) fn for_each_record(
    socket: &Path,
    wanted: Search,
    question: fn(Box<Search>) -> Ask,
    mut each: impl FnMut(FoundRecord) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let mut next = Some(Box::new(wanted));
    while let Some(wanted) = next {
        let Answer::Found(page) = ask(socket, question(wanted))? else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        for record in page.records {
            if each(record)?.is_break() {
                return Ok(());
            }
        }
        next = page.rest;
    }
    Ok(())
}
