//! The far side of MESH on loopback, for tests, demonstrations and benchmarks (mesh-api; torture 1 and 3.4).
//!
//! [`start`] serves version 2 of the API over mutual TLS and hands back a [`Simulator`]: offer messages, script
//! faults, wait, ask what happened. It is stricter than NHS's sandbox where the national service is (mesh-api 15):
//! single-use tokens, the two-hour window, upper-case mailboxes, 410 after an acknowledge, 100 MB bodies, filters
//! applied after paging. Requests cost the same with a million messages waiting as with ten.
//!
//! The [`ledger`] is its truth, on a disk of its own; the [`consumer`] stands at the other end and takes what comes
//! out. The process under test is never asked.
//!
//! It does not know version 1, tracking, look-ups, expiry by itself or registration of workflows. What it holds is
//! gone when it stops, but for the ledger. All its content is synthetic.

mod answers;
mod body;
pub mod calls;
pub mod certificates;
pub mod clock;
mod connection;
pub mod consumer;
pub mod faults;
mod filter;
pub mod house;
pub mod ledger;
pub mod mail;
mod mailbox;
pub mod message;
mod outbox;
pub mod payload;
pub mod proxy;
mod requests;
pub mod scenario;
pub mod serve;
mod server;
mod shared;
mod spoil;
#[cfg(test)]
mod tests;
pub mod tokens;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::adapters::mesh::auth::Credentials;
use crate::domain::ids::{MailboxId, MessageId};
use crate::ports::clock::Clock;
use calls::Statistics;
use certificates::{Authority, CLIENT_NAME, ClientFiles, Identity, Validity};
use clock::FarClock;
use faults::{Chance, Rule};
use ledger::{Event, Ledger, LedgerSettings};
use mailbox::Mailbox;
pub use mailbox::{Known, State};
use message::Mail;
use shared::{Parts, Shared};
use tokens::Door;

/// The password of every mailbox that is not given another, as in the sandbox.
pub const PASSWORD: &str = "password";
/// The environment's shared key if it is not given another, as in the sandbox.
pub const SHARED_KEY: &str = "TestKey";

/// Messages that are offered, and recorded, in one go.
const OFFERED_TOGETHER: u64 = 1000;

