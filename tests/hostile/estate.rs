//! A house with one mailbox for each case, and what is asserted about all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meshd::domain::fault::FaultCode;
use meshd::domain::ids::DeliveryId;
use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::message::{Draft, Mail};
use meshd::simulator::payload::Payload;
use meshd::store::disk::Real;
use meshd::store::journal::event::Event;
use meshd::store::journal::segment::Reader;
use meshd::store::journal::segments;
use serde_json::Value;

use crate::house::House;
use crate::place::Daemon;

/// The bad message of a case.
pub(crate) const BAD: &str = "BAD";
/// The good ones, in front of it and behind it.
const GOOD: [&str; 2] = ["GOOD-BEFORE", "GOOD-BEHIND"];

/// In every value a sender could have filled with a patient. 999 numbers belong to nobody.
pub(crate) const CANARIES: [&str; 3] = ["9990000018", "CANARY-SMITH", "1967-01-26"];
/// All of them in one value.
pub(crate) const CANARY: &str = "9990000018 CANARY-SMITH 1967-01-26";

/// Long enough for a busy machine, short enough to fail by itself.
const PATIENCE: Duration = Duration::from_secs(110);
const LOOK: Duration = Duration::from_millis(200);

/// What becomes of the bad message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It comes out, as it was sent.
    Delivered,
    /// The same, and what was in the way meanwhile is told by this reason.
    DeliveredThough(FaultCode),
    /// It stays at MESH, and the journal says why.
    Refused(FaultCode),
    /// It is kept as served, set aside, and acknowledged.
    Dead(FaultCode),
    /// The world is at fault for as long as it lasts: it waits, and the log says why.
    Waits(FaultCode),
    /// It may be another instance's: noted, and no alarm on the first.
    LetGo,
}

/// One case, which gets a mailbox of its own.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bad: Arc<Mail>,
    /// What goes wrong, with which call about the bad message; or with the list.
    pub(crate) faults: Vec<(Call, Option<u64>, u64, Fault)>,
    pub(crate) end: End,
}

impl Case {
    /// A good message, spoilt each time it is fetched.
    pub(crate) fn fetch(name: impl Into<String>, fault: Fault, end: End) -> Self {
        Self::of(name, plain(), end).with(Call::Fetch, None, u64::MAX, fault)
    }

    /// A message that is bad in itself.
    pub(crate) fn of(name: impl Into<String>, bad: Arc<Mail>, end: End) -> Self {
        Self { name: name.into(), bad, faults: Vec::new(), end }
    }

    pub(crate) fn with(mut self, call: Call, chunk: Option<u64>, times: u64, fault: Fault) -> Self {
        self.faults.push((call, chunk, times, fault));
        self
    }
}

/// A good message with a canary in every field that may hold a patient.
pub(crate) fn draft(payload: Payload) -> Draft {
    let canary = || Some(CANARY.to_owned());
    Draft {
        subject: canary(),
        local_id: canary(),
        file_name: Some(format!("../{CANARY}.xml")),
        partner_id: canary(),
        ..Draft::data("X26ABC9", "HOSTILE", payload)
    }
}

pub(crate) fn plain() -> Arc<Mail> {
    draft(Payload::plain(format!("a letter about {CANARY}"))).ready().expect("a sound message")
}

/// Three chunks of 100 kB.
pub(crate) fn chunked() -> Arc<Mail> {
    draft(Payload::generated(7, 300_000, 100_000).expect("a sound size")).ready().expect("a sound message")
}

/// One daemon over all cases, side by side.
pub(crate) struct Estate {
    pub(crate) house: House,
    cases: Vec<(String, Case)>,
}

