//! The whole daemon, the real program with a configuration, receiving what NHS's client sent through NHS's sandbox, and
//! sending what NHS's client collects.

mod calls;
mod conformance;
mod control;
mod discreet;
mod evidence;
mod handshake;
mod mail;
mod send;

use std::time::Duration;

use meshd::domain::output::Layout;
use meshd::simulator::certificates::ClientFiles;
use meshd::simulator::consumer::{Consumer, ConsumerSettings};
use meshd::simulator::house::{Far, Plan};
use serde_json::Value;

use crate::place::{Daemon, MAILBOX, Place};
use crate::support::peers::{Kind, Sandbox, Secrets, Sent};

/// Who sends to the daemon's mailbox.
const SENDER: &str = "X26ABC2";

/// Secrets that nothing else in a log looks like.
const SECRETS: Secrets = Secrets { shared_key: "CANARY-SHARED-KEY-b52f1c", password: "CANARY-PASSWORD-9ad041" };

/// Long enough for a busy machine, short enough to fail by itself.
const PATIENCE: Duration = Duration::from_secs(120);

/// A far side, and a place set up to receive from it.
struct Scene {
    sandbox: Sandbox,
    place: Place,
}

impl Scene {
    async fn new(kind: Kind) -> Self {
        Self::with(kind, Plan::default()).await
    }

    async fn with(kind: Kind, plan: Plan) -> Self {
        let sandbox = Sandbox::start_with(kind, SECRETS).await;
        let place = Place::build(plan);
        place.set_up(&Far {
            url: sandbox.url.clone(),
            tls: ClientFiles {
                ca: sandbox.tls.ca.clone(),
                client_certificate: sandbox.tls.client.certificate.clone(),
                client_key: sandbox.tls.client.key.clone(),
            },
            shared_key: SECRETS.shared_key.to_owned(),
            password: SECRETS.password.to_owned(),
        });
        Self { sandbox, place }
    }

    fn send(&self, kinds: &[&str]) -> Vec<Sent> {
        self.sandbox.send(SENDER, MAILBOX, kinds)
    }

    /// A consumer that takes each set the moment it appears, and deletes it.
    fn consumer(&self) -> Consumer {
        let settings = ConsumerSettings {
            folder: self.place.inbox(),
            layout: Layout::MeshFolder,
            ledger: None,
            synced: false,
            controls: true,
        };
        Consumer::start(settings).expect("a thread")
    }

    /// Waits until all of it lies in the output folder, and compares the digests with those its sender computed.
    fn wait_for_published(&self, daemon: &Daemon, sent: &[Sent]) {
        let is_out = |message: &Sent| self.place.inbox().join(format!("{}.ctl", message.id)).exists();
        daemon.wait_for("the mail to come out", PATIENCE, || sent.iter().all(is_out));
        let published = self.place.published();
        for message in sent {
            assert_eq!(published.get(&message.id), Some(&Some(message.sha256.clone())), "{message:?}");
        }
    }

    /// What the daemon counted for its mailbox.
    fn occupancy(&self) -> Value {
        let status = self.place.meshd(&["status", "--json"]).expect_done();
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status["mailboxes"][0]["occupancy"].clone()
    }

    /// Waits until NHS's client finds nothing in the mailbox.
    fn wait_until_empty(&self, daemon: &Daemon) {
        daemon.wait_for("an empty inbox", PATIENCE, || self.sandbox.inbox(MAILBOX, &[]).is_empty());
    }

    /// Nothing is set aside; then an orderly stop, after which journal and spool are in order.
    fn end(&self, daemon: Daemon) {
        assert_eq!(self.place.meshd(&["deadletter", "list", "--json"]).expect_done().trim(), "[]");
        let head = self.place.meshd(&["journal", "head"]).expect_done();
        daemon.stop_in_order();
        self.place.meshd(&["journal", "verify", "--against", head.trim()]).expect_done();
        let identity = self.place.path("identity");
        self.place.meshd(&["spool", "verify", "--identity", identity.to_str().expect("UTF-8")]).expect_done();
    }
}
