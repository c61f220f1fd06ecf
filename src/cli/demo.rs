//! `meshd demo`: the whole of meshd against a simulated MESH, in a folder of its own, in under a minute.
//!
//! The daemon is this same program, run as operators run it. It is killed half-way. What became of the mail is
//! judged without it.

mod house;
mod judge;
mod mail;
mod progress;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::runtime::Runtime;

use self::house::{Daemon, House};
use self::judge::Summary;
use self::mail::{Fate, MAILBOXES, Offer, TAKEN};
use self::progress::Progress;
use super::{Context, Failure};
use crate::domain::output::Layout;
use crate::ports::operations::Status;
use crate::ports::store::SetAside;
use crate::simulator::consumer::{Consumer, ConsumerSettings};
use crate::simulator::ledger::{Keeping, LedgerSettings};
use crate::simulator::{Simulator, SimulatorError, SimulatorSettings, start};

/// Rounds of mail before the daemon starts, and after it was killed.
const FIRST_ROUNDS: u64 = 8;
const ALL_ROUNDS: u64 = 12;
/// How long to wait for anything: a slow machine with a slow disk, not a broken daemon.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// A page that holds every dead letter of the demonstration.
const PAGE: &str = "100";

#[derive(Debug, Args)]
#[command(after_help = "\
Makes a folder with throw-away certificates and keys, starts a simulated MESH on loopback, offers synthetic mail,
runs the daemon, kills it half-way, starts it again, and counts. Exit code 1 if anything was lost or doubled.

Examples:
  meshd demo
  meshd demo --keep ./demo --json")]
pub(super) struct Demo {
    /// Make everything in this new folder, and leave it there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let summary = Stage::new(self.keep)?.perform()?;
        if self.json {
            context.out.json(&summary)?;
        } else {
            for line in summary.lines() {
                context.out.line(line)?;
            }
            if summary.ok {
                context.out.good(summary.verdict())?;
            }
        }
        if summary.ok { Ok(()) } else { Err(anyhow!("{}", summary.verdict()).into()) }
    }
}

