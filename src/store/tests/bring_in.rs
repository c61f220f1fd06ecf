use super::*;
use crate::domain::operator::{Operator, Remark};
use crate::domain::step::Step;
use crate::ports::spool::{Spool as _, SpoolError};
use crate::ports::store::{BringIn, KeptPayload, NotAllowed, NotBroughtIn, Replaces, SetAsideKind};
use crate::store::disk::Side;

const SIDES: [Side; 2] = [Side::Before, Side::After];

fn brings(replaces: Option<DeliveryId>, id: &str, body: IncomingBody) -> BringIn {
    let replaces = replaces.map(|delivery| Replaces { delivery, force: false, again: false });
    let why = Remark::new("mended, INC0012345").unwrap();
    BringIn { replaces, envelope: envelope(id), body, by: Operator(1000), why }
}

fn small(bytes: &'static str) -> IncomingBody {
    IncomingBody::Small(Bytes::from_static(bytes.as_bytes()))
}

/// Sealed beside what the message may have, not yet taken over.
fn large(spool: &Spool, id: &str, bytes: &[u8]) -> Result<IncomingBody, SpoolError> {
    let mut intake = spool.bring_in(&envelope(id))?;
    intake.begin_chunk()?;
    intake.write(bytes)?;
    intake.end_chunk()?;
    Ok(IncomingBody::Large(intake.finish()?))
}

impl Committer {
    fn bring(&mut self, wish: BringIn) -> Result<DeliveryId, NotBroughtIn> {
        let Answer::BroughtIn(brought) = self.one(Command::BringIn(Box::new(wish))) else { panic!("another answer") };
        brought
    }

    /// The bytes of each delivery that has some.
    fn bytes_of(&mut self, spool: &Spool) -> Vec<(DeliveryId, Vec<u8>)> {
        let Answer::Payloads(found) = self.one(Command::Payloads(None, 100)) else { panic!("no payloads") };
        let opened = |kept: &KeptPayload| {
            spool
                .reader()
                .open(&kept.mailbox, &kept.message, &kept.location)
                .unwrap()
                .payload
                .read_bounded(100)
                .unwrap()
        };
        found.iter().map(|kept| (kept.delivery, opened(kept))).collect()
    }
}

fn dead_letter(store: &mut Committer, id: &str) -> DeliveryId {
    let delivery = store.new_delivery(id, "spoiled");
    store.acknowledge(delivery);
    store.settle_all(&dead());
    delivery
}

#[test]
fn a_dead_letter_is_handled_with_other_bytes_and_keeps_its_own() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    let old = dead_letter(&mut store, "M1");
    let new = store.bring(brings(Some(old), "M1", small("mended"))).unwrap();
    assert_eq!(store.bytes_of(&spool), [(old, b"spoiled".to_vec()), (new, b"mended".to_vec())]);
    assert_eq!(store.set_aside_now(), []);

    let lease = store.lease(9, false).remove(0);
    let delivery = &lease.delivery;
    assert_eq!((delivery.id, delivery.continues, delivery.length, delivery.attempts), (new, Some(old), 6, 0));
    store.settle(lease, delivered());
    let again = store.bring(brings(Some(old), "M1", small("mended twice")));
    assert_eq!(again, Err(NotAllowed::Discarded.into()), "one at a time has its place");

    // What MESH presents are the bytes it always had: no others, and nothing new.
    assert!(matches!(store.known("M1"), Known::Presented));
    assert!(matches!(store.accept("M1", "spoiled"), Acceptance::Repeated(proof) if proof.delivery() == new));
    machine.clock.pass(40 * DAY);
    (0..3).for_each(|_| settle_down(&machine, &mut store));
    assert_eq!(store.bytes_of(&spool), [], "both went in their time");
    assert!(matches!(store.accept("M1", "spoiled"), Acceptance::Repeated(_)), "and it is still known");
}

#[test]
fn what_is_brought_in_by_itself_is_held_and_only_if_it_is_not_here() {
    let machine = Machine::new();
    let mut store = machine.open();
    let here = dead_letter(&mut store, "M1");
    assert_eq!(store.bring(brings(None, "M1", small("spoiled"))), Err(NotBroughtIn::Here(here)));
    let new = store.bring(brings(None, "M2", small("from elsewhere"))).unwrap();
    let held = store.set_aside_now();
    let of_it: Vec<_> = held.iter().filter(|aside| aside.delivery.id == new).collect();
    assert!(matches!(of_it[..], [aside] if aside.kind == SetAsideKind::Held));
    assert_eq!(of_it[0].reason.code, FaultCode::OperatorHeld);
    assert_eq!(store.bring(brings(None, "M2", small("from elsewhere"))), Err(NotBroughtIn::Here(new)));
    assert!(store.lease(9, false).is_empty(), "nobody works on it before a person looked");
    assert!(matches!(store.accept("M2", "from elsewhere"), Acceptance::New(_)), "MESH's own copy, as of what is held");
}

