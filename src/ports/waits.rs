//! Since when mail waits at MESH that we could not take: it has five days (mesh-api 7.2).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;

/// The longest such wait of each mailbox, shared by the pollers that write it and whoever asks.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<BTreeMap<MailboxId, Timestamp>>>);

impl Waits {
    /// A pass over the mailbox's list met mail that waits `since` then, or none. Only a `whole` pass ends an older wait.
    pub fn met(&self, mailbox: &MailboxId, since: Option<Timestamp>, whole: bool) {
        let mut all = self.lock();
        let before = if whole { None } else { all.get(mailbox).copied() };
        match since.into_iter().chain(before).min() {
            Some(since) => all.insert(mailbox.clone(), since),
            None => all.remove(mailbox),
        };
    }

    /// Since when the mailbox's mail waits.
    pub fn of(&self, mailbox: &MailboxId) -> Option<Timestamp> {
        self.lock().get(mailbox).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MailboxId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_broke_off_ends_no_wait() {
        let mailbox = MailboxId::new("X26ABC1").expect("an id");
        let waits = Waits::default();
        waits.met(&mailbox, Some(Timestamp(5)), true);
        waits.met(&mailbox, Some(Timestamp(7)), false);
        waits.met(&mailbox, None, false);
        assert_eq!(waits.of(&mailbox), Some(Timestamp(5)));
        waits.met(&mailbox, Some(Timestamp(7)), true);
        assert_eq!(waits.of(&mailbox), Some(Timestamp(7)));
        waits.met(&mailbox, None, true);
        assert_eq!(waits.of(&mailbox), None);
    }
}
