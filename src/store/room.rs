//! Room, made while no commands wait. Near the disk's floor, delivered payloads go before their time: they are kept for
//! convenience, while mail that cannot come in is lost after five days (I7). The oldest go first, up to the mark at
//! which intake opens again, and no more before what went first has left the disk.

use std::time::Duration;

use super::committer::{Committer, Moment, Stop};
use super::index::Order;
use super::index::keys::{self, kind};
use super::retention::PURGES;
use super::state::{Ending, Expiring, Place, Row};
use crate::ports::disk::{Mark, Shortage};
use crate::ports::store::Location;

/// Rows looked at in one commit: dead letters near their end may stand between, or refusals.
const LOOKED_AT: usize = 256;

/// How far making room has come.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// What there was too little of at the last look.
    shortage: Option<Shortage>,
    /// Where the last commit's look at payloads to purge ended.
    from: Option<Vec<u8>>,
}

impl Committer {
    /// Whether there was too little room at the last look.
    pub fn is_short(&self) -> bool {
        self.search.shortage.is_some()
    }

    /// Compacts volumes; if that frees nothing now and there is a shortage, purges delivered payloads early.
    pub(super) fn make_room(&mut self, moment: Moment) -> Result<(), Stop> {
        let shortage = self.shortage();
        self.search.shortage = shortage;
        let is_moving = self.compact(moment, shortage)?;
        match shortage {
            None => self.search.from = None,
            Some(_) if is_moving || self.is_removing()? => {}
            Some(shortage) => self.purge_early(moment, shortage)?,
        }
        Ok(())
    }

    /// Purges delivered payloads that relieve the shortage: a part of them, the next commit goes on.
    fn purge_early(&mut self, moment: Moment, shortage: Shortage) -> Result<(), Stop> {
        let last = moment.now.plus(self.settings.retention.delivered);
        let to = keys::purge_until(last.plus(Duration::from_millis(1)));
        let from = self.search.from.take().unwrap_or_else(|| vec![kind::PURGE]);
        let rows = self.state.scan(self.index.as_ref(), &from, &to, Order::Ascending, LOOKED_AT)?;
        let is_last_page = rows.len() < LOOKED_AT;
        let mut purged = 0;
        for (mut key, value) in rows {
            if purged == PURGES {
                self.search.from = Some(key);
                return Ok(());
            }
            if let Expiring::Delivery(id) = keys::decode(&value)?
                && let Some(row) = self.state.row(self.index.as_ref(), id)?
                && relieves(&row, shortage)
                && !self.may_not_go(&row)
            {
                self.record_purge(moment, row, None)?;
                purged += 1;
            }
            key.push(0);
            self.search.from = Some(key);
        }
        if is_last_page {
            self.search.from = None;
        }
        Ok(())
    }

    /// What the state's disk is short of. One that does not say how full it is counts as roomy here: admission takes
    /// it for full.
    fn shortage(&self) -> Option<Shortage> {
        let space = self.disk.space(&self.settings.directory).ok()?;
        self.settings.floor.shortage(&space, Mark::High)
    }
}

/// A volume is one file for thousands of messages: against a shortage of inodes only chunk directories count.
fn relieves(row: &Row, shortage: Shortage) -> bool {
    let is_delivered = matches!(row.place, Place::Ended { how: Ending::Delivered, .. });
    let counts = match (shortage, &row.delivery.location) {
        (Shortage::Bytes, _) | (Shortage::Inodes, Location::Parts { .. }) => true,
        (Shortage::Inodes, Location::Group { .. }) => false,
    };
    is_delivered && counts
}
