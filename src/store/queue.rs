//! What waits for work, a page at a time: for people, who change nothing by looking.

use super::committer::{Committer, Stop};
use super::index::Order;
use super::index::keys::{self, kind};
use super::plan::{MOST_ROWS, missing};
use super::state::{Place, Row};
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::ports::store::{QueuePage, QueuePlace, Queued, Wait};

impl Committer {
    /// What is in work or to be tried alone, on the first page; then what waits, mailbox by mailbox, earliest due first.
    pub(super) fn queue(&self, page: &QueuePage) -> Result<Vec<Queued>, Stop> {
        let mut found = Vec::new();
        if page.after.is_none() {
            for (kind, wait) in [(kind::WORKING, Wait::InWork), (kind::SUSPECT, Wait::Alone)] {
                for key in self.keys_between(vec![kind], vec![kind + 1], MOST_ROWS)? {
                    let Row { delivery, last, .. } = self.row_of(&key)?;
                    if page.mailbox.as_ref().is_none_or(|mailbox| delivery.mailbox == *mailbox) {
                        found.push(Queued { delivery, wait, last, place: None });
                    }
                }
            }
        }
        let (from, to) = range(page.mailbox.as_ref(), page.after.as_ref());
        for key in self.keys_between(from, to, page.count.min(MOST_ROWS))? {
            let Row { delivery, place: Place::Queued { due }, last, .. } = self.row_of(&key)? else { continue };
            let place = QueuePlace { mailbox: delivery.mailbox.clone(), due, delivery: delivery.id };
            found.push(Queued { delivery, wait: Wait::Due(self.time.wall_of(due)), last, place: Some(place) });
        }
        Ok(found)
    }

    fn keys_between(&self, from: Vec<u8>, to: Vec<u8>, most: usize) -> Result<Vec<Vec<u8>>, Stop> {
        let rows = self.state.scan(self.index.as_ref(), &from, &to, Order::Ascending, most)?;
        Ok(rows.into_iter().map(|(key, _)| key).collect())
    }

    fn row_of(&self, key: &[u8]) -> Result<Row, Stop> {
        let id = DeliveryId(keys::number_of(key).unwrap_or_default());
        Ok(self.state.row(self.index.as_ref(), id)?.ok_or_else(|| missing(id))?)
    }
}

/// The keys of the queue that a page is about.
fn range(mailbox: Option<&MailboxId>, after: Option<&QueuePlace>) -> (Vec<u8>, Vec<u8>) {
    let prefix = mailbox.map_or(vec![kind::QUEUE], |mailbox| keys::mailbox(kind::QUEUE, mailbox));
    let to = keys::after(&prefix);
    let behind = |place: &QueuePlace| keys::after(&keys::queued(&place.mailbox, place.due, place.delivery));
    (after.map_or(prefix, behind), to)
}
