//! The spool as a whole, mostly on the simulated disk.

mod fixture;
mod large;
mod small;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::SecretString;

use super::seal::{RecipientSet, Recipients};
use super::*;
use crate::domain::envelope::{MessageKind, Status};
use crate::domain::ids::{Sensitive, WorkflowId};
use crate::domain::time::Timestamp;
use crate::ports::disk::EntryKind;
use crate::ports::store::Location;
use crate::store::disk::Simulated;

const ROOT: &str = "/state/spool";
/// Says so when it lies open anywhere.
const SECRET: &str = "GPPROVIDER_9990000001_SMITH";

pub(super) fn mailbox(id: &str) -> MailboxId {
    MailboxId::new(id).unwrap()
}

pub(super) fn message(id: &str) -> MessageId {
    MessageId::new(id).unwrap()
}

pub(super) fn identity() -> age::x25519::Identity {
    age::x25519::Identity::generate()
}

pub(super) fn recipients_of(identity: &age::x25519::Identity) -> Arc<RecipientSet> {
    let texts = BTreeMap::from([(mailbox("X"), vec![identity.to_public().to_string()])]);
    Recipients::parse(&texts).unwrap().set(0).clone()
}

pub(super) fn envelope(to: &str, id: &str) -> Envelope {
    Envelope {
        mailbox: mailbox(to),
        message_id: message(id),
        kind: MessageKind::Data,
        workflow: WorkflowId::new("TEST").unwrap(),
        from: None,
        to: Some(Sensitive::new(SECRET)),
        subject: Some(Sensitive::new(SECRET)),
        local_id: None,
        file_name: None,
        partner_id: None,
        checksum: None,
        content_type: None,
        content_encrypted: false,
        content_compressed: None,
        status: Status::default(),
        linked_message_id: None,
        chunks: 1,
    }
}

fn chunked(to: &str, id: &str, chunks: u32) -> Envelope {
    Envelope { chunks, ..envelope(to, id) }
}

/// A clock that is set by hand.
#[derive(Default)]
struct HandClock(AtomicU64);

