use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::domain::fault::{Class, Origin};
use crate::domain::output::StagedSet;
use crate::ports::outputs::{Outputs, StageJob};
use crate::publish::testing::{Bends, Dying, Mail, World, mail, publish, report, resume, stage};
use crate::store::disk::{Real, Simulated};

fn simulated() -> (Simulated, World) {
    let disk = Simulated::new(1);
    let world = World::new(Arc::new(disk.clone()), Path::new("/base"));
    world.boot(1);
    (disk, world)
}

/// A staged pair `A` in the MESH-client layout.
fn staged() -> (Simulated, World, StagedSet) {
    let (disk, world) = simulated();
    let set = stage(&world.publisher(), &world.mesh(), &mail("A", b"payload")).unwrap();
    (disk, world, set)
}

fn temp(set: &StagedSet, index: usize) -> String {
    format!("mesh/TEMP/{}", set.files[index].temp)
}

/// Moves a staged file to its place, as a run before did.
fn reveal(world: &World, set: &StagedSet, index: usize) {
    let target = world.base.join("mesh/IN").join(&set.files[index].name);
    world.disk.rename_no_replace(Step::PublishData, &world.base.join(temp(set, index)), &target).unwrap();
}

fn held(published: Published) -> FaultCode {
    let Published::Held(reason) = published else { panic!("not held: {published:?}") };
    reason.code
}

fn not_now(published: Published) -> FaultCode {
    let Published::NotNow(fault) = published else { panic!("not put off: {published:?}") };
    assert_eq!(fault.class, Class::Transient);
    assert!(matches!(fault.origin, Origin::Dependency(_)));
    fault.code
}

#[test]
fn a_staged_set_appears_and_survives_any_power_cut() {
    for seed in 0..20 {
        let disk = Simulated::new(seed);
        let world = World::new(Arc::new(disk.clone()), Path::new("/base"));
        let set = stage(&world.publisher(), &world.mesh(), &mail("A", b"payload")).unwrap();
        assert_eq!(publish(&world.publisher(), &world.mesh(), &set), Published::Done(Publication::Seen));
        disk.crash();
        assert_eq!(world.names("mesh/IN"), ["A.ctl", "A.dat"]);
        assert_eq!(world.bytes("mesh/IN/A.dat"), b"payload");
        assert_eq!(world.names("mesh/TEMP"), Vec::<String>::new());
    }
}

#[test]
fn both_layouts_and_both_kinds_appear_on_the_real_disk() {
    let room = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(Real::new()), room.path());
    let publisher = world.publisher();
    for plan in [world.mesh(), world.plain()] {
        for mail in [mail("A", b"payload"), report("R1")] {
            let set = stage(&publisher, &plan, &mail).unwrap();
            assert_eq!(publish(&publisher, &plan, &set), Published::Done(Publication::Seen));
        }
    }
    assert_eq!(world.names("mesh/IN"), ["A.ctl", "A.dat", "R1.ctl"]);
    assert_eq!(world.names("plain"), [".meshd-output", ".staging", "A.dat", "A.json", "R1.json"]);
    assert_eq!((world.names("mesh/TEMP").len(), world.names("plain/.staging").len()), (0, 0));
}

#[test]
fn a_batch_renames_payloads_first_and_syncs_each_folder_once_for_each_part() {
    let (_, world) = simulated();
    let mails: Vec<Mail> = (0..3).map(|i| mail(&format!("M{i}"), b"x")).collect();
    let plan = world.mesh();
    let jobs: Vec<_> =
        mails.iter().map(|mail| StageJob { plan: &plan, delivery: &mail.delivery, opened: &mail.opened }).collect();
    let sets: Vec<StagedSet> = world.publisher().stage(&jobs).into_iter().map(Result::unwrap).collect();
    let dying = Arc::new(Dying::new(world.disk.clone(), u64::MAX, Box::new(|_| {})));
    let jobs: Vec<_> = sets.iter().map(|set| PublishJob { plan: &plan, set, resumed: false }).collect();
    let published = world.publisher_on(dying.clone()).publish(&jobs);
    assert_eq!(published, vec![Published::Done(Publication::Seen); 3]);
    use Step::{PublishControl, PublishControlSync, PublishData, PublishDataSync};
    assert_eq!(
        dying.steps(),
        [
            PublishData,
            PublishData,
            PublishData,
            PublishDataSync,
            PublishControl,
            PublishControl,
            PublishControl,
            PublishControlSync
        ]
    );
}

