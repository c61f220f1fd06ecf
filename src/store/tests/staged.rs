//! What is staged, and how it came to be published.

use super::*;
use crate::domain::ids::Name;
use crate::domain::output::{
    FolderPlan, Layout, LineEnds, OutputPlan, OutputState, Progress, Publication, StagedFile, StagedSet,
};

pub(super) fn output(progress: Progress) -> Vec<OutputState> {
    let name = Name::new("inbox").unwrap();
    let plan = FolderPlan {
        name,
        layout: Layout::Folder,
        line_ends: LineEnds::Lf,
        folder: "/srv".into(),
        group: None,
        mode: 0o640,
        payload: Vec::new(),
    };
    vec![OutputState { plan: OutputPlan::Folder(plan), progress }]
}

fn staged_as(temp: &str) -> Vec<OutputState> {
    let digest = DigestKey::new(b"test key").of(b"");
    let file = StagedFile { temp: temp.into(), name: "name".into(), length: 1, digest };
    output(Progress::Staged(StagedSet { marker: "marker".into(), files: vec![file] }))
}

fn staged_names(store: &mut Committer) -> Vec<String> {
    let mut names: Vec<_> = store.staged_names().unwrap().into_iter().collect();
    names.sort();
    names
}

#[test]
fn what_is_staged_is_known_until_its_delivery_ended() {
    let machine = Machine::new();
    let mut store = machine.open();
    for id in ["QUEUED", "M1", "M2", "M3", "M4"] {
        store.new_delivery(id, "bytes");
    }
    let mut leases = store.lease(5, false);
    for lease in &leases[1..] {
        store.one(Command::Staged(lease.delivery.id, staged_as(lease.delivery.message_id.as_str())));
    }
    let mut next = || leases.remove(0);
    store.settle(next(), Settlement::Defer { after: HOUR, reason: because(), outputs: Vec::new() });
    store.settle(next(), Settlement::Delivered(staged_as("M1")));
    store.settle(next(), Settlement::Held { reason: because(), outputs: staged_as("M2") });
    store.settle(next(), Settlement::Defer { after: HOUR, reason: because(), outputs: staged_as("M3") });
    assert_eq!(staged_names(&mut store), ["M2", "M3", "M4"]);

    leases.into_iter().for_each(std::mem::forget);
    drop(store);
    assert_eq!(staged_names(&mut machine.open()), ["M2", "M3", "M4"], "after a death");
    machine.index.burn();
    assert_eq!(staged_names(&mut machine.open()), ["M2", "M3", "M4"], "made anew");
    let rows = machine.index.rows();
    let without: Vec<_> = rows.iter().filter(|(key, _)| key[0] != index::keys::kind::STAGED).cloned().collect();
    assert_eq!(rows.len() - without.len(), 3, "a row for each, and none for others");
    machine.index.restore(&without);
    assert_eq!(staged_names(&mut machine.open()), ["M2", "M3", "M4"], "the rows were missing");
}

#[test]
fn outputs_inferred_or_published_again_are_counted_once_and_journalled() {
    let published = |how| output(Progress::Published(how));
    let machine = Machine::new();
    let mut store = machine.open();
    for id in ["SEEN", "INFERRED", "AGAIN"] {
        store.new_delivery(id, "bytes");
    }
    let mut leases = store.lease(3, false);
    // The other output of this one is away for a round.
    let waits = |outputs| Settlement::Defer { after: HOUR, reason: because(), outputs };
    store.settle(leases.remove(1), waits(published(Publication::Inferred)));
    store.settle(leases.remove(0), Settlement::Delivered(published(Publication::Seen)));
    store.settle(leases.remove(0), Settlement::Delivered(published(Publication::Again)));
    let counted = |store: &mut Committer| {
        let counters = store.counters();
        (counters.inferred_total, counters.republished_total)
    };
    assert_eq!(counted(&mut store), (1, 1));
    machine.clock.pass(2 * HOUR);
    store.settle_all(&Settlement::Delivered(published(Publication::Inferred)));
    assert_eq!(counted(&mut store), (1, 1), "once");
    drop(store);
    machine.index.burn();
    assert_eq!(counted(&mut machine.open()), (1, 1), "the journal says so");
}
