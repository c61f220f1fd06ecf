//! Everything around a run of work: fakes for its ports, a pipeline per workflow, and what is read off afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::fakes::{Calls, FakeClock, FakeOutputs, FakePost, FakeSpool, FakeStore, Loaded, delivery};
use crate::domain::digest::{ContentDigest, DigestKey};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{MailboxId, Name, WorkflowId};
use crate::domain::operator::Operator;
use crate::domain::output::{FolderPlan, Layout, LineEnds, OutputPlan, OutputState, Progress, StagedFile, StagedSet};
use crate::domain::retry::Backoff;
use crate::domain::settlement::{DeathCause, Settlement};
use crate::pipeline::{MailboxOutputs, Pipelines};
use crate::ports::clock::Clock;
use crate::ports::operations::Post;
use crate::ports::outputs::Outputs;
use crate::ports::spool::Spool;
use crate::ports::store::{Delivery, Store};
use crate::work::{Suspensions, Work, WorkError, WorkSettings};

pub(super) struct Bench {
    pub(super) calls: Calls,
    pub(super) clock: Arc<FakeClock>,
    pub(super) store: Arc<FakeStore>,
    pub(super) spool: Arc<FakeSpool>,
    pub(super) outputs: Arc<FakeOutputs>,
    pub(super) post: Arc<FakePost>,
    pub(super) pipelines: watch::Sender<Arc<Pipelines>>,
    pub(super) suspensions: Suspensions,
    pub(super) settings: WorkSettings,
}

impl Bench {
    pub(super) fn new() -> Self {
        let calls = Calls::default();
        let clock = Arc::new(FakeClock::new());
        let short = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(4) };
        Self {
            store: Arc::new(FakeStore::new(calls.clone(), Arc::clone(&clock))),
            spool: Arc::default(),
            outputs: Arc::new(FakeOutputs::new(calls.clone())),
            post: Arc::new(FakePost::new(calls.clone())),
            pipelines: watch::Sender::new(Arc::new(pipelines("[limits]\nmax_bytes = \"1B\""))),
            suspensions: Suspensions::default(),
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

    pub(super) fn work(&self) -> Work {
        Work {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            spool: Arc::clone(&self.spool) as Arc<dyn Spool>,
            outputs: Arc::clone(&self.outputs) as Arc<dyn Outputs>,
            post: Arc::clone(&self.post) as Arc<dyn Post>,
            by: Operator(1000),
            pipelines: self.pipelines.subscribe(),
            suspensions: self.suspensions.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            chance: Arc::new(Loaded),
            timings: Arc::new(()),
            key: DigestKey::new(&[7; 32]),
            settings: self.settings.clone(),
        }
    }

    pub(super) async fn run_until_settled(&self, count: usize) -> Result<(), WorkError> {
        self.run_until(|bench| bench.store.settled().len() >= count).await
    }

    pub(super) async fn run_until(&self, is_reached: impl Fn(&Self) -> bool) -> Result<(), WorkError> {
        self.run_during(self.wait_for(is_reached)).await
    }

    /// Works while `story` goes on, then drains.
    pub(super) async fn run_during(&self, story: impl Future<Output = ()>) -> Result<(), WorkError> {
        let cancel = CancellationToken::new();
        let told = async {
            story.await;
            cancel.cancel();
        };
        tokio::join!(self.work().run(cancel.clone()), told).0
    }

    pub(super) async fn wait_for(&self, is_reached: impl Fn(&Self) -> bool) {
        let mut watch = self.store.watch();
        let reached = watch.wait_for(|_| is_reached(self));
        let limited = tokio::time::timeout(Duration::from_secs(20), reached).await;
        assert!(matches!(limited, Ok(Ok(_))), "not reached; settled so far: {:?}", self.words());
    }

    /// Every settlement, as `delivery word code`.
    pub(super) fn words(&self) -> Vec<String> {
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

pub(super) fn of(workflow: &str, id: u64) -> Delivery {
    Delivery { workflow: WorkflowId::new(workflow).expect("printable"), ..delivery(id, "MB1") }
}

pub(super) fn away() -> Fault {
    Fault::dependency(FaultCode::OutUnavailable, Name::new("output").expect("a name"), "no marker")
}

pub(super) fn output(name: &str, progress: Progress) -> OutputState {
    let plan = FolderPlan {
        name: Name::new(name).expect("a name"),
        layout: Layout::Folder,
        line_ends: LineEnds::Lf,
        folder: "/srv/mesh".into(),
        group: None,
        mode: 0o640,
        payload: Vec::new(),
    };
    OutputState { plan: OutputPlan::Folder(plan), progress }
}

pub(super) fn staged(id: u64) -> Progress {
    let digest = ContentDigest("00".into());
    let (temp, name) = (format!("d{id}.tmp"), format!("d{id}.dat"));
    let file = StagedFile { temp, name, length: 9, digest };
    Progress::Staged(StagedSet { marker: "marker".into(), files: vec![file] })
}

/// One pipeline per workflow; `small` are the limits of the one for `SMALL`.
pub(super) fn pipelines(small: &str) -> Pipelines {
    pipelines_under(Path::new("/srv/mesh"), small)
}

pub(super) fn pipelines_under(root: &Path, small: &str) -> Pipelines {
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
        let outputs =
            MailboxOutputs { output: root.join(id), group: None, mode: 0o640, line_ends: LineEnds::Lf, waiting: None };
        (MailboxId::new(id).expect("letters and digits"), outputs)
    };
    let mailboxes: BTreeMap<_, _> = ["MB1", "MB2"].into_iter().map(mailbox).collect();
    Pipelines::compile(&files, &mailboxes).expect("no findings")
}
