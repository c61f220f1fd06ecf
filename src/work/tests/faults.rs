//! What becomes of a delivery when an output, the message or our own machine fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, away, of, pipelines};
use super::fakes::{Behaviour, FakeSpool, START, delivery};
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::DeliveryId;
use crate::domain::output::{Progress, Publication};
use crate::domain::settlement::{Reason, Settlement};
use crate::domain::time::Timestamp;
use crate::ports::store::Delivery;

#[tokio::test]
async fn an_output_that_fails_defers_only_itself() {
    let bench = Bench::new();
    bench.outputs.script("right", Some(Behaviour::NoStage(away())));
    bench.store.queue(of("PAIR", 1));
    bench.run_until_settled(1).await.expect("no halt");
    let (_, settlement) = bench.store.settled().remove(0);
    let Settlement::Defer { reason, outputs, .. } = settlement else { panic!("{settlement:?}") };
    assert_eq!(reason.code, FaultCode::OutUnavailable);
    let progress: Vec<_> = outputs.iter().map(|output| output.progress.clone()).collect();
    assert_eq!(progress, [Progress::Published(Publication::Seen), Progress::Planned]);

    bench.outputs.script("right", None);
    bench.run_until(|bench| bench.words().contains(&"d1 delivered".to_owned())).await.expect("no halt");
    assert_eq!(bench.calls.of(&["publish", "resume"]), ["publish d1 left", "publish d1 right"]);
    assert_eq!(bench.store.delivery(1).attempts, 0, "an outage costs no attempt");
}

#[tokio::test]
async fn what_could_not_be_published_stays_staged_and_is_resumed() {
    let bench = Bench::new();
    bench.outputs.script("inbox", Some(Behaviour::NotNow(away())));
    bench.store.queue(of("GO", 1));
    bench.run_until_settled(1).await.expect("no halt");
    assert!(matches!(bench.store.delivery(1).outputs[0].progress, Progress::Staged(_)));

    bench.outputs.script("inbox", None);
    bench.run_until(|bench| bench.words().contains(&"d1 delivered".to_owned())).await.expect("no halt");
    assert_eq!(bench.calls.of(&["stage "]).len(), 1);
    assert_eq!(bench.calls.of(&["resume"]).last().map(String::as_str), Some("resume d1 inbox"));
}

#[tokio::test]
async fn a_held_output_does_not_stop_the_one_that_waits() {
    let bench = Bench::new();
    let taken = Reason::new(FaultCode::OutNameTaken, "another file has the name");
    bench.outputs.script("left", Some(Behaviour::Held(taken)));
    bench.outputs.script("right", Some(Behaviour::NotNow(away())));
    bench.store.queue(of("PAIR", 1));
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(bench.words(), ["d1 deferred OUT-UNAVAILABLE"]);

    bench.outputs.script("right", None);
    bench
        .run_until(|bench| bench.words().len() > 1 && bench.words().last() == Some(&"d1 held OUT-NAME-TAKEN".into()))
        .await
        .expect("no halt");
    let progress: Vec<_> = bench.store.delivery(1).outputs.iter().map(|output| output.progress.clone()).collect();
    assert_eq!(progress, [Progress::Held(FaultCode::OutNameTaken), Progress::Published(Publication::Seen)]);
    assert_eq!(bench.calls.of(&["publish d1 left", "resume d1 left"]).len(), 1, "a held output is left alone");
}

#[tokio::test]
async fn a_transient_fault_of_the_message_is_tried_again_until_its_attempts_are_used() {
    let bench = Bench::new();
    let fault = Fault::new(FaultCode::MsgBadEncoding, Class::Transient, Origin::Message, "");
    bench.outputs.script("hasty", Some(Behaviour::NoStage(fault)));
    bench.store.queue(of("HASTY", 1));
    bench.run_until_settled(3).await.expect("no halt");
    assert_eq!(
        bench.words(),
        ["d1 retry MSG-BAD-ENCODING", "d1 retry MSG-BAD-ENCODING", "d1 dead Exhausted MSG-BAD-ENCODING"]
    );
}

#[tokio::test]
async fn an_outage_past_max_age_holds_and_never_kills() {
    let bench = Bench::new();
    bench.outputs.script("hasty", Some(Behaviour::NoStage(away())));
    let accepted_at = Timestamp(START.0 - 3_600_000);
    bench.store.queue(Delivery { accepted_at, ..of("HASTY", 1) });
    bench.store.queue(of("HASTY", 2));
    bench.run_until_settled(2).await.expect("no halt");
    assert_eq!(bench.words()[..2], ["d1 held MSG-TOO-OLD", "d2 deferred OUT-UNAVAILABLE"]);
}

