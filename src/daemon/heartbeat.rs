//! What happens by the clock: proof of progress, clock steps, the certificate's end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::clock::StepWatch;
use super::notify;
use crate::ports::clock::Clock;
use crate::ports::operations::{Operations, Status};
use crate::ports::store::{Halt, Note, Store};

/// Without a watchdog the clock is looked at, and the status line written, this often.
const BEAT: Duration = Duration::from_secs(10);

/// From then on it is said each day: a new certificate takes NHS about five working days (mesh-api 2).
const WARN_DAYS: i64 = 30;

/// Beats until `stop`. Each beat waits for the store, so that a committer that no longer commits is noticed.
pub(super) async fn beat(
    store: Arc<dyn Store>,
    operations: Arc<dyn Operations>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> Result<(), Halt> {
    let every = notify::watchdog_limit().map_or(BEAT, |limit| BEAT.min(limit / 3));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut steps = StepWatch::new(&*clock);
    let mut said = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        store.barrier().await?;
        notify::watchdog();
        let status = operations.status();
        notify::status(&line(&status));
        if let Some(milliseconds) = steps.look(&*clock) {
            tracing::warn!(milliseconds, "the wall clock was moved");
            store.note(Note::ClockStep { milliseconds }).await?;
        }
        let today = status.now.utc().date_naive();
        if let Some(days) = status.certificate_days.filter(|days| *days < WARN_DAYS)
            && said != Some((today, days < 0))
        {
            said = Some((today, days < 0));
            if days < 0 {
                tracing::error!(days, "the client certificate has expired");
            } else {
                tracing::warn!(days, "the client certificate expires soon");
            }
        }
    }
}

/// One line for `systemctl status`.
pub(super) fn line(status: &Status) -> String {
    let (mut queued, mut aside, mut delivered) = (0, 0, 0);
    for mailbox in &status.mailboxes {
        let occupancy = &mailbox.occupancy;
        queued += occupancy.queued.messages;
        aside += occupancy.held.messages + occupancy.dead.messages;
        delivered += occupancy.delivered_total;
    }
    format!("{}: {queued} queued, {aside} held or dead, {delivered} delivered", status.phase.as_str())
}
