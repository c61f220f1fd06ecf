//! A daemon between a far side and consumers that take and delete, both in this process: they outlive every crash.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meshd::domain::output::Layout;
use meshd::simulator::State;
use meshd::simulator::consumer::{Consumer, ConsumerSettings};
use meshd::simulator::house::Plan;
use meshd::simulator::mail::{Kind, sample};
use meshd::simulator::message::{Draft, Mail};
use meshd::simulator::payload::Payload;
use rustix::process::{Pid, Signal, kill_process};

use crate::house::House;
use crate::judge::{Broken, Offered, Taken, Times, judge, left_behind, missing, told};
use crate::place::{Daemon, MAILBOX};

/// Long enough for a busy machine, short enough to fail by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what another process does.
const LOOK: Duration = Duration::from_millis(10);
/// After all mail came out, a daemon has this long for what it does by itself: it looks once a second.
const QUIET: Duration = Duration::from_millis(1500);

pub(crate) const INBOX: &str = "inbox";
pub(crate) const COPY: &str = "copy";

/// Reports go to one output, everything else to two of different layout.
pub(crate) const TWO_OUTPUTS: &str = r#"
name = "everything"
[match]
workflow = ["TOC_*", "DEMO_*"]
[[stage]]
use = "route"
rules = [ { when = { type = "report" }, to = ["inbox"] }, { otherwise = true, to = ["inbox", "copy"] } ]
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
[[output]]
name = "copy"
kind = "folder"
path = "{mailbox.output}/copy"
"#;

/// Mail of this kind is taken by no pipeline: a dead letter.
pub(crate) const DEAD_LETTER: Kind = Kind::Pathology;

/// In every header that may hold a patient; 999 numbers belong to nobody.
const CANARIES: [&str; 2] = ["9990000018", "CANARY-SMITH"];

/// One house and everyone who looks at it.
pub(crate) struct Scene {
    pub(crate) house: House,
    consumers: Vec<(&'static str, Consumer)>,
    before: Taken,
}

/// How a run under observation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// By the signal it was to end by.
    Died,
    /// It brought everything out and was killed then: the point lay further on.
    Through,
}

/// How a daemon that may halt came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code, or by a signal.
    Itself(Option<i32>),
    /// It brought everything out, and was killed.
    Killed,
}

impl Scene {
    /// A house that is set up, its outputs watched.
    pub(crate) fn new(plan: Plan) -> Self {
        let mut scene = Self::bare(plan);
        scene.house.set_up();
        scene.send_consumers();
        scene
    }

    /// The same without outputs and consumers.
    pub(crate) fn bare(plan: Plan) -> Self {
        let house = House::build(Plan { pipelines: vec![("everything.toml", TWO_OUTPUTS.to_owned())], ..plan });
        Self { house, consumers: Vec::new(), before: Taken::default() }
    }

    /// Puts a consumer at each output.
    pub(crate) fn send_consumers(&mut self) {
        let consumer = |name, folder: &str, layout| {
            let folder = self.house.output().join(folder);
            let settings = ConsumerSettings { folder, layout, ledger: None, synced: false, controls: false };
            (name, Consumer::start(settings).expect("a thread"))
        };
        self.consumers = vec![consumer(INBOX, "IN", Layout::MeshFolder), consumer(COPY, "copy", Layout::Folder)];
    }

    /// Sends the consumers away. What they took is remembered, even if a disk failed under them.
    pub(crate) fn recall_consumers(&mut self) {
        for (name, consumer) in self.consumers.drain(..) {
            let taken = consumer.taken();
            let taken = consumer.stop().unwrap_or(taken);
            let sets = taken.into_iter().map(|taken| (taken.name, taken.sha256));
            self.before.entry(name).or_default().extend(sets);
        }
    }

    /// Puts mail into the inbox.
    pub(crate) fn offer(&self, mails: Vec<Arc<Mail>>) {
        let mut mails = mails.into_iter();
        self.house.offer(mails.len() as u64, |_| mails.next().expect("as many as it has"));
    }

