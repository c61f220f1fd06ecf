//! One daemon's folder with everything it needs, its commands, and its outputs; the far side is whoever is named.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

#[path = "conservation.rs"]
pub(crate) mod conservation;

use meshd::domain::digest::Hasher;
use meshd::simulator::house::{Far, House, Plan};
use rustix::process::{Pid, Signal, kill_process};

/// The mailbox that the daemon receives from.
pub(crate) const MAILBOX: &str = "X26ABC1";

/// Between two looks at what another process does.
const LOOK: Duration = Duration::from_millis(10);

/// The folder.
pub(crate) struct Place {
    house: House,
    _folder: tempfile::TempDir,
}

impl Deref for Place {
    type Target = House;

    fn deref(&self) -> &House {
        &self.house
    }
}

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_meshd");

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[allow(dead_code, reason = "several test targets share this; each uses its part")]
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
        let folder = tempfile::tempdir().expect("a temporary folder");
        let plan = Plan { tables: format!("[log]\nlevel = \"debug\"\n{}", plan.tables), ..plan };
        Self { house: House::new(PROGRAM.into(), folder.path().to_owned(), plan), _folder: folder }
    }

    /// The folder above the mailbox's outputs.
    pub(crate) fn output(&self) -> PathBuf {
        self.output_of(MAILBOX)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        self.house.write(name, text).expect("the folder is ours");
    }

    /// Keys, secrets, configuration, a pipeline and the output root, made as an operator makes them.
    pub(crate) fn set_up(&self, far: &Far) {
        self.house.set_up(far).expect("everything is made");
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

    /// Where a consumer finds what came out.
    pub(crate) fn inbox(&self) -> PathBuf {
        self.inbox_of(MAILBOX)
    }

    pub(crate) fn inbox_of(&self, mailbox: &str) -> PathBuf {
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

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Err(problem) = conservation::lives(&self.state())
        {
            panic!("the journal tells what cannot be: {problem}");
        }
    }
}

pub(crate) fn sha256(path: &Path) -> Option<String> {
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
