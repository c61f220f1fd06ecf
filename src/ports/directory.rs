//! Which mailboxes an organisation has for a workflow, as MESH knows it.

use serde::{Deserialize, Serialize};

use super::inbox::Answer;
use crate::domain::ids::{MailboxId, WorkflowId};

/// Whose mailboxes are wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The ODS code of the organisation.
    pub organisation: String,
    /// Those that are registered for this.
    pub workflow: WorkflowId,
}

/// One of its mailboxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub mailbox: MailboxId,
    /// What MESH calls it; empty if it does not say.
    pub name: String,
}

/// What is known of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Often one, for a trust several, or none.
    pub found: Vec<Endpoint>,
    /// MESH said so as many seconds ago.
    pub age_seconds: u64,
}

/// Who knows it.
pub trait Directory: Send + Sync {
    /// The mailboxes of an organisation that are registered for a workflow (mesh-api 6.8).
    fn look_up<'a>(&'a self, wanted: &'a Wanted) -> Answer<'a, Endpoints>;
}
