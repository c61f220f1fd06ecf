//! What went wrong, whose fault it is, and what follows from that.
//!
//! A [`Fault`] is made in exactly one pure function per adapter; nobody above it reads a status code.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::Name;

/// One classified failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Fault {
    /// May it pass by itself?
    pub class: Class,
    /// Who caused it.
    pub origin: Origin,
    /// The entry in `deadletter/reasons.toml`.
    pub code: FaultCode,
    /// How long the far side asked us to wait.
    pub retry_after: Option<Duration>,
    /// What happened, in words without patient data.
    pub detail: String,
}

impl Fault {
    /// A fault of `code`'s usual class and origin.
    pub fn new(code: FaultCode, class: Class, origin: Origin, detail: impl Into<String>) -> Self {
        Self { class, origin, code, retry_after: None, detail: detail.into() }
    }

    /// The message itself is wrong, and will be tomorrow.
    pub fn message(code: FaultCode, detail: impl Into<String>) -> Self {
        Self::new(code, Class::Permanent, Origin::Message, detail)
    }

    /// Something we depend on is away: costs the message no attempt (I5).
    pub fn dependency(code: FaultCode, dependency: Name, detail: impl Into<String>) -> Self {
        Self::new(code, Class::Transient, Origin::Dependency(dependency), detail)
    }

    /// Our own machine is short of something: intake stops, the message is released.
    pub fn local(code: FaultCode, resource: &'static str, detail: impl Into<String>) -> Self {
        Self::new(code, Class::Transient, Origin::Local(resource), detail)
    }

    /// The same fault with the far side's `Retry-After`.
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }
}

/// May it pass by itself?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Another try may succeed.
    Transient,
    /// The same bytes will fail the same way.
    Permanent,
    /// Handling it harms the daemon.
    Poison,
}

/// Who caused it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The message.
    Message,
    /// A service or folder we depend on.
    Dependency(Name),
    /// Our own machine: disk, memory, descriptors.
    Local(&'static str),
}

macro_rules! fault_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Every reason meshd gives. Equal, by test, to `deadletter/reasons.toml`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FaultCode {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl FaultCode {
            /// All codes.
            pub const ALL: &'static [FaultCode] = &[$(FaultCode::$name,)+];

            /// The code as written in letters, logs and `reasons.toml`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(FaultCode::$name => $text,)+
                }
            }
        }
    };
}

fault_codes! {
    /// Headers of a served message break the dictionary of mesh-api 5.2.
    MsgBadHeaders = "MSG-BAD-HEADERS",
    /// Chunk ranges that disagree, repeat, or end early (mesh-api 6.4).
    MsgBadChunks = "MSG-BAD-CHUNKS",
    /// A body that is not what its `Content-Encoding` says.
    MsgBadEncoding = "MSG-BAD-ENCODING",
    /// A body shorter or longer than its `Content-Length`.
    MsgBadLength = "MSG-BAD-LENGTH",
    /// Larger than allowed, or expanding beyond the allowed ratio.
    MsgTooLarge = "MSG-TOO-LARGE",
    /// MESH no longer serves it: 404 or 410 on download.
    MsgGone = "MSG-GONE",
    /// A message id came again with other content.
    MsgIdReused = "MSG-ID-REUSED",
    /// No pipeline takes it.
    MsgNoRoute = "MSG-NO-ROUTE",
    /// A stage panicked on it.
    MsgPanic = "MSG-PANIC",
    /// The daemon died twice while it was handled alone.
    MsgPoison = "MSG-POISON",
    /// It waited longer than its pipeline's `max_age`.
    MsgTooOld = "MSG-TOO-OLD",
    /// Its payload does not decompress as its pipeline asks.
    MsgBadCompression = "MSG-BAD-COMPRESSION",
    /// Its payload does not open with its pipeline's identity.
    MsgNotDecryptable = "MSG-NOT-DECRYPTABLE",
    /// Its payload is not what its pipeline expects of its workflow.
    MsgContentMismatch = "MSG-CONTENT-MISMATCH",
    /// All patients that its payload declares are synthetic, and its service is not for those.
    MsgSynthetic = "MSG-SYNTHETIC",
    /// A pipeline discarded it by rule.
    MsgDiscarded = "MSG-DISCARDED",
    /// Twenty alike failed in one pipeline without a success between.
    PipelineSuspended = "PIPELINE-SUSPENDED",
    /// A person held it.
    OperatorHeld = "OPERATOR-HELD",
    /// MESH refuses our credentials or our clock: 403 (mesh-api 4.4).
    MeshAuth = "MESH-AUTH",
    /// MESH says our request is wrong: 400, 405, 406, 413, 417, 422.
    MeshRequest = "MESH-REQUEST",
    /// MESH is busy or broken: 425, 429, 5xx.
    MeshUnavailable = "MESH-UNAVAILABLE",
    /// No connection, TLS failure, time-out, reset.
    MeshUnreachable = "MESH-UNREACHABLE",
    /// An answer that no version of the API gives: a redirect, an unreadable list.
    MeshProtocol = "MESH-PROTOCOL",
    /// An output root without its marker, with another, or on another file system.
    OutUnavailable = "OUT-UNAVAILABLE",
    /// An output root that cannot be written: full, read-only, no permission.
    OutWrite = "OUT-WRITE",
    /// An output root whose file system does not answer, such as a network share without its server.
    OutHung = "OUT-HUNG",
    /// An output whose consumer takes nothing: as much lies there as may.
    OutBacklog = "OUT-BACKLOG",
    /// Another file already has the name.
    OutNameTaken = "OUT-NAME-TAKEN",
    /// It cannot be told whether the consumer took the file.
    OutUncertain = "OUT-UNCERTAIN",
    /// Published once more after the output's own disk lost power.
    OutRepublished = "OUT-REPUBLISHED",
    /// A sealed payload that does not open.
    SpoolUnreadable = "SPOOL-UNREADABLE",
    /// A payload that the journal says was kept, and that is not there after a crash.
    SpoolLost = "SPOOL-LOST",
    /// The state was restored from a backup made before it was settled.
    Restored = "RESTORED",
    /// There is nobody to whom a message could be sent on.
    SendNoRecipient = "SEND-NO-RECIPIENT",
    /// What is to be sent on is not as MESH takes it.
    SendUnsendable = "SEND-UNSENDABLE",
    /// As much waits to go out of a mailbox as may.
    SendBacklog = "SEND-BACKLOG",
    /// MESH refused what was to go out.
    SendRefused = "SEND-REFUSED",
    /// A request that sent it got no answer, and MESH could not be asked since: it may have it.
    SendUnknown = "SEND-UNKNOWN",
    /// Stable storage failed or is full.
    StoreFailed = "STORE-FAILED",
}

impl FaultCode {
    /// Whether a delivery set aside with this code may be handled again only by force, alone: it harmed the daemon, or
    /// may pass for another message. Equal, by test, to `replay` in `deadletter/reasons.toml`.
    pub fn needs_force(self) -> bool {
        [Self::MsgIdReused, Self::MsgPanic, Self::MsgPoison].contains(&self)
    }

    /// Whether handling what was set aside with this code may end the daemon: it is tried with nothing else in work.
    pub fn is_poison(self) -> bool {
        [Self::MsgPanic, Self::MsgPoison].contains(&self)
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for FaultCode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| format!("no reason is named {text:?}"))
    }
}
