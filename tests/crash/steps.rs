//! An abort before and after every durable step, at its first and at a later pass.
//!
//! A step that no case reaches fails the suite by its name, and so does a new one without a way: [`way`] is exhaustive.

use std::fs;
use std::sync::Mutex;

use meshd::domain::step::Step;
use meshd::simulator::house::Plan;
use meshd::simulator::mail::{Kind, sample};

use crate::judge::Times;
use crate::scene::{DEAD_LETTER, Ran, Scene, large, mixed_batch};
use crate::{onward, pairs};

/// How a run comes by a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Mail of every sort comes in and goes out.
    Mail,
    /// The same, in a house of its own for each case.
    FirstStart,
    /// The run before was killed with mail inside.
    Restart,
    /// The run before was killed with files in staging that no record names.
    LeftInStaging,
    /// The index is damaged.
    DamagedIndex,
    /// Outputs are set up.
    Init,
    /// More mail than one journal segment holds.
    Flood,
    /// The run before was killed with a volume that no record names.
    OrphanedVolume,
    /// The disk is near its floor, so that what was delivered goes before its time, and dead letters are moved together.
    NearTheFloor,
    /// A backup is made, and restored.
    Backup,
    /// Applications put pairs into `OUT`: see `pairs`.
    Pairs,
}

/// The way to each step. Without a wildcard: a new step needs one.
fn way(step: Step) -> Way {
    match step {
        Step::StateDirectory
        | Step::StatusFile
        | Step::VolumeCreate
        | Step::GroupWrite
        | Step::VolumeSync
        | Step::PartCreate
        | Step::ChunkWrite
        | Step::ChunkSync
        | Step::SidecarWrite
        | Step::SidecarSync
        | Step::PartRename
        | Step::PartSync
        | Step::JournalWrite
        | Step::JournalSync
        | Step::IndexApply
        | Step::IndexSync
        | Step::Acknowledge
        | Step::StageWrite
        | Step::StageSync
        | Step::StageFolderSync
        | Step::PublishData
        | Step::PublishDataSync
        | Step::PublishControl
        | Step::PublishControlSync => Way::Mail,
        Step::SegmentCreate => Way::FirstStart,
        Step::TailCut => Way::Restart,
        Step::StageSweep => Way::LeftInStaging,
        Step::IndexDiscard => Way::DamagedIndex,
        Step::MarkerWrite => Way::Init,
        Step::Checkpoint | Step::SegmentCompress => Way::Flood,
        Step::SpoolRemove => Way::OrphanedVolume,
        Step::GroupMove => Way::NearTheFloor,
        Step::BackupWrite | Step::RestoreWrite => Way::Backup,
        Step::PairWrite | Step::PairReport | Step::PairMove | Step::PairSync | Step::PairRemove => Way::Pairs,
    }
}

/// Steps that matter on a way to which another one leads as well.
fn also(way: Way) -> &'static [Step] {
    match way {
        Way::NearTheFloor => &[Step::JournalWrite, Step::JournalSync, Step::IndexApply, Step::SpoolRemove],
        Way::Mail
        | Way::FirstStart
        | Way::Restart
        | Way::LeftInStaging
        | Way::DamagedIndex
        | Way::Init
        | Way::Flood
        | Way::Backup
        | Way::Pairs
        | Way::OrphanedVolume => &[],
    }
}

const SIDES: [&str; 2] = ["before", "after"];

/// Later passes, tried in this order: the second is there for steps that one run meets only twice.
const LATER: [u32; 2] = [3, 2];

/// A few at once: most of a case is waiting for another process.
const AT_ONCE: usize = 3;

#[test]
fn while_mail_comes_in_and_goes_out() {
    every_step_of(Way::Mail);
}

#[test]
fn at_a_start_after_a_kill() {
    every_step_of(Way::Restart);
}

#[test]
fn while_staging_is_swept() {
    every_step_of(Way::LeftInStaging);
}

#[test]
fn while_a_damaged_index_is_put_aside() {
    every_step_of(Way::DamagedIndex);
}

#[test]
fn while_the_journal_grows_beyond_a_segment() {
    every_step_of(Way::Flood);
}

#[test]
fn while_an_orphaned_volume_is_removed() {
    every_step_of(Way::OrphanedVolume);
}

#[test]
fn while_payloads_leave_the_spool_and_others_are_moved() {
    every_step_of(Way::NearTheFloor);
}

#[test]
fn at_the_very_first_start() {
    every_step_of(Way::FirstStart);
}

#[test]
fn while_outputs_are_set_up_at_every_pass() {
    assert_eq!(way(Step::MarkerWrite), Way::Init);
    for side in SIDES {
        let passes = crash_at_every_pass(Step::MarkerWrite, side, |crash_at| {
            let scene = Scene::bare(Plan::default());
            scene.house.set_up_without_output();
            let ended = scene.house.command().args(["output", "init"]).env("MESHD_CRASH_AT", crash_at).output();
            let is_done = ended.expect("the program runs").status.success();
            if !is_done {
                let again = scene.house.meshd(&["output", "init"]);
                assert_eq!(again.code, Some(0), "{crash_at}: {}", again.stderr);
                let checked = scene.house.meshd(&["check"]);
                assert_eq!(checked.code, Some(0), "{crash_at}: {}", checked.stderr);
            }
            is_done
        });
        assert!(passes > 1, "{} was not reached", Step::MarkerWrite.as_str());
    }
}

