//! The handshake: proves our credentials at the start and once a day.

use std::time::Duration;

use tracing::info;

use crate::domain::fault::Fault;
use crate::ports::store::{Halt, Note};

use super::poller::Receive;

/// MESH asks for a handshake a day, and never more than one an hour (mesh-api 11).
const HANDSHAKE_EVERY: Duration = Duration::from_secs(24 * 3600);
pub(super) const HANDSHAKE_GAP: Duration = Duration::from_secs(3600);

impl Receive {
    /// Proves our credentials at the start and once a day. While they are refused, that is all we do (mesh-api 4.4).
    pub(super) async fn handshake_if_due(&mut self) -> Result<Option<Fault>, Halt> {
        let mailbox = self.receiver.inbox.mailbox().clone();
        let last = self.receiver.store.occupancy().mailboxes.get(&mailbox).and_then(|of| of.handshake_at);
        let age = last.map(|last| self.clock.wall().since(last));
        let now = self.clock.monotonic();
        let tried_lately = self.handshake_tried.is_some_and(|tried| now.saturating_sub(tried) < HANDSHAKE_GAP);
        let wanted = match age {
            None => true,
            Some(age) => age >= HANDSHAKE_EVERY || (self.failures > 0 && age >= HANDSHAKE_GAP),
        };
        if !wanted || tried_lately {
            return Ok(None);
        }
        self.handshake_tried = Some(now);
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
