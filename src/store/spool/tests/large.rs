//! Chunk directories.

use super::*;
use crate::ports::spool::Sealed;
use crate::store::disk::Side;

/// Chunks of awkward sizes: empty, one byte, exactly age's 64 KiB, and several pieces with a rest.
fn chunks() -> Vec<Vec<u8>> {
    [1, 65_536, 0, 700_001].iter().enumerate().map(|(n, size)| vec![n as u8 + 1; *size]).collect()
}

/// Does what a receiver does: goes on at the first missing chunk.
fn receive(spool: &Spool, envelope: &Envelope, chunks: &[Vec<u8>]) -> Result<Sealed, SpoolError> {
    let mut intake = spool.intake(envelope)?;
    for chunk in &chunks[intake.kept() as usize..] {
        intake.begin_chunk()?;
        for piece in chunk.chunks(10_000) {
            intake.write(piece)?;
        }
        intake.end_chunk()?;
    }
    intake.finish()
}

fn open(spool: &Spool, id: &str, parts: u32, life: u64) -> Result<Opened, SpoolError> {
    spool.reader().open(&mailbox("A"), &message(id), &Location::Parts { parts, life })
}

fn adopted_room() -> (Room, Spool, Appender) {
    let room = Room::new(0);
    let (spool, mut appender) = room.open();
    receive(&spool, &chunked("A", "M", 4), &chunks()).unwrap();
    appender.adopt(&mailbox("A"), &message("M"), 0).unwrap();
    (room, spool, appender)
}

#[test]
fn chunks_read_back_as_one_stream() {
    let (room, spool, appender) = adopted_room();
    let opened = open(&spool, "M", 4, 0).unwrap();
    assert_eq!(opened.envelope, chunked("A", "M", 4));
    assert_eq!(opened.payload.length(), 765_538);
    assert_eq!(payload(&opened).unwrap(), chunks().concat());
    assert_eq!(opened.payload.read_bounded(3).unwrap(), [1, 2, 2]);
    assert!(appender.holds(&mailbox("A"), &message("M"), &Location::Parts { parts: 4, life: 0 }).unwrap());
    assert_eq!(room.verify().problems, [""; 0]);
}

#[test]
fn every_chunk_is_a_plain_age_file() {
    let (room, _, _) = adopted_room();
    let identity: age::x25519::Identity =
        secrecy::ExposeSecret::expose_secret(&room.settings.identities[0]).parse().unwrap();
    let sealed = room.bytes(Path::new("/state/spool/chunks/A/M/000001.age"));
    assert_eq!(age::decrypt(&identity, &sealed).unwrap(), chunks()[0]);
}

#[test]
fn length_and_digest_do_not_depend_on_interruptions() {
    let whole = {
        let (spool, _) = Room::new(0).open();
        receive(&spool, &chunked("A", "M", 4), &chunks()).unwrap()
    };
    let (room, _) = Room::new(0).without_identities();
    let (spool, _) = room.open();
    for end in 0..4 {
        let mut intake = spool.intake(&chunked("A", "M", 4)).unwrap();
        assert_eq!(intake.kept(), end, "the connection broke in the chunk after");
        intake.begin_chunk().unwrap();
        intake.write(b"cut short").unwrap();
        intake.begin_chunk().unwrap();
        intake.write(&chunks()[end as usize]).unwrap();
        intake.end_chunk().unwrap();
    }
    let resumed = receive(&spool, &chunked("A", "M", 4), &chunks()).unwrap();
    assert_eq!(resumed, whole);
    assert_eq!((whole.length, whole.parts), (765_538, 4));
}

