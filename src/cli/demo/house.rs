//! Everything around the demonstrated daemon: its folder, made as an operator makes it, and its process.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

use super::mail::MAILBOXES;
use crate::domain::digest::Hasher;
use crate::simulator::Simulator;
use crate::simulator::certificates::write_client_files;

/// The pipelines of the demonstration; two of them are those that meshd ships.
const PIPELINES: [(&str, &str); 3] = [
    ("discharge.toml", include_str!("../../../pipelines/discharge.toml")),
    ("reports.toml", include_str!("../../../pipelines/reports.toml")),
    ("results.toml", include_str!("results.toml")),
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
    program: PathBuf,
    root: PathBuf,
    /// Deletes the folder at the end, unless it is to be kept.
    _temporary: Option<tempfile::TempDir>,
}

impl House {
    /// A new folder: `keep`, or a temporary one.
    pub(super) fn new(keep: Option<&Path>) -> Result<Self, anyhow::Error> {
        let program = std::env::current_exe().context("find this program")?;
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
        Ok(Self { program, root, _temporary: temporary })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of a mailbox's output.
    pub(super) fn output(&self, mailbox: &str, folder: &str) -> PathBuf {
        self.root.join("out").join(mailbox).join(folder)
    }

    /// Keys, certificates, secrets, configuration, pipelines and outputs, with the commands an operator uses.
    pub(super) fn set_up(&self, simulator: &Simulator) -> Result<(), anyhow::Error> {
        let keys = |more: &[&str], name: &str| {
            let path = self.path(name);
            let path = path.to_str().context("the folder's name is not UTF-8")?;
            self.meshd(&[&["keys", "generate", "--output", path], more].concat())
        };
        let recipient = keys(&[], "identity")?;
        keys(&["--hmac"], "hmac")?;
        write_client_files(&self.path("tls"), &simulator.authority().pem(), simulator.client())
            .context("write certificates")?;
        self.write("shared-key", "TestKey\n")?;
        self.write("password", "password\n")?;
        fs::create_dir(self.path("pipelines")).context("make the folder of pipelines")?;
        for (name, text) in PIPELINES {
            self.write(&format!("pipelines/{name}"), text)?;
        }
        self.write("meshd.toml", &self.configuration(&simulator.url(), recipient.trim()))?;
        self.meshd(&["output", "init"])?;
        self.meshd(&["check"])?;
        Ok(())
    }

    fn configuration(&self, url: &str, recipient: &str) -> String {
        let root = self.root.display();
        let mut text = format!(
            r#"# Made by `meshd demo`.
[state]
directory = "{root}/state"
# A demonstration may run on a disk that is nearly full.
min_free = "0%"
min_free_inodes = "0%"
[pipelines]
directory = "{root}/pipelines"
[control]
socket = "{root}/control.sock"
[life]
drain = "20s"
[keys]
identity = {{ file = "{root}/identity" }}
hmac = {{ file = "{root}/hmac" }}
[mesh]
environment = "custom"
url = "{url}"
ca = {{ file = "{root}/tls/ca.pem" }}
client_certificate = {{ file = "{root}/tls/client.pem" }}
client_key = {{ file = "{root}/tls/client.key" }}
shared_key = {{ file = "{root}/shared-key" }}
"#
        );
        for mailbox in MAILBOXES {
            text += &format!(
                r#"[[mailbox]]
id = "{mailbox}"
organisation = "X26"
password = {{ file = "{root}/password" }}
# The simulated MESH may be asked every second; the real one every five minutes.
poll = "* * * * * *"
recipients = ["{recipient}"]
output = "{root}/out/{mailbox}"
"#
            );
        }
        text
    }

    fn write(&self, name: &str, text: &str) -> Result<(), anyhow::Error> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name));
        made.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("write {name}"))
    }

    /// Runs a command of meshd to its good end, and returns what it printed.
    pub(super) fn meshd(&self, arguments: &[&str]) -> Result<String, anyhow::Error> {
        let named = || format!("run meshd {}", arguments.join(" "));
        let output = self.command(arguments).output().with_context(named)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(anyhow!("{said} ({})", output.status).context(named()));
        }
        String::from_utf8(output.stdout).with_context(named)
    }

    /// Asks the running daemon.
    pub(super) fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, anyhow::Error> {
        let printed = self.meshd(arguments)?;
        serde_json::from_str(&printed).with_context(|| format!("read what meshd {} printed", arguments.join(" ")))
    }

    /// SHA-256 of a message's kept bytes, opened with the identity.
    pub(super) fn kept_sha256(&self, mailbox: &str, id: &str) -> Result<Option<String>, anyhow::Error> {
        let mut child =
            self.command(&["spool", "open", mailbox, id]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let printed = child.stdout.take().context("take what the child prints")?;
        let sha256 = sha256(printed)?;
        Ok(child.wait()?.success().then_some(sha256))
    }

    /// Starts the daemon. Its log goes to `meshd.log`.
    pub(super) fn start(&self) -> Result<Daemon, anyhow::Error> {
        let log = self.path("meshd.log");
        let file = OpenOptions::new().create(true).append(true).open(&log).context("open the daemon's log")?;
        let child = self.command(&["run"]).stdout(Stdio::null()).stderr(file).spawn().context("start the daemon")?;
        Ok(Daemon { child, log })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.path("meshd.toml")).args(arguments).stdin(Stdio::null());
        // What a unit that runs the demonstration was handed is not the daemon's.
        command.env_remove("CREDENTIALS_DIRECTORY").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command
    }
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
