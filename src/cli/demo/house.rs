//! Everything around the demonstrated daemon: its folder, made as an operator makes it, and its process.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde::de::DeserializeOwned;

use super::mail::{LARGEST_FILE_BYTES, MAILBOXES};
use crate::domain::digest::Hasher;
use crate::simulator::Simulator;
use crate::simulator::house::{self, Far, Plan};

/// The pipelines of the demonstration; two of them are those that meshd ships.
const PIPELINES: [(&str, &str); 4] = [
    ("discharge.toml", include_str!("../../../pipelines/discharge.toml")),
    ("reports.toml", include_str!("../../../pipelines/reports.toml")),
    ("results.toml", include_str!("results.toml")),
    ("expand.toml", include_str!("expand.toml")),
];

/// Above `life.drain` of the demonstration's configuration, for receiving and for work.
const STOP_LIMIT: Duration = Duration::from_secs(45);
/// Between two looks at a process that ends.
const LOOK: Duration = Duration::from_millis(20);
/// Read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Lines of the daemon's log that are shown when it ended by itself.
const LAST_LINES: usize = 15;

/// The folder with all that the daemon needs.
pub(super) struct House {
    inside: house::House,
    /// Deletes the folder at the end, unless it is to be kept.
    _temporary: Option<tempfile::TempDir>,
}

impl House {
    /// A new folder: `keep`, or a temporary one.
    pub(super) fn new(keep: Option<&Path>) -> Result<Self, anyhow::Error> {
        let (root, temporary) = match keep {
            Some(folder) => {
                fs::DirBuilder::new()
                    .mode(0o700)
                    .create(folder)
                    .with_context(|| format!("make {}, which must be new", folder.display()))?;
                (folder.canonicalize().context("find the new folder")?, None)
            }
            None => {
                let temporary = tempfile::Builder::new().prefix("meshd-demo-").tempdir().context("make a folder")?;
                (temporary.path().to_path_buf(), Some(temporary))
            }
        };
        Ok(Self { inside: inside(root)?, _temporary: temporary })
    }

    /// The folder of a demonstration that was made before.
    pub(super) fn at(root: PathBuf) -> Result<Self, anyhow::Error> {
        Ok(Self { inside: inside(root)?, _temporary: None })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.inside.path(name)
    }

    /// The folder of a mailbox's output.
    pub(super) fn output(&self, mailbox: &str, folder: &str) -> PathBuf {
        self.inside.output_of(mailbox).join(folder)
    }

    /// Keys, certificates, secrets, configuration, pipelines and outputs, with the commands an operator uses.
    pub(super) fn set_up(&self, simulator: &Simulator) -> Result<(), anyhow::Error> {
        let tls = simulator.write_client_files(&self.path("tls")).context("write certificates")?;
        Ok(self.inside.set_up(&Far::simulated(simulator.url(), tls))?)
    }

    /// Runs a command of meshd to its good end, and returns what it printed.
    pub(super) fn meshd(&self, arguments: &[&str]) -> Result<String, anyhow::Error> {
        Ok(self.inside.meshd(arguments)?)
    }

    /// Asks the running daemon.
    pub(super) fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, anyhow::Error> {
        let printed = self.meshd(arguments)?;
        serde_json::from_str(&printed).with_context(|| format!("read what meshd {} printed", arguments.join(" ")))
    }

    /// SHA-256 of a message's kept bytes, opened with the identity.
    pub(super) fn kept_sha256(&self, mailbox: &str, id: &str) -> Result<Option<String>, anyhow::Error> {
        let mut command = self.inside.command();
        command.args(["spool", "open", mailbox, id]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let printed = child.stdout.take().context("take what the child prints")?;
        let sha256 = sha256(printed)?;
        Ok(child.wait()?.success().then_some(sha256))
    }

    /// Starts the daemon. Its log goes to `meshd.log`.
    pub(super) fn start(&self) -> Result<Daemon, anyhow::Error> {
        let log = self.path("meshd.log");
        let file = OpenOptions::new().create(true).append(true).open(&log).context("open the daemon's log")?;
        let mut command = self.inside.command();
        let child = command.arg("run").stdout(Stdio::null()).stderr(file).spawn().context("start the daemon")?;
        let daemon = Daemon { child, log };
        // As `LimitFSIZE=` and `LimitCORE=` of a unit. It has far to go before it writes so much.
        for (resource, limit) in [(Resource::Fsize, LARGEST_FILE_BYTES), (Resource::Core, 0)] {
            let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
            prlimit(Some(Pid::from_child(&daemon.child)), resource, limit).context("limit the daemon's files")?;
        }
        Ok(daemon)
    }
}

fn inside(root: PathBuf) -> Result<house::House, anyhow::Error> {
    let program = std::env::current_exe().context("find this program")?;
    let plan = Plan {
        mailboxes: MAILBOXES.map(str::to_owned).into(),
        pipelines: PIPELINES.map(|(name, text)| (name, text.to_owned())).into(),
        ..Plan::default()
    };
    Ok(house::House::new(program, root, plan))
}

/// SHA-256 of all that `source` holds, without holding all of it.
pub(super) fn sha256(mut source: impl Read) -> Result<String, anyhow::Error> {
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match source.read(&mut piece)? {
            0 => return Ok(hasher.clear()),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// SHA-256 of a file; none if it is not there.
pub(super) fn file_sha256(path: &Path) -> Result<Option<String>, anyhow::Error> {
    match File::open(path) {
        Ok(file) => sha256(file).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("open {}", path.display())),
    }
}

/// The daemon's process; killed if the demonstration ends before it.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// It must run: nobody asked it to end.
    pub(super) fn expect_running(&mut self) -> Result<(), anyhow::Error> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(anyhow!("the daemon ended by itself ({status}):\n{}", self.last_lines())),
        }
    }

    /// Whether a file that grew beyond its limit has killed it. Nothing else may.
    pub(super) fn was_killed_by_a_file(&mut self) -> Result<bool, anyhow::Error> {
        match self.child.try_wait()? {
            Some(status) if status.signal() == Some(Signal::XFSZ.as_raw()) => Ok(true),
            Some(_) | None => self.expect_running().map(|()| false),
        }
    }

    /// SIGKILL: it learns nothing of it.
    pub(super) fn kill(mut self) -> Result<(), anyhow::Error> {
        self.child.kill().context("kill the daemon")?;
        self.child.wait().context("wait for the killed daemon")?;
        Ok(())
    }

    /// SIGTERM: it ends in order.
    pub(super) fn stop(mut self) -> Result<(), anyhow::Error> {
        self.expect_running()?;
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("ask the daemon to stop")?;
        let begun = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(anyhow!("the daemon stopped badly ({status}):\n{}", self.last_lines())),
                None if begun.elapsed() > STOP_LIMIT => return Err(anyhow!("the daemon does not stop")),
                None => std::thread::sleep(LOOK),
            }
        }
    }

    fn last_lines(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already, or there is nothing more to be done about it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
