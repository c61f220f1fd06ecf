//! Looks through the journal for the mail that a new legal hold keeps.
//!
//! The store marks what comes later by itself. What came before is in the journal, which may take long to read: until
//! that is done nothing is purged. A restart begins the search again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::archive::Archive;
use crate::domain::digest::ContentDigest;
use crate::domain::ids::DeliveryId;
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::ports::store::{Halt, HoldOrder, HoldRefused, Store};
use crate::ports::trace::{FoundRecord, Search};
use crate::store::journal::event::Event;

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
        let mut rest = Some(Search { kinds: vec!["concerns".into()], patients, ..Search::default() });
        while let Some(wanted) = rest {
            let page = self.archive.search(wanted).await?.map_err(|unreadable| Trouble::Unreadable(unreadable.0))?;
            let deliveries: Vec<_> = page.records.iter().filter_map(concerned).collect();
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

/// Which delivery a record connects with people, if it does.
pub(super) fn concerned(record: &FoundRecord) -> Option<DeliveryId> {
    let event = serde_json::from_str(&record.body).ok()?;
    if let Event::Concerns { id, .. } = event { Some(id) } else { None }
}
