//! One daemon's folder with everything it needs, its commands, and its outputs; the far side is whoever is named.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use meshd::domain::digest::Hasher;
use rustix::process::{Pid, Signal, kill_process};

/// The mailbox that the daemon receives from.
pub(crate) const MAILBOX: &str = "X26ABC1";

/// Between two looks at what another process does.
const LOOK: Duration = Duration::from_millis(10);

/// Where the far side is, and what proves us to it.
pub(crate) struct Far {
    pub(crate) url: String,
    pub(crate) ca: PathBuf,
    pub(crate) client_certificate: PathBuf,
    pub(crate) client_key: PathBuf,
    pub(crate) shared_key: String,
    pub(crate) password: String,
}

/// The folder.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    plan: Plan,
}

/// What may differ from place to place.
#[derive(Default)]
pub(crate) struct Plan {
    /// Where the state lies, if not in the folder.
    pub(crate) state: Option<PathBuf>,
    /// Where the mailbox's outputs lie, if not in the folder.
    pub(crate) output: Option<PathBuf>,
    /// When a journal segment is closed, if not at the default.
    pub(crate) segment: Option<&'static str>,
    /// The text of the one pipeline, if not all mail goes to `IN`.
    pub(crate) pipeline: Option<&'static str>,
    /// The mailboxes that are served and received, if not [`MAILBOX`] alone.
    pub(crate) mailboxes: Option<Vec<String>>,
    /// More lines of `[mesh]`.
    pub(crate) mesh: Option<&'static str>,
    /// Where the far side notes what it is asked, in the folder.
    pub(crate) ledger: Option<&'static str>,
}

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_meshd");

/// The pipeline where no other is wanted.
pub(crate) const EVERYTHING: &str = r#"
name = "everything"
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it printed, once it is sure that it did what it should.
    pub(crate) fn expect_done(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }
}

#[allow(dead_code, reason = "several test targets share this; each uses its part")]
impl Place {
    pub(crate) fn new() -> Self {
        Self::build(Plan::default())
    }

