//! The status file in each output root: what is delayed, stopped or unavailable, and since when.
//!
//! Written every half minute, and at once when the daemon's phase or what stands in its way changes. Every root is
//! looked at more often than that: one that is away goes to the list which `meshd status` and `/readyz` show, until it is
//! back or no pipeline names it any longer. Roots are visited side by side: one that hangs makes no other's file late.
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
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::MailboxId;
use crate::domain::output::FolderPlan;
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
/// The same once the daemon stops: a visit under way and the last one fit into what a stop allows for all this.
const LAST_LIMIT: Duration = Duration::from_secs(5);

/// What the bulletins are made from.
pub(super) struct Bulletins {
    pub(super) operations: Arc<dyn Operations>,
    pub(super) obstacles: Obstacles,
    pub(super) publisher: Publisher,
    pub(super) pipelines: watch::Receiver<Arc<Pipelines>>,
    pub(super) head: watch::Receiver<Head>,
    pub(super) clock: Arc<dyn Clock>,
    /// Empty at first: roots that did not answer, with the thread that still waits for each: nobody else goes there meanwhile.
    pub(super) stuck: BTreeMap<PathBuf, Visit>,
}

/// A thread at a root.
type Visit = JoinHandle<Result<(), Fault>>;

/// One root: an output that lies there, and the mailboxes whose mail may.
struct Root {
    plan: FolderPlan,
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
            self.visit(None, &stop).await;
            if stop.is_cancelled() {
                break;
            }
            let status = self.operations.status();
            let news = (status.phase, status.obstacles.clone());
            let is_due = written.is_none_or(|at| at.elapsed() >= WRITE_EVERY);
            if is_due || last.as_ref() != Some(&news) {
                self.visit(Some((&status, status.phase.as_str())), &stop).await;
                (last, written) = (Some(news), Some(Instant::now()));
            }
        }
        let status = self.operations.status();
        self.visit(Some((&status, "stopped")), &stop).await;
    }

    /// Looks at every root, and writes its file if there is something to say.
    async fn visit(&mut self, say: Option<(&Status, &str)>, stop: &CancellationToken) {
        let roots = roots(&self.pipelines.borrow().folders());
        forget_others(&self.obstacles, &roots);
        self.stuck.retain(|_, thread| !thread.is_finished());
        let mut visits = Vec::new();
        for (path, root) in roots {
            if self.stuck.contains_key(&path) {
                continue;
            }
            let text = say.map(|(status, state)| text(status, state, &root.mailboxes, &path, &self.head.borrow()));
            let publisher = self.publisher.clone();
            let thread = tokio::task::spawn_blocking(move || {
                match text {
                    Some(text) => publisher.post(&root.plan, &text)?,
                    None => publisher.look(&root.plan)?,
                }
                publisher.is_consumed(&root.plan)
            });
            visits.push((path, thread));
        }
        for (path, answer) in answers(visits, || patience(stop)).await {
            let answer = answer.map_err(|thread| drop(self.stuck.insert(path.clone(), thread))).ok();
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
            None => self.obstacles.put(at, away, "it did not answer in time", now),
        }
    }
}

/// As long as a root may take: not much longer once there is a stop.
async fn patience(stop: &CancellationToken) {
    let stopped = async {
        stop.cancelled().await;
        sleep(LAST_LIMIT).await;
    };
    tokio::select! {
        () = sleep(ROOT_LIMIT) => {}
        () = stopped => {}
    }
}

/// What each visit finds, all side by side; the thread itself where `limit` ended first.
async fn answers<L: Future<Output = ()>>(
    visits: Vec<(PathBuf, Visit)>,
    limit: impl Fn() -> L,
) -> Vec<(PathBuf, Result<Result<Result<(), Fault>, JoinError>, Visit>)> {
    let visits = visits.into_iter().map(|(path, mut thread)| {
        let limit = limit();
        async move {
            tokio::select! {
                biased;
                answer = &mut thread => (path, Ok(answer)),
                () = limit => (path, Err(thread)),
            }
        }
    });
    join_all(visits).await
}

/// A root that a reload took away stands in nobody's way any longer.
fn forget_others(obstacles: &Obstacles, roots: &BTreeMap<PathBuf, Root>) {
    for Obstacle { at, .. } in obstacles.all() {
        if matches!(&at, At::Output(path) if !roots.contains_key(path)) {
            obstacles.clear(&at);
        }
    }
}

