//! The simulator through its edge: a plain HTTP client over mutual TLS.

mod door;
mod faults;
mod inbox;
mod keeping;
mod sending;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use reqwest::{Certificate, Identity, Method};

use super::message::{Draft, Mail};
use super::payload::Payload;
use super::{Simulator, SimulatorSettings, start};
use crate::adapters::mesh::auth::Credentials;
use crate::adapters::mesh::headers::ACCEPT_V2;
use crate::domain::ids::MailboxId;
use crate::ports::clock::Clock;

const MAILBOX: &str = "X26ABC1";
const OTHER: &str = "X26ABC2";
const LIMIT: Duration = Duration::from_secs(20);

/// A simulator and a client of it.
struct Bench {
    simulator: Simulator,
    http: reqwest::Client,
    nonce: AtomicU64,
}

/// An answer, and how far its body came.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    /// The body ended as its length or encoding promised.
    is_whole: bool,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    fn ids(&self) -> Vec<String> {
        serde_json::from_value(self.json()["messages"].clone()).expect("a list of ids")
    }

    fn next(&self) -> Option<String> {
        self.json()["links"]["next"].as_str().map(str::to_owned)
    }
}

async fn bench() -> Bench {
    bench_with(SimulatorSettings::default()).await
}

async fn bench_with(settings: SimulatorSettings) -> Bench {
    let simulator = start(settings).await.expect("start the simulator");
    let client = simulator.client();
    let identity = [client.certificate_pem.as_bytes(), client.key_pem.as_bytes()].concat();
    let http = builder(&simulator).identity(Identity::from_pem(&identity).expect("an identity")).build();
    Bench { http: http.expect("a client"), simulator, nonce: AtomicU64::new(1) }
}

fn builder(simulator: &Simulator) -> reqwest::ClientBuilder {
    let ca = Certificate::from_pem(simulator.authority().pem().as_bytes()).expect("a certificate");
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT)
}

fn credentials(mailbox: &str) -> Credentials {
    let id = MailboxId::new(mailbox).expect("a valid mailbox id");
    Credentials::new(id, "password".into(), b"TestKey")
}

impl Bench {
    fn token(&self, mailbox: &str) -> String {
        let nonce = format!("00000000-0000-4000-8000-{:012x}", self.nonce.fetch_add(1, Ordering::Relaxed));
        credentials(mailbox).token(&nonce, self.simulator.clock().wall())
    }

    /// A request with a fresh token of the mailbox and these headers besides.
    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Got> {
        let mailbox = path.split('/').nth(2).and_then(|part| part.split('?').next()).unwrap_or("");
        let mut all = vec![("authorization", self.token(mailbox)), ("accept", ACCEPT_V2.to_owned())];
        all.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.raw(method, path, &all, body).await
    }

    /// A request as it is; `None` if no answer came.
    async fn raw(&self, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> Option<Got> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.simulator.url()));
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        let mut response = request.body(body.to_vec()).send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut got = Got { status, headers, body: Vec::new(), is_whole: true };
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => got.body.extend_from_slice(&piece),
                Ok(None) => return Some(got),
                Err(_) => {
                    got.is_whole = false;
                    return Some(got);
                }
            }
        }
    }

    async fn get(&self, path: &str) -> Got {
        self.call("GET", path, &[], b"").await.expect("an answer")
    }

    async fn fetch(&self, id: &str) -> Got {
        self.get(&format!("/messageexchange/{MAILBOX}/inbox/{id}")).await
    }

    async fn acknowledge(&self, id: &str) -> Option<Got> {
        self.call("PUT", &format!("/messageexchange/{MAILBOX}/inbox/{id}/status/acknowledged"), &[], b"").await
    }

    async fn offer(&self, mail: &Arc<Mail>) -> String {
        self.simulator.offer(MAILBOX, mail).await.expect("an offer")
    }
}

/// A message of one workflow that says hello.
fn hello(workflow: &str) -> Arc<Mail> {
    Draft::data("X26ABC9", workflow, Payload::plain("hello mesh")).ready().expect("a message")
}
