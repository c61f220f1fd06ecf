//! Tasks that belong together: begun together, watched, ended together.
//!
//! Each has a name, because whoever waits for it says so. One that ends unasked, or panics, is news.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Stop;

/// How often a stop says what it waits for.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// How one task ended.
pub(super) type End = (String, Result<(), Stop>);

/// Tasks that belong together.
pub(super) struct Crew {
    tracker: TaskTracker,
    token: CancellationToken,
    ends: FuturesUnordered<BoxFuture<'static, End>>,
    working: BTreeMap<String, AbortHandle>,
}

/// Did all tasks end in time?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// All of them, in order.
    Whole,
    /// Some were cut off.
    Cut,
}

impl Crew {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self {
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
            ends: FuturesUnordered::new(),
            working: BTreeMap::new(),
        }
    }

    /// What tells the tasks to end.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Begins a task.
    pub(super) fn add(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = Result<(), Stop>> + Send + 'static,
    ) {
        let name = name.into();
        let handle = self.tracker.spawn(task);
        self.working.insert(name.clone(), handle.abort_handle());
        self.ends.push(Box::pin(async move {
            let end =
                handle.await.unwrap_or_else(|error| Err(Stop::Failed(anyhow::anyhow!("the task ended: {error}"))));
            (name, end)
        }));
    }

    /// The next task that ends; never, when there is none. Cancelling the wait loses none.
    pub(super) async fn next_end(&mut self) -> End {
        match self.ends.next().await {
            Some(end) => {
                self.working.remove(&end.0);
                end
            }
            None => std::future::pending().await,
        }
    }

    /// Tells all tasks to end, and waits; what has not ended within `limit` is cut off. One that fails meanwhile keeps
    /// none of the others from its end; the first failure is the answer then.
    pub(super) async fn drain(&mut self, what: &str, limit: Duration) -> Result<Drained, Stop> {
        self.token.cancel();
        let (mut drained, mut failure) = (Drained::Whole, None);
        let deadline = Instant::now() + limit;
        let mut say = Instant::now() + SAY_EVERY;
        while !self.working.is_empty() {
            match timeout_at(say.min(deadline), self.next_end()).await {
                Ok((_, Ok(()))) => {}
                Ok((name, Err(error))) => {
                    tracing::error!(task = name, %error, "a task failed while it was ended");
                    failure = failure.or(Some(error));
                }
                Err(_) if Instant::now() < deadline => {
                    say += SAY_EVERY;
                    let names: Vec<&str> = self.working.keys().map(String::as_str).collect();
                    tracing::info!(what, tasks = names.join(" "), "waiting");
                    super::notify::status(&format!("stopping: waiting for {what}: {}", names.join(" ")));
                }
                Err(_) => {
                    for (name, task) in std::mem::take(&mut self.working) {
                        tracing::warn!(task = name, "cut off a task that did not end in time");
                        task.abort();
                    }
                    drained = Drained::Cut;
                }
            }
        }
        failure.map_or(Ok(drained), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
    }

    #[test]
    fn tasks_end_when_told_and_the_slow_ones_are_cut_off() {
        runtime().block_on(async {
            let mut crew = Crew::new();
            let token = crew.token();
            crew.add("obedient", async move {
                token.cancelled().await;
                Ok(())
            });
            assert_eq!(crew.drain("tasks", Duration::from_secs(60)).await.expect("no failure"), Drained::Whole);

            let mut crew = Crew::new();
            crew.add("deaf", std::future::pending());
            assert_eq!(crew.drain("tasks", Duration::from_secs(60)).await.expect("no failure"), Drained::Cut);
        });
    }

    #[test]
    fn a_task_that_fails_while_it_is_ended_is_told_and_the_others_still_end() {
        runtime().block_on(async {
            let mut crew = Crew::new();
            let (ended, token) = (std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)), crew.token());
            crew.add("broken", async { Err(Stop::Failed(anyhow::anyhow!("as a test"))) });
            let sees = std::sync::Arc::clone(&ended);
            crew.add("sound", async move {
                token.cancelled().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                sees.store(true, std::sync::atomic::Ordering::Release);
                Ok(())
            });
            assert!(matches!(crew.drain("tasks", Duration::from_secs(60)).await, Err(Stop::Failed(_))));
            assert!(ended.load(std::sync::atomic::Ordering::Acquire));
        });
    }

    #[test]
    fn a_task_that_panics_is_news_with_its_name() {
        runtime().block_on(async {
            let mut crew = Crew::new();
            crew.add("sound", std::future::pending());
            crew.add("broken", async { panic!("as a test") });
            let (name, end) = crew.next_end().await;
            assert_eq!(name, "broken");
            assert!(matches!(end, Err(Stop::Failed(_))));
        });
    }
}
