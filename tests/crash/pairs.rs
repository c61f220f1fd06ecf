//! Pairs of files on their way out of `OUT`, while the daemon dies.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use meshd::domain::step::Step;
use meshd::simulator::house::Plan;

use crate::house::House;
use crate::place::{Daemon, MAILBOX};

const PATIENCE: Duration = Duration::from_secs(60);
/// As short as may be: each pass waits for it.
const QUICK: &str = "pickup = { settle = \"1s\", orphan_after = \"2s\", scan = \"1s\", reports = [\"transfer\"] }\n";
/// Pairs of each pass that can be sent.
const SENT: usize = 2;

/// Has the daemon die at each pass of a step, at most so many, each time with new pairs in `OUT`.
pub(crate) fn crash_at_passes(step: Step, side: &str, most: u32) -> Result<(), String> {
    let house = House::build(Plan { mailbox: QUICK, mesh: "ask_after = \"1s\"\n", ..Plan::default() });
    house.set_up();
    let pairs = Pairs(house);
    let mut pass = 0;
    while pass < most {
        pass += 1;
        let crash_at = format!("{}:{side}:{pass}", step.as_str());
        pairs.put(pass);
        let has_died = pairs.run_until(&crash_at).map_err(|failure| format!("{crash_at}: {failure}"))?;
        pairs.recover(pass).map_err(|failure| format!("after {crash_at}: {failure}"))?;
        if !has_died {
            break;
        }
    }
    if pass > 1 { Ok(()) } else { Err(format!("{} was not reached", step.as_str())) }
}

struct Pairs(House);

impl Pairs {
    fn folder(&self, name: &str) -> PathBuf {
        self.0.output().join(name)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let listed = fs::read_dir(self.folder(folder)).expect("it is there");
        let mut names: Vec<String> =
            listed.map(|entry| entry.expect("it lists").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// Some that can be sent, and one that cannot. Without a local id of its sender's, each can be asked for.
    fn put(&self, pass: u32) {
        let control = |from: &str| {
            format!(
                "<DTSControl><Version>1.0</Version><AddressType>DTS</AddressType><MessageType>Data</MessageType>\
                 <WorkflowId>LETTERS</WorkflowId><To_DTS>{MAILBOX}</To_DTS><From_DTS>{from}</From_DTS></DTSControl>"
            )
        };
        let put = |base: &str, from: &str| {
            let out = self.folder("OUT");
            fs::write(out.join(format!("{base}.dat")), format!("the bytes of {base}")).expect("the folder is ours");
            fs::write(out.join(format!("{base}.ctl")), control(from)).expect("the folder is ours");
        };
        (0..SENT).for_each(|number| put(&format!("good-{pass}-{number}"), MAILBOX));
        put(&format!("bad-{pass}"), "X26XXX9");
    }

    fn start(&self, crash_at: Option<&str>) -> Daemon {
        let mut command = self.0.command();
        command.arg("run");
        if let Some(crash_at) = crash_at {
            command.env("MESHD_CRASH_AT", crash_at);
        }
        self.0.spawn(command)
    }

    /// Whether it died there, or put all pairs away.
    fn run_until(&self, crash_at: &str) -> Result<bool, String> {
        use std::os::unix::process::ExitStatusExt;
        let mut daemon = self.start(Some(crash_at));
        let begun = Instant::now();
        let mut empty_since = None;
        loop {
            if let Some(status) = daemon.has_ended() {
                return if status.signal() == Some(6) { Ok(true) } else { Err(format!("it ended with {status}")) };
            }
            empty_since = if self.names("OUT").is_empty() { empty_since.or(Some(Instant::now())) } else { None };
            if empty_since.is_some_and(|since| since.elapsed() > Duration::from_millis(500)) {
                daemon.kill();
                return Ok(false);
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("it neither ended nor emptied OUT: {:?}", self.names("OUT")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Without faults everything comes to its end: each pair is at MESH once, in `SENT` once and reported once; the others
    /// are in `FAILED`.
    fn recover(&self, passes: u32) -> Result<(), String> {
        let mut daemon = self.start(None);
        let begun = Instant::now();
        let is_running = || self.0.meshd(&["status", "--json"]).stdout.contains("\"running\"");
        while !self.names("OUT").is_empty() || !is_running() {
            if let Some(status) = daemon.has_ended() {
                return Err(format!("it ended with {status}"));
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("OUT is not emptied: {:?}", self.names("OUT")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        daemon.stop_in_order();
        let (sent, failed) = (SENT * passes as usize, passes as usize);
        let at_mesh = self.0.simulator().messages(MAILBOX).expect("the mailbox is there").len();
        let reports = |of: &str| self.names("IN").iter().filter(|name| name.contains(of)).count();
        let found = [
            ("messages at MESH", at_mesh, sent),
            ("files in SENT", self.names("SENT").len(), 2 * sent),
            ("files in FAILED", self.names("FAILED").len(), 2 * failed),
            ("reports of transfers", reports("_TRANSFER-00"), sent),
            ("reports of failures", reports("_SEND-07"), failed),
            ("other reports", reports("_COLLECT"), 0),
            ("files left in TEMP", self.names("TEMP").len(), 0),
        ];
        match found.into_iter().find(|(_, found, expected)| found != expected) {
            Some((what, found, expected)) => Err(format!("{what}: {found}, expected {expected}")),
            None => Ok(()),
        }
    }
}
