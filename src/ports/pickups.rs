//! What lies in the `OUT` folders, told by those who pick it up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;

/// How the pickup of a mailbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PickupStatus {
    /// Pairs, and halves of pairs, in `OUT` at the last look.
    pub lying: u64,
    /// Since when the oldest of them is as it is, by the time of its file.
    pub oldest: Option<Timestamp>,
    /// Pairs that could not be sent, and halves that were given up, since this process began.
    pub failed_total: u64,
}

/// How each pickup stands, shared by all who write to it and read it.
#[derive(Debug, Clone, Default)]
pub struct Pickups(Arc<Mutex<BTreeMap<MailboxId, PickupStatus>>>);

impl Pickups {
    /// A look found so many.
    pub fn looked(&self, mailbox: &MailboxId, lying: u64, oldest: Option<Timestamp>) {
        let mut all = self.lock();
        let status = all.entry(mailbox.clone()).or_default();
        (status.lying, status.oldest) = (lying, oldest);
    }

    /// One more could not be sent.
    pub fn failed(&self, mailbox: &MailboxId) {
        self.lock().entry(mailbox.clone()).or_default().failed_total += 1;
    }

    /// How a mailbox's stands; none if it has none, or nobody looked yet.
    pub fn of(&self, mailbox: &MailboxId) -> Option<PickupStatus> {
        self.lock().get(mailbox).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MailboxId, PickupStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
