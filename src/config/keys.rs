//! Which keys each table has, which of them are needed, and their defaults: the one place for those.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::document::{Node, Place, Table, Value};
use super::model::{
    Audit, AutoControl, Config, Control, EncryptRule, Engine, Environment, Feature, Features, FileRef, Http, Journal,
    KeyFiles, Life, Limits, Log, LogFormat, LogLevel, Mailbox, Mesh, Order, PickupReport, PickupSettings, Pipelines,
    Queue, Retention, SendSettings, State,
};
use super::read::{Keys, Notes, Setting, read_word};
use super::secret::{SecretRef, one_key};
use super::values::{ByteSize, ChunkSize, InFlight, Listen, Mode, Percent, Period, Workers};
use crate::domain::ids::MailboxId;
use crate::domain::output::{LineEnds, Unconsumed};

impl Config {
    /// Reads all keys from the merged files. Mistakes go to `notes`; what is wrong has its default meanwhile.
    pub(super) fn read(table: Table, notes: &mut Notes) -> Self {
        let nowhere = Place { file: std::path::Path::new("").into(), line: 0 };
        let mut root = Keys::of("", Some(Node { place: nowhere, value: Value::Table(table) }), notes);
        let config = Self {
            state: State::read(root.table("state")),
            journal: Journal::read(root.table("journal")),
            audit: Audit::read(root.table("audit")),
            queue: Queue::read(root.table("queue")),
            retention: Retention::read(root.table("retention")),
            pipelines: Pipelines::read(root.table("pipelines")),
            control: Control::read(root.table("control")),
            http: Http::read(root.table("http")),
            log: Log::read(root.table("log")),
            life: Life::read(root.table("life")),
            features: Features::read(root.table("features")),
            keys: KeyFiles::read(root.table("keys")),
            mesh: root.optional_table("mesh").and_then(Mesh::read),
            mailboxes: root
                .tables("mailbox")
                .into_iter()
                .map(|(name, node)| {
                    let mailbox = Mailbox::read(&name, Keys::of(&name, Some(node), root.notes()));
                    root.notes().mailboxes.push(name);
                    mailbox
                })
                .collect(),
        };
        root.end();
        config
    }
}

impl State {
    fn read(mut keys: Keys<'_>) -> Self {
        let state = Self {
            directory: keys.or("directory", "/var/lib/meshd".into()),
            min_free: keys.or("min_free", Percent(10)),
            min_free_inodes: keys.or("min_free_inodes", Percent(5)),
        };
        keys.end();
        state
    }
}

impl Journal {
    fn read(mut keys: Keys<'_>) -> Self {
        let journal = Self {
            head_interval: keys.or("head_interval", Period::seconds(60)),
            segment: keys.or("segment", ByteSize(64_000_000)),
        };
        keys.end();
        journal
    }
}

impl Audit {
    fn read(mut keys: Keys<'_>) -> Self {
        let audit = Self { patients: keys.or("patients", true) };
        keys.end();
        audit
    }
}

impl Queue {
    fn read(mut keys: Keys<'_>) -> Self {
        let queue = Self {
            engine: keys.or("engine", Engine::Sled),
            limits: Limits::read(keys.table("limits"), 50_000, 200_000_000_000),
            set_aside: Limits::read(keys.table("set_aside"), 20_000, 50_000_000_000),
        };
        keys.end();
        queue
    }
}

impl Limits {
    fn read(mut keys: Keys<'_>, messages: u64, bytes: u64) -> Self {
        let limits = Self { messages: keys.or("messages", messages), bytes: keys.or("bytes", ByteSize(bytes)) };
        keys.end();
        limits
    }
}

impl Retention {
    fn read(mut keys: Keys<'_>) -> Self {
        let retention = Self {
            delivered: keys.or("delivered", Period::days(7)),
            dead: keys.or("dead", Period::days(30)),
            journal: keys.or("journal", Period::days(8 * 365)),
            seen: keys.or("seen", Period::days(45)),
        };
        keys.end();
        retention
    }
}

impl Pipelines {
    fn read(mut keys: Keys<'_>) -> Self {
        let pipelines = Self { directory: keys.or("directory", "/etc/meshd/pipelines".into()) };
        keys.end();
        pipelines
    }
}