#[test]
fn while_a_backup_is_made_at_every_pass() {
    assert_eq!(way(Step::BackupWrite), Way::Backup);
    let scene = Scene::new(Plan::default());
    scene.offer(mixed_batch(0));
    scene.recover(Times::Once).expect("nothing crashes yet");
    let identity = scene.house.path("backup-identity");
    let recipient = scene.house.meshd(&["keys", "generate", "--output", &identity.to_string_lossy()]).expect_done();
    let (backup, part) = (scene.house.path("backup"), scene.house.path("backup.part"));
    let daemon = scene.house.start();
    for side in SIDES {
        let passes = crash_at_every_pass(Step::BackupWrite, side, |crash_at| {
            let create = ["backup", "create", "--to", &backup.to_string_lossy(), "--recipient", recipient.trim()];
            let ended = scene.house.command().args(create).env("MESHD_CRASH_AT", crash_at).output();
            let is_done = ended.expect("the program runs").status.success();
            // Under its own name there is a whole one or none.
            if backup.exists() {
                let verify = ["backup", "verify", &backup.to_string_lossy(), "--identity", &identity.to_string_lossy()];
                scene.house.meshd(&verify).expect_done();
                fs::remove_file(&backup).expect("the folder is ours");
            }
            drop(fs::remove_file(&part));
            is_done
        });
        assert!(passes > 3, "{} was not reached", Step::BackupWrite.as_str());
    }
    daemon.stop_in_order();
}

#[test]
fn while_a_backup_is_restored_at_every_pass() {
    assert_eq!(way(Step::RestoreWrite), Way::Backup);
    let scene = Scene::new(Plan::default());
    let identity = scene.house.path("backup-identity");
    let recipient = scene.house.meshd(&["keys", "generate", "--output", &identity.to_string_lossy()]).expect_done();
    let backup = scene.house.path("backup");
    let daemon = scene.house.start();
    let create = ["backup", "create", "--to", &backup.to_string_lossy(), "--recipient", recipient.trim()];
    scene.house.meshd(&create).expect_done();
    daemon.stop_in_order();
    for side in SIDES {
        let to = scene.house.path(&format!("restored-{side}"));
        let (from, to_text, identity) = (backup.to_string_lossy(), to.to_string_lossy(), identity.to_string_lossy());
        let restore = ["backup", "restore", &*from, "--to", &*to_text, "--identity", &*identity];
        let passes = crash_at_every_pass(Step::RestoreWrite, side, |crash_at| {
            let ended = scene.house.command().args(restore).env("MESHD_CRASH_AT", crash_at).output();
            let is_done = ended.expect("the program runs").status.success();
            if !is_done {
                // Again without a crash: it begins anew, unless the crash came after its last word.
                let again = scene.house.meshd(&restore);
                assert!(again.code == Some(0) || again.stderr.contains("not empty"), "{crash_at}: {}", again.stderr);
                fs::remove_dir_all(&to).expect("the folder is ours");
            }
            is_done
        });
        assert!(passes > 3, "{} was not reached", Step::RestoreWrite.as_str());
    }
}

/// Has `run` crash at each pass of a step until it says that it came through; how often it crashed is returned.
fn crash_at_every_pass(step: Step, side: &str, mut run: impl FnMut(&str) -> bool) -> u32 {
    let mut passes = 0;
    while !run(&format!("{}:{side}:{}", step.as_str(), passes + 1)) {
        passes += 1;
    }
    passes
}

#[test]
fn while_pairs_are_picked_up_and_put_away() {
    let own = Step::ALL.iter().copied().filter(|step| way(*step) == Way::Pairs);
    // Of the others a few passes: each send comes by them many times.
    let kept = [Step::GroupWrite, Step::VolumeSync, Step::JournalWrite, Step::JournalSync, Step::IndexApply];
    let steps = own.map(|step| (step, u32::MAX)).chain(kept.map(|step| (step, 5)));
    let cases: Vec<_> = steps.flat_map(|(step, most)| SIDES.map(|side| (step, side, most))).collect();
    each_of(cases, |(step, side, most)| pairs::crash_at_passes(step, side, most));
}

#[test]
fn while_messages_are_sent_on() {
    let steps = [
        Step::GroupWrite,
        Step::VolumeSync,
        Step::PartCreate,
        Step::ChunkSync,
        Step::PartRename,
        Step::JournalWrite,
        Step::JournalSync,
        Step::IndexApply,
        Step::StageSync,
        Step::PublishControl,
    ];
    let cases: Vec<_> = steps.iter().flat_map(|step| SIDES.map(|side| (*step, side))).collect();
    each_of(cases, |(step, side)| onward::crash_at_passes(step, side, 6));
}

