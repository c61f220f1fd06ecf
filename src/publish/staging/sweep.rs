//! Removing what earlier runs left in staging.
//!
//! Guarantees: only regular files whose names have our shape and that no journal record names are removed, and only
//! from staging folders whose root passed its check. Links are neither followed nor removed; nothing else is touched.

use std::collections::{BTreeSet, HashSet};

use crate::domain::fault::Fault;
use crate::domain::output::FolderPlan;
use crate::domain::step::Step;
use crate::ports::disk::EntryKind;
use crate::publish::root::{Checks, Standing, Trouble};
use crate::publish::{Publisher, naming};

/// What [`Publisher::sweep`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Files removed.
    pub removed: u64,
    /// Outputs whose staging could not be swept, or not to the end. It will be at a later start.
    pub faults: Vec<Fault>,
}

/// See [`Publisher::sweep`].
pub(in crate::publish) fn sweep(publisher: &Publisher, plans: &[FolderPlan], live: &HashSet<String>) -> Swept {
    let mut checks = Checks::new(&*publisher.disk, &publisher.state_directory);
    let mut seen = BTreeSet::new();
    let mut swept = Swept::default();
    for plan in plans {
        match checks.of(plan) {
            Ok(standing) => {
                if seen.insert(standing.staging.clone())
                    && let Err(trouble) = sweep_one(publisher, &standing, live, &mut swept.removed)
                {
                    swept.faults.push(trouble.fault(&plan.name));
                }
            }
            Err(fault) => swept.faults.push(fault),
        }
    }
    swept
}

fn sweep_one(
    publisher: &Publisher,
    standing: &Standing,
    live: &HashSet<String>,
    removed: &mut u64,
) -> Result<(), Trouble> {
    let entries =
        publisher.disk.list(&standing.staging).map_err(|error| Trouble::from_io("list the staging folder", &error))?;
    for entry in entries {
        let is_stale = entry.kind == EntryKind::File
            && entry
                .path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| naming::is_ours(name) && !live.contains(name));
        if is_stale {
            publisher
                .disk
                .remove(Step::StageSweep, &entry.path)
                .map_err(|error| Trouble::from_io("remove a stale staged file", &error))?;
            *removed += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