impl Control {
    fn read(mut keys: Keys<'_>) -> Self {
        let control = Self {
            socket: keys.or("socket", "/run/meshd/control.sock".into()),
            view_group: keys.optional("view_group"),
            operate_group: keys.optional("operate_group"),
        };
        keys.end();
        control
    }
}

impl Http {
    fn read(mut keys: Keys<'_>) -> Self {
        let http = Self { listen: keys.or("listen", Listen::Address(([127, 0, 0, 1], 9464).into())) };
        keys.end();
        http
    }
}

impl Log {
    fn read(mut keys: Keys<'_>) -> Self {
        let log = Self { format: keys.or("format", LogFormat::Auto), level: keys.or("level", LogLevel::Info) };
        keys.end();
        log
    }
}

impl Life {
    fn read(mut keys: Keys<'_>) -> Self {
        let life = Self { drain: keys.or("drain", Period::seconds(60)), workers: keys.or("workers", Workers(4)) };
        keys.end();
        life
    }
}

impl Features {
    fn read(mut keys: Keys<'_>) -> Self {
        let features = Self { allow: keys.or("allow", Vec::new()) };
        keys.end();
        features
    }
}

impl KeyFiles {
    fn read(mut keys: Keys<'_>) -> Self {
        let files = Self {
            identity: keys.or("identity", SecretRef::Credential("meshd-age-identity".into())),
            retired_identities: keys.or("retired_identities", Vec::new()),
            hmac: keys.or("hmac", SecretRef::Credential("meshd-hmac".into())),
            retired_hmac: keys.or("retired_hmac", Vec::new()),
        };
        keys.end();
        files
    }
}

impl Mesh {
    /// Without its environment nothing can be said of the rest. For other keys see [`Mailbox::read`].
    fn read(mut keys: Keys<'_>) -> Option<Self> {
        let secret = || SecretRef::Credential("missing".into());
        let environment = keys.required("environment");
        let url = keys.optional("url");
        let ca = keys.required_or("ca", || FileRef("missing".into()));
        let client_certificate = keys.required_or("client_certificate", secret);
        let client_key = keys.required_or("client_key", secret);
        let shared_key = keys.required_or("shared_key", secret);
        let proxy = keys.optional("proxy");
        let patience = keys.or("patience", Period::seconds(60));
        let retry_refused = keys.or("retry_refused", Period::seconds(60));
        let ask_after = keys.or("ask_after", Period::seconds(300));
        let track_after = keys.or("track_after", Period::seconds(3_600));
        keys.end();
        Some(Self {
            environment: environment?,
            url,
            ca,
            client_certificate,
            client_key,
            shared_key,
            proxy,
            patience,
            retry_refused,
            ask_after,
            track_after,
        })
    }
}

impl Mailbox {
    /// Where a required key has no value, a stand-in that is no mistake by itself: the others are checked all the same.
    fn read(name: &str, mut keys: Keys<'_>) -> Self {
        let own = name.replace(['[', ']'], "-");
        let id = keys.required_or("id", || MailboxId::new(&own).expect("letters, digits and hyphens"));
        let organisation = keys.required_or("organisation", || "X26".into());
        let password = keys.required_or("password", || SecretRef::Credential(own.clone()));
        let poll = keys.or("poll", "0 */5 * * * *".parse().expect("six fields"));
        let in_flight = keys.or("in_flight", InFlight(1));
        let recipients = keys.required_or("recipients", Vec::new);
        let output = keys.required_or("output", || PathBuf::from("/dev/null").join(&own));
        let group = keys.optional("group");
        let mode = keys.or("mode", Mode(0o640));
        let line_ends = keys.or("line_ends", LineEnds::Lf);
        let waiting = keys.optional_table("waiting").map(read_waiting);
        let order = keys.or("order", Order::Free);
        let limits = Limits::read(keys.table("limits"), 5_000, 20_000_000_000);
        let set_aside = Limits::read(keys.table("set_aside"), 5_000, 10_000_000_000);
        let send = SendSettings::read(keys.table("send"));
        let encrypt = keys.tables("encrypt").into_iter();
        let encrypt =
            encrypt.map(|(name, node)| EncryptRule::read(Keys::of(&name, Some(node), keys.notes()))).collect();
        let pickup = keys.optional_table("pickup").map(PickupSettings::read);
        keys.end();
        Self {
            id,
            organisation,
            password,
            poll,
            in_flight,
            recipients,
            output,
            group,
            mode,
            line_ends,
            waiting,
            order,
            limits,
            set_aside,
            send,
            encrypt,
            pickup,
        }
    }
}

