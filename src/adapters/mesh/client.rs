//! The calls of one mailbox.
//!
//! Every attempt has a token of its own, `Accept` is exactly one media type (mesh-api 3), and nothing is tried again
//! but a 403 once with a fresh token (mesh-api 4.4). It decides nothing else and remembers nothing.
//! Tokens, and URLs with them, are never logged.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};

use super::auth::Credentials;
use super::body::{self, NotWhole, Pace};
use super::environment::BaseUrl;
use super::headers as mex;
use super::machine::Machine;
use super::status::{self, Call};
use super::transport;
use super::wire::{self, Asked, Problem};
use super::witness::{Exchange, Witness};
use crate::adapters::http::Client;
use crate::domain::envelope::Envelope;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{MailboxId, MessageId, Name};
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::inbox::{Answer, Chunk, Inbox, Listing, Page};
use crate::ports::store::Accepted;
use crate::ports::trial::Own;

/// How long to wait for MESH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a whole small exchange, and for the headers of a download.
    pub answer: Duration,
    /// Waiting for the bytes of a download that costs nothing.
    pub grace: Duration,
    /// Beyond it, each second of waiting must have brought this many bytes.
    pub bytes_per_second: u64,
}

impl Default for Limits {
    /// A minute for an answer, and 1 KiB/s after a first minute for a body.
    fn default() -> Self {
        Self { answer: Duration::from_secs(60), grace: Duration::from_secs(60), bytes_per_second: 1024 }
    }
}

/// What a mailbox is made of.
pub struct Parts {
    /// The shared client of this identity.
    pub http: Client,
    /// Where MESH is.
    pub base: BaseUrl,
    /// Which mailbox, and how it proves itself.
    pub credentials: Credentials,
    /// For tokens and for the skew of a refusal.
    pub clock: Arc<dyn Clock>,
    /// For nonces.
    pub chance: Arc<dyn Chance>,
    /// How faults name MESH.
    pub dependency: Name,
    /// How long to wait.
    pub limits: Limits,
}

/// One mailbox at MESH.
pub struct Mailbox {
    parts: Parts,
    machine: Machine,
    witness: Option<Arc<dyn Witness>>,
}

/// One request, without what differs between attempts.
pub(super) struct Request {
    pub(super) call: Call,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
}

impl Mailbox {
    /// No call is made yet.
    pub fn new(parts: Parts) -> Self {
        Self { parts, machine: Machine::this(), witness: None }
    }

