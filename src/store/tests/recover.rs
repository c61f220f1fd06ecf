use super::*;
use crate::domain::operator::{Operator, Remark};
use crate::domain::step::Step;
use crate::ports::store::{Note, SetAsideKind};
use crate::store::disk::Side;
use crate::store::journal::Records;
use crate::store::journal::event::Event;

/// Ends the process with everything still in work.
fn kill(store: Committer, leases: Vec<Lease>) {
    leases.into_iter().for_each(std::mem::forget);
    drop(store);
}

#[test]
fn what_was_in_work_is_worked_on_alone_after_a_death() {
    let machine = Machine::new();
    let mut store = machine.open();
    for id in ["M1", "M2", "M3"] {
        store.new_delivery(id, "bytes");
    }
    let leases = store.lease(2, false);
    kill(store, leases);

    let mut store = machine.open();
    assert_eq!(store.watch().borrow().suspects, 2);
    assert!(store.lease(3, false).is_empty(), "nothing runs beside suspects");
    let mut alone = store.lease(3, true);
    assert_eq!(alone.len(), 1);
    assert!(store.lease(3, true).is_empty(), "one suspect at a time");
    store.settle(alone.remove(0), delivered());
    let second = store.lease(3, true).remove(0);
    store.settle(second, delivered());
    assert_eq!(store.watch().borrow().suspects, 0);
    assert_eq!(store.lease(3, false).len(), 1);
}

#[test]
fn an_orderly_end_makes_no_suspects() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    let leases = store.lease(1, false);
    store.one(Command::Note(crate::ports::store::Note::Stopped));
    kill(store, leases);
    let mut store = machine.open();
    assert_eq!(store.watch().borrow().suspects, 0);
    assert_eq!(store.lease(1, false).len(), 1);
}

/// Lets the first suspect die alone as `die` says, and tells how often it is blamed.
fn die_alone(machine: &mut Machine, mut die: impl FnMut(&mut Machine, Committer, Vec<Lease>)) -> Committer {
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    let leases = store.lease(1, false);
    kill(store, leases);
    for _ in 0..2 {
        let mut store = machine.open();
        machine.clock.pass(MINUTE);
        let leases = store.lease(1, true);
        assert_eq!(leases.len(), 1);
        die(machine, store, leases);
    }
    machine.open()
}

#[test]
fn two_deaths_alone_are_poison() {
    let mut machine = Machine::new();
    let mut store = die_alone(&mut machine, |_, store, leases| kill(store, leases));
    let aside = store.set_aside_now();
    assert_eq!(aside[0].kind, SetAsideKind::Dead(DeathCause::Poison));
    assert_eq!(aside[0].reason.code, FaultCode::MsgPoison);
}

#[test]
fn who_is_cut_off_while_the_daemon_is_told_to_end_is_not_to_blame() {
    let mut machine = Machine::new();
    let mut store = die_alone(&mut machine, |_, mut store, leases| {
        store.one(Command::Note(crate::ports::store::Note::Stopping));
        kill(store, leases);
    });
    assert_eq!(store.set_aside_now(), []);
}

#[test]
fn a_suspect_with_a_death_of_its_own_rests_until_the_run_is_calm_and_holds_up_nobody() {
    let machine = Machine::new();
    let mut store = machine.open();
    let blamed = store.new_delivery("M1", "bytes");
    for alone in [false, true] {
        let leases = store.lease(1, alone);
        kill(store, leases);
        store = machine.open();
    }
    let other = store.new_delivery("M2", "bytes");
    assert!(store.lease(1, true).is_empty());
    let leases = store.lease(5, false);
    assert_eq!(leases.iter().map(|lease| lease.delivery.id).collect::<Vec<_>>(), [other]);
    machine.clock.pass(MINUTE);
    assert!(store.lease(1, true).is_empty(), "not beside other work");
    drop(leases);
    store.commit(Vec::new()).unwrap();
    assert_eq!(store.lease(1, true)[0].delivery.id, blamed);
}

