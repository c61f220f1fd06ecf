//! An index in memory, for tests and simulations only: it forgets what was not synced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Index, IndexError, Order, Pair};

/// A map, and what of it would survive a power cut. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now: BTreeMap<Vec<u8>, Vec<u8>>,
    durable: BTreeMap<Vec<u8>, Vec<u8>>,
    since: Vec<Batch>,
    power: Power,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Power {
    #[default]
    On,
    /// On for so many batches more.
    Ending(usize),
    Off,
}

impl Memory {
    /// Loses power: of the batches since the last sync the first `kept` survive.
    pub fn crash(&self, kept: usize) {
        let mut inner = self.lock();
        let mut survived = inner.durable.clone();
        inner.since.iter().take(kept).for_each(|batch| write(&mut survived, batch));
        inner.durable = survived.clone();
        inner.now = survived;
        inner.since.clear();
        inner.power = Power::On;
    }

    /// The machine goes off before the batch after the next `batches`, and stays off until [`Memory::crash`].
    pub fn stop_after(&self, batches: usize) {
        self.lock().power = Power::Ending(batches);
    }

    /// Goes back to `rows`, as a restored copy would.
    pub fn restore(&self, rows: &[Pair]) {
        let rows: BTreeMap<_, _> = rows.iter().cloned().collect();
        *self.lock() = Inner { now: rows.clone(), durable: rows, ..Inner::default() };
    }

    /// Loses everything.
    pub fn burn(&self) {
        *self.lock() = Inner::default();
    }

    /// How many batches a crash would lose.
    pub fn unsynced(&self) -> usize {
        self.lock().since.len()
    }

    /// All rows, in order.
    pub fn rows(&self) -> Vec<Pair> {
        self.lock().now.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn powered(&self) -> Result<MutexGuard<'_, Inner>, IndexError> {
        let inner = self.lock();
        if inner.power == Power::Off { Err(IndexError("machine is off".into())) } else { Ok(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(map: &mut BTreeMap<Vec<u8>, Vec<u8>>, batch: &Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}

impl Index for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.powered()?.now.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<Pair>, IndexError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let inner = self.powered()?;
        let range = inner.now.range(from.to_vec()..to.to_vec()).map(|(key, value)| (key.clone(), value.clone()));
        Ok(match order {
            Order::Ascending => range.take(limit).collect(),
            Order::Descending => range.rev().take(limit).collect(),
        })
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), IndexError> {
        let mut inner = self.powered()?;
        match &mut inner.power {
            Power::Ending(0) => {
                inner.power = Power::Off;
                return Err(IndexError("machine is off".into()));
            }
            Power::Ending(batches) => *batches -= 1,
            Power::On | Power::Off => {}
        }
        write(&mut inner.now, batch);
        inner.since.push(batch.clone());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), IndexError> {
        let mut inner = self.powered()?;
        let since = std::mem::take(&mut inner.since);
        since.iter().for_each(|batch| write(&mut inner.durable, batch));
        Ok(())
    }

    fn clear(&mut self) -> Result<(), IndexError> {
        let mut inner = self.powered()?;
        (inner.now, inner.durable, inner.since) = Default::default();
        Ok(())
    }

    fn condemn(&mut self) {
        // Off, it cannot be marked any more.
        drop(self.clear());
    }
}
