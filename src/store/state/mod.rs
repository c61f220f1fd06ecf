//! What a journal record does to the index: one pure step, the same when it happens and when it is replayed (I9).
//!
//! A [`State`] is the small part that is held in memory, whatever the length of the queue (I3): counters per mailbox,
//! monitors, legal holds, the row about the whole, and the rows changed since the last batch, which reads see before those of the index.
//! It decides nothing; a record that does not fit what the index says means that the index is wrong.

mod alike;
mod apply;
mod aside;
mod audit;
mod jobs;
mod legal_holds;
mod monitors;
mod row;
mod sends;
mod tally;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::index::keys::{self, kind};
use super::index::{Batch, Index, IndexError, Order, Pair};
use super::journal::event::GroupPlace;
use super::journal::{Head, Stamp};
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::time::Timestamp;
use crate::ports::store::{LegalHolds, MailboxOccupancy, Monitors, Occupancy};

pub(crate) use aside::Walk;
pub(crate) use row::{Ending, Expiring, Meta, PartsRow, Place, RefusedRow, Row, VolumeRow};

/// Enough for one scan page of counters or volumes.
const PAGE: usize = 256;

/// The state in memory, and the changes that wait for their batch.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) meta: Meta,
    mailboxes: BTreeMap<MailboxId, MailboxOccupancy>,
    dirty: BTreeSet<MailboxId>,
    /// Mailboxes whose deliveries are handled in the order of their acceptance.
    strict: BTreeSet<MailboxId>,
    pending: Batch,
    /// All volumes: some thousands at most, since each has 64 MiB or ten minutes.
    volumes: BTreeMap<u64, VolumeRow>,
    /// Live deliveries of the groups that changed since the last batch.
    groups: BTreeMap<GroupPlace, Vec<DeliveryId>>,
    /// All monitors with their flows, which are bounded. Whoever reads how full we are shares them.
    monitors: Arc<Monitors>,
    /// Groups that hold a payload which someone had removed: they go with their volumes, and are copied nowhere.
    unwanted: BTreeSet<GroupPlace>,
    /// All legal holds, which are few.
    legal_holds: Arc<LegalHolds>,
}

impl State {
    /// Reads what an index says about itself; `None` from an empty one.
    pub(crate) fn load(index: &dyn Index) -> Result<Option<Self>, IndexError> {
        let Some(meta) = index.get(keys::META)? else { return Ok(None) };
        let mut state = Self { meta: keys::decode(&meta)?, ..Self::default() };
        for_each(index, kind::COUNTERS, |key, value| {
            let name = String::from_utf8_lossy(&key[1..]).into_owned();
            let mailbox = MailboxId::new(name).map_err(|error| IndexError(error.to_string()))?;
            state.mailboxes.insert(mailbox, keys::decode(value)?);
            Ok(())
        })?;
        for_each(index, kind::VOLUME, |key, value| {
            let volume = keys::number_of(key).ok_or_else(|| IndexError("a volume's key".into()))?;
            state.volumes.insert(volume, keys::decode(value)?);
            Ok(())
        })?;
        state.monitors = Arc::new(monitors::load(index)?);
        state.unwanted = volumes::unwanted(index)?;
        state.legal_holds = Arc::new(legal_holds::load(index)?);
        Ok(Some(state))
    }

    /// The deliveries of these mailboxes are handled in the order of acceptance. What is due next depends on it.
    pub(crate) fn keep_order(&mut self, strict: BTreeSet<MailboxId>) {
        self.strict = strict;
        self.dirty.extend(self.mailboxes.keys().cloned());
    }

    /// Whether a mailbox's deliveries are handled in the order of acceptance.
    pub(crate) fn is_strict(&self, mailbox: &MailboxId) -> bool {
        self.strict.contains(mailbox)
    }

    /// Whether an operator has a mailbox rest.
    pub(crate) fn is_suspended(&self, mailbox: &MailboxId) -> bool {
        self.mailboxes.get(mailbox).is_some_and(|counters| counters.suspended.is_some())
    }

    /// The first accepted of a mailbox's deliveries that wait, are in work or are suspects.
    pub(crate) fn first_waiting(&self, index: &dyn Index, mailbox: &MailboxId) -> Result<Option<Row>, IndexError> {
        let prefix = keys::mailbox(kind::WAITING, mailbox);
        let first = self.scan(index, &prefix, &keys::after(&prefix), Order::Ascending, 1)?;
        let Some(id) = first.first().and_then(|(key, _)| keys::number_of(key)) else { return Ok(None) };
        self.expect(index, DeliveryId(id)).map(Some)
    }

