//! Can mail be taken in? Looked at every second, so that no answer is older than a few.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::envelope::MessageKind;
use crate::domain::fault::FaultCode;
use crate::domain::ids::MailboxId;
use crate::ports::clock::Clock;
use crate::ports::obstacles::{At, Obstacles};
use crate::ports::operations::Phase;
use crate::ports::store::{MailboxSuspension, Store};
use crate::receive::admission::Admission;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A commit that takes longer keeps nothing for now: an ordinary one takes milliseconds.
const COMMIT_LIMIT: Duration = Duration::from_secs(2);
/// A look older than this means that nobody looks any more. With the two above: five seconds to the truth.
const STALE: Duration = Duration::from_secs(4);

/// A limit that is reached, as a code beside those of `deadletter/reasons.toml`.
const NO_ROOM: &str = "NO-ROOM";

/// An operator has a mailbox rest: likewise.
const MAILBOX_SUSPENDED: &str = "MAILBOX-SUSPENDED";

/// What is looked at.
pub(super) struct Watched {
    pub(super) store: Arc<dyn Store>,
    pub(super) admission: Arc<Admission>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) obstacles: Obstacles,
    pub(super) mailboxes: Vec<MailboxId>,
}

/// When was last looked, on the monotonic clock; `None` before the first time.
pub(super) type Looked = Option<Duration>;

/// Looks until `stop`. Obstacles of the store and at the doors are put and cleared here.
pub(super) async fn watch(watched: Watched, looked: watch::Sender<Looked>, stop: CancellationToken) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        watched.look().await;
        looked.send_replace(Some(watched.clock.monotonic()));
    }
}

impl Watched {
    async fn look(&self) {
        let now = self.clock.wall();
        let code = FaultCode::StoreFailed.as_str();
        match timeout(COMMIT_LIMIT, self.store.barrier()).await {
            Ok(Ok(())) => self.obstacles.clear(&At::Store),
            Ok(Err(halt)) => self.obstacles.put(At::Store, code, halt.to_string(), now),
            Err(_) => {
                let detail = format!("nothing was committed for {} s", COMMIT_LIMIT.as_secs());
                self.obstacles.put(At::Store, code, detail, now);
            }
        }
        let occupancy = self.store.occupancy();
        for mailbox in &self.mailboxes {
            let at = At::Door(mailbox.clone());
            if let Some(MailboxSuspension { since, by, why }) = occupancy.suspension(mailbox) {
                let detail = format!("{by} suspended the mailbox: {}", why.as_str());
                self.obstacles.put(at, MAILBOX_SUSPENDED, detail, *since);
                continue;
            }
            match self.admission.open(mailbox, MessageKind::Data) {
                Ok(()) => self.obstacles.clear(&at),
                Err(closed) => self.obstacles.put(at, NO_ROOM, closed.to_string(), now),
            }
        }
    }
}

/// Can at least one of `mailboxes` take mail in?
pub(super) fn is_ready<'a>(
    phase: Phase,
    now: Duration,
    looked: Looked,
    obstacles: &Obstacles,
    mailboxes: impl IntoIterator<Item = &'a MailboxId>,
) -> bool {
    let is_fresh = looked.is_some_and(|looked| now.saturating_sub(looked) < STALE);
    let all: BTreeSet<At> = obstacles.all().into_iter().map(|obstacle| obstacle.at).collect();
    let is_free = |id: &MailboxId| [At::Door(id.clone()), At::Mesh(id.clone())].iter().all(|at| !all.contains(at));
    phase == Phase::Running && is_fresh && !all.contains(&At::Store) && mailboxes.into_iter().any(is_free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn ready_means_that_some_mailbox_takes_mail_in_now() {
        let mailboxes = ["A", "B"].map(|id| MailboxId::new(id).expect("an id"));
        let at = Duration::from_secs;
        let ready = |phase, looked, obstacles: &Obstacles| is_ready(phase, at(10), looked, obstacles, &mailboxes);
        let none = Obstacles::default();
        assert!(ready(Phase::Running, Some(at(9)), &none));
        assert!(!ready(Phase::Running, Some(at(6)), &none), "nobody looked for four seconds");
        assert!(!ready(Phase::Running, None, &none), "nobody ever looked");
        assert!(!ready(Phase::Starting, Some(at(9)), &none));
        assert!(!ready(Phase::Stopping, Some(at(9)), &none));

        let some = Obstacles::default();
        let [a, b] = mailboxes.clone();
        some.put(At::Door(a), NO_ROOM, "", Timestamp(0));
        assert!(ready(Phase::Running, Some(at(9)), &some), "B has room");
        some.put(At::Mesh(b.clone()), "MESH-AUTH", "", Timestamp(0));
        assert!(!ready(Phase::Running, Some(at(9)), &some), "neither takes mail in");
        some.clear(&At::Mesh(b));
        some.put(At::Store, "STORE-FAILED", "", Timestamp(0));
        assert!(!ready(Phase::Running, Some(at(9)), &some), "nothing is kept");
    }
}
