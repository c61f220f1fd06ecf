//! How long things take, told by those who do them to whoever counts.

use std::time::Duration;

use crate::domain::ids::MailboxId;

/// Takes note of durations. Called once per message: cheap, and never in the way.
pub trait Timings: Send + Sync {
    /// `span` took `time` for one message of `mailbox`.
    fn took(&self, span: Span, mailbox: &MailboxId, time: Duration);
}

/// A stretch of a message's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// From the list that named it to MESH's answer to our acknowledge. Its time in the inbox before is MESH's.
    ListedToAcknowledged,
    /// From the commit that kept it to the last of its outputs; by the wall clock, since a restart may lie between.
    AcceptedToPublished,
}

impl Span {
    /// All spans.
    pub const ALL: [Self; 2] = [Self::ListedToAcknowledged, Self::AcceptedToPublished];
}

/// Nobody counts.
impl Timings for () {
    fn took(&self, _span: Span, _mailbox: &MailboxId, _time: Duration) {}
}
