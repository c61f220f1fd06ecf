use super::retain::take_in_chunks;
use super::*;
use crate::domain::step::Step;
use crate::ports::spool::SpoolError;
use crate::ports::store::{KeptPayload, Reseal, Resealed};
use crate::store::disk::Side;
use crate::store::spool::Progress;

const SIDES: [Side; 2] = [Side::Before, Side::After];

impl Committer {
    fn payloads_now(&mut self) -> Vec<KeptPayload> {
        let Answer::Payloads(found) = self.one(Command::Payloads(None, 100)) else { panic!("no payloads") };
        found
    }
}

fn opened(spool: &Spool, kept: &KeptPayload) -> Vec<u8> {
    let opened = spool.reader().open(&kept.mailbox, &kept.message, &kept.location).unwrap();
    opened.payload.read_bounded(100).unwrap()
}

/// A small payload, opened to be sealed again.
fn small(spool: &Spool, kept: &KeptPayload) -> Command {
    let body = IncomingBody::Small(opened(spool, kept).into());
    let (delivery, from, envelope) = (kept.delivery, kept.location.clone(), envelope(kept.message.as_str()));
    Command::Reseal(Box::new(Reseal { delivery, from, envelope, body }))
}

/// A large one, sealed again beside itself.
fn large(spool: &Spool, kept: &KeptPayload) -> Result<Command, SpoolError> {
    let begun = spool.begin_resealing(&kept.mailbox, &kept.message, &kept.location)?;
    let mut step = Progress::More(Box::new(begun));
    loop {
        step = match step {
            Progress::More(resealing) => resealing.step()?,
            Progress::Whole(envelope, sealed) => {
                let (delivery, from) = (kept.delivery, kept.location.clone());
                let body = IncomingBody::Large(sealed);
                return Ok(Command::Reseal(Box::new(Reseal { delivery, from, envelope: *envelope, body })));
            }
        };
    }
}

fn resealed(answer: &Answer) -> &Resealed {
    let Answer::Resealed(resealed) = answer else { panic!("{answer:?}") };
    resealed
}

/// Comes up again after a power cut, and finds its one payload in one place.
fn check(machine: &Machine, bytes: &[u8], at: &str) {
    machine.disk.crash();
    for burns in [false, true] {
        if burns {
            machine.index.burn();
        }
        let parts = machine.parts();
        let spool = parts.spool.0.clone();
        let mut store = Committer::open(parts).unwrap();
        (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
        let kept = store.payloads_now();
        assert_eq!(kept.len(), 1, "{at}");
        assert_eq!(opened(&spool, &kept[0]), bytes, "{at}");
        assert_eq!(store.counters().queued.messages, 1, "{at}");
    }
}

fn chunk_directories(machine: &Machine) -> usize {
    machine.disk.list("/state/spool/chunks/X26ABC1".as_ref()).unwrap().len()
}

#[test]
fn a_crash_anywhere_while_a_small_payload_is_sealed_again_loses_and_doubles_nothing() {
    let steps = [
        Step::VolumeCreate,
        Step::GroupWrite,
        Step::VolumeSync,
        Step::JournalWrite,
        Step::JournalSync,
        Step::SpoolRemove,
    ];
    let mut stops = 0;
    for (step, side) in steps.into_iter().flat_map(|step| SIDES.map(|side| (step, side))) {
        let machine = Machine::new();
        let parts = machine.parts();
        let spool = parts.spool.0.clone();
        let mut store = Committer::open(parts).unwrap();
        store.new_delivery("M1", "bytes");
        // So that it gets a new volume.
        machine.clock.pass(2 * MINUTE);
        store.one(Command::Barrier);
        store.commit(Vec::new()).unwrap();
        let kept = store.payloads_now().remove(0);
        machine.disk.stop_at(step, 1, side);
        let stopped = store.commit(vec![small(&spool, &kept)]).is_err() || store.commit(Vec::new()).is_err();
        stops += usize::from(stopped);
        drop(store);
        let at = format!("{step:?} {side:?}");
        check(&machine, b"bytes", &at);
        assert_eq!(volumes(&machine), 1, "{at}: nothing is left behind");
    }
    assert_eq!(stops, 2 * steps.len(), "every stop was reached");
}

#[test]
fn a_crash_anywhere_while_a_large_payload_is_sealed_again_loses_and_doubles_nothing() {
    let steps = [
        Step::PartCreate,
        Step::ChunkWrite,
        Step::ChunkSync,
        Step::SidecarWrite,
        Step::SidecarSync,
        Step::PartRename,
        Step::PartSync,
        Step::JournalWrite,
        Step::JournalSync,
        Step::SpoolRemove,
    ];
    let mut stops = 0;
    for (step, side) in steps.into_iter().flat_map(|step| SIDES.map(|side| (step, side))) {
        let machine = Machine::new();
        let parts = machine.parts();
        let spool = parts.spool.0.clone();
        let mut store = Committer::open(parts).unwrap();
        let body = IncomingBody::Large(take_in_chunks(&spool, "BIG", 2).finish().unwrap());
        let arrival = Arrival::default();
        let incoming = Incoming { envelope: Envelope { chunks: 2, ..envelope("BIG") }, body, verdict: None, arrival };
        store.one(Command::Accept(Box::new(incoming)));
        let kept = store.payloads_now().remove(0);
        let bytes = opened(&spool, &kept);
        machine.disk.stop_at(step, 1, side);
        let stopped = match large(&spool, &kept) {
            Ok(reseal) => store.commit(vec![reseal]).is_err() || store.commit(Vec::new()).is_err(),
            Err(_) => true,
        };
        stops += usize::from(stopped);
        drop(store);
        let at = format!("{step:?} {side:?}");
        check(&machine, &bytes, &at);
        assert_eq!(chunk_directories(&machine), 1, "{at}: nothing is left behind");
    }
    assert_eq!(stops, 2 * steps.len(), "every stop was reached");
}

#[test]
fn what_is_in_work_or_has_moved_stays_where_it_is() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    store.new_delivery("M1", "bytes");
    let kept = store.payloads_now().remove(0);
    let lease = store.lease(1, false).remove(0);
    assert_eq!(resealed(&store.one(small(&spool, &kept))), &Resealed::Elsewhere, "in work");
    store.settle(lease, dead());
    let again = small(&spool, &kept);
    assert_eq!(resealed(&store.one(small(&spool, &kept))), &Resealed::Done);
    assert_eq!(resealed(&store.one(again)), &Resealed::Elsewhere, "it was there before");
    assert_ne!(store.payloads_now()[0].location, kept.location);
    assert_eq!(store.counters().dead.messages, 1);
}

