//! Messages that are sent on for an output: the one record that keeps what is to be sent publishes the output.

use super::sends::sending;
use super::staged::output;
use super::*;
use crate::domain::ids::Name;
use crate::domain::onward::{MeshPlan, Onward};
use crate::domain::output::{OutputPlan, OutputState, Progress, Publication};
use crate::domain::patients::Scan;
use crate::domain::step::Step;
use crate::ports::store::Sent;
use crate::store::disk::Side;
use crate::store::journal::Records;
use crate::store::journal::event::Event;

fn reply(progress: Progress) -> OutputState {
    let plan = OutputPlan::Mesh(MeshPlan {
        name: Name::new("reply").unwrap(),
        from: mailbox(),
        to: MailboxId::new("X26ABC2").unwrap(),
        workflow: WorkflowId::new("TOC_ACK").unwrap(),
        subject: None,
        keep: Vec::new(),
        payload: Vec::new(),
    });
    OutputState { plan, progress }
}

/// Of a folder and a message.
fn planned(id: DeliveryId) -> Command {
    Command::Staged(id, [output(Progress::Planned), vec![reply(Progress::Planned)]].concat())
}

fn sending_on(of: DeliveryId, name: &str, id: &str) -> Command {
    let onward = Onward { delivery: of, output: Name::new(name).unwrap() };
    sending(id, "bytes", |outgoing| outgoing.onward = Some(onward))
}

/// The progress of the message that is sent on, and what is to be sent.
fn standing(store: &mut Committer, of: DeliveryId) -> (Option<Progress>, Vec<Sent>) {
    let row = store.state.row(store.index.as_ref(), of).unwrap().unwrap();
    (row.delivery.outputs.get(1).map(|output| output.progress.clone()), store.ledger())
}

#[test]
fn what_is_kept_to_be_sent_publishes_its_output_and_is_kept_once() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.new_delivery("M1", "bytes");
    let declined = |answer: Answer| assert!(matches!(answer, Answer::Declined(_)), "{answer:?}");
    declined(store.one(sending_on(id, "reply", "EARLY")));
    let lease = store.lease(1, false).remove(0);
    declined(store.one(sending_on(id, "reply", "UNPLANNED")));
    store.one(planned(id));
    declined(store.one(sending_on(id, "inbox", "A-FOLDER")));
    declined(store.one(sending_on(id, "another", "UNNAMED")));
    let Answer::SendQueued(Ok(send)) = store.one(sending_on(id, "reply", "OURS")) else { panic!("not kept") };
    declined(store.one(sending_on(id, "reply", "TWICE")));
    let (progress, ledger) = standing(&mut store, id);
    assert_eq!(progress, Some(Progress::Published(Publication::Queued(send))));
    assert_eq!(ledger.iter().map(|sent| sent.delivery.id).collect::<Vec<_>>(), [send]);
    std::mem::forget(lease);
    drop(store);
    machine.index.burn();
    let mut store = machine.open();
    let (progress, ledger) = standing(&mut store, id);
    assert_eq!((progress, ledger.len()), (Some(Progress::Published(Publication::Queued(send))), 1), "made anew");
    store.state.audit(store.index.as_ref()).unwrap();
}

#[test]
fn a_crash_at_any_step_leaves_both_or_neither() {
    for step in [Step::GroupWrite, Step::VolumeSync, Step::JournalWrite, Step::JournalSync] {
        for side in [Side::Before, Side::After] {
            let machine = Machine::new();
            let mut store = machine.open();
            let id = store.new_delivery("M1", "bytes");
            let lease = store.lease(1, false).remove(0);
            machine.disk.stop_at(step, 1, side);
            let commands = vec![planned(id), sending_on(id, "reply", "OURS")];
            assert!(store.commit(commands).is_err(), "{step:?} {side:?}: the stop was not reached");
            std::mem::forget(lease);
            drop(store);
            machine.disk.crash();
            check_either(&machine, id, &format!("{step:?} {side:?}"));
        }
    }
}

/// One commit is several records, and a power cut may leave any number of them.
#[test]
fn a_journal_cut_anywhere_leaves_both_or_neither() {
    let (mut both, mut neither) = (0, 0);
    for cut in (0..900).step_by(25) {
        let machine = Machine::new();
        let mut store = machine.open();
        let id = store.new_delivery("M1", "bytes");
        let lease = store.lease(1, false).remove(0);
        store.commit(vec![planned(id), sending_on(id, "reply", "OURS")]).unwrap();
        std::mem::forget(lease);
        drop(store);
        let path = "/state/journal/00000000000000000001.log";
        let mut file = machine.disk.open(path.as_ref()).unwrap();
        let length = file.length().unwrap();
        file.cut(Step::TailCut, length - cut).unwrap();
        drop(file);
        machine.index.burn();
        let store = machine.open();
        let is_known = store.state.row(store.index.as_ref(), id).unwrap().is_some();
        drop(store);
        if is_known {
            *(if check_either(&machine, id, &format!("without {cut} bytes")) { &mut both } else { &mut neither }) += 1;
        }
    }
    assert!(both > 0 && neither > 0, "both {both}, neither {neither}");
}

/// Whether both are there.
fn check_either(machine: &Machine, id: DeliveryId, when: &str) -> bool {
    let mut store = machine.open();
    let (progress, ledger) = standing(&mut store, id);
    let is_published = match progress {
        Some(Progress::Published(Publication::Queued(send))) => {
            assert_eq!(ledger.iter().map(|sent| sent.delivery.id).collect::<Vec<_>>(), [send], "{when}");
            true
        }
        Some(Progress::Planned) | None => {
            assert_eq!(ledger.len(), 0, "{when}");
            false
        }
        other => panic!("{when}: {other:?}"),
    };
    store.state.audit(store.index.as_ref()).unwrap();
    is_published
}

#[test]
fn what_is_sent_on_concerns_whom_its_message_concerns() {
    let machine = Machine::new();
    let mut store = machine.open();
    let id = store.new_delivery("M1", "bytes");
    let mut lease = store.lease(1, false).remove(0);
    store.one(planned(id));
    let Answer::SendQueued(Ok(send)) = store.one(sending_on(id, "reply", "OURS")) else { panic!("not kept") };
    let mut scan = Scan::default();
    scan.look_at(b"9990000018");
    lease.patients = Some(scan.end());
    store.settle(lease, Settlement::Delivered(Vec::new()));
    drop(store);
    let mut records = Records::from(&machine.disk, "/state/journal".as_ref(), 1).unwrap();
    let mut concerned = Vec::new();
    while let Some(record) = records.read().unwrap() {
        if let Event::Concerns { id, .. } = record.event {
            concerned.push(id);
        }
    }
    assert_eq!(concerned, [id, send]);
}
