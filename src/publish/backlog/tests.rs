//! A consumer that takes nothing, then some, on a simulated disk and a clock moved by hand.

use super::*;
use crate::domain::step::Step;
use crate::ports::outputs::{Outputs as _, PublishJob};
use crate::publish::testing::{Mail, World, mail, report};
use crate::store::disk::Simulated;

const HOUR: Duration = Duration::from_secs(3_600);

/// Wall and monotonic time together.
struct HandClock(Mutex<Duration>);

impl Clock for HandClock {
    fn wall(&self) -> Timestamp {
        Timestamp(0).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().expect("unpoisoned")
    }
}

struct House {
    world: World,
    disk: Simulated,
    clock: Arc<HandClock>,
    publisher: Publisher,
    plan: FolderPlan,
}

impl House {
    fn new(most: Unconsumed) -> Self {
        let disk = Simulated::new(1);
        disk.date(Timestamp(0));
        let world = World::new(Arc::new(disk.clone()), Path::new("/base"));
        let clock = Arc::new(HandClock(Mutex::new(Duration::ZERO)));
        let backlogs = Backlogs::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let plan = world.mesh();
        backlogs.change(vec![(plan.clone(), most)]);
        let publisher = world.publisher().with_backlogs(backlogs);
        Self { world, disk, clock, publisher, plan }
    }

    fn pass(&self, time: Duration) {
        *self.clock.0.lock().expect("unpoisoned") += time;
    }

    /// Stages and publishes these in one batch; says of each whether it came out, or the code why not.
    fn bring(&self, mails: &[Mail]) -> Vec<&'static str> {
        let plan = &self.plan;
        let jobs = mails.iter().map(|Mail { delivery, opened }| StageJob { plan, delivery, opened });
        let staged = self.publisher.stage(&jobs.collect::<Vec<_>>());
        let publish = |result: Result<_, Fault>| match result {
            Ok(set) => {
                self.publisher.publish(&[PublishJob { plan: &self.plan, set: &set, resumed: false }]);
                "out"
            }
            Err(fault) => fault.code.as_str(),
        };
        staged.into_iter().map(publish).collect()
    }

    /// A consumer takes the files of these.
    fn take(&self, names: &[&str]) {
        for name in names.iter().flat_map(|name| [format!("{name}.dat"), format!("{name}.ctl")]) {
            self.world.disk.remove(Step::StageSweep, &self.plan.folder.join(name)).expect("it goes");
        }
    }

    fn told(&self) -> Option<FaultCode> {
        self.publisher.is_consumed(&self.plan).err().map(|fault| fault.code)
    }
}

#[test]
fn a_folder_takes_as_many_files_as_may_lie_there_and_more_when_a_quarter_was_taken() {
    let house = House::new(Unconsumed { files: Some(8), age: None });
    let four = ["M1", "M2", "M3", "M4"].map(|name| mail(name, b"bytes"));
    assert_eq!(house.bring(&four), ["out"; 4]);
    assert_eq!(house.told(), None, "it is full, and nobody was turned away");
    let fifth = [mail("M5", b"bytes"), report("M6")];
    assert_eq!(house.bring(&fifth), ["OUT-BACKLOG"; 2]);
    assert_eq!(house.told(), Some(FaultCode::OutBacklog));

    house.take(&["M1"]);
    assert_eq!(house.bring(&fifth), ["OUT-BACKLOG"; 2], "it was looked at just now");
    house.pass(LOOK_EVERY);
    assert_eq!(house.bring(&fifth), ["out", "OUT-BACKLOG"], "a report would be the ninth file");
}

#[test]
fn what_was_taken_is_not_enough_until_a_quarter_is_free() {
    let house = House::new(Unconsumed { files: Some(16), age: None });
    let eight: Vec<Mail> = (0..8).map(|number| mail(&format!("M{number}"), b"bytes")).collect();
    assert_eq!(house.bring(&eight), ["out"; 8]);
    let next = [mail("NEXT", b"bytes")];
    assert_eq!(house.bring(&next), ["OUT-BACKLOG"]);
    house.take(&["M0"]);
    house.pass(LOOK_EVERY);
    assert_eq!(house.bring(&next), ["OUT-BACKLOG"]);
    house.take(&["M1"]);
    house.pass(LOOK_EVERY);
    assert_eq!(house.bring(&next), ["out"]);
}

#[test]
fn a_file_that_lies_too_long_closes_the_folder_until_it_is_taken() {
    let house = House::new(Unconsumed { files: None, age: Some(HOUR) });
    assert_eq!(house.bring(&[mail("M1", b"bytes")]), ["out"]);
    house.pass(2 * HOUR);
    assert_eq!(house.told(), Some(FaultCode::OutBacklog), "told before anybody is turned away");
    let next = [mail("M2", b"bytes")];
    assert_eq!(house.bring(&next), ["OUT-BACKLOG"]);
    house.take(&["M1"]);
    house.pass(LOOK_EVERY);
    house.disk.date(house.clock.wall());
    assert_eq!(house.bring(&next), ["out"]);
    house.pass(LOOK_EVERY);
    assert_eq!(house.told(), None);
}

#[test]
fn a_folder_without_a_limit_is_not_looked_at() {
    let house = House::new(Unconsumed { files: Some(2), age: None });
    let plain = house.world.plain();
    let job = mail("M1", b"bytes");
    for _ in 0..3 {
        let staged = house.publisher.stage(&[StageJob { plan: &plain, delivery: &job.delivery, opened: &job.opened }]);
        assert!(staged[0].is_ok(), "{staged:?}");
    }
}

#[test]
fn what_is_admitted_counts_although_a_look_comes_before_its_files() {
    let house = House::new(Unconsumed { files: Some(8), age: None });
    let backlogs = house.publisher.backlogs.as_ref().expect("there are limits");
    let mails = ["M1", "M2", "M3", "M4"].map(|name| mail(name, b"bytes"));
    let admit = || -> Vec<Admitted<'_>> {
        let jobs = mails.iter().map(|Mail { delivery, opened }| StageJob { plan: &house.plan, delivery, opened });
        jobs.filter_map(|job| backlogs.admit(&house.publisher, &job).ok()).collect()
    };
    let ours = admit();
    assert_eq!(ours.len(), 4, "one worker is about to stage these");
    house.pass(LOOK_EVERY);
    assert_eq!(admit().len(), 0, "another one looks before they are written");
    backlogs.change(vec![(house.plan.clone(), Unconsumed { files: Some(8), age: None })]);
    assert_eq!(admit().len(), 0, "nor does a reload forget them");
    drop(ours);
    assert_eq!(admit().len(), 0, "they may be there now");
    house.pass(LOOK_EVERY);
    assert_eq!(admit().len(), 4, "nothing was written after all");
}