#[test]
fn power_cuts_and_halts_blame_nobody() {
    let mut machine = Machine::new();
    let mut boots = ["boot-2", "boot-3"].into_iter();
    let mut store = die_alone(&mut machine, |machine, store, leases| {
        kill(store, leases);
        machine.disk.crash();
        machine.boot = boots.next().unwrap();
    });
    assert_eq!(store.lease(1, true)[0].delivery.solo_deaths, 0, "power cuts");

    let mut machine = Machine::new();
    let mut store = die_alone(&mut machine, |machine, mut store, leases| {
        machine.disk.fail_sync(1);
        store.commit(vec![Command::Note(crate::ports::store::Note::Listed { mailbox: mailbox() })]).unwrap_err();
        kill(store, leases);
    });
    assert_eq!(store.lease(1, true)[0].delivery.solo_deaths, 0, "halts");
}

#[test]
fn a_failed_sync_halts_for_good() {
    let machine = Machine::new();
    let mut store = machine.open();
    machine.disk.fail_sync(1);
    let halt = store.commit(vec![accepting("M1", "bytes")]).unwrap_err();
    assert_eq!(store.commit(vec![Command::Barrier]).unwrap_err(), halt);
}

#[test]
fn without_room_only_the_new_messages_are_declined() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    machine.disk.limit_bytes(Some(0));
    let answer = store.one(accepting("M2", "more bytes"));
    assert!(matches!(answer, Answer::Accepted(Acceptance::NotKept(_))), "{answer:?}");
    machine.disk.limit_bytes(None);
    machine.clock.pass(HOUR);
    store.new_delivery("M2", "more bytes");
    assert_eq!(store.lease(5, false).len(), 2);
}

#[test]
fn the_index_is_made_anew_from_a_checkpoint_or_without_one() {
    for damage in [false, true] {
        let mut machine = Machine::new();
        machine.segment_bytes = 700;
        let mut store = machine.open();
        for number in 0..30 {
            store.new_delivery(&format!("M{number}"), "bytes");
            if number % 3 == 0 {
                store.settle_all(&delivered());
            }
        }
        drop(store);
        let checkpoints = crate::store::journal::checkpoint::list(&machine.disk, "/state/journal".as_ref()).unwrap();
        assert_eq!(checkpoints.len(), 2);
        if damage {
            for sequence in checkpoints {
                let path = format!("/state/journal/{sequence:020}.checkpoint");
                machine.disk.open(path.as_ref()).unwrap().cut(Step::TailCut, 100).unwrap();
            }
        }
        let before: Vec<_> = machine.index.rows().into_iter().filter(|(key, _)| key != b"M").collect();
        machine.index.burn();
        drop(machine.open());
        let after: Vec<_> = machine.index.rows().into_iter().filter(|(key, _)| key != b"M").collect();
        assert_eq!(before, after, "damaged checkpoints: {damage}");
    }
}

/// Wherever the making anew is cut short, and however the run before ended.
#[test]
fn an_index_half_made_from_a_checkpoint_is_not_taken_for_the_whole() {
    for batches in 0..20 {
        let mut machine = Machine::new();
        machine.segment_bytes = 4000;
        let mut store = machine.open();
        for number in 0..40 {
            let id = store.new_delivery(&format!("M{number}"), "bytes");
            store.acknowledge(id);
        }
        store.one(Command::Note(crate::ports::store::Note::Stopped));
        drop(store);
        let kept = volumes(&machine);
        machine.index.burn();
        machine.index.stop_after(batches);
        let reached = Committer::open(machine.parts()).is_err();
        assert!(reached || batches > 4, "hardly a row was loaded");
        machine.index.crash(machine.index.unsynced());
        let mut store = machine.open();
        assert_eq!(volumes(&machine), kept, "after {batches} batches");
        assert_eq!(store.counters().queued.messages, 40, "after {batches} batches");
        assert_eq!(store.lease(100, false).len(), 40, "after {batches} batches");
    }
}

