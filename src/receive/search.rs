//! The search for reports before a closed door: a HEAD for each message that nothing is known of, so many in a poll.
//!
//! More messages may wait than are remembered. So the next poll goes on behind the last that was asked for, and begins
//! anew at the end of the inbox: a report is found in the end, wherever it lies.

use crate::domain::ids::MessageId;

/// HEADs in one poll.
pub(super) const MOST: usize = 500;

/// Where the search stands.
#[derive(Debug, Default)]
pub(super) struct Search {
    asked: usize,
    last: Option<MessageId>,
    /// Until a pass meets this message, it asks for none.
    after: Option<MessageId>,
}

impl Search {
    /// A pass comes to this message. Says whether it is one to ask for.
    pub(super) fn reaches(&mut self, id: &MessageId) -> bool {
        if self.after.as_ref() == Some(id) {
            self.after = None;
            return false;
        }
        self.after.is_none() && self.asked < MOST
    }

    /// It was asked for.
    pub(super) fn asked(&mut self, id: &MessageId) {
        self.asked += 1;
        self.last = Some(id.clone());
    }

    /// A poll begins.
    pub(super) fn begin_poll(&mut self) {
        self.asked = 0;
    }

    /// A pass ended. One that asked for all to the end of the inbox, or did not meet the last any more, begins anew.
    pub(super) fn end_pass(&mut self, is_whole: bool) {
        if self.after.is_some() || (is_whole && self.asked < MOST) {
            self.last = None;
        }
        self.after.clone_from(&self.last);
    }
}
