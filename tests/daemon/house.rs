//! One daemon's surroundings with the simulator as the far side.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use meshd::simulator::faults::Rule;
use meshd::simulator::house::{Far, Plan};
use meshd::simulator::ledger::{Keeping, LedgerSettings};
use meshd::simulator::message::Mail;
use meshd::simulator::payload::Payload;
use meshd::simulator::proxy::{Passage, Proxy};
use meshd::simulator::{MailboxSettings, PASSWORD, Simulator, SimulatorSettings, start};
use tokio::runtime::Runtime;

use crate::place::{MAILBOX, Place, conservation};

/// Everything around one daemon: a [`Place`], and the simulator.
pub(crate) struct House {
    runtime: Runtime,
    simulator: Simulator,
    place: Place,
}

impl Deref for House {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

#[allow(dead_code, reason = "several test targets share this; each uses its part")]
impl House {
    pub(crate) fn new() -> Self {
        Self::build(Plan::default())
    }

    pub(crate) fn build(plan: Plan) -> Self {
        Self::start_far_side(plan, None)
    }

    /// A house whose far side notes everything it is asked, in this file of the folder.
    pub(crate) fn with_ledger(plan: Plan, name: &str) -> Self {
        Self::start_far_side(plan, Some(name))
    }

    fn start_far_side(plan: Plan, ledger_name: Option<&str>) -> Self {
        meshd::adapters::http::install_provider();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let place = Place::build(plan);
        let served = |id: &String| MailboxSettings { id: id.clone(), password: PASSWORD.to_owned() };
        let ledger = |name| LedgerSettings { path: place.path(name), keeping: Keeping::Buffered, requests: true };
        let settings = SimulatorSettings {
            mailboxes: place.mailboxes().iter().map(served).collect(),
            ledger: ledger_name.map(ledger),
            ..SimulatorSettings::default()
        };
        let simulator = runtime.block_on(start(settings)).expect("loopback is free");
        Self { runtime, simulator, place }
    }

    /// The far side.
    pub(crate) fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Puts messages into the inbox.
    pub(crate) fn offer(&self, count: u64, mail: impl FnMut(u64) -> Arc<Mail>) {
        self.runtime.block_on(self.simulator.offer_many(MAILBOX, count, mail)).expect("the mailbox is there");
    }

    /// Puts a message into a mailbox under this id.
    pub(crate) fn offer_as(&self, mailbox: &str, id: &str, mail: &Arc<Mail>) {
        self.runtime.block_on(self.simulator.offer_as(mailbox, id, mail)).expect("the mailbox is there");
    }

    /// Has the far side fail.
    pub(crate) fn fault(&self, rule: Rule) {
        self.simulator.script(rule);
    }

    /// Keys, secrets, configuration, a pipeline and the output root, made as an operator makes them.
    pub(crate) fn set_up(&self) {
        self.place.set_up(&self.far());
    }

    pub(crate) fn set_up_without_output(&self) {
        self.place.set_up_without_output(&self.far()).expect("everything is made");
    }

    /// The same, with a proxy between daemon and far side that does this to each connection.
    pub(crate) fn set_up_behind(&self, passage: impl Fn(u64) -> Passage + Send + 'static) -> Proxy {
        let proxy = self.runtime.block_on(Proxy::start(self.simulator.address(), passage)).expect("loopback is free");
        self.place.set_up(&self.far_at(proxy.url()));
        proxy
    }

    fn far(&self) -> Far {
        self.far_at(self.simulator.url())
    }

    fn far_at(&self, url: String) -> Far {
        let tls = self.simulator.write_client_files(&self.path("tls")).expect("the folder is ours");
        Far::simulated(url, tls)
    }

    pub(crate) fn wait_until_all_acknowledged(&self, limit: Duration) {
        let acknowledged = self.runtime.block_on(self.simulator.wait_until_all_acknowledged(limit));
        if let Err(error) = acknowledged {
            panic!("{error}: {}", std::fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }

    /// What was offered: each message's id and the SHA-256 of its bytes; a report has none.
    pub(crate) fn offered(&self) -> BTreeMap<String, Option<String>> {
        let known = self.simulator.messages(MAILBOX).expect("the mailbox is there");
        let sha256 = |mail: &Mail| match mail.payload {
            Payload::Nothing => None,
            Payload::Fixed(_) | Payload::Generated { .. } => mail.sha256().map(str::to_owned),
        };
        known.into_iter().map(|known| (known.id.to_string(), sha256(&known.mail))).collect()
    }

    /// Every file that is not meant to hold patient data, or holds it sealed: the log, and the whole state directory.
    pub(crate) fn kept_in_clear(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![self.state()];
        let mut files = vec![self.path("log")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("the folder is ours") {
                let path = entry.expect("the folder is ours").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        let read = |path: PathBuf| {
            let mut bytes = fs::read(&path).expect("the file is ours");
            bytes.extend_from_slice(path.as_os_str().as_encoded_bytes());
            (path, bytes)
        };
        files.into_iter().map(read).collect()
    }
}

/// Everything that the far side heard acknowledged, the journal tells of.
impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // What else may be wrong with the journal is told by the place, which is dropped next.
        let Ok(lives) = conservation::lives(&self.state()) else { return };
        for mailbox in self.mailboxes() {
            let known = self.simulator.messages(mailbox).expect("the mailbox is there");
            let acknowledged = known.into_iter().filter(|known| known.acknowledged_at.is_some());
            let acknowledged: Vec<String> = acknowledged.map(|known| known.id.to_string()).collect();
            let forgotten = conservation::forgotten(&lives, mailbox, &acknowledged);
            assert!(lives.is_empty() || forgotten.is_empty(), "acknowledged, and not in the journal: {forgotten:?}");
        }
    }
}
