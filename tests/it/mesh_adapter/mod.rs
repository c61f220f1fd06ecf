//! The MESH adapter over mutual TLS, against NHS's sandbox as it is and behind the strict wrapper.

mod faults;
mod mail;
mod refusals;
mod tls;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use meshd::adapters::http::{Client, Identity, Network, TlsFiles};
use meshd::adapters::mesh::auth::Credentials;
use meshd::adapters::mesh::{BaseUrl, Limits, Mailbox, Parts};
use meshd::domain::digest::hex;
use meshd::domain::envelope::Envelope;
use meshd::domain::fault::{Class, Fault, FaultCode, Origin};
use meshd::domain::ids::{MailboxId, MessageId, Name};
use meshd::ports::inbox::{Chunk, Encoding, Inbox, Page};
use meshd::ports::store::Accepted;

use crate::support::certificates::Pair;
use crate::support::clock::Real;
use crate::support::peers::Sandbox;

/// The mailbox that receives in these tests, and the one that sends.
const TO: &str = "X26ABC2";
const FROM: &str = "X26ABC1";

/// What a test may want otherwise.
struct Wish {
    mailbox: &'static str,
    password: &'static str,
    clock_wrong_by_ms: i64,
    client: Option<Pair>,
    limits: Limits,
    proxy: Option<String>,
}

impl Default for Wish {
    fn default() -> Self {
        let quick = Duration::from_secs(20);
        Self {
            mailbox: TO,
            password: "password",
            clock_wrong_by_ms: 0,
            client: None,
            limits: Limits { answer: quick, grace: quick, bytes_per_second: 1024 },
            proxy: None,
        }
    }
}

fn mailbox(sandbox: &Sandbox, wish: Wish) -> Mailbox {
    let http = client(sandbox, &wish);
    mailbox_on(http, sandbox, wish)
}

fn client(sandbox: &Sandbox, wish: &Wish) -> Client {
    meshd::adapters::http::install_provider();
    let pair = wish.client.clone().unwrap_or_else(|| sandbox.tls.client.clone());
    let files = TlsFiles {
        ca: sandbox.tls.ca.clone(),
        identity: Some(Identity { certificate: pair.certificate, key: pair.key }),
        credentials_directory: None,
    };
    let network = Network { look_every: Duration::ZERO, proxy: wish.proxy.clone(), ..Network::default() };
    Client::new(files, network, Arc::new(Real::new(0))).expect("good files")
}

fn mailbox_on(http: Client, sandbox: &Sandbox, wish: Wish) -> Mailbox {
    let clock = Arc::new(Real::new(wish.clock_wrong_by_ms));
    let id = MailboxId::new(wish.mailbox).expect("a mailbox id");
    Mailbox::new(Parts {
        http,
        base: BaseUrl::parse(&sandbox.url).expect("a base URL"),
        credentials: Credentials::new(id, wish.password.into(), b"TestKey"),
        clock: clock.clone(),
        chance: clock,
        dependency: Name::new("mesh").expect("a name"),
        limits: wish.limits,
    })
}

fn id(text: &str) -> MessageId {
    MessageId::new(text).expect("the sandbox's ids are usable")
}

fn first_page() -> Page {
    Page::First { max_results: 500, workflow_filter: None }
}

fn proof(message: &str) -> Accepted {
    Accepted::for_tests(MailboxId::new(TO).expect("a mailbox id"), id(message))
}

/// The body of a chunk, decoded, or the fault it ended with.
async fn body(mut chunk: Chunk) -> Result<Vec<u8>, Fault> {
    let mut encoded = Vec::new();
    while let Some(piece) = chunk.body.next().await {
        encoded.extend_from_slice(&piece?);
    }
    if let Some(length) = chunk.content_length {
        assert_eq!(encoded.len() as u64, length, "a body without a fault is as long as stated");
    }
    match chunk.encoding {
        Encoding::Plain => Ok(encoded),
        Encoding::Gzip => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&encoded[..]).read_to_end(&mut plain).expect("gzip, as it says");
            Ok(plain)
        }
    }
}

/// A message with all its chunks, and the digest of its bytes.
async fn download(mailbox: &Mailbox, message: &str) -> Result<(Envelope, String), Fault> {
    let first = mailbox.fetch(&id(message), 1).await?;
    let (envelope, total) = (first.envelope.clone(), first.total);
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    digest.update(&body(first).await?);
    for number in 2..=total {
        let chunk = mailbox.fetch(&id(message), number).await?;
        assert_eq!((chunk.number, chunk.total), (number, total));
        digest.update(&body(chunk).await?);
    }
    Ok((envelope, hex(digest.finish().as_ref())))
}

fn facts(fault: &Fault) -> (FaultCode, Class, bool) {
    (fault.code, fault.class, fault.origin == Origin::Message)
}
