//! Outputs with a limit to the patience with them: one that does not answer keeps nobody from the others (I6).
//!
//! Guarantees:
//! - Each root has threads of its own, one fewer than there are workers; what hangs there holds those alone.
//! - No call lasts longer than [`Patience`] says, however long the file system takes. What is let go is a fault of that
//!   output, `OUT-HUNG`, and its mail waits like that of any output that is away (I5).
//! - What was let go still goes on: a call of the kernel cannot be ended. Until it has ended by itself the root takes
//!   nothing new, so no two calls ever work on one set. Its answer is kept for the next try (I2).
//! - A process that ends before the answer came finds out from the disk, as after any crash.
//!
//! What it costs: a root that begins to hang holds each worker that is there already for the limit, once, and any that
//! comes later not at all. Roots are told apart by their paths, so each root on a dead mount is found out by itself.

mod hands;
mod jobs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::hands::{Hands, Unanswered, Waiting};
use self::jobs::{Job, Late, Publishing, Staging};
use super::root::{self, Place, RootReport, Trial};
use super::{Publisher, Swept};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::output::{FolderPlan, StagedSet};
use crate::ports::disk::Disk;
use crate::ports::outputs::{Outputs, PublishJob, Published, StageJob};

/// How long an output may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Calls under way at one root at once, at most.
    pub at_once: usize,
    /// Until one of them ends, if there are as many. Short: whoever waits here holds a worker.
    pub place: Duration,
    /// For a call without a byte. A network share that fails over may take longer: its mail then waits a little.
    pub answer: Duration,
    /// What any output manages: a call may take so much longer for its payloads.
    pub bytes_per_second: u64,
}

impl Patience {
    /// Leaves one of so many workers to other roots.
    pub fn beside(workers: usize) -> Self {
        Self {
            at_once: workers.saturating_sub(1).max(1),
            place: Duration::from_secs(1),
            answer: Duration::from_secs(15),
            bytes_per_second: 1_000_000,
        }
    }

    fn limit(&self, bytes: u64) -> Duration {
        self.answer + Duration::from_secs(bytes / self.bytes_per_second.max(1))
    }
}

/// The outputs behind `O`, each root by itself.
pub struct Patient<O> {
    inner: Arc<O>,
    patience: Patience,
    roots: Mutex<BTreeMap<PathBuf, Arc<Root>>>,
}

struct Root {
    path: PathBuf,
    hands: Hands,
    late: Mutex<Late>,
}

impl<O: Outputs + 'static> Patient<O> {
    /// Nothing is begun yet.
    pub fn new(inner: Arc<O>, patience: Patience) -> Self {
        Self { inner, patience, roots: Mutex::default() }
    }

    fn root(&self, plan: &FolderPlan) -> Result<Arc<Root>, Fault> {
        let path = Place::of(plan).map_err(|trouble| trouble.fault(&plan.name))?.root;
        let mut roots = locked(&self.roots);
        let root = roots.entry(path).or_insert_with_key(|path| {
            let hands = Hands::new(self.patience.at_once);
            Arc::new(Root { path: path.clone(), hands, late: Mutex::default() })
        });
        Ok(Arc::clone(root))
    }

    /// One call for the jobs of each root, all roots side by side.
    fn spread<J: Job>(&self, jobs: Vec<J>) -> Vec<J::Answer> {
        let mut answers: Vec<Option<J::Answer>> = Vec::with_capacity(jobs.len());
        let mut roots: BTreeMap<PathBuf, (Arc<Root>, Vec<usize>)> = BTreeMap::new();
        for (index, job) in jobs.iter().enumerate() {
            let answer = match self.root(job.plan()) {
                Err(fault) => Some(J::refuse(fault)),
                Ok(root) => {
                    let kept = job.recall(&mut locked(&root.late));
                    if kept.is_none() {
                        roots.entry(root.path.clone()).or_insert_with(|| (root, Vec::new())).1.push(index);
                    }
                    kept
                }
            };
            answers.push(answer);
        }
        let calls: Vec<_> = roots
            .into_values()
            .map(|(root, indexes)| {
                let own: Arc<[J]> = indexes.iter().map(|index| jobs[*index].clone()).collect();
                let call = self.begin(&root, own);
                (root, indexes, call)
            })
            .collect();
        for (root, indexes, call) in calls {
            match call.and_then(Waiting::wait) {
                Ok(own) => indexes.into_iter().zip(own).for_each(|(index, answer)| answers[index] = Some(answer)),
                Err(unanswered) => {
                    root.tell(&unanswered);
                    for index in indexes {
                        answers[index] = Some(J::refuse(fault(jobs[index].plan(), &unanswered)));
                    }
                }
            }
        }
        answers.into_iter().map(|answer| answer.expect("each job was answered, refused, or part of a call")).collect()
    }

    /// A call that was let go may have ended since its answer was looked for: with the place, it is looked for again.
    fn begin<J: Job>(&self, root: &Arc<Root>, jobs: Arc<[J]>) -> Result<Waiting<Vec<J::Answer>>, Unanswered> {
        let Patience { place, .. } = self.patience;
        let limit = self.patience.limit(jobs.iter().map(Job::bytes).sum());
        let (inner, own) = (Arc::clone(&self.inner), Arc::clone(&jobs));
        let (kept, late) = (Arc::clone(root), Arc::clone(root));
        root.hands.begin(
            place,
            limit,
            move || perform_rest(&*inner, &own, &kept.late),
            move |answers| {
                tracing::info!(root = %late.path.display(), "an output answered late");
                let mut kept = locked(&late.late);
                jobs.iter().zip(answers).for_each(|(job, answer)| job.keep(answer, &mut kept));
            },
        )
    }
}

