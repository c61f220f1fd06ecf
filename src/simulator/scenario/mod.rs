//! What a simulator in a process of its own serves, and what goes wrong: from a file, or from the flags of
//! `meshd simulate`, which say the same with fewer words.
//!
//! ```toml
#![doc = include_str!("example.toml")]
//! ```
//!
//! [`read()`] checks the whole file before anything is served. [`faults`] says what else can stand behind `what` of a
//! fault.

pub mod faults;
mod mail;
mod read;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::certificates::{CLIENT_NAME, Validity};
use super::mail::Kind;
use super::{PASSWORD, SHARED_KEY};
use faults::FaultPlan;
pub use read::read;

/// Everything about one simulator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Address and port; port 0 takes a free one.
    #[serde(default = "any_port")]
    pub listen: SocketAddr,
    /// Threads for connections. One leaves the second core to the process under test.
    #[serde(default = "one")]
    pub threads: usize,
    /// Equal seeds make equal mail, message ids and shares of faults. Without one, ids follow the clock.
    pub seed: Option<u64>,
    /// A plain body is gzipped for a client that offers it.
    #[serde(default)]
    pub transcode: bool,
    /// So many in a hundred requests fail in one of the ways that pass.
    pub storm: Option<u8>,
    /// Certificates.
    pub tls: TlsPlan,
    /// Who is let in.
    #[serde(default)]
    pub auth: AuthPlan,
    /// Where events go, if anywhere.
    pub ledger: Option<LedgerPlan>,
    /// Whose mail is served.
    #[serde(rename = "mailbox", default)]
    pub mailboxes: Vec<MailboxPlan>,
    /// What waits in the mailboxes, in this order.
    #[serde(rename = "mail", default)]
    pub mail: Vec<MailPlan>,
    /// What goes wrong. Of several that fit a request, the first strikes.
    #[serde(rename = "fault", default)]
    pub faults: Vec<FaultPlan>,
}

/// Certificates of both ends: new ones at each start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsPlan {
    /// Where the authority, the client's certificate and its key are written.
    pub folder: PathBuf,
    /// Common name of the client's certificate.
    #[serde(default = "client_name")]
    pub client_name: String,
    /// Names and addresses in the server's certificate.
    #[serde(default = "loopback")]
    pub server_names: Vec<String>,
    /// The first day of the server's certificate, and the day it ends.
    #[serde(default, deserialize_with = "values::validity")]
    pub valid: Validity,
}

impl TlsPlan {
    /// Certificates that a client on this machine takes, in this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, client_name: client_name(), server_names: loopback(), valid: Validity::default() }
    }
}

/// Who is let in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthPlan {
    /// The environment's shared key.
    pub shared_key: String,
    /// By how much the far side's clock is ahead of the machine's, or, below zero, behind: milliseconds.
    #[serde(rename = "ahead", deserialize_with = "values::offset_ms")]
    pub ahead_ms: i64,
}

impl Default for AuthPlan {
    fn default() -> Self {
        Self { shared_key: SHARED_KEY.to_owned(), ahead_ms: 0 }
    }
}

/// A ledger to write.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerPlan {
    /// The file; made if missing, added to if there.
    pub file: PathBuf,
    /// An event is synced before the request that caused it is answered.
    #[serde(default)]
    pub synced: bool,
    /// Every request is an event too.
    #[serde(default)]
    pub requests: bool,
}

/// One mailbox.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxPlan {
    /// Its id.
    pub id: String,
    /// Its password.
    #[serde(default = "password")]
    pub password: String,
}

/// Some mail.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailPlan {
    /// The mailboxes it waits in; all of them if none is named.
    #[serde(default)]
    pub mailboxes: Vec<String>,
    /// Messages in each.
    pub count: u64,
    /// Which mail.
    pub what: Content,
}

/// What a message is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Content {
    /// Every kind in turn.
    Mixed,
    /// One kind.
    Kind(Kind),
    /// Bytes that mean nothing.
    Sized(Sized),
    /// Of a workflow that no pipeline takes.
    Unroutable,
    /// Declared gzip, and not gzip: nothing can be made of it.
    Poison,
}

/// Messages of one size.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sized {
    /// Bytes of each.
    #[serde(deserialize_with = "values::bytes")]
    pub size: u64,
    /// Bytes of each chunk but the last.
    #[serde(default = "chunk_bytes", deserialize_with = "values::bytes")]
    pub chunk: u64,
    /// Each chunk is gzipped by its sender.
    #[serde(default)]
    pub gzip: bool,
    /// Every message has bytes of its own; otherwise all of a mailbox share the same.
    #[serde(default)]
    pub distinct: bool,
    /// Their workflow.
    #[serde(default = "workflow")]
    pub workflow: String,
}

/// Of mail of one size, unless another is asked for.
pub const SIZED_WORKFLOW: &str = "DEMO_SIZED";
/// Bytes of a chunk, unless others are asked for.
pub const CHUNK_BYTES: u64 = 75_000_000;

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn one() -> usize {
    1
}

fn client_name() -> String {
    CLIENT_NAME.to_owned()
}

fn loopback() -> Vec<String> {
    vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
}

fn password() -> String {
    PASSWORD.to_owned()
}

fn workflow() -> String {
    SIZED_WORKFLOW.to_owned()
}

fn chunk_bytes() -> u64 {
    CHUNK_BYTES
}
