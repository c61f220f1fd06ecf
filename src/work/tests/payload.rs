//! What is done to payloads on their way: decided once, and done again as decided.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::bench::{Bench, of, output, staged};
use super::fakes::{Calls, FakeOutputs, FakeSpool};
use crate::domain::envelope::Envelope;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{MailboxId, MessageId};
use crate::domain::output::{LineEnds, OutputPlan, OutputState, Progress, StagedSet, Transform};
use crate::pipeline::{MailboxOutputs, Pipelines};
use crate::ports::outputs::{Outputs, PublishJob, Published, StageJob};
use crate::ports::spool::{Intake, Opened, Payload, PayloadSource, Spool, SpoolError};
use crate::ports::store::{Delivery, Lease};
use crate::work::Work;

const TRANSFORM: Transform = Transform::Gunzip { max_bytes: 1_000, max_ratio: 200 };

const PIPELINE: &str = r#"
name = "letters"
[[stage]]
use = "decompress"
max_bytes = "1KB"
[[output]]
name = "inbox"
kind = "folder"
path = "/srv/letters"
"#;

#[tokio::test]
async fn what_the_pipeline_changes_is_staged_and_its_plan_says_how() {
    let scene = Scene::new();
    let (bytes, outputs) = scene.work_on(of("LETTER", 1), gzip(b"a letter")).await;
    assert_eq!(bytes, [b"a letter".to_vec()]);
    assert_eq!(outputs[0].plan.payload(), [TRANSFORM]);
}

#[tokio::test]
async fn a_decided_output_is_staged_as_decided_whatever_the_pipelines_say_now() {
    let scene = Scene::new();
    let mut planned = output("right", Progress::Planned);
    let OutputPlan::Folder(plan) = &mut planned.plan else { panic!("it is a folder") };
    plan.payload = vec![TRANSFORM];
    let outputs = vec![output("left", staged(1)), planned];
    let (bytes, _) = scene.work_on(Delivery { outputs, ..of("LETTER", 1) }, gzip(b"a letter")).await;
    assert_eq!(bytes, [b"a letter".to_vec()]);
    let outputs = vec![output("left", staged(2)), output("right", Progress::Planned)];
    let (bytes, _) = scene.work_on(Delivery { outputs, ..of("LETTER", 2) }, gzip(b"a letter")).await;
    assert_eq!(bytes, [gzip(b"a letter")]);
}

#[tokio::test]
async fn what_cannot_be_changed_is_a_dead_letter_and_is_not_staged() {
    let scene = Scene::new();
    let (bytes, _) = scene.work_on(of("LETTER", 1), gzip(b"a letter")[..20].to_vec()).await;
    assert!(bytes.is_empty());
    assert_eq!(scene.bench.words(), ["d1 dead Permanent MSG-BAD-COMPRESSION"]);
}

#[tokio::test]
async fn an_alarm_about_content_is_noted_and_the_message_goes_its_way() {
    let expecting = PIPELINE
        .replace("use = \"decompress\"\nmax_bytes = \"1KB\"", "use = \"expect\"\ncontent = { format = \"hl7v2\" }");
    let scene = Scene::with(&expecting);
    scene.work_on(of("LETTER", 1), b"a letter".to_vec()).await;
    assert_eq!(scene.bench.words(), ["d1 delivered"]);
    let noted = r#"note {"note":"alarmed","id":1,"pipeline":"letters","code":"MSG-CONTENT-MISMATCH"}"#;
    assert_eq!(scene.bench.calls.of(&["note"]), [noted]);
}

#[tokio::test]
async fn whom_a_message_names_is_told_with_its_settlement_from_the_payload_as_it_was_changed() {
    let scene = Scene::new();
    scene.work_on(of("LETTER", 1), gzip(b"about 999 000 0018")).await;
    let found = scene.bench.store.patients().remove(0).expect("it was opened");
    assert_eq!((found.numbers.len(), found.more), (1, false));
    scene.work_on(of("LETTER", 2), gzip(&[b'x'; 900])).await;
    assert!(scene.bench.store.patients().remove(1).expect("it was opened").is_none());
}

#[tokio::test]
async fn beyond_what_is_searched_there_may_be_more() {
    let scene = Scene::with(&PIPELINE.replace("[[stage]]\nuse = \"decompress\"\nmax_bytes = \"1KB\"\n", ""));
    let mut payload = vec![b'x'; 1 << 20];
    scene.work_on(of("LETTER", 1), payload.clone()).await;
    payload.extend_from_slice(b" 9990000018");
    scene.work_on(of("LETTER", 2), payload).await;
    let found: Vec<_> = scene.bench.store.patients().into_iter().flatten().collect();
    assert_eq!(
        found.iter().map(|found| (found.numbers.len(), found.more)).collect::<Vec<_>>(),
        [(0, false), (0, true)]
    );
}

#[tokio::test]
async fn nobody_is_looked_for_where_that_is_switched_off() {
    let mut scene = Scene::new();
    scene.bench.settings.looks_for_patients = false;
    scene.work_on(of("LETTER", 1), gzip(b"about 9990000018")).await;
    assert_eq!(scene.bench.store.patients(), [None]);
}

