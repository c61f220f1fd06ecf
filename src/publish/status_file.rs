//! `meshd-status.json` in each output root: what a consumer that waits for mail can read without asking anybody.
//!
//! Always whole: written in staging, synced, then renamed over the one before. It is no output: nothing is journalled,
//! and one that is lost is written again. A consumer of the plain layout that takes `*.json` must leave this name alone.

use super::Publisher;
use super::root::{Place, Trouble, check};
use crate::domain::fault::Fault;
use crate::domain::output::{FolderPlan, STATUS_FILE};
use crate::domain::step::Step;

impl Publisher {
    /// Is the root of `plan` the one that was set up?
    pub fn look(&self, plan: &FolderPlan) -> Result<(), Fault> {
        let place = Place::of(plan).and_then(|place| check(&*self.disk, &self.state_directory, &place));
        place.map(drop).map_err(|trouble| trouble.fault(&plan.name))
    }

    /// Puts `text` into the root of `plan`, with that output's group and mode, if it is the root that was set up.
    pub fn post(&self, plan: &FolderPlan, text: &str) -> Result<(), Fault> {
        self.try_post(plan, text).map_err(|trouble| trouble.fault(&plan.name))
    }

    fn try_post(&self, plan: &FolderPlan, text: &str) -> Result<(), Trouble> {
        let place = Place::of(plan)?;
        let standing = check(&*self.disk, &self.state_directory, &place)?;
        let refused = |error| Trouble::from_io("write the status file", &error);
        let fresh = standing.staging.join(STATUS_FILE);
        self.disk.remove(Step::StatusFile, &fresh).map_err(refused)?;
        let mut file = self.disk.create(Step::StatusFile, &fresh).map_err(refused)?;
        file.append(Step::StatusFile, text.as_bytes()).map_err(refused)?;
        // Else a power cut could leave the new name with nothing in it.
        file.sync(Step::StatusFile).map_err(refused)?;
        self.disk.set_access(&fresh, plan.mode, plan.group.as_deref()).map_err(refused)?;
        self.disk.rename(Step::StatusFile, &fresh, &place.root.join(STATUS_FILE)).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::domain::fault::FaultCode;
    use crate::publish::testing::World;
    use crate::store::disk::Simulated;

    #[test]
    fn the_newest_text_lies_whole_in_each_root_and_nothing_else_is_left() {
        let world = World::new(Arc::new(Simulated::new(1)), Path::new("/base"));
        let publisher = world.publisher();
        // What a crash left half written.
        world.place("mesh/TEMP/meshd-status.json", b"{\"ver");
        for text in ["first\n", "second\n"] {
            publisher.post(&world.mesh(), text).expect("posted");
            publisher.post(&world.plain(), text).expect("posted");
        }
        assert_eq!(world.bytes("mesh/meshd-status.json"), b"second\n");
        assert_eq!(world.bytes("plain/meshd-status.json"), b"second\n");
        assert_eq!(world.names("mesh/TEMP"), Vec::<String>::new());
        assert_eq!(world.names("mesh/IN"), Vec::<String>::new());
    }

    #[test]
    fn a_root_that_is_not_ours_gets_none() {
        let world = World::new(Arc::new(Simulated::new(1)), Path::new("/base"));
        world.take("mesh/.meshd-output");
        let fault = world.publisher().post(&world.mesh(), "text\n").expect_err("it has no marker");
        assert_eq!(fault.code, FaultCode::OutUnavailable);
        assert!(!world.names("mesh").contains(&STATUS_FILE.to_owned()));
    }
}
