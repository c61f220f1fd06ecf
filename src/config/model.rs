//! What can be configured: every key, its meaning and its unit. `keys` has the defaults.
//!
//! `config/meshd.toml` shows the same keys to operators; a test keeps the two equal.
//! A key arrives with the part that makes it real, so there is none here without effect.

use std::path::PathBuf;

use super::secret::SecretRef;
use super::values::{ByteSize, ChunkSize, Cron, InFlight, Listen, Mode, Percent, Period, Proxy, Workers};
use crate::adapters::mesh;
use crate::domain::ids::{MailboxId, WorkflowId};
use crate::domain::output::{LineEnds, Unconsumed};

/// The whole configuration, each value checked by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[state]`
    pub state: State,
    /// `[journal]`
    pub journal: Journal,
    /// `[audit]`
    pub audit: Audit,
    /// `[queue]`
    pub queue: Queue,
    /// `[retention]`
    pub retention: Retention,
    /// `[pipelines]`
    pub pipelines: Pipelines,
    /// `[control]`
    pub control: Control,
    /// `[http]`
    pub http: Http,
    /// `[log]`
    pub log: Log,
    /// `[life]`
    pub life: Life,
    /// `[features]`
    pub features: Features,
    /// `[keys]`
    pub keys: KeyFiles,
    /// `[mesh]`; there must be one where there are mailboxes.
    pub mesh: Option<Mesh>,
    /// `[[mailbox]]`
    pub mailboxes: Vec<Mailbox>,
}

/// `[state]`: where everything stable lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Journal, spool and index. Owned by the daemon's user, mode 0700.
    pub directory: PathBuf,
    /// No mail is fetched while less of the file system is free.
    pub min_free: Percent,
    /// The same for inodes.
    pub min_free_inodes: Percent,
}

/// `[journal]`: the record of everything that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// How often the head (sequence and hash) goes to the log.
    pub head_interval: Period,
    /// A segment is closed at this size.
    pub segment: ByteSize,
}

/// `[audit]`: what the journal can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Keyed digests of the NHS numbers in messages go to the journal.
    pub patients: bool,
}

/// `[queue]`: how much mail may wait inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Which index.
    pub engine: Engine,
    /// Of what is queued, for all mailboxes together.
    pub limits: Limits,
    /// Of what is dead or held, for all mailboxes together.
    pub set_aside: Limits,
}

/// Which index keeps the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// sled, inside the state directory.
    Sled,
}

/// A number of messages and of bytes; whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub messages: u64,
    /// Decoded bytes of their payloads.
    pub bytes: ByteSize,
}

/// `[retention]`: how long what is finished stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Payloads of delivered messages.
    pub delivered: Period,
    /// Payloads of dead letters.
    pub dead: Period,
    /// Journal segments.
    pub journal: Period,
    /// Ids of messages, for recognising one that MESH presents again: a message may come back for 35 days.
    pub seen: Period,
}

/// `[pipelines]`: what is done with the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipelines {
    /// Every `*.toml` in it is a pipeline.
    pub directory: PathBuf,
}

/// `[control]`: how operators ask the running daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The Unix socket.
    pub socket: PathBuf,
    /// Members of this group may ask, besides root and the daemon's own user.
    pub view_group: Option<String>,
    /// Members of this group may act on dead and held mail and read the journal, besides root and the daemon's own user.
    /// Where there is a `view_group` too, they must be its members as well.
    pub operate_group: Option<String>,
}

/// `[http]`: health and metrics, for machines that watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: Listen,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// The least important lines still written.
    pub level: LogLevel,
}

/// How log lines look and where they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `journald` in a unit, `human` on a terminal, else `json`.
    Auto,
    /// Lines for people, on standard error.
    Human,
    /// A JSON object a line, on standard error.
    Json,
    /// Native journal entries with fields.
    Journald,
}

/// The least important lines still written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// A person must act.
    Error,
    /// Odd, and recovered.
    Warn,
    /// State changes: one line per delivery's end.
    Info,
    /// For developers.
    Debug,
}

/// `[life]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// How long work in hand may take at a stop before it is released.
    pub drain: Period,
    /// How many messages are worked on at once.
    pub workers: Workers,
}

/// `[features]`: what only a rehearsal may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// What is allowed on a national service; nothing may be on `live`. A custom service allows all of it.
    pub allow: Vec<Feature>,
}

/// Something that is not for patients' mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Recipients that are printed in meshd's own documents and fixtures: anyone may have their identity.
    TestRecipients,
    /// A client certificate that a simulator's authority issued.
    SimulatorCertificates,
    /// Mail whose declared patients all have NHS numbers of the synthetic range.
    SyntheticNumbers,
}

/// `[keys]`: the daemon's own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// The age identity that opens payloads; its recipient is named in each mailbox.
    pub identity: SecretRef,
    /// Identities of before, which open what was sealed for them. No mailbox names their recipients.
    pub retired_identities: Vec<SecretRef>,
    /// The key of the journal's keyed digests.
    pub hmac: SecretRef,
    /// Keys of before: what the journal says of then is recognised with them.
    pub retired_hmac: Vec<SecretRef>,
}

