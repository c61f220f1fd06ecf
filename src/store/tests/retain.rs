use super::*;
use crate::domain::step::Step;
use crate::ports::spool::{Intake, Spool as _};
use crate::store::disk::Side;
use crate::store::journal::checkpoint;
use crate::store::journal::event::Event;

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 366 * 24 * HOUR_MS;

/// Brings in some of a message's two chunks.
pub(super) fn take_in_chunks(spool: &Spool, id: &str, count: usize) -> Box<dyn Intake> {
    let mut intake = spool.intake(&Envelope { chunks: 2, ..envelope(id) }).unwrap();
    for chunk in ["one", "two"].into_iter().take(count) {
        intake.begin_chunk().unwrap();
        intake.write(chunk.as_bytes()).unwrap();
        intake.end_chunk().unwrap();
    }
    intake
}

/// Takes in a message of two chunks.
fn accept_large(store: &mut Committer, spool: &Spool, id: &str) {
    let envelope = Envelope { chunks: 2, ..envelope(id) };
    let body = IncomingBody::Large(take_in_chunks(spool, id, 2).finish().unwrap());
    store.one(Command::Accept(Box::new(Incoming { envelope, body, verdict: None, arrival: Arrival::default() })));
}

#[test]
fn a_delivered_payload_goes_after_seven_days_and_its_id_is_remembered() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.new_delivery("M1", "bytes");
    store.acknowledge(id);
    store.settle_all(&delivered());
    machine.clock.pass(6 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counters().retained.messages, 1);
    machine.clock.pass(DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counters().retained.messages, 0);
    // The volume's turn comes when another one is open.
    store.new_delivery("M2", "bytes");
    store.commit(Vec::new()).unwrap();
    assert_eq!(volumes(&machine), 1, "the old volume is gone, the new one there");
    assert_eq!(store.known("M1"), Known::Presented);
    assert!(matches!(store.accept("M1", "bytes"), Acceptance::Repeated(_)));
}

#[test]
fn near_the_disks_floor_delivered_payloads_go_early_and_nothing_else_does() {
    let machine = Machine::new();
    let mut store = machine.open();
    for (name, ending) in [("M1", delivered()), ("M2", dead())] {
        let id = store.new_delivery(name, "bytes");
        store.acknowledge(id);
        store.settle_all(&ending);
    }
    store.new_delivery("M3", "bytes");
    store.commit(Vec::new()).unwrap();
    assert_eq!(store.counters().retained.messages, 1, "there is room");
    let used = machine_used(&machine);
    machine.disk.limit_bytes(Some(used + used / 10));
    store.commit(Vec::new()).unwrap();
    let counters = store.counters();
    assert_eq!((counters.retained.messages, counters.dead.messages, counters.queued.messages), (0, 1, 1));
    machine.disk.limit_bytes(None);
    assert!(matches!(store.accept("M1", "bytes"), Acceptance::Repeated(_)), "its id is remembered");
}

#[test]
fn however_many_dead_letters_stand_before_them_delivered_payloads_go_early() {
    let machine = Machine::new();
    let mut store = machine.open();
    for batch in 0..4 {
        let dead = (0..100).map(|number| dead_on_arrival(&format!("D{batch}-{number}"))).collect();
        store.commit(dead).unwrap();
    }
    machine.clock.pass(24 * DAY);
    let id = store.new_delivery("M1", "bytes");
    store.acknowledge(id);
    store.settle_all(&delivered());
    let used = machine_used(&machine);
    machine.disk.limit_bytes(Some(used + used / 10));
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    let counters = store.counters();
    assert_eq!((counters.retained.messages, counters.dead.messages), (0, 400));
}

