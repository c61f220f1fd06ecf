//! A file system that does not answer is told of: nothing else can be done about it but to wait.
//!
//! A share whose server went away lets neither read nor look come to an end. So while a turn goes on, whether anything
//! gets done is counted, and a turn that does nothing for [`PATIENCE`] is an obstacle, until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::domain::fault::FaultCode;
use crate::domain::ids::MailboxId;
use crate::ports::clock::Clock;
use crate::ports::obstacles::{At, Obstacles};

/// So long may nothing be done.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Counts what gets done.
#[derive(Debug, Clone, Default)]
pub(super) struct Beat(Arc<AtomicU64>);

impl Beat {
    /// A slice was read, or a file looked at or moved.
    pub(super) fn strike(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Watches over the turns of one mailbox.
pub(super) struct Vigil {
    pub(super) mailbox: MailboxId,
    pub(super) obstacles: Obstacles,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) beat: Beat,
    pub(super) patience: Duration,
}

impl Vigil {
    /// Waits for a turn, and tells if it stalls. Whoever ends the turn clears that.
    pub(super) async fn over<T>(&self, turn: impl Future<Output = T>) -> T {
        tokio::pin!(turn);
        let mut last = self.beat.0.load(Ordering::Relaxed);
        loop {
            tokio::select! {
                came = &mut turn => return came,
                () = tokio::time::sleep(self.patience) => {}
            }
            let now = self.beat.0.load(Ordering::Relaxed);
            if now == last {
                self.tell();
            }
            last = now;
        }
    }

    fn tell(&self) {
        let at = At::Pickup(self.mailbox.clone());
        let code = FaultCode::OutHung.as_str();
        let detail = format!("nothing was done for {} s: does the file system answer?", self.patience.as_secs());
        if !self.obstacles.has(&at) {
            tracing::error!(mailbox = %self.mailbox, code, detail, "pairs in OUT are not picked up");
        }
        self.obstacles.put(at, code, detail, self.clock.wall());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    struct Still;

    impl Clock for Still {
        fn wall(&self) -> Timestamp {
            Timestamp(1)
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn vigil() -> Vigil {
        Vigil {
            mailbox: MailboxId::new("X26ABC1").expect("a mailbox id"),
            obstacles: Obstacles::default(),
            clock: Arc::new(Still),
            beat: Beat::default(),
            patience: Duration::from_millis(100),
        }
    }

    #[tokio::test]
    async fn a_turn_in_which_nothing_is_done_is_told_of() {
        let vigil = vigil();
        vigil.over(tokio::time::sleep(Duration::from_millis(350))).await;
        let told = vigil.obstacles.all();
        assert_eq!(told.iter().map(|one| one.code.as_str()).collect::<Vec<_>>(), ["OUT-HUNG"]);
    }

    #[tokio::test]
    async fn a_long_turn_in_which_much_is_done_is_not() {
        let vigil = vigil();
        let beat = vigil.beat.clone();
        let turn = async move {
            for _ in 0..70 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                beat.strike();
            }
        };
        vigil.over(turn).await;
        assert!(vigil.obstacles.all().is_empty());
    }
}
