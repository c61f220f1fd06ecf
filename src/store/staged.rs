//! Which files in staging folders are still needed: what a start asks before it removes the others.

use std::collections::HashSet;

use super::committer::Committer;
use super::index::IndexError;
use super::index::keys::{self, kind};
use super::state::for_each;
use crate::domain::ids::DeliveryId;
use crate::domain::output::Progress;
use crate::ports::store::Halt;

impl Committer {
    /// The temp names of all sets that are staged and not yet published.
    ///
    /// Reads no more rows than there are such deliveries, however long the queue is.
    pub(super) fn staged_names(&mut self) -> Result<HashSet<String>, Halt> {
        self.read_staged().map_err(|error| {
            self.index.condemn();
            Halt(error.to_string())
        })
    }

    fn read_staged(&self) -> Result<HashSet<String>, IndexError> {
        let mut ids = Vec::new();
        for_each(self.index.as_ref(), kind::STAGED, |key, _| {
            ids.extend(keys::number_of(key).map(DeliveryId));
            Ok(())
        })?;
        let mut names = HashSet::new();
        for id in ids {
            let Some(row) = self.state.row(self.index.as_ref(), id)? else { continue };
            for output in row.delivery.outputs {
                match output.progress {
                    Progress::Staged(set) => names.extend(set.files.into_iter().map(|file| file.temp)),
                    Progress::Planned | Progress::Published(_) | Progress::Held(_) | Progress::Reopened(_) => {}
                }
            }
        }
        Ok(names)
    }
}