#[test]
fn without_inodes_chunk_directories_go_early_and_small_messages_stay() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    accept_large(&mut store, &spool, "M1");
    let id = store.new_delivery("M2", "bytes");
    store.acknowledge(id);
    store.settle_all(&delivered());
    for number in 0..100 {
        machine.disk.create(Step::StateDirectory, format!("/{number}").as_ref()).unwrap();
    }
    machine.disk.limit_files(Some(1_000));
    store.commit(Vec::new()).unwrap();
    assert_eq!(store.counters().retained.messages, 2, "there are inodes");
    let space = machine.disk.space("/state".as_ref()).unwrap();
    machine.disk.limit_files(Some(space.inodes - space.free_inodes + 3));
    (0..2).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(store.counters().retained.messages, 1);
    let chunks = machine.disk.list("/state/spool/chunks/X26ABC1".as_ref()).unwrap();
    assert_eq!(chunks, []);
}

#[test]
fn a_purged_dead_letter_lives_again_when_it_comes_again() {
    let machine = Machine::new();
    let mut store = machine.open();
    let first = store.new_delivery("M1", "bytes");
    store.acknowledge(first);
    store.settle_all(&dead());
    machine.clock.pass(31 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counters().dead.messages, 0);
    let mut store = {
        drop(store);
        machine.index.burn();
        machine.open()
    };
    store.new_delivery("M1", "bytes");
    assert_eq!(store.lease(1, false)[0].delivery.continues, Some(first));
}

#[test]
fn the_purge_of_an_old_life_does_not_reopen_a_delivered_one() {
    let machine = Machine::new();
    let mut store = machine.open();
    let first = store.new_delivery("M1", "bytes");
    store.acknowledge(first);
    store.settle_all(&dead());
    let second = store.new_delivery("M1", "bytes");
    store.acknowledge(second);
    store.settle_all(&delivered());
    machine.clock.pass(31 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counters().dead.messages, 0);
    assert!(matches!(store.accept("M1", "bytes"), Acceptance::Repeated(_)));
}

#[test]
fn held_mail_never_goes_by_itself() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    store.settle_all(&Settlement::Held { reason: because(), outputs: Vec::new() });
    machine.clock.pass(400 * DAY);
    settle_down(&machine, &mut store);
    assert_eq!(store.counters().held.messages, 1);
}

#[test]
fn a_jump_of_the_wall_clock_neither_purges_nor_hurries_nor_delays() {
    for jump in [HOUR_MS, -HOUR_MS, YEAR_MS, -YEAR_MS] {
        let machine = Machine::new();
        let mut store = machine.open();
        let id = store.new_delivery("M1", "bytes");
        store.acknowledge(id);
        store.settle_all(&delivered());
        store.new_delivery("M2", "bytes");
        store.settle_all(&dead());
        store.new_delivery("M3", "bytes");
        store.settle_all(&Settlement::Retry { after: MINUTE, reason: because() });
        machine.clock.step(jump);
        assert!(store.lease(1, false).is_empty(), "hurried by {jump}");
        machine.clock.pass(MINUTE);
        let leases = store.lease(1, false);
        assert!(leases.first().is_some_and(|lease| lease.age < HOUR), "delayed or aged by {jump}: {leases:?}");
        drop(leases);
        // It may stand for days before anybody mends it, and over restarts.
        for _ in 0..2 {
            machine.clock.pass(2 * DAY);
            settle_down(&machine, &mut store);
            store.one(Command::Note(crate::ports::store::Note::Stopped));
            drop(store);
            store = machine.open();
        }
        settle_down(&machine, &mut store);
        let counters = store.counters();
        assert_eq!((counters.retained.messages, counters.dead.messages), (1, 1), "purged by {jump}");
        assert_eq!(store.known("M1"), Known::Presented, "forgotten by {jump}");
        machine.clock.pass(3 * DAY);
        settle_down(&machine, &mut store);
        assert_eq!(store.counters().retained.messages, 0, "kept too long by {jump}");
    }
}

