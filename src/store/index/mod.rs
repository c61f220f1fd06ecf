//! The index: the queue made from the journal, and the truth of nothing (I9).
//!
//! One ordered map of bytes to bytes; [`keys`] says what lies where. A transition is one [`Batch`], kept whole or not
//! at all. What it holds it got from journal records that were already durable, so it can be behind the journal,
//! never ahead; whatever it lost is applied again at the next start, and all of it can be made anew.
//!
//! **A departure:** it is not synced at each commit but once a second and at an orderly stop. The journal is
//! synced before a batch is applied, so a lost tail of the index costs the next start some milliseconds of replay,
//! while a sync of the index at each commit would cost every commit about as much as the journal's own.
//!
//! Ids of messages that ended are not here: they would outnumber the queue by far. See `journal::seen`.

pub mod keys;
#[cfg(any(test, feature = "simulator"))]
pub mod memory;
pub mod sled;

use std::collections::BTreeMap;

/// Rows to set, and to remove where the value is `None`.
pub type Batch = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Least key first.
    Ascending,
    /// Greatest key first.
    Descending,
}

/// An ordered map that applies batches atomically. One thread owns it; all calls block.
pub trait Index: Send {
    /// The value at `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;
    /// Up to `limit` pairs with `from <= key < to`, read at once: no iterator outlives the call.
    fn scan(&self, from: &[u8], to: &[u8], order: Order, limit: usize) -> Result<Vec<Pair>, IndexError>;
    /// Applies all of `batch` or nothing of it. Durable only after [`Index::sync`].
    fn apply(&mut self, batch: &Batch) -> Result<(), IndexError>;
    /// Durable on return: everything applied before. A failure is final.
    fn sync(&mut self) -> Result<(), IndexError>;
    /// Puts what is there aside and starts empty, for a rebuild.
    fn clear(&mut self) -> Result<(), IndexError>;
    /// Has the next opening start empty, because this one met damage.
    fn condemn(&mut self);
}

/// The index failed or holds what cannot be read. It is rebuilt at the next start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("index: {0}")]
pub struct IndexError(pub String);