/// Runs every case of the steps that this way leads to, and names all that failed.
fn every_step_of(which: Way) {
    let steps = Step::ALL.iter().copied().filter(|step| way(*step) == which).chain(also(which).iter().copied());
    let cases: Vec<(Step, &str)> = steps.flat_map(|step| SIDES.map(|side| (step, side))).rev().collect();
    assert!(!cases.is_empty(), "no step goes the way {which:?}");
    each_of(cases, |(step, side)| first_and_later(which, step, side));
}

/// Runs all cases, a few at a time, and names all that failed.
fn each_of<C: Send>(cases: Vec<C>, run: impl Fn(C) -> Result<(), String> + Sync) {
    let (cases, failures) = (Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = cases.lock().expect("nobody panics with it").pop();
                    let Some(case) = next else { return };
                    if let Err(failure) = run(case) {
                        failures.lock().expect("nobody panics with it").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panics with it");
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n\n"));
}

/// The first pass in a fresh house, and a later one in a house that has been lived in if its way leads there.
fn first_and_later(way: Way, step: Step, side: &str) -> Result<(), String> {
    let mut scene = Scene::new(plan(way));
    let name = step.as_str();
    if case(&scene, way, &format!("{name}:{side}:1"))? == Ran::Through {
        return Err(format!("{name} was not reached: is it still taken, and does its way still lead there?"));
    }
    let mut later = LATER.iter();
    loop {
        let Some(pass) = later.next() else {
            return Err(format!("{name}: no run came to a second pass"));
        };
        if way == Way::FirstStart {
            let lived_in = std::mem::replace(&mut scene, Scene::new(plan(way)));
            lived_in.finish(Times::Once).map_err(|failure| format!("{name}:{side}: {failure}"))?;
        }
        if case(&scene, way, &format!("{name}:{side}:{pass}"))? == Ran::Died {
            break;
        }
    }
    scene.finish(Times::Once).map_err(|failure| format!("{name}:{side}, at the end: {failure}"))
}

fn plan(way: Way) -> Plan {
    match way {
        Way::Flood => Plan { tables: "[journal]\nsegment = \"1MB\"".to_owned(), ..Plan::default() },
        Way::Mail
        | Way::FirstStart
        | Way::OrphanedVolume
        | Way::NearTheFloor
        | Way::Restart
        | Way::LeftInStaging
        | Way::DamagedIndex
        | Way::Backup
        | Way::Pairs
        | Way::Init => Plan::default(),
    }
}

/// One crash, and the recovery from it.
fn case(scene: &Scene, way: Way, crash_at: &str) -> Result<Ran, String> {
    let seed = scene.offered().len() as u64;
    prepare(scene, way, seed)?;
    let ran = scene.run_until(crash_at)?;
    if way == Way::NearTheFloor {
        scene.keep_only_dead_letters().map_err(|failure| format!("after {crash_at}: {failure}"))?;
        scene.set_floor("0%");
    }
    scene.recover(Times::Once).map_err(|failure| format!("after {crash_at}: {failure}"))?;
    Ok(ran)
}

/// Brings the house to where a run comes by the step.
fn prepare(scene: &Scene, way: Way, seed: u64) -> Result<(), String> {
    let reach = |crash_at: &str| match scene.run_until(crash_at)? {
        Ran::Died => Ok(()),
        Ran::Through => Err(format!("{crash_at} was to come before, and was not reached")),
    };
    scene.offer(mixed_batch(seed));
    match way {
        Way::Mail | Way::FirstStart | Way::Init | Way::Backup | Way::Pairs => Ok(()),
        Way::OrphanedVolume => reach("group-write:after:1"),
        Way::NearTheFloor => {
            // Most of their volume is others', so much of it between them that they are in no group together.
            let dead_letter = |number| sample(DEAD_LETTER, seed + number).expect("synthetic mail is well made");
            let between = (0..40).map(|number| large(seed + number, 50_000, 50_000));
            scene.offer([dead_letter(0)].into_iter().chain(between).chain([dead_letter(1)]).collect());
            scene.recover(Times::Once)?;
            // A floor of nine tenths, and a quarter above it, is more than any disk has.
            scene.set_floor("90%");
            Ok(())
        }
        Way::Restart => reach("journal-sync:after:12"),
        Way::LeftInStaging => reach("stage-folder-sync:before:1"),
        Way::DamagedIndex => {
            reach("publish-data:after:1")?;
            let database = scene.house.state().join("index/db");
            fs::write(&database, "damage").map_err(|error| format!("{}: {error}", database.display()))
        }
        Way::Flood => {
            let tiny = sample(Kind::Tiny, seed).expect("synthetic mail is well made");
            scene.offer(vec![tiny; FLOOD]);
            Ok(())
        }
    }
}

/// So many messages make a megabyte of journal, the smallest segment.
const FLOOD: usize = 700;