#[test]
fn a_clock_that_is_wrong_at_starts_costs_a_day_of_retention_at_most() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.new_delivery("M1", "bytes");
    store.acknowledge(id);
    store.settle_all(&delivered());
    drop(store);
    machine.clock.step(YEAR_MS);
    // The same wrong clock does not count again at each start.
    for _ in 0..10 {
        let mut store = machine.open();
        store.commit(Vec::new()).unwrap();
        assert_eq!(store.counters().retained.messages, 1);
    }
    machine.clock.step(-YEAR_MS);
    let mut store = machine.open();
    for (days, kept) in [(5, 1), (1, 0)] {
        machine.clock.pass(days * DAY);
        settle_down(&machine, &mut store);
        assert_eq!(store.counters().retained.messages, kept, "seven days, less the one that was believed");
    }
}

/// Evidence goes by its own time, too.
#[test]
fn a_jump_of_the_wall_clock_removes_no_journal_segment() {
    let mut machine = Machine::new();
    machine.segment_bytes = 2000;
    let mut store = machine.open();
    let journal = std::path::Path::new("/state/journal");
    let oldest = || crate::store::journal::segments(&machine.disk, journal).unwrap()[0].first;
    for jump in [0, 9 * YEAR_MS] {
        machine.clock.step(jump);
        for _ in 0..60 {
            machine.clock.pass(HOUR);
            store.one(Command::Note(crate::ports::store::Note::ClockStep { milliseconds: jump }));
        }
    }
    assert_eq!(oldest(), 1);
}

#[test]
fn a_large_payload_goes_with_its_delivery() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    accept_large(&mut store, &spool, "M1");
    let lease = store.lease(1, false).remove(0);
    assert_eq!(spool.open(&lease).unwrap().payload.read_bounded(10).unwrap(), b"onetwo");
    store.settle(lease, delivered());
    let chunks = || machine.disk.list("/state/spool/chunks/X26ABC1".as_ref()).unwrap().len();
    assert_eq!(chunks(), 1);
    machine.clock.pass(8 * DAY);
    settle_down(&machine, &mut store);
    store.commit(Vec::new()).unwrap();
    assert_eq!(chunks(), 0);
}

#[test]
fn ids_are_forgotten_after_their_time_but_never_before_their_delivery() {
    let mut machine = Machine::new();
    machine.segment_bytes = 400;
    let mut store = machine.open();
    store.new_delivery("DONE", "bytes");
    store.settle_all(&delivered());
    store.new_delivery("WAITS", "bytes");
    machine.clock.pass(60 * DAY);
    for number in 0..200 {
        machine.clock.pass(HOUR);
        let note = crate::ports::store::Note::ClockStep { milliseconds: number };
        store.one(Command::Note(note));
    }
    assert_eq!(store.known("DONE"), Known::New);
    assert!(matches!(store.known("WAITS"), Known::Kept(_)));
}

/// Damage would halt the start, if they were read.
#[test]
fn segments_whose_ids_are_forgotten_are_not_read_at_the_start() {
    let mut machine = Machine::new();
    machine.segment_bytes = 2000;
    let mut store = machine.open();
    for number in 0..40 {
        store.new_delivery(&format!("M{number}"), "bytes");
    }
    store.settle_all(&delivered());
    machine.clock.pass(8 * DAY);
    (0..40).for_each(|_| {
        machine.clock.pass(2 * HOUR);
        store.one(Command::Note(crate::ports::store::Note::ClockStep { milliseconds: 1 }));
    });
    drop(store);
    let journal = std::path::Path::new("/state/journal");
    let names = crate::store::journal::segments(&machine.disk, journal).unwrap();
    let (oldest, newest) = (&names[0], &names[names.len() - 2]);
    for name in [oldest, newest] {
        let mut file = machine.disk.open(&name.path(journal)).unwrap();
        let length = file.length().unwrap();
        file.cut(Step::TailCut, length - 5).unwrap();
        let seen = journal.join(format!("{:020}.seen", name.first));
        machine.disk.remove(Step::Checkpoint, &seen).unwrap();
    }
    let seen = |oldest| {
        let disk: Arc<dyn Disk> = Arc::new(machine.disk.clone());
        let open_from = names.last().unwrap().first;
        crate::store::journal::seen::Seen::open(disk, journal, DigestKey::new(machine.key), open_from, oldest)
    };
    let now = machine.clock.wall();
    assert!(seen(now.minus(60 * DAY)).is_err(), "young enough to be read");
    assert!(seen(now.plus(DAY)).is_ok(), "read, though nothing of it is remembered");
}

