//! Messages that cannot be accepted: left at MESH, tried again ever more rarely, with an alarm before they are lost.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::MessageId;
use crate::domain::settlement::Reason;
use crate::domain::time::Timestamp;
use crate::ports::store::{Halt, Refusal};

use super::page::{Task, Yield};
use super::poller::Receive;
use super::waiting::Urgency;

/// No message stays refused for longer at a time.
const LONGEST_REFUSAL: Duration = Duration::from_secs(3600);
/// A lost message that is listed all the same is asked for again after this: it may have been put back (mesh-api 7.2).
const LOST: Duration = Duration::from_secs(24 * 3600);
/// With more refused messages listed, none is forgotten: they need not be held in memory for what is so wrong.
pub(super) const MOST_LISTED: usize = 10_000;

/// Messages refused, and since when each waits: what is lost waits for nothing.
pub(super) type Refused = BTreeMap<MessageId, Option<Timestamp>>;

impl Receive {
    /// Of the messages refused, a look at the whole inbox named only these: the others have expired at MESH, or were
    /// taken by another reader.
    pub(super) async fn forget_refused(&self, listed: Refused) -> Result<(), Halt> {
        let store = &self.receiver.store;
        let mailbox = self.receiver.inbox.mailbox();
        let refused = store.occupancy().mailboxes.get(mailbox).map_or(0, |of| of.refused);
        let count = refused.saturating_sub(listed.len() as u64);
        if count == 0 || listed.len() >= MOST_LISTED {
            return Ok(());
        }
        info!(%mailbox, count, "refused messages are no longer listed");
        store.forget_refused(mailbox, listed.into_keys().collect()).await
    }

    /// The world's fault may end the pass; the message's own leaves it at MESH, to be tried again ever more rarely.
    pub(super) async fn failed(&mut self, task: Task, fault: Fault, brought: &mut Yield) -> Result<(), Halt> {
        let Task { id, refusals, first_refused, is_lost: was_lost, .. } = task;
        if fault.origin != Origin::Message {
            self.stumble(id, fault, brought);
            return Ok(());
        }
        let mailbox = self.receiver.inbox.mailbox();
        let now = self.clock.wall();
        let first_refused = first_refused.unwrap_or(now);
        let urgency = Urgency::of(now.since(first_refused));
        let (code, detail) = (fault.code, fault.detail);
        // Another reader of the mailbox may have it: no alarm on the first (mesh-api 9.4, 404).
        let is_gone_for_now = code == FaultCode::MsgGone && fault.class == Class::Transient;
        // Expired, failed, or acknowledged by another reader: no reader gets it from MESH any more (mesh-api 9.4, 410).
        let is_lost = code == FaultCode::MsgGone && fault.class == Class::Permanent;
        if is_lost {
            self.stumbles.forget(&id);
            self.memory.forget(&id);
            if !was_lost {
                error!(%mailbox, message_id = %id, %code, %detail, "message is lost to us: MESH no longer serves it; if no other program reads this mailbox, have the national service desk put it back, within 30 days of its delivery");
            }
        } else if is_gone_for_now && refusals == 0 {
            debug!(%mailbox, message_id = %id, %code, %detail, "listed message is not there");
        } else if urgency == Urgency::Pressing {
            error!(%mailbox, message_id = %id, %code, %detail, "refused message will soon be lost: MESH keeps it five days");
        } else if urgency == Urgency::Odd || refusals > 0 {
            warn!(%mailbox, message_id = %id, %code, %detail, refusals = refusals + 1, "refused message again");
        } else {
            warn!(%mailbox, message_id = %id, %code, %detail, "refused message, left at MESH");
        }
        brought.refused.push((id.clone(), (!is_lost).then_some(first_refused)));
        let refusal = Refusal {
            mailbox: mailbox.clone(),
            message_id: id,
            reason: Reason::new(code, detail),
            until: now.plus(if is_lost { LOST } else { refusal_wait(self.settings.retry_refused, refusals) }),
            lost: is_lost,
        };
        self.receiver.store.refuse(refusal).await
    }
}

/// How long a message stays refused: `first`, doubling to an hour.
fn refusal_wait(first: Duration, refusals: u32) -> Duration {
    first.saturating_mul(1 << refusals.min(12)).min(LONGEST_REFUSAL)
}
