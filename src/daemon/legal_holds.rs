//! Looks through the journal for the mail that a new legal hold keeps.
//!
//! The store marks what comes later by itself. What came before is in the journal, which may take long to read: until
//! that is done nothing is purged. A restart begins the search again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::archive::Archive;
use super::people::{Connection, search};
use crate::domain::digest::ContentDigest;
use crate::domain::ids::DeliveryId;
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::ports::store::{Halt, HoldOrder, HoldRefused, Store};
use crate::ports::trace::{FoundRecord, Unreadable};

/// Between two looks for a hold that is new.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A journal that does not read is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Who looks.
pub(super) struct LegalHolds {
    pub(super) store: Arc<dyn Store>,
    pub(super) archive: Archive,
}

/// Why a search came to no end.
enum Trouble {
    Halted(Halt),
    Unreadable(String),
    /// Someone removed it meanwhile.
    Removed(HoldRefused),
}

impl From<Halt> for Trouble {
    fn from(halt: Halt) -> Self {
        Self::Halted(halt)
    }
}

impl LegalHolds {
    /// Looks until `stop`.
    pub(super) async fn watch(self, stop: CancellationToken) -> Result<(), Halt> {
        stop.run_until_cancelled(self.look()).await.unwrap_or(Ok(()))
    }

    async fn look(&self) -> Result<(), Halt> {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some((hold, patients)) = self.next() else { continue };
            match self.search(hold, patients).await {
                Ok(()) => tracing::info!(%hold, "the journal was searched for what a legal hold keeps"),
                Err(Trouble::Halted(halt)) => return Err(halt),
                Err(Trouble::Removed(why)) => tracing::info!(%hold, %why, "a search for a legal hold was given up"),
                Err(Trouble::Unreadable(problem)) => {
                    tracing::error!(%hold, problem, "nothing is purged: the mail that a legal hold keeps is not found");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    fn next(&self) -> Option<(LegalHoldId, Vec<ContentDigest>)> {
        let occupancy = self.store.occupancy();
        let (id, hold) = occupancy.legal_holds.iter().find(|(_, hold)| !hold.is_complete)?;
        match &hold.scope {
            HoldScope::Patients(patients) => Some((*id, patients.clone())),
            HoldScope::Mailbox(_) | HoldScope::Delivery(_) => None,
        }
    }

    async fn search(&self, hold: LegalHoldId, patients: Vec<ContentDigest>) -> Result<(), Trouble> {
        // Whatever was connected before the hold stood is in what is searched; of later mail the store itself knows.
        self.store.barrier().await?;
        let mut rest = Some(search(patients, 0));
        let mut found = BTreeSet::new();
        while let Some(wanted) = rest {
            let page = self.archive.search(wanted).await?.map_err(|unreadable| Trouble::Unreadable(unreadable.0))?;
            let mut deliveries = Vec::new();
            for record in &page.records {
                deliveries.extend(kept_by(record, &found).map_err(|error| Trouble::Unreadable(error.to_string()))?);
                found.extend(deliveries.last().copied());
            }
            for deliveries in deliveries.chunks(TAKEN) {
                self.order(HoldOrder::Take { hold, deliveries: deliveries.to_vec() }).await?;
            }
            rest = page.rest.map(|rest| *rest);
        }
        self.order(HoldOrder::Complete { hold }).await
    }

    async fn order(&self, order: HoldOrder) -> Result<(), Trouble> {
        self.store.legal_hold(order).await?.map(drop).map_err(Trouble::Removed)
    }
}

/// Marked with one record: the rows of so many fit into one batch of the index.
const TAKEN: usize = 64;

/// Which delivery a record gives to a hold: one that it connects with people, or one that takes the place of one that is
/// found.
fn kept_by(record: &FoundRecord, found: &BTreeSet<DeliveryId>) -> Result<Option<DeliveryId>, Unreadable> {
    Ok(Connection::of(record)?.and_then(|connection| match connection {
        Connection::Names { delivery, .. } => Some(delivery),
        Connection::Replaces { before, new } => found.contains(&before).then_some(new),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn record(sequence: u64, body: String) -> FoundRecord {
        let (boot, hash) = (String::new(), String::new());
        FoundRecord { sequence, wall: Timestamp(0), monotonic_ms: 0, run: 1, boot, hash, body }
    }

    #[test]
    fn whoever_has_the_payload_of_one_that_is_found_is_found_with_it() {
        let replay = |of| {
            format!(
                r#"{{"e":"replayed","of":{of},"mailbox":"X26ABC1","message":"M","length":1,"digest":"ab","due":1,"alone":false,"keep":1,"by":1000}}"#
            )
        };
        let bodies = [
            (3, r#"{"e":"concerns","id":1,"patients":[]}"#.to_owned(), Some(1)),
            (4, replay(1), Some(4)),
            (5, replay(4), Some(5)),
            (6, replay(2), None),
        ];
        let mut found = BTreeSet::new();
        for (sequence, body, expected) in bodies {
            let kept = kept_by(&record(sequence, body), &found).expect("it reads");
            assert_eq!(kept, expected.map(DeliveryId), "record {sequence}");
            found.extend(kept);
        }
        let other = record(9, r#"{"e":"of a later version"}"#.to_owned());
        assert!(kept_by(&other, &found).is_err(), "nothing is passed over");
    }
}
