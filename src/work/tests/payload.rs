//! What is done to payloads on their way: decided once, and done again as decided.

use std::io::Write;
use std::sync::Mutex;

use super::fakes::Calls;
use super::*;
use crate::domain::envelope::Envelope;
use crate::domain::output::Transform;
use crate::ports::outputs::{PublishJob, Published, StageJob};
use crate::ports::spool::{Intake, Opened, Payload, PayloadSource, SpoolError};
use crate::ports::store::Lease;

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
    assert_eq!(outputs[0].plan.payload, [TRANSFORM]);
}

#[tokio::test]
async fn a_decided_output_is_staged_as_decided_whatever_the_pipelines_say_now() {
    let scene = Scene::new();
    let mut planned = output("right", Progress::Planned);
    planned.plan.payload = vec![TRANSFORM];
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

struct Scene {
    bench: Bench,
}

impl Scene {
    fn new() -> Self {
        let bench = Bench::new();
        let mailbox = (
            MailboxId::new("MB1").expect("letters"),
            MailboxOutputs { output: "/srv".into(), group: None, mode: 0o640 },
        );
        let files = [(PathBuf::from("letters.toml"), PIPELINE.to_owned())];
        let compiled = Pipelines::compile(&files, &BTreeMap::from([mailbox])).expect("no findings");
        bench.pipelines.send_replace(Arc::new(compiled));
        Self { bench }
    }

    /// What is staged of a delivery with this payload, and how its outputs ended.
    async fn work_on(&self, delivery: Delivery, payload: Vec<u8>) -> (Vec<Vec<u8>>, Vec<OutputState>) {
        let (id, settled) = (delivery.id.0, self.bench.store.settled().len());
        let staged = Arc::new(Mutex::new(Vec::new()));
        let outputs = Recorder { inner: FakeOutputs::new(Calls::default()), staged: Arc::clone(&staged) };
        let work = Work {
            spool: Arc::new(Kept { inner: FakeSpool::default(), payload: payload.into() }),
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

/// Keeps the same payload of every message.
struct Kept {
    inner: FakeSpool,
    payload: Arc<[u8]>,
}

struct Bytes(Arc<[u8]>);

impl PayloadSource for Bytes {
    fn reader(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        Ok(Box::new(std::io::Cursor::new(Arc::clone(&self.0))))
    }
}

impl Spool for Kept {
    fn open(&self, lease: &Lease) -> Result<Opened, SpoolError> {
        let payload = Payload::new(self.payload.len() as u64, Arc::new(Bytes(Arc::clone(&self.payload))));
        Ok(Opened { payload, ..self.inner.open(lease)? })
    }
    fn intake(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.inner.intake(envelope)
    }
    fn intake_as_served(&self, envelope: &Envelope) -> Result<Box<dyn Intake>, SpoolError> {
        self.inner.intake_as_served(envelope)
    }
    fn forget(&self, mailbox: &MailboxId, id: &crate::domain::ids::MessageId) -> Result<(), SpoolError> {
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
