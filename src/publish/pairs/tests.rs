//! Pairs put away under a process that dies at every change, and under power cuts.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::domain::control::{Control, StatusEvent, Told};
use crate::domain::ids::{MessageId, Sensitive, WorkflowId};
use crate::domain::output::LineEnds;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::pairs::Shelf;
use crate::publish::testing::{Bends, Dying, World};
use crate::store::disk::Simulated;

fn mailbox() -> MailboxId {
    MailboxId::new("X26ABC1").expect("a mailbox id")
}

fn world(seed: u64) -> (Simulated, World) {
    let disk = Simulated::new(seed);
    let world = World::new(Arc::new(disk.clone()), Path::new("/srv"));
    (disk, world)
}

fn folders(world: &World, disk: Arc<dyn Disk>) -> PairFolders {
    folders_with(LineEnds::Lf, world, disk)
}

fn folders_with(line_ends: LineEnds, world: &World, disk: Arc<dyn Disk>) -> PairFolders {
    PairFolders::new(world.publisher_on(disk), mailbox(), FolderPlan { line_ends, ..world.mesh() })
}

/// A pair in `OUT`, durable as its sender may have made it.
fn put(world: &World, base: &str) {
    for (extension, bytes) in [("dat", "bytes"), ("ctl", "<DTSControl/>")] {
        world.place(&format!("mesh/OUT/{base}.{extension}"), bytes.as_bytes());
        let path = world.base.join(format!("mesh/OUT/{base}.{extension}"));
        world.disk.open(&path).expect("it is there").sync(Step::StageSync).expect("synced");
    }
    world.disk.sync_folder(Step::StageSync, &world.base.join("mesh/OUT")).expect("synced");
}

fn control() -> Control {
    Control {
        from: mailbox(),
        to: Sensitive::new("X26ABC2"),
        workflow: WorkflowId::new("LETTERS").expect("a workflow id"),
        subject: None,
        local_id: Some(Sensitive::new("RXX-17")),
        partner_id: None,
        checksum: None,
        compress: true,
        encrypted: false,
        allow_chunking: true,
    }
}

fn told(message: &str, at: i64) -> Told {
    Told {
        message: MessageId::new(message).ok(),
        at: Timestamp(at),
        event: StatusEvent::Transfer,
        is_success: true,
        code: "00".into(),
        description: "Transferred to recipient mailbox".into(),
    }
}

/// Puts all away that lies there, at that time; whether it came to the end.
fn put_all_away(folders: &PairFolders, to: Shelf, at: i64) -> bool {
    let Ok(lying) = folders.look() else { return false };
    let (control, told) = (control(), told("AT-MESH", at));
    let away = |pair| Away { pair, control: Some(&control), rewrites: true, told: &told, to, report: true };
    let away: Vec<Away<'_>> = lying.pairs.iter().map(away).collect();
    folders.put_away(&away).is_ok_and(|put| put.iter().all(|put| *put))
}

#[test]
fn a_crash_at_any_change_is_finished_by_the_next_look() {
    for power in [false, true] {
        for to in [Shelf::Sent, Shelf::Removed] {
            let mut sides = 0;
            loop {
                let (disk, world) = world(sides);
                // Of one name there is an older pair there.
                world.place("mesh/SENT/b.dat", b"another");
                world.place("mesh/SENT/b.ctl", b"another");
                world.disk.sync_folder(Step::StageSync, &world.base.join("mesh/SENT")).expect("synced");
                put(&world, "a");
                put(&world, "b");
                let dying = Arc::new(Dying::new(world.disk.clone(), sides, Box::new(|_| {})));
                put_all_away(&folders(&world, dying.clone()), to, 1_000);
                if dying.is_dead() && power {
                    disk.crash();
                }
                // Ends of lines that were configured meanwhile make no second file.
                let alive = folders_with(LineEnds::Crlf, &world, world.disk.clone());
                assert!(put_all_away(&alive, to, 9_000), "{to:?} {power} {sides}");
                assert_eq!(alive.look().expect("it is there").pairs, [], "{to:?} {power} {sides}");
                let expected: &[&str] = match to {
                    Shelf::Sent => &["a.ctl", "a.dat", "b.ctl", "b.dat", "b~2.ctl", "b~2.dat"],
                    Shelf::Removed | Shelf::Failed => &["b.ctl", "b.dat"],
                };
                assert_eq!(world.names("mesh/SENT"), expected, "{to:?} {power} {sides}");
                assert_eq!(world.names("mesh/IN").len(), 2, "one report of each: {to:?} {power} {sides}");
                if to == Shelf::Sent {
                    assert_eq!(world.bytes("mesh/SENT/b~2.dat"), b"bytes");
                    let rewritten = String::from_utf8(world.bytes("mesh/SENT/b~2.ctl")).expect("text");
                    assert!(rewritten.contains("<DTSId>AT-MESH</DTSId>"), "{rewritten}");
                }
                if !dying.is_dead() {
                    break;
                }
                sides += 1;
            }
            assert!(sides > 20, "{sides} sides of changes");
        }
    }
}

