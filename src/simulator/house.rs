//! A folder with everything that one daemon needs, made as an operator makes it, for demonstrations, tests and
//! benchmarks: keys, secrets, configuration, pipelines and the markers of its outputs.
//!
//! Every command is the real program as a process of its own. It starts no daemon and no far side.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::certificates::ClientFiles;
use super::{PASSWORD, SHARED_KEY, SimulatorError};

/// A pipeline that takes all mail and puts it where a MESH client would.
pub const EVERYTHING: &str = r#"
name = "everything"
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

/// Where the far side is, and what proves us to it.
pub struct Far {
    /// The base URL.
    pub url: String,
    /// The authority, and our certificate and key.
    pub tls: ClientFiles,
    /// The environment's shared key.
    pub shared_key: String,
    /// The password of every mailbox.
    pub password: String,
}

impl Far {
    /// A simulator with the secrets it has unless it is told others.
    pub fn simulated(url: String, tls: ClientFiles) -> Self {
        Self { url, tls, shared_key: SHARED_KEY.to_owned(), password: PASSWORD.to_owned() }
    }
}

/// What may differ from house to house.
#[derive(Clone)]
pub struct Plan {
    /// The mailboxes that are received.
    pub mailboxes: Vec<String>,
    /// File names and texts of the pipelines.
    pub pipelines: Vec<(&'static str, String)>,
    /// Where the state lies, if not in the folder.
    pub state: Option<PathBuf>,
    /// Where the outputs of every mailbox lie, if not in a folder of its own in the folder.
    pub output: Option<PathBuf>,
    /// `life.drain`.
    pub drain: &'static str,
    /// More tables of the configuration.
    pub tables: String,
    /// More lines of `[mesh]`.
    pub mesh: &'static str,
    /// More lines of each `[[mailbox]]`.
    pub mailbox: &'static str,
}

impl Default for Plan {
    /// One mailbox, and everything that comes for it goes to its folder `IN`.
    fn default() -> Self {
        Self {
            mailboxes: vec!["X26ABC1".to_owned()],
            pipelines: vec![("everything.toml", EVERYTHING.to_owned())],
            state: None,
            output: None,
            drain: "20s",
            tables: String::new(),
            mesh: "",
            mailbox: "",
        }
    }
}

/// The folder of one daemon.
pub struct House {
    program: PathBuf,
    root: PathBuf,
    plan: Plan,
}

impl House {
    /// A house in the folder `root`, for this program. Nothing is made yet.
    pub fn new(program: PathBuf, root: PathBuf, plan: Plan) -> Self {
        Self { program, root, plan }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The daemon's state directory.
    pub fn state(&self) -> PathBuf {
        self.plan.state.clone().unwrap_or_else(|| self.path("state"))
    }

    /// The mailboxes.
    pub fn mailboxes(&self) -> &[String] {
        &self.plan.mailboxes
    }

    /// The folder above a mailbox's outputs.
    pub fn output_of(&self, mailbox: &str) -> PathBuf {
        self.plan.output.clone().unwrap_or_else(|| self.path("out").join(mailbox))
    }

    /// Everything, checked: a daemon can be started.
    pub fn set_up(&self, far: &Far) -> Result<(), SimulatorError> {
        self.set_up_without_output(far)?;
        self.meshd(["output", "init"])?;
        self.meshd(["check"])?;
        Ok(())
    }

    /// The same, but for the outputs.
    pub fn set_up_without_output(&self, far: &Far) -> Result<(), SimulatorError> {
        let recipients = [self.generate_key("identity", &[])?, self.generate_key("escrow", &[])?];
        self.generate_key("hmac", &["--hmac"])?;
        self.write("shared-key", &format!("{}\n", far.shared_key))?;
        self.write("password", &format!("{}\n", far.password))?;
        for (name, text) in &self.plan.pipelines {
            self.write(&format!("pipelines/{name}"), text)?;
        }
        Ok(self.write("meshd.toml", &self.configuration(far, &recipients))?)
    }

    fn configuration(&self, far: &Far, [own, escrow]: &[String; 2]) -> String {
        let root = self.root.display();
        let Plan { drain, tables, mesh, mailbox: more, .. } = &self.plan;
        let mut text = format!(
            r#"[state]
directory = "{state}"
# The disk here may be nearly full.
min_free = "0%"
min_free_inodes = "0%"
[pipelines]
directory = "{root}/pipelines"
[control]
socket = "{root}/control.sock"
[http]
# Any that is free: there may be many houses on one machine.
listen = "127.0.0.1:0"
[life]
drain = "{drain}"
[keys]
identity = {{ file = "{root}/identity" }}
hmac = {{ file = "{root}/hmac" }}
{tables}
[mesh]
environment = "custom"
url = "{url}"
ca = {{ file = "{ca}" }}
client_certificate = {{ file = "{certificate}" }}
client_key = {{ file = "{key}" }}
shared_key = {{ file = "{root}/shared-key" }}
{mesh}
"#,
            state = self.state().display(),
            url = far.url,
            ca = far.tls.ca.display(),
            certificate = far.tls.client_certificate.display(),
            key = far.tls.client_key.display(),
        );
        for id in &self.plan.mailboxes {
            text += &format!(
                r#"
[[mailbox]]
id = "{id}"
organisation = "X26"
password = {{ file = "{root}/password" }}
# A simulated MESH may be asked every second; the real one every five minutes.
poll = "* * * * * *"
recipients = ["{own}", "{escrow}"]
output = "{output}"
{more}
"#,
                output = self.output_of(id).display(),
            );
        }
        text
    }

    /// Makes a key in this file, and returns its public half, if it has one.
    fn generate_key(&self, name: &str, more: &[&str]) -> Result<String, SimulatorError> {
        let mut command = self.command();
        command.args(["keys", "generate", "--output"]).arg(self.path(name)).args(more);
        Ok(run(command)?.trim().to_owned())
    }

    /// Writes a file of the folder, readable by its owner only. Replaces what is there.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    }

    /// A command that runs the program with the configuration of this house.
    pub fn command(&self) -> Command {
        self.command_of(Command::new(&self.program))
    }

    /// The same for another program that runs ours, such as a tracer.
    pub fn command_of(&self, mut command: Command) -> Command {
        command.env("MESHD_CONFIG", self.path("meshd.toml")).stdin(Stdio::null());
        // What a unit was handed in which this runs is not the daemon's.
        command.env_remove("CREDENTIALS_DIRECTORY").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command
    }

    /// Runs a command of meshd to its good end, and returns what it printed.
    pub fn meshd<T: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = T>) -> Result<String, SimulatorError> {
        let mut command = self.command();
        command.args(arguments);
        run(command)
    }
}

fn run(mut command: Command) -> Result<String, SimulatorError> {
    let output = command.output()?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(SimulatorError::Command { arguments: arguments.join(" "), said, status: output.status });
    }
    String::from_utf8(output.stdout).map_err(|problem| io::Error::other(problem).into())
}
