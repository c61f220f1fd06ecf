//! The threads of one output root: what hangs there holds these, and nobody else's.
//!
//! A system call on a dead network mount ends when the mount does, and nothing can end it before. So whoever asks
//! waits for a limited time and then lets go; the thread runs on, and until it has ended the root takes nothing new.
//!
//! Waits are on the operating system's monotonic clock, as any thread's are.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The threads of one root.
pub(super) struct Hands {
    shared: Arc<Shared>,
    /// Calls under way at once, at most; so many threads, too.
    most: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Given to the threads, and not begun.
    tasks: VecDeque<Box<dyn FnOnce() + Send>>,
    threads: usize,
    /// Threads without a task.
    idle: usize,
    /// Calls that have not ended.
    under_way: usize,
    /// Those of them whose answer nobody waits for any longer.
    let_go: usize,
    /// No more tasks will come.
    is_closed: bool,
}

/// Why a call was not answered.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Just now it took longer than it may.
    LetGo,
    /// So many calls that were let go have not ended yet: nothing was begun.
    Hangs(usize),
    /// All hands are full, and stayed so for a while: nothing was begun.
    Busy,
    /// Our own machine has no thread for it: nothing was begun.
    NoThread(io::Error),
}

/// A call under way.
pub(super) struct Waiting<T> {
    shared: Arc<Shared>,
    answers: Receiver<Result<T, Box<dyn Any + Send>>>,
    until: Instant,
    is_answered: bool,
}

impl Hands {
    pub(super) fn new(most: usize) -> Self {
        Self { shared: Arc::default(), most: most.max(1) }
    }

    /// Begins a call as soon as a hand is free, which may take until `place_limit`.
    ///
    /// An answer that comes after `limit` goes to `keep`, before the root takes anything new.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        place_limit: Duration,
        limit: Duration,
        call: impl FnOnce() -> T + Send + 'static,
        keep: impl FnOnce(T) + Send + 'static,
    ) -> Result<Waiting<T>, Unanswered> {
        // Without room between: an answer that was sent was taken, and nobody lets go of one that was sent.
        let (answer, answers) = sync_channel(0);
        let shared = Arc::clone(&self.shared);
        let task = move || {
            let was_let_go = match answer.send(catch_unwind(AssertUnwindSafe(call))) {
                Ok(()) => false,
                Err(SendError(late)) => {
                    // A late panic left nothing to keep.
                    if let Ok(late) = late {
                        keep(late);
                    }
                    true
                }
            };
            shared.ended(was_let_go);
        };
        self.give(place_limit, Box::new(task))?;
        Ok(Waiting { shared: Arc::clone(&self.shared), answers, until: Instant::now() + limit, is_answered: false })
    }

    /// Waits for a free hand, and gives it the task.
    fn give(&self, place_limit: Duration, task: Box<dyn FnOnce() + Send>) -> Result<(), Unanswered> {
        let until = Instant::now() + place_limit;
        let mut state = self.shared.state();
        loop {
            if state.let_go > 0 {
                return Err(Unanswered::Hangs(state.let_go));
            }
            if state.under_way < self.most {
                break;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unanswered::Busy);
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        // With as many threads as places there is one for the task, or will be in an instant.
        if state.idle <= state.tasks.len() && state.threads < self.most {
            let shared = Arc::clone(&self.shared);
            let spawned = std::thread::Builder::new().name("output".into()).spawn(move || shared.work());
            spawned.map_err(Unanswered::NoThread)?;
            state.threads += 1;
        }
        state.under_way += 1;
        state.tasks.push_back(task);
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.shared.state().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's life.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(task) = state.tasks.pop_front() {
                drop(state);
                task();
                state = self.state();
            } else if state.is_closed {
                return;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn ended(&self, was_let_go: bool) {
        let mut state = self.state();
        state.under_way -= 1;
        state.let_go -= usize::from(was_let_go);
        drop(state);
        self.changed.notify_all();
    }
}

impl<T> Waiting<T> {
    /// Its answer. If it panicked, so does this.
    pub(super) fn wait(mut self) -> Result<T, Unanswered> {
        match self.answers.recv_timeout(self.until.saturating_duration_since(Instant::now())) {
            Ok(answer) => {
                self.is_answered = true;
                answer.or_else(|panic| resume_unwind(panic))
            }
            Err(_) => Err(Unanswered::LetGo),
        }
    }
}

impl<T> Drop for Waiting<T> {
    /// Counted before the thread can learn that nobody waits.
    fn drop(&mut self) {
        if !self.is_answered {
            self.shared.state().let_go += 1;
        }
    }
}