#[test]
fn a_crash_at_any_step_resumes_without_a_private_key_and_loses_no_durable_chunk() {
    let steps = [
        Step::PartCreate,
        Step::ChunkWrite,
        Step::ChunkSync,
        Step::SidecarWrite,
        Step::SidecarSync,
        Step::PartRename,
        Step::PartSync,
    ];
    let (content, envelope) = (chunks(), chunked("A", "M", 4));
    for step in steps {
        for side in [Side::Before, Side::After] {
            for nth in 1..=12 {
                let (mut room, identities) = Room::new(nth * 31).without_identities();
                let (spool, mut appender) = room.open();
                room.simulated.stop_at(step, nth, side);
                let mut durable = 0;
                let mut go = || -> Result<(), SpoolError> {
                    let mut intake = spool.intake(&envelope)?;
                    for chunk in &content {
                        intake.begin_chunk()?;
                        intake.write(chunk)?;
                        intake.end_chunk()?;
                        durable += 1;
                    }
                    intake.finish()?;
                    appender.adopt(&mailbox("A"), &message("M"), 0)
                };
                let was_adopted = go().is_ok();
                room.simulated.crash();

                let (spool, mut appender) = room.open();
                let here = Location::Parts { parts: 4, life: 0 };
                let is_adopted = appender.holds(&mailbox("A"), &message("M"), &here).unwrap();
                assert!(is_adopted || !was_adopted);
                if !is_adopted {
                    let kept = spool.intake(&envelope).unwrap().kept();
                    assert!(kept >= durable, "{step:?} {side:?} {nth}: {durable} were durable, {kept} are kept");
                    receive(&spool, &envelope, &content).unwrap();
                }
                appender.adopt(&mailbox("A"), &message("M"), 0).unwrap();
                room.simulated.crash();
                room.settings.identities = identities;
                let (spool, _) = room.open();
                assert_eq!(payload(&open(&spool, "M", 4, 0).unwrap()).unwrap(), content.concat());
            }
        }
    }
}

#[test]
fn another_division_into_chunks_begins_anew() {
    let room = Room::new(0);
    let (spool, mut appender) = room.open();
    receive(&spool, &chunked("A", "M", 4), &chunks()).unwrap();
    let two = [b"first".to_vec(), b"second".to_vec()];
    assert_eq!(spool.intake(&chunked("A", "M", 2)).unwrap().kept(), 0);
    let sealed = receive(&spool, &chunked("A", "M", 2), &two).unwrap();
    assert_eq!((sealed.length, sealed.parts), (11, 2));
    assert_eq!(room.all_files(Path::new(ROOT)).len(), 5, "nothing of the other division is left");
    appender.adopt(&mailbox("A"), &message("M"), 0).unwrap();
    assert_eq!(payload(&open(&spool, "M", 2, 0).unwrap()).unwrap(), b"firstsecond");
    assert_eq!(room.verify().problems, [""; 0]);
}

#[test]
fn chunks_as_served_and_decoded_ones_never_meet() {
    let (spool, _) = Room::new(0).open();
    let envelope = chunked("A", "M", 2);
    let begin = |as_served: bool| {
        let taken = if as_served { spool.intake_as_served(&envelope) } else { spool.intake(&envelope) };
        let mut intake = taken.unwrap();
        let kept = intake.kept();
        intake.begin_chunk().unwrap();
        intake.write(b"some").unwrap();
        intake.end_chunk().unwrap();
        kept
    };
    assert_eq!([begin(false), begin(true), begin(true), begin(false)], [0, 0, 1, 0]);
}

#[test]
fn chunks_out_of_turn_are_refused() {
    let (spool, _) = Room::new(0).open();
    let mut intake = spool.intake(&envelope("A", "M")).unwrap();
    assert!(intake.write(b"x").is_err());
    assert!(intake.end_chunk().is_err());
    intake.begin_chunk().unwrap();
    intake.end_chunk().unwrap();
    assert!(intake.begin_chunk().is_err());
    assert!(spool.intake(&chunked("A", "N", 2)).unwrap().finish().is_err());
    assert!(spool.intake(&chunked("A", "N", 1_000_000)).is_err());
}

