//! The far side's truth, on a disk of its own: what was offered, listed, served and acknowledged, and what it received.
//!
//! One JSON object per line, each with the monotonic time since its writer's start; the first line of every start
//! says what that start was on the wall clock. A torn last line is left out when reading.
//!
//! In [`Keeping::Synced`] an event is durable before the request that caused it is answered; events that wait
//! at the same time share one sync. In [`Keeping::Buffered`] it is with the operating system soon after:
//! it outlives this process and the one under test, but not a power cut.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::SimulatorError;
use super::calls::Call;

/// Events that may wait for the writer: a few hundred bytes each. When it is full, requests wait.
const WAITING_EVENTS: usize = 8192;
/// Events written, and synced, together at most.
const TOGETHER: usize = 4096;

/// How an event is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeping {
    /// Written, not synced: for benchmarks.
    Buffered,
    /// Synced before the answer goes out: for crash tests.
    Synced,
}

/// A ledger to write.
#[derive(Debug, Clone)]
pub struct LedgerSettings {
    /// The file; made if missing, added to if there.
    pub path: PathBuf,
    /// How events are kept.
    pub keeping: Keeping,
    /// Every request is an event too, so that rates can be proved.
    pub requests: bool,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A writer started; its times count from here.
    Opened {
        /// Milliseconds since 1970.
        wall_ms: i64,
    },
    /// A message was put into an inbox.
    Offered {
        /// Whose.
        mailbox: String,
        /// Its id.
        id: String,
        /// SHA-256 of the decoded content. Absent for one above 64 MiB (its pattern says it) or declared gzip but not.
        sha256: Option<String>,
        /// Decoded length.
        length: Option<u64>,
        /// Seed of a generated message.
        seed: Option<u64>,
    },
    /// An inbox page was served.
    Listed {
        /// Whose.
        mailbox: String,
        /// What it showed.
        ids: Vec<String>,
    },
    /// A body was handed to the wire; a fault may still have cut it.
    BodyServed {
        /// Whose.
        mailbox: String,
        /// Which message.
        id: String,
        /// Which chunk, from 1; 0 for a report.
        chunk: u64,
        /// Encoded bytes.
        bytes: u64,
    },
    /// A message was acknowledged for the first time since it was offered.
    Acknowledged {
        /// Whose.
        mailbox: String,
        /// Which message.
        id: String,
    },
    /// A message was expired by the test.
    Expired {
        /// Whose.
        mailbox: String,
        /// Which message.
        id: String,
    },
    /// A client sent a message, and it is complete.
    Received {
        /// The sender.
        mailbox: String,
        /// The id it was given.
        id: String,
        /// `Mex-LocalID`.
        local_id: Option<String>,
        /// SHA-256 of the decoded content.
        sha256: Option<String>,
    },
    /// A request came in, whatever became of it.
    Request {
        /// What it asked.
        call: Call,
        /// Whose mailbox, as the path said.
        mailbox: String,
    },
    /// A consumer took a set from an output folder.
    Taken {
        /// File name without its suffix.
        name: String,
        /// SHA-256 of the data file; absent if there was none.
        sha256: Option<String>,
        /// Length of the data file.
        length: Option<u64>,
        /// The control file's text, where it was to be kept.
        control: Option<String>,
    },
}

/// An event and its moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Nanoseconds since the writer's start.
    pub t_ns: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Line {
    /// An event at this time since the writer's start.
    pub fn at(time: Duration, event: Event) -> Self {
        Self { t_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), event }
    }

    /// Adds the line's text and its end to `out`.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.push(b'\n');
        Ok(())
    }
}

