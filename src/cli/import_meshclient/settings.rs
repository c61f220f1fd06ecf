//! What `meshclient.cfg` means: each element that is known, checked (mesh-client-files 9.1 and 9.2).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::cfg::{Cfg, Element, Table, mistake};
use super::service::Service;
use crate::domain::finding::Finding;
use crate::domain::ids::MailboxId;

const MAILBOX_ID: &str = "1 to 100 letters, digits, `_` or `-`, such as X26ABC1";
const LONGEST_SECONDS: u64 = 365 * 86_400;

/// The settings of a client.
pub(super) struct Settings {
    pub(super) service: Service,
    pub(super) key_store: Option<PathBuf>,
    pub(super) key_store_password: Option<SecretString>,
    /// Where its lock files lie.
    pub(super) work: Option<PathBuf>,
    /// Where its `proxy.ini` may lie.
    pub(super) proxy: Option<PathBuf>,
    /// The shared key of the environment.
    pub(super) authentication_key: Option<SecretString>,
    pub(super) poll_period: Option<Duration>,
    pub(super) processing_delay: Option<Duration>,
    pub(super) clients: Vec<Client>,
    /// Elements that nothing here is made of.
    pub(super) others: Vec<String>,
}

/// The settings of one mailbox.
pub(super) struct Client {
    pub(super) id: MailboxId,
    pub(super) password: Option<SecretString>,
    pub(super) interface_root: Option<String>,
    pub(super) save_sent: Switch,
    pub(super) collect_report: Switch,
    pub(super) delay_report: Switch,
    pub(super) transfer_report: Switch,
    /// Elements that nothing here is made of.
    pub(super) others: Vec<String>,
}

/// A `Y` or `N`, and whether it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Switch {
    pub(super) is_on: bool,
    pub(super) is_written: bool,
}

impl Settings {
    /// All of them, or every mistake.
    pub(super) fn of(cfg: Cfg) -> Result<Self, Vec<Finding>> {
        let Cfg { file, mut global, clients } = cfg;
        let mut reading = Reading { file, findings: Vec::new() };
        if clients.is_empty() {
            reading.find(global.line, "Client", "there is none", "one for each mailbox");
        }
        let mut known = BTreeSet::new();
        let clients = clients.into_iter().filter_map(|table| reading.client(table, &mut known)).collect();
        let settings = Self {
            service: global.take("PrimaryURL").map_or(Service::Unknown, |element| Service::at(&element.text)),
            key_store: global.take("KeyStorePath").map(|element| reading.path(&element)),
            key_store_password: global.take("KeyStorePassword").map(|element| secret(&element)),
            work: global.take("WorkPath").map(|element| reading.path(&element)),
            proxy: global.take("ProxyPath").map(|element| reading.path(&element)),
            authentication_key: global.take("AuthenticationKey").map(|element| secret(&element)),
            poll_period: reading.seconds(&mut global, "PollPeriod"),
            processing_delay: reading.seconds(&mut global, "ProcessingDelay"),
            clients,
            others: global.into_rest(),
        };
        if reading.findings.is_empty() { Ok(settings) } else { Err(reading.findings) }
    }
}

/// Reading on, with the mistakes so far.
struct Reading {
    file: PathBuf,
    findings: Vec<Finding>,
}

impl Reading {
    fn find(&mut self, line: usize, element: &str, problem: &str, expected: &str) {
        self.findings.push(mistake(&self.file, line, element, problem, expected));
    }

    fn client(&mut self, mut table: Table, known: &mut BTreeSet<MailboxId>) -> Option<Client> {
        const ID: &str = "ClientIdentity";
        let Some(id) = table.take(ID) else {
            self.find(table.line, ID, "it is missing from this Client", MAILBOX_ID);
            return None;
        };
        let Ok(mailbox) = MailboxId::new(id.text.as_str()) else {
            self.find(id.line, ID, "this is not a mailbox id", MAILBOX_ID);
            return None;
        };
        if !known.insert(mailbox.clone()) {
            self.find(id.line, ID, "a Client before has this mailbox already", "each mailbox once");
        }
        // Assumption: what is missing is as in the configuration that comes with the client (mesh-client-files 9.2, 13).
        let mut switch = |name, default| self.switch(&mut table, name, default);
        let (collect_report, delay_report) = (switch("CollectReport", true), switch("DelayReport", false));
        let (transfer_report, save_sent) = (switch("TransferReport", false), switch("SaveSent", true));
        let kind = table.take("MailboxType").filter(|kind| !kind.text.eq_ignore_ascii_case("MESH"));
        Some(Client {
            id: mailbox,
            password: table.take("ClientAuthentication").map(|element| secret(&element)),
            interface_root: table.take("InterfaceRoot").map(|element| element.text.to_string()),
            save_sent,
            collect_report,
            delay_report,
            transfer_report,
            others: kind.map(|kind| kind.name).into_iter().chain(table.into_rest()).collect(),
        })
    }

    fn switch(&mut self, table: &mut Table, name: &str, default: bool) -> Switch {
        let Some(element) = table.take(name) else { return Switch { is_on: default, is_written: false } };
        let is_on = element.text.eq_ignore_ascii_case("Y");
        if !is_on && !element.text.eq_ignore_ascii_case("N") {
            self.find(element.line, name, "this says neither", "`Y` or `N`");
        }
        Switch { is_on, is_written: true }
    }

    fn seconds(&mut self, table: &mut Table, name: &str) -> Option<Duration> {
        let element = table.take(name)?;
        let seconds = element.text.parse().ok().filter(|seconds| *seconds <= LONGEST_SECONDS);
        if seconds.is_none() {
            self.find(element.line, name, "this is no length of time", "seconds, at most a year of them");
        }
        seconds.map(Duration::from_secs)
    }

    /// Assumption: a relative one begins where the configuration lies, as the start script of the client runs there.
    fn path(&self, element: &Element) -> PathBuf {
        let text = element.text.as_str();
        let folder = self.file.parent().filter(|_| !is_of_windows(text));
        folder.map_or_else(|| PathBuf::from(text), |folder| folder.join(text))
    }
}

/// Is it a path of Windows, which leads nowhere here?
pub(super) fn is_of_windows(path: &str) -> bool {
    path.contains('\\') || matches!(path.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic())
}

fn secret(element: &Element) -> SecretString {
    SecretString::from(element.text.as_str())
}