/// What the demonstration plays with.
struct Stage {
    progress: Progress,
    runtime: Runtime,
    simulator: Simulator,
    consumers: Vec<(&'static str, Consumer)>,
    offers: Vec<Offer>,
    is_kept: bool,
    /// A signal asked for the end: then daemon and folder are not left behind.
    is_interrupted: Arc<AtomicBool>,
    house: House,
}

impl Stage {
    fn new(keep: Option<PathBuf>) -> Result<Self, anyhow::Error> {
        let progress = Progress::new();
        let is_interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order the second signal ends at once.
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&is_interrupted)).context("take signals")?;
            flag::register(signal, Arc::clone(&is_interrupted)).context("take signals")?;
        }
        let house = House::new(keep.as_deref())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("start threads")?;
        // Outside the daemon's state; with the operating system is enough, since only the daemon is killed.
        let ledger = LedgerSettings { path: house.path("far-side.jsonl"), keeping: Keeping::Buffered, requests: false };
        let settings = SimulatorSettings { ledger: Some(ledger), ..SimulatorSettings::default() };
        let simulator = runtime.block_on(start(settings)).context("start the simulated MESH")?;
        Ok(Self {
            progress,
            runtime,
            simulator,
            consumers: Vec::new(),
            offers: Vec::new(),
            is_kept: keep.is_some(),
            is_interrupted,
            house,
        })
    }

    fn perform(mut self) -> Result<Summary, anyhow::Error> {
        self.progress.step(format_args!("a simulated MESH listens at {}", self.simulator.url()));
        self.house.set_up(&self.simulator)?;
        let place = if self.is_kept { "stays" } else { "--keep DIR would leave it" };
        self.progress.step(format_args!(
            "keys, configuration, pipelines and outputs are in {} ({place})",
            self.house.path("").display()
        ));
        self.runtime.block_on(mail::offer(&self.simulator, 0..FIRST_ROUNDS, &mut self.offers))?;
        self.runtime.block_on(mail::offer_trouble(&self.simulator, &mut self.offers))?;
        self.progress.step(format_args!(
            "{} messages wait in the inboxes of {}",
            self.simulator.waiting(),
            MAILBOXES.join(" and ")
        ));
        self.consume()?;
        let mut summary = Summary::default();

        let mut daemon = self.house.start()?;
        self.progress.step("meshd runs");
        let first = self.simulator.waiting();
        self.wait(&mut daemon, |stage| Ok(stage.simulator.waiting() <= first / 2))?;
        daemon.kill()?;
        summary.killed_after = first - self.simulator.waiting();
        self.progress.step(format_args!("meshd was killed (SIGKILL) after {} acknowledges", summary.killed_after));

        self.runtime.block_on(mail::offer(&self.simulator, FIRST_ROUNDS..ALL_ROUNDS, &mut self.offers))?;
        self.progress.step(format_args!("more mail came meanwhile: {} messages wait", self.simulator.waiting()));
        let mut daemon = self.house.start()?;
        self.progress.step("meshd runs again");
        self.wait(&mut daemon, Self::is_settled)?;
        self.runtime.block_on(mail::present_again(&self.simulator, &mut self.offers))?;
        self.progress.step("MESH presents two delivered ids again, one of them with other bytes");
        self.wait(&mut daemon, Self::is_settled)?;
        let set_aside: Vec<SetAside> = self.house.ask(&["deadletter", "list", "--count", PAGE, "--json"])?;
        let head = self.house.meshd(&["journal", "head"])?;
        daemon.stop()?;
        self.progress.step("meshd stopped in order");
        self.verify(head.trim(), &mut summary)?;

        let mut taken = Vec::new();
        for (mailbox, consumer) in self.consumers.drain(..) {
            taken.extend(consumer.stop()?.into_iter().map(|taken| (mailbox, taken)));
        }
        self.runtime.block_on(self.simulator.shutdown())?;
        summary.judge(&self.house, &self.offers, taken, &set_aside)?;
        summary.seconds = self.progress.seconds();
        self.progress.step("everything is counted\n");
        Ok(summary)
    }

    /// Starts a consumer for each mailbox that takes and deletes what appears in its folder.
    fn consume(&mut self) -> Result<(), anyhow::Error> {
        for mailbox in MAILBOXES {
            let settings = ConsumerSettings {
                folder: self.house.output(mailbox, TAKEN),
                layout: Layout::MeshFolder,
                ledger: Some(self.house.path(&format!("consumer-{mailbox}.jsonl"))),
                synced: false,
                controls: false,
            };
            self.consumers.push((mailbox, Consumer::start(settings).context("start a consumer")?));
        }
        Ok(())
    }

    /// Waits until `condition` holds, as long as the daemon runs.
    fn wait(
        &self,
        daemon: &mut Daemon,
        condition: impl Fn(&Self) -> Result<bool, anyhow::Error>,
    ) -> Result<(), anyhow::Error> {
        let begun = Instant::now();
        while !condition(self)? {
            if self.is_interrupted.load(Ordering::Acquire) {
                return Err(anyhow!("interrupted"));
            }
            daemon.expect_running()?;
            if begun.elapsed() > PATIENCE {
                return Err(anyhow!("waited in vain for {PATIENCE:?}: {}", self.so_far()));
            }
            self.progress.now(self.so_far());
            let waiting = self.simulator.waiting();
            // Anything that happens at MESH is a reason to look again; so is a while without it.
            let changed = self.simulator.wait_until(LOOK, |simulator| simulator.waiting() != waiting);
            match self.runtime.block_on(changed) {
                Ok(()) | Err(SimulatorError::TooLate(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn so_far(&self) -> String {
        let taken: u64 = self.consumers.iter().map(|(_, consumer)| consumer.count()).sum();
        let waiting = self.simulator.waiting();
        format!("{} offered, {waiting} wait at MESH, {taken} sets taken by consumers", self.offers.len())
    }

    /// Is there nothing left to do but for what stays at MESH? When to go on is all that the daemon is asked.
    fn is_settled(&self) -> Result<bool, anyhow::Error> {
        let refused = self.offers.iter().filter(|offer| offer.fate == Fate::Refused).count() as u64;
        if self.simulator.waiting() > refused {
            return Ok(false);
        }
        let status: Status = self.house.ask(&["status", "--json"])?;
        let queued: u64 = status.mailboxes.iter().map(|mailbox| mailbox.occupancy.queued.messages).sum();
        Ok(queued == 0)
    }

    /// Checks journal and spool as an operator does.
    fn verify(&self, head: &str, summary: &mut Summary) -> Result<(), anyhow::Error> {
        let journal: Value = self.house.ask(&["journal", "verify", "--against", head, "--json"])?;
        summary.journal_head = journal["head"].as_str().context("find the journal's head")?.to_owned();
        let identity = self.house.path("identity");
        let identity = identity.to_str().context("the folder's name is not UTF-8")?;
        let spool: Value = self.house.ask(&["spool", "verify", "--identity", identity, "--json"])?;
        summary.spool_messages = spool["messages"].as_u64().context("find the number of messages")?;
        self.progress.step("journal and spool are verified");
        Ok(())
    }
}
