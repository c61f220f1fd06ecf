//! Outputs in memory, and how they fail.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex};

use super::{Calls, lock};
use crate::domain::digest::ContentDigest;
use crate::domain::fault::Fault;
use crate::domain::ids::DeliveryId;
use crate::domain::output::{Publication, StagedFile, StagedSet};
use crate::domain::settlement::Reason;
use crate::ports::outputs::{Outputs, PublishJob, Published, StageJob};

/// How an output behaves.
#[derive(Clone)]
pub(in crate::work::tests) enum Behaviour {
    /// Staging fails.
    NoStage(Fault),
    /// Publishing fails; what is staged stays staged.
    NotNow(Fault),
    /// Staging hangs until the output is mended.
    Hang,
    /// A person must look.
    Held(Reason),
    /// Staging panics on one delivery.
    PanicOn(DeliveryId),
}

/// Outputs that work, but for what is scripted by output name.
pub(in crate::work::tests) struct FakeOutputs {
    pub(in crate::work::tests) calls: Calls,
    behaviours: Mutex<BTreeMap<String, Behaviour>>,
    changed: Condvar,
    gate: Mutex<Option<(SyncSender<()>, Receiver<()>)>>,
}

impl FakeOutputs {
    pub(in crate::work::tests) fn new(calls: Calls) -> Self {
        Self { calls, behaviours: Mutex::default(), changed: Condvar::new(), gate: Mutex::default() }
    }

    /// Scripts an output; `None` mends it.
    pub(in crate::work::tests) fn script(&self, output: &str, behaviour: Option<Behaviour>) {
        let mut behaviours = lock(&self.behaviours);
        match behaviour {
            Some(behaviour) => behaviours.insert(output.into(), behaviour),
            None => behaviours.remove(output),
        };
        self.changed.notify_all();
    }

    /// The next staging says that it began, and waits for a word.
    pub(in crate::work::tests) fn gate(&self) -> (Receiver<()>, SyncSender<()>) {
        let ((began, begins), (go, waits)) = (sync_channel(1), sync_channel(1));
        *lock(&self.gate) = Some((began, waits));
        (begins, go)
    }

    fn behaviour(&self, output: &str) -> Option<Behaviour> {
        lock(&self.behaviours).get(output).cloned()
    }
}

impl Outputs for FakeOutputs {
    fn stage(&self, jobs: &[StageJob<'_>]) -> Vec<Result<StagedSet, Fault>> {
        let gate = lock(&self.gate).take();
        if let Some((began, waits)) = gate {
            began.send(()).expect("the test listens");
            waits.recv().expect("the test speaks");
        }
        let one = |job: &StageJob<'_>| {
            let (id, output) = (job.delivery.id, job.plan.name.as_str());
            let hangs = |behaviours: &mut BTreeMap<_, _>| matches!(behaviours.get(output), Some(Behaviour::Hang));
            drop(self.changed.wait_while(lock(&self.behaviours), hangs));
            match self.behaviour(output) {
                Some(Behaviour::NoStage(fault)) => return Err(fault),
                Some(Behaviour::PanicOn(bad)) if bad == id => panic!("scripted"),
                Some(Behaviour::PanicOn(_) | Behaviour::NotNow(_) | Behaviour::Held(_) | Behaviour::Hang) | None => {}
            }
            self.calls.add(format!("stage {id} {output}"));
            let digest = ContentDigest("00".into());
            let file = StagedFile { temp: format!("{id}.tmp"), name: format!("{id}.dat"), length: 9, digest };
            Ok(StagedSet { marker: "marker".into(), files: vec![file] })
        };
        jobs.iter().map(one).collect()
    }

    fn publish(&self, jobs: &[PublishJob<'_>]) -> Vec<Published> {
        let one = |job: &PublishJob<'_>| {
            let output = job.plan.name.as_str();
            let id = job.set.files[0].name.trim_end_matches(".dat");
            let word = if job.resumed { "resume" } else { "publish" };
            self.calls.add(format!("{word} {id} {output}"));
            match self.behaviour(output) {
                Some(Behaviour::NotNow(fault)) => Published::NotNow(fault),
                Some(Behaviour::Held(reason)) => Published::Held(reason),
                Some(Behaviour::NoStage(_) | Behaviour::PanicOn(_) | Behaviour::Hang) | None => {
                    Published::Done(Publication::Seen)
                }
            }
        };
        jobs.iter().map(one).collect()
    }
}
