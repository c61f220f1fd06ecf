//! Legal holds: what may not go, whatever its retention says, and whoever asks.
//!
//! - A hold on a mailbox keeps all its mail by name. One on a delivery, or on people, keeps what is marked: the
//!   delivery it names; what the journal connected with the people before (whoever added it searches, and says so at the
//!   end); and each delivery that is connected with them later, in the commit that says so.
//! - A replay inherits the marks with the payload.
//! - While what a hold keeps is looked for, nothing at all is purged: it may be that.
//! - A payload whose time is over, and which a hold keeps, is *spared*: it leaves the queue of what may go, once, and is
//!   looked at again now and then until no hold keeps it. So many spared payloads cost a commit nothing.
//! - No segment of the journal goes while there is a hold: it is evidence of the same mail.

use super::committer::{Committer, Moment, Stop};
use super::index::Order;
use super::index::keys::{self, kind};
use super::journal::event::Event;
use super::retention::PURGES;
use super::state::{Ending, Place, Row};
use crate::domain::digest::ContentDigest;
use crate::domain::ids::DeliveryId;
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::domain::operator::{Operator, Remark};
use crate::ports::store::{HoldOrder, HoldRefused, MOST_LEGAL_HOLDS};

/// Spared rows looked at in one commit.
const LOOKED_AT: usize = 256;

impl Committer {
    /// Carries out what is ordered, or says why not.
    pub(super) fn obey_hold(
        &mut self,
        moment: Moment,
        order: HoldOrder,
    ) -> Result<Result<LegalHoldId, HoldRefused>, Stop> {
        match order {
            HoldOrder::Add { scope, by, why } => self.add_hold(moment, scope, by, why),
            HoldOrder::Take { hold, deliveries } if self.stands(hold) => {
                self.take(moment, hold, deliveries)?;
                Ok(Ok(hold))
            }
            HoldOrder::Complete { hold } if self.stands(hold) => {
                self.record(moment, &Event::LegalHoldComplete { hold })?;
                Ok(Ok(hold))
            }
            HoldOrder::Remove { hold, by, why } if self.stands(hold) => {
                self.record(moment, &Event::LegalHoldRemoved { hold, by, why })?;
                Ok(Ok(hold))
            }
            HoldOrder::Take { .. } | HoldOrder::Complete { .. } | HoldOrder::Remove { .. } => {
                Ok(Err(HoldRefused::UnknownHold))
            }
        }
    }

    fn stands(&self, hold: LegalHoldId) -> bool {
        self.state.legal_holds().contains_key(&hold)
    }

    fn add_hold(
        &mut self,
        moment: Moment,
        scope: HoldScope,
        by: Operator,
        why: Remark,
    ) -> Result<Result<LegalHoldId, HoldRefused>, Stop> {
        if self.state.legal_holds().len() >= MOST_LEGAL_HOLDS {
            return Ok(Err(HoldRefused::TooMany));
        }
        if let HoldScope::Delivery(id) = &scope
            && !self.has_payload(*id)?
        {
            return Ok(Err(HoldRefused::UnknownDelivery));
        }
        Ok(Ok(LegalHoldId(self.record(moment, &Event::LegalHoldAdded { scope, by, why })?)))
    }

    /// Whether a delivery, or whichever replays it, is known with its payload.
    fn has_payload(&self, mut id: DeliveryId) -> Result<bool, Stop> {
        while let Some(row) = self.state.row(self.index.as_ref(), id)? {
            let Place::Ended { how: Ending::Replayed(to), .. } = row.place else { return Ok(true) };
            id = to;
        }
        Ok(false)
    }

    /// Marks what is still known and not marked.
    fn take(&mut self, moment: Moment, hold: LegalHoldId, deliveries: Vec<DeliveryId>) -> Result<(), Stop> {
        let mut ids = Vec::new();
        for id in deliveries {
            let row = self.state.row(self.index.as_ref(), id)?;
            ids.extend(row.is_some_and(|row| !row.kept_by.contains(&hold)).then_some(id));
        }
        if !ids.is_empty() {
            self.record(moment, &Event::LegalHoldTook { hold, ids })?;
        }
        Ok(())
    }

    /// A delivery is about to be connected with these people, by the next record: a crash between leaves one that is kept
    /// and not connected, and so is connected when it is worked on again.
    pub(super) fn hold_what_concerns(
        &mut self,
        moment: Moment,
        id: DeliveryId,
        patients: &[ContentDigest],
        more: bool,
    ) -> Result<(), Stop> {
        self.state.holds_about(patients, more).into_iter().try_for_each(|hold| self.take(moment, hold, vec![id]))
    }

    /// Whether a delivery may not go now.
    pub(super) fn may_not_go(&self, row: &Row) -> bool {
        self.state.is_looking() || self.state.is_kept(row)
    }

    /// Purges what was spared and no legal hold keeps any more: a part of them is looked at, the next commit goes on.
    pub(super) fn purge_spared(&mut self, moment: Moment) -> Result<(), Stop> {
        let from = self.retention.spared_from.take().unwrap_or_else(|| vec![kind::SPARED]);
        let rows = self.state.scan(self.index.as_ref(), &from, &[kind::SPARED + 1], Order::Ascending, LOOKED_AT)?;
        let mut purged = 0;
        let is_last_page = rows.len() < LOOKED_AT;
        for (mut key, _) in rows {
            if purged == PURGES {
                self.retention.spared_from = Some(key);
                return Ok(());
            }
            let id = keys::number_of(&key).map(DeliveryId);
            let row = id.map(|id| self.state.row(self.index.as_ref(), id)).transpose()?.flatten();
            if let Some(row) = row.filter(|row| !self.may_not_go(row)) {
                self.record_purge(moment, row, None)?;
                purged += 1;
            }
            key.push(0);
            self.retention.spared_from = Some(key).filter(|_| !is_last_page);
        }
        Ok(())
    }
}
