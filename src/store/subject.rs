//! What is known of deliveries that someone named.

use std::collections::BTreeMap;

use super::committer::{Committer, Stop};
use super::state::{Ending, Place, Row};
use crate::domain::ids::DeliveryId;
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
                for (mailbox, message) in messages.iter().take(MOST_LOOKED_UP) {
                    let Some(newest) = self.seen.find(mailbox, message)? else { continue };
                    self.follow(newest.delivery, &mut found, |row| row.delivery.continues)?;
                }
            }
        }
        Ok(found.into_values().map(|row| self.kept(row)).collect())
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
