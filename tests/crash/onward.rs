//! Messages that are published and sent on, while the daemon dies.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use meshd::domain::step::Step;
use meshd::simulator::house::Plan;
use meshd::simulator::message::Draft;
use meshd::simulator::payload::Payload;

use crate::house::House;
use crate::place::{Daemon, MAILBOX};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
/// After all came out, what is sent twice has this long to come too.
const QUIET: Duration = Duration::from_millis(500);
const TO: &str = "X26ABC2";
const ONWARD: &str = r#"
name = "onward"
[match]
mailbox = "X26ABC1"
type = "data"
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
[[output]]
name = "other"
kind = "mesh"
to = "X26ABC2"
workflow = "SENT_ON"
"#;
const REST: &str = r#"
name = "rest"
[match]
mailbox = "X26ABC2"
[[output]]
name = "inbox"
kind = "mesh-folder"
path = "{mailbox.output}/IN"
"#;

/// Has the daemon die at each pass of a step, at most so many, each time with new messages to be sent on.
pub(crate) fn crash_at_passes(step: Step, side: &str, most: u32) -> Result<(), String> {
    let house = House::build(Plan {
        mailboxes: vec![MAILBOX.to_owned(), TO.to_owned()],
        pipelines: vec![("onward.toml", ONWARD.to_owned()), ("rest.toml", REST.to_owned())],
        mailbox: "send = { chunk = \"100KB\" }\n",
        mesh: "ask_after = \"1s\"\n",
        ..Plan::default()
    });
    house.set_up();
    let scene = Scene(house);
    let mut pass = 0;
    while pass < most {
        pass += 1;
        let crash_at = format!("{}:{side}:{pass}", step.as_str());
        scene.offer(pass);
        let has_died = scene.run_until(&crash_at).map_err(|failure| format!("{crash_at}: {failure}"))?;
        scene.recover().map_err(|failure| format!("after {crash_at}: {failure}"))?;
        if !has_died {
            break;
        }
    }
    if pass > 1 { Ok(()) } else { Err(format!("{} was not reached", step.as_str())) }
}

struct Scene(House);

impl Scene {
    /// Small ones, which share a commit, and one in chunks.
    fn offer(&self, pass: u32) {
        for (number, length) in [900, 60_000, 150_000].into_iter().enumerate() {
            let seed = u64::from(pass) * 10 + number as u64;
            let payload = Payload::generated(seed, length, 1 << 20).expect("MESH takes it");
            let mail = Draft::data("X26HC001", "DEMO_LETTERS", payload).ready().expect("a sound message");
            self.0.offer_as(MAILBOX, &format!("MAIL-{pass}-{number}"), &mail);
        }
    }

    fn start(&self, crash_at: Option<&str>) -> Daemon {
        let mut command = self.0.command();
        command.arg("run");
        if let Some(crash_at) = crash_at {
            command.env("MESHD_CRASH_AT", crash_at);
        }
        self.0.spawn(command)
    }

    /// How often each payload lies in the folder of a mailbox.
    fn published(&self, mailbox: &str) -> BTreeMap<Option<String>, usize> {
        let mut counted = BTreeMap::new();
        for sha256 in self.0.published_of(mailbox).into_values() {
            *counted.entry(sha256).or_default() += 1;
        }
        counted
    }

    fn is_through(&self) -> bool {
        let expected = self.0.offered().into_values().map(|sha256| (sha256, 1)).collect();
        self.published(TO) == expected && self.published(MAILBOX) == expected
    }

    /// Whether it died there, or brought everything out.
    fn run_until(&self, crash_at: &str) -> Result<bool, String> {
        let mut daemon = self.start(Some(crash_at));
        let begun = Instant::now();
        loop {
            if let Some(status) = daemon.has_ended() {
                return if status.signal() == Some(6) { Ok(true) } else { Err(format!("it ended with {status}")) };
            }
            if self.is_through() {
                daemon.kill();
                return Ok(false);
            }
            if begun.elapsed() > PATIENCE {
                return Err("it neither ended nor brought everything out".into());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Without faults everything comes to both ends, once.
    fn recover(&self) -> Result<(), String> {
        let mut daemon = self.start(None);
        let begun = Instant::now();
        while !self.is_through() {
            if let Some(status) = daemon.has_ended() {
                return Err(format!("it ended with {status}"));
            }
            if begun.elapsed() > PATIENCE {
                let (here, there) = (self.published(MAILBOX), self.published(TO));
                return Err(format!("offered {:?}, published {here:?}, sent on {there:?}", self.0.offered()));
            }
            std::thread::sleep(LOOK);
        }
        std::thread::sleep(QUIET);
        daemon.stop_in_order();
        let at_mesh = |mailbox| self.0.simulator().messages(mailbox).expect("the mailbox is there").len();
        match (at_mesh(MAILBOX), at_mesh(TO)) {
            (offered, sent) if offered == sent && self.is_through() => Ok(()),
            (offered, sent) => Err(format!("{offered} were offered, and MESH has {sent} that were sent on")),
        }
    }
}
