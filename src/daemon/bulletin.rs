//! The status file in each output root: what is delayed, stopped or unavailable, and since when.
//!
//! Written every half minute, and at once when the daemon's phase or what stands in its way changes. Every root is
//! looked at more often than that: one that is away goes to the list which `meshd status` and `/readyz` show.
//!
//! ```json
//! {"version":1,"written_at":"2026-01-05T09:30:12.123Z","stale_after_seconds":120,"meshd":"0.1.0","state":"running",
//!  "mailboxes":["X26ABC1"],"journal_head":"42:0a1b…",
//!  "obstacles":[{"at":{"mesh":"X26ABC1"},"code":"MESH-AUTH","detail":"…","since":"2026-01-05T09:00:00.000Z"}]}
//! ```
//!
//! `state` is `starting`, `running`, `stopping` or `stopped`. A file older than `stale_after_seconds` whose state is
//! not `stopped` means that the daemon died or cannot write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::MailboxId;
use crate::domain::output::OutputPlan;
use crate::pipeline::Pipelines;
use crate::ports::clock::Clock;
use crate::ports::obstacles::{At, Obstacle, Obstacles};
use crate::ports::operations::{Operations, Status};
use crate::publish::Publisher;
use crate::store::journal::Head;

/// How often each root is looked at, and whether there is news.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Without news the files are written this often.
const WRITE_EVERY: Duration = Duration::from_secs(30);
/// A reader believes a file for so long: several of our writes may be late.
const STALE_AFTER: Duration = Duration::from_secs(120);
/// A root that takes longer does not answer: a share whose server is gone.
const ROOT_LIMIT: Duration = Duration::from_secs(10);

/// What the bulletins are made from.
pub(super) struct Bulletins {
    pub(super) operations: Arc<dyn Operations>,
    pub(super) obstacles: Obstacles,
    pub(super) publisher: Publisher,
    pub(super) pipelines: watch::Receiver<Arc<Pipelines>>,
    pub(super) head: watch::Receiver<Head>,
    pub(super) clock: Arc<dyn Clock>,
    /// Empty at first: roots that did not answer, with the thread that still waits for each: nobody else goes there meanwhile.
    pub(super) stuck: BTreeMap<PathBuf, JoinHandle<Result<(), Fault>>>,
}

/// One root: an output that lies there, and the mailboxes whose mail may.
struct Root {
    plan: OutputPlan,
    mailboxes: BTreeSet<MailboxId>,
}

impl Bulletins {
    /// Writes until `stop`, and then the last ones: whoever waits for mail must know that nobody brings any.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        let mut written: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            // What a look finds out is news in the same round.
            self.visit(None).await;
            let status = self.operations.status();
            let news = (status.phase, status.obstacles.clone());
            let is_due = written.is_none_or(|at| at.elapsed() >= WRITE_EVERY);
            if is_due || last.as_ref() != Some(&news) {
                self.visit(Some((&status, status.phase.as_str()))).await;
                (last, written) = (Some(news), Some(Instant::now()));
            }
        }
        let status = self.operations.status();
        self.visit(Some((&status, "stopped"))).await;
    }

    /// Looks at every root, and writes its file if there is something to say.
    async fn visit(&mut self, say: Option<(&Status, &str)>) {
        let roots = roots(&self.pipelines.borrow().plans());
        for (path, root) in roots {
            if self.stuck.get(&path).is_some_and(|thread| !thread.is_finished()) {
                continue;
            }
            let text = say.map(|(status, state)| text(status, state, &root.mailboxes, &path, &self.head.borrow()));
            let publisher = self.publisher.clone();
            let mut thread = tokio::task::spawn_blocking(move || match text {
                Some(text) => publisher.post(&root.plan, &text),
                None => publisher.look(&root.plan),
            });
            let answer = timeout(ROOT_LIMIT, &mut thread).await.ok();
            if answer.is_none() {
                self.stuck.insert(path.clone(), thread);
            }
            self.note(path, answer);
        }
    }

    /// What an answer says about the root; none means that there was none in time.
    fn note(&self, path: PathBuf, answer: Option<Result<Result<(), Fault>, JoinError>>) {
        let (at, now) = (At::Output(path), self.clock.wall());
        let away = FaultCode::OutUnavailable.as_str();
        match answer {
            Some(Ok(Ok(()))) => self.obstacles.clear(&at),
            Some(Ok(Err(fault))) => self.obstacles.put(at, fault.code.as_str(), fault.detail, now),
            Some(Err(error)) => self.obstacles.put(at, away, error.to_string(), now),
            None => {
                let detail = format!("it did not answer within {} s", ROOT_LIMIT.as_secs());
                self.obstacles.put(at, away, detail, now);
            }
        }
    }
}

/// Every root with one of its outputs.
fn roots(plans: &[(MailboxId, OutputPlan)]) -> BTreeMap<PathBuf, Root> {
    let mut roots = BTreeMap::new();
    for (mailbox, plan) in plans {
        let root: &mut Root = roots
            .entry(plan.root().to_path_buf())
            .or_insert_with(|| Root { plan: plan.clone(), mailboxes: BTreeSet::new() });
        root.mailboxes.insert(mailbox.clone());
    }
    roots
}

/// The file's text: only what concerns the root at `path`.
fn text(status: &Status, state: &str, mailboxes: &BTreeSet<MailboxId>, path: &PathBuf, head: &Head) -> String {
    let concerns = |at: &At| match at {
        At::Store => true,
        At::Door(mailbox) | At::Mesh(mailbox) => mailboxes.contains(mailbox),
        At::Output(root) => root == path,
    };
    let obstacles: Vec<_> = status.obstacles.iter().filter(|obstacle| concerns(&obstacle.at)).collect();
    let told = |obstacle: &&Obstacle| {
        json!({
            "at": obstacle.at,
            "code": obstacle.code,
            "detail": obstacle.detail,
            "since": obstacle.since.to_string(),
        })
    };
    let file = json!({
        "version": 1,
        "written_at": status.now.to_string(),
        "stale_after_seconds": STALE_AFTER.as_secs(),
        "meshd": status.version,
        "state": state,
        "mailboxes": mailboxes,
        "journal_head": head.to_string(),
        "obstacles": obstacles.iter().map(told).collect::<Vec<_>>(),
    });
    file.to_string() + "\n"
}
