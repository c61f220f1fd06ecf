//! Which outputs are away, so that only a change is logged.

use std::collections::BTreeSet;

use super::worker::BatchEnd;
use crate::domain::ids::{MailboxId, Name};

/// The outputs that are away.
#[derive(Default)]
pub(super) struct Away(BTreeSet<(MailboxId, Name)>);

impl Away {
    /// Logs which outputs went away or came back.
    pub(super) fn notice(&mut self, mailbox: &MailboxId, end: &BatchEnd) {
        for (output, reason) in &end.away {
            if self.0.insert((mailbox.clone(), output.clone())) {
                let code = reason.code.as_str();
                tracing::warn!(%mailbox, %output, code, detail = reason.detail, "output is away, its mail waits");
            }
        }
        for output in end.back.iter().filter(|output| !end.away.contains_key(*output)) {
            if self.0.remove(&(mailbox.clone(), output.clone())) {
                tracing::info!(%mailbox, %output, "output is back");
            }
        }
    }
}