/// `[mesh]`: the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// Which service.
    pub environment: Environment,
    /// Where it is, for `custom`.
    pub url: Option<mesh::BaseUrl>,
    /// The authorities its certificate must come from, PEM. Not a secret.
    pub ca: FileRef,
    /// Our certificate with its chain, PEM.
    pub client_certificate: SecretRef,
    /// Its key, PEM.
    pub client_key: SecretRef,
    /// The environment's shared key, for the `Authorization` header.
    pub shared_key: SecretRef,
    /// An HTTP proxy to go through by CONNECT.
    pub proxy: Option<Proxy>,
    /// How long to wait for an answer, and for a download's bytes while they come slower than 1 KiB/s.
    pub patience: Period,
    /// How long a message that cannot be taken is first left alone; doubles to an hour.
    pub retry_refused: Period,
    /// After so long MESH is asked for a send that got no answer.
    pub ask_after: Period,
    /// After so long, and then daily, MESH is asked whether a send was collected.
    pub track_after: Period,
}

/// A file that is no secret: `{ file = "/path" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef(pub PathBuf);

/// A MESH service (mesh-api 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Production.
    Live,
    /// Integration, the path to live.
    Integration,
    /// Deployment.
    Deployment,
    /// Something else, at `url`.
    Custom,
}

impl Environment {
    /// Is it one whose operating rules bind us (mesh-api 11)?
    pub fn is_national(self) -> bool {
        match self {
            Self::Live | Self::Integration | Self::Deployment => true,
            Self::Custom => false,
        }
    }
}

/// `[[mailbox]]`: one mailbox to receive from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its MESH id.
    pub id: MailboxId,
    /// The ODS code of the organisation it belongs to.
    pub organisation: String,
    /// Its password in this environment.
    pub password: SecretRef,
    /// When its inbox is listed, UTC.
    pub poll: Cron,
    /// Downloads at once. NHS assurance asks for one.
    pub in_flight: InFlight,
    /// Public age keys its mail is sealed for: the daemon's own, and one kept elsewhere for escrow.
    pub recipients: Vec<String>,
    /// The folder above its outputs; pipelines call it `{mailbox.output}`.
    pub output: PathBuf,
    /// The group that owns its output files; the daemon's own when absent.
    pub group: Option<String>,
    /// Permission bits of its output files.
    pub mode: Mode,
    /// How the lines of all control files end that are written for it.
    pub line_ends: LineEnds,
    /// How much may lie in each of its outputs that the consumer has not taken, if the pipeline does not say.
    pub waiting: Option<Unconsumed>,
    /// In which order its mail is handled.
    pub order: Order,
    /// How much of its mail may wait inside.
    pub limits: Limits,
    /// How much of its mail may be dead or held.
    pub set_aside: Limits,
    /// How its mail goes out.
    pub send: SendSettings,
    /// Whom some of what goes out is encrypted for; the first that fits counts.
    pub encrypt: Vec<EncryptRule>,
    /// How applications send by putting files into its `OUT`, if they may.
    pub pickup: Option<PickupSettings>,
}

/// How the mail of a mailbox goes out (mesh-api 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendSettings {
    /// Plain bytes in each request of a message, but the last.
    pub chunk: ChunkSize,
    /// Each is compressed in transit, unless its sender says otherwise.
    pub compress: bool,
}

/// Whom some of what goes out is encrypted for before it leaves, with age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptRule {
    /// What is for this mailbox; without it, what is for any.
    pub to: Option<MailboxId>,
    /// What has this workflow; without it, any.
    pub workflow: Option<WorkflowId>,
    /// Public age keys of those who can open it.
    pub recipients: Vec<String>,
}

/// How what applications put into `OUT` is picked up (mesh-client-files 3 to 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickupSettings {
    /// A pair of files is taken once neither changed for so long.
    pub settle: Period,
    /// One without the other is given up after so long.
    pub orphan_after: Period,
    /// `OUT` is looked at so often, whatever the system says of changes.
    pub scan: Period,
    /// What was sent is kept in `SENT`.
    pub save_sent: bool,
    /// The name of the data file is told to whoever gets it.
    pub file_name: bool,
    /// Reports that are written into `IN` beside those that always are.
    pub reports: Vec<PickupReport>,
    /// What is sent without a control file; the first that fits counts.
    pub auto: Vec<AutoControl>,
}

/// Data files that are sent without a control file, and what it would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoControl {
    /// Those whose names begin so.
    pub begins: String,
    /// Who is to have them: a mailbox,
    pub to: Option<MailboxId>,
    /// or the one that the organisation of this ODS code has for the workflow.
    pub to_ods: Option<String>,
    /// By which workflow.
    pub workflow: WorkflowId,
    /// Their subject.
    pub subject: Option<String>,
}

/// A report that a site may want (mesh-client-files 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PickupReport {
    /// A pair was taken.
    Collect,
    /// MESH has a message.
    Transfer,
    /// A message has to wait.
    Delay,
}

/// In which order a mailbox's mail is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Many at a time; what has to wait keeps nothing back.
    Free,
    /// One at a time, as accepted; what has to wait keeps back all that was accepted after it.
    Strict,
}

impl Config {
    /// Is it allowed, or is the service one without national rules?
    pub fn may_use(&self, feature: Feature) -> bool {
        let is_national = self.mesh.as_ref().is_some_and(|mesh| mesh.environment.is_national());
        !is_national || self.features.allow.contains(&feature)
    }
}

impl Mesh {
    /// The service; `None` for `custom` without `url`, which the checks refuse.
    pub fn service(&self) -> Option<mesh::Environment> {
        match self.environment {
            Environment::Live => Some(mesh::Environment::Live),
            Environment::Integration => Some(mesh::Environment::Int),
            Environment::Deployment => Some(mesh::Environment::Dep),
            Environment::Custom => self.url.clone().map(mesh::Environment::Custom),
        }
    }
}