#[test]
fn somebody_elses_file_is_neither_replaced_nor_paired_with_our_payload() {
    for resumed in [false, true] {
        for taken in ["A.dat", "A.ctl"] {
            let (_, world, set) = staged();
            world.place(&format!("mesh/IN/{taken}"), b"somebody else's");
            let job = PublishJob { plan: &world.mesh(), set: &set, resumed };
            let published = world.publisher().publish(&[job]).pop().unwrap();
            assert_eq!(held(published), FaultCode::OutNameTaken);
            assert_eq!(world.names("mesh/IN"), [taken]);
            assert_eq!(world.bytes(&format!("mesh/IN/{taken}")), b"somebody else's");
        }
    }
}

#[test]
fn a_link_in_the_place_of_a_file_is_a_taken_name() {
    let room = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(Real::new()), room.path());
    let set = stage(&world.publisher(), &world.mesh(), &mail("A", b"payload")).unwrap();
    std::fs::write(room.path().join("target"), "payload").unwrap();
    std::os::unix::fs::symlink(room.path().join("target"), room.path().join("mesh/IN/A.dat")).unwrap();
    assert_eq!(held(publish(&world.publisher(), &world.mesh(), &set)), FaultCode::OutNameTaken);
    assert_eq!(std::fs::read(room.path().join("target")).unwrap(), b"payload");
}

#[test]
fn the_same_bytes_in_place_are_published_already() {
    for resumed in [false, true] {
        let (_, world, set) = staged();
        for index in 0..2 {
            let bytes = world.bytes(&temp(&set, index));
            world.place(&format!("mesh/IN/{}", set.files[index].name), &bytes);
        }
        let job = PublishJob { plan: &world.mesh(), set: &set, resumed };
        assert_eq!(world.publisher().publish(&[job]), [Published::Done(Publication::Seen)]);
        assert_eq!(world.names("mesh/TEMP"), Vec::<String>::new(), "leftovers are cleared");
        assert_eq!(world.names("mesh/IN"), ["A.ctl", "A.dat"]);
    }
}

#[test]
fn every_half_made_set_is_finished_without_a_second_appearance() {
    use Publication::{Inferred, Seen};
    // How many files a run before had renamed, which of them the consumer took, what is there in the end.
    let rows: [(usize, &[&str], Publication, &[&str]); 7] = [
        (0, &[], Seen, &["A.ctl", "A.dat"]),
        (1, &[], Seen, &["A.ctl", "A.dat"]),
        (1, &["A.dat"], Inferred, &["A.ctl"]),
        (2, &[], Seen, &["A.ctl", "A.dat"]),
        (2, &["A.dat"], Inferred, &["A.ctl"]),
        (2, &["A.ctl"], Inferred, &["A.dat"]),
        (2, &["A.ctl", "A.dat"], Inferred, &[]),
    ];
    for (renamed, taken, publication, left) in rows {
        let (_, world, set) = staged();
        for index in 0..renamed {
            reveal(&world, &set, index);
        }
        for name in taken {
            world.take(&format!("mesh/IN/{name}"));
        }
        let published = resume(&world.publisher(), &world.mesh(), &set);
        assert_eq!(published, Published::Done(publication), "{renamed} {taken:?}");
        assert_eq!(world.names("mesh/IN"), left, "{renamed} {taken:?}");
    }
}

#[test]
fn on_a_share_nobody_infers_that_the_consumer_took_it() {
    let (_, world, set) = staged();
    let share = Arc::new(Dying::bent(world.disk.clone(), Bends { is_share: true, ..Bends::default() }));
    reveal(&world, &set, 0);
    reveal(&world, &set, 1);
    let published = resume(&world.publisher_on(share.clone()), &world.mesh(), &set);
    assert_eq!(published, Published::Done(Publication::Seen), "what is there was published");
    world.take("mesh/IN/A.dat");
    world.take("mesh/IN/A.ctl");
    assert_eq!(held(resume(&world.publisher_on(share), &world.mesh(), &set)), FaultCode::OutUncertain);
}

