//! What operators are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use crate::adapters::http::Client;
use crate::domain::envelope::MessageKind;
use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::operations::{MailboxStatus, Operations, Phase, Status, Told};
use crate::ports::store::{SetAside, SetAsidePage, Store};
use crate::receive::admission::Admission;
use crate::store::journal::Head;

/// Answers from the store and from what the daemon knows of itself.
pub(super) struct Desk {
    pub(super) store: Arc<dyn Store>,
    pub(super) admission: Arc<Admission>,
    pub(super) head: watch::Receiver<Head>,
    pub(super) http: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) started_at: Timestamp,
    pub(super) organisations: BTreeMap<MailboxId, String>,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Desk {
    /// Nothing is fetched for a mailbox that is no longer configured, so its door is neither open nor closed.
    fn closed(&self, mailbox: &MailboxId) -> Option<String> {
        let is_received = self.organisations.contains_key(mailbox);
        let door = is_received.then(|| self.admission.open(mailbox, MessageKind::Data))?;
        door.err().map(|closed| closed.to_string())
    }
}

impl Operations for Desk {
    fn status(&self) -> Status {
        let occupancy = self.store.occupancy();
        let now = self.clock.wall();
        let ids: BTreeSet<&MailboxId> = self.organisations.keys().chain(occupancy.mailboxes.keys()).collect();
        let mailboxes = ids
            .into_iter()
            .map(|id| MailboxStatus {
                id: id.clone(),
                organisation: self.organisations.get(id).cloned(),
                closed: self.closed(id),
                occupancy: occupancy.mailboxes.get(id).cloned().unwrap_or_default(),
            })
            .collect();
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            phase: *self.phase.borrow(),
            started_at: self.started_at,
            now,
            sequence: occupancy.sequence,
            suspects: occupancy.suspects,
            dropped_leases: occupancy.dropped_leases,
            certificate_days: self.http.health().client_certificate_days(now),
            mailboxes,
        }
    }

    fn set_aside(&self, page: SetAsidePage) -> Told<'_, Vec<SetAside>> {
        self.store.set_aside(page)
    }

    fn journal_head(&self) -> Told<'_, String> {
        Box::pin(async {
            // Whatever was handed over before the question is in the answer.
            self.store.barrier().await?;
            Ok(self.head.borrow().to_string())
        })
    }
}
