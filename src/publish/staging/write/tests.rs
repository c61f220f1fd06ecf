use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::domain::fault::{Class, FaultCode, Origin};
use crate::domain::ids::Sensitive;
use crate::domain::output::{FolderPlan, LineEnds};
use crate::ports::outputs::Outputs;
use crate::ports::spool::PayloadSource;
use crate::publish::testing::{Dying, Mail, World, mail, mail_from, report, stage};
use crate::store::disk::{Real, Simulated};

fn simulated() -> (Simulated, World) {
    let disk = Simulated::new(1);
    (disk.clone(), World::new(Arc::new(disk), Path::new("/base")))
}

fn jobs<'a>(plan: &'a FolderPlan, mails: &'a [Mail]) -> Vec<StageJob<'a>> {
    mails.iter().map(|mail| StageJob { plan, delivery: &mail.delivery, opened: &mail.opened }).collect()
}

type Failure = fn() -> io::Error;

/// Gives these bytes, then this error, if any.
struct Broken(Vec<u8>, Option<Failure>);

impl PayloadSource for Broken {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        struct Failing(Failure);
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err((self.0)())
            }
        }
        let bytes = io::Cursor::new(self.0.clone());
        match self.1 {
            None => Ok(Box::new(bytes)),
            Some(error) => Ok(Box::new(bytes.chain(Failing(error)))),
        }
    }
}

#[test]
fn a_set_is_whole_in_staging_after_any_power_cut_and_nowhere_else() {
    for seed in 0..20 {
        let disk = Simulated::new(seed);
        let world = World::new(Arc::new(disk.clone()), Path::new("/base"));
        let publisher = world.publisher();
        let set = stage(&publisher, &world.mesh(), &mail("A", b"payload")).unwrap();
        disk.crash();
        assert_eq!(set.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["A.dat", "A.ctl"]);
        for file in &set.files {
            let bytes = world.bytes(&format!("mesh/TEMP/{}", file.temp));
            assert_eq!((file.length, &file.digest), (bytes.len() as u64, &publisher.key.of(&bytes)));
        }
        assert_eq!(world.bytes(&format!("mesh/TEMP/{}", set.files[0].temp)), b"payload");
        assert_eq!(world.names("mesh/IN"), Vec::<String>::new());
    }
}

