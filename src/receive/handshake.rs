//! The handshake: proves our credentials at the start and once a day.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::domain::fault::Fault;
use crate::ports::clock::Clock;
use crate::ports::inbox::Inbox;
use crate::ports::store::{Halt, Note, Store};

use super::poller::Receive;

/// MESH asks for a handshake a day, and never more than one an hour (mesh-api 11).
const HANDSHAKE_EVERY: Duration = Duration::from_secs(24 * 3600);
pub(super) const HANDSHAKE_GAP: Duration = Duration::from_secs(3600);

/// When a handshake may be tried again, on the monotonic clock, given what an earlier run tried. A try that seems to lie
/// ahead, after a clock step back, counts as made just now.
pub(super) fn handshake_not_before(inbox: &Arc<dyn Inbox>, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> Duration {
    let tried_at = store.occupancy().mailboxes.get(inbox.mailbox()).and_then(|of| of.handshake_tried_at);
    let wait = tried_at.map_or(Duration::ZERO, |at| HANDSHAKE_GAP.saturating_sub(clock.wall().since(at)));
    clock.monotonic() + wait
}

impl Receive {
    /// Proves our credentials at the start and once a day. While they are refused, that is all we do (mesh-api 4.4).
    ///
    /// The try is in the journal before MESH hears of it, so that restarts do not add up to more than one an hour. After
    /// a restart within that hour the list tells whether the credentials are right by now.
    pub(super) async fn handshake_if_due(&mut self) -> Result<Option<Fault>, Halt> {
        let mailbox = self.receiver.inbox.mailbox().clone();
        let last = self.receiver.store.occupancy().mailboxes.get(&mailbox).and_then(|of| of.handshake_at);
        let age = last.map(|last| self.clock.wall().since(last));
        let now = self.clock.monotonic();
        let wanted = match age {
            None => true,
            Some(age) => age >= HANDSHAKE_EVERY || (self.failures > 0 && age >= HANDSHAKE_GAP),
        };
        if !wanted || now < self.handshake_not_before {
            return Ok(None);
        }
        self.receiver.store.note(Note::HandshakeTried { mailbox: mailbox.clone() }).await?;
        self.handshake_not_before = now + HANDSHAKE_GAP;
        match self.receiver.inbox.handshake().await {
            Ok(()) => {
                self.receiver.store.note(Note::Handshake { mailbox: mailbox.clone() }).await?;
                info!(%mailbox, "handshake accepted");
                Ok(None)
            }
            Err(fault) => Ok(Some(fault)),
        }
    }
}