#[test]
fn a_set_finished_after_the_machine_went_down_is_reported_as_again() {
    let (_, world, set) = staged();
    world.boot(2);
    assert_eq!(resume(&world.publisher(), &world.mesh(), &set), Published::Done(Publication::Again));
    assert_eq!(resume(&world.publisher(), &world.mesh(), &set), Published::Done(Publication::Seen));
}

#[test]
fn a_control_file_whose_payload_came_back_is_held() {
    let (_, world, set) = staged();
    world.take(&temp(&set, 1));
    assert_eq!(held(resume(&world.publisher(), &world.mesh(), &set)), FaultCode::OutUncertain);
    assert_eq!(world.names("mesh/IN"), Vec::<String>::new());
}

#[test]
fn what_vanished_from_staging_before_its_first_rename_is_held() {
    for index in 0..2 {
        let (_, world, set) = staged();
        world.take(&temp(&set, index));
        assert_eq!(held(publish(&world.publisher(), &world.mesh(), &set)), FaultCode::OutUncertain);
    }
}

#[test]
fn a_staged_file_that_changed_is_held() {
    for bytes in [&b"payloaX"[..], b"longer than the payload"] {
        let (_, world, set) = staged();
        world.place(&temp(&set, 0), bytes);
        assert_eq!(held(resume(&world.publisher(), &world.mesh(), &set)), FaultCode::OutUncertain);
        assert_eq!(world.names("mesh/IN"), Vec::<String>::new());
    }
}

#[test]
fn a_record_without_files_is_held() {
    let (_, world, set) = staged();
    let set = StagedSet { files: Vec::new(), ..set };
    assert_eq!(held(resume(&world.publisher(), &world.mesh(), &set)), FaultCode::OutUncertain);
}

#[test]
fn nothing_is_concluded_while_the_root_is_away() {
    for (resumed, lost) in
        [(false, "mesh"), (true, "mesh"), (false, "mesh/.meshd-output"), (true, "mesh/.meshd-output")]
    {
        let (_, world, set) = staged();
        world.take(lost);
        let job = PublishJob { plan: &world.mesh(), set: &set, resumed };
        assert_eq!(not_now(world.publisher().publish(&[job]).pop().unwrap()), FaultCode::OutUnavailable);
    }
    let (_, world, set) = staged();
    let set = StagedSet { marker: "of a root that was replaced".to_owned(), ..set };
    assert_eq!(not_now(resume(&world.publisher(), &world.mesh(), &set)), FaultCode::OutUnavailable);
}

#[test]
fn a_root_that_goes_away_between_check_and_rename_is_away_and_not_uncertain() {
    let (_, world, set) = staged();
    let base = world.base.clone();
    // The payload's rename is the first change; then the root is pulled out.
    let dying = Dying::new(
        world.disk.clone(),
        u64::MAX,
        Box::new(move |disk| disk.remove(Step::StageSweep, &base.join("mesh")).unwrap()),
    );
    let published = publish(&world.publisher_on(Arc::new(dying)), &world.mesh(), &set);
    assert_eq!(not_now(published), FaultCode::OutUnavailable);
}

#[test]
fn a_failed_folder_sync_settles_nothing_and_the_next_try_finishes() {
    for nth in 1..=2 {
        let (disk, world, set) = staged();
        disk.fail_sync(nth);
        assert_eq!(not_now(publish(&world.publisher(), &world.mesh(), &set)), FaultCode::OutWrite);
        assert_eq!(resume(&world.publisher(), &world.mesh(), &set), Published::Done(Publication::Seen));
        assert_eq!(world.names("mesh/IN"), ["A.ctl", "A.dat"]);
    }
}

#[test]
fn one_output_that_is_away_stops_no_other() {
    let (_, world, set) = staged();
    let (mesh, plain) = (world.mesh(), world.plain());
    let other = stage(&world.publisher(), &plain, &mail("B", b"x")).unwrap();
    world.take("plain/.meshd-output");
    let published = world.publisher().publish(&[
        PublishJob { plan: &plain, set: &other, resumed: false },
        PublishJob { plan: &mesh, set: &set, resumed: false },
    ]);
    assert!(matches!(published[0], Published::NotNow(_)));
    assert_eq!(published[1], Published::Done(Publication::Seen));
}