/// What went wrong on the far side.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// A file or a socket.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line of the ledger could not be written as JSON.
    #[error("write a ledger line")]
    Json(#[from] serde_json::Error),
    /// A certificate could not be made.
    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// Certificate or key could not be read back.
    #[error("read a certificate or key")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// The TLS library refused certificate or key.
    #[error("configure TLS")]
    Rustls(#[from] rustls::Error),
    /// The TLS library refused the authority.
    #[error("configure TLS: {0}")]
    Tls(String),
    /// A value that no HTTP header can hold.
    #[error("not a header value")]
    HeaderValue(#[from] http::header::InvalidHeaderValue),
    /// A name that no HTTP header can have.
    #[error("not a header name")]
    HeaderName(#[from] http::header::InvalidHeaderName),
    /// A mailbox or message id of the wrong shape.
    #[error(transparent)]
    Id(#[from] crate::domain::ids::InvalidId),
    /// MESH takes messages of 1 byte to 100 GB, in chunks of up to 100 MB (mesh-api 10).
    #[error("{length} bytes in chunks of {chunk_bytes} are not a message that MESH takes")]
    Size {
        /// Bytes in all.
        length: u64,
        /// Bytes of a chunk.
        chunk_bytes: u64,
    },
    /// No such mailbox was set up.
    #[error("no mailbox {0}")]
    UnknownMailbox(String),
    /// A command of meshd, run as a process, did not come to a good end.
    #[error("meshd {arguments}: {said} ({status})")]
    Command {
        /// What it was asked.
        arguments: String,
        /// What it said.
        said: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The ledger could not be written, so nothing more is answered.
    #[error("the ledger has stopped")]
    LedgerStopped,
    /// What was waited for did not come.
    #[error("not within {0:?}")]
    TooLate(Duration),
}

/// One mailbox to serve.
#[derive(Clone)]
pub struct MailboxSettings {
    /// Its id, in upper case.
    pub id: String,
    /// Its password.
    pub password: String,
}

/// How to start.
#[derive(Clone)]
pub struct SimulatorSettings {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The mailboxes.
    pub mailboxes: Vec<MailboxSettings>,
    /// The environment's shared key.
    pub shared_key: String,
    /// Where events go; none are written otherwise.
    pub ledger: Option<LedgerSettings>,
    /// A plain body is gzipped for a client that offers it, as version 2 may (mesh-api 8). Costs a compression, once.
    pub transcode: bool,
    /// The authority to use again, so that a client of a simulator before this one trusts this one too.
    pub authority: Option<Arc<Authority>>,
    /// Common name of the client certificate.
    pub client_name: String,
    /// Validity of the server's certificate.
    pub server_validity: Validity,
    /// Names and addresses in the server's certificate.
    pub server_names: Vec<String>,
}

impl Default for SimulatorSettings {
    /// On loopback, with the mailboxes `X26ABC1` and `X26ABC2`, as in the sandbox.
    fn default() -> Self {
        let mailbox = |id: &str| MailboxSettings { id: id.to_owned(), password: PASSWORD.to_owned() };
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            mailboxes: vec![mailbox("X26ABC1"), mailbox("X26ABC2")],
            shared_key: SHARED_KEY.to_owned(),
            ledger: None,
            transcode: false,
            authority: None,
            client_name: CLIENT_NAME.to_owned(),
            server_validity: Validity::default(),
            server_names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
        }
    }
}

/// A running simulator. Clones steer the same one; it runs until [`Simulator::shutdown`] or the runtime's end.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
    authority: Arc<Authority>,
    client: Identity,
    address: SocketAddr,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Starts on the current runtime. It listens when this returns.
pub async fn start(settings: SimulatorSettings) -> Result<Simulator, SimulatorError> {
    let authority = match &settings.authority {
        Some(authority) => Arc::clone(authority),
        None => Arc::new(Authority::new()?),
    };
    let names: Vec<&str> = settings.server_names.iter().map(String::as_str).collect();
    let server = authority.server(&names, settings.server_validity)?;
    let tls = TlsAcceptor::from(Arc::new(authority.server_tls(&server)?));
    let client = authority.client(&settings.client_name, Validity::default())?;

    let mut mailboxes = HashMap::new();
    for mailbox in &settings.mailboxes {
        let id = MailboxId::new(mailbox.id.as_str())?;
        let to = HeaderValue::from_str(&mailbox.id)?;
        let credentials = Credentials::new(id, mailbox.password.as_str().into(), settings.shared_key.as_bytes());
        let made = Mailbox::new(mailbox.id.clone(), to, Door::new(credentials));
        mailboxes.insert(mailbox.id.clone(), Arc::new(made));
    }
    let ledger = match &settings.ledger {
        Some(ledger) => Some(Ledger::start(&ledger.path, ledger.keeping)?),
        None => None,
    };
    let parts = Parts {
        clock: FarClock::default(),
        mailboxes,
        ledger,
        ledger_requests: settings.ledger.is_some_and(|ledger| ledger.requests),
        transcode: settings.transcode,
    };
    let shared = Arc::new(Shared::new(parts)?);
    let wall_ms = shared.clock.wall().0;
    shared.record(|| Event::Opened { wall_ms }).await?;

    let listener = TcpListener::bind(settings.listen).await?;
    let address = listener.local_addr()?;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(server::listen(Arc::clone(&shared), listener, tls, tasks.clone(), stop.clone()));
    Ok(Simulator { shared, authority, client, address, tasks, stop })
}

impl Simulator {
    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority a client must trust, and by which further certificates can be made.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// A client certificate that is let in.
    pub fn client(&self) -> &Identity {
        &self.client
    }

    /// Writes what a client needs into this folder, made if it is missing.
    pub fn write_client_files(&self, folder: &Path) -> io::Result<ClientFiles> {
        certificates::write_client_files(folder, &self.authority.pem(), &self.client)
    }

    /// The far side's clock.
    pub fn clock(&self) -> &FarClock {
        &self.shared.clock
    }

    /// Adds a scripted fault behind those already there.
    pub fn script(&self, rule: Rule) {
        self.shared.faults.add(rule);
    }

    /// Starts, changes or ends the storm.
    pub fn storm(&self, storm: Option<Chance>) {
        self.shared.faults.set_storm(storm);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// Puts a message into an inbox and returns the id it was given.
    pub async fn offer(&self, mailbox: &str, mail: &Arc<Mail>) -> Result<String, SimulatorError> {
        let id = self.shared.new_id();
        self.shared.offer(mailbox, vec![(id.as_str().into(), Arc::clone(mail))]).await?;
        Ok(id)
    }

    /// Puts a message into an inbox under this id. One that was there before is put back, with this content.
    pub async fn offer_as(&self, mailbox: &str, id: &str, mail: &Arc<Mail>) -> Result<(), SimulatorError> {
        let id = MessageId::new(id)?;
        self.shared.offer(mailbox, vec![(id.as_str().into(), Arc::clone(mail))]).await
    }

    /// Puts so many messages into an inbox; `mail` makes or shares the content of each, counted from 0.
    pub async fn offer_many(
        &self,
        mailbox: &str,
        count: u64,
        mut mail: impl FnMut(u64) -> Arc<Mail>,
    ) -> Result<(), SimulatorError> {
        let mut done = 0;
        while done < count {
            let end = count.min(done + OFFERED_TOGETHER);
            let messages = (done..end).map(|index| (Arc::from(self.shared.new_id()), mail(index))).collect();
            self.shared.offer(mailbox, messages).await?;
            done = end;
        }
        Ok(())
    }

    /// Takes a message out of its inbox as if its five days were over: 410 from now on.
    pub async fn expire(&self, mailbox: &str, id: &str) -> Result<(), SimulatorError> {
        if self.mailbox(mailbox)?.expire(id) {
            let (mailbox, id) = (mailbox.to_owned(), id.to_owned());
            self.shared.record(|| Event::Expired { mailbox, id }).await?;
            self.shared.waiting.fetch_sub(1, Ordering::AcqRel);
            self.shared.changed.notify_waiters();
        }
        Ok(())
    }

    /// Everything a mailbox ever held, in the order it was offered.
    pub fn messages(&self, mailbox: &str) -> Result<Vec<Known>, SimulatorError> {
        Ok(self.mailbox(mailbox)?.known())
    }

    /// Messages in all inboxes: offered, and neither acknowledged nor expired.
    pub fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::Acquire)
    }

    /// The totals so far.
    pub fn statistics(&self) -> Statistics {
        Statistics { refused: self.shared.refused(), waiting: self.waiting(), ..self.shared.counters.read() }
    }

    /// Waits until every inbox is empty.
    pub async fn wait_until_all_acknowledged(&self, limit: Duration) -> Result<(), SimulatorError> {
        self.wait_until(limit, |simulator| simulator.waiting() == 0).await
    }

    /// Waits until `condition` holds; it is asked after every request.
    pub async fn wait_until(&self, limit: Duration, condition: impl Fn(&Self) -> bool) -> Result<(), SimulatorError> {
        let met = async {
            loop {
                let mut changed = std::pin::pin!(self.shared.changed.notified());
                // Listens before it looks, so that no change is missed.
                changed.as_mut().enable();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limit, met).await.map_err(|_| SimulatorError::TooLate(limit))
    }

    /// Makes everything recorded so far durable, however the ledger is kept.
    pub async fn settle_ledger(&self) -> Result<(), SimulatorError> {
        match &self.shared.ledger {
            Some(ledger) => ledger.settle().await,
            None => Ok(()),
        }
    }

    /// Stops listening, drops every connection, and makes the ledger durable.
    pub async fn shutdown(&self) -> Result<(), SimulatorError> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.settle_ledger().await
    }

    fn mailbox(&self, id: &str) -> Result<&Arc<Mailbox>, SimulatorError> {
        self.shared.mailboxes.get(id).ok_or_else(|| SimulatorError::UnknownMailbox(id.to_owned()))
    }
}

/// Locks; what a panicking holder left is as good as any, since no lock here spans several steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
