//! `meshd simulate`: the far side of MESH as a process of its own, for trials and benchmarks.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::Failure;
use crate::simulator::scenario::{
    self, AuthPlan, CHUNK_BYTES, Content, LedgerPlan, MailPlan, MailboxPlan, SIZED_WORKFLOW, Scenario, Sized, TlsPlan,
};
use crate::simulator::serve::serve;
use crate::simulator::{PASSWORD, SHARED_KEY};

#[derive(Debug, Args)]
#[command(after_help = "\
Prints one line of JSON when it is ready, with its address and files, and one with totals when
TERM or INT ends it. All that it serves is synthetic; what it holds is gone when it ends.
A scenario file can say what flags cannot: several kinds of mail, and faults by kind of request,
count, share and time.

Examples:
  meshd simulate --tls ./tls
  meshd simulate --tls ./tls --count 100000 --size 2048 --listen 127.0.0.1:8743
  meshd simulate --tls ./tls --generate 900 --seed 7 --storm 5
  meshd simulate --scenario ./scenario.toml")]
pub(super) struct Simulate {
    /// Everything from this file instead of the other flags
    #[arg(long, value_name = "FILE", exclusive = true)]
    scenario: Option<PathBuf>,
    /// Where to write the authority, the client's certificate and its key
    #[arg(long, value_name = "DIR", required_unless_present = "scenario")]
    tls: Option<PathBuf>,
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A mailbox; repeat it for more
    #[arg(long = "mailbox", value_name = "ID", default_values = ["X26ABC1"])]
    mailboxes: Vec<String>,
    /// The password of each mailbox
    #[arg(long, default_value = PASSWORD)]
    password: String,
    /// The environment's shared key
    #[arg(long, default_value = SHARED_KEY)]
    shared_key: String,
    /// Messages that wait in each mailbox
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// So many messages of every kind in turn in each mailbox, instead of one size
    #[arg(long, value_name = "N", conflicts_with_all = ["count", "size", "chunk", "distinct", "workflow"])]
    generate: Option<u64>,
    /// Bytes of each message
    #[arg(long, default_value_t = 4096, value_name = "BYTES")]
    size: u64,
    /// Bytes of each chunk but the last
    #[arg(long, default_value_t = CHUNK_BYTES, value_name = "BYTES")]
    chunk: u64,
    /// Every message has bytes of its own
    #[arg(long)]
    distinct: bool,
    /// The workflow of each message
    #[arg(long, default_value = SIZED_WORKFLOW)]
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
    /// Equal seeds make equal mail, message ids and storms; without one, ids follow the clock
    #[arg(long)]
    seed: Option<u64>,
    /// Threads for connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl Simulate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let scenario = match (&self.scenario, &self.tls) {
            (Some(file), _) => scenario::read(file).map_err(Failure::Configuration)?,
            (None, tls) => {
                let folder = tls.clone().context("find the folder for certificates")?;
                self.flags(folder)
            }
        };
        Ok(serve(&scenario, &mut io::stdout()).context("simulate MESH")?)
    }

    /// The scenario that the flags describe.
    fn flags(self, tls_folder: PathBuf) -> Scenario {
        let (count, what) = match self.generate {
            Some(count) => (count, Content::Mixed),
            None => {
                let Self { size, chunk, distinct, workflow, .. } = self;
                (self.count, Content::Sized(Sized { size, chunk, gzip: false, distinct, workflow }))
            }
        };
        let (synced, password) = (self.synced, &self.password);
        Scenario {
            listen: self.listen,
            threads: self.threads,
            seed: self.seed,
            transcode: self.transcode,
            storm: self.storm,
            tls: TlsPlan::new(tls_folder),
            auth: AuthPlan { shared_key: self.shared_key, ..AuthPlan::default() },
            ledger: self.ledger.map(|file| LedgerPlan { file, synced, requests: false }),
            mailboxes: self.mailboxes.into_iter().map(|id| MailboxPlan { id, password: password.clone() }).collect(),
            mail: vec![MailPlan { mailboxes: Vec::new(), count, what }],
            faults: Vec::new(),
        }
    }
}