    /// The changes since the last call, as one batch that says it contains the journal up to `head`.
    pub(crate) fn batch(&mut self, index: &dyn Index, head: Head) -> Result<Batch, IndexError> {
        self.meta.sequence = head.sequence;
        self.meta.hash = head.hash;
        for mailbox in std::mem::take(&mut self.dirty) {
            let next_due = self.next_due(index, &mailbox)?;
            if let Some(counters) = self.mailboxes.get_mut(&mailbox) {
                counters.next_due = next_due;
                self.pending.insert(keys::counters(&mailbox), Some(keys::encode(counters)?));
            }
        }
        self.note_groups()?;
        self.pending.insert(keys::META.to_vec(), Some(keys::encode(&self.meta)?));
        Ok(std::mem::take(&mut self.pending))
    }

    /// How full we are, with due times as `wall_of` turns them from the store's own time.
    pub(crate) fn occupancy(&self, dropped_leases: u64, wall_of: impl Fn(Timestamp) -> Timestamp) -> Occupancy {
        let mut mailboxes = self.mailboxes.clone();
        for counters in mailboxes.values_mut() {
            counters.next_due = counters.next_due.map(&wall_of);
        }
        Occupancy {
            mailboxes,
            sequence: self.meta.sequence,
            suspects: self.meta.suspects,
            dropped_leases,
            began: self.meta.began,
            monitors: Arc::clone(&self.monitors),
            legal_holds: Arc::clone(&self.legal_holds),
        }
    }

    /// Notes that a record was written `at` in `run`. A start that is cut off before its run begins moves no time: its
    /// records cannot say how long after the last run they were written.
    pub(crate) fn lived(&mut self, run: u32, at: Stamp) {
        if run == self.meta.run {
            self.meta.last = (self.time_of(at), at.wall);
        }
    }

    /// The row of a delivery.
    pub(crate) fn row(&self, index: &dyn Index, id: DeliveryId) -> Result<Option<Row>, IndexError> {
        self.read(index, &keys::delivery(kind::DELIVERY, id))
    }

    /// The refusal of a message.
    pub(crate) fn refusal(
        &self,
        index: &dyn Index,
        mailbox: &MailboxId,
        message: &MessageId,
    ) -> Result<Option<RefusedRow>, IndexError> {
        self.read(index, &keys::refused(mailbox, message))
    }

    /// What lies at `key`, with the changes that wait.
    pub(crate) fn read<T: DeserializeOwned>(&self, index: &dyn Index, key: &[u8]) -> Result<Option<T>, IndexError> {
        let bytes = match self.pending.get(key) {
            Some(changed) => changed.clone(),
            None => index.get(key)?,
        };
        bytes.map(|bytes| keys::decode(&bytes)).transpose()
    }

    /// Up to `limit` pairs with `from <= key < to`, with the changes that wait.
    pub(crate) fn scan(
        &self,
        index: &dyn Index,
        from: &[u8],
        to: &[u8],
        order: Order,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let changes = || self.pending.range(from.to_vec()..to.to_vec());
        let hidden = changes().count();
        let mut merged: BTreeMap<_, _> = index.scan(from, to, order, limit + hidden)?.into_iter().collect();
        for (key, value) in changes() {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(match order {
            Order::Ascending => merged.into_iter().take(limit).collect(),
            Order::Descending => merged.into_iter().rev().take(limit).collect(),
        })
    }

    fn put<T: Serialize>(&mut self, key: Vec<u8>, value: &T) -> Result<(), IndexError> {
        self.pending.insert(key, Some(keys::encode(value)?));
        Ok(())
    }

    fn set(&mut self, key: Vec<u8>) {
        self.pending.insert(key, Some(Vec::new()));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.pending.insert(key, None);
    }

    fn counters(&mut self, mailbox: &MailboxId) -> &mut MailboxOccupancy {
        self.dirty.insert(mailbox.clone());
        self.mailboxes.entry(mailbox.clone()).or_default()
    }

    fn next_due(&self, index: &dyn Index, mailbox: &MailboxId) -> Result<Option<Timestamp>, IndexError> {
        if self.is_strict(mailbox) {
            return Ok(self.first_waiting(index, mailbox)?.and_then(|row| row.due()));
        }
        let prefix = keys::mailbox(kind::QUEUE, mailbox);
        let first = self.scan(index, &prefix, &keys::after(&prefix), Order::Ascending, 1)?;
        Ok(first.first().and_then(|(key, _)| keys::due_of(key)))
    }
}

/// Visits all rows of a kind, a page at a time.
pub(crate) fn for_each(
    index: &dyn Index,
    kind: u8,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    let mut from = vec![kind];
    loop {
        let page = index.scan(&from, &[kind + 1], Order::Ascending, PAGE)?;
        for (key, value) in &page {
            visit(key, value)?;
        }
        match page.last() {
            Some((key, _)) if page.len() == PAGE => {
                from = key.clone();
                from.push(0);
            }
            Some(_) | None => return Ok(()),
        }
    }
}
