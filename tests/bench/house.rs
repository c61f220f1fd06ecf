//! The daemon with everything it needs in one folder, made as an operator makes it, and run as the real program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use meshd::simulator::certificates::ClientFiles;
use meshd::simulator::house::{self, Far, Plan};

use super::far_side::{FarSide, WORKFLOW};
use super::process::{Process, Usage};

/// What becomes of the mail once it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// A rule discards it: leased, decided, settled, without an output.
    Discarded,
    /// `.dat` and `.ctl` in one folder for all mailboxes.
    Published,
    /// As published for the first mailbox; no pipeline takes what comes for any other.
    QueuedOrDead,
}

/// More than any run offers.
const LIMITS: &str = r#"limits = { messages = 10_000_000, bytes = "1TB" }
set_aside = { messages = 10_000_000, bytes = "1TB" }"#;

/// The daemon's surroundings.
pub(crate) struct House(house::House);

/// A running daemon.
pub(crate) struct Daemon(Process);

impl House {
    pub(crate) fn new(folder: &Path, far_side: &FarSide, life: Life) -> anyhow::Result<Self> {
        let root = folder.display();
        let discard =
            format!("[[stage]]\nuse = \"discard\"\nwhen = {{ workflow = \"{WORKFLOW}\" }}\nreason = \"bench\"\n");
        let only_first = format!("[match]\nmailbox = [\"{}\"]\n", far_side.content.ids()[0]);
        let rule = match life {
            Life::Discarded => discard.as_str(),
            Life::Published => "",
            Life::QueuedOrDead => only_first.as_str(),
        };
        let pipeline = format!(
            "name = \"everything\"\n{rule}[[output]]\nname = \"inbox\"\nkind = \"mesh-folder\"\npath = \"{root}/out/IN\"\n"
        );
        let plan = Plan {
            mailboxes: far_side.content.ids(),
            pipelines: vec![("everything.toml", pipeline)],
            tables: format!("[queue]\n{LIMITS}\n[log]\nformat = \"json\""),
            mailbox: LIMITS,
            ..Plan::default()
        };
        let program = std::env::current_exe()?.with_file_name("meshd");
        let house = house::House::new(program, folder.to_owned(), plan);
        house.set_up(&Far::simulated(far_side.url.clone(), ClientFiles::under(&far_side.tls)))?;
        Ok(Self(house))
    }

    /// Where the files appear.
    pub(crate) fn output(&self) -> PathBuf {
        self.0.path("out/IN")
    }

    /// Where the journal lies.
    pub(crate) fn journal(&self) -> PathBuf {
        self.0.path("state/journal")
    }

    /// Its root loses its marker, as if it were not mounted: mail for it waits.
    pub(crate) fn lose_output(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.0.path("out/.meshd-output"))?)
    }

    /// What a command says.
    pub(crate) fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        Ok(self.0.meshd(arguments)?)
    }

    /// What an operator sees first of the dead that these options take.
    pub(crate) fn first_page_of_dead(&self, options: &[&str]) -> anyhow::Result<String> {
        let arguments = ["deadletter", "list"].iter().chain(options);
        Ok(self.0.meshd(arguments)?)
    }

    /// Starts the daemon, and returns once it says that it runs.
    pub(crate) fn start(&self) -> anyhow::Result<Daemon> {
        let log = fs::File::create(self.0.path("log"))?;
        let child = self.0.command().arg("run").stderr(log).stdout(Stdio::null()).spawn()?;
        let mut process = Process::of(child);
        let begun = Instant::now();
        loop {
            let status = self.0.command().args(["status", "--json"]).output()?;
            if String::from_utf8_lossy(&status.stdout).contains("\"running\"") {
                return Ok(Daemon(process));
            }
            let has_ended = process.child()?.try_wait()?.is_some();
            if has_ended || begun.elapsed() > Duration::from_secs(30) {
                bail!("the daemon did not start: {}", fs::read_to_string(self.0.path("log"))?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until nothing is queued any more, by what the daemon itself says.
    pub(crate) fn wait_until_worked_off(&self, limit: Duration) -> anyhow::Result<()> {
        self.wait_until(limit, |all| all.iter().all(|of| of["occupancy"]["queued"]["messages"] == 0))
    }

    /// Waits until so many are dead.
    pub(crate) fn wait_until_dead(&self, messages: u64, limit: Duration) -> anyhow::Result<()> {
        self.wait_until(limit, |all| all.iter().any(|of| of["occupancy"]["dead"]["messages"] == messages))
    }

    fn wait_until(&self, limit: Duration, is_so: impl Fn(&[serde_json::Value]) -> bool) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let status: serde_json::Value = serde_json::from_str(&self.0.meshd(["status", "--json"])?)?;
            if is_so(status["mailboxes"].as_array().context("the status names mailboxes")?) {
                return Ok(());
            }
            ensure!(begun.elapsed() < limit, "it is not so after {limit:?}: {status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Daemon {
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        self.0.usage()
    }

    /// Kills it.
    pub(crate) fn kill(self) {
        drop(self.0);
    }

    /// Stops it in order.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        let status = self.0.end()?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }
}
