//! Looking through what is set aside.
//!
//! The row of kind `A` holds what lists choose by, so that a delivery's own row is read only if it is shown. It is read
//! without a copy, and a question looks at [`MOST_LOOKED_AT`] of them at the most: commits wait meanwhile.

use serde::{Deserialize, Serialize};

use super::row::{Place, Row};
use super::{Index, IndexError, Order, State, keys, kind};
use crate::domain::fault::FaultCode;
use crate::domain::fingerprint::{Fingerprint, pattern};
use crate::domain::ids::DeliveryId;
use crate::domain::time::Timestamp;
use crate::ports::store::{FoundAside, Selection, SetAside, SetAsideKind, SetAsidePage};

/// No page shows more: one answer stays small.
const MOST_SHOWN: usize = 256;
/// No question looks at more deliveries: some milliseconds.
const MOST_LOOKED_AT: usize = 8_192;
/// Read at once.
const AT_ONCE: usize = 512;

/// What lists choose by.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AsideRow<'a> {
    mailbox: &'a str,
    workflow: &'a str,
    from: Option<&'a str>,
    kind: SetAsideKind,
    code: FaultCode,
    since: Timestamp,
    fingerprint: u64,
    record: u64,
}

/// What a bulk act looks for: what its selection takes of what was set aside in time, in the order of ids.
pub(crate) struct Walk<'a> {
    /// Which.
    pub(crate) selection: &'a Selection,
    /// Behind this delivery.
    pub(crate) after: Option<DeliveryId>,
    /// Set aside by an earlier record than this.
    pub(crate) before: u64,
    /// At most so many.
    pub(crate) count: usize,
}

/// What was found.
pub(crate) struct Walked {
    /// The deliveries.
    pub(crate) found: Vec<DeliveryId>,
    /// The last that was looked at.
    pub(crate) reached: Option<DeliveryId>,
    /// There is nothing behind it.
    pub(crate) is_end: bool,
}

impl<'a> AsideRow<'a> {
    /// Of a delivery that is set aside.
    pub(super) fn of(row: &'a Row) -> Option<Self> {
        let Place::Aside { kind, reason, since, record, .. } = &row.place else { return None };
        let delivery = &row.delivery;
        Some(Self {
            mailbox: delivery.mailbox.as_str(),
            workflow: delivery.workflow.as_str(),
            from: delivery.from.as_ref().map(|from| from.as_str()),
            kind: *kind,
            code: reason.code,
            since: *since,
            fingerprint: Fingerprint::of(kind.as_str(), reason.code, &pattern(&reason.detail)).0,
            record: *record,
        })
    }

    fn is_in(&self, selection: &Selection) -> bool {
        let Selection { mailbox, state, cause, code, workflow, from, since, until, group } = selection;
        mailbox.as_ref().is_none_or(|wanted| wanted.as_str() == self.mailbox)
            && state.is_none_or(|wanted| wanted == self.kind.state())
            && cause.is_none_or(|wanted| Some(wanted) == self.kind.cause())
            && code.is_none_or(|wanted| wanted == self.code)
            && workflow.as_ref().is_none_or(|wanted| wanted.as_str() == self.workflow)
            && from.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == self.from)
            && since.is_none_or(|since| self.since >= since)
            && until.is_none_or(|until| self.since < until)
            && group.is_none_or(|group| group.0 == self.fingerprint)
    }
}

impl State {
    /// Puts a delivery among what is set aside, if it is.
    pub(super) fn note_aside(&mut self, row: &Row) -> Result<(), IndexError> {
        match AsideRow::of(row) {
            Some(aside) => self.put(keys::delivery(kind::ASIDE, row.delivery.id), &aside),
            None => Ok(()),
        }
    }

    /// A page of what is set aside, newest first.
    pub(crate) fn set_aside(&self, index: &dyn Index, wanted: &SetAsidePage) -> Result<FoundAside, IndexError> {
        if let Some(only) = wanted.only {
            return Ok(FoundAside { page: self.aside(index, only)?.into_iter().collect(), rest: None });
        }
        let count = wanted.count.min(MOST_SHOWN);
        let mut page = Vec::new();
        let mut before = wanted.before;
        for _ in 0..MOST_LOOKED_AT / AT_ONCE {
            let to = before.map_or(vec![kind::ASIDE + 1], |before| keys::delivery(kind::ASIDE, before));
            let rows = self.scan(index, &[kind::ASIDE], &to, Order::Descending, AT_ONCE)?;
            for (key, value) in &rows {
                if page.len() == count {
                    return Ok(FoundAside { page, rest: before });
                }
                let id = keys::number_of(key).map(DeliveryId).ok_or_else(|| IndexError("a key set aside".into()))?;
                before = Some(id);
                if keys::decode::<AsideRow<'_>>(value)?.is_in(&wanted.selection) {
                    page.extend(self.aside(index, id)?);
                }
            }
            if rows.len() < AT_ONCE {
                return Ok(FoundAside { page, rest: None });
            }
        }
        Ok(FoundAside { page, rest: before })
    }

    /// Walks on from where a bulk act was.
    pub(crate) fn walk(&self, index: &dyn Index, wanted: Walk<'_>) -> Result<Walked, IndexError> {
        let Walk { selection, after, before, count } = wanted;
        let to = keys::numbered(kind::ASIDE, before);
        let (mut found, mut reached) = (Vec::new(), after);
        for _ in 0..MOST_LOOKED_AT / AT_ONCE {
            let from = reached.map_or(vec![kind::ASIDE], |reached| keys::after(&keys::delivery(kind::ASIDE, reached)));
            let rows = self.scan(index, &from, &to, Order::Ascending, AT_ONCE)?;
            for (key, value) in &rows {
                if found.len() == count {
                    return Ok(Walked { found, reached, is_end: false });
                }
                let id = keys::number_of(key).map(DeliveryId).ok_or_else(|| IndexError("a key set aside".into()))?;
                reached = Some(id);
                let row = keys::decode::<AsideRow<'_>>(value)?;
                if row.record < before && row.is_in(selection) {
                    found.push(id);
                }
            }
            if rows.len() < AT_ONCE {
                return Ok(Walked { found, reached, is_end: true });
            }
        }
        Ok(Walked { found, reached, is_end: false })
    }

    fn aside(&self, index: &dyn Index, id: DeliveryId) -> Result<Option<SetAside>, IndexError> {
        Ok(match self.row(index, id)? {
            Some(Row { delivery, place: Place::Aside { kind, reason, since, .. }, .. }) => {
                Some(SetAside { delivery, kind, reason, since })
            }
            Some(_) | None => None,
        })
    }
}
