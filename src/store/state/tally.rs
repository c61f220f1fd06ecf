//! Counting what is kept, a bounded part of it at a time: commits wait meanwhile.

use std::collections::BTreeMap;

use super::row::{Ending, Place, Row};
use super::{Index, IndexError, Order, State, keys, kind};
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::time::Timestamp;
use crate::ports::store::{Amount, Class, SetAsideKind, Tally};

/// No question looks at more deliveries: some milliseconds.
const MOST_LOOKED_AT: usize = 2_048;

impl Row {
    /// What it is kept as.
    pub(crate) fn class(&self) -> Class {
        match &self.place {
            Place::Queued { .. } | Place::Working { .. } | Place::Suspect => Class::Waiting,
            Place::Aside { kind: SetAsideKind::Held, .. } => Class::Held,
            Place::Aside { kind: SetAsideKind::Dead(_), .. } => Class::Dead,
            Place::Ended { how: Ending::Delivered, .. } => Class::Delivered,
            Place::Ended { how: Ending::Discarded | Ending::GivenUp, .. } => Class::Discarded,
            Place::Ended { how: Ending::Replayed(_), .. } => Class::Replayed,
        }
    }
}

impl State {
    /// Counts the deliveries after one, and what of them goes until some time; and after which there are more. Times but
    /// those of acceptance are the store's own.
    pub(crate) fn tally(
        &self,
        index: &dyn Index,
        after: Option<DeliveryId>,
        until: Timestamp,
    ) -> Result<(Vec<Tally>, Option<DeliveryId>), IndexError> {
        let from = after.map_or(vec![kind::DELIVERY], |after| keys::after(&keys::delivery(kind::DELIVERY, after)));
        let rows = self.scan(index, &from, &[kind::DELIVERY + 1], Order::Ascending, MOST_LOOKED_AT)?;
        let last = rows.last().and_then(|(key, _)| keys::number_of(key)).map(DeliveryId);
        let rest = last.filter(|_| rows.len() == MOST_LOOKED_AT);
        let mut tallies: BTreeMap<(MailboxId, Class), Tally> = BTreeMap::new();
        for (_, value) in rows {
            let one = self.counted(&keys::decode(&value)?, until);
            let place = (one.mailbox.clone(), one.class);
            tallies.entry(place).and_modify(|others| others.add(&one)).or_insert(one);
        }
        Ok((tallies.into_values().collect(), rest))
    }

    fn counted(&self, row: &Row, until: Timestamp) -> Tally {
        let amount = Amount { messages: 1, bytes: row.bytes() };
        let is_kept = self.is_kept(row);
        let next = row.keep().filter(|_| !is_kept);
        let if_so = |is| if is { amount } else { Amount::default() };
        Tally {
            mailbox: row.delivery.mailbox.clone(),
            class: row.class(),
            amount,
            oldest: row.delivery.accepted_at,
            next,
            goes: if_so(next.is_some_and(|next| next <= until)),
            kept: if_so(is_kept),
        }
    }
}
