//! `meshd demo`: the whole of meshd against a simulated MESH, in a folder of its own, in under a minute.
//!
//! The daemon is this same program, run as operators run it. It is killed half-way, and once more by a message that
//! grows beyond the largest file allowed to it. What became of the mail is judged by another process, without it.

mod house;
pub(super) mod judge;
mod mail;
mod progress;
mod summary;

use std::fs::{self, File};
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
use self::judge::{FAR_SIDE, SET_ASIDE, consumer_ledger};
use self::mail::{EXPECTED, Fate, MAILBOXES, Offer, TAKEN};
use self::progress::Progress;
use self::summary::Summary;
use super::{Context, Failure};
use crate::domain::output::Layout;
use crate::ports::operations::Status;
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
Makes a folder with throw-away certificates and keys, starts a simulated MESH on loopback,
offers synthetic mail, runs the daemon, kills it half-way, starts it again, and counts.
Exit code 1 if anything was lost or doubled.

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
            if summary.verdict.ok {
                context.out.good(summary.line())?;
            }
        }
        if summary.verdict.ok { Ok(()) } else { Err(anyhow!("{}", summary.line()).into()) }
    }
}

/// What the demonstration plays with.
struct Stage {
    progress: Progress,
    runtime: Runtime,
    simulator: Simulator,
    consumers: Vec<Consumer>,
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
        let ledger = LedgerSettings { path: house.path(FAR_SIDE), keeping: Keeping::Buffered, requests: false };
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
        let [prompt, slow] = MAILBOXES;
        self.consume(prompt)?;

        let mut daemon = self.house.start()?;
        self.progress.step("meshd runs");
        let first = self.simulator.waiting();
        self.wait(&mut daemon, |stage| Ok(stage.simulator.waiting() <= first / 2))?;
        daemon.kill()?;
        let killed_after = first - self.simulator.waiting();
        self.progress.step(format_args!("meshd was killed (SIGKILL) after {killed_after} acknowledges"));

        self.runtime.block_on(mail::offer(&self.simulator, FIRST_ROUNDS..ALL_ROUNDS, &mut self.offers))?;
        self.progress.step(format_args!("more mail came meanwhile: {} messages wait", self.simulator.waiting()));
        let mut daemon = self.house.start()?;
        self.progress.step("meshd runs again");
        self.wait(&mut daemon, Self::is_settled)?;
        let left_for_slow = self.sets_before(slow)?;
        self.progress.step(format_args!(
            "all is done, and {left_for_slow} sets lie in {slow}/{TAKEN}: its consumer comes only now"
        ));
        self.consume(slow)?;
        self.runtime.block_on(mail::present_again(&self.simulator, &mut self.offers))?;
        self.progress.step("MESH presents two delivered ids again, one of them with other bytes");
        self.wait(&mut daemon, Self::is_settled)?;
        let (daemon, poison_deaths) = self.outlive_poison(daemon)?;
        let set_aside = self.house.meshd(&["deadletter", "list", "--count", PAGE, "--json"])?;
        fs::write(self.house.path(SET_ASIDE), set_aside).context("note what is set aside")?;
        let head = self.house.meshd(&["journal", "head"])?;
        daemon.stop()?;
        self.progress.step("meshd stopped in order");
        let (journal_head, spool_messages) = self.verify(head.trim())?;

        for consumer in self.consumers.drain(..) {
            consumer.stop()?;
        }
        self.runtime.block_on(self.simulator.shutdown())?;
        let expected = File::create(self.house.path(EXPECTED)).context("note what must become of the mail")?;
        mail::expect(&self.offers, expected)?;
        let folder = self.house.path("");
        let verdict = self.house.ask(&[judge::COMMAND, folder.to_str().context("the folder's name is not UTF-8")?])?;
        let seconds = self.progress.seconds();
        self.progress.step("another process has counted everything\n");
        Ok(Summary { verdict, killed_after, left_for_slow, poison_deaths, journal_head, spool_messages, seconds })
    }

    /// Starts the consumer of a mailbox, which takes and deletes what appears in its folder.
    fn consume(&mut self, mailbox: &str) -> Result<(), anyhow::Error> {
        let settings = ConsumerSettings {
            folder: self.house.output(mailbox, TAKEN),
            layout: Layout::MeshFolder,
            ledger: Some(self.house.path(&consumer_ledger(mailbox))),
            synced: false,
            controls: false,
        };
        self.consumers.push(Consumer::start(settings).context("start a consumer")?);
        Ok(())
    }

    /// Sets that lie before the consumer of a mailbox.
    fn sets_before(&self, mailbox: &str) -> Result<u64, anyhow::Error> {
        let names = fs::read_dir(self.house.output(mailbox, TAKEN)).context("look before the consumer")?;
        let paths = names.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        Ok(paths.iter().filter(|path| path.extension().is_some_and(|suffix| suffix == "ctl")).count() as u64)
    }

    /// Offers a message that kills the daemon whenever it is worked on, with other mail around it, and starts the
    /// daemon again each time, as systemd would. Ends when the message is set aside and all else is done.
    fn outlive_poison(&mut self, mut daemon: Daemon) -> Result<(Daemon, u32), anyhow::Error> {
        self.runtime.block_on(mail::offer_poison(&self.simulator, &mut self.offers))?;
        self.runtime.block_on(mail::offer(&self.simulator, ALL_ROUNDS..ALL_ROUNDS + 1, &mut self.offers))?;
        self.progress.step("a message comes that outgrows the largest file allowed when it is decompressed");
        let begun = Instant::now();
        let mut deaths = 0;
        loop {
            if daemon.was_killed_by_a_file()? {
                deaths += 1;
                self.progress.step(format_args!("it killed meshd (SIGXFSZ), time {deaths}"));
                daemon = self.house.start()?;
            // A daemon that starts or dies does not answer; the next look tells which.
            } else if self.is_settled().is_ok_and(|is_settled| is_settled) {
                self.progress.step("it is set aside as MSG-POISON, and all else is out");
                return Ok((daemon, deaths));
            }
            if self.is_interrupted.load(Ordering::Acquire) || begun.elapsed() > PATIENCE {
                return Err(anyhow!("interrupted, or waited in vain for {PATIENCE:?}: {}", self.so_far()));
            }
            self.progress.now(self.so_far());
            std::thread::sleep(LOOK);
        }
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
        let taken: u64 = self.consumers.iter().map(Consumer::count).sum();
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

    /// Checks journal and spool as an operator does: where the journal ends, and how many messages the spool holds.
    fn verify(&self, head: &str) -> Result<(String, u64), anyhow::Error> {
        let journal: Value = self.house.ask(&["journal", "verify", "--against", head, "--json"])?;
        let head = journal["head"].as_str().context("find the journal's head")?.to_owned();
        let identity = self.house.path("identity");
        let identity = identity.to_str().context("the folder's name is not UTF-8")?;
        let spool: Value = self.house.ask(&["spool", "verify", "--identity", identity, "--json"])?;
        let messages = spool["messages"].as_u64().context("find the number of messages")?;
        self.progress.step("journal and spool are verified");
        Ok((head, messages))
    }
}