#[test]
fn what_changed_since_it_was_seen_stays_as_it_is() {
    let (_, world) = world(1);
    let folders = folders(&world, world.disk.clone());
    put(&world, "a");
    put(&world, "b");
    let lying = folders.look().expect("it is there");
    world.place("mesh/OUT/a.dat", b"other bytes");
    assert!(!folders.is_as_seen(&lying.pairs[0]).expect("it looks"));
    assert!(folders.is_as_seen(&lying.pairs[1]).expect("it looks"));
    let (control, told) = (control(), told("AT-MESH", 0));
    let away =
        |pair| Away { pair, control: Some(&control), rewrites: true, told: &told, to: Shelf::Sent, report: false };
    let away: Vec<Away<'_>> = lying.pairs.iter().map(away).collect();
    assert_eq!(folders.put_away(&away).expect("it is there"), [false, true]);
    assert_eq!(world.names("mesh/OUT"), ["a.ctl", "a.dat"]);
    assert_eq!(world.names("mesh/SENT"), ["b.ctl", "b.dat"]);
}

#[test]
fn halves_and_strangers_are_told_apart() {
    let (_, world) = world(1);
    let folders = folders(&world, world.disk.clone());
    for name in [
        "list.csv.dat",
        "list.csv.CTL",
        "lone.DAT",
        "x.dat.csv",
        "noextension",
        ".hidden.ctl",
        "con.dat",
        "twice.dat",
        "twice.DAT",
    ] {
        world.place(&format!("mesh/OUT/{name}"), b"x");
    }
    let lying = folders.look().expect("it is there");
    let seen = |pair: &PairSeen| (pair.base.reveal().to_owned(), pair.data.is_some(), pair.control.is_some());
    let pairs: Vec<_> = lying.pairs.iter().map(seen).collect();
    let expected = [("list.csv", true, true), ("lone", true, false), ("twice", true, false)];
    assert_eq!(pairs, expected.map(|(base, data, control)| (base.to_owned(), data, control)));
    assert_eq!(lying.strangers, 4, "a device's name is one, and so is the second spelling");
}

#[test]
fn a_root_that_is_not_the_one_that_was_set_up_is_left_alone() {
    let (_, world) = world(1);
    let folders_of = |world: &World, disk| folders(world, disk);
    assert!(folders_of(&world, world.disk.clone()).look().is_ok());
    for elsewhere in ["mesh/OUT", "mesh/SENT", "mesh/FAILED", "mesh/IN"] {
        let bends = Bends { elsewhere: Some(world.base.join(elsewhere)), ..Bends::default() };
        let bent = Arc::new(Dying::bent(world.disk.clone(), bends));
        let fault = folders_of(&world, bent).look().expect_err("a rename would be a copy");
        assert!(fault.detail.contains("file system"), "{}", fault.detail);
    }
    world.disk.create_folder(Step::MarkerWrite, &world.base.join("mesh/out")).expect("made");
    let fault = folders_of(&world, world.disk.clone()).look().expect_err("which of the two?");
    assert!(fault.detail.contains("two spellings"), "{}", fault.detail);
}

#[test]
fn reports_and_rewritten_control_files_have_the_configured_ends_of_lines() {
    for line_ends in [LineEnds::Lf, LineEnds::Crlf] {
        let (_, world) = world(1);
        put(&world, "a");
        assert!(put_all_away(&folders_with(line_ends, &world, world.disk.clone()), Shelf::Sent, 1_000));
        let reports = world.names("mesh/IN");
        for file in ["mesh/SENT/a.ctl".to_owned(), format!("mesh/IN/{}", reports[0])] {
            let text = String::from_utf8(world.bytes(&file)).expect("text");
            let returns = if line_ends == LineEnds::Crlf { text.matches('\n').count() } else { 0 };
            assert_eq!(text.matches("\r\n").count(), returns, "{text}");
            assert!(text.ends_with("</DTSControl>\r\n") == (line_ends == LineEnds::Crlf), "{text}");
        }
        assert_eq!(world.bytes("mesh/SENT/a.dat"), b"bytes");
    }
}
