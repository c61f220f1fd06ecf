//! Who sees what a mailbox asks of MESH: for evidence (mesh-api 11.1). It hears names and statuses, and never the value
//! of a header, since tokens are among them.

use http::{HeaderName, Method, StatusCode};

use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;

/// One request, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// When it began.
    pub began: Timestamp,
    /// Whose it is.
    pub mailbox: MailboxId,
    /// Its method.
    pub method: Method,
    /// Its path with its query. Ids are in it.
    pub path: String,
    /// The headers that we set, by name.
    pub headers: Vec<HeaderName>,
    /// What MESH answered; none if it did not.
    pub status: Option<StatusCode>,
}

/// Hears of every attempt, those that are tries again among them.
pub trait Witness: Send + Sync {
    /// A request is over.
    fn saw(&self, exchange: Exchange);
}