#[test]
fn a_journal_segment_goes_after_its_time_once_no_rebuild_needs_it() {
    let mut machine = Machine::new();
    machine.segment_bytes = 400;
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    let note = || Command::Note(crate::ports::store::Note::ClockStep { milliseconds: 1 });
    (0..20).for_each(|_| drop(store.one(note())));
    machine.clock.pass(9 * 366 * DAY);
    for _ in 0..40 {
        machine.clock.pass(HOUR);
        store.one(note());
    }
    drop(store);
    let journal = std::path::Path::new("/state/journal");
    let first = crate::store::journal::segments(&machine.disk, journal).unwrap().remove(0).first;
    assert!(first > 1, "the first segment is still there");
    machine.index.burn();
    assert_eq!(machine.open().lease(1, false).len(), 1, "made anew from a checkpoint");
}

/// A checkpoint is believed only while its own last record is there.
#[test]
fn however_short_the_retention_both_checkpoints_keep_the_records_they_are_believed_by() {
    let mut machine = Machine::new();
    machine.segment_bytes = 400;
    let mut store = machine.open();
    let journal = std::path::Path::new("/state/journal");
    for round in 0..60 {
        machine.clock.pass(9 * 366 * DAY);
        store.one(Command::Note(crate::ports::store::Note::ClockStep { milliseconds: 1 }));
        let checkpoints = crate::store::journal::checkpoint::list(&machine.disk, journal).unwrap();
        let oldest = crate::store::journal::segments(&machine.disk, journal).unwrap().remove(0).first;
        let spare = checkpoints.last().copied().unwrap_or(u64::MAX);
        assert!(oldest <= spare, "round {round}: the record {spare} is gone, and the journal begins at {oldest}");
    }
}

#[test]
fn chunks_of_messages_that_mesh_keeps_no_longer_go_and_what_a_record_names_stays() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    for id in ["HELD", "AGAIN"] {
        accept_large(&mut store, &spool, id);
    }
    for lease in store.lease(2, false) {
        store.acknowledge(lease.delivery.id);
        store.settle(lease, Settlement::Held { reason: because(), outputs: Vec::new() });
    }
    // A second life, delivered.
    accept_large(&mut store, &spool, "AGAIN");
    store.settle_all(&delivered());
    // One that came in half; one that came in whole, and the crash came before its record.
    take_in_chunks(&spool, "HALF", 1);
    take_in_chunks(&spool, "WHOLE", 2);
    machine.disk.stop_at(Step::JournalWrite, 1, Side::Before);
    let body =
        IncomingBody::Large(spool.intake(&Envelope { chunks: 2, ..envelope("WHOLE") }).unwrap().finish().unwrap());
    let accept = Incoming {
        envelope: Envelope { chunks: 2, ..envelope("WHOLE") },
        body,
        verdict: None,
        arrival: Arrival::default(),
    };
    store.commit(vec![Command::Accept(Box::new(accept))]).unwrap_err();
    drop(store);
    machine.disk.crash();

    let mut store = machine.open();
    let folder = "/state/spool/chunks/X26ABC1";
    let names = || -> Vec<String> {
        let name = |entry: crate::ports::disk::Entry| entry.path.file_name().unwrap().to_string_lossy().into_owned();
        machine.disk.list(folder.as_ref()).unwrap().into_iter().map(name).collect()
    };
    assert_eq!(names(), ["AGAIN", "AGAIN.3", "HALF.part", "HELD", "WHOLE"].map(str::to_owned));
    machine.disk.date(machine.clock.wall());
    machine.clock.pass(29 * DAY);
    settle_down(&machine, &mut store);
    (0..2).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    // The delivered life is gone, so nothing leads from the newest one to the held one.
    assert_eq!(names(), ["AGAIN", "HALF.part", "HELD", "WHOLE"].map(str::to_owned), "MESH may still have them");
    machine.clock.pass(DAY);
    settle_down(&machine, &mut store);
    store.commit(Vec::new()).unwrap();
    assert_eq!(names(), ["AGAIN", "HELD"].map(str::to_owned));
}

