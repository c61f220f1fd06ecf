//! The far side as a process of its own, and what it saw: the judge of every speed.
//!
//! It says in lines of JSON when it is ready and, every few milliseconds in which something changed, how far it is.
//! Times are taken here, as the lines arrive. It ends when its standard input closes.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use meshd::simulator::calls::Call;
use meshd::simulator::message::Draft;
use meshd::simulator::payload::Payload;
use meshd::simulator::{MailboxSettings, PASSWORD, SimulatorSettings, start};
use serde::{Deserialize, Serialize};

use super::process::{Process, Usage};

/// The workflow of every message.
pub(crate) const WORKFLOW: &str = "BENCH";

/// Between two looks at the counters: well below any figure, and a small part of a core.
const LOOK: Duration = Duration::from_millis(5);

/// What the inboxes hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Content {
    /// How many mailboxes.
    pub(crate) mailboxes: usize,
    /// Messages in each.
    pub(crate) messages: u64,
    /// Bytes of each.
    pub(crate) bytes: u64,
    /// Bytes of each chunk.
    pub(crate) chunk_bytes: u64,
}

impl Content {
    /// Messages in all.
    pub(crate) fn total(&self) -> u64 {
        self.mailboxes as u64 * self.messages
    }

    /// The mailboxes' ids.
    pub(crate) fn ids(&self) -> Vec<String> {
        (1..=self.mailboxes).map(|number| format!("X26BN{number:03}")).collect()
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Serve {
    content: Content,
    tls: PathBuf,
}

/// A line of what the far side says.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    url: String,
    fetches: u64,
    acknowledged: u64,
}

/// The far side's process.
pub(crate) struct FarSide {
    pub(crate) content: Content,
    pub(crate) url: String,
    /// CA, client certificate and key.
    pub(crate) tls: PathBuf,
    process: Process,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

/// When the far side saw what.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    first_fetch: Option<Instant>,
    acknowledged: u64,
    last: Option<Instant>,
    ended: bool,
}

impl FarSide {
    /// Starts it, with everything in its inboxes.
    pub(crate) fn start(content: Content, folder: &Path) -> anyhow::Result<Self> {
        let tls = folder.join("tls");
        let settings = serde_json::to_string(&Serve { content: content.clone(), tls: tls.clone() })?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["far-side", &settings])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("it has an output")?).lines();
        let process = Process::of(child);
        let ready: Line = serde_json::from_str(&lines.next().context("the far side did not start")??)?;
        let seen: Arc<(Mutex<Seen>, Condvar)> = Arc::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Ok(Line { fetches, acknowledged, .. }) = serde_json::from_str(&line) else { break };
                let now = Instant::now();
                let mut seen = locked(&noted.0);
                if fetches > 0 {
                    seen.first_fetch.get_or_insert(now);
                }
                if acknowledged > seen.acknowledged {
                    seen.acknowledged = acknowledged;
                    seen.last = Some(now);
                }
                noted.1.notify_all();
            }
            locked(&noted.0).ended = true;
            noted.1.notify_all();
        });
        Ok(Self { content, url: ready.url, tls, process, seen })
    }

    /// Waits until every message is acknowledged; says how long it took from the first fetch on.
    pub(crate) fn wait(&self, limit: Duration) -> anyhow::Result<Duration> {
        let total = self.content.total();
        let seen = locked(&self.seen.0);
        let (seen, _) = self
            .seen
            .1
            .wait_timeout_while(seen, limit, |seen| seen.acknowledged < total && !seen.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if seen.acknowledged < total {
            bail!("only {} of {total} messages were acknowledged within {limit:?}", seen.acknowledged);
        }
        let begun = seen.first_fetch.context("nothing was fetched")?;
        Ok(seen.last.context("nothing was acknowledged")?.duration_since(begun))
    }

    /// When the first message was fetched.
    pub(crate) fn begun(&self) -> anyhow::Result<Instant> {
        locked(&self.seen.0).first_fetch.context("nothing was fetched")
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        self.process.usage()
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until standard input closes.
pub(crate) fn serve(settings: &Serve) -> anyhow::Result<()> {
    let Serve { content, tls } = settings;
    ensure!(content.bytes > 0 && content.chunk_bytes > 0, "a message has bytes, and chunks have, too");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mailbox = |id: String| MailboxSettings { id, password: PASSWORD.to_owned() };
    let simulator = runtime.block_on(async {
        let simulator = start(SimulatorSettings {
            mailboxes: content.ids().into_iter().map(mailbox).collect(),
            ..SimulatorSettings::default()
        })
        .await?;
        let payload = Payload::generated(0, content.bytes, content.chunk_bytes)?;
        let payload = match payload {
            // Small ones are kept ready, so that serving them makes nothing anew.
            Payload::Generated { pattern, .. } if content.bytes <= content.chunk_bytes.min(1 << 20) => {
                Payload::plain(pattern.bytes(0, content.bytes))
            }
            Payload::Generated { .. } | Payload::Fixed(_) | Payload::Nothing => payload,
        };
        let mail = Draft::data("X26ABC9", WORKFLOW, payload).ready()?;
        for id in content.ids() {
            simulator.offer_many(&id, content.messages, |_| Arc::clone(&mail)).await?;
        }
        anyhow::Ok(simulator)
    })?;
    simulator.write_client_files(tls)?;
    std::thread::spawn(|| {
        let mut nothing = Vec::new();
        let read = std::io::stdin().read_to_end(&mut nothing);
        std::process::exit(i32::from(read.is_err()));
    });
    let mut last = (u64::MAX, 0);
    loop {
        let statistics = simulator.statistics();
        let fetches = statistics.requests.get(&Call::Fetch).copied().unwrap_or_default();
        let now = (fetches, content.total() - statistics.waiting);
        if now != last {
            let line = Line { url: simulator.url(), fetches, acknowledged: now.1 };
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&line)?)?;
            last = now;
        }
        std::thread::sleep(LOOK);
    }
}
