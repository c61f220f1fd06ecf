//! Crashes at every step, with a consumer that takes and deletes the moment it sees a control file (I2).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use super::root::Place;
use super::testing::{Dying, Mail, Watcher, World, mail, report};
use super::*;
use crate::domain::output::Publication;
use crate::domain::step::Step;
use crate::store::disk::Simulated;

/// Everything a consumer took, by name of the control file: the bytes of each taking.
#[derive(Clone, Default)]
struct Consumer {
    taken: Arc<Mutex<HashMap<String, Vec<Vec<u8>>>>>,
    /// Makes what it deletes durable, as one that keeps its own books does.
    is_careful: bool,
}

impl Consumer {
    fn taken(&self) -> MutexGuard<'_, HashMap<String, Vec<Vec<u8>>>> {
        self.taken.lock().expect("no consumer panics")
    }

    /// Takes every set whose control file is there: a lone one as well.
    fn look(&self, disk: &dyn Disk, folder: &Path) {
        for entry in disk.list(folder).expect("the folder is there") {
            let extension = entry.path.extension().and_then(|text| text.to_str());
            if !matches!(extension, Some("ctl" | "json")) {
                continue;
            }
            let mut bytes = testing::read(disk, &entry.path);
            let payload = entry.path.with_extension("dat");
            let name = entry.path.file_name().expect("a name").to_string_lossy().into_owned();
            match disk.entry(&payload).expect("the folder is there") {
                Some(_) => bytes.extend(testing::read(disk, &payload)),
                // The payload of this one was taken with it before the power went.
                None if !name.starts_with('R') => continue,
                None => {}
            }
            self.taken().entry(name).or_default().push(bytes);
            disk.remove(Step::StageSweep, &payload).expect("taken");
            disk.remove(Step::StageSweep, &entry.path).expect("taken");
            if self.is_careful {
                disk.sync_folder(Step::StageSweep, folder).expect("synced");
            }
        }
    }

    fn watcher(&self, folder: &Path) -> Watcher {
        let (consumer, folder) = (self.clone(), folder.to_owned());
        Box::new(move |disk| consumer.look(disk, &folder))
    }
}

fn mails() -> Vec<Mail> {
    vec![mail("A", b"first"), mail("B", b""), report("R1")]
}

fn stage_all(publisher: &Publisher, plan: &FolderPlan, mails: &[Mail]) -> Vec<Result<StagedSet, Fault>> {
    let jobs: Vec<_> =
        mails.iter().map(|mail| StageJob { plan, delivery: &mail.delivery, opened: &mail.opened }).collect();
    publisher.stage(&jobs)
}

fn publish_all(publisher: &Publisher, plan: &FolderPlan, sets: &[StagedSet], resumed: bool) -> Vec<Published> {
    let jobs: Vec<_> = sets.iter().map(|set| PublishJob { plan, set, resumed }).collect();
    publisher.publish(&jobs)
}

/// What came of a crash and a recovery.
struct Run {
    has_crashed: bool,
    /// Control files, by final name, that were in staging when recovery began.
    undone: HashSet<String>,
    published: Vec<Published>,
}

/// Stages, then publishes with a crash after `sides` sides of changes; recovers.
fn crash_while_publishing(
    disk: &Simulated,
    world: &World,
    plan: &FolderPlan,
    consumer: &Consumer,
    sides: u64,
    power: bool,
) -> Run {
    world.boot(1);
    let staged = stage_all(&world.publisher(), plan, &mails());
    let sets: Vec<StagedSet> = staged.into_iter().collect::<Result<_, _>>().expect("staged");
    let dying = Arc::new(Dying::new(world.disk.clone(), sides, consumer.watcher(&plan.folder)));
    let published = publish_all(&world.publisher_on(dying.clone()), plan, &sets, false);
    if !dying.is_dead() {
        return Run { has_crashed: false, undone: HashSet::new(), published };
    }
    if power {
        disk.crash();
        world.boot(2);
    }
    let staging = Place::of(plan).expect("a place").staging;
    let controls = sets.iter().flat_map(|set| set.files.last());
    let undone = controls
        .filter(|file| world.disk.entry(&staging.join(&file.temp)).expect("looked at").is_some())
        .map(|file| file.name.clone())
        .collect();
    consumer.look(&*world.disk, &plan.folder);
    let alive = Arc::new(Dying::new(world.disk.clone(), u64::MAX, consumer.watcher(&plan.folder)));
    let published = publish_all(&world.publisher_on(alive), plan, &sets, true);
    Run { has_crashed: true, undone, published }
}

