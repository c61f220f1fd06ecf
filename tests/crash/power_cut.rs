//! One power cut after another, on a real file system: what `tests/crash/power-cut` runs. It needs root.
//!
//! Arguments: DEVICE MOUNT WHAT CUTS. The device holds a file system and is mounted; WHAT is `state` or `output`:
//! what lies on it. Before each cut mail flows; then the file system is shut down under the daemon without writing
//! its log (`xfs_io -x -c shutdown`), the daemon is killed, the file system mounted anew, and everything must come
//! out, as the far side and the consumers know it, whose books lie in this process.

#[path = "../daemon/house.rs"]
mod house;
#[allow(dead_code, reason = "shared: the crash suite uses what this one does not")]
mod judge;
#[path = "../daemon/place.rs"]
mod place;
#[allow(dead_code, reason = "shared: the crash suite uses what this one does not")]
mod scene;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use judge::Times;
use meshd::domain::step::Step;
use meshd::ports::disk::Disk as _;
use meshd::simulator::house::Plan;
use meshd::store::disk::Real;
use rustix::process::Signal;
use scene::{Scene, mixed_batch};

/// Mail of every sort, so often before each cut.
const BATCHES: u64 = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [device, mount, what, cuts] = arguments.as_slice() else {
        panic!("expected DEVICE MOUNT state|output CUTS: tests/crash/power-cut gives them");
    };
    let cuts: u64 = cuts.parse().expect("CUTS is a number");
    let disk = Disk { device: device.into(), mount: mount.into() };
    let (plan, times) = match what.as_str() {
        "state" => (Plan { state: Some(disk.mount.join("state")), ..Plan::default() }, Times::Once),
        "output" => (Plan { output: Some(disk.mount.join("out")), ..Plan::default() }, Times::OnceAndOnceMore),
        other => panic!("expected state or output, not {other:?}"),
    };
    let (mut scene, mut came) = (Scene::new(plan), 0);
    for cut in 0..cuts {
        for batch in 0..BATCHES {
            scene.offer(mixed_batch(cut * 100 + batch * 10));
        }
        let mut daemon = scene.spawn(None);
        // Earlier and later moments of the same work: after so many more sets came out.
        let until = came + cut as usize * 7 % 40;
        scene.wait_for("mail to come out", || scene.count() >= until || scene.missing().is_empty()).expect("it comes");
        std::thread::sleep(Duration::from_millis(cut * 37 % 90));
        disk.cut();
        let synced = Real::new().sync_folder(Step::PublishControlSync, &disk.mount);
        assert!(synced.is_err(), "a folder's names were called durable on a disk without power");
        daemon.end(Signal::KILL);
        scene.recall_consumers();
        disk.mount_anew();
        scene.send_consumers();
        scene.recover(times).unwrap_or_else(|failure| panic!("after cut {cut} of {device}: {failure}"));
        came = scene.count();
    }
    let again = scene.times_doubled();
    let offered = scene.offered().len();
    scene.finish(times).unwrap_or_else(|failure| panic!("at the end: {failure}"));
    let line = format!("power-cut {what}: {cuts} cuts, {offered} messages, 0 lost, {again} sets came out again\n");
    std::io::stdout().write_all(line.as_bytes()).expect("standard output is there");
}

struct Disk {
    device: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// From here on nothing reaches the device, not even the file system's own log.
    fn cut(&self) {
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.mount));
    }

    fn mount_anew(&self) {
        run(Command::new("umount").arg(&self.mount));
        run(Command::new("mount").args([&self.device as &Path, &self.mount]));
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program is there");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