#[test]
fn a_volume_of_accepted_mail_stays_though_the_index_does_not_know_it() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    store.one(Command::Note(crate::ports::store::Note::Stopped));
    drop(store);
    let meta: Vec<_> = machine.index.rows().into_iter().filter(|(key, _)| key == b"M").collect();
    machine.index.restore(&meta);
    drop(machine.open());
    assert_eq!(volumes(&machine), 1);
    machine.index.burn();
    assert_eq!(machine.open().lease(1, false).len(), 1);
}

#[test]
fn an_index_of_another_journal_is_made_anew() {
    let elsewhere = Machine::new();
    let mut store = elsewhere.open();
    store.new_delivery("ELSEWHERE", "bytes");
    drop(store);
    let machine = Machine::new();
    let mut store = machine.open();
    for id in ["M1", "M2", "M3"] {
        store.new_delivery(id, "bytes");
    }
    drop(store);
    machine.index.restore(&elsewhere.index.rows());
    let mut store = machine.open();
    let leased: Vec<_> = store.lease(9, false).iter().map(|lease| lease.delivery.message_id.to_string()).collect();
    assert_eq!(leased, ["M1", "M2", "M3"]);
}

#[test]
fn an_unreadable_index_is_made_anew() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    drop(store);
    let rotten: Vec<_> = machine.index.rows().into_iter().map(|(key, _)| (key, vec![9, 9, 9])).collect();
    machine.index.restore(&rotten);
    assert_eq!(machine.open().lease(9, false).len(), 1);
}

#[test]
fn an_index_that_lacks_any_row_is_made_anew() {
    let machine = Machine::new();
    let mut store = machine.open();
    for id in ["M1", "M2", "M3"] {
        store.new_delivery(id, "bytes");
    }
    let mut leases = store.lease(2, false);
    store.settle(leases.remove(0), dead());
    store.settle(leases.remove(0), delivered());
    drop(store);
    let whole = machine.index.rows();
    for missing in 0..whole.len() {
        let mut rows = whole.clone();
        let (key, _) = rows.remove(missing);
        machine.index.restore(&rows);
        drop(machine.open());
        let kinds = |rows: Vec<(Vec<u8>, Vec<u8>)>| rows.into_iter().filter(|(key, _)| key != b"M").collect::<Vec<_>>();
        assert_eq!(kinds(machine.index.rows()), kinds(whole.clone()), "without {key:?}");
    }
}

/// An index that panics when it is read, as sled may, until it was cleared.
struct Panicking(Memory, Arc<std::sync::atomic::AtomicBool>);

impl Index for Panicking {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, index::IndexError> {
        assert!(!self.1.load(std::sync::atomic::Ordering::Relaxed), "damage");
        self.0.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        order: index::Order,
        limit: usize,
    ) -> Result<Vec<index::Pair>, index::IndexError> {
        self.0.scan(from, to, order, limit)
    }

    fn apply(&mut self, batch: &index::Batch) -> Result<(), index::IndexError> {
        self.0.apply(batch)
    }

    fn sync(&mut self) -> Result<(), index::IndexError> {
        self.0.sync()
    }

    fn clear(&mut self) -> Result<(), index::IndexError> {
        self.condemn();
        Ok(())
    }

    fn condemn(&mut self) {
        self.1.store(false, std::sync::atomic::Ordering::Relaxed);
        self.0.burn();
    }
}

#[tokio::test]
async fn an_index_that_panics_is_made_anew_or_halts_the_store() {
    use crate::ports::store::Store;
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    drop(store);
    let panics = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let mut parts = machine.parts();
    parts.index = Box::new(Panicking(machine.index.clone(), panics.clone()));
    let (store, _thread) = open(parts).unwrap();
    let wish = LeaseWish { mailbox: mailbox(), count: 5, bytes: 1, suspects: false };
    let lease = store.lease(wish).await.unwrap().remove(0);
    panics.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(store.settle(lease, delivered()).await.is_err());
    assert!(store.halted().await.0.contains("panicked"));
    assert!(machine.index.rows().is_empty(), "condemned");
}