#[test]
fn what_the_disk_loses_of_it_is_read_from_where_it_was() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    store.new_delivery("M1", "bytes");
    machine.clock.pass(2 * MINUTE);
    store.one(Command::Barrier);
    let kept = store.payloads_now().remove(0);
    assert_eq!(resealed(&store.one(small(&spool, &kept))), &Resealed::Done);
    drop(store);
    let volumes = machine.disk.list("/state/spool/volumes".as_ref()).unwrap();
    assert_eq!(volumes.len(), 2, "nothing was removed yet");
    machine.disk.remove(Step::SpoolRemove, &volumes[1].path).unwrap();
    let mut store = machine.open();
    assert_eq!(store.payloads_now(), [kept]);
    assert_eq!(store.counters().queued.messages, 1, "and nothing is held");
}

/// Every place in the spool where a message lies, live or not.
fn places(machine: &Machine, spool: &Spool, kept: &[KeptPayload]) -> usize {
    let disk: Arc<dyn Disk> = Arc::new(machine.disk.clone());
    let find = |kept: &KeptPayload| {
        crate::store::spool::inspect::find(&disk, "/state/spool".as_ref(), &kept.mailbox, &kept.message).unwrap().len()
    };
    assert!(kept.iter().all(|kept| !opened(spool, kept).is_empty()));
    kept.iter().map(find).sum()
}

#[test]
fn what_is_left_of_the_old_ones_goes_although_other_mail_lies_beside_it() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    store.new_delivery("M1", "bytes");
    store.new_delivery("M2", "other bytes");
    let kept = store.payloads_now();
    assert_eq!(resealed(&store.one(small(&spool, &kept[0]))), &Resealed::Done);
    assert_eq!(places(&machine, &spool, &store.payloads_now()), 3, "the old one of M1, too");

    // More may be sealed again: nothing is copied in vain meanwhile.
    machine.clock.pass(MINUTE / 2);
    (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(store.payloads_now()[1], kept[1], "M2 is where it was");

    machine.clock.pass(MINUTE);
    (0..4).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
    assert_eq!(places(&machine, &spool, &store.payloads_now()), 2);
    drop(store);
    machine.index.burn();
    let mut store = machine.open();
    assert_eq!(places(&machine, &spool, &store.payloads_now()), 2);
}
