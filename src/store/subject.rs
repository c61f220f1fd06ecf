//! What is known of deliveries that someone named.

use std::collections::{BTreeMap, BTreeSet};

use super::committer::{Committer, Stop};
use super::index::Order;
use super::index::keys::{self, kind};
use super::plan::{MOST_ROWS, missing};
use super::state::{Ending, Place, Row};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::ports::store::{Kept, LookUp, MOST_LOOKED_UP};

/// Lives of one message that are followed: no answer may grow without bounds.
const MOST_LIVES: usize = 64;

impl Committer {
    /// What is kept of these, in the order of their ids. What is gone is left out.
    pub(super) fn look_up(&self, wanted: &LookUp) -> Result<Vec<Kept>, Stop> {
        let mut found = BTreeMap::new();
        match wanted {
            LookUp::Deliveries(ids) => {
                for id in ids.iter().take(MOST_LOOKED_UP) {
                    self.follow(*id, &mut found, replayed_as)?;
                }
            }
            LookUp::Messages(messages) => {
                let mut unseen = BTreeSet::new();
                for (mailbox, message) in messages.iter().take(MOST_LOOKED_UP) {
                    match self.seen.find(mailbox, message)? {
                        Some(newest) => self.follow(newest.delivery, &mut found, |row| row.delivery.continues)?,
                        None => {
                            unseen.insert((mailbox.clone(), message.clone()));
                        }
                    }
                }
                self.add_sends(&unseen, &mut found)?;
            }
        }
        Ok(found.into_values().map(|row| self.kept(row)).collect())
    }

    /// Adds what goes out under these ids, which are ours: nobody remembers them once they are gone.
    fn add_sends(
        &self,
        wanted: &BTreeSet<(MailboxId, MessageId)>,
        found: &mut BTreeMap<DeliveryId, Row>,
    ) -> Result<(), Stop> {
        let mailboxes: BTreeSet<&MailboxId> = wanted.iter().map(|(mailbox, _)| mailbox).collect();
        for mailbox in mailboxes {
            let (mut from, to) = (keys::mailbox(kind::SEND, mailbox), keys::after(&keys::mailbox(kind::SEND, mailbox)));
            loop {
                let rows = self.state.scan(self.index.as_ref(), &from, &to, Order::Ascending, MOST_ROWS)?;
                let Some((last, _)) = rows.last() else { break };
                from = keys::after(last);
                for id in rows.iter().filter_map(|(key, _)| keys::number_of(key)).map(DeliveryId) {
                    let row = self.state.row(self.index.as_ref(), id)?.ok_or_else(|| missing(id))?;
                    if wanted.contains(&(mailbox.clone(), row.delivery.message_id.clone())) {
                        found.insert(id, row);
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds a delivery, and those that each leads to.
    fn follow(
        &self,
        id: DeliveryId,
        found: &mut BTreeMap<DeliveryId, Row>,
        next: impl Fn(&Row) -> Option<DeliveryId>,
    ) -> Result<(), Stop> {
        let mut id = Some(id);
        for _ in 0..MOST_LIVES {
            let Some(row) = id.map(|id| self.state.row(self.index.as_ref(), id)).transpose()?.flatten() else { break };
            id = next(&row);
            found.insert(row.delivery.id, row);
        }
        Ok(())
    }

    fn kept(&self, row: Row) -> Kept {
        Kept {
            class: row.class(),
            replayed_as: replayed_as(&row),
            until: row.keep().map(|keep| self.time.wall_of(keep)),
            is_legally_held: self.may_not_go(&row),
            delivery: row.delivery,
        }
    }
}

fn replayed_as(row: &Row) -> Option<DeliveryId> {
    match row.place {
        Place::Ended { how: Ending::Replayed(to), .. } => Some(to),
        Place::Queued { .. } | Place::Working { .. } | Place::Suspect | Place::Aside { .. } | Place::Ended { .. } => {
            None
        }
    }
}