impl Clock for HandClock {
    fn wall(&self) -> Timestamp {
        Timestamp(1_767_605_412_123)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// A spool of mailboxes `A` and `B`, which share their recipient, and `C`, which has another.
struct Room {
    simulated: Simulated,
    clock: Arc<HandClock>,
    settings: SpoolSettings,
}

impl Room {
    fn new(seed: u64) -> Self {
        let (one, two) = (identity(), identity());
        let recipients = [("A", &one), ("B", &one), ("C", &two)];
        let of =
            |(name, identity): (&str, &age::x25519::Identity)| (mailbox(name), vec![identity.to_public().to_string()]);
        let settings = SpoolSettings {
            directory: ROOT.into(),
            recipients: recipients.into_iter().map(of).collect(),
            identities: vec![one.to_string(), two.to_string()],
            volume_bytes: VOLUME_BYTES,
            volume_age: VOLUME_AGE,
        };
        Self { simulated: Simulated::new(seed), clock: Arc::default(), settings }
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.simulated.clone())
    }

    fn try_open(&self) -> Result<(Spool, Appender), SpoolError> {
        Spool::open(self.disk(), self.clock.clone(), DigestKey::new(b"test key"), self.settings.clone())
    }

    fn open(&self) -> (Spool, Appender) {
        self.try_open().unwrap()
    }

    fn identities(&self) -> Identities {
        Identities::parse(&self.settings.identities).unwrap()
    }

    /// Opens without private keys, as where messages are only received.
    fn without_identities(mut self) -> (Self, Vec<SecretString>) {
        let identities = std::mem::take(&mut self.settings.identities);
        (self, identities)
    }

    fn verify(&self) -> inspect::Report {
        inspect::verify(&self.disk(), Path::new(ROOT), &self.identities()).unwrap()
    }

    fn list(&self) -> Vec<inspect::Item> {
        let mut items = Vec::new();
        inspect::list(&self.disk(), Path::new(ROOT), |item| {
            items.push(item);
            Ok(())
        })
        .unwrap();
        items
    }

    /// Every file below a folder, with its bytes.
    fn all_files(&self, folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in self.simulated.list(folder).unwrap() {
            match entry.kind {
                EntryKind::Folder => found.extend(self.all_files(&entry.path)),
                EntryKind::File | EntryKind::Other => found.push((entry.path.clone(), self.bytes(&entry.path))),
            }
        }
        found
    }

    fn bytes(&self, path: &Path) -> Vec<u8> {
        let file = self.simulated.read(path).unwrap();
        let mut bytes = vec![0; file.length().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Puts other bytes in a file's place.
    fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut file = self.simulated.open(path).unwrap();
        file.cut(Step::ChunkWrite, 0).unwrap();
        file.append(Step::ChunkWrite, bytes).unwrap();
    }
}

fn sync(appender: &mut Appender) -> Result<(), SpoolError> {
    if let Some((step, file)) = appender.dirty() {
        file.sync(step).map_err(|error| errors::halted("sync", error))?;
    }
    appender.synced()
}

fn payload(opened: &Opened) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    opened.payload.reader()?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn no_patient_data_lies_open() {
    let room = Room::new(0);
    let (spool, mut appender) = room.open();
    appender.append(&[Member { envelope: &envelope("A", "M1"), bytes: SECRET.as_bytes() }]).unwrap();
    let mut intake = spool.intake(&envelope("A", "M2")).unwrap();
    intake.begin_chunk().unwrap();
    intake.write(SECRET.as_bytes()).unwrap();
    intake.end_chunk().unwrap();
    intake.finish().unwrap();
    for (path, bytes) in room.all_files(Path::new("/")) {
        let text = format!("{}{}", path.display(), String::from_utf8_lossy(&bytes));
        // Long enough that no digest and no sealed byte says them by chance.
        assert!(!text.contains("_SMITH") && !text.contains("9990000001"), "{}", path.display());
    }
}

#[test]
fn a_volume_of_a_newer_release_refuses_to_start() {
    let room = Room::new(0);
    let (_, mut appender) = room.open();
    appender.append(&[Member { envelope: &envelope("A", "M1"), bytes: b"x" }]).unwrap();
    let path = room.all_files(Path::new(ROOT)).remove(0).0;
    let mut bytes = room.bytes(&path);
    let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..length - 4]);
    bytes[length - 4..length].copy_from_slice(&crc.to_le_bytes());
    room.overwrite(&path, &bytes);
    assert!(matches!(room.try_open(), Err(SpoolError::Failed(_))));
}

#[test]
fn list_and_find_need_no_key_and_verify_and_open_use_one() {
    let room = Room::new(0);
    let (spool, mut appender) = room.open();
    let (one, two, three) = (envelope("A", "M1"), envelope("C", "M2"), chunked("B", "M3", 2));
    let members = [Member { envelope: &one, bytes: b"one" }, Member { envelope: &two, bytes: b"second" }];
    let locations = appender.append(&members).unwrap();
    let mut intake = spool.intake(&three).unwrap();
    intake.begin_chunk().unwrap();
    intake.write(b"half").unwrap();
    intake.end_chunk().unwrap();

    let item = |envelope: &Envelope, length, location: &Location| inspect::Item::Message {
        mailbox: envelope.mailbox.clone(),
        message_id: envelope.message_id.clone(),
        length,
        location: location.clone(),
    };
    let arriving =
        inspect::Item::Arriving { mailbox: mailbox("B"), message_id: message("M3"), kept: 1, of: Some(2), length: 4 };
    assert_eq!(room.list(), [item(&one, 3, &locations[0]), item(&two, 6, &locations[1]), arriving]);

    let find = inspect::find(&room.disk(), Path::new(ROOT), &mailbox("C"), &message("M2")).unwrap();
    assert_eq!(find, locations[1..]);
    let whose = (&two.mailbox, &two.message_id);
    let opened = inspect::open(&room.disk(), Path::new(ROOT), &room.identities(), whose, &find[0]).unwrap();
    assert_eq!(payload(&opened).unwrap(), b"second");
    let report = room.verify();
    assert_eq!((report.messages, report.tails, report.problems), (3, vec![], vec![]));
}
