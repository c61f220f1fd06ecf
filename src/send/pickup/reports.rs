//! Reports about pairs that stay in `OUT` for now: each is owed until it is written.

use std::sync::Arc;

use super::{Pickup, told, unblocked};
use crate::domain::fault::Fault;
use crate::ports::pairs::{PairSeen, Report};
use crate::ports::store::{Halt, Sent};
use crate::send::control;

impl Pickup {
    /// Owes what is told of those that have to wait.
    pub(super) async fn owe_delays(&mut self, delayed: Vec<(PairSeen, Sent)>) -> Result<(), Halt> {
        for (pair, sent) in delayed {
            let Some(file) = &pair.control else { continue };
            let Some(bytes) = self.control_bytes(file).await? else { continue };
            let Ok(control) = control::read(&bytes) else { continue };
            let why = sent.reason.as_ref().map_or("", |reason| reason.detail.as_str());
            let told = told::delayed(why, self.parts.clock.wall());
            self.owed.push((pair, control, told));
        }
        Ok(())
    }

    /// Writes the reports of what was taken. What cannot be written is tried again.
    pub(super) async fn report_owed(&mut self) -> Result<Result<(), Fault>, Halt> {
        if self.owed.is_empty() {
            return Ok(Ok(()));
        }
        let (pairs, owed) = (Arc::clone(&self.parts.pairs), std::mem::take(&mut self.owed));
        let (written, owed) = unblocked(move || {
            let reports: Vec<Report<'_>> =
                owed.iter().map(|(pair, control, told)| Report { pair, control, told }).collect();
            let written = pairs.report(&reports);
            (written, owed)
        })
        .await?;
        if written.is_err() {
            self.owed = owed;
        }
        Ok(written)
    }
}
