//! The simulator as a process of its own: for benchmarks, crash tests and demonstrations.
//!
//! Says in one line of JSON when it is ready and where; ends at SIGTERM or SIGINT with a line of totals.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::certificates::ClientFiles;
use super::faults::Storm;
use super::ledger::LedgerSettings;
use super::message::Draft;
use super::payload::Payload;
use super::{MailboxSettings, Simulator, SimulatorError, SimulatorSettings, mail, start};

/// `Mex-From` of what is served.
const SENDER: &str = "X26ABC9";
/// Content shared by all messages is kept in memory up to this length.
const KEPT_READY_BYTES: u64 = 1_000_000;

/// What each mailbox holds at the start.
#[derive(Debug, Clone)]
pub enum Content {
    /// `count` messages of `size` bytes, in chunks where that is more than `chunk_bytes`.
    Sized {
        /// Messages per mailbox.
        count: u64,
        /// Bytes of each.
        size: u64,
        /// Bytes of each chunk but the last.
        chunk_bytes: u64,
        /// Every message has bytes of its own; otherwise all of a mailbox share the same.
        distinct: bool,
        /// Their workflow.
        workflow: String,
    },
    /// `count` messages of every kind in turn.
    Mixed {
        /// Messages per mailbox.
        count: u64,
    },
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Mailbox ids.
    pub mailboxes: Vec<String>,
    /// The password of each.
    pub password: String,
    /// The environment's shared key.
    pub shared_key: String,
    /// What they hold.
    pub content: Content,
    /// Where CA, client certificate and key are written.
    pub tls_folder: PathBuf,
    /// Where events go, if anywhere.
    pub ledger: Option<LedgerSettings>,
    /// A plain body is gzipped for a client that offers it.
    pub transcode: bool,
    /// Faults by chance.
    pub storm: Option<Storm>,
    /// Threads for connections. One leaves the second core to the process under test.
    pub threads: usize,
}

/// The line that says "ready".
#[derive(Debug, serde::Serialize)]
struct Ready<'a> {
    ready: bool,
    url: String,
    mailboxes: &'a [String],
    waiting: u64,
    #[serde(flatten)]
    files: ClientFiles,
}

/// Serves until SIGTERM or SIGINT. Blocks; the two lines go to `out`.
pub fn serve(settings: &ServeSettings, out: &mut dyn Write) -> Result<(), SimulatorError> {
    // Before anything is ready: a signal must never find nobody listening.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    serve_until(settings, out, |_| {
        signals.forever().next();
    })
}

/// Serves as long as `until` runs, which is told when everything is ready.
fn serve_until(
    settings: &ServeSettings,
    out: &mut dyn Write,
    until: impl FnOnce(&Simulator),
) -> Result<(), SimulatorError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(settings.threads.max(1)).enable_all().build()?;
    let simulator = runtime.block_on(prepare(settings))?;
    let files = simulator.write_client_files(&settings.tls_folder)?;
    let ready = Ready {
        ready: true,
        url: simulator.url(),
        mailboxes: &settings.mailboxes,
        waiting: simulator.waiting(),
        files,
    };
    print(out, &ready)?;
    until(&simulator);
    runtime.block_on(simulator.shutdown())?;
    print(out, &simulator.statistics())
}

async fn prepare(settings: &ServeSettings) -> Result<Simulator, SimulatorError> {
    let mailbox = |id: &String| MailboxSettings { id: id.clone(), password: settings.password.clone() };
    let simulator = start(SimulatorSettings {
        listen: settings.listen,
        mailboxes: settings.mailboxes.iter().map(mailbox).collect(),
        shared_key: settings.shared_key.clone(),
        ledger: settings.ledger.clone(),
        transcode: settings.transcode,
        ..SimulatorSettings::default()
    })
    .await?;
    for mailbox in &settings.mailboxes {
        match &settings.content {
            Content::Sized { count, size, chunk_bytes, distinct: true, workflow } => {
                for seed in 0..*count {
                    let payload = Payload::generated(seed, *size, *chunk_bytes)?;
                    simulator.offer(mailbox, &Draft::data(SENDER, workflow, payload).ready()?).await?;
                }
            }
            Content::Sized { count, size, chunk_bytes, distinct: false, workflow } => {
                let mail = Draft::data(SENDER, workflow, shared_payload(*size, *chunk_bytes)?).ready()?;
                simulator.offer_many(mailbox, *count, |_| Arc::clone(&mail)).await?;
            }
            Content::Mixed { count } => {
                for number in 0..*count {
                    simulator.offer(mailbox, &mail::mixed(number)?).await?;
                }
            }
        }
    }
    simulator.storm(settings.storm);
    Ok(simulator)
}

/// One content for all: a small one is kept ready, so that serving it copies nothing.
fn shared_payload(size: u64, chunk_bytes: u64) -> Result<Payload, SimulatorError> {
    let payload = Payload::generated(0, size, chunk_bytes)?;
    Ok(match payload {
        Payload::Generated { pattern, chunk_bytes } if size <= chunk_bytes.min(KEPT_READY_BYTES) => {
            Payload::plain(pattern.bytes(0, size))
        }
        Payload::Generated { .. } | Payload::Fixed(_) | Payload::Nothing => payload,
    })
}

fn print(out: &mut dyn Write, line: &impl serde::Serialize) -> Result<(), SimulatorError> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(content: Content) -> (Vec<serde_json::Value>, Vec<u64>) {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = ServeSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            mailboxes: vec!["X26ABC1".to_owned(), "X26ABC2".to_owned()],
            password: "password".to_owned(),
            shared_key: "TestKey".to_owned(),
            content,
            tls_folder: folder.path().join("tls"),
            ledger: None,
            transcode: false,
            storm: None,
            threads: 1,
        };
        let (mut out, mut chunks) = (Vec::new(), Vec::new());
        serve_until(&settings, &mut out, |simulator| {
            let known = simulator.messages("X26ABC1").expect("a mailbox");
            chunks.extend(known.iter().map(|known| known.mail.payload.chunks()));
            assert!(settings.tls_folder.join("client.key").exists());
        })
        .expect("an orderly end");
        let text = String::from_utf8(out).expect("text");
        (text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect(), chunks)
    }

    fn sized(size: u64, distinct: bool) -> Content {
        Content::Sized { count: 3, size, chunk_bytes: 100, distinct, workflow: "WF".to_owned() }
    }

    #[test]
    fn says_when_it_is_ready_and_what_it_saw() {
        let (lines, chunks) = served(sized(10, false));
        assert_eq!((lines[0]["ready"].as_bool(), lines[0]["waiting"].as_u64()), (Some(true), Some(6)));
        assert!(lines[0]["url"].as_str().is_some_and(|url| url.starts_with("https://127.0.0.1:")));
        assert!(lines[0]["client_key"].is_string() && lines[0]["ca"].is_string());
        assert_eq!((lines.len(), lines[1]["waiting"].as_u64(), chunks), (2, Some(6), vec![1, 1, 1]));
    }

    #[test]
    fn content_is_chunked_distinct_or_mixed_as_asked() {
        assert_eq!(served(sized(250, false)).1, [3, 3, 3]);
        assert_eq!(served(sized(250, true)).1, [3, 3, 3]);
        assert_eq!(served(Content::Mixed { count: 9 }).1, [1, 1, 1, 1, 1, 3, 1, 2, 0]);
    }
}
