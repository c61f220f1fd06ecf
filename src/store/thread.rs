//! The committer's thread: takes what waits, commits it as one, answers all.
//!
//! There is no window and no timer between commits: the next group forms while the last one syncs. Acknowledges are
//! the exception: they are held back, answered at once, and ride with whatever comes next, or go after a second;
//! losing one only repeats it.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::command::{Answer, Command, SendCommand};
use super::committer::{Committer, MOST_BYTES, MOST_COMMANDS};
use super::kept::Kept;
use super::{StoreParts, journal::Head};
use crate::ports::spool::SMALL;
use crate::ports::store::{Halt, IncomingBody};

/// Requests that wait for the committer: two full commits, so that one forms while the other syncs.
const WAITING: usize = 2 * MOST_COMMANDS;
/// The committer looks this often for what is due by itself, with requests or without.
const TICK: Duration = Duration::from_secs(1);
/// The same while the disk is short of room.
const TICK_WHEN_SHORT: Duration = Duration::from_millis(100);

/// One command, and who waits for its answer.
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Result<Answer, Halt>>,
}

/// The running committer.
pub struct CommitterThread {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
    halted: watch::Receiver<Option<Halt>>,
    head: watch::Receiver<Head>,
    staged: HashSet<String>,
}

/// Recovers, then runs the store in a thread of its own.
pub fn open(parts: StoreParts) -> Result<(Kept, CommitterThread), Halt> {
    let head_interval = parts.settings.head_interval;
    let mut committer = Committer::open(parts)?;
    let staged = committer.staged_names()?;
    let (requests, waiting) = mpsc::channel(WAITING);
    let (stop, stopped) = oneshot::channel();
    let (halt, halted) = watch::channel(None);
    let (note_head, head) = watch::channel(committer.head());
    let kept = Kept { requests, occupancy: committer.watch(), halted: halted.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Halt(format!("start the committer's runtime: {error}")))?;
    let log = HeadLog { every: head_interval, last: None };
    let run = Run {
        committer,
        waiting,
        note_head,
        halt: halt.clone(),
        riding: Vec::new(),
        upkeep_at: tokio::time::Instant::now(),
        log,
    };
    let thread = std::thread::Builder::new()
        .name("committer".into())
        .spawn(move || {
            // A panic, as sled may throw on damage, is no different from a failed write.
            let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run.until(stopped))));
            if let Err(why) = ended.unwrap_or_else(|_| Err(Halt("the committer panicked".into()))) {
                tracing::error!(error = %why, "store halted");
                halt.send_replace(Some(why));
            }
        })
        .map_err(|error| Halt(format!("start the committer: {error}")))?;
    Ok((kept, CommitterThread { thread, stop, halted, head, staged }))
}

impl CommitterThread {
    /// The end of the journal as of the last commit, to be noted elsewhere.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.clone()
    }

    /// The temp names of sets that were staged and not yet published when the store was opened.
    pub fn staged_at_start(&self) -> &HashSet<String> {
        &self.staged
    }

    /// Carries out what was handed over, makes the index durable and ends the thread. Blocks until then.
    pub fn stop(self) -> Result<(), Halt> {
        drop(self.stop);
        let joined = self.thread.join();
        match self.halted.borrow().clone() {
            Some(halt) => Err(halt),
            None => joined.map_err(|_| Halt("the committer panicked".into())),
        }
    }
}

struct Run {
    committer: Committer,
    waiting: mpsc::Receiver<Request>,
    note_head: watch::Sender<Head>,
    halt: watch::Sender<Option<Halt>>,
    /// Acknowledges that wait for a commit to ride with.
    riding: Vec<Command>,
    /// When to do what is due by itself.
    upkeep_at: tokio::time::Instant,
    log: HeadLog,
}

/// Says the head of the journal now and then.
struct HeadLog {
    every: Duration,
    last: Option<(tokio::time::Instant, Head)>,
}