#[test]
fn what_may_not_be_replaced_is_left_as_it_is() {
    let machine = Machine::new();
    let mut store = machine.open();
    let waiting = store.new_delivery("M1", "bytes");
    let not = |no: NotAllowed| Err(NotBroughtIn::NotAllowed(no));
    assert_eq!(store.bring(brings(Some(waiting), "M1", small("other"))), not(NotAllowed::Waits));
    assert_eq!(store.bring(brings(Some(waiting), "M2", small("other"))), not(NotAllowed::Unknown), "another message's");
    assert_eq!(store.bring(brings(Some(DeliveryId(999)), "M1", small("other"))), not(NotAllowed::Unknown));
    let lease = store.lease(1, false).remove(0);
    assert_eq!(store.bring(brings(Some(waiting), "M1", small("other"))), not(NotAllowed::InWork));
    store.settle(lease, delivered());
    assert_eq!(store.bring(brings(Some(waiting), "M1", small("other"))), not(NotAllowed::NeedsAgain));
    let Answer::Payloads(kept) = store.one(Command::Payloads(None, 9)) else { panic!() };
    assert_eq!(kept.len(), 1, "nothing was kept of what was refused");

    // A pipeline never has what does not decode; a person who decoded it brings it back.
    let Answer::Accepted(as_served) = store.one(dead_on_arrival("M3")) else { panic!() };
    let as_served = as_served.proof().unwrap().delivery();
    assert!(store.bring(brings(Some(as_served), "M3", small("decoded"))).is_ok());
}

#[test]
fn two_of_one_commit_are_one() {
    let machine = Machine::new();
    let mut store = machine.open();
    let old = dead_letter(&mut store, "M1");
    let wish = |bytes| Command::BringIn(Box::new(brings(Some(old), "M1", small(bytes))));
    let answers = store.commit(vec![wish("one"), wish("two")]).unwrap();
    assert!(matches!(answers[0], Answer::BroughtIn(Ok(_))), "{answers:?}");
    assert!(matches!(answers[1], Answer::BroughtIn(Err(NotBroughtIn::NotAllowed(NotAllowed::Discarded)))));
    assert_eq!(store.counters().queued.messages, 1);
}

/// Comes up again after a power cut: the old payload is there, and the new one with its delivery, or neither of these.
fn check(machine: &Machine, was_told: bool, mended: &[u8], at: &str) {
    machine.disk.crash();
    for burns in [false, true] {
        if burns {
            machine.index.burn();
        }
        let parts = machine.parts();
        let spool = parts.spool.0.clone();
        let mut store = Committer::open(parts).unwrap();
        (0..3).for_each(|_| drop(store.commit(Vec::new()).unwrap()));
        let (bytes, queued) = (store.bytes_of(&spool), store.counters().queued.messages);
        assert_eq!(bytes[0].1, b"spoiled", "{at}");
        match &bytes[1..] {
            [] => assert!(!was_told && queued == 0 && store.set_aside_now().len() == 1, "{at}"),
            [(_, new)] => assert!(new == mended && queued == 1 && store.set_aside_now().is_empty(), "{at}"),
            more => panic!("{at}: {more:?}"),
        }
    }
}

#[test]
fn a_crash_anywhere_while_a_payload_is_brought_in_loses_and_doubles_nothing() {
    let common = [Step::JournalWrite, Step::JournalSync];
    let of_small = [Step::GroupWrite, Step::VolumeSync];
    let of_large = [
        Step::PartCreate,
        Step::ChunkWrite,
        Step::ChunkSync,
        Step::SidecarWrite,
        Step::SidecarSync,
        Step::PartRename,
        Step::PartSync,
    ];
    let steps = [false, true].map(|is_large| {
        let own = if is_large { of_large.as_slice() } else { of_small.as_slice() };
        own.iter().chain(&common).map(move |step| (is_large, *step)).collect::<Vec<_>>()
    });
    for (is_large, step) in steps.concat() {
        for side in SIDES {
            let machine = Machine::new();
            let parts = machine.parts();
            let spool = parts.spool.0.clone();
            let mut store = Committer::open(parts).unwrap();
            let old = dead_letter(&mut store, "M1");
            store.one(Command::Barrier);
            machine.disk.stop_at(step, 1, side);
            let body = if is_large { large(&spool, "M1", b"mended") } else { Ok(small("mended")) };
            let done = body
                .ok()
                .and_then(|body| store.commit(vec![Command::BringIn(Box::new(brings(Some(old), "M1", body)))]).ok());
            let at = format!("{step:?} {side:?}, large: {is_large}");
            assert!(done.is_none(), "{at}: the stop was not reached");
            drop(store);
            check(&machine, false, b"mended", &at);
            if is_large {
                let folder = "/state/spool/chunks/X26ABC1".as_ref();
                let left = machine.disk.list(folder).map(|entries| entries.len()).unwrap_or_default();
                let is_kept = machine.open().counters().queued.messages;
                assert_eq!(left as u64, is_kept, "{at}: nothing is left behind");
            }
        }
    }
}

#[test]
fn a_large_one_lies_beside_what_mesh_may_present() {
    let machine = Machine::new();
    let parts = machine.parts();
    let spool = parts.spool.0.clone();
    let mut store = Committer::open(parts).unwrap();
    let old = dead_letter(&mut store, "M1");
    // Half of the same message is on its way in again.
    let mut arriving = spool.intake(&Envelope { chunks: 2, ..envelope("M1") }).unwrap();
    arriving.begin_chunk().unwrap();
    arriving.write(b"spo").unwrap();
    arriving.end_chunk().unwrap();
    let body = large(&spool, "M1", b"mended").unwrap();
    let new = store.bring(brings(Some(old), "M1", body)).unwrap();
    assert_eq!(spool.intake(&Envelope { chunks: 2, ..envelope("M1") }).unwrap().kept(), 1, "that goes on");
    assert_eq!(store.bytes_of(&spool)[1], (new, b"mended".to_vec()));
    drop(store);
    check(&machine, true, b"mended", "after it was told");
}