impl Estate {
    /// Runs all cases to their ends and checks what must hold for every one of them.
    pub(crate) fn prove(cases: Vec<Case>) {
        let estate = Self::new(cases);
        let daemon = estate.start();
        let log = |daemon: &Daemon| Log::of(&daemon.log());
        let begun = Instant::now();
        loop {
            let (log, dead) = (log(&daemon), estate.dead());
            let open: Vec<_> = estate.cases.iter().filter_map(|case| estate.open(case, &log, &dead)).collect();
            if open.is_empty() {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {open:#?}\n{}", daemon.log());
            std::thread::sleep(LOOK);
        }
        estate.end(daemon);
        let journal = Journal::read(&estate.house);
        for (mailbox, case) in &estate.cases {
            journal.check(mailbox, case);
        }
    }

    fn new(cases: Vec<Case>) -> Self {
        let cases: Vec<_> = (0..).map(|n: u32| format!("X26H{n:03}")).zip(cases).collect();
        let house = House::build(Plan {
            mailboxes: cases.iter().map(|(mailbox, _)| mailbox.clone()).collect(),
            mesh: "patience = \"3s\"\nretry_refused = \"1s\"",
            ..Plan::default()
        });
        for (mailbox, case) in &cases {
            house.offer_as(mailbox, GOOD[0], &plain());
            house.offer_as(mailbox, BAD, &case.bad);
            house.offer_as(mailbox, GOOD[1], &plain());
            for (call, chunk, times, fault) in &case.faults {
                house.fault(Rule {
                    mailbox: Some(mailbox.clone()),
                    message: (*call != Call::List && *call != Call::Handshake).then(|| BAD.to_owned()),
                    chunk: *chunk,
                    times: *times,
                    ..Rule::always(*call, fault.clone())
                });
            }
        }
        house.set_up();
        Self { house, cases }
    }

    fn start(&self) -> Daemon {
        self.house.start()
    }

    /// What is still missing of a case.
    fn open(&self, (mailbox, case): &(String, Case), log: &Log, dead: &BTreeMap<String, String>) -> Option<String> {
        let published = self.house.published_of(mailbox);
        let has = |id: &str, mail: &Mail| published.get(id).is_some_and(|sha| sha.as_deref() == mail.sha256());
        let good = plain();
        let missing = GOOD.iter().find(|id| !has(id, &good)).map(|id| format!("{id} did not come out"));
        let missing = missing.or_else(|| match case.end {
            End::Delivered => (!has(BAD, &case.bad)).then(|| "the bad one did not come out".to_owned()),
            End::DeliveredThough(_) if !has(BAD, &case.bad) => Some("the bad one did not come out".to_owned()),
            End::Refused(code) => {
                let refused = (mailbox.clone(), code.to_string());
                (!log.refused.contains(&refused)).then(|| format!("not refused by {code}"))
            }
            End::DeliveredThough(code) | End::Waits(code) => {
                (!log.waited.contains(&(mailbox.clone(), code.to_string()))).then(|| format!("no wait by {code}"))
            }
            End::Dead(code) => (dead.get(mailbox) != Some(&code.to_string()))
                .then(|| format!("dead by {:?}, not {code}", dead.get(mailbox))),
            End::LetGo => (!log.let_go.contains(mailbox)).then(|| "not let go".to_owned()),
        });
        missing.map(|missing| format!("{}: {missing}; refused {:?}", case.name, log.refused_of(mailbox)))
    }

    /// The code of the bad message of each mailbox, if it is dead.
    fn dead(&self) -> BTreeMap<String, String> {
        let page = self.house.meshd(&["deadletter", "list", "--count", "200", "--json"]).expect_done();
        let page: Vec<Value> = serde_json::from_str(&page).expect("JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        page.iter().map(|dead| (text(&dead["delivery"]["mailbox"]), text(&dead["reason"]["code"]))).collect()
    }

    /// Ends the daemon in order and looks for what must never be there.
    fn end(&self, daemon: Daemon) {
        assert!(self.house.meshd(&["status", "--json"]).expect_done().contains("\"running\""));
        let log = self.house.path("log");
        daemon.stop_in_order();
        let text = fs::read_to_string(log).expect("the log is there");
        assert!(!text.contains("panicked"), "{text}");
        self.house.meshd(&["journal", "verify"]).expect_done();
        check_discreet(&self.house, &text);
    }
}

/// No canary in the log, the state or a name; nothing outside outputs and state (I8).
pub(crate) fn check_discreet(house: &House, log: &str) {
    let root = house.path("");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let expected = [
        "control.sock",
        "escrow",
        "hmac",
        "identity",
        "log",
        "ledger",
        "meshd.toml",
        "out",
        "password",
        "pipelines",
        "shared-key",
        "state",
        "tls",
    ];
    for entry in fs::read_dir(&root).expect("the folder is ours") {
        let name = entry.expect("the folder is ours").file_name().into_string().expect("ASCII");
        assert!(expected.contains(&name.as_str()), "{name} does not belong here");
    }
    let in_clear = house.kept_in_clear();
    for canary in CANARIES {
        assert!(!log.contains(canary), "{canary} is in the log");
        for (file, bytes) in &in_clear {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} is in {}", file.display());
        }
        for file in &files {
            let name = file.strip_prefix(&root).expect("it lies in the folder").to_string_lossy();
            assert!(!name.contains(canary), "{canary} is in a name: {name}");
        }
    }
    for file in files.iter().filter(|file| file.starts_with(root.join("out"))) {
        let name = file.file_name().and_then(|name| name.to_str()).expect("ASCII");
        let is_ours = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        assert!(is_ours, "{name} was not made by us");
    }
}

pub(crate) fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is ours") {
        let path = entry.expect("the folder is ours").path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// What the log says, by mailbox.
#[derive(Default)]
pub(crate) struct Log {
    refused: BTreeSet<(String, String)>,
    pub(crate) waited: BTreeSet<(String, String)>,
    let_go: BTreeSet<String>,
}

impl Log {
    pub(crate) fn of(text: &str) -> Self {
        let mut log = Self::default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let (message, mailbox) = (field("message"), field("mailbox"));
            let is_refusal = message.starts_with("refused message") || message.starts_with("message is lost to us");
            if is_refusal && field("message_id") == BAD {
                log.refused.insert((mailbox, field("code")));
            } else if message.starts_with("MESH did not answer") || message.starts_with("MESH refuses this mailbox") {
                log.waited.insert((mailbox, field("code")));
            } else if message.starts_with("listed message is not there") {
                log.let_go.insert(mailbox);
            }
        }
        log
    }

    fn refused_of(&self, mailbox: &str) -> Vec<&str> {
        self.refused.iter().filter(|(of, _)| of == mailbox).map(|(_, code)| code.as_str()).collect()
    }
}

/// What the journal says.
#[derive(Default)]
pub(crate) struct Journal {
    messages: BTreeMap<DeliveryId, String>,
    reasons: BTreeSet<(String, FaultCode)>,
    refused: BTreeSet<(String, String)>,
    dead: BTreeMap<String, String>,
    accepted: BTreeMap<String, usize>,
}

impl Journal {
    pub(crate) fn read(house: &House) -> Self {
        let directory = house.path("state/journal");
        let mut journal = Self::default();
        for name in segments(&Real::new(), &directory).expect("the journal is there") {
            let mut reader = Reader::open(&Real::new(), &directory, &name).expect("a sound segment");
            while let Some(record) = reader.read().expect("a sound record") {
                journal.take(record.frame.sequence, record.event);
            }
        }
        journal
    }

