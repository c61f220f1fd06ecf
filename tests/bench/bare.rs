//! The ceilings: clients that speak to the same far side with the same HTTP stack and tokens, and promise nothing.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH};
use http::{Method, StatusCode};
use meshd::adapters::http::{Client, Identity, Network, TlsFiles};
use meshd::adapters::mesh::auth::Credentials;
use meshd::domain::digest::Hasher;
use meshd::domain::ids::MailboxId;
use meshd::domain::step::Step;
use meshd::ports::clock::Clock;
use meshd::ports::disk::{Disk, DiskFile};
use meshd::simulator::clock::FarClock;
use meshd::simulator::{PASSWORD, SHARED_KEY};
use meshd::store::disk::Real;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::far_side::FarSide;
use super::process::Process;

/// Pieces of a body between download and disk, as many as the product has.
const PIECES_AHEAD: usize = 16;

/// What a bare client does with what it fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Keep {
    /// Nothing.
    Nothing,
    /// The bytes as they come, synced after each chunk.
    Plain,
    /// The same, digested and sealed with age for two recipients.
    Sealed,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    url: String,
    tls: PathBuf,
    ids: Vec<String>,
    keep: Keep,
    folder: PathBuf,
}

/// Starts a bare client as a process of its own.
pub(crate) fn start(far_side: &FarSide, keep: Keep, folder: &Path) -> anyhow::Result<Process> {
    let settings = Settings {
        url: far_side.url.clone(),
        tls: far_side.tls.clone(),
        ids: far_side.content.ids(),
        keep,
        folder: folder.to_owned(),
    };
    let child = Command::new(std::env::current_exe()?)
        .args(["bare", &serde_json::to_string(&settings)?])
        .stdin(Stdio::piped())
        .spawn()?;
    Ok(Process::of(child))
}

/// Fetches and acknowledges all there is, then waits to be ended, so that its usage can be read.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let identity = Identity { certificate: settings.tls.join("client.pem"), key: settings.tls.join("client.key") };
    let files = TlsFiles { ca: settings.tls.join("ca.pem"), identity: Some(identity), credentials_directory: None };
    let clock = Arc::new(FarClock::default());
    let client = Client::new(files, Network::default(), clock.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut mailboxes = tokio::task::JoinSet::new();
        for id in &settings.ids {
            let credentials = Credentials::new(MailboxId::new(id.as_str())?, PASSWORD.into(), SHARED_KEY.as_bytes());
            let mailbox = Mailbox {
                client: client.clone(),
                clock: clock.clone(),
                credentials,
                nonce: AtomicU64::new(0),
                url: format!("{}/messageexchange/{id}", settings.url),
            };
            let (keep, folder) = (settings.keep, settings.folder.clone());
            mailboxes.spawn(async move { mailbox.empty(keep, &folder).await });
        }
        while let Some(ended) = mailboxes.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    })?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

struct Mailbox {
    client: Client,
    clock: Arc<FarClock>,
    credentials: Credentials,
    nonce: AtomicU64,
    url: String,
}

impl Mailbox {
    async fn empty(&self, keep: Keep, folder: &Path) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Listing {
            messages: Vec<String>,
        }
        loop {
            let mut listing = Vec::new();
            let mut answer = self.call(Method::GET, "/inbox?max_results=500").await?;
            while let Some(piece) = answer.chunk().await? {
                listing.extend_from_slice(&piece);
            }
            let Listing { messages } = serde_json::from_slice(&listing)?;
            if messages.is_empty() {
                return Ok(());
            }
            for id in messages {
                self.fetch(&id, keep, folder).await?;
                self.call(Method::PUT, &format!("/inbox/{id}/status/acknowledged")).await?;
            }
        }
    }

    /// All chunks of one message, each into a file of its own.
    async fn fetch(&self, id: &str, keep: Keep, folder: &Path) -> anyhow::Result<()> {
        for number in 1.. {
            let path = if number == 1 { format!("/inbox/{id}") } else { format!("/inbox/{id}/{number}") };
            let mut answer = self.call(Method::GET, &path).await?;
            let is_last = answer.status() != StatusCode::PARTIAL_CONTENT;
            if keep == Keep::Nothing {
                while answer.chunk().await?.is_some() {}
            } else {
                let (pieces, inbound) = mpsc::channel(PIECES_AHEAD);
                let file = folder.join(format!("{id}-{number}"));
                let writer = tokio::task::spawn_blocking(move || write(&file, keep, inbound));
                while let Some(piece) = answer.chunk().await? {
                    pieces.send(piece).await.context("the writer has ended")?;
                }
                drop(pieces);
                writer.await??;
            }
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn call(&self, method: Method, path: &str) -> anyhow::Result<reqwest::Response> {
        let nonce = format!("{:032x}", self.nonce.fetch_add(1, Ordering::Relaxed));
        let mut request = self
            .client
            .current()
            .await
            .request(method.clone(), format!("{}{path}", self.url))
            .header(ACCEPT, "application/vnd.mesh.v2+json")
            .header(AUTHORIZATION, self.credentials.token(&nonce, self.clock.wall()));
        if method == Method::PUT {
            request = request.header(CONTENT_LENGTH, "0");
        }
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "{method} answered {}", answer.status());
        Ok(answer)
    }
}

fn write(path: &Path, keep: Keep, mut inbound: mpsc::Receiver<Bytes>) -> anyhow::Result<()> {
    let mut sink = Sink(Real::new().create(Step::ChunkWrite, path)?);
    match keep {
        Keep::Nothing | Keep::Plain => {
            while let Some(piece) = inbound.blocking_recv() {
                sink.write_all(&piece)?;
            }
        }
        Keep::Sealed => {
            let recipients = [(); 2].map(|()| age::x25519::Identity::generate().to_public());
            let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
            let mut hasher = Hasher::new();
            let buffer = io::BufWriter::with_capacity(1 << 20, &mut sink);
            let mut sealing = age::Encryptor::with_recipients(recipients)?.wrap_output(buffer)?;
            while let Some(piece) = inbound.blocking_recv() {
                hasher.update(&piece);
                sealing.write_all(&piece)?;
            }
            sealing.finish()?.flush()?;
            ensure!(hasher.clear().len() == 64, "a digest has 64 digits");
        }
    }
    Ok(sink.0.sync(Step::ChunkSync)?)
}

struct Sink(Box<dyn DiskFile>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(Step::ChunkWrite, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