impl Patient<Publisher> {
    /// [`Publisher::sweep`], root by root and no longer than a call may take. What hangs is swept before it takes mail.
    pub fn sweep(&self, plans: &[FolderPlan], live: &HashSet<String>) -> Swept {
        let live = Arc::new(live.clone());
        let mut swept = Swept::default();
        let mut roots: BTreeMap<PathBuf, (Arc<Root>, Vec<FolderPlan>)> = BTreeMap::new();
        for plan in plans {
            match self.root(plan) {
                Ok(root) => roots.entry(root.path.clone()).or_insert_with(|| (root, Vec::new())).1.push(plan.clone()),
                Err(fault) => swept.faults.push(fault),
            }
        }
        let calls: Vec<_> = roots
            .into_values()
            .map(|(root, plans)| {
                let (publisher, own, live) = (Arc::clone(&self.inner), plans.clone(), Arc::clone(&live));
                let Patience { place, answer, .. } = self.patience;
                let call = root.hands.begin(place, answer, move || publisher.sweep(&own, &live), drop);
                (root, plans, call)
            })
            .collect();
        for (root, plans, call) in calls {
            match call.and_then(Waiting::wait) {
                Ok(one) => {
                    swept.removed += one.removed;
                    swept.faults.extend(one.faults);
                }
                Err(unanswered) => {
                    root.tell(&unanswered);
                    swept.faults.extend(plans.iter().map(|plan| fault(plan, &unanswered)));
                }
            }
        }
        swept
    }
}

impl<O: Outputs + 'static> Outputs for Patient<O> {
    fn stage(&self, jobs: &[StageJob<'_>]) -> Vec<Result<StagedSet, Fault>> {
        self.spread(jobs.iter().map(Staging::from).collect())
    }

    fn publish(&self, jobs: &[PublishJob<'_>]) -> Vec<Published> {
        self.spread(jobs.iter().map(Publishing::from).collect())
    }
}

/// Looks at roots as a batch would, all side by side, and at none longer than a call without a byte may take.
/// With [`Trial::Write`] a small file is written into each staging folder, and removed.
pub fn probe_roots(
    disk: &Arc<dyn Disk>,
    state_directory: &Path,
    roots: &[(PathBuf, FolderPlan)],
    trial: Trial,
) -> Vec<Result<RootReport, Fault>> {
    let Patience { place, answer, .. } = Patience::beside(1);
    let begin = |(number, (root, plan)): (u32, &(PathBuf, FolderPlan))| {
        let (disk, state_directory) = (Arc::clone(disk), state_directory.to_owned());
        let (root, plan) = (root.clone(), plan.clone());
        let look = move || {
            let report = root::probe(&*disk, &state_directory, &root, plan.layout, &plan.name)?;
            if trial == Trial::Write {
                root::try_writing(&*disk, &report.staging, &plan, number)?;
            }
            Ok(report)
        };
        Hands::new(1).begin(place, answer, look, drop)
    };
    let calls: Vec<_> = (0..).zip(roots).map(begin).collect();
    let reports = calls.into_iter().zip(roots).map(|(call, (_, plan))| {
        call.and_then(Waiting::wait).unwrap_or_else(|unanswered| Err(fault(plan, &unanswered)))
    });
    reports.collect()
}

/// Performs the jobs without a late answer.
fn perform_rest<J: Job>(outputs: &dyn Outputs, jobs: &[J], late: &Mutex<Late>) -> Vec<J::Answer> {
    let kept: Vec<_> = {
        let mut late = locked(late);
        jobs.iter().map(|job| job.recall(&mut late)).collect()
    };
    if kept.iter().all(Option::is_none) {
        return J::perform(outputs, jobs);
    }
    let rest: Vec<J> = jobs.iter().zip(&kept).filter(|(_, kept)| kept.is_none()).map(|(job, _)| job.clone()).collect();
    let mut performed = if rest.is_empty() { Vec::new() } else { J::perform(outputs, &rest) }.into_iter();
    kept.into_iter().map(|kept| kept.unwrap_or_else(|| performed.next().expect("one answer each"))).collect()
}

impl Root {
    /// Once for each call that is let go.
    fn tell(&self, unanswered: &Unanswered) {
        match unanswered {
            Unanswered::LetGo => {
                tracing::error!(root = %self.path.display(), code = %FaultCode::OutHung, "an output does not answer: it takes nothing until it does");
            }
            Unanswered::Hangs(_) | Unanswered::Busy | Unanswered::NoThread(_) => {}
        }
    }
}

fn fault(plan: &FolderPlan, unanswered: &Unanswered) -> Fault {
    let hung = |detail: String| Fault::dependency(FaultCode::OutHung, plan.name.clone(), detail);
    match unanswered {
        Unanswered::LetGo => hung("its file system did not answer in time".to_owned()),
        Unanswered::Hangs(calls) => hung(format!("its file system has not answered {calls} earlier calls")),
        Unanswered::Busy => hung("all that may use it at once do".to_owned()),
        Unanswered::NoThread(error) => Fault::local(FaultCode::StoreFailed, "threads", error.to_string()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