#[test]
fn a_damaged_or_truncated_part_is_an_error_and_never_a_short_read() {
    let folder = Path::new("/state/spool/chunks/A/M");
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("000002.age", |bytes| bytes.truncate(bytes.len() - 1)),
        ("000002.age", |bytes| bytes.truncate(0)),
        ("000004.age", |bytes| bytes.truncate(bytes.len() - 65_552)),
        ("000004.age", |bytes| bytes[400_000] ^= 1),
        ("000001.age", |bytes| bytes.push(0)),
        ("000002.age", |bytes| bytes.fill(b'a')),
    ];
    for (name, damage) in damages {
        let (room, spool, _) = adopted_room();
        let mut bytes = room.bytes(&folder.join(name));
        damage(&mut bytes);
        room.overwrite(&folder.join(name), &bytes);
        let opened = open(&spool, "M", 4, 0).unwrap();
        assert!(payload(&opened).is_err(), "{name}");
        assert_eq!(room.verify().problems.len(), 1, "{name}");
    }
}

#[test]
fn a_part_in_anothers_place_is_an_error() {
    let (room, spool, _) = adopted_room();
    let folder = PathBuf::from("/state/spool/chunks/A/M");
    let second = room.bytes(&folder.join("000002.age"));
    room.overwrite(&folder.join("000001.age"), &second);
    assert!(payload(&open(&spool, "M", 4, 0).unwrap()).is_err());
    let sidecar = room.bytes(&folder.join("000002.json"));
    room.overwrite(&folder.join("000001.json"), &sidecar);
    assert!(open(&spool, "M", 4, 0).is_err());
}

#[test]
fn a_part_that_is_not_what_its_sidecar_says_is_an_error_though_it_opens() {
    let path = Path::new("/state/spool/chunks/A/M/000002.json");
    type Change = fn(&mut sidecar::Sidecar);
    let changes: [Change; 3] = [
        |sidecar| sidecar.length -= 1,
        |sidecar| sidecar.sealed.length += 1,
        |sidecar| sidecar.sealed.sha256 = "00".repeat(32),
    ];
    for change in changes {
        let (room, spool, _) = adopted_room();
        let mut sidecar = sidecar::Sidecar::parse(&room.bytes(path)).unwrap();
        change(&mut sidecar);
        room.overwrite(path, &sidecar.to_bytes().unwrap());
        assert!(payload(&open(&spool, "M", 4, 0).unwrap()).is_err());
    }
}

#[test]
fn a_missing_part_sidecar_or_envelope_does_not_open() {
    for name in ["000003.age", "000003.json", "envelope.age"] {
        let (room, spool, _) = adopted_room();
        room.simulated.remove(Step::SpoolRemove, &Path::new("/state/spool/chunks/A/M").join(name)).unwrap();
        let is_read = open(&spool, "M", 4, 0).is_ok_and(|opened| payload(&opened).is_ok());
        assert!(!is_read, "{name}");
        assert_eq!(room.verify().problems.len(), 1, "{name}");
    }
}

#[test]
fn a_reader_that_met_damage_does_not_read_past_it() {
    let (room, spool, _) = adopted_room();
    let path = Path::new("/state/spool/chunks/A/M/000001.age");
    let mut bytes = room.bytes(path);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    room.overwrite(path, &bytes);
    let mut reader = open(&spool, "M", 4, 0).unwrap().payload.reader().unwrap();
    let mut buffer = [0; 100];
    for _ in 0..3 {
        assert!(reader.read(&mut buffer).is_err());
    }
}

#[test]
fn a_full_disk_is_no_room_and_room_lets_it_go_on() {
    let room = Room::new(0);
    let (spool, _) = room.open();
    room.simulated.limit_bytes(Some(100_000));
    assert!(matches!(receive(&spool, &chunked("A", "M", 4), &chunks()), Err(SpoolError::NoRoom(_))));
    room.simulated.limit_bytes(None);
    assert_eq!(spool.intake(&chunked("A", "M", 4)).unwrap().kept(), 3);
    receive(&spool, &chunked("A", "M", 4), &chunks()).unwrap();
}

#[test]
fn a_failed_sync_anywhere_is_final() {
    for nth in 1..=4 {
        let room = Room::new(0);
        let (spool, _) = room.open();
        let mut intake = spool.intake(&envelope("A", "M")).unwrap();
        intake.begin_chunk().unwrap();
        room.simulated.fail_sync(nth);
        assert!(matches!(intake.end_chunk(), Err(SpoolError::Failed(_))), "sync {nth}");
    }
}