#[test]
fn when_only_the_process_dies_each_message_is_taken_exactly_once() {
    for is_mesh in [true, false] {
        for sides in 0.. {
            let disk = Simulated::new(sides);
            let world = World::new(Arc::new(disk.clone()), Path::new("/base"));
            let plan = if is_mesh { world.mesh() } else { world.plain() };
            let consumer = Consumer::default();
            let run = crash_while_publishing(&disk, &world, &plan, &consumer, sides, false);
            for published in run.published {
                assert!(
                    matches!(published, Published::Done(Publication::Seen | Publication::Inferred)),
                    "side {sides}: {published:?}"
                );
            }
            let taken = consumer.taken();
            assert_eq!(taken.len(), 3, "side {sides}");
            assert!(taken.values().all(|takings| takings.len() == 1), "side {sides}: {taken:?}");
            if !run.has_crashed {
                assert!(sides >= 14, "five renames and two syncs have two sides each");
                break;
            }
        }
    }
}

#[test]
fn when_the_outputs_disk_loses_power_under_a_careful_consumer_each_is_taken_exactly_once() {
    for seed in 0..20 {
        for sides in 0..14 {
            let disk = Simulated::new(seed);
            let world = World::new(Arc::new(disk.clone()), Path::new("/base"));
            let plan = world.mesh();
            let consumer = Consumer { is_careful: true, ..Consumer::default() };
            let run = crash_while_publishing(&disk, &world, &plan, &consumer, sides, true);
            assert!(run.published.iter().all(|published| matches!(published, Published::Done(_))));
            let taken = consumer.taken();
            assert_eq!(taken.len(), 3, "seed {seed}, side {sides}");
            assert!(taken.values().all(|takings| takings.len() == 1), "seed {seed}, side {sides}: {taken:?}");
        }
    }
}

#[test]
fn a_careless_consumer_on_the_lost_disk_gets_the_same_bytes_at_most_twice_and_we_report_our_part() {
    let mut again = 0;
    for seed in 0..40 {
        for sides in 0..14 {
            let disk = Simulated::new(seed);
            let world = World::new(Arc::new(disk.clone()), Path::new("/base"));
            let plan = world.mesh();
            let consumer = Consumer::default();
            let run = crash_while_publishing(&disk, &world, &plan, &consumer, sides, true);
            let taken = consumer.taken();
            for (name, published) in ["A.ctl", "B.ctl", "R1.ctl"].into_iter().zip(run.published) {
                let takings = &taken[name];
                assert!((1..=2).contains(&takings.len()), "seed {seed}, side {sides}: {name}");
                assert!(takings.iter().all(|bytes| *bytes == takings[0]), "seed {seed}, side {sides}: {name}");
                assert!(matches!(published, Published::Done(_)), "seed {seed}, side {sides}: {published:?}");
                // The rest of the second takings are the consumer's own deletes, undone.
                let is_our_doing = takings.len() == 2 && run.undone.contains(name);
                if is_our_doing {
                    again += 1;
                    assert_eq!(published, Published::Done(Publication::Again), "seed {seed}, side {sides}: {name}");
                }
            }
        }
    }
    assert!(again > 0, "some crash undid a rename whose file was taken");
}

#[test]
fn a_crash_while_staging_leaves_nothing_to_a_consumer_and_nothing_after_the_sweep() {
    for power in [false, true] {
        for sides in 0.. {
            let disk = Simulated::new(sides);
            let world = World::new(Arc::new(disk.clone()), Path::new("/base"));
            world.boot(1);
            let plan = world.mesh();
            let dying = Arc::new(Dying::new(world.disk.clone(), sides, Box::new(|_| {})));
            let results = stage_all(&world.publisher_on(dying.clone()), &plan, &mails());
            if !dying.is_dead() {
                assert!(results.iter().all(Result::is_ok));
                break;
            }
            if power {
                disk.crash();
            }
            assert_eq!(world.names("mesh/IN"), Vec::<String>::new());
            let swept = world.publisher().sweep(&[world.mesh()], &HashSet::new());
            assert_eq!(swept.faults, []);
            assert_eq!(world.names("mesh/TEMP"), Vec::<String>::new(), "power {power}, side {sides}");
            let sets: Vec<StagedSet> = stage_all(&world.publisher(), &plan, &mails())
                .into_iter()
                .collect::<Result<_, _>>()
                .expect("staged anew");
            let published = publish_all(&world.publisher(), &plan, &sets, false);
            assert_eq!(published, vec![Published::Done(Publication::Seen); 3]);
        }
    }
}

#[test]
fn a_crash_while_recovering_is_recovered_from() {
    for first in (0..14).step_by(3) {
        for second in 0..20 {
            let world = World::new(Arc::new(Simulated::new(1)), Path::new("/base"));
            world.boot(1);
            let (plan, consumer) = (world.mesh(), Consumer::default());
            let sets: Vec<StagedSet> =
                stage_all(&world.publisher(), &plan, &mails()).into_iter().collect::<Result<_, _>>().expect("staged");
            for (sides, resumed) in [(first, false), (second, true), (u64::MAX, true)] {
                let dying = Arc::new(Dying::new(world.disk.clone(), sides, consumer.watcher(&plan.folder)));
                publish_all(&world.publisher_on(dying), &plan, &sets, resumed);
            }
            let taken = consumer.taken();
            assert_eq!(taken.len(), 3);
            assert!(taken.values().all(|takings| takings.len() == 1), "sides {first} and {second}");
        }
    }
}
