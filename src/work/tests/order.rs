//! The order of calls, turns between mailboxes, drain and halt.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::bench::{Bench, of, output, pipelines_under, staged};
use super::fakes::{Loaded, delivery};
use crate::domain::course::Handling;
use crate::domain::digest::DigestKey;
use crate::domain::fault::FaultCode;
use crate::domain::ids::DeliveryId;
use crate::domain::output::{Layout, Progress, Publication};
use crate::domain::settlement::{Reason, Settlement};
use crate::ports::disk::Disk;
use crate::ports::store::{Delivery, Halt};
use crate::publish::{NewRoot, Publisher, init_root};
use crate::store::disk::Real;
use crate::work::{Work, WorkError, WorkSettings};

#[tokio::test]
async fn every_delivery_is_staged_journalled_published_and_settled_in_this_order() {
    let bench = Bench::new();
    bench.store.queue(delivery(1, "MB1"));
    bench.store.queue(delivery(2, "MB1"));
    bench.run_until_settled(2).await.expect("no halt");
    assert_eq!(
        bench.calls.all(),
        [
            "lease MB1 d1 d2",
            "stage d1 inbox",
            "stage d2 inbox",
            "staged d1",
            "staged d2",
            "publish d1 inbox",
            "publish d2 inbox",
            "settle d1",
            "settle d2",
        ]
    );
    assert_eq!(bench.words(), ["d1 delivered", "d2 delivered"]);
}

#[tokio::test]
async fn a_settlement_says_which_pipeline_did_what() {
    let bench = Bench::new();
    bench.store.queue(of("DROP", 1));
    bench.store.queue(of("GO", 2));
    bench.store.queue(of("NO_PIPELINE_TAKES_THIS", 3));
    bench.run_until_settled(3).await.expect("no halt");
    let [Some(dropped), Some(gone), None] = &bench.store.handled()[..] else {
        panic!("what no pipeline takes was handled by none: {:?}", bench.store.handled());
    };
    let names = |handling: &Handling| handling.stages.iter().map(|stage| stage.0.to_string()).collect::<Vec<_>>();
    assert_eq!((dropped.pipeline.as_str(), names(dropped)), ("drop", vec!["discard".to_owned()]));
    assert_eq!((dropped.file.len(), dropped.staging, dropped.publishing), (12, None, None));
    assert_eq!((gone.pipeline.as_str(), names(gone)), ("go", vec![]));
    assert!(gone.staging.is_some() && gone.publishing.is_some(), "{gone:?}");
}

#[tokio::test]
async fn what_was_staged_is_finished_first_and_never_run_again() {
    let bench = Bench::new();
    let outputs = vec![output("left", staged(1)), output("right", Progress::Planned)];
    bench.store.queue(Delivery { outputs, ..of("NO_PIPELINE_TAKES_THIS", 1) });
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(
        bench.calls.all(),
        ["lease MB1 d1", "resume d1 left", "stage d1 right", "staged d1", "publish d1 right", "settle d1"]
    );
    assert_eq!(bench.words(), ["d1 delivered"]);
}

#[tokio::test]
async fn a_published_output_is_skipped() {
    let bench = Bench::new();
    let outputs = vec![output("left", Progress::Published(Publication::Inferred)), output("right", staged(1))];
    bench.store.queue(Delivery { outputs, ..of("PAIR", 1) });
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(bench.calls.all(), ["lease MB1 d1", "resume d1 right", "settle d1"]);
}

#[tokio::test]
async fn an_output_that_a_person_reopened_is_staged_as_it_was_decided() {
    let bench = Bench::new();
    let reopened = Progress::Reopened(FaultCode::OutUncertain);
    let outputs = vec![output("left", Progress::Published(Publication::Seen)), output("right", reopened.clone())];
    bench.store.queue(Delivery { outputs, ..of("NO_PIPELINE_TAKES_THIS", 1) });
    bench.store.queue(Delivery { outputs: vec![output("inbox", reopened)], ..of("NO_PIPELINE_TAKES_THIS", 2) });
    bench.run_until_settled(2).await.expect("no halt");
    assert_eq!(
        bench.calls.all(),
        [
            "lease MB1 d1 d2",
            "stage d1 right",
            "stage d2 inbox",
            "staged d1",
            "staged d2",
            "publish d1 right",
            "publish d2 inbox",
            "settle d1",
            "settle d2"
        ]
    );
    assert_eq!(bench.words(), ["d1 delivered", "d2 delivered"]);
}

