//! What a service manager is told (sd_notify(3)), heard by one that is not there.

use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::mail::mixed;
use rustix::process::Signal;
use serde_json::Value;

use crate::house::House;
use crate::place::Daemon;
use crate::{PATIENCE, say};

/// Within which time the manager wants to hear of the daemon: above the commits of a busy machine.
const LIMIT: Duration = Duration::from_secs(6);

/// One datagram.
#[derive(Debug, Clone)]
struct Heard {
    at: Instant,
    text: String,
    /// Whether the control socket took a connection at that moment.
    answers: bool,
}

/// The manager's end of `NOTIFY_SOCKET`. It listens all the time: a datagram that nobody takes would hold the daemon.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Arc<Mutex<Vec<Heard>>>,
    listener: Option<JoinHandle<()>>,
}

impl Manager {
    fn new(house: &House) -> Self {
        let (path, control) = (house.path("notify"), house.path("control.sock"));
        let socket = UnixDatagram::bind(&path).expect("the folder is ours");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (taking, noted) = (socket.try_clone().expect("a descriptor"), Arc::clone(&heard));
        let listener = std::thread::spawn(move || listen(&taking, &control, &noted));
        Self { socket, path, heard, listener: Some(listener) }
    }

    /// Starts the daemon as a unit with this `WatchdogSec` does, and does not wait.
    fn start(&self, house: &House) -> Daemon {
        let mut command = house.command();
        command.arg("run").env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", LIMIT.as_micros().to_string());
        house.spawn(command)
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("nobody panicked").clone()
    }

    /// When each datagram came that has this line.
    fn times(&self, line: &str) -> Vec<Instant> {
        self.heard().into_iter().filter(|heard| heard.has(line)).map(|heard| heard.at).collect()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.socket.shutdown(std::net::Shutdown::Both).expect("it is open");
        if let Some(listener) = self.listener.take() {
            listener.join().expect("it only listens");
        }
    }
}

fn listen(socket: &UnixDatagram, control: &Path, noted: &Mutex<Vec<Heard>>) {
    let mut bytes = [0; 4096];
    loop {
        let length = socket.recv(&mut bytes).expect("it is open");
        if length == 0 {
            return;
        }
        let answers = UnixStream::connect(control).is_ok();
        let text = String::from_utf8(bytes[..length].to_vec()).expect("it is told UTF-8");
        noted.lock().expect("nobody panicked").push(Heard { at: Instant::now(), text, answers });
    }
}

impl Heard {
    fn has(&self, line: &str) -> bool {
        self.text.lines().any(|told| told == line)
    }
}

#[test]
fn ready_is_told_once_what_was_kept_is_recovered_and_the_control_socket_answers() {
    const MESSAGES: u64 = 5;
    let house = House::new();
    house.offer(MESSAGES, |number| mixed(number).expect("synthetic mail is well made"));
    house.set_up();
    let first = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    first.wait_for("all mail to come out", PATIENCE, || house.published().len() as u64 == MESSAGES);
    first.kill();
    std::fs::remove_dir_all(house.state().join("index")).expect("the folder is ours");

    let manager = Manager::new(&house);
    let daemon = manager.start(&house);
    daemon.wait_for("READY", PATIENCE, || !manager.times("READY=1").is_empty());
    let status: Value = serde_json::from_str(&house.meshd(&["status", "--json"]).expect_done()).expect("JSON");
    assert_eq!(status["mailboxes"][0]["occupancy"]["accepted_total"], MESSAGES);
    let line = format!("STATUS=running: 0 queued, 0 held or dead, {MESSAGES} delivered");
    daemon.wait_for("the status line", PATIENCE, || !manager.times(&line).is_empty());
    daemon.stop_in_order();

    let heard = manager.heard();
    assert!(heard[0].has("STATUS=starting: recovering") && !heard[0].answers, "{heard:?}");
    let ready: Vec<&Heard> = heard.iter().filter(|heard| heard.has("READY=1")).collect();
    assert!(ready.len() == 1 && ready[0].answers, "{heard:?}");
}

#[test]
fn the_watchdog_is_fed_at_a_third_of_its_time() {
    let house = House::new();
    house.set_up();
    let manager = Manager::new(&house);
    let daemon = manager.start(&house);
    let fed = || manager.times("WATCHDOG=1");
    daemon.wait_for("some pings", PATIENCE, || fed().len() > 3);
    let fed = fed();
    for pair in fed.windows(2) {
        assert!(pair[1] - pair[0] < LIMIT, "{fed:?}");
    }
    // The first may have waited for its commit; none comes before its time.
    assert!(fed[3] - fed[0] > LIMIT * 2 / 3, "{fed:?}");
    daemon.stop_in_order();
}