#[test]
fn a_journal_that_lost_what_the_index_knows_is_refused() {
    let machine = Machine::new();
    let mut store = machine.open();
    store.new_delivery("M1", "bytes");
    drop(store);
    let segment = "/state/journal/00000000000000000001.log";
    let mut file = machine.disk.open(segment.as_ref()).unwrap();
    let length = file.length().unwrap();
    file.cut(Step::TailCut, length - 1).unwrap();
    let refused = machine.refuses_to_open();
    assert!(refused.0.contains("records that were durable are lost"), "{refused}");
}

#[test]
fn another_key_is_refused() {
    let mut machine = Machine::new();
    drop(machine.open());
    machine.key = b"another key of thirty-two bytes...";
    assert!(machine.refuses_to_open().0.contains("HMAC key"));
}

#[test]
fn a_cut_between_spool_and_journal_leaves_nothing_to_acknowledge() {
    for side in [Side::Before, Side::After] {
        for step in [Step::GroupWrite, Step::VolumeSync, Step::JournalWrite] {
            let machine = Machine::new();
            let mut store = machine.open();
            machine.disk.stop_at(step, 1, side);
            store.commit(vec![accepting("M1", "bytes")]).unwrap_err();
            drop(store);
            machine.disk.crash();
            let mut store = machine.open();
            // Written is not synced, but may have survived whole: then it is kept, with its payload.
            if store.known("M1") == Known::New {
                store.new_delivery("M1", "bytes");
            }
            assert_eq!(store.lease(9, false).len(), 1, "{step:?} {side:?}");
        }
    }
}

/// What a start writes before its run begins says nothing of how long the run before lasted.
#[test]
fn a_start_cut_off_before_its_run_begins_does_not_set_the_time_back() {
    let machine = Machine::new();
    let mut store = machine.open();
    machine.clock.pass(30 * DAY);
    store.new_delivery("M1", "bytes");
    store.new_delivery("M2", "bytes");
    drop(store);
    let journal = std::path::Path::new("/state/journal");
    let segment = journal.join("00000000000000000001.log");
    // The first tears the tail of the journal; the second leaves of the next start what it says of that.
    for _ in 0..2 {
        let mut file = machine.disk.open(&segment).unwrap();
        let length = file.length().unwrap();
        file.cut(Step::TailCut, length - 1).unwrap();
        machine.index.burn();
        drop(machine.open());
    }
    let mut records = Records::from(&machine.disk, journal, 1).unwrap();
    let mut times = Vec::new();
    while let Some(record) = records.read().unwrap() {
        if let Event::Run { time, .. } = record.event {
            times.push(time);
        }
    }
    assert_eq!(times.len(), 2, "of three starts one was cut off");
    assert!(times[1].since(times[0]) >= 30 * DAY, "{times:?}");
}

#[test]
fn on_a_real_disk_the_index_directory_can_be_removed() {
    use crate::store::disk::Real;
    use crate::store::index::sled::{Opening, Sled};
    let room = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let disk: Arc<dyn Disk> = Arc::new(Real::new());
    let open = || {
        let directory = room.path().join("index");
        let opening = Opening { directory, disk: disk.clone(), clock: machine.clock.clone(), probe: None };
        let index = Sled::open(opening).unwrap();
        let mut parts = machine.parts();
        let identity = age::x25519::Identity::generate();
        let settings = SpoolSettings {
            directory: room.path().join("spool"),
            recipients: [(mailbox(), vec![identity.to_public().to_string()])].into(),
            identities: Vec::new(),
            volume_bytes: 1 << 20,
            volume_age: MINUTE,
        };
        parts.spool = Spool::open(disk.clone(), machine.clock.clone(), parts.key.clone(), settings).unwrap();
        parts.settings.directory = room.path().to_owned();
        parts.disk = disk.clone();
        parts.index = Box::new(index);
        Committer::open(parts).unwrap()
    };
    let mut store = open();
    for id in ["M1", "M2", "M3"] {
        store.new_delivery(id, "bytes");
    }
    let lease = store.lease(1, false).remove(0);
    store.settle(lease, delivered());
    let before = store.counters();
    drop(store);
    std::fs::remove_dir_all(room.path().join("index")).unwrap();
    let mut store = open();
    assert_eq!(store.counters(), before);
    assert_eq!(store.lease(9, false).len(), 2);
    drop(store);
    assert_eq!(open().watch().borrow().suspects, 2);
}

