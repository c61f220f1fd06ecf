//! What the tests of this layer share: mail, a clock, chance, a root that was set up, a disk that dies on the way.

mod dying;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) use dying::{Bends, Dying, Watcher};

use super::{BOOT_ID, NewRoot, Publisher, init_root};
use crate::domain::digest::DigestKey;
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::fault::Fault;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, Name, Sensitive, WorkflowId};
use crate::domain::output::{FolderPlan, Layout, LineEnds, StagedSet};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::disk::{Disk, Entry};
use crate::ports::outputs::{Outputs, PublishJob, Published, StageJob};
use crate::ports::spool::{Opened, Payload, PayloadSource};
use crate::ports::store::{Delivery, Location};

pub(super) fn data_envelope() -> Envelope {
    Envelope {
        mailbox: MailboxId::new("X26ABC2").expect("an id"),
        message_id: MessageId::new("20260105093012123456_0A1B2C").expect("an id"),
        kind: MessageKind::Data,
        workflow: WorkflowId::new("TRUST_DEMO_FLOW").expect("an id"),
        from: Some(MailboxId::new("X26ABC1").expect("an id")),
        to: Some(Sensitive::new("X26ABC2")),
        subject: Some(Sensitive::new("Demo batch 17")),
        local_id: Some(Sensitive::new("RXX-000017")),
        file_name: Some(Sensitive::new("batch17.csv")),
        partner_id: None,
        checksum: None,
        content_type: Some("application/octet-stream".to_owned()),
        content_encrypted: false,
        content_compressed: None,
        status: Status {
            code: Some("00".to_owned()),
            event: Some("TRANSFER".to_owned()),
            description: None,
            success: Some("SUCCESS".to_owned()),
            timestamp: Some("20260105093013".to_owned()),
        },
        linked_message_id: None,
        chunks: 1,
    }
}

/// A report to X26ABC1 that its message to X26ABC2 was not collected.
pub(super) fn report_envelope() -> Envelope {
    Envelope {
        mailbox: MailboxId::new("X26ABC1").expect("an id"),
        message_id: MessageId::new("R1").expect("an id"),
        kind: MessageKind::Report,
        from: None,
        subject: Some(Sensitive::new("NDR: Demo batch 17")),
        file_name: None,
        content_type: None,
        status: Status {
            code: Some("14".to_owned()),
            event: Some("SEND".to_owned()),
            description: Some(Sensitive::new("Message not collected by recipient after 5 days")),
            success: Some("ERROR".to_owned()),
            timestamp: Some("20260110093013".to_owned()),
        },
        linked_message_id: Some(MessageId::new("20260105093012123456_0A1B2C").expect("an id")),
        chunks: 0,
        ..data_envelope()
    }
}

pub(super) fn delivery_of(envelope: &Envelope, id: u64) -> Delivery {
    Delivery {
        id: DeliveryId(id),
        mailbox: envelope.mailbox.clone(),
        message_id: envelope.message_id.clone(),
        workflow: envelope.workflow.clone(),
        from: envelope.from.clone(),
        kind: envelope.kind,
        length: 0,
        digest: key().of(b""),
        location: Location::Group { volume: 1, offset: 0, length: 300, member: 0 },
        accepted_at: Timestamp(1_767_605_413_000),
        attempts: 0,
        starts: 1,
        solo_deaths: 0,
        continues: None,
        outputs: Vec::new(),
        meant_for: None,
        outgoing: None,
    }
}

/// A delivery with its opened payload.
pub(super) struct Mail {
    pub(super) delivery: Delivery,
    pub(super) opened: Opened,
}

/// A message `name` with these bytes.
pub(super) fn mail(name: &str, bytes: &[u8]) -> Mail {
    mail_from(name, bytes.len() as u64, Arc::new(Bytes(bytes.to_vec())))
}

/// A message `name` of `length` bytes, they say, from `source`.
pub(super) fn mail_from(name: &str, length: u64, source: Arc<dyn PayloadSource>) -> Mail {
    let message_id = MessageId::new(name).expect("an id");
    let envelope = Envelope { message_id, ..data_envelope() };
    Mail { delivery: delivery_of(&envelope, 42), opened: Opened { envelope, payload: Payload::new(length, source) } }
}

/// A report `name`.
pub(super) fn report(name: &str) -> Mail {
    let envelope = Envelope { message_id: MessageId::new(name).expect("an id"), ..report_envelope() };
    let payload = Payload::new(0, Arc::new(Bytes(Vec::new())));
    Mail { delivery: delivery_of(&envelope, 43), opened: Opened { envelope, payload } }
}

struct Bytes(Vec<u8>);

impl PayloadSource for Bytes {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::Cursor::new(self.0.clone())))
    }
}

pub(super) fn key() -> DigestKey {
    DigestKey::new(b"a key for tests")
}

/// Noon, always.
pub(super) struct Noon;

