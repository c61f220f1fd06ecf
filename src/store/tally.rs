//! What is kept for how long, for people: retention itself works at each commit, and asks nobody.

use super::committer::{Committer, Stop};
use super::journal::segment::{Name, Reader};
use super::journal::segments;
use crate::domain::time::Timestamp;
use crate::ports::store::{FoundRetention, Halt, RetentionPage, Stock};

impl Committer {
    /// Counts some deliveries; with the last of them, what else is kept.
    pub(super) fn tally(&self, page: &RetentionPage) -> Result<FoundRetention, Stop> {
        let until = self.own_time(page.until);
        let (mut tallies, rest) = self.state.tally(self.index.as_ref(), page.after, until)?;
        for tally in &mut tallies {
            tally.next = tally.next.map(|next| self.time.wall_of(next));
        }
        let (segments, seen) = match rest {
            Some(_) => (Stock::default(), Stock::default()),
            None => (self.segments()?, self.seen()),
        };
        Ok(FoundRetention { tallies, rest, segments, seen })
    }

    /// A time of the wall clock in the store's own.
    fn own_time(&self, wall: Timestamp) -> Timestamp {
        let now = self.time.now();
        Timestamp(now.0.saturating_add(wall.0.saturating_sub(self.time.wall_of(now).0)))
    }

    fn segments(&self) -> Result<Stock, Stop> {
        let directory = self.journal.directory();
        let names = segments(self.disk.as_ref(), directory)?;
        let mut stock = Stock { count: names.len() as u64, ..Stock::default() };
        for name in &names {
            let entry = self.disk.entry(&name.path(directory));
            let entry = entry.map_err(|error| Halt(format!("look at a journal segment: {error}")))?;
            stock.bytes += entry.map_or(0, |entry| entry.length);
        }
        let begun = |name: &Name| {
            let reader = Reader::open(self.disk.as_ref(), directory, name);
            let reader = reader.map_err(|trouble| Halt(format!("read a journal header: {trouble}")))?;
            Ok::<_, Stop>((reader.header().wall, reader.header().time))
        };
        stock.oldest = names.first().map(begun).transpose()?.map(|(wall, _)| wall);
        // One was closed when the next was begun.
        let closed = names.get(1).map(begun).transpose()?.map(|(_, time)| time);
        stock.next = closed.map(|closed| self.time.wall_of(closed.plus(self.settings.retention.journal)));
        Ok(stock)
    }

    fn seen(&self) -> Stock {
        let (count, bytes, closed) = self.seen.stock();
        let next = closed.map(|closed| self.time.wall_of(closed.plus(self.settings.retention.seen)));
        Stock { count, bytes, oldest: None, next }
    }
}
