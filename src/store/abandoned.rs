//! Chunk directories that nobody will ever come for: of messages that were never accepted, and that MESH keeps no
//! longer. Looked for soon after the start and once a day, one mailbox in a commit.
//!
//! What a record names is never touched. What none names, but was taken over, is left from a crash between the two:
//! it too goes only once MESH cannot offer the message again. A payload sealed again or brought in that no record names
//! goes at once: the one that it was made from counts, or its operator was never told that it is kept.

use std::time::Duration;

use super::committer::{Committer, Moment, Stop};
use super::index::keys::{self, kind};
use super::journal::event::Event;
use super::reseal::BESIDE;
use super::retention::{REMOVALS, removed};
use super::spool::Removal;
use super::state::{PartsRow, Row, for_each};
use crate::domain::ids::{MailboxId, MessageId};
use crate::ports::spool::SpoolError;
use crate::ports::store::Location;

/// MESH may put a message back until its 30th day; what was not touched for longer is not being fetched.
const KEPT_AT_MESH: Duration = Duration::from_secs(30 * 24 * 3600);
/// Between two looks.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// How far the look has come.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The next one begins then, by the monotonic clock.
    next: Duration,
    /// Still to be looked at in this one.
    mailboxes: Vec<MailboxId>,
}

/// A folder that cannot be listed now is looked at another day.
fn listed<T>(folders: Result<Vec<T>, SpoolError>) -> Result<Vec<T>, Stop> {
    match folders {
        Ok(folders) => Ok(folders),
        Err(SpoolError::Failed(halt)) => Err(halt.into()),
        Err(error @ (SpoolError::NoRoom(_) | SpoolError::Unreadable(_))) => {
            tracing::warn!(%error, "chunk directories were not listed, so abandoned ones stay for now");
            Ok(Vec::new())
        }
    }
}

impl Committer {
    /// Removes a few abandoned chunk directories of one mailbox.
    pub(super) fn sweep(&mut self, moment: Moment) -> Result<(), Stop> {
        let now = self.time.monotonic();
        if self.sweep.mailboxes.is_empty() && now >= self.sweep.next {
            self.sweep = Sweep { next: now + EVERY, mailboxes: listed(self.appender.mailboxes())? };
        }
        let Some(mailbox) = self.sweep.mailboxes.pop() else { return Ok(()) };
        let mut count = 0;
        for found in listed(self.appender.chunk_directories(&mailbox))? {
            let (message_id, age) = (found.message_id, moment.now.since(found.modified));
            let is_from_here = found.life.is_some_and(|life| life >= BESIDE);
            if age <= KEPT_AT_MESH && !is_from_here {
                continue;
            }
            let what = match found.life {
                None => Removal::Arriving { mailbox: mailbox.clone(), message_id: message_id.clone() },
                Some(life) if self.is_named(&mailbox, &message_id, life)? => continue,
                Some(life) => Removal::Parts { mailbox: mailbox.clone(), message_id: message_id.clone(), life },
            };
            if count == REMOVALS {
                self.sweep.mailboxes.push(mailbox);
                return Ok(());
            }
            if !removed(self.appender.remove(what))? {
                return Ok(());
            }
            if is_from_here {
                tracing::info!(%mailbox, %message_id, "chunks removed that were sealed here and not taken over");
                continue;
            }
            tracing::info!(%mailbox, %message_id, "chunks removed of a message that was never accepted");
            self.record(moment, &Event::Abandoned { mailbox: mailbox.clone(), message: message_id })?;
            count += 1;
        }
        Ok(())
    }

    /// Whether the chunk directory of this life of a message is a delivery's payload, or was one and waits for removal.
    fn is_named(&self, mailbox: &MailboxId, message: &MessageId, life: u64) -> Result<bool, Stop> {
        let is_it = |row: &Row| matches!(row.delivery.location, Location::Parts { life: its, .. } if its == life);
        let mut next = self.seen.find(mailbox, message)?.map(|entry| entry.delivery);
        while let Some(id) = next {
            let Some(row) = self.state.row(self.index.as_ref(), id)? else { break };
            if is_it(&row) {
                return Ok(true);
            }
            next = row.delivery.continues;
        }
        // Purged lives may have broken the chain. This reads all rows, but only for what is almost certainly abandoned.
        let mut found = false;
        for_each(self.index.as_ref(), kind::DELIVERY, |_, value| {
            let row: Row = keys::decode(value)?;
            found |= (&row.delivery.mailbox, &row.delivery.message_id) == (mailbox, message) && is_it(&row);
            Ok(())
        })?;
        for_each(self.index.as_ref(), kind::REMOVAL, |_, value| {
            let row: PartsRow = keys::decode(value)?;
            found |= (&row.mailbox, &row.message, row.life) == (mailbox, message, life);
            Ok(())
        })?;
        Ok(found)
    }
}