#[test]
fn a_purged_payload_that_waits_for_its_removal_is_not_called_abandoned() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    for number in 0..12 {
        accept_large(&mut store, &spool, &format!("M{number}"));
    }
    store.settle_all(&delivered());
    machine.disk.date(machine.clock.wall());
    // Looked into first, so that the other mailbox's turn comes while its payloads are purged and not yet removed.
    machine.disk.create_folder(Step::PartCreate, "/state/spool/chunks/Z26ABC1".as_ref()).unwrap();
    machine.clock.pass(31 * DAY);
    settle_down(&machine, &mut store);
    (0..6).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    drop(store);
    let mut records = crate::store::journal::Records::from(&machine.disk, "/state/journal".as_ref(), 1).unwrap();
    let (mut removed, mut abandoned) = (0, 0);
    while let Some(record) = records.read().unwrap() {
        removed += u32::from(matches!(record.event, Event::PartsRemoved { .. }));
        abandoned += u32::from(matches!(record.event, Event::Abandoned { .. }));
    }
    assert_eq!((removed, abandoned), (12, 0));
}

#[test]
fn checkpoints_come_however_often_it_is_stopped() {
    let mut machine = Machine::new();
    machine.segment_bytes = 2000;
    let mut store = machine.open();
    for number in 0..60 {
        store.new_delivery(&format!("M{number}"), "bytes");
    }
    let newest = || checkpoint::list(&machine.disk, "/state/journal".as_ref()).unwrap()[0];
    let before = newest();
    drop(store);
    // Each run is long enough for a checkpoint, but journals less than the checkpoint is long.
    for _ in 0..30 {
        let mut store = machine.open();
        (0..30).for_each(|_| {
            store.one(Command::Note(crate::ports::store::Note::ClockStep { milliseconds: 1 }));
        });
        store.one(Command::Note(crate::ports::store::Note::Stopped));
    }
    assert!(newest() > before);
}

#[test]
fn a_crash_while_old_segments_go_loses_nothing_and_leaves_none_behind() {
    let note = || Command::Note(crate::ports::store::Note::ClockStep { milliseconds: 1 });
    let journal = std::path::Path::new("/state/journal");
    let mut stopped = 0;
    for (pass, side) in (1..=40).flat_map(|pass| [(pass, Side::Before), (pass, Side::After)]) {
        let mut machine = Machine::new();
        machine.segment_bytes = 400;
        let mut store = machine.open();
        store.new_delivery("M1", "bytes");
        (0..20).for_each(|_| drop(store.one(note())));
        machine.clock.pass(9 * 366 * DAY);
        machine.disk.stop_at(Step::SegmentCompress, pass, side);
        let live = |store: &mut Committer| {
            machine.clock.pass(HOUR);
            store.commit(vec![note()]).is_ok()
        };
        stopped += u32::from(!(0..40).all(|_| live(&mut store)));
        drop(store);
        machine.disk.crash();
        let mut store = machine.open();
        assert!((0..40).all(|_| live(&mut store)), "{pass} {side:?}");
        drop(store);
        let first = crate::store::journal::segments(&machine.disk, journal).unwrap().remove(0).first;
        assert!(first > 1, "{pass} {side:?}: the first segment is still there");
        crate::store::journal::verify::verify(&machine.disk, journal, None).unwrap();
        machine.index.burn();
        assert_eq!(machine.open().lease(1, false).len(), 1, "{pass} {side:?}");
    }
    assert!(stopped > 20, "{stopped}: hardly any was cut short");
}
