//! What goes out.

use super::apply::as_kept;
use super::row::Row;
use super::{Index, IndexError, State, keys, kind};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::sending::Sending;
use crate::domain::time::Timestamp;
use crate::ports::store::Delivery;
use crate::store::journal::event::SendQueued;

impl State {
    pub(super) fn send_queued(
        &mut self,
        index: &dyn Index,
        id: DeliveryId,
        wall: Timestamp,
        queued: &SendQueued,
    ) -> Result<(), IndexError> {
        let row = as_kept(id, wall, &queued.kept);
        let delivery = Delivery { outgoing: Some(queued.outgoing.clone()), ..row.delivery };
        // Nobody at MESH waits to hear that we keep it.
        self.kept(index, Row { delivery, acknowledged: true, ..row })
    }

    pub(super) fn sending(&mut self, index: &dyn Index, id: DeliveryId, progress: &Sending) -> Result<(), IndexError> {
        let mut row = self.expect(index, id)?;
        if let Some(before) = row.sent_key() {
            self.remove(before);
        }
        let outgoing = row.delivery.outgoing.as_mut().ok_or_else(|| IndexError(format!("{id} does not go out")))?;
        let before = std::mem::replace(&mut outgoing.progress, progress.clone());
        let is_given_up = |progress: &Sending| matches!(progress, Sending::Undelivered { .. });
        if is_given_up(progress) && !is_given_up(&before) {
            self.counters(&row.delivery.mailbox).undelivered_total += 1;
        }
        self.note_send(&row)?;
        self.put(keys::delivery(kind::DELIVERY, id), &row)
    }

    /// What went out of a mailbox under MESH's id.
    pub(crate) fn sent_as(
        &self,
        index: &dyn Index,
        mailbox: &MailboxId,
        message: &MessageId,
    ) -> Result<Option<DeliveryId>, IndexError> {
        self.read(index, &keys::sent(mailbox, message))
    }

    /// Lets it be found among what goes out.
    pub(super) fn note_send(&mut self, row: &Row) -> Result<(), IndexError> {
        if row.delivery.outgoing.is_some() {
            self.set(keys::of_mailbox(kind::SEND, &row.delivery.mailbox, row.delivery.id));
        }
        row.sent_key().map_or(Ok(()), |sent| self.put(sent, &row.delivery.id))
    }

    pub(super) fn forget_send(&mut self, row: &Row) {
        if row.delivery.outgoing.is_some() {
            self.remove(keys::of_mailbox(kind::SEND, &row.delivery.mailbox, row.delivery.id));
        }
        if let Some(sent) = row.sent_key() {
            self.remove(sent);
        }
    }
}