#[tokio::test]
async fn a_shortage_of_our_own_releases_and_costs_nothing() {
    let bench = Bench::new();
    bench.outputs.script("inbox", Some(Behaviour::NoStage(Fault::local(FaultCode::StoreFailed, "memory", ""))));
    bench.store.queue(of("GO", 1));
    bench.run_until_settled(2).await.expect("no halt");
    assert_eq!(bench.words()[..2], ["d1 released", "d1 released"]);
    assert_eq!(bench.store.delivery(1).attempts, 0);

    bench.outputs.script("inbox", None);
    bench.run_until(|bench| bench.words().contains(&"d1 delivered".to_owned())).await.expect("no halt");
}

#[tokio::test]
async fn a_permanent_fault_of_the_message_is_a_dead_letter_at_once() {
    let bench = Bench::new();
    bench.store.queue(of("SMALL", 1));
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(bench.words(), ["d1 dead Permanent MSG-TOO-LARGE"]);
    assert_eq!(bench.calls.of(&["stage", "publish"]), Vec::<String>::new());
}

#[tokio::test]
async fn a_wave_of_alike_failures_suspends_its_pipeline_until_a_reload() {
    let bench = Bench::new();
    (1..=30).for_each(|id| bench.store.queue(of("SMALL", id)));
    bench.store.queue(of("GO", 31));
    let reload = async {
        bench.wait_for(|bench| bench.words().len() == 31).await;
        bench.pipelines.send_replace(Arc::new(pipelines("[limits]\nmax_bytes = \"1KB\"")));
        bench.store.queue(of("SMALL", 32));
        bench.wait_for(|bench| bench.words().len() == 32).await;
    };
    bench.run_during(reload).await.expect("no halt");
    let words = bench.words();
    let (dead, rest) = words.split_at(20);
    assert!(dead.iter().all(|word| word.ends_with("dead Permanent MSG-TOO-LARGE")), "{dead:?}");
    assert!(rest[..10].iter().all(|word| word.ends_with("held PIPELINE-SUSPENDED")), "{rest:?}");
    assert_eq!(rest[10..], ["d31 delivered", "d32 delivered"]);
}

#[tokio::test]
async fn a_reload_is_taken_up_while_nothing_is_due() {
    let bench = Bench::new();
    (1..=20).for_each(|id| bench.store.queue(of("SMALL", id)));
    let story = async {
        bench.wait_for(|bench| bench.words().len() == 20).await;
        assert_eq!(bench.suspensions.all().len(), 1);
        bench.pipelines.send_replace(Arc::new(pipelines("")));
        while !bench.suspensions.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let begun = std::time::Instant::now();
    bench.run_during(story).await.expect("no halt");
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited for its longest sleep");
}

#[tokio::test]
async fn a_suspension_is_noted_and_a_person_may_lift_it() {
    let bench = Bench::new();
    (1..=25).for_each(|id| bench.store.queue(of("SMALL", id)));
    let story = async {
        bench.wait_for(|bench| bench.words().len() == 25).await;
        let (name, suspended) = bench.suspensions.all().pop_first().expect("it is suspended");
        assert_eq!(suspended.code, FaultCode::MsgTooLarge);
        assert!(bench.suspensions.lift(&name) && !bench.suspensions.lift(&name));
        bench.store.queue(of("SMALL", 26));
        bench.wait_for(|bench| bench.words().len() == 26).await;
    };
    bench.run_during(story).await.expect("no halt");
    assert_eq!(bench.words()[25], "d26 dead Permanent MSG-TOO-LARGE", "counted from the beginning");
    let noted = r#"note {"note":"suspended","pipeline":"small","code":"MSG-TOO-LARGE"}"#;
    assert_eq!(bench.calls.of(&["note"]), [noted]);
}

#[tokio::test]
async fn mail_without_a_pipeline_is_dead_however_much_there_is() {
    let bench = Bench::new();
    (1..=40).for_each(|id| bench.store.queue(of("NOBODY", id)));
    bench.run_until_settled(40).await.expect("no halt");
    assert!(bench.words().iter().all(|word| word.ends_with("dead Permanent MSG-NO-ROUTE")));
}

#[tokio::test]
async fn what_we_cannot_open_or_no_longer_serve_is_held() {
    let mut bench = Bench::new();
    bench.spool = Arc::new(FakeSpool { unreadable: BTreeSet::from([DeliveryId(1)]) });
    bench.store.queue(of("GO", 1));
    bench.store.queue(delivery(2, "REMOVED"));
    bench.run_until_settled(2).await.expect("no halt");
    let mut words = bench.words();
    words.sort();
    assert_eq!(words, ["d1 held SPOOL-UNREADABLE", "d2 held MSG-NO-ROUTE"]);
}