    /// Was this message's trouble told by this reason?
    pub(crate) fn told(&self, message: &str, code: FaultCode) -> bool {
        self.reasons.contains(&(message.to_owned(), code))
    }

    /// How often the bad message of this mailbox was accepted.
    pub(crate) fn accepted(&self, mailbox: &str) -> usize {
        self.accepted.get(mailbox).copied().unwrap_or(0)
    }

    /// All reasons told about a message.
    pub(crate) fn reasons(&self, message: &str) -> Vec<FaultCode> {
        self.reasons.iter().filter(|(of, _)| of == message).map(|(_, code)| *code).collect()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events give no reason")]
    fn take(&mut self, sequence: u64, event: Event) {
        match &event {
            Event::Accepted(accepted) => {
                let message = accepted.message.to_string();
                self.messages.insert(DeliveryId(sequence), message.clone());
                self.reasons.extend(accepted.aside.as_ref().map(|aside| (message, aside.reason.code)));
            }
            Event::Discarded { id, reason, .. }
            | Event::Retry { id, reason, .. }
            | Event::Deferred { id, reason, .. }
            | Event::Held { id, reason, .. }
            | Event::Dead { id, reason, .. } => {
                self.reasons.extend(self.messages.get(id).map(|message| (message.clone(), reason.code)));
            }
            _ => {}
        }
        match event {
            Event::Refused { mailbox, message, reason, .. } if message.as_str() == BAD => {
                self.refused.insert((mailbox.to_string(), reason.code.to_string()));
            }
            Event::Accepted(accepted) if accepted.message.as_str() == BAD => {
                *self.accepted.entry(accepted.mailbox.to_string()).or_default() += 1;
                if let Some(aside) = accepted.aside {
                    self.dead.insert(accepted.mailbox.to_string(), aside.reason.code.to_string());
                }
            }
            _ => {}
        }
    }

    fn check(&self, mailbox: &str, case: &Case) {
        let name = &case.name;
        let accepted = self.accepted(mailbox);
        let dead = self.dead.get(mailbox).map(String::as_str);
        match case.end {
            End::Delivered | End::DeliveredThough(_) => assert_eq!((accepted, dead), (1, None), "{name}"),
            End::Dead(code) => assert_eq!((accepted, dead), (1, Some(code.as_str())), "{name}"),
            End::Refused(code) => {
                assert_eq!(accepted, 0, "{name}");
                assert!(self.refused.contains(&(mailbox.to_owned(), code.to_string())), "{name}");
            }
            End::LetGo => {
                let gone = FaultCode::MsgGone.as_str().to_owned();
                assert_eq!((accepted, self.refused.contains(&(mailbox.to_owned(), gone))), (0, true), "{name}");
            }
            End::Waits(_) => {
                assert_eq!(accepted, 0, "{name}");
                assert!(!self.refused.iter().any(|(of, _)| of == mailbox), "{name} counts against the message");
            }
        }
    }
}
