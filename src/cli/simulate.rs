//! `meshd simulate`: the far side of MESH as a process of its own, for benchmarks.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::Failure;
use crate::simulator::faults::Storm;
use crate::simulator::ledger::{Keeping, LedgerSettings};
use crate::simulator::serve::{Content, ServeSettings, serve};

#[derive(Debug, Args)]
#[command(after_help = "\
Prints one line of JSON when it is ready, with its address and files, and one with totals when TERM or INT ends it.
All that it serves is synthetic; what it holds is gone when it ends.

Examples:
  meshd simulate --tls ./tls
  meshd simulate --tls ./tls --count 100000 --size 2048 --listen 127.0.0.1:8743
  meshd simulate --tls ./tls --mixed --count 900 --storm 5")]
pub(super) struct Simulate {
    /// Where to write the authority, the client's certificate and its key
    #[arg(long, value_name = "DIR")]
    tls: PathBuf,
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A mailbox; repeat it for more
    #[arg(long = "mailbox", value_name = "ID", default_values = ["X26ABC1"])]
    mailboxes: Vec<String>,
    /// The password of each mailbox
    #[arg(long, default_value = "password")]
    password: String,
    /// The environment's shared key
    #[arg(long, default_value = "TestKey")]
    shared_key: String,
    /// Messages that wait in each mailbox
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// Mail of every kind in turn, instead of one size
    #[arg(long, conflicts_with_all = ["size", "chunk", "distinct", "workflow"])]
    mixed: bool,
    /// Bytes of each message
    #[arg(long, default_value_t = 4096, value_name = "BYTES")]
    size: u64,
    /// Bytes of each chunk but the last
    #[arg(long, default_value_t = 75_000_000, value_name = "BYTES")]
    chunk: u64,
    /// Every message has bytes of its own
    #[arg(long)]
    distinct: bool,
    /// The workflow of each message
    #[arg(long, default_value = "DEMO_SIZED")]
    workflow: String,
    /// Write what happens to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Sync the ledger before each answer
    #[arg(long, requires = "ledger")]
    synced: bool,
    /// Gzip a plain body for a client that offers it
    #[arg(long)]
    transcode: bool,
    /// So many in a hundred requests fail in one of the ways that pass
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    storm: Option<u8>,
    /// Equal seeds make equal storms
    #[arg(long, default_value_t = 1, requires = "storm")]
    seed: u64,
    /// Threads for connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl Simulate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let keeping = if self.synced { Keeping::Synced } else { Keeping::Buffered };
        let content = if self.mixed {
            Content::Mixed { count: self.count }
        } else {
            Content::Sized {
                count: self.count,
                size: self.size,
                chunk_bytes: self.chunk,
                distinct: self.distinct,
                workflow: self.workflow,
            }
        };
        let settings = ServeSettings {
            listen: self.listen,
            mailboxes: self.mailboxes,
            password: self.password,
            shared_key: self.shared_key,
            content,
            tls_folder: self.tls,
            ledger: self.ledger.map(|path| LedgerSettings { path, keeping, requests: false }),
            transcode: self.transcode,
            storm: self.storm.map(|percent| Storm { seed: self.seed, percent }),
            threads: self.threads,
        };
        Ok(serve(&settings, &mut io::stdout()).context("simulate MESH")?)
    }
}
