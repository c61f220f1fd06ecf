//! After an unclean end: what was started and not settled runs first, one at a time, with nothing else leased (I10).
//!
//! If the daemon dies during such a solo run, that death is the delivery's own and the store counts it.
//! The store hands out one with a death of its own only once the run is calm; other work goes on until then.
//! A delivery with [`SOLO_DEATHS`] of them is not started again (see `round`): it is poison.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::away::Away;
use super::worker::Desk;
use super::{Work, WorkError};
use crate::domain::ids::MailboxId;
use crate::ports::store::LeaseWish;

/// So many deaths of the daemon during solo runs make a delivery poison.
pub(super) const SOLO_DEATHS: u32 = 2;

/// The store counts suspects it does not hand out until it has taken back dropped leases, a matter of one commit, and
/// until this run is calm if they have a death of their own. Other work goes on meanwhile.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Runs every suspect by itself. Returns when none is left or handed out, or on cancellation between two of them.
pub(super) async fn run_alone(
    work: &Work,
    desk: &Arc<Desk>,
    away: &mut Away,
    cancel: &CancellationToken,
) -> Result<(), WorkError> {
    let mut watch = work.store.watch();
    loop {
        let occupancy = watch.borrow_and_update().clone();
        if occupancy.suspects == 0 || cancel.is_cancelled() {
            return Ok(());
        }
        let mut was_given = false;
        let mut pause = None;
        for mailbox in occupancy.mailboxes.keys() {
            if cancel.is_cancelled() {
                return Ok(());
            }
            let Some(is_short) = run_one(work, desk, away, mailbox).await? else { continue };
            was_given = true;
            pause = is_short.then_some(work.settings.local_pause);
            if is_short {
                break;
            }
        }
        if !was_given {
            return Ok(());
        }
        if let Some(pause) = pause {
            tokio::select! {
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// Runs one suspect of a mailbox, if it has one, and says whether our own machine was short of something.
async fn run_one(
    work: &Work,
    desk: &Arc<Desk>,
    away: &mut Away,
    mailbox: &MailboxId,
) -> Result<Option<bool>, WorkError> {
    let wish = LeaseWish { mailbox: mailbox.clone(), count: 1, bytes: work.settings.batch_bytes, suspects: true };
    let leases = work.store.lease(wish).await?;
    if leases.is_empty() {
        return Ok(None);
    }
    let end = Arc::clone(desk).work(leases).await?;
    away.notice(mailbox, &end);
    Ok(Some(end.is_short))
}