#[test]
fn a_lost_payload_is_held_keeps_nothing_else_from_going_on_and_is_fetched_again() {
    let machine = Machine::new();
    let mut store = machine.open();
    let kept = store.new_delivery("M1", "bytes");
    store.acknowledge(kept);
    // Volumes are closed with age: the next message lies in a volume of its own.
    machine.clock.pass(2 * MINUTE);
    store.one(Command::Barrier);
    let lost = store.new_delivery("M2", "other bytes");
    drop(store);
    let volumes: Vec<_> = machine.disk.list("/state/spool/volumes".as_ref()).unwrap();
    let newest = &volumes.last().expect("a volume").path;
    machine.disk.remove(Step::SpoolRemove, newest).unwrap();

    for _ in 0..2 {
        let mut store = machine.open();
        let aside = store.set_aside_now();
        assert_eq!(aside.len(), 1, "held once, however often it starts");
        assert_eq!((aside[0].delivery.id, aside[0].reason.code), (lost, FaultCode::SpoolLost));
        assert_eq!(store.known("M2"), Known::Presented, "MESH is not told that it is kept");
        drop(store);
    }
    let mut store = machine.open();
    let again = store.new_delivery("M2", "other bytes");
    let leases = store.lease(9, false);
    let ids: Vec<_> = leases.iter().map(|lease| (lease.delivery.id, lease.delivery.continues)).collect();
    assert_eq!(ids, [(kept, None), (again, Some(lost))]);
    kill(store, leases);
}

#[test]
fn however_many_suspects_of_a_suspended_mailbox_stop_nobody_else() {
    // More than are looked at in one go.
    const MANY: usize = 300;
    let machine = Machine::new();
    let mut store = machine.open();
    for number in 0..MANY {
        store.new_delivery(&format!("M{number}"), "bytes");
    }
    let mut leased = 0;
    while leased < MANY {
        let leases = store.lease(64, false);
        leased += leases.len();
        leases.into_iter().for_each(std::mem::forget);
    }
    drop(store);
    let mut store = machine.open();
    machine.clock.pass(HOUR);
    assert_eq!(store.watch().borrow().suspects, MANY as u64);
    let other = MailboxId::new("X26ABC2").unwrap();
    let body = IncomingBody::Small(Bytes::from_static(b"bytes"));
    let envelope = Envelope { mailbox: other.clone(), ..envelope("OTHER") };
    store.one(Command::Accept(Box::new(Incoming { envelope, body, verdict: None, arrival: Arrival::default() })));
    let leases = |store: &mut Committer| {
        let wish = LeaseWish { mailbox: other.clone(), count: 5, bytes: u64::MAX, suspects: false };
        let Answer::Leases(leases) = store.one(Command::Lease(wish)) else { panic!("no leases") };
        leases.len()
    };
    assert_eq!(leases(&mut store), 0, "they are to be tried first");
    let (by, why) = (Operator(1000), Remark::new("INC0012345").unwrap());
    store.one(Command::Note(Note::MailboxSuspended { mailbox: mailbox(), by, why }));
    assert_eq!(leases(&mut store), 1);
}
