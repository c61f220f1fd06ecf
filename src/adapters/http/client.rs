//! A client that follows its certificate files.
//!
//! Guarantees that [`Client::current`] always gives a client that once worked: a broken new certificate, key or bundle
//! is reported and the one in use stays. Requests under way finish on the client they began with.
//! It looks at the files when a client is asked for, at most once per interval; it has no task of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::certificates::Certificate;
use super::files::{FileError, Look, TlsFiles};
use super::presented::Presented;
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock;

/// The far side drops idle connections after 5 s (mesh-api 14.7): we are earlier, so that none dies under a request.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// How the network is used.
#[derive(Debug, Clone)]
pub struct Network {
    /// A proxy for CONNECT, such as `http://proxy.example:3128`. The environment's variables are not read.
    pub proxy: Option<String>,
    /// Hosts reached without it: names with their subdomains, addresses, or networks with `/bits`.
    pub no_proxy: Vec<String>,
    /// Until TCP and TLS are up.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub read: Duration,
    /// For a whole exchange, body included; `None` where bodies are long and the adapter sets its own limit.
    pub total: Option<Duration>,
    /// How seldom the files are looked at.
    pub look_every: Duration,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            proxy: None,
            no_proxy: Vec::new(),
            connect: Duration::from_secs(10),
            read: Duration::from_secs(60),
            total: None,
            look_every: Duration::from_secs(10),
        }
    }
}

/// Why no client can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A file is at fault.
    #[error(transparent)]
    File(#[from] FileError),
    /// The proxy is none.
    #[error("expected a proxy like http://proxy.example:3128, but the one given cannot be used")]
    Proxy,
    /// The library refuses.
    #[error("make the HTTP client: {0}")]
    Build(String),
}

/// What an operator should see of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The client certificate in use with its chain, own certificate first.
    pub client_chain: Vec<Certificate>,
    /// The chain that the far side presented last, accepted or not; empty before the first connection.
    pub server_chain: Vec<Certificate>,
    /// The anchors in use; expired ones are among them.
    pub anchors: Vec<Certificate>,
    /// Why the files as they are now are not in use; `None` when they are.
    pub rejected: Option<String>,
}

impl Health {
    /// Whole days the client certificate has left; negative once it is over.
    pub fn client_certificate_days(&self, now: Timestamp) -> Option<i64> {
        self.client_chain.first().map(|certificate| certificate.days_left(now))
    }
}

/// A shared client; clones are the same one.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    files: TlsFiles,
    network: Network,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    client: reqwest::Client,
    health: Health,
    presented: Presented,
    /// The files as they looked when they were last read, with whatever result.
    tried: Look,
    looked: Duration,
}

impl Client {
    /// Reads the files and makes the first client. Blocking.
    pub fn new(files: TlsFiles, network: Network, clock: Arc<dyn Clock>) -> Result<Self, ClientError> {
        let tried = files.look();
        let (client, health, presented) = build(&files, &network)?;
        let state = Mutex::new(State { client, health, presented, tried, looked: clock.monotonic() });
        Ok(Self { shared: Arc::new(Shared { files, network, clock, state }) })
    }

    /// The client to use for the next request, after a look at the files if one is due.
    pub async fn current(&self) -> reqwest::Client {
        let due = {
            let mut state = self.shared.state();
            let now = self.shared.clock.monotonic();
            let due = now.saturating_sub(state.looked) >= self.shared.network.look_every;
            if due {
                state.looked = now;
            }
            due
        };
        if due {
            self.look().await;
        }
        self.shared.state().client.clone()
    }

    /// Looks at the files now, as on SIGHUP, and says how things stand.
    pub async fn refresh(&self) -> Health {
        self.look().await;
        self.health()
    }

    /// How things stood at the last look.
    pub fn health(&self) -> Health {
        let state = self.shared.state();
        Health { server_chain: state.presented.chain(), ..state.health.clone() }
    }

    async fn look(&self) {
        let shared = Arc::clone(&self.shared);
        // Fails only if the runtime ends or the look panics: then the client in use stays, which is the promise.
        if tokio::task::spawn_blocking(move || shared.look()).await.is_err() {
            tracing::error!("the look at the certificate files did not end well");
        }
    }
}

impl Shared {
    /// A poisoned lock is used on: every change of the state is one assignment per field, of values made before.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let before = self.files.look();
        if self.state().tried == before {
            return;
        }
        let built = build(&self.files, &self.network);
        let mut state = self.state();
        // If the files changed while they were read, the next look sees other than `before` and reads again.
        state.tried = before;
        match built {
            Ok((client, health, presented)) => {
                state.client = client;
                state.health = health;
                state.presented = presented;
                drop(state);
                tracing::info!("certificate files changed and are in use");
            }
            Err(error) => {
                state.health.rejected = Some(error.to_string());
                drop(state);
                tracing::error!(%error, "certificate files changed and cannot be used, the old ones stay in use");
            }
        }
    }
}

fn build(files: &TlsFiles, network: &Network) -> Result<(reqwest::Client, Health, Presented), ClientError> {
    let loaded = files.load()?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(loaded.config)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(network.connect)
        .read_timeout(network.read)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_nodelay(true);
    if let Some(total) = network.total {
        builder = builder.timeout(total);
    }
    if let Some(proxy) = &network.proxy {
        // The error is left out: it repeats the address, which may carry a password.
        let proxy = reqwest::Proxy::all(proxy).map_err(|_| ClientError::Proxy)?;
        builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(&network.no_proxy.join(","))));
    }
    let client = builder.build().map_err(|error| ClientError::Build(error.without_url().to_string()))?;
    let health =
        Health { client_chain: loaded.client_chain, server_chain: Vec::new(), anchors: loaded.anchors, rejected: None };
    Ok((client, health, loaded.presented))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