#[tokio::test]
async fn mail_about_synthetic_patients_alone_is_held_where_the_service_is_not_for_it() {
    let patient = |number: &str| format!("PID|1||{number}^^^NHS^NH\r");
    let with = |patients: &str| gzip(format!("MSH|^~\\&|A|B|C|D|2026||ADT^A01\r{patients}").as_bytes());
    let (synthetic, other) = (patient("9990000018"), patient("9000000009"));
    let mut scene = Scene::new();
    scene.work_on(of("LETTER", 1), with(&synthetic)).await;
    scene.bench.settings.holds_synthetic = true;
    scene.work_on(of("LETTER", 2), with(&synthetic)).await;
    scene.work_on(of("LETTER", 3), with(&other)).await;
    scene.work_on(of("LETTER", 4), with(&[synthetic, other].concat())).await;
    scene.work_on(of("LETTER", 5), gzip(b"about 9990000018")).await;
    let code = FaultCode::MsgSynthetic;
    let held = format!("d2 held {code}");
    assert_eq!(scene.bench.words(), ["d1 delivered", &held, "d3 delivered", "d4 delivered", "d5 delivered"]);
    let noted = format!(r#"note {{"note":"alarmed","id":4,"pipeline":"letters","code":"{code}"}}"#);
    assert_eq!(scene.bench.calls.of(&["note"]), [noted], "others may wait for a batch that has a synthetic patient");
}

#[tokio::test]
async fn what_killed_the_daemon_twice_is_not_opened_for_a_choice() {
    let sealed = PIPELINE.replace("[[stage]]", "[match]\nsubject = \"x\"\n[[stage]]");
    let scene = Scene::with(&sealed);
    let delivery = Delivery { solo_deaths: 2, ..of("LETTER", 1) };
    scene.work_on(delivery, b"a letter".to_vec()).await;
    assert_eq!(scene.bench.words(), ["d1 dead Poison MSG-POISON"]);
    assert_eq!(scene.opens.load(Ordering::Relaxed), 0);
    scene.work_on(of("LETTER", 2), b"a letter".to_vec()).await;
    assert_eq!(scene.opens.load(Ordering::Relaxed), 1, "the pipeline does ask");
}

struct Scene {
    bench: Bench,
    opens: Arc<AtomicU32>,
}

impl Scene {
    fn new() -> Self {
        Self::with(PIPELINE)
    }

    fn with(pipeline: &str) -> Self {
        let bench = Bench::new();
        let mailbox = (
            MailboxId::new("MB1").expect("letters"),
            MailboxOutputs { output: "/srv".into(), group: None, mode: 0o640, line_ends: LineEnds::Lf, waiting: None },
        );
        let files = [(PathBuf::from("letters.toml"), pipeline.to_owned())];
        let compiled = Pipelines::compile(&files, &BTreeMap::from([mailbox])).expect("no findings");
        bench.pipelines.send_replace(Arc::new(compiled));
        Self { bench, opens: Arc::default() }
    }

    /// What is staged of a delivery with this payload, and how its outputs ended.
    async fn work_on(&self, delivery: Delivery, payload: Vec<u8>) -> (Vec<Vec<u8>>, Vec<OutputState>) {
        let (id, settled) = (delivery.id.0, self.bench.store.settled().len());
        let staged = Arc::new(Mutex::new(Vec::new()));
        let outputs = Recorder { inner: FakeOutputs::new(Calls::default()), staged: Arc::clone(&staged) };
        let work = Work {
            spool: Arc::new(Kept {
                inner: FakeSpool::default(),
                payload: payload.into(),
                opens: Arc::clone(&self.opens),
            }),
            outputs: Arc::new(outputs),
            ..self.bench.work()
        };
        self.bench.store.queue(delivery);
        let cancel = CancellationToken::new();
        let told = async {
            self.bench.wait_for(|bench| bench.store.settled().len() > settled).await;
            cancel.cancel();
        };
        tokio::join!(work.run(cancel.clone()), told).0.expect("no halt");
        let staged = std::mem::take(&mut *staged.lock().expect("no panic before"));
        (staged, self.bench.store.delivery(id).outputs)
    }
}

/// Keeps the same payload of every message, and counts how often it is opened.
struct Kept {
    inner: FakeSpool,
    payload: Arc<[u8]>,
    opens: Arc<AtomicU32>,
}

struct Bytes(Arc<[u8]>);

impl PayloadSource for Bytes {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(Arc::clone(&self.0))))
    }
}

impl Spool for Kept {
    fn open(&self, lease: &Lease) -> Result<Opened, SpoolError> {
        self.opens.fetch_add(1, Ordering::Relaxed);
        let payload = Payload::new(self.payload.len() as u64, Arc::new(Bytes(Arc::clone(&self.payload))));
        Ok(Opened { payload, ..self.inner.open(lease)? })
    }
    fn intake(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.inner.intake(envelope)
    }
    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.inner.intake_as_served(envelope)
    }
    fn forget(&self, mailbox: &MailboxId, id: &MessageId) -> Result<(), SpoolError> {
        self.inner.forget(mailbox, id)
    }
}

/// Reads what it stages.
struct Recorder {
    inner: FakeOutputs,
    staged: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Outputs for Recorder {
    fn stage(&self, jobs: &[StageJob<'_>]) -> Vec<Result<StagedSet, Fault>> {
        for job in jobs {
            let bytes = job.opened.payload.read_bounded(1_000).expect("it reads");
            assert_eq!(bytes.len() as u64, job.opened.payload.length());
            self.staged.lock().expect("no panic before").push(bytes);
        }
        self.inner.stage(jobs)
    }
    fn publish(&self, jobs: &[PublishJob<'_>]) -> Vec<Published> {
        self.inner.publish(jobs)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
