//! Output folders, seen by the one who fills them: stage, journal, then publish (I2).
//!
//! Between the two calls the caller makes `staged` durable ([`super::store::Store::staged`]), never in another order.
//! Both calls block, both take a batch so that one folder sync serves all of it, and both answer in the order asked.

use super::spool::Opened;
use super::store::Delivery;
use crate::domain::fault::Fault;
use crate::domain::output::{FolderPlan, Publication, StagedSet};
use crate::domain::settlement::Reason;

/// The output folders.
pub trait Outputs: Send + Sync {
    /// Writes whole sets beside their places. Durable on return; nothing a consumer looks at has changed.
    ///
    /// One that fails leaves nothing behind, or what a sweep at the next start removes.
    fn stage(&self, jobs: &[StageJob<'_>]) -> Vec<Result<StagedSet, Fault>>;
    /// Renames staged sets to their places, control file last. Durable on return.
    ///
    /// Each set must be journalled as staged before: a crash in here is finished from that record alone.
    fn publish(&self, jobs: &[PublishJob<'_>]) -> Vec<Published>;
}

/// One set to stage.
#[derive(Clone, Copy)]
pub struct StageJob<'a> {
    /// Where to.
    pub plan: &'a FolderPlan,
    /// Of which delivery.
    pub delivery: &'a Delivery,
    /// What goes into it.
    pub opened: &'a Opened,
}

/// One set to publish.
#[derive(Debug, Clone, Copy)]
pub struct PublishJob<'a> {
    /// Where to.
    pub plan: &'a FolderPlan,
    /// What was staged, as journalled.
    pub set: &'a StagedSet,
    /// It was staged before this round of work, so an earlier try may have made some of it appear:
    /// after a restart, and after every [`Published::NotNow`].
    pub resumed: bool,
}

/// What came of publishing one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// The consumer has it, or may take it.
    Done(Publication),
    /// A person must look.
    Held(Reason),
    /// The output is away. Some of the set may have appeared: try again with `resumed`.
    NotNow(Fault),
}
