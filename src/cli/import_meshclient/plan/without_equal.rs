//! The elements of which nothing is made, and what to do instead.

use super::super::settings::Settings;
use super::{Draft, PROXY_FILE};

/// What stands in for elements that have no equal.
const INSTEAD: [(&str, &str); 9] = [
    ("LogPath", "the log goes to the journal of systemd, or where `log.format` says"),
    ("MaxMessages", "there is no number for each list; `limits` of the mailbox bound what waits inside"),
    ("MaxConnections", "one download at a time, as NHS assurance asks; `in_flight` of the mailbox allows more"),
    ("ServerRetry", "no tries are counted: what MESH cannot take now waits, see `meshd sent list`"),
    ("AutoUpgrade", "meshd is updated as a package"),
    ("SignalPath", "`systemctl stop meshd` stops it"),
    ("ClientLogLevel", "`log.level` is for all mailboxes"),
    ("PollReport", "no report of each list is written; `meshd status` says when each inbox was listed last"),
    ("MailboxType", "only mailboxes of MESH are known here"),
];
const NOT_KNOWN: &str = "not known here: see what it did for you";

impl Draft<'_> {
    pub(super) fn without_equal(&mut self, settings: &Settings) {
        if settings.work.is_some() {
            self.report.miss(None, "WorkPath", "meshd keeps what it needs, its lock too, in `state.directory`");
        }
        if let Some(proxy) = &settings.proxy {
            let instead = if proxy.join(PROXY_FILE).exists() {
                "a proxy is used: `mesh.proxy` takes its host and port, and no password"
            } else {
                "there is no proxy.ini in it on this machine; where a proxy is used, `mesh.proxy` names it"
            };
            self.report.miss(None, "ProxyPath", instead);
        }
        let others = settings.others.iter().map(|element| (None, element));
        let of_clients = settings.clients.iter();
        let of_clients =
            of_clients.flat_map(|client| client.others.iter().map(|element| (Some(client.id.as_str()), element)));
        for (mailbox, element) in others.chain(of_clients) {
            let known = INSTEAD.iter().find(|(name, _)| name == element);
            self.report.miss(mailbox, element, known.map_or(NOT_KNOWN, |(_, instead)| instead));
        }
    }
}
