//! A message that came in and is sent on by its pipeline: where to, and with which of its headers.

use serde::{Deserialize, Serialize};

use super::ids::{DeliveryId, MailboxId, Name, WorkflowId};
use super::output::Transform;

/// A message to be sent, as a pipeline decided it. No patient data: what it keeps of the headers stays sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeshPlan {
    /// The output's name in its pipeline.
    pub name: Name,
    /// Out of this mailbox.
    pub from: MailboxId,
    /// To this one.
    pub to: MailboxId,
    /// By this workflow.
    pub workflow: WorkflowId,
    /// `Mex-Subject`, as the pipeline's file has it.
    #[serde(default)]
    pub subject: Option<String>,
    /// Headers that stay as they came.
    #[serde(default)]
    pub keep: Vec<KeptHeader>,
    /// What is done to the payload on its way, in this order. Equal in all plans of one delivery.
    #[serde(default)]
    pub payload: Vec<Transform>,
}

/// A header that what is sent on can have from what came (mesh-api 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptHeader {
    /// `Mex-Subject`.
    Subject,
    /// `Mex-LocalID`. MESH is asked by it for a message whose sending got no answer: kept, it may be another's too.
    LocalId,
    /// `Mex-FileName`.
    FileName,
    /// `Mex-PartnerID`.
    PartnerId,
    /// `Mex-Content-Type`.
    ContentType,
}

impl KeptHeader {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Subject, Self::LocalId, Self::FileName, Self::PartnerId, Self::ContentType];

    /// The word in a pipeline's file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::LocalId => "local_id",
            Self::FileName => "file_name",
            Self::PartnerId => "partner_id",
            Self::ContentType => "content_type",
        }
    }
}

/// What a message that goes out was sent on for. Its record publishes that output too: one is never without the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onward {
    /// The delivery that came in.
    pub delivery: DeliveryId,
    /// Its output.
    pub output: Name,
}