    /// Starts the daemon and does not wait. With `crash_at` it ends at that pass of that step.
    pub(crate) fn spawn(&self, crash_at: Option<&str>) -> Daemon {
        let mut command = self.house.command();
        command.arg("run");
        if let Some(crash_at) = crash_at {
            command.env("MESHD_CRASH_AT", crash_at);
        }
        self.house.spawn(command)
    }

    /// Runs the daemon until it ends at `crash_at`, or has brought all mail out and been quiet since.
    pub(crate) fn run_until(&self, crash_at: &str) -> Result<Ran, String> {
        use std::os::unix::process::ExitStatusExt;
        let mut daemon = self.spawn(Some(crash_at));
        let begun = Instant::now();
        let mut quiet_since = None;
        loop {
            if let Some(status) = daemon.has_ended() {
                let aborted = status.signal() == Some(Signal::ABORT.as_raw());
                return aborted
                    .then_some(Ran::Died)
                    .ok_or_else(|| format!("{crash_at}: it ended with {status}: {}", self.tail()));
            }
            quiet_since = if self.missing().is_empty() { quiet_since.or(Some(Instant::now())) } else { None };
            if quiet_since.is_some_and(|since| since.elapsed() > QUIET) {
                daemon.kill();
                return Ok(Ran::Through);
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{crash_at}: it neither ended nor brought all out: {}", self.tail()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Runs a daemon by this command, maybe through a tracer, until it ends or has brought all mail out.
    pub(crate) fn run_to_end(&self, command: Command) -> Result<Ended, String> {
        let mut daemon = self.house.spawn(command);
        let begun = Instant::now();
        let (mut is_killed, mut quiet_since) = (false, None);
        loop {
            if let Some(status) = daemon.has_ended() {
                return Ok(if is_killed { Ended::Killed } else { Ended::Itself(status.code()) });
            }
            quiet_since = if self.missing().is_empty() { quiet_since.or(Some(Instant::now())) } else { None };
            if !is_killed && quiet_since.is_some_and(|since| since.elapsed() > QUIET) {
                // Not the tracer, which would only let go of it.
                self.kill_holder();
                is_killed = true;
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("it neither ended nor brought all out: {}", self.tail()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Kills the process that holds the lock of the state directory.
    fn kill_holder(&self) {
        let note = std::fs::read(self.house.state().join("lock")).expect("the daemon runs");
        let note: serde_json::Value = serde_json::from_slice(&note).expect("it says who holds it");
        let pid = note["pid"].as_i64().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("a process id");
        kill_process(pid, Signal::KILL).expect("it is our child's child");
    }

    /// Starts the daemon without faults, gives it the time to bring everything out, stops it in order, and judges.
    pub(crate) fn recover(&self, times: Times) -> Result<(), String> {
        let daemon = self.spawn(None);
        self.await_all(daemon, times)
    }

    /// Like [`Scene::recover`], with a daemon that runs already.
    pub(crate) fn await_all(&self, mut daemon: Daemon, times: Times) -> Result<(), String> {
        let begun = Instant::now();
        // One that is not yet running ends by a signal, not in order.
        let is_running = || self.house.meshd(&["status", "--json"]).stdout.contains("\"running\"");
        while !self.missing().is_empty() || !is_running() {
            if let Some(status) = daemon.has_ended() {
                return Err(format!("it ended with {status}: {}", self.tail()));
            }
            if begun.elapsed() > PATIENCE {
                // For the reader alone: the verdict stands.
                let aside = self.house.meshd(&["deadletter", "list"]).stdout;
                return Err(format!("{}: {}\n{aside}", list(&self.missing()), self.tail()));
            }
            std::thread::sleep(LOOK);
        }
        self.stop(daemon)?;
        let broken = judge(&self.offered(), &self.taken(), times);
        if broken.is_empty() { Ok(()) } else { Err(format!("{}: {}", list(&broken), self.tail())) }
    }

    fn stop(&self, mut daemon: Daemon) -> Result<(), String> {
        daemon.signal(Signal::TERM);
        let begun = Instant::now();
        loop {
            match daemon.has_ended() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("its stop ended with {status}: {}", self.tail())),
                None if begun.elapsed() > PATIENCE => return Err(format!("it does not stop: {}", self.tail())),
                None => std::thread::sleep(LOOK),
            }
        }
    }

    /// Changes the part of the disk that is left free.
    pub(crate) fn set_floor(&self, percent: &str) {
        let path = self.house.path("meshd.toml");
        let before = std::fs::read_to_string(&path).expect("the house is ours");
        let lines = before.lines().map(|line| match line.starts_with("min_free =") {
            true => format!("min_free = \"{percent}\"\n"),
            false => format!("{line}\n"),
        });
        let after: String = lines.collect();
        self.house.write("meshd.toml", &after);
    }

    /// Runs the daemon near the disk's floor until what was delivered is gone, and then looks whether all dead letters open.
    pub(crate) fn keep_only_dead_letters(&self) -> Result<(), String> {
        let dead = |offered: &Offered| offered.destinations.is_empty();
        let dead: BTreeSet<String> = self.offered().into_iter().filter(dead).map(|offered| offered.id).collect();
        let daemon = self.spawn(None);
        self.wait_for("the spool to hold what dead letters need alone", || {
            self.retained() == Some(0) && self.spooled().is_some_and(|places| is_needed_by(&dead, &places))
        })?;
        daemon.kill();
        let identity = self.house.path("identity");
        let ended = self.house.meshd(&["spool", "verify", "--identity", identity.to_str().expect("UTF-8")]);
        if ended.code == Some(0) { Ok(()) } else { Err(format!("spool verify: {}{}", ended.stdout, ended.stderr)) }
    }

    /// Delivered messages whose payloads are kept; `None` while the daemon does not answer.
    fn retained(&self) -> Option<u64> {
        let status: serde_json::Value = serde_json::from_str(&self.house.meshd(&["status", "--json"]).stdout).ok()?;
        status["mailboxes"][0]["occupancy"]["retained"]["messages"].as_u64()
    }

    /// What lies in the spool: ids of messages, each with its volume, if it is in one. `None` if something left while it
    /// was looked at.
    fn spooled(&self) -> Option<Vec<(String, Option<u64>)>> {
        let listed = self.house.meshd(&["spool", "list", "--json"]);
        let place = |line: &str| {
            let item: serde_json::Value = serde_json::from_str(line).ok()?;
            let id = item["message"].as_str().or(item["arriving"].as_str())?;
            Some((id.to_owned(), item["location"]["group"]["volume"].as_u64()))
        };
        (listed.code == Some(0)).then(|| listed.stdout.lines().filter_map(place).collect())
    }

    /// The end of a scene: once more from start to stop, then everything is looked at.
    pub(crate) fn finish(mut self, times: Times) -> Result<(), String> {
        self.recover(times)?;
        self.recall_consumers();
        let mut broken = judge(&self.offered(), &self.taken(), times);
        broken.extend(left_behind(&self.output_folders(), &self.house.state()));
        broken.extend(told(self.house.kept_in_clear(), &CANARIES));
        for command in [&["journal", "verify"][..], &["spool", "verify"][..]] {
            let ended = self.house.meshd(command);
            if ended.code != Some(0) {
                return Err(format!("{command:?}: {}{}", ended.stdout, ended.stderr));
            }
        }
        if broken.is_empty() { Ok(()) } else { Err(format!("{}: {}", list(&broken), self.tail())) }
    }

    /// Every folder in which outputs appear or are made.
    pub(crate) fn output_folders(&self) -> Vec<PathBuf> {
        ["", "IN", "TEMP", "copy", "copy/.staging"].iter().map(|name| self.house.output().join(name)).collect()
    }

    /// What the far side knows.
    pub(crate) fn offered(&self) -> Vec<Offered> {
        let known = self.house.simulator().messages(MAILBOX).expect("the mailbox is there");
        let offered = known.into_iter().map(|known| {
            let is_report = matches!(known.mail.payload, Payload::Nothing);
            let is_dead_letter = known.mail.workflow == DEAD_LETTER.workflow();
            Offered {
                id: known.id.to_string(),
                sha256: if is_report { None } else { known.mail.sha256().map(str::to_owned) },
                is_acknowledged: known.state == State::Acknowledged,
                destinations: match (is_dead_letter, is_report) {
                    (true, _) => Vec::new(),
                    (false, true) => vec![INBOX],
                    (false, false) => vec![INBOX, COPY],
                },
            }
        });
        offered.collect()
    }

    /// What the consumers took so far.
    pub(crate) fn taken(&self) -> Taken {
        let mut all = self.before.clone();
        for (name, consumer) in &self.consumers {
            let sets = consumer.taken().into_iter().map(|taken| (taken.name, taken.sha256));
            all.entry(name).or_default().extend(sets);
        }
        all
    }

    /// What is still to come.
    pub(crate) fn missing(&self) -> Vec<Broken> {
        missing(&self.offered(), &self.taken())
    }

    /// How many sets were taken so far.
    pub(crate) fn count(&self) -> usize {
        self.taken().values().map(Vec::len).sum()
    }

    /// How many sets came out more often than once.
    pub(crate) fn times_doubled(&self) -> usize {
        let distinct =
            |sets: &Vec<(String, Option<String>)>| sets.iter().collect::<std::collections::BTreeSet<_>>().len();
        self.taken().values().map(|sets| sets.len() - distinct(sets)).sum()
    }

    /// Looks until `condition` holds.
    pub(crate) fn wait_for(&self, what: &str, condition: impl Fn() -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while !condition() {
            if begun.elapsed() > PATIENCE {
                return Err(format!("waited in vain for {what}: {}", self.tail()));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.house.path("log")).unwrap_or_default()
    }

    /// The end of the log.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!("\n{}", lines[lines.len().saturating_sub(25)..].join("\n"))
    }

    /// A command that runs the program through another.
    pub(crate) fn through(&self, program: &str) -> Command {
        self.house.command_of(Command::new(program))
    }
}

/// Whether all of these messages lie in volumes, and nothing else does but what shares a volume with one of them.
fn is_needed_by(ids: &BTreeSet<String>, places: &[(String, Option<u64>)]) -> bool {
    let here = |(id, volume): &(String, Option<u64>)| volume.filter(|_| ids.contains(id));
    let volumes: BTreeSet<u64> = places.iter().filter_map(here).collect();
    let found: BTreeSet<&String> = places.iter().map(|(id, _)| id).filter(|id| ids.contains(*id)).collect();
    found.len() == ids.len() && places.iter().all(|(_, volume)| volume.is_some_and(|volume| volumes.contains(&volume)))
}

fn list(broken: &[Broken]) -> String {
    let first: Vec<String> = broken.iter().take(10).map(ToString::to_string).collect();
    format!("{} broken promises: {}", broken.len(), first.join("; "))
}

/// One of each sort that is kept differently: in a volume, in one file, chunk by chunk (twice), without a payload.
pub(crate) fn mixed_batch(seed: u64) -> Vec<Arc<Mail>> {
    let small = [Kind::Discharge, Kind::Tiny, Kind::List, Kind::Report, Kind::Gzip, Kind::ChunkedGzip];
    let small = small.into_iter().map(|kind| sample(kind, seed).expect("synthetic mail is well made"));
    small.chain([large(seed, 300_000, 130_000), large(seed + 1, 200_000, 70_000)]).collect()
}

/// A message of so many bytes in chunks of so many.
pub(crate) fn large(seed: u64, length: u64, chunk: u64) -> Arc<Mail> {
    let payload = Payload::generated(seed, length, chunk).expect("MESH takes it");
    let canary = || Some(CANARIES.join(" "));
    let draft = Draft {
        subject: canary(),
        local_id: canary(),
        file_name: canary(),
        partner_id: canary(),
        ..Draft::data("X26ABC9", "DEMO_LARGE", payload)
    };
    draft.ready().expect("plain headers")
}