#[tokio::test]
async fn a_plan_nothing_came_of_is_made_anew() {
    let bench = Bench::new();
    bench.store.queue(Delivery { outputs: vec![output("gone", Progress::Planned)], ..of("GO", 1) });
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(bench.calls.of(&["publish"]), ["publish d1 inbox"]);
}

#[tokio::test]
async fn a_discarded_message_ends_with_its_rules_reason() {
    let bench = Bench::new();
    bench.store.queue(of("DROP", 1));
    bench.run_until_settled(1).await.expect("no halt");
    let reason = Reason::new(FaultCode::MsgDiscarded, "not wanted");
    assert_eq!(bench.store.settled(), [(DeliveryId(1), Settlement::Discarded(reason))]);
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_hand_and_leases_nothing_new() {
    let bench = Bench::new();
    let (begins, go) = bench.outputs.gate();
    bench.store.queue(delivery(1, "MB1"));
    let cancel = CancellationToken::new();
    let stop = async {
        tokio::task::spawn_blocking(move || begins.recv()).await.expect("no panic").expect("staging began");
        cancel.cancel();
        bench.store.queue(delivery(2, "MB2"));
        go.send(()).expect("staging waits");
    };
    let (result, ()) = tokio::join!(bench.work().run(cancel.clone()), stop);
    assert_eq!(result, Ok(()));
    assert_eq!(bench.words(), ["d1 delivered"]);
    assert_eq!(bench.calls.of(&["lease"]), ["lease MB1 d1"]);
    assert_eq!(bench.store.dropped_leases(), 0);
}

#[tokio::test]
async fn a_halted_store_ends_work_before_anything_is_published() {
    let bench = Bench::new();
    bench.store.halt_on_staged();
    bench.store.queue(delivery(1, "MB1"));
    let result = bench.work().run(CancellationToken::new()).await;
    assert_eq!(result, Err(WorkError::Halted(Halt("disk gone".into()))));
    assert_eq!(bench.calls.of(&["publish", "settle"]), Vec::<String>::new());
}

#[tokio::test]
async fn a_message_comes_out_of_a_real_folder_once_and_waits_while_the_marker_is_away() {
    let bench = Bench::new();
    let place = tempfile::tempdir().expect("a temporary folder");
    let (state, root) = (place.path().join("state"), place.path().join("MB1/inbox"));
    std::fs::create_dir(&state).expect("a new folder");
    std::fs::create_dir_all(&root).expect("a new folder");
    let disk: Arc<dyn Disk> = Arc::new(Real::new());
    let publisher = Publisher::new(Arc::clone(&disk), Arc::new(Loaded), DigestKey::new(&[7; 32]), state.clone());
    bench.pipelines.send_replace(Arc::new(pipelines_under(place.path(), "")));
    bench.store.queue(delivery(1, "MB1"));
    let work = Work { outputs: Arc::new(publisher), ..bench.work() };
    let cancel = CancellationToken::new();
    let story = async {
        bench.wait_for(|bench| bench.words().len() > 1).await;
        assert!(bench.words().iter().all(|word| word == "d1 deferred OUT-UNAVAILABLE"), "{:?}", bench.words());
        let new = NewRoot { root: &root, layout: Layout::Folder, group: None, adopt: false };
        init_root(&*disk, &Loaded, &*bench.clock, &state, new).expect("a root");
        bench.wait_for(|bench| bench.words().contains(&"d1 delivered".to_owned())).await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(work.run(cancel.clone()), story);
    assert_eq!(result, Ok(()));
    assert_eq!(std::fs::read(root.join("M1.dat")).expect("it is there"), b"synthetic");
    assert!(root.join("M1.json").is_file());
}

#[tokio::test]
async fn a_flooded_mailbox_takes_turns_with_the_others() {
    let mut bench = Bench::new();
    bench.settings = WorkSettings { workers: 1, batch_count: 2, ..bench.settings };
    (1..=6).for_each(|id| bench.store.queue(delivery(id, "MB1")));
    bench.store.queue(delivery(7, "MB2"));
    bench.run_until_settled(7).await.expect("no halt");
    assert_eq!(bench.calls.of(&["lease"]), ["lease MB1 d1 d2", "lease MB2 d7", "lease MB1 d3 d4", "lease MB1 d5 d6"]);
}
