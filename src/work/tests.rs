//! Whole runs against fakes: the order of calls, the table of faults, suspects, drain. Waits are a few milliseconds.

pub(super) mod fakes;
mod payload;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::digest::DigestKey;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::{DeliveryId, MailboxId, Name, WorkflowId};
use crate::domain::output::{Layout, OutputPlan, OutputState, Progress, Publication, StagedSet};
use crate::domain::settlement::{DeathCause, Reason, Settlement};
use crate::pipeline::MailboxOutputs;
use crate::ports::disk::Disk;
use crate::ports::store::Delivery;
use crate::publish::{NewRoot, Publisher, init_root};
use crate::store::disk::Real;
use fakes::{Behaviour, Calls, FakeClock, FakeOutputs, FakeSpool, FakeStore, Loaded, delivery};

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
async fn a_plan_nothing_came_of_is_made_anew() {
    let bench = Bench::new();
    bench.store.queue(Delivery { outputs: vec![output("gone", Progress::Planned)], ..of("GO", 1) });
    bench.run_until_settled(1).await.expect("no halt");
    assert_eq!(bench.calls.of(&["publish"]), ["publish d1 inbox"]);
}

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
    let accepted_at = crate::domain::time::Timestamp(fakes::START.0 - 3_600_000);
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
async fn mail_without_a_pipeline_is_dead_however_much_there_is() {
    let bench = Bench::new();
    (1..=40).for_each(|id| bench.store.queue(of("NOBODY", id)));
    bench.run_until_settled(40).await.expect("no halt");
    assert!(bench.words().iter().all(|word| word.ends_with("dead Permanent MSG-NO-ROUTE")));
}

