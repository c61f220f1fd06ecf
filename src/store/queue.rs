//! What waits for work, a page at a time: for people, who change nothing by looking.

use super::committer::{Committer, Stop};
use super::index::Order;
use super::index::keys::{self, kind};
use super::plan::{MOST_ROWS, missing};
use super::state::{Place, Row};
use crate::domain::ids::DeliveryId;
use crate::ports::store::{Delivery, KeptPayload, QueuePage, Queued, Wait};

impl Committer {
    /// What waits or is in work, mailbox by mailbox, oldest first.
    pub(super) fn queue(&self, page: &QueuePage) -> Result<Vec<Queued>, Stop> {
        let prefix = page.mailbox.as_ref().map_or(vec![kind::WAITING], |owner| keys::mailbox(kind::WAITING, owner));
        let to = keys::after(&prefix);
        let from = page
            .after
            .as_ref()
            .map_or(prefix, |place| keys::after(&keys::of_mailbox(kind::WAITING, &place.mailbox, place.delivery)));
        let rows = self.state.scan(self.index.as_ref(), &from, &to, Order::Ascending, page.count.min(MOST_ROWS))?;
        let mut found = Vec::with_capacity(rows.len());
        for id in rows.iter().filter_map(|(key, _)| keys::number_of(key)).map(DeliveryId) {
            let row = self.state.row(self.index.as_ref(), id)?.ok_or_else(|| missing(id))?;
            let Row { delivery, place, last, .. } = row;
            let wait = match place {
                Place::Queued { due } => Wait::Due(self.time.wall_of(due)),
                Place::Working { .. } => Wait::InWork,
                Place::Suspect => Wait::Alone,
                Place::Aside { .. } | Place::Ended { .. } => continue,
            };
            found.push(Queued { delivery, wait, last });
        }
        Ok(found)
    }

    /// What the spool keeps, by delivery. What the disk lost is not kept, whatever the journal says.
    pub(super) fn payloads(&self, after: Option<DeliveryId>, count: usize) -> Result<Vec<KeptPayload>, Stop> {
        let (mut found, mut after) = (Vec::new(), after);
        // An empty answer says that there are no more.
        while found.is_empty() {
            let from = after.map_or(vec![kind::DELIVERY], |id| keys::after(&keys::delivery(kind::DELIVERY, id)));
            let to = [kind::DELIVERY + 1];
            let rows = self.state.scan(self.index.as_ref(), &from, &to, Order::Ascending, count.clamp(1, MOST_ROWS))?;
            if rows.is_empty() {
                break;
            }
            for (_, value) in rows {
                let row: Row = keys::decode(&value)?;
                let location = row.payload().filter(|_| !row.is_lost()).cloned();
                let Delivery { id: delivery, mailbox, message_id: message, length, .. } = row.delivery;
                after = Some(delivery);
                found.extend(location.map(|location| KeptPayload { delivery, mailbox, message, location, length }));
            }
        }
        Ok(found)
    }
}