/// Opens a ledger file for adding, cutting off what a crash tore; its folder must be there.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).read(true).open(path)?;
    if torn_tail(path)? {
        // The torn line gets an end of its own, so that the next one starts clean; readers skip it.
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn torn_tail(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    Ok(last != [b'\n'])
}

/// Makes what was written durable.
#[expect(
    clippy::disallowed_methods,
    reason = "the far side's own file: the daemon's disk, and its faults, are not its"
)]
pub(super) fn sync(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// The writing end. The writer ends when the last of these is dropped.
pub(super) struct Ledger {
    keeping: Keeping,
    sender: mpsc::Sender<Entry>,
}

struct Entry {
    lines: Vec<u8>,
    /// Told when everything up to here is durable.
    durable: Option<oneshot::Sender<()>>,
}

impl Ledger {
    /// Opens the file and starts the writer.
    pub(super) fn start(path: &Path, keeping: Keeping) -> io::Result<Self> {
        let file = open(path)?;
        let (sender, receiver) = mpsc::channel(WAITING_EVENTS);
        std::thread::Builder::new().name("far-ledger".to_owned()).spawn(move || write_events(file, receiver))?;
        Ok(Self { keeping, sender })
    }

    /// Keeps lines, as promised for this ledger. An error means that the writer has stopped: nothing may be answered.
    pub(super) async fn keep(&self, lines: &[Line]) -> Result<(), SimulatorError> {
        let mut bytes = Vec::with_capacity(192 * lines.len());
        for line in lines {
            line.write_to(&mut bytes)?;
        }
        match self.keeping {
            Keeping::Buffered => self.send(Entry { lines: bytes, durable: None }).await,
            Keeping::Synced => self.send_durably(bytes).await,
        }
    }

    /// Makes everything kept so far durable, in either way of keeping.
    pub(super) async fn settle(&self) -> Result<(), SimulatorError> {
        self.send_durably(Vec::new()).await
    }

    async fn send_durably(&self, lines: Vec<u8>) -> Result<(), SimulatorError> {
        let (durable, answer) = oneshot::channel();
        self.send(Entry { lines, durable: Some(durable) }).await?;
        answer.await.map_err(|_| SimulatorError::LedgerStopped)
    }

    async fn send(&self, entry: Entry) -> Result<(), SimulatorError> {
        self.sender.send(entry).await.map_err(|_| SimulatorError::LedgerStopped)
    }
}

/// Ends at the first error: whoever waits then learns that the ledger has stopped.
fn write_events(mut file: File, mut receiver: mpsc::Receiver<Entry>) -> io::Result<()> {
    let mut entries = Vec::with_capacity(TOGETHER);
    let mut bytes = Vec::new();
    while receiver.blocking_recv_many(&mut entries, TOGETHER) > 0 {
        bytes.clear();
        for entry in &entries {
            bytes.extend_from_slice(&entry.lines);
        }
        file.write_all(&bytes)?;
        if entries.iter().any(|entry| entry.durable.is_some()) {
            sync(&file)?;
        }
        for durable in entries.drain(..).filter_map(|entry| entry.durable) {
            // A request that was cut meanwhile no longer waits.
            durable.send(()).ok();
        }
    }
    Ok(())
}

/// Reads a ledger, line by line, whoever wrote it and however that ended.
pub fn read(path: &Path) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        lines.extend(serde_json::from_slice::<Line>(&line?).ok());
    }
    Ok(lines)
}

/// What a ledger says about one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Offered so often: more than once if it was put back.
    pub offered: u32,
    /// SHA-256 of what was last offered.
    pub sha256: Option<String>,
    /// Length of what was last offered.
    pub length: Option<u64>,
    /// On so many served inbox pages.
    pub listed: u32,
    /// First chunk, or all of it, served so often.
    pub served: u32,
    /// Acknowledged so often.
    pub acknowledged: u32,
}

/// The history of every (mailbox, message id).
pub fn histories(lines: &[Line]) -> BTreeMap<(String, String), History> {
    let mut all: BTreeMap<(String, String), History> = BTreeMap::new();
    let mut of = |mailbox: &str, id: &str, note: &mut dyn FnMut(&mut History)| {
        note(all.entry((mailbox.to_owned(), id.to_owned())).or_default());
    };
    for line in lines {
        match &line.event {
            Event::Offered { mailbox, id, sha256, length, seed: _ } => of(mailbox, id, &mut |history| {
                history.offered += 1;
                (history.sha256, history.length) = (sha256.clone(), *length);
            }),
            Event::Listed { mailbox, ids } => {
                for id in ids {
                    of(mailbox, id, &mut |history| history.listed += 1);
                }
            }
            Event::BodyServed { mailbox, id, chunk, bytes: _ } => {
                of(mailbox, id, &mut |history| history.served += u32::from(*chunk <= 1));
            }
            Event::Acknowledged { mailbox, id } => of(mailbox, id, &mut |history| history.acknowledged += 1),
            Event::Opened { .. }
            | Event::Expired { .. }
            | Event::Received { .. }
            | Event::Request { .. }
            | Event::Taken { .. } => {}
        }
    }
    all
}

/// What a consumer's ledger says it took: for each name the digests, in order. More than one is a duplicate.
pub fn taken(lines: &[Line]) -> BTreeMap<String, Vec<Option<String>>> {
    let mut all: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for line in lines {
        if let Event::Taken { name, sha256, .. } = &line.event {
            all.entry(name.clone()).or_default().push(sha256.clone());
        }
    }
    all
}
