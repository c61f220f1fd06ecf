//! What MESH says about a message, apart from its bytes.

use serde::{Deserialize, Serialize};

use super::ids::{MailboxId, MessageId, Sensitive, WorkflowId};

/// The headers of one message (mesh-api 5.2), checked and named.
///
/// It holds patient data, so it is kept only inside the sealed spool and in output files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The mailbox we received it in.
    pub mailbox: MailboxId,
    /// MESH's id of this message.
    pub message_id: MessageId,
    /// Data or report.
    pub kind: MessageKind,
    /// `Mex-WorkflowID`; on a report that of the failed message.
    pub workflow: WorkflowId,
    /// `Mex-From`, when it has the shape of a mailbox id; absent on reports.
    pub from: Option<MailboxId>,
    /// `Mex-To` as served.
    pub to: Option<Sensitive>,
    /// `Mex-Subject`.
    pub subject: Option<Sensitive>,
    /// `Mex-LocalID`.
    pub local_id: Option<Sensitive>,
    /// `Mex-FileName`: data, never a path.
    pub file_name: Option<Sensitive>,
    /// `Mex-PartnerID`.
    pub partner_id: Option<Sensitive>,
    /// `Mex-Content-Checksum`, as the sender gave it.
    pub checksum: Option<Sensitive>,
    /// `Mex-Content-Type`, or the response's `Content-Type`.
    pub content_type: Option<String>,
    /// `Mex-Content-Encrypted` is `Y`.
    pub content_encrypted: bool,
    /// `Mex-Content-Compressed`, when the response was not itself gzip (then the server sets it; mesh-api 5.2).
    pub content_compressed: Option<bool>,
    /// The status set of the message.
    pub status: Status,
    /// `Mex-LinkedMsgID`: on a report, the message that failed.
    pub linked_message_id: Option<MessageId>,
    /// Number of chunks it was served in: 0 for a report, 1 for an unchunked message.
    pub chunks: u32,
}

impl Envelope {
    /// Of a message that goes out of a mailbox under an id of ours, and says nothing more of itself yet.
    pub fn going_out(mailbox: MailboxId, message_id: MessageId, workflow: WorkflowId) -> Self {
        Self {
            from: Some(mailbox.clone()),
            mailbox,
            message_id,
            kind: MessageKind::Data,
            workflow,
            to: None,
            subject: None,
            local_id: None,
            file_name: None,
            partner_id: None,
            checksum: None,
            content_type: None,
            content_encrypted: false,
            content_compressed: None,
            status: Status::default(),
            linked_message_id: None,
            chunks: 1,
        }
    }
}

/// `Mex-MessageType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// A payload from a sender.
    Data,
    /// A non-delivery or failure report: no payload (mesh-api 7.3).
    Report,
}

impl MessageKind {
    /// The word used in rules, logs and the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Report => "report",
        }
    }
}

/// The status headers (mesh-api 5.2, 9.2). Codes are text and keep leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// `Mex-StatusCode`, such as `00` or `EPL-151`.
    pub code: Option<String>,
    /// `Mex-StatusEvent`, such as `TRANSFER`.
    pub event: Option<String>,
    /// `Mex-StatusDescription`: for people; never matched on.
    pub description: Option<Sensitive>,
    /// `Mex-StatusSuccess`: `SUCCESS` or `ERROR`.
    pub success: Option<String>,
    /// `Mex-StatusTimestamp`: `yyyyMMddHHmmss`.
    pub timestamp: Option<String>,
}