#[test]
fn the_plain_layout_says_what_was_written() {
    let (_, world) = simulated();
    let set = stage(&world.publisher(), &world.plain(), &mail("A", b"abc")).unwrap();
    let text = world.bytes(&format!("plain/.staging/{}", set.files[1].temp));
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(value["payload"]["file"], "A.dat");
    assert_eq!(value["payload"]["length"], 3);
    assert_eq!(value["payload"]["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn an_empty_payload_is_a_file_of_no_bytes_and_a_report_is_a_lone_control_file() {
    let (_, world) = simulated();
    let empty = stage(&world.publisher(), &world.mesh(), &mail("A", b"")).unwrap();
    assert_eq!((empty.files[0].name.as_str(), empty.files[0].length), ("A.dat", 0));
    assert_eq!(world.bytes(&format!("mesh/TEMP/{}", empty.files[0].temp)), b"");
    for (plan, name) in [(world.mesh(), "R1.ctl"), (world.plain(), "R1.json")] {
        let set = stage(&world.publisher(), &plan, &report("R1")).unwrap();
        assert_eq!(set.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn files_get_the_configured_mode_and_a_missing_group_is_the_outputs_fault() {
    let room = tempfile::tempdir().unwrap();
    let world = World::new(Arc::new(Real::new()), room.path());
    let set = stage(&world.publisher(), &world.mesh(), &mail("A", b"x")).unwrap();
    for file in &set.files {
        let metadata = std::fs::metadata(room.path().join("mesh/TEMP").join(&file.temp)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
    }
    let folder = std::fs::metadata(room.path().join("mesh/IN")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o7777, 0o2770);
    let plan = FolderPlan { group: Some("no-such-group".to_owned()), ..world.mesh() };
    let fault = stage(&world.publisher(), &plan, &mail("B", b"x")).unwrap_err();
    assert_eq!((fault.code, fault.origin), (FaultCode::OutWrite, Origin::Dependency(plan.name)));
    assert_eq!(world.names("mesh/TEMP").len(), 2, "what was made of B is removed");
}

#[test]
fn a_large_payload_passes_in_pieces() {
    let (_, world) = simulated();
    let bytes: Vec<u8> = (0..BUFFER * 3 + 17).map(|i| i as u8).collect();
    let dying = Arc::new(Dying::new(world.disk.clone(), u64::MAX, Box::new(|_| {})));
    let publisher = world.publisher_on(dying.clone());
    let set = stage(&publisher, &world.mesh(), &mail("A", &bytes)).unwrap();
    assert_eq!(set.files[0].digest, publisher.key.of(&bytes));
    assert_eq!(world.bytes(&format!("mesh/TEMP/{}", set.files[0].temp)), bytes);
    let writes = dying.steps().iter().filter(|step| **step == Step::StageWrite).count();
    assert_eq!(writes, 1 + 4 + 1 + 1, "create and four pieces, create and one piece");
}

#[test]
fn a_batch_syncs_each_file_and_each_folder_once() {
    let (_, world) = simulated();
    let dying = Arc::new(Dying::new(world.disk.clone(), u64::MAX, Box::new(|_| {})));
    let mails: Vec<Mail> = (0..20).map(|i| mail(&format!("M{i}"), b"x")).collect();
    let (mesh, plain) = (world.mesh(), world.plain());
    let mut batch = jobs(&mesh, &mails[..10]);
    batch.extend(jobs(&plain, &mails[10..]));
    let results = world.publisher_on(dying.clone()).stage(&batch);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 20);
    let count = |wanted| dying.steps().iter().filter(|step| **step == wanted).count();
    assert_eq!((count(Step::StageSync), count(Step::StageFolderSync)), (40, 2));
}

#[test]
fn a_full_output_is_its_own_fault_and_leaves_nothing() {
    let (disk, world) = simulated();
    let plan = world.mesh();
    disk.limit_bytes(Some(2_000));
    let fault = stage(&world.publisher(), &plan, &mail("A", &[0; 4_000])).unwrap_err();
    assert_eq!(
        (fault.class, fault.code, fault.origin),
        (Class::Transient, FaultCode::OutWrite, Origin::Dependency(plan.name.clone()))
    );
    assert_eq!(world.names("mesh/TEMP"), Vec::<String>::new());
    disk.limit_bytes(None);
    assert!(stage(&world.publisher(), &plan, &mail("A", &[0; 4_000])).is_ok());
}

#[test]
fn after_a_failed_sync_the_files_are_made_anew() {
    for nth in 1..=3 {
        let (disk, world) = simulated();
        disk.fail_sync(nth);
        let fault = stage(&world.publisher(), &world.mesh(), &mail("A", b"payload")).unwrap_err();
        assert_eq!(fault.code, FaultCode::OutWrite);
        assert_eq!(world.names("mesh/TEMP"), Vec::<String>::new());
        let set = stage(&world.publisher(), &world.mesh(), &mail("A", b"payload")).unwrap();
        disk.crash();
        assert_eq!(world.bytes(&format!("mesh/TEMP/{}", set.files[0].temp)), b"payload");
    }
}

#[test]
fn one_output_that_is_away_stops_no_other() {
    let (_, world) = simulated();
    world.take("plain/.meshd-output");
    let (mesh, plain, mails) = (world.mesh(), world.plain(), [mail("A", b"x"), mail("B", b"x")]);
    let mut batch = jobs(&plain, &mails[..1]);
    batch.extend(jobs(&mesh, &mails[1..]));
    let results = world.publisher().stage(&batch);
    let fault = results[0].as_ref().unwrap_err();
    assert_eq!((fault.code, &fault.origin), (FaultCode::OutUnavailable, &Origin::Dependency(plain.name.clone())));
    assert!(results[1].is_ok());
    assert_eq!(world.names("plain"), [".staging"], "nothing is written under a mount point");
}

#[test]
fn a_payload_that_does_not_open_is_unreadable_and_stops_no_other() {
    let (_, world) = simulated();
    let plan = world.mesh();
    let sources: [(Vec<u8>, Option<Failure>); 4] = [
        (b"short".to_vec(), None),
        (b"too long, all of it".to_vec(), None),
        (b"".to_vec(), Some(|| io::Error::new(io::ErrorKind::InvalidData, "bad MAC"))),
        (b"0123456789".to_vec(), Some(|| io::Error::from_raw_os_error(libc::EIO))),
    ];
    let mut mails: Vec<Mail> = Vec::new();
    for (index, (bytes, error)) in sources.into_iter().enumerate() {
        mails.push(mail_from(&format!("BAD{index}"), 10, Arc::new(Broken(bytes, error))));
    }
    mails.push(mail("GOOD", b"x"));
    let results = world.publisher().stage(&jobs(&plan, &mails));
    for (result, class, origin) in [
        (&results[0], Class::Permanent, Origin::Local("spool")),
        (&results[1], Class::Permanent, Origin::Local("spool")),
        (&results[2], Class::Permanent, Origin::Local("spool")),
        (&results[3], Class::Transient, Origin::Local("spool")),
    ] {
        let fault = result.as_ref().unwrap_err();
        assert_eq!((fault.code, fault.class, &fault.origin), (FaultCode::SpoolUnreadable, class, &origin));
    }
    assert!(results[4].is_ok());
    assert_eq!(world.names("mesh/TEMP").len(), 2);
}

#[test]
fn nothing_a_sender_wrote_reaches_a_name_or_a_fault() {
    let (disk, world) = simulated();
    let mut hostile = mail("A", b"x");
    let envelope = &mut hostile.opened.envelope;
    for value in [
        &mut envelope.file_name,
        &mut envelope.subject,
        &mut envelope.local_id,
        &mut envelope.to,
        &mut envelope.checksum,
    ] {
        *value = Some(Sensitive::new("../../etc/x 9990000001\0\r\n"));
    }
    for plan in [world.mesh(), world.plain()] {
        let set = stage(&world.publisher(), &plan, &hostile).unwrap();
        for file in &set.files {
            assert!(crate::publish::naming::is_ours(&file.temp) && file.name.starts_with("A."), "{file:?}");
        }
        disk.limit_bytes(Some(1));
        let fault = stage(&world.publisher(), &plan, &hostile).unwrap_err();
        assert!(!fault.to_string().contains("999"), "{fault}");
        disk.limit_bytes(None);
    }
}

/// As after a restart, whatever the configuration says since.
#[test]
fn a_plan_that_was_journalled_makes_the_same_bytes_again() {
    let (_, world) = simulated();
    let mail = mail("A", b"payload");
    let mut digests = Vec::new();
    for line_ends in [LineEnds::Lf, LineEnds::Crlf] {
        let plan = FolderPlan { line_ends, ..world.mesh() };
        let journalled = serde_json::to_string(&plan).unwrap();
        for plan in [plan, serde_json::from_str(&journalled).unwrap()] {
            let set = stage(&world.publisher(), &plan, &mail).unwrap();
            digests.push(set.files.last().unwrap().digest.clone());
        }
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[2], digests[3]);
    assert_ne!(digests[0], digests[2], "the ends of lines are in it");
}