#[test]
fn taking_over_twice_is_fine_and_lives_lie_side_by_side() {
    let (room, spool, mut appender) = adopted_room();
    let (a, m) = (mailbox("A"), message("M"));
    appender.adopt(&a, &m, 0).unwrap();
    receive(&spool, &envelope("A", "M"), &[b"again".to_vec()]).unwrap();
    appender.adopt(&a, &m, 7).unwrap();
    assert_eq!(payload(&open(&spool, "M", 4, 0).unwrap()).unwrap().len(), 765_538);
    assert_eq!(payload(&open(&spool, "M", 1, 7).unwrap()).unwrap(), b"again");
    assert_eq!(room.list().len(), 2);
    assert!(matches!(appender.adopt(&a, &message("N"), 0), Err(SpoolError::Unreadable(_))));
}

#[test]
fn what_a_crash_left_before_its_record_is_replaced_when_the_message_came_again_whole() {
    let (_, spool, mut appender) = adopted_room();
    let (a, m) = (mailbox("A"), message("M"));
    let mut half = spool.intake(&chunked("A", "M", 2)).unwrap();
    half.begin_chunk().unwrap();
    half.end_chunk().unwrap();
    appender.adopt(&a, &m, 0).unwrap();
    assert_eq!(payload(&open(&spool, "M", 4, 0).unwrap()).unwrap().len(), 765_538, "half a message replaces nothing");
    spool.forget(&a, &m).unwrap();
    receive(&spool, &envelope("A", "M"), &[b"fetched again".to_vec()]).unwrap();
    appender.adopt(&a, &m, 0).unwrap();
    assert_eq!(payload(&open(&spool, "M", 1, 0).unwrap()).unwrap(), b"fetched again");
}

#[test]
fn removing_and_forgetting_leave_nothing_and_nothing_is_fine() {
    let (room, spool, mut appender) = adopted_room();
    let (a, m) = (mailbox("A"), message("M"));
    receive(&spool, &envelope("A", "M"), &[b"again".to_vec()]).unwrap();
    let parts = Removal::Parts { mailbox: a.clone(), message_id: m.clone(), life: 0 };
    for _ in 0..2 {
        appender.remove(parts.clone()).unwrap();
        spool.forget(&a, &m).unwrap();
    }
    assert_eq!(room.all_files(Path::new(ROOT)), []);
    room.simulated.crash();
    assert!(open(&spool, "M", 4, 0).is_err());
    appender.remove(Removal::Parts { mailbox: mailbox("Z"), message_id: m, life: 0 }).unwrap();
}

#[test]
fn a_directory_removed_durably_stays_removed() {
    for seed in 0..50 {
        let room = Room::new(seed);
        let (spool, mut appender) = room.open();
        receive(&spool, &envelope("A", "M"), &[b"x".to_vec()]).unwrap();
        appender.adopt(&mailbox("A"), &message("M"), 0).unwrap();
        appender.remove(Removal::Parts { mailbox: mailbox("A"), message_id: message("M"), life: 0 }).unwrap();
        room.simulated.crash();
        assert_eq!(room.list(), []);
    }
}

#[test]
fn chunks_that_a_new_process_counts_survive_a_power_cut_though_the_old_one_never_synced_them() {
    // Syncs of one chunk: chunk, envelope, sidecar, folder. The third fails, or never comes.
    for seed in 0..20 {
        let room = Room::new(seed);
        let (spool, _) = room.open();
        let mut intake = spool.intake(&envelope("A", "M")).unwrap();
        intake.begin_chunk().unwrap();
        intake.write(b"x").unwrap();
        room.simulated.fail_sync(3);
        intake.end_chunk().unwrap_err();
        let (spool, mut appender) = room.open();
        let intake = spool.intake(&envelope("A", "M")).unwrap();
        assert_eq!(intake.kept(), 1);
        intake.finish().unwrap();
        appender.adopt(&mailbox("A"), &message("M"), 0).unwrap();
        room.simulated.crash();
        let (spool, _) = room.open();
        assert_eq!(payload(&open(&spool, "M", 1, 0).unwrap()).unwrap(), b"x");
    }
}
