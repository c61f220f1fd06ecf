use std::sync::Arc;

use super::*;
use crate::domain::step::Step;
use crate::publish::testing::{Bends, Dying, World};
use crate::store::disk::Simulated;

fn world() -> World {
    World::new(Arc::new(Simulated::new(1)), Path::new("/base"))
}

fn code_and_detail(world: &World, plan: &FolderPlan) -> (FaultCode, String) {
    let trouble = check(&*world.disk, &world.state(), &Place::of(plan).unwrap()).unwrap_err();
    (trouble.code, trouble.detail)
}

fn bent(bends: Bends) -> World {
    let world = world();
    World { disk: Arc::new(Dying::bent(world.disk.clone(), bends)), ..world }
}

#[test]
fn a_root_that_was_set_up_stands() {
    let world = world();
    for plan in [world.mesh(), world.plain()] {
        let standing = check(&*world.disk, &world.state(), &Place::of(&plan).unwrap()).unwrap();
        assert_eq!((standing.folder, standing.kind, standing.ordered_renames), (plan.folder, "ext4", true));
    }
}

#[test]
fn an_output_beside_the_others_in_one_root_shares_its_staging() {
    let world = world();
    let plan = FolderPlan { folder: world.base.join("mesh/URGENT"), ..world.mesh() };
    assert!(code_and_detail(&world, &plan).1.contains("is missing"));
    world.disk.create_folder(Step::StateDirectory, &plan.folder).unwrap();
    let standing = check(&*world.disk, &world.state(), &Place::of(&plan).unwrap()).unwrap();
    assert_eq!(standing.staging, world.base.join("mesh/TEMP"));
}

#[test]
fn an_unmounted_replaced_or_unknown_root_is_away() {
    for (what, change) in [
        ("is missing", Box::new(|world: &World| world.take("mesh")) as Box<dyn Fn(&World)>),
        ("has no marker", Box::new(|world| world.take("mesh/.meshd-output"))),
        (
            "carries another marker",
            Box::new(|world| {
                world.place("mesh/.meshd-output", b"{\"version\":1,\"id\":\"x\",\"created\":\"\"}");
            }),
        ),
        ("is not recorded", Box::new(|world| world.take("state/outputs.json"))),
        ("is missing", Box::new(|world| world.take("mesh/TEMP"))),
        ("is missing", Box::new(|world| world.take("mesh/IN"))),
        (
            "two spellings",
            Box::new(|world| {
                world.disk.create_folder(Step::StateDirectory, &world.base.join("mesh/in")).unwrap();
            }),
        ),
        ("is not a folder", Box::new(|world| world.place("mesh", b""))),
    ] {
        let world = world();
        change(&world);
        let (code, detail) = code_and_detail(&world, &world.mesh());
        assert_eq!(code, FaultCode::OutUnavailable, "{detail}");
        assert!(detail.contains(what), "{what}: {detail}");
    }
}

#[test]
fn folders_on_another_file_system_than_the_marker_are_away() {
    for folder in ["mesh/IN", "mesh/TEMP", "mesh"] {
        let world = bent(Bends { elsewhere: Some(PathBuf::from("/base").join(folder)), ..Bends::default() });
        let (code, detail) = code_and_detail(&world, &world.mesh());
        assert_eq!(code, FaultCode::OutUnavailable);
        assert!(detail.contains("not on one file system"), "{detail}");
    }
    let world = bent(Bends { elsewhere: Some(PathBuf::from("/base/plain/.staging")), ..Bends::default() });
    assert!(code_and_detail(&world, &world.plain()).1.contains("not on one file system"));
}

#[test]
fn a_probe_names_the_file_system_and_what_is_promised_there() {
    let name = Name::new("practice").unwrap();
    for (world, kind, promise) in [
        (world(), "ext4", Promise::Once),
        (bent(Bends { is_share: true, ..Bends::default() }), "nfs", Promise::AtLeastOnce),
    ] {
        let root = world.base.join("mesh");
        let report = probe(&*world.disk, &world.state(), &root, Layout::MeshFolder, &name).unwrap();
        assert_eq!((report.kind, report.promise, report.folder), (kind, promise, root.join("IN")));
    }
    let world = world();
    let fault = probe(&*world.disk, &world.state(), &world.state(), Layout::Folder, &name).unwrap_err();
    assert_eq!(fault.code, FaultCode::OutUnavailable);
}

#[test]
fn every_error_of_an_output_file_system_is_transient_and_the_outputs_own() {
    let name = Name::new("practice").unwrap();
    for (raw, code) in [
        (libc::ENOSPC, FaultCode::OutWrite),
        (libc::EROFS, FaultCode::OutWrite),
        (libc::EACCES, FaultCode::OutWrite),
        (libc::EIO, FaultCode::OutWrite),
        (libc::EDQUOT, FaultCode::OutWrite),
        (libc::EMFILE, FaultCode::OutWrite),
        (libc::EXDEV, FaultCode::OutUnavailable),
        (libc::ENOENT, FaultCode::OutUnavailable),
        (libc::ESTALE, FaultCode::OutUnavailable),
    ] {
        let fault = Trouble::from_io("write", &io::Error::from_raw_os_error(raw)).fault(&name);
        assert_eq!(fault, Fault::dependency(code, name.clone(), fault.detail.clone()));
    }
}