impl HeadLog {
    fn look(&mut self, head: Head) {
        let now = tokio::time::Instant::now();
        let due = self.last.is_none_or(|(at, last)| now - at >= self.every && last != head);
        if due {
            tracing::info!(%head, "journal head");
            self.last = Some((now, head));
        }
    }
}

impl Run {
    async fn until(mut self, mut stopped: oneshot::Receiver<()>) -> Result<(), Halt> {
        loop {
            let first = tokio::select! {
                biased;
                _ = &mut stopped => None,
                request = self.waiting.recv() => request,
                () = tokio::time::sleep_until(self.upkeep_at) => {
                    self.keep_up()?;
                    continue;
                }
            };
            let Some(first) = first else { break };
            self.take(first)?;
            if tokio::time::Instant::now() >= self.upkeep_at {
                self.keep_up()?;
            }
        }
        // Nothing new can be handed over from here on; what was handed over is still carried out.
        self.waiting.close();
        while let Some(request) = self.waiting.recv().await {
            self.take(request)?;
        }
        self.commit(Vec::new())?;
        self.committer.finish()
    }

    /// Does what is due by itself, in a commit of its own.
    fn keep_up(&mut self) -> Result<(), Halt> {
        if !self.riding.is_empty() {
            self.commit(Vec::new())?;
        }
        self.commit(Vec::new())?;
        let pause = if self.committer.is_short() { TICK_WHEN_SHORT } else { TICK };
        self.upkeep_at = tokio::time::Instant::now() + pause;
        Ok(())
    }

    /// Commits `first` and what waits behind it, within the bounds of one commit.
    fn take(&mut self, first: Request) -> Result<(), Halt> {
        let (mut group, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(request) = next {
            if let Command::Acknowledged(_) = request.command {
                self.riding.push(request.command);
                answer(request.reply, Ok(Answer::Done));
            } else {
                bytes += size(&request.command);
                group.push(request);
            }
            let full = group.len() + self.riding.len() >= MOST_COMMANDS || bytes + SMALL > MOST_BYTES;
            next = if full { None } else { self.waiting.try_recv().ok() };
        }
        if group.is_empty() && self.riding.len() < MOST_COMMANDS {
            return Ok(());
        }
        self.commit(group)
    }

    fn commit(&mut self, group: Vec<Request>) -> Result<(), Halt> {
        let riding = std::mem::take(&mut self.riding);
        let riders = riding.len();
        let (commands, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|request| (request.command, request.reply)).unzip();
        let committed = self.committer.commit(riding.into_iter().chain(commands).collect());
        match committed {
            Ok(answers) => {
                let head = self.committer.head();
                self.note_head.send_replace(head);
                self.log.look(head);
                for (reply, given) in replies.into_iter().zip(answers.into_iter().skip(riders)) {
                    answer(reply, Ok(given));
                }
                Ok(())
            }
            Err(halt) => {
                // First, so that whoever is not answered any more learns why.
                self.halt.send_replace(Some(halt.clone()));
                for reply in replies {
                    answer(reply, Err(halt.clone()));
                }
                Err(halt)
            }
        }
    }
}

/// Who no longer waits need not be told; a lease in the answer is then dropped, and so released.
fn answer(reply: oneshot::Sender<Result<Answer, Halt>>, given: Result<Answer, Halt>) {
    drop(reply.send(given));
}

/// The bytes that a command adds to its commit.
fn size(command: &Command) -> usize {
    let body = if let Command::Accept(incoming) = command {
        &incoming.body
    } else if let Command::Reseal(reseal) = command {
        &reseal.body
    } else if let Command::BringIn(wish) = command {
        &wish.body
    } else if let Command::Send(SendCommand::Queue(order)) = command {
        &order.body
    } else {
        return 0;
    };
    match body {
        IncomingBody::Small(bytes) => bytes.len(),
        IncomingBody::Large(_) => 0,
    }
}
