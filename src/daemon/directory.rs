//! What MESH said of other organisations' mailboxes, remembered for a while: they change seldom, and MESH is not to be
//! asked for each message.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::ports::clock::Clock;
use crate::ports::directory::{Directory, Endpoint, Endpoints, Wanted};
use crate::ports::inbox::Answer;

/// What is older is asked for again.
const OLDEST: Duration = Duration::from_secs(3_600);
/// No more is remembered.
const MOST: usize = 1_000;

/// Remembers what another directory said.
pub(super) struct Remembered {
    asked: Arc<dyn Directory>,
    clock: Arc<dyn Clock>,
    known: Mutex<BTreeMap<Wanted, (Vec<Endpoint>, Duration)>>,
}

impl Remembered {
    /// Nothing is known yet.
    pub(super) fn new(asked: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Self {
        Self { asked, clock, known: Mutex::default() }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Wanted, (Vec<Endpoint>, Duration)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory for Remembered {
    fn look_up<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Endpoints> {
        Box::pin(async move {
            let now = self.clock.monotonic();
            if let Some((found, at)) = self.known().get(wanted) {
                let age = now.saturating_sub(*at);
                if age < OLDEST {
                    return Ok(Endpoints { found: found.clone(), age_seconds: age.as_secs() });
                }
            }
            let endpoints = self.asked.look_up(wanted).await?;
            let mut known = self.known();
            known.retain(|_, (_, at)| now.saturating_sub(*at) < OLDEST);
            if known.len() >= MOST {
                known.clear();
            }
            // Nobody registered is what somebody may be mending just now.
            if !endpoints.found.is_empty() {
                known.insert(wanted.clone(), (endpoints.found.clone(), now));
            }
            Ok(endpoints)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    use super::*;
    use crate::domain::ids::{MailboxId, WorkflowId};
    use crate::domain::time::Timestamp;

    struct Hands(AtomicU64);

    impl Clock for Hands {
        fn wall(&self) -> Timestamp {
            Timestamp(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    /// Knows one organisation, and counts.
    #[derive(Default)]
    struct Far(AtomicU32);

    impl Directory for Far {
        fn look_up<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Endpoints> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let mailbox = MailboxId::new("X26ABC2").expect("a mailbox id");
            let found = Endpoint { mailbox, name: String::new() };
            let found = if wanted.organisation == "X26" { vec![found] } else { Vec::new() };
            Box::pin(async { Ok(Endpoints { found, age_seconds: 0 }) })
        }
    }

    #[tokio::test]
    async fn what_was_found_is_remembered_for_an_hour_and_what_was_not_is_asked_again() {
        let (far, clock) = (Arc::new(Far::default()), Arc::new(Hands(AtomicU64::new(10))));
        let known = Remembered::new(Arc::clone(&far) as Arc<dyn Directory>, Arc::clone(&clock) as Arc<dyn Clock>);
        let of = |organisation: &str| Wanted {
            organisation: organisation.to_owned(),
            workflow: WorkflowId::new("W").expect("a workflow id"),
        };
        for (at, organisation, age, asked) in [
            (10, "X26", 0, 1),
            (1_000, "X26", 990, 1),
            (1_000, "Y00", 0, 2),
            (1_001, "Y00", 0, 3),
            (3_610, "X26", 0, 4),
        ] {
            clock.0.store(at, Ordering::Relaxed);
            let found = known.look_up(&of(organisation)).await.expect("it answers");
            assert_eq!(found.age_seconds, age, "{organisation} at {at}");
            assert_eq!(far.0.load(Ordering::Relaxed), asked, "{organisation} at {at}");
        }
    }
}