    /// The same, and someone sees each request that it makes.
    pub fn witnessed_by(self, witness: Arc<dyn Witness>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// Acknowledges a message that this run made up and recognised: nobody keeps it, and nothing is lost with it.
    pub async fn acknowledge_own(&self, own: &Own) -> Result<(), Fault> {
        self.finish(own.mailbox(), own.message_id()).await
    }

    async fn finish(&self, mailbox: &MailboxId, id: &MessageId) -> Result<(), Fault> {
        if mailbox != self.mailbox() {
            let detail = "acknowledge: the proof is of a message in another mailbox";
            return Err(Fault::dependency(FaultCode::MeshRequest, self.parts.dependency.clone(), detail));
        }
        let path = wire::message_path(self.mailbox(), id, "/status/acknowledged");
        self.call(&self.request(Call::Acknowledge, Method::PUT, path)).await.map(drop)
    }

    /// The answer of a call that did what it is for.
    pub(super) async fn call(&self, request: &Request) -> Result<reqwest::Response, Fault> {
        let first = self.attempt(request).await?;
        if first.status() != StatusCode::FORBIDDEN {
            return self.settle(request.call, first).await;
        }
        // Read to its end, so that its connection can be used again.
        drop(self.problem(first).await);
        let second = self.attempt(request).await?;
        self.settle(request.call, second).await
    }

    pub(super) async fn settle(&self, call: Call, response: reqwest::Response) -> Result<reqwest::Response, Fault> {
        let status = response.status();
        if call.is_done(status) {
            return Ok(response);
        }
        let now = self.parts.clock.wall();
        let wait = status::retry_after(response.headers(), now);
        let skew = status::skew(response.headers(), now);
        let problem = self.problem(response).await;
        let mut fault = status::fault(call, status, &problem, &self.parts.dependency).after(wait);
        if let (FaultCode::MeshAuth, Some(skew)) = (fault.code, skew) {
            fault.detail = format!("{}; {skew}", fault.detail);
        }
        Err(fault)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    pub(super) fn dependency(&self) -> &Name {
        &self.parts.dependency
    }

    /// A request with a token of its own.
    pub(super) async fn build(&self, request: &Request) -> Result<reqwest::RequestBuilder, Fault> {
        let Parts { http, base, credentials, clock, chance, dependency, .. } = &self.parts;
        let token = credentials.token(&chance.uuid(), clock.wall());
        let mut token = HeaderValue::try_from(token).map_err(|_| {
            Fault::dependency(FaultCode::MeshRequest, dependency.clone(), "the token is no header value")
        })?;
        token.set_sensitive(true);
        Ok(http
            .current()
            .await
            .request(request.method.clone(), format!("{base}{}", request.path))
            .headers(request.headers.clone())
            .header(ACCEPT, mex::ACCEPT_V2)
            .header(USER_AGENT, self.machine.user_agent.clone())
            .header(AUTHORIZATION, token))
    }

    async fn attempt(&self, request: &Request) -> Result<reqwest::Response, Fault> {
        let Parts { dependency, limits, .. } = &self.parts;
        let call = request.call;
        let sending = self.build(request).await?;
        // A download's body has limits of its own.
        let sending = if call == Call::Fetch { sending } else { sending.timeout(limits.answer) };
        let began = self.parts.clock.wall();
        let answered = match tokio::time::timeout(limits.answer, sending.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(transport::fault(call, &error, dependency)),
            Err(_) => Err(transport::too_slow(call, dependency, &format!("{} s", limits.answer.as_secs()))),
        };
        self.tell(request, began, answered.as_ref().ok());
        answered
    }

    /// Tells the witness, if there is one, of a request that is over.
    pub(super) fn tell(&self, request: &Request, began: Timestamp, answered: Option<&reqwest::Response>) {
        let Some(witness) = &self.witness else { return };
        let always = [ACCEPT, AUTHORIZATION, USER_AGENT];
        witness.saw(Exchange {
            began,
            mailbox: self.mailbox().clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.keys().cloned().chain(always).collect(),
            status: answered.map(reqwest::Response::status),
        });
    }

    /// The time, as the calls of this mailbox are told of.
    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.wall()
    }

    /// What an error answer says; nothing if its body cannot be had, or not in time.
    async fn problem(&self, response: reqwest::Response) -> Problem {
        let reading = body::whole(response, wire::LARGEST_PROBLEM);
        match tokio::time::timeout(self.parts.limits.answer, reading).await {
            Ok(Ok(body)) => Problem::of(&body),
            Ok(Err(_)) | Err(_) => Problem::default(),
        }
    }

    fn asked<'a>(&'a self, message_id: &'a MessageId, chunk: Option<u32>) -> Asked<'a> {
        Asked { mailbox: self.mailbox(), message_id, chunk, dependency: &self.parts.dependency }
    }

    pub(super) fn request(&self, call: Call, method: Method, path: String) -> Request {
        let mut headers = HeaderMap::new();
        if method == Method::POST || method == Method::PUT {
            // Gateways may refuse these without a length, and hyper leaves it out when there is no body.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Request { call, method, path, headers }
    }

    async fn read_list(&self, page: Page) -> Result<Listing, Fault> {
        let protocol =
            |detail: String| Fault::dependency(FaultCode::MeshProtocol, self.parts.dependency.clone(), detail);
        let path = wire::list_path(self.mailbox(), &page, &self.parts.base)
            .ok_or_else(|| protocol("the link to the next page leads elsewhere".into()))?;
        let response = self.call(&self.request(Call::List, Method::GET, path)).await?;
        let body = body::whole(response, wire::LARGEST_LIST).await.map_err(|problem| match problem {
            NotWhole::TooLarge => protocol(format!("the list is larger than {} bytes", wire::LARGEST_LIST)),
            NotWhole::Failed(error) => transport::fault(Call::List, &error, &self.parts.dependency),
        })?;
        wire::listing(&body).map_err(protocol)
    }
}

impl Inbox for Mailbox {
    fn mailbox(&self) -> &MailboxId {
        self.parts.credentials.mailbox()
    }

    fn handshake(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let path = format!("/messageexchange/{}", wire::part(self.mailbox().as_str()));
            let mut request = self.request(Call::Handshake, Method::POST, path);
            let machine = &self.machine;
            for (name, value) in [
                (mex::CLIENT_VERSION, &machine.client_version),
                (mex::OS_NAME, &machine.os_name),
                (mex::OS_VERSION, &machine.os_version),
                (mex::OS_ARCHITECTURE, &machine.os_architecture),
            ] {
                request.headers.insert(name, value.clone());
            }
            self.call(&request).await.map(drop)
        })
    }

    fn list(&self, page: Page) -> Answer<'_, Listing> {
        Box::pin(self.read_list(page))
    }

    fn head<'a>(&'a self, id: &'a MessageId) -> Answer<'a, Envelope> {
        Box::pin(async move {
            let path = wire::message_path(self.mailbox(), id, "");
            let response = self.call(&self.request(Call::Head, Method::HEAD, path)).await?;
            Ok(wire::served(&self.asked(id, None), response.status(), response.headers())?.envelope)
        })
    }

    fn fetch<'a>(&'a self, id: &'a MessageId, chunk: u32) -> Answer<'a, Chunk> {
        Box::pin(async move {
            // The first chunk is the message itself (mesh-api 6.4), so that one not known to be chunked is asked for as
            // SPEC describes it.
            let rest = if chunk > 1 { format!("/{chunk}") } else { String::new() };
            let path = wire::message_path(self.mailbox(), id, &rest);
            let mut request = self.request(Call::Fetch, Method::GET, path);
            request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            let response = self.call(&request).await?;
            let served = wire::served(&self.asked(id, Some(chunk)), response.status(), response.headers())?;
            let pace = Pace { grace: self.parts.limits.grace, bytes_per_second: self.parts.limits.bytes_per_second };
            Ok(Chunk {
                number: served.number,
                total: served.envelope.chunks,
                envelope: served.envelope,
                content_length: served.content_length,
                encoding: served.encoding,
                body: body::paced(response, pace, self.parts.dependency.clone()),
            })
        })
    }

    fn acknowledge<'a>(&'a self, accepted: &'a Accepted) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(self.finish(accepted.mailbox(), accepted.message_id()))
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
pub(super) mod tests;
