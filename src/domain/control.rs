//! The control file of a pair (mesh-client-files 5 and 6): what one says, once it is read.

use super::ids::{MailboxId, MessageId, Sensitive, WorkflowId};
use super::time::Timestamp;

/// What a control file says that an application puts into `OUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `From_DTS`.
    pub from: MailboxId,
    /// `To_DTS`: a mailbox, or what routes to a patient's practice.
    pub to: Sensitive,
    /// `WorkflowId`.
    pub workflow: WorkflowId,
    /// `Subject`.
    pub subject: Option<Sensitive>,
    /// `LocalId`.
    pub local_id: Option<Sensitive>,
    /// `PartnerId`.
    pub partner_id: Option<Sensitive>,
    /// `DataChecksum`.
    pub checksum: Option<Sensitive>,
    /// `Compress`; its default is yes.
    pub compress: bool,
    /// `Encrypted`; its default is no.
    pub encrypted: bool,
    /// `AllowChunking`; its default is yes, or large messages could not be sent at all.
    pub allow_chunking: bool,
}

/// What became of a pair, as a status record tells it (mesh-client-files 8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// MESH's id, as soon as it gave one.
    pub message: Option<MessageId>,
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub event: StatusEvent,
    /// Whether it succeeded.
    pub is_success: bool,
    /// Two digits as a rule.
    pub code: String,
    /// For people.
    pub description: String,
}

/// The events of status records that we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusEvent {
    /// A pair was taken out of `OUT`.
    Collect,
    /// A message was brought to MESH.
    Transfer,
    /// MESH's word about a message.
    Send,
}

impl StatusEvent {
    /// As control files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collect => "COLLECT",
            Self::Transfer => "TRANSFER",
            Self::Send => "SEND",
        }
    }
}
