use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::publish::testing::{World, mail, stage};
use crate::store::disk::{Real, Simulated};

#[test]
fn what_no_record_names_is_removed_and_what_is_live_stays() {
    let world = World::new(Arc::new(Simulated::new(1)), Path::new("/base"));
    let publisher = world.publisher();
    let plans = [world.mesh(), world.plain()];
    for plan in &plans {
        stage(&publisher, plan, &mail("STALE", b"x")).unwrap();
    }
    let set = stage(&publisher, &world.mesh(), &mail("LIVE", b"x")).unwrap();
    let live: HashSet<String> = set.files.iter().map(|file| file.temp.clone()).collect();
    assert_eq!(publisher.sweep(&plans, &live), Swept { removed: 4, faults: Vec::new() });
    assert_eq!(world.names("mesh/TEMP").len(), 2);
    assert!(world.names("mesh/TEMP").iter().all(|name| live.contains(name)));
    assert_eq!(world.names("plain/.staging"), Vec::<String>::new());
}

#[test]
fn nothing_else_is_touched() {
    let room = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(Real::new()), room.path());
    let ours = "A.d1.0a1b2c3ddeadbeef.dat.part";
    let temp = room.path().join("mesh/TEMP");
    std::fs::create_dir(temp.join(ours)).unwrap();
    std::fs::write(room.path().join("target"), "kept").unwrap();
    std::os::unix::fs::symlink(room.path().join("target"), temp.join("B.d1.0a1b2c3ddeadbeef.dat.part")).unwrap();
    for name in ["A.dat", "A.dat.part", "notes.txt", ".hidden", "A.d1.part"] {
        std::fs::write(temp.join(name), "theirs").unwrap();
    }
    std::fs::write(room.path().join("mesh/IN").join(ours), "theirs").unwrap();
    let before = (world.names("mesh/TEMP"), world.names("mesh/IN"));
    assert_eq!(world.publisher().sweep(&[world.mesh()], &HashSet::new()), Swept::default());
    assert_eq!((world.names("mesh/TEMP"), world.names("mesh/IN")), before);
    assert_eq!(std::fs::read(room.path().join("target")).unwrap(), b"kept");
}

#[test]
fn a_root_without_its_marker_is_not_swept() {
    let world = World::new(Arc::new(Simulated::new(1)), Path::new("/base"));
    stage(&world.publisher(), &world.mesh(), &mail("A", b"x")).unwrap();
    world.take("mesh/.meshd-output");
    let swept = world.publisher().sweep(&[world.mesh()], &HashSet::new());
    assert_eq!((swept.removed, swept.faults.len()), (0, 1));
    assert_eq!(world.names("mesh/TEMP").len(), 2);
}