#[test]
fn a_store_that_does_not_commit_starves_the_watchdog() {
    let disk = match FrozenDisk::new() {
        Ok(disk) => disk,
        Err(why) => return say(&format!("NOT RUN watchdog on a frozen disk: {why}")),
    };
    let house = House::build(Plan { state: Some(disk.mount().join("state")), ..Plan::default() });
    house.set_up();
    let manager = Manager::new(&house);
    let daemon = manager.start(&house);
    let fed = || manager.times("WATCHDOG=1");
    daemon.wait_for("a ping", PATIENCE, || !fed().is_empty());

    let frozen = disk.freeze();
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    let is_starved = || fed().last().is_some_and(|last| last.elapsed() > LIMIT);
    daemon.wait_for("the pings to end", PATIENCE, is_starved);
    drop(frozen);
    daemon.wait_for("the pings to come again", PATIENCE, || !is_starved());
    house.wait_until_all_acknowledged(PATIENCE);
    daemon.stop_in_order();
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end_whatever_comes_of_it() {
    let house = House::new();
    house.set_up();
    let manager = Manager::new(&house);
    let daemon = manager.start(&house);
    let ready = || manager.times("READY=1").len();
    daemon.wait_for("READY", PATIENCE, || ready() == 1);
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY again", PATIENCE, || ready() == 2);
    house.write("pipelines/wrong.toml", "name = \"wrong\"\n[match]\nworkflw = [\"X\"]\n");
    daemon.signal(Signal::HUP);
    daemon.wait_for("READY after a refused reload", PATIENCE, || ready() == 3);
    std::fs::remove_file(house.path("pipelines/wrong.toml")).expect("it was written");
    daemon.stop_in_order();

    let heard = manager.heard();
    let told = ["RELOADING=1", "READY=1"];
    let order: Vec<_> = heard.iter().filter_map(|heard| told.iter().find(|line| heard.has(line))).copied().collect();
    assert_eq!(order, ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]);
    // Asked for in the same datagram, so that an old answer is not taken for a new one.
    let since = |heard: &Heard| heard.text.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse().ok());
    let since: Vec<Option<u64>> = heard.iter().filter(|heard| heard.has("RELOADING=1")).map(since).collect();
    assert!(since[0].is_some() && since[0] < since[1], "{since:?}");
}

#[test]
fn a_stop_is_told_at_its_beginning() {
    let house = House::build(Plan { drain: "60s", ..Plan::default() });
    house.set_up();
    house.fault(Rule::once(Call::Acknowledge, Fault::Delay(PATIENCE)));
    house.offer(1, |_| mixed(0).expect("synthetic mail is well made"));
    let manager = Manager::new(&house);
    let mut daemon = manager.start(&house);
    daemon.wait_for("the mail to come out", PATIENCE, || house.published().len() == 1);
    daemon.signal(Signal::TERM);
    daemon.wait_for("STOPPING", PATIENCE, || !manager.times("STOPPING=1").is_empty());
    let waits = || manager.heard().iter().any(|heard| heard.text.starts_with("STATUS=stopping: waiting for receiving"));
    daemon.wait_for("what it waits for", PATIENCE, waits);
    assert!(daemon.has_ended().is_none(), "it waits for an acknowledge");
    daemon.end(Signal::TERM);
}

/// A file system in a file, which can be made to write nothing. Needs root and a loop device.
struct FrozenDisk {
    folder: tempfile::TempDir,
}

impl FrozenDisk {
    fn new() -> Result<Self, String> {
        let disk = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let image = disk.folder.path().join("image");
        let file = std::fs::File::create(&image).expect("the folder is ours");
        file.set_len(64 << 20).expect("it takes no room yet");
        std::fs::create_dir(disk.mount()).expect("the folder is ours");
        run(Command::new("mkfs.ext4").arg("-qF").arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.mount()))?;
        Ok(disk)
    }

    fn mount(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// Until the answer is dropped, whoever writes there waits.
    fn freeze(&self) -> Frozen {
        run(Command::new("fsfreeze").arg("--freeze").arg(self.mount())).expect("it is mounted");
        Frozen(self.mount())
    }
}

impl Drop for FrozenDisk {
    fn drop(&mut self) {
        // It may never have been mounted.
        drop(run(Command::new("umount").arg("--lazy").arg(self.mount())));
    }
}

struct Frozen(PathBuf);

impl Drop for Frozen {
    fn drop(&mut self) {
        run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.0)).expect("it is frozen");
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