/// Every root with one of its outputs.
fn roots(plans: &[(MailboxId, FolderPlan)]) -> BTreeMap<PathBuf, Root> {
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
        // Which roots its mail would have come to is not known before it runs.
        At::Store | At::Pipeline(_) | At::Monitor(_) => true,
        At::Door(mailbox) | At::Mesh(mailbox) | At::Pickup(mailbox) => mailboxes.contains(mailbox),
        At::Output(root) => root == path,
    };
    let obstacles = status.obstacles.iter().filter(|obstacle| concerns(&obstacle.at)).map(told);
    let file = json!({
        "version": 1,
        "written_at": status.now.to_string(),
        "stale_after_seconds": STALE_AFTER.as_secs(),
        "meshd": status.version,
        "state": state,
        "mailboxes": mailboxes,
        "journal_head": head.to_string(),
        "obstacles": obstacles.collect::<Vec<_>>(),
    });
    file.to_string() + "\n"
}

/// An obstacle for machines that watch: its time as people and their tools read it.
pub(super) fn told(obstacle: &Obstacle) -> serde_json::Value {
    json!({
        "at": obstacle.at,
        "code": obstacle.code,
        "detail": obstacle.detail,
        "since": obstacle.since.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::domain::ids::Name;
    use crate::domain::output::{Layout, LineEnds};
    use crate::domain::time::Timestamp;

    /// Time passes only when all wait. Blocking threads would keep it from that, so these roots are tasks.
    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
    }

    fn visit(root: &str, call: impl Future<Output = Result<(), Fault>> + Send + 'static) -> (PathBuf, Visit) {
        (root.into(), TaskTracker::new().spawn(call))
    }

    fn hanging(root: &str) -> (PathBuf, Visit) {
        visit(root, std::future::pending())
    }

    /// Whole seconds until all of so many roots that hang are let go, when the daemon stops `stops_after`.
    async fn seconds(hung: usize, stops_after: Option<Duration>) -> u64 {
        let stop = CancellationToken::new();
        if let Some(after) = stops_after {
            let stop = stop.clone();
            TaskTracker::new().spawn(async move {
                sleep(after).await;
                stop.cancel();
            });
        }
        let begun = Instant::now();
        let visits = (0..hung).map(|root| hanging(&format!("/{root}"))).collect();
        let answers = answers(visits, || patience(&stop)).await;
        assert!(answers.iter().all(|(_, answer)| answer.is_err()), "the thread that hangs is handed back");
        begun.elapsed().as_secs()
    }

    #[test]
    fn roots_that_hang_are_waited_for_side_by_side() {
        paused().block_on(async {
            let visits = vec![hanging("/a"), visit("/b", async { Ok(()) }), hanging("/c")];
            let answers = answers(visits, || sleep(ROOT_LIMIT)).await;
            let told: Vec<_> = answers.iter().map(|(root, answer)| (root.to_str(), answer.is_ok())).collect();
            assert_eq!(told, [(Some("/a"), false), (Some("/b"), true), (Some("/c"), false)]);
            assert_eq!(seconds(50, None).await, ROOT_LIMIT.as_secs());
        });
    }

    #[test]
    fn a_stop_does_not_wait_long_for_roots_that_begin_to_hang() {
        paused().block_on(async {
            assert_eq!(seconds(50, Some(Duration::ZERO)).await, LAST_LIMIT.as_secs());
            let late = Duration::from_secs(2);
            assert_eq!(seconds(50, Some(late)).await, (late + LAST_LIMIT).as_secs());
            let just_before = ROOT_LIMIT - Duration::from_secs(1);
            assert_eq!(seconds(50, Some(just_before)).await, ROOT_LIMIT.as_secs());
        });
    }

    #[test]
    fn an_output_that_a_reload_moved_is_in_nobodys_way() {
        let folder = |folder: &str| FolderPlan {
            name: Name::new("inbox").expect("a name"),
            layout: Layout::Folder,
            line_ends: LineEnds::Lf,
            folder: folder.into(),
            group: None,
            mode: 0o640,
            payload: Vec::new(),
        };
        let mailbox = MailboxId::new("X26ABC1").expect("an id");
        let obstacles = Obstacles::default();
        for at in [At::Store, At::Mesh(mailbox.clone()), At::Output("/old".into()), At::Output("/new".into())] {
            obstacles.put(at, "OUT-UNAVAILABLE", "as a test", Timestamp(1));
        }
        forget_others(&obstacles, &roots(&[(mailbox.clone(), folder("/new"))]));
        let left: Vec<_> = obstacles.all().into_iter().map(|obstacle| obstacle.at).collect();
        assert_eq!(left, [At::Store, At::Mesh(mailbox), At::Output("/new".into())]);
    }
}