    pub(crate) fn build(plan: Plan) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), plan }
    }

    /// The daemon's state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.plan.state.clone().unwrap_or_else(|| self.path("state"))
    }

    /// The folder above the mailbox's outputs.
    pub(crate) fn output(&self) -> PathBuf {
        self.output_of(MAILBOX)
    }

    fn output_of(&self, mailbox: &str) -> PathBuf {
        self.plan.output.clone().unwrap_or_else(|| self.path("out").join(mailbox))
    }

    /// The mailboxes.
    pub(crate) fn mailboxes(&self) -> Vec<String> {
        self.plan.mailboxes.clone().unwrap_or_else(|| vec![MAILBOX.to_owned()])
    }

    /// Where the far side notes what it is asked.
    pub(crate) fn ledger(&self) -> Option<PathBuf> {
        self.plan.ledger.map(|name| self.path(name))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("the folder is ours");
        fs::write(&path, text).expect("the folder is ours");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("the file is ours");
    }

    /// Keys, secrets, configuration, a pipeline and the output root, made as an operator makes them.
    pub(crate) fn set_up(&self, far: &Far) {
        self.set_up_without_output(far);
        self.meshd(&["output", "init"]).expect_done();
        self.meshd(&["check"]).expect_done();
    }

    pub(crate) fn set_up_without_output(&self, far: &Far) {
        let generate = |arguments: &[&str], name: &str| {
            let path = self.path(name);
            let arguments = [&["keys", "generate", "--output", path.to_str().expect("UTF-8")], arguments].concat();
            self.meshd(&arguments).expect_done().trim().to_owned()
        };
        let recipient = generate(&[], "identity");
        generate(&["--hmac"], "hmac");
        self.write("shared-key", &format!("{}\n", far.shared_key));
        self.write("password", &format!("{}\n", far.password));
        self.write("pipelines/everything.toml", self.plan.pipeline.unwrap_or(EVERYTHING));
        let journal = self.plan.segment.map(|segment| format!("[journal]\nsegment = \"{segment}\"\n"));
        let configuration = format!(
            r#"
[state]
directory = "{state}"
# The machine that runs the tests may be nearly full.
min_free = "0%"
min_free_inodes = "0%"
{journal}[pipelines]
directory = "{root}/pipelines"
[control]
socket = "{root}/control.sock"
[log]
level = "debug"
[life]
drain = "20s"
[keys]
identity = {{ file = "{root}/identity" }}
hmac = {{ file = "{root}/hmac" }}
[mesh]
environment = "custom"
url = "{url}"
ca = {{ file = "{ca}" }}
client_certificate = {{ file = "{certificate}" }}
client_key = {{ file = "{key}" }}
shared_key = {{ file = "{root}/shared-key" }}
{mesh}
"#,
            root = self.folder.path().display(),
            state = self.state().display(),
            mesh = self.plan.mesh.unwrap_or_default(),
            journal = journal.unwrap_or_default(),
            url = far.url,
            ca = far.ca.display(),
            certificate = far.client_certificate.display(),
            key = far.client_key.display(),
        );
        let mailbox = |id: &String| {
            format!(
                r#"
[[mailbox]]
id = "{id}"
organisation = "X26"
password = {{ file = "{root}/password" }}
poll = "* * * * * *"
recipients = ["{recipient}"]
output = "{output}"
"#,
                root = self.folder.path().display(),
                output = self.output_of(id).display(),
            )
        };
        let mailboxes: String = self.mailboxes().iter().map(mailbox).collect();
        self.write("meshd.toml", &(configuration + &mailboxes));
    }

    /// Runs a command to its end.
    pub(crate) fn meshd(&self, arguments: &[&str]) -> Ended {
        let output = self.command().args(arguments).output().expect("the program runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints UTF-8");
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(&self) -> Daemon {
        let mut command = self.command();
        command.arg("run");
        let daemon = self.spawn(command);
        daemon.wait_for("the daemon to answer", Duration::from_secs(30), || {
            self.meshd(&["status", "--json"]).stdout.contains("\"running\"")
        });
        daemon
    }

    /// Starts a daemon by this command, and does not wait. Its log goes to `log` in the folder.
    pub(crate) fn spawn(&self, mut command: Command) -> Daemon {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("the folder is ours");
        let child = command.stderr(log).stdout(Stdio::null()).spawn().expect("the program runs");
        Daemon { child: Some(child), log: self.path("log") }
    }

    /// A command that runs the program with the configuration of this place.
    pub(crate) fn command(&self) -> Command {
        self.command_of(Command::new(PROGRAM))
    }

    /// The same for another program that runs ours, such as a tracer.
    pub(crate) fn command_of(&self, mut command: Command) -> Command {
        command.env("MESHD_CONFIG", self.path("meshd.toml")).env_remove("CREDENTIALS_DIRECTORY").stdin(Stdio::null());
        command
    }

    /// Where a consumer finds what came out.
    pub(crate) fn inbox(&self) -> PathBuf {
        self.inbox_of(MAILBOX)
    }

    fn inbox_of(&self, mailbox: &str) -> PathBuf {
        self.output_of(mailbox).join("IN")
    }

    /// What came out: the name of each control file, and the SHA-256 of the data file beside it, if there is one.
    pub(crate) fn published(&self) -> BTreeMap<String, Option<String>> {
        self.published_of(MAILBOX)
    }

    pub(crate) fn published_of(&self, mailbox: &str) -> BTreeMap<String, Option<String>> {
        let folder = self.inbox_of(mailbox);
        let Ok(entries) = fs::read_dir(&folder) else { return BTreeMap::new() };
        let names = entries.map(|entry| entry.expect("the folder is ours").file_name().into_string().expect("ASCII"));
        names
            .filter_map(|name| name.strip_suffix(".ctl").map(str::to_owned))
            .map(|name| {
                let sha256 = sha256(&folder.join(format!("{name}.dat")));
                (name, sha256)
            })
            .collect()
    }
}

fn sha256(path: &Path) -> Option<String> {
    let mut hasher = Hasher::new();
    hasher.update(&fs::read(path).ok()?);
    Some(hasher.clear())
}

/// A running daemon, killed if a test ends before it does.
pub(crate) struct Daemon {
    child: Option<Child>,
    log: PathBuf,
}

#[allow(dead_code, reason = "several test targets share this; each uses its part")]
impl Daemon {
    /// Looks until `condition` holds.
    pub(crate) fn wait_for(&self, what: &str, limit: Duration, condition: impl Fn() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < limit, "waited in vain for {what}: {}", self.end_of_log());
            std::thread::sleep(LOOK);
        }
    }

    /// Asks it to end, and expects that it does, in order.
    pub(crate) fn stop_in_order(mut self) {
        let status = self.end(Signal::TERM);
        assert_eq!(status.code(), Some(0), "{}", self.log());
        assert!(self.log().contains("stopped in order"), "{}", self.log());
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is our child");
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Ends it without a word.
    pub(crate) fn kill(mut self) {
        self.end(Signal::KILL);
    }

    /// How it ended by itself; `None` if it still runs.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().expect("it was not ended by us").try_wait().expect("it is our child")
    }

    /// Ends it with a signal, and says how it ended.
    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.take().expect("it ends once").wait().expect("it is our child")
    }

    /// As much of what it logged as a person reads.
    fn end_of_log(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(100).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