impl Clock for Noon {
    fn wall(&self) -> Timestamp {
        Timestamp(1_767_614_400_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// One number after the other.
#[derive(Default)]
pub(super) struct Counting(AtomicU64);

impl Chance for Counting {
    fn dice(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) << 32
    }

    fn uuid(&self) -> String {
        format!("{:08x}-0000-4000-8000-000000000000", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// One root of each layout on one disk, set up.
#[derive(Clone)]
pub(super) struct World {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) chance: Arc<Counting>,
    /// Holds `state`, `mesh` and `plain`.
    pub(super) base: PathBuf,
}

impl World {
    /// Under `base`, which is made if it is missing.
    pub(super) fn new(disk: Arc<dyn Disk>, base: &Path) -> Self {
        let world = Self { disk, chance: Arc::default(), base: base.to_owned() };
        world.disk.create_folder(Step::StateDirectory, &world.state()).expect("a state directory");
        for plan in [world.mesh(), world.plain()] {
            world.init(plan.root(), plan.layout).expect("a root that can be set up");
        }
        world
    }

    pub(super) fn init(&self, root: &Path, layout: Layout) -> Result<String, super::MarkerError> {
        init_root(&*self.disk, &*self.chance, &Noon, &self.state(), NewRoot { root, layout, group: None, adopt: false })
    }

    pub(super) fn state(&self) -> PathBuf {
        self.base.join("state")
    }

    pub(super) fn mesh(&self) -> FolderPlan {
        plan("practice", Layout::MeshFolder, self.base.join("mesh/IN"))
    }

    pub(super) fn plain(&self) -> FolderPlan {
        plan("unsorted", Layout::Folder, self.base.join("plain"))
    }

    /// A publisher as a fresh process would make it.
    pub(super) fn publisher(&self) -> Publisher {
        self.publisher_on(self.disk.clone())
    }

    pub(super) fn publisher_on(&self, disk: Arc<dyn Disk>) -> Publisher {
        Publisher::new(disk, self.chance.clone(), key(), self.state())
    }

    /// Writes the kernel's boot id, so that the machine seems to have booted anew; durable.
    pub(super) fn boot(&self, id: u32) {
        let path = Path::new(BOOT_ID);
        self.disk.create_folder(Step::StateDirectory, path.parent().expect("a folder")).expect("a folder");
        self.disk.remove(Step::StateDirectory, path).expect("removed");
        let mut file = self.disk.create(Step::StateDirectory, path).expect("made");
        let text = format!("{id:08x}-0000-4000-8000-000000000000\n");
        file.append(Step::StateDirectory, text.as_bytes()).expect("written");
        file.sync(Step::StateDirectory).expect("synced");
        self.disk.sync_folder(Step::StateDirectory, path.parent().expect("a folder")).expect("synced");
    }

    /// The names of files in a folder under the base.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let entries = self.disk.list(&self.base.join(folder)).expect("a folder");
        let name = |entry: &Entry| entry.path.file_name().expect("a name").to_string_lossy().into_owned();
        entries.iter().map(name).collect()
    }

    /// The bytes of a file under the base.
    pub(super) fn bytes(&self, file: &str) -> Vec<u8> {
        read(&*self.disk, &self.base.join(file))
    }

    /// Places a file of somebody else's, or replaces one.
    pub(super) fn place(&self, file: &str, bytes: &[u8]) {
        let path = self.base.join(file);
        self.disk.remove(Step::StageSweep, &path).expect("removed");
        self.disk.create(Step::StageWrite, &path).expect("made").append(Step::StageWrite, bytes).expect("written");
    }

    /// Takes a file away, as a consumer does.
    pub(super) fn take(&self, file: &str) {
        self.disk.remove(Step::StageSweep, &self.base.join(file)).expect("removed");
    }
}

pub(super) fn plan(name: &str, layout: Layout, folder: PathBuf) -> FolderPlan {
    let name = Name::new(name).expect("a name");
    FolderPlan { name, layout, line_ends: LineEnds::Lf, folder, group: None, mode: 0o640, payload: Vec::new() }
}

pub(super) fn read(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.read(path).expect("a file");
    let mut bytes = vec![0; usize::try_from(file.length().expect("a length")).expect("small")];
    let filled = file.read_at(&mut bytes, 0).expect("readable");
    assert_eq!(filled, bytes.len());
    bytes
}

/// Stages one message.
pub(super) fn stage(publisher: &Publisher, plan: &FolderPlan, mail: &Mail) -> Result<StagedSet, Fault> {
    let jobs = [StageJob { plan, delivery: &mail.delivery, opened: &mail.opened }];
    publisher.stage(&jobs).pop().expect("one answer")
}

/// Publishes one set that was staged just now.
pub(super) fn publish(publisher: &Publisher, plan: &FolderPlan, set: &StagedSet) -> Published {
    publisher.publish(&[PublishJob { plan, set, resumed: false }]).pop().expect("one answer")
}

/// Publishes one set that was staged before.
pub(super) fn resume(publisher: &Publisher, plan: &FolderPlan, set: &StagedSet) -> Published {
    publisher.publish(&[PublishJob { plan, set, resumed: true }]).pop().expect("one answer")
}
