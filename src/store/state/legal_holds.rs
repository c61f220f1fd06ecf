//! What records say of legal holds, and what these keep.

use std::sync::Arc;

use super::row::{Ending, Place, Row};
use super::{Index, IndexError, State, for_each, keys, kind};
use crate::domain::digest::ContentDigest;
use crate::domain::ids::DeliveryId;
use crate::domain::legal_hold::{HoldScope, LegalHoldId};
use crate::domain::operator::{Operator, Remark};
use crate::domain::time::Timestamp;
use crate::ports::store::{LegalHold, LegalHolds};

impl State {
    /// Those that stand.
    pub(crate) fn legal_holds(&self) -> &LegalHolds {
        &self.legal_holds
    }

    /// Whether a legal hold keeps this delivery.
    pub(crate) fn is_kept(&self, row: &Row) -> bool {
        self.legal_holds.iter().any(|(id, hold)| match &hold.scope {
            HoldScope::Mailbox(mailbox) => *mailbox == row.delivery.mailbox,
            HoldScope::Delivery(_) | HoldScope::Patients(_) => row.kept_by.contains(id),
        })
    }

    /// Whether what some legal hold keeps is still looked for: nothing may go, since it may be that.
    pub(crate) fn is_looking(&self) -> bool {
        self.legal_holds.values().any(|hold| !hold.is_complete)
    }

    /// The legal holds about one of these people.
    pub(crate) fn holds_about(&self, patients: &[ContentDigest], more: bool) -> Vec<LegalHoldId> {
        let is_about = |hold: &LegalHold| match &hold.scope {
            HoldScope::Patients(people) => more || people.iter().any(|one| patients.contains(one)),
            HoldScope::Mailbox(_) | HoldScope::Delivery(_) => false,
        };
        self.legal_holds.iter().filter(|(_, hold)| is_about(hold)).map(|(id, _)| *id).collect()
    }

    pub(super) fn legal_hold_added(
        &mut self,
        index: &dyn Index,
        id: LegalHoldId,
        since: Timestamp,
        scope: &HoldScope,
        (by, why): (Operator, &Remark),
    ) -> Result<(), IndexError> {
        let is_complete = match scope {
            HoldScope::Mailbox(_) | HoldScope::Delivery(_) => true,
            HoldScope::Patients(_) => false,
        };
        let hold = LegalHold { scope: scope.clone(), since, by, why: why.clone(), is_complete };
        self.keep_hold(id, hold)?;
        match scope {
            HoldScope::Delivery(delivery) => self.legal_hold_took(index, id, *delivery),
            HoldScope::Mailbox(_) | HoldScope::Patients(_) => Ok(()),
        }
    }

    /// Whoever has the payload by now has the mark, too.
    pub(super) fn legal_hold_took(
        &mut self,
        index: &dyn Index,
        hold: LegalHoldId,
        id: DeliveryId,
    ) -> Result<(), IndexError> {
        let Some(mut row) = self.row(index, id)? else { return Ok(()) };
        if !row.kept_by.contains(&hold) {
            row.kept_by.retain(|other| self.legal_holds.contains_key(other));
            row.kept_by.push(hold);
            self.put(keys::delivery(kind::DELIVERY, id), &row)?;
        }
        match row.place {
            Place::Ended { how: Ending::Replayed(to), .. } => self.legal_hold_took(index, hold, to),
            Place::Queued { .. }
            | Place::Working { .. }
            | Place::Suspect
            | Place::Aside { .. }
            | Place::Ended { .. } => Ok(()),
        }
    }

    pub(super) fn legal_hold_complete(&mut self, id: LegalHoldId) -> Result<(), IndexError> {
        match self.legal_holds.get(&id).cloned() {
            Some(hold) => self.keep_hold(id, LegalHold { is_complete: true, ..hold }),
            None => Err(IndexError(format!("legal hold {id} is missing"))),
        }
    }

    pub(super) fn legal_hold_removed(&mut self, id: LegalHoldId) {
        Arc::make_mut(&mut self.legal_holds).remove(&id);
        self.remove(keys::numbered(kind::LEGAL_HOLD, id.0));
    }

    /// Its time is over: out of the way of what may go.
    pub(super) fn spared(&mut self, index: &dyn Index, id: DeliveryId) -> Result<(), IndexError> {
        let mut row = self.expect(index, id)?;
        let Some(due) = row.expiry() else { return Err(IndexError(format!("delivery {id} has no time to be over"))) };
        self.remove(due);
        row.is_spared = true;
        self.set(keys::delivery(kind::SPARED, id));
        let spared = &mut self.counters(&row.delivery.mailbox).spared;
        spared.messages += 1;
        spared.bytes += row.bytes();
        self.put(keys::delivery(kind::DELIVERY, id), &row)
    }

    fn keep_hold(&mut self, id: LegalHoldId, hold: LegalHold) -> Result<(), IndexError> {
        self.put(keys::numbered(kind::LEGAL_HOLD, id.0), &hold)?;
        Arc::make_mut(&mut self.legal_holds).insert(id, hold);
        Ok(())
    }
}

/// Every legal hold, as the index has it.
pub(super) fn load(index: &dyn Index) -> Result<LegalHolds, IndexError> {
    let mut all = LegalHolds::new();
    for_each(index, kind::LEGAL_HOLD, |key, value| {
        let id = keys::number_of(key).ok_or_else(|| IndexError("a legal hold's key".into()))?;
        all.insert(LegalHoldId(id), keys::decode(value)?);
        Ok(())
    })?;
    Ok(all)
}
