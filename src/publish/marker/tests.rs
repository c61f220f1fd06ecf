use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::publish::testing::{Counting, Dying, Noon, World};
use crate::store::disk::Simulated;

fn base() -> PathBuf {
    PathBuf::from("/base")
}

/// A disk with a state directory and nothing else.
fn bare() -> (Simulated, World) {
    let disk = Simulated::new(1);
    let world = World { disk: Arc::new(disk.clone()), chance: Arc::new(Counting::default()), base: base() };
    world.disk.create_folder(Step::StateDirectory, &world.state()).unwrap();
    (disk, world)
}

fn check(world: &World, layout: Layout, root: &Path) -> bool {
    root::check(&*world.disk, &world.state(), &Place::under(root, layout).unwrap()).is_ok()
}

#[test]
fn a_new_root_has_its_folders_marker_and_record_and_keeps_them_through_a_power_cut() {
    let (disk, world) = bare();
    let root = base().join("srv/X26ABC1");
    let id = world.init(&root, Layout::MeshFolder).unwrap();
    disk.crash();
    assert_eq!(world.names("srv/X26ABC1"), [MARKER, "FAILED", "IN", "OUT", "SENT", "TEMP"]);
    assert_eq!(found(&*world.disk, &root).unwrap(), Some(id.clone()));
    let recorded = recorded(&*world.disk, &world.state(), &root).unwrap();
    assert_eq!(recorded.map(|recorded| recorded.id), Some(id));
    assert!(check(&world, Layout::MeshFolder, &root));
}

#[test]
fn a_plain_root_has_a_staging_folder() {
    let (_, world) = bare();
    world.init(&base().join("plain"), Layout::Folder).unwrap();
    assert_eq!(world.names("plain"), [MARKER, ".staging"]);
}

#[test]
fn the_files_have_the_documented_form() {
    let (_, world) = bare();
    world.init(&base().join("plain"), Layout::Folder).unwrap();
    let id = "00000000-0000-4000-8000-000000000000";
    assert_eq!(
        String::from_utf8(world.bytes("plain/.meshd-output")).unwrap(),
        format!("{{\"version\":1,\"id\":\"{id}\",\"created\":\"2026-01-05T12:00:00.000Z\"}}\n")
    );
    assert_eq!(
        String::from_utf8(world.bytes("state/outputs.json")).unwrap(),
        format!("{{\"version\":1,\"outputs\":{{\"/base/plain\":{{\"id\":\"{id}\",\"making\":false}}}}}}\n")
    );
}

#[test]
fn setting_up_again_changes_nothing() {
    let (_, world) = bare();
    let root = base().join("mesh");
    let id = world.init(&root, Layout::MeshFolder).unwrap();
    let before = (world.bytes("mesh/.meshd-output"), world.bytes("state/outputs.json"));
    assert_eq!(world.init(&root.join("."), Layout::MeshFolder).unwrap(), id);
    assert_eq!((world.bytes("mesh/.meshd-output"), world.bytes("state/outputs.json")), before);
}

#[test]
fn a_crash_at_any_step_is_finished_by_running_again() {
    for power in [false, true] {
        for sides in 0.. {
            let (disk, world) = bare();
            let dying = Dying::new(world.disk.clone(), sides, Box::new(|_| {}));
            let root = base().join("mesh");
            let new = NewRoot { root: &root, layout: Layout::MeshFolder, group: None, adopt: false };
            let first = init_root(&dying, &*world.chance, &Noon, &world.state(), new);
            if power {
                disk.crash();
            }
            if first.is_err() {
                world.init(&root, Layout::MeshFolder).unwrap();
            }
            assert!(check(&world, Layout::MeshFolder, &root), "power {power}, side {sides}");
            if first.is_ok() {
                assert!(sides > 40, "the steps were counted");
                break;
            }
        }
    }
}

#[test]
fn a_root_that_lost_its_marker_is_not_marked_anew() {
    let (_, world) = bare();
    let root = base().join("mesh");
    world.init(&root, Layout::MeshFolder).unwrap();
    world.take("mesh/.meshd-output");
    let error = world.init(&root, Layout::MeshFolder).unwrap_err();
    assert!(matches!(error, MarkerError::MarkerMissing { .. }), "{error}");
    assert_eq!(found(&*world.disk, &root).unwrap(), None);
}

#[test]
fn a_marker_of_another_daemon_is_left_alone() {
    let (_, world) = bare();
    let root = base().join("mesh");
    world.init(&root, Layout::MeshFolder).unwrap();
    let marker = world.bytes("mesh/.meshd-output");
    let other = base().join("state-of-another");
    world.disk.create_folder(Step::StateDirectory, &other).unwrap();
    let new = NewRoot { root: &root, layout: Layout::MeshFolder, group: None, adopt: false };
    let error = init_root(&*world.disk, &*world.chance, &Noon, &other, new).unwrap_err();
    assert!(matches!(error, MarkerError::AnotherMarker { .. }), "{error}");
    assert_eq!(world.bytes("mesh/.meshd-output"), marker);
}

#[test]
fn folders_in_another_case_are_taken_over() {
    let (_, world) = bare();
    for name in ["in", "Temp"] {
        world.disk.create_folder(Step::StateDirectory, &base().join("mesh").join(name)).unwrap();
    }
    let root = base().join("mesh");
    world.init(&root, Layout::MeshFolder).unwrap();
    assert_eq!(world.names("mesh"), [MARKER, "FAILED", "OUT", "SENT", "Temp", "in"]);
    let place = Place::under(&root, Layout::MeshFolder).unwrap();
    let standing = root::check(&*world.disk, &world.state(), &place).unwrap();
    assert_eq!((standing.folder, standing.staging), (root.join("in"), root.join("Temp")));
}

#[test]
fn two_spellings_of_a_folder_are_refused() {
    let (_, world) = bare();
    for name in ["in", "IN"] {
        world.disk.create_folder(Step::StateDirectory, &base().join("mesh").join(name)).unwrap();
    }
    let error = world.init(&base().join("mesh"), Layout::MeshFolder).unwrap_err();
    assert!(matches!(error, MarkerError::TwoSpellings { .. }), "{error}");
}

#[test]
fn what_is_no_folder_is_refused() {
    let (_, world) = bare();
    world.place("file", b"");
    assert!(matches!(world.init(&base().join("file"), Layout::Folder), Err(MarkerError::Kind { .. })));
    world.disk.create_folder(Step::StateDirectory, &base().join("mesh")).unwrap();
    world.place("mesh/TEMP", b"");
    assert!(matches!(world.init(&base().join("mesh"), Layout::MeshFolder), Err(MarkerError::Kind { .. })));
}

#[test]
fn only_plain_absolute_paths_can_be_set_up() {
    let (_, world) = bare();
    for path in ["relative", "/base/../etc", ""] {
        assert!(matches!(world.init(Path::new(path), Layout::Folder), Err(MarkerError::Path(_))), "{path:?}");
    }
}

#[test]
fn files_of_a_later_version_or_no_version_are_not_understood() {
    let (_, world) = bare();
    let root = base().join("plain");
    world.init(&root, Layout::Folder).unwrap();
    for bytes in [&b"{\"version\":2,\"id\":\"x\",\"created\":\"\"}"[..], b"", b"not JSON", &[b' '; MARKER_LIMIT + 1]] {
        world.place("plain/.meshd-output", bytes);
        assert!(matches!(found(&*world.disk, &root), Err(MarkerError::Format { .. })));
        assert!(!check(&world, Layout::Folder, &root));
    }
}