impl SendSettings {
    fn read(mut keys: Keys<'_>) -> Self {
        let chunk = keys.or("chunk", ChunkSize(75_000_000));
        let compress = keys.or("compress", true);
        keys.end();
        Self { chunk, compress }
    }
}

impl AutoControl {
    /// None if something that it needs is missing, of which there is a finding then.
    fn read(mut keys: Keys<'_>) -> Option<Self> {
        let begins = keys.required("begins");
        let to = keys.optional("to");
        let to_ods = keys.optional("to_ods");
        let workflow = keys.required("workflow");
        let subject = keys.optional("subject");
        keys.end();
        Some(Self { begins: begins?, to, to_ods, workflow: workflow?, subject })
    }
}

impl EncryptRule {
    fn read(mut keys: Keys<'_>) -> Self {
        let rule = Self {
            to: keys.optional("to"),
            workflow: keys.optional("workflow"),
            recipients: keys.required("recipients").unwrap_or_default(),
        };
        keys.end();
        rule
    }
}

impl PickupSettings {
    /// The reports are those of the shipped sample of a MESH client (mesh-client-files 9.2).
    fn read(mut keys: Keys<'_>) -> Self {
        let settings = Self {
            settle: keys.or("settle", Period::seconds(2)),
            orphan_after: keys.or("orphan_after", Period::seconds(900)),
            scan: keys.or("scan", Period::seconds(30)),
            save_sent: keys.or("save_sent", true),
            file_name: keys.or("file_name", false),
            reports: keys.or("reports", vec![PickupReport::Collect]),
            auto: keys
                .tables("auto")
                .into_iter()
                .filter_map(|(name, node)| AutoControl::read(Keys::of(&name, Some(node), keys.notes())))
                .collect(),
        };
        keys.end();
        settings
    }
}

fn read_waiting(mut keys: Keys<'_>) -> Unconsumed {
    let files = keys.optional("files");
    let age = keys.optional("age").map(|Period(age)| age);
    keys.end();
    Unconsumed { files, age }
}

macro_rules! written_as_word {
    ($($type:ty, $expected:literal, $words:expr;)+) => {
        $(impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn schema() -> Json {
                json!({ "enum": $words.iter().map(|(word, _)| *word).collect::<Vec<_>>() })
            }

            fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self> {
                read_word(node, key, notes, &$words)
            }
        })+
    };
}

written_as_word! {
    PickupReport, "a report", [
        ("collect", Self::Collect), ("transfer", Self::Transfer), ("delay", Self::Delay)
    ];
    Order, "\"free\" or \"strict\"", [("free", Self::Free), ("strict", Self::Strict)];
    LineEnds, "\"lf\" or \"crlf\"", [("lf", Self::Lf), ("crlf", Self::Crlf)];
    Engine, "an engine", [("sled", Self::Sled)];
    LogFormat, "a format", [
        ("auto", Self::Auto), ("human", Self::Human), ("json", Self::Json), ("journald", Self::Journald)
    ];
    LogLevel, "a level", [
        ("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug)
    ];
    Feature, "a word", [
        ("test-recipients", Self::TestRecipients), ("simulator-certificates", Self::SimulatorCertificates),
        ("synthetic-numbers", Self::SyntheticNumbers)
    ];
    Environment, "\"live\", \"int\", \"dep\" or \"custom\"", [
        ("live", Self::Live), ("int", Self::Integration), ("dep", Self::Deployment), ("custom", Self::Custom)
    ];
}

impl Setting for FileRef {
    const EXPECTED: &'static str = "`{ file = \"/path\" }`";

    fn schema() -> Json {
        one_key("file")
    }

    fn read(node: &Node, key: &str, notes: &mut Notes) -> Option<Self> {
        if !matches!(node.value, Value::Table(_)) {
            notes.find(key, format!("this is {}", node.value.kind()), Self::EXPECTED);
            return None;
        }
        let mut keys = Keys::of(key, Some(node.clone()), notes);
        let file = keys.required("file");
        keys.end();
        file.map(Self)
    }
}
