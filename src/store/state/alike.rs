//! Failures that are alike, counted.
//!
//! One row of kind `E` for each fingerprint and mailbox, changed in the same batch as the deliveries it counts, so that
//! groups are told without a look at their members. It goes with the last of them.

use serde::{Deserialize, Serialize};

use super::row::{Place, Row};
use super::{Index, IndexError, Order, State, keys, kind};
use crate::domain::fault::FaultCode;
use crate::domain::fingerprint::{Fingerprint, pattern};
use crate::domain::time::Timestamp;
use crate::ports::store::{FailureGroup, FoundGroups, SetAsideKind};

/// No answer tells of more groups.
const MOST_GROUPS: usize = 100;
/// No answer goes on to another group after so many rows: some milliseconds.
const MOST_LOOKED_AT: usize = 8_192;
/// Read at once.
const AT_ONCE: usize = 512;

/// The failures of one mailbox that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AlikeRow {
    pub(super) kind: SetAsideKind,
    pub(super) code: FaultCode,
    pub(super) pattern: String,
    pub(super) count: u64,
    /// When the first was set aside, gone or not.
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

impl AlikeRow {
    /// Where a delivery that is set aside is counted, and how it is counted alone.
    pub(super) fn of(row: &Row) -> Option<(Vec<u8>, Self)> {
        let Place::Aside { kind, reason, since, .. } = &row.place else { return None };
        let pattern = pattern(&reason.detail);
        let key = keys::alike(Fingerprint::of(kind.as_str(), reason.code, &pattern), &row.delivery.mailbox);
        Some((key, Self { kind: *kind, code: reason.code, pattern, count: 1, first: *since, last: *since }))
    }

    /// Adds what is counted elsewhere of the same failures.
    pub(super) fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl State {
    /// Counts a delivery, if it is set aside.
    pub(super) fn join_alike(&mut self, index: &dyn Index, row: &Row) -> Result<(), IndexError> {
        let Some((key, mut alike)) = AlikeRow::of(row) else { return Ok(()) };
        if let Some(others) = self.read::<AlikeRow>(index, &key)? {
            alike.add(&others);
        }
        self.put(key, &alike)
    }

    /// Counts a delivery no more.
    pub(super) fn leave_alike(&mut self, index: &dyn Index, row: &Row) -> Result<(), IndexError> {
        let Some((key, _)) = AlikeRow::of(row) else { return Ok(()) };
        match self.read::<AlikeRow>(index, &key)? {
            Some(alike) if alike.count > 1 => self.put(key, &AlikeRow { count: alike.count - 1, ..alike }),
            Some(_) => {
                self.remove(key);
                Ok(())
            }
            None => Err(IndexError("failures that are alike are not counted".into())),
        }
    }

    /// The groups after one, in the order of their fingerprints.
    pub(crate) fn alike(&self, index: &dyn Index, after: Option<Fingerprint>) -> Result<FoundGroups, IndexError> {
        let mut from = after.map_or(vec![kind::ALIKE], |after| keys::after(&keys::numbered(kind::ALIKE, after.0)));
        let mut page: Vec<FailureGroup> = Vec::new();
        let mut looked_at = 0;
        loop {
            let rows = self.scan(index, &from, &[kind::ALIKE + 1], Order::Ascending, AT_ONCE)?;
            for (key, value) in &rows {
                let (fingerprint, mailbox) = keys::alike_of(key)?;
                let row: AlikeRow = keys::decode(value)?;
                if let Some(group) = page.last_mut().filter(|group| group.fingerprint == fingerprint) {
                    group.count += row.count;
                    group.mailboxes += 1;
                    group.first_seen = group.first_seen.min(row.first);
                    group.last_seen = group.last_seen.max(row.last);
                    continue;
                }
                if page.len() == MOST_GROUPS || looked_at >= MOST_LOOKED_AT {
                    let rest = page.last().map(|group| group.fingerprint);
                    return Ok(FoundGroups { page, rest });
                }
                page.push(FailureGroup {
                    fingerprint,
                    kind: row.kind,
                    code: row.code,
                    detail: row.pattern,
                    count: row.count,
                    first_seen: row.first,
                    last_seen: row.last,
                    mailbox,
                    mailboxes: 1,
                });
            }
            looked_at += rows.len();
            match rows.into_iter().next_back() {
                Some((key, _)) => {
                    from = key;
                    from.push(0);
                }
                None => return Ok(FoundGroups { page, rest: None }),
            }
        }
    }
}