#[tokio::test]
async fn a_panic_condemns_only_what_panicked_by_itself() {
    let bench = Bench::new();
    bench.outputs.script("inbox", Some(Behaviour::PanicOn(DeliveryId(2))));
    (1..=3).for_each(|id| bench.store.queue(of("GO", id)));
    bench.run_until_settled(3).await.expect("no halt");
    assert_eq!(bench.words(), ["d1 delivered", "d2 dead Poison MSG-PANIC", "d3 delivered"]);
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

#[tokio::test]
async fn a_discarded_message_ends_with_its_rules_reason() {
    let bench = Bench::new();
    bench.store.queue(of("DROP", 1));
    bench.run_until_settled(1).await.expect("no halt");
    let reason = Reason::new(FaultCode::MsgDiscarded, "not wanted");
    assert_eq!(bench.store.settled(), [(DeliveryId(1), Settlement::Discarded(reason))]);
}

#[tokio::test]
async fn suspects_run_first_one_at_a_time() {
    let bench = Bench::new();
    bench.store.queue(delivery(1, "MB1"));
    bench.store.queue_suspect(delivery(2, "MB1"));
    bench.store.queue_suspect(delivery(3, "MB2"));
    bench.store.queue_suspect(delivery(4, "MB2"));
    bench.run_until_settled(4).await.expect("no halt");
    assert_eq!(
        bench.calls.of(&["lease", "settle"]),
        [
            "lease MB1 d2",
            "settle d2",
            "lease MB2 d3",
            "settle d3",
            "lease MB2 d4",
            "settle d4",
            "lease MB1 d1",
            "settle d1",
        ]
    );
}

#[tokio::test]
async fn two_deaths_during_solo_runs_are_poison_before_a_third_start() {
    let bench = Bench::new();
    bench.store.queue_suspect(Delivery { solo_deaths: 1, ..delivery(1, "MB1") });
    let outputs = vec![output("inbox", staged(3))];
    bench.store.queue_suspect(Delivery { solo_deaths: 2, ..delivery(2, "MB1") });
    bench.store.queue_suspect(Delivery { solo_deaths: 2, outputs, ..delivery(3, "MB1") });
    bench.run_until_settled(3).await.expect("no halt");
    assert_eq!(bench.words(), ["d1 delivered", "d2 dead Poison MSG-POISON", "d3 held MSG-POISON"]);
    assert_eq!(bench.calls.of(&["stage ", "publish", "resume"]), ["stage d1 inbox", "publish d1 inbox"]);
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
        let new = NewRoot { root: &root, layout: Layout::Folder, group: None };
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

struct Bench {
    calls: Calls,
    clock: Arc<FakeClock>,
    store: Arc<FakeStore>,
    spool: Arc<FakeSpool>,
    outputs: Arc<FakeOutputs>,
    pipelines: watch::Sender<Arc<Pipelines>>,
    settings: WorkSettings,
}

impl Bench {
    fn new() -> Self {
        let calls = Calls::default();
        let clock = Arc::new(FakeClock::new());
        let short = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(4) };
        Self {
            store: Arc::new(FakeStore::new(calls.clone(), Arc::clone(&clock))),
            spool: Arc::default(),
            outputs: Arc::new(FakeOutputs::new(calls.clone())),
            pipelines: watch::Sender::new(Arc::new(pipelines("[limits]\nmax_bytes = \"1B\""))),
            settings: WorkSettings {
                workers: 2,
                retry: short,
                defer: short,
                rest: short,
                local_pause: Duration::from_millis(5),
                ..WorkSettings::default()
            },
            calls,
            clock,
        }
    }

    fn work(&self) -> Work {
        Work {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            spool: Arc::clone(&self.spool) as Arc<dyn Spool>,
            outputs: Arc::clone(&self.outputs) as Arc<dyn Outputs>,
            pipelines: self.pipelines.subscribe(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            chance: Arc::new(Loaded),
            settings: self.settings.clone(),
        }
    }

    async fn run_until_settled(&self, count: usize) -> Result<(), WorkError> {
        self.run_until(|bench| bench.store.settled().len() >= count).await
    }

    async fn run_until(&self, is_reached: impl Fn(&Self) -> bool) -> Result<(), WorkError> {
        self.run_during(self.wait_for(is_reached)).await
    }

    /// Works while `story` goes on, then drains.
    async fn run_during(&self, story: impl Future<Output = ()>) -> Result<(), WorkError> {
        let cancel = CancellationToken::new();
        let told = async {
            story.await;
            cancel.cancel();
        };
        tokio::join!(self.work().run(cancel.clone()), told).0
    }

    async fn wait_for(&self, is_reached: impl Fn(&Self) -> bool) {
        let mut watch = self.store.watch();
        let reached = watch.wait_for(|_| is_reached(self));
        let limited = tokio::time::timeout(Duration::from_secs(20), reached).await;
        assert!(matches!(limited, Ok(Ok(_))), "not reached; settled so far: {:?}", self.words());
    }

    /// Every settlement, as `delivery word code`.
    fn words(&self) -> Vec<String> {
        self.store.settled().into_iter().map(|(id, settlement)| format!("{id} {}", word(&settlement))).collect()
    }
}

fn word(settlement: &Settlement) -> String {
    match settlement {
        Settlement::Delivered(_) => "delivered".into(),
        Settlement::Discarded(reason) => format!("discarded {}", reason.code),
        Settlement::Retry { reason, .. } => format!("retry {}", reason.code),
        Settlement::Defer { reason, .. } => format!("deferred {}", reason.code),
        Settlement::Release => "released".into(),
        Settlement::Held { reason, .. } => format!("held {}", reason.code),
        Settlement::Dead { cause: DeathCause::Permanent, reason } => format!("dead Permanent {}", reason.code),
        Settlement::Dead { cause: DeathCause::Exhausted, reason } => format!("dead Exhausted {}", reason.code),
        Settlement::Dead { cause: DeathCause::Poison, reason } => format!("dead Poison {}", reason.code),
    }
}

fn of(workflow: &str, id: u64) -> Delivery {
    Delivery { workflow: WorkflowId::new(workflow).expect("printable"), ..delivery(id, "MB1") }
}

fn away() -> Fault {
    Fault::dependency(FaultCode::OutUnavailable, Name::new("output").expect("a name"), "no marker")
}

fn output(name: &str, progress: Progress) -> OutputState {
    let plan = OutputPlan {
        name: Name::new(name).expect("a name"),
        layout: Layout::Folder,
        folder: "/srv/mesh".into(),
        group: None,
        mode: 0o640,
        payload: Vec::new(),
    };
    OutputState { plan, progress }
}

fn staged(id: u64) -> Progress {
    let digest = crate::domain::digest::ContentDigest("00".into());
    let (temp, name) = (format!("d{id}.tmp"), format!("d{id}.dat"));
    let file = crate::domain::output::StagedFile { temp, name, length: 9, digest };
    Progress::Staged(StagedSet { marker: "marker".into(), files: vec![file] })
}

/// One pipeline per workflow; `small` are the limits of the one for `SMALL`.
fn pipelines(small: &str) -> Pipelines {
    pipelines_under(Path::new("/srv/mesh"), small)
}

fn pipelines_under(root: &Path, small: &str) -> Pipelines {
    let discard = "[[stage]]\nuse = \"discard\"\nwhen = { workflow = \"DROP\" }\nreason = \"not wanted\"";
    let definitions = [
        ("GO", "", &["inbox"][..]),
        ("PAIR", "", &["left", "right"]),
        ("SMALL", small, &["inbox"]),
        ("HASTY", "[limits]\nmax_attempts = 3\nmax_age = \"30m\"", &["hasty"]),
        ("DROP", discard, &["inbox"]),
    ];
    let files = definitions.map(|(workflow, rest, outputs)| {
        let name = workflow.to_lowercase();
        let output = |name: &&str| {
            format!("[[output]]\nname = \"{name}\"\nkind = \"folder\"\npath = \"{{mailbox.output}}/{name}\"\n")
        };
        let outputs: String = outputs.iter().map(output).collect();
        let text = format!("name = \"{name}\"\n[match]\nworkflow = \"{workflow}\"\n{rest}\n{outputs}");
        (PathBuf::from(name), text)
    });
    let mailbox = |id: &str| {
        let outputs = MailboxOutputs { output: root.join(id), group: None, mode: 0o640 };
        (MailboxId::new(id).expect("letters and digits"), outputs)
    };
    let mailboxes: BTreeMap<_, _> = ["MB1", "MB2"].into_iter().map(mailbox).collect();
    Pipelines::compile(&files, &mailboxes).expect("no findings")
}
