//! The daemon with everything it needs in one folder, made as an operator makes it, and run as the real program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use std::os::unix::fs::PermissionsExt;

use super::far_side::{FarSide, PASSWORD, SHARED_KEY, WORKFLOW};
use super::process::{Process, Usage};

/// What becomes of the mail once it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// A rule discards it: leased, decided, settled, without an output.
    Discarded,
    /// `.dat` and `.ctl` in one folder for all mailboxes.
    Published,
}

/// The daemon's surroundings.
pub(crate) struct House {
    folder: PathBuf,
}

/// A running daemon.
pub(crate) struct Daemon(Process);

impl House {
    pub(crate) fn new(folder: &Path, far_side: &FarSide, life: Life) -> anyhow::Result<Self> {
        let house = Self { folder: folder.to_owned() };
        let root = folder.display();
        let own = house.generate("identity", &[])?;
        let escrow = house.generate("escrow", &[])?;
        house.generate("hmac", &["--hmac"])?;
        house.write("shared-key", SHARED_KEY)?;
        house.write("password", PASSWORD)?;
        let discard =
            format!("[[stage]]\nuse = \"discard\"\nwhen = {{ workflow = \"{WORKFLOW}\" }}\nreason = \"bench\"\n");
        let pipeline = format!(
            "name = \"everything\"\n{}[[output]]\nname = \"inbox\"\nkind = \"mesh-folder\"\npath = \"{root}/out/IN\"\n",
            if life == Life::Discarded { &discard } else { "" },
        );
        house.write("pipelines/everything.toml", &pipeline)?;
        let mut configuration = format!(
            r#"
[state]
directory = "{root}/state"
# The machine that runs this may be nearly full.
min_free = "0%"
min_free_inodes = "0%"
[queue]
limits = {{ messages = 10_000_000, bytes = "1TB" }}
[pipelines]
directory = "{root}/pipelines"
[control]
socket = "{root}/control.sock"
[log]
format = "json"
[keys]
identity = {{ file = "{root}/identity" }}
hmac = {{ file = "{root}/hmac" }}
[mesh]
environment = "custom"
url = "{url}"
ca = {{ file = "{tls}/ca.pem" }}
client_certificate = {{ file = "{tls}/client.pem" }}
client_key = {{ file = "{tls}/client.key" }}
shared_key = {{ file = "{root}/shared-key" }}
"#,
            url = far_side.url,
            tls = far_side.tls.display(),
        );
        for id in far_side.content.ids() {
            configuration.push_str(&format!(
                r#"
[[mailbox]]
id = "{id}"
organisation = "X26"
password = {{ file = "{root}/password" }}
poll = "* * * * * *"
recipients = ["{own}", "{escrow}"]
output = "{root}/mailboxes/{id}"
limits = {{ messages = 10_000_000, bytes = "1TB" }}
"#
            ));
        }
        house.write("meshd.toml", &configuration)?;
        house.meshd(&["output", "init"])?;
        Ok(house)
    }

    /// Where the files appear.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.join("out/IN")
    }

    /// Where the journal lies.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join("state/journal")
    }

    /// Starts the daemon, and returns once it says that it runs.
    pub(crate) fn start(&self) -> anyhow::Result<Daemon> {
        let log = fs::File::create(self.folder.join("log"))?;
        let child = self.command()?.arg("run").stderr(log).stdout(Stdio::null()).spawn()?;
        let mut process = Process::of(child);
        let begun = Instant::now();
        loop {
            let status = self.command()?.args(["status", "--json"]).output()?;
            if String::from_utf8_lossy(&status.stdout).contains("\"running\"") {
                return Ok(Daemon(process));
            }
            let has_ended = process.child()?.try_wait()?.is_some();
            if has_ended || begun.elapsed() > Duration::from_secs(30) {
                bail!("the daemon did not start: {}", fs::read_to_string(self.folder.join("log"))?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until nothing is queued any more, by what the daemon itself says.
    pub(crate) fn wait_until_worked_off(&self, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let status: serde_json::Value = serde_json::from_str(&self.meshd(&["status", "--json"])?)?;
            let mailboxes = status["mailboxes"].as_array().context("the status names mailboxes")?;
            if mailboxes.iter().all(|mailbox| mailbox["occupancy"]["queued"]["messages"] == 0) {
                return Ok(());
            }
            ensure!(begun.elapsed() < limit, "mail is still queued after {limit:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn generate(&self, name: &str, more: &[&str]) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        let path = path.to_str().context("the folder's name is UTF-8")?;
        Ok(self.meshd(&[&["keys", "generate", "--output", path], more].concat())?.trim().to_owned())
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().context("it lies in the folder")?)?;
        fs::write(&path, text)?;
        Ok(fs::set_permissions(&path, PermissionsExt::from_mode(0o600))?)
    }

    /// Runs a command to its end; what it printed is returned.
    fn meshd(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.command()?.args(arguments).output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?.with_file_name("meshd"));
        let configuration = self.folder.join("meshd.toml");
        command.env("MESHD_CONFIG", configuration).env_remove("CREDENTIALS_DIRECTORY").stdin(Stdio::null());
        Ok(command)
    }
}

impl Daemon {
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        self.0.usage()
    }

    /// Stops it in order.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        let status = self.0.end()?;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }
}
