//! Jobs that own all they need, because they may outlive whoever asked; and answers that came too late for them.

use std::collections::HashMap;

use crate::domain::fault::Fault;
use crate::domain::ids::{DeliveryId, Name};
use crate::domain::output::{FolderPlan, StagedSet};
use crate::ports::outputs::{Outputs, PublishJob, Published, StageJob};
use crate::ports::spool::Opened;
use crate::ports::store::Delivery;

/// One job of one of the two calls.
pub(super) trait Job: Sized + Clone + Send + Sync + 'static {
    type Answer: Send + 'static;

    fn plan(&self) -> &FolderPlan;
    /// Bytes that go through memory.
    fn bytes(&self) -> u64;
    fn perform(outputs: &dyn Outputs, jobs: &[Self]) -> Vec<Self::Answer>;
    fn refuse(fault: Fault) -> Self::Answer;
    /// Keeps an answer that nobody waited for.
    fn keep(&self, answer: Self::Answer, late: &mut Late);
    /// What was kept for this job.
    fn recall(&self, late: &mut Late) -> Option<Self::Answer>;
}

/// Answers of one root that came when nobody waited any longer.
///
/// What was staged is staged still, so the next try need not do it again, however long it takes: unless a reload has
/// changed the plan since. Then the journal would name a plan that the files do not follow, so they are forgotten. The
/// sweep at the next start removes them, if a pipeline still stages there; else they lie until one does.
/// What was published is known to be: no evidence on the disk could say so as surely once a consumer took it (I2).
#[derive(Default)]
pub(super) struct Late {
    /// With the plan each set was made by.
    staged: HashMap<(DeliveryId, Name), (FolderPlan, StagedSet)>,
    /// By the name in staging of the set's first file, which is unique.
    published: HashMap<String, Published>,
}

#[derive(Clone)]
pub(super) struct Staging {
    plan: FolderPlan,
    delivery: Delivery,
    opened: Opened,
}

impl From<&StageJob<'_>> for Staging {
    fn from(job: &StageJob<'_>) -> Self {
        Self { plan: job.plan.clone(), delivery: job.delivery.clone(), opened: job.opened.clone() }
    }
}

impl Job for Staging {
    type Answer = Result<StagedSet, Fault>;

    fn plan(&self) -> &FolderPlan {
        &self.plan
    }

    fn bytes(&self) -> u64 {
        self.opened.payload.length()
    }

    fn perform(outputs: &dyn Outputs, jobs: &[Self]) -> Vec<Self::Answer> {
        let jobs = jobs.iter().map(|Self { plan, delivery, opened }| StageJob { plan, delivery, opened });
        outputs.stage(&jobs.collect::<Vec<_>>())
    }

    fn refuse(fault: Fault) -> Self::Answer {
        Err(fault)
    }

    fn keep(&self, answer: Self::Answer, late: &mut Late) {
        // One that failed left nothing behind.
        if let Ok(set) = answer {
            late.staged.insert((self.delivery.id, self.plan.name.clone()), (self.plan.clone(), set));
        }
    }

    fn recall(&self, late: &mut Late) -> Option<Self::Answer> {
        let (plan, set) = late.staged.remove(&(self.delivery.id, self.plan.name.clone()))?;
        (plan == self.plan).then_some(Ok(set))
    }
}

#[derive(Clone)]
pub(super) struct Publishing {
    plan: FolderPlan,
    set: StagedSet,
    resumed: bool,
}

impl From<&PublishJob<'_>> for Publishing {
    fn from(job: &PublishJob<'_>) -> Self {
        Self { plan: job.plan.clone(), set: job.set.clone(), resumed: job.resumed }
    }
}

impl Job for Publishing {
    type Answer = Published;

    fn plan(&self) -> &FolderPlan {
        &self.plan
    }

    fn bytes(&self) -> u64 {
        // Only what was staged before is read again, to be compared.
        if self.resumed { self.set.files.iter().map(|file| file.length).sum() } else { 0 }
    }

    fn perform(outputs: &dyn Outputs, jobs: &[Self]) -> Vec<Self::Answer> {
        let jobs = jobs.iter().map(|Self { plan, set, resumed }| PublishJob { plan, set, resumed: *resumed });
        outputs.publish(&jobs.collect::<Vec<_>>())
    }

    fn refuse(fault: Fault) -> Self::Answer {
        Published::NotNow(fault)
    }

    fn keep(&self, answer: Self::Answer, late: &mut Late) {
        let Some(first) = self.set.files.first() else { return };
        match answer {
            Published::Done(_) | Published::Held(_) => drop(late.published.insert(first.temp.clone(), answer)),
            // It is resumed as any other.
            Published::NotNow(_) => {}
        }
    }

    fn recall(&self, late: &mut Late) -> Option<Self::Answer> {
        late.published.remove(&self.set.files.first()?.temp)
    }
}
