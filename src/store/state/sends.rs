//! What goes out.

use super::apply::as_kept;
use super::row::Row;
use super::{Index, IndexError, Order, State, for_each, keys, kind};
use crate::domain::digest::ContentDigest;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::onward::Onward;
use crate::domain::output::{Progress, Publication};
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
        if let Some(onward) = &queued.outgoing.onward {
            self.sent_on(index, onward, id)?;
        }
        let delivery = Delivery { outgoing: Some(queued.outgoing.clone()), ..row.delivery };
        // Nobody at MESH waits to hear that we keep it.
        self.kept(index, Row { delivery, acknowledged: true, ..row })
    }

    /// An output is published: what it sends is kept.
    fn sent_on(&mut self, index: &dyn Index, onward: &Onward, id: DeliveryId) -> Result<(), IndexError> {
        let mut row = self.expect(index, onward.delivery)?;
        let named = row.delivery.outputs.iter_mut().find(|output| *output.plan.name() == onward.output);
        let output = named.ok_or_else(|| IndexError(format!("{} has no output {}", onward.delivery, onward.output)))?;
        output.progress = Progress::Published(Publication::Queued(id));
        self.put(keys::delivery(kind::DELIVERY, onward.delivery), &row)
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

    /// Its pair of files lies in `OUT` no more.
    pub(super) fn pair_put_away(&mut self, index: &dyn Index, id: DeliveryId) -> Result<(), IndexError> {
        let row = self.expect(index, id)?;
        let place = row.place.clone();
        let is_spared = row.is_spared;
        self.change(index, id, |delivery| {
            put_away(delivery);
            place
        })?;
        if is_spared { self.spared(index, id) } else { Ok(()) }
    }

    /// Whether a pair that lies in `OUT` may be known by digests of before that time: its own, or its predecessor's.
    pub(crate) fn has_pair_since_before(&self, index: &dyn Index, time: Timestamp) -> Result<bool, IndexError> {
        let mut is_there = false;
        for_each(index, kind::LYING, |key, _| {
            let id = keys::number_of(key).map(DeliveryId);
            let row = id.map(|id| self.row(index, id)).transpose()?.flatten();
            is_there |= row.is_some_and(|row| row.since < time || row.delivery.continues.is_some());
            Ok(())
        })?;
        Ok(is_there)
    }

    /// The last that was picked up in a mailbox under a name.
    pub(crate) fn picked_up_as(
        &self,
        index: &dyn Index,
        mailbox: &MailboxId,
        name: &ContentDigest,
    ) -> Result<Option<DeliveryId>, IndexError> {
        let prefix = keys::pairs(mailbox, name);
        let last = self.scan(index, &prefix, &keys::after(&prefix), Order::Descending, 1)?;
        Ok(last.first().and_then(|(key, _)| keys::number_of(key)).map(DeliveryId))
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
        if let Some(pair) = row.pair_key() {
            self.set(pair);
        }
        row.sent_key().map_or(Ok(()), |sent| self.put(sent, &row.delivery.id))
    }

    pub(super) fn forget_send(&mut self, row: &Row) {
        if row.delivery.outgoing.is_some() {
            self.remove(keys::of_mailbox(kind::SEND, &row.delivery.mailbox, row.delivery.id));
        }
        for key in [row.sent_key(), row.pair_key()].into_iter().flatten() {
            self.remove(key);
        }
    }
}

/// Its pair lies in `OUT` no more, or is another delivery's now.
pub(super) fn put_away(delivery: &mut Delivery) {
    if let Some(pair) = delivery.outgoing.as_mut().and_then(|outgoing| outgoing.pair.as_mut()) {
        pair.is_put_away = true;
    }
}
