//! Mail that one run makes up to show that sending and receiving work. It is synthetic, and nobody keeps it.
//!
//! It is the one exception to "no acknowledge without the store's proof" (I1), and therefore a type: an [`Own`] is had
//! for a message whose local id was made by this very run, and for no other.

use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::ids::{MailboxId, MessageId};

/// One run, by a name that no other has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial(String);

/// Proof that a message is a run's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    mailbox: MailboxId,
    message_id: MessageId,
}

impl Trial {
    /// A run; `unique` must be as good as a UUID.
    pub fn new(unique: &str) -> Self {
        Self(format!("meshd-conformance-{unique}"))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The local id of its message of this number.
    pub fn local_id(&self, number: u32) -> String {
        format!("{}-{number}", self.0)
    }

    /// Is it this message of ours, as its headers were served?
    pub fn recognise(&self, number: u32, envelope: &Envelope) -> Option<Own> {
        let says = envelope.local_id.as_ref()?.reveal();
        let is_ours = envelope.kind == MessageKind::Data && says == self.local_id(number);
        is_ours.then(|| Own { mailbox: envelope.mailbox.clone(), message_id: envelope.message_id.clone() })
    }
}

impl Own {
    /// The mailbox it lies in.
    pub fn mailbox(&self) -> &MailboxId {
        &self.mailbox
    }

    /// MESH's id of it.
    pub fn message_id(&self) -> &MessageId {
        &self.message_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Sensitive, WorkflowId};

    fn envelope(local_id: Option<String>, kind: MessageKind) -> Envelope {
        let mailbox = MailboxId::new("X26ABC1").expect("a mailbox id");
        let message_id = MessageId::new("M1").expect("a message id");
        let workflow = WorkflowId::new("TEST_WORKFLOW").expect("a workflow id");
        let local_id = local_id.map(Sensitive::new);
        Envelope { kind, local_id, ..Envelope::going_out(mailbox, message_id, workflow) }
    }

    #[test]
    fn only_the_very_message_of_the_very_run_is_its_own() {
        let (ours, other) = (Trial::new("run-a"), Trial::new("run-b"));
        let recognised = |local_id, kind| ours.recognise(7, &envelope(local_id, kind)).is_some();
        assert!(recognised(Some(ours.local_id(7)), MessageKind::Data));
        for local_id in [None, Some(String::new()), Some(ours.local_id(70)), Some(other.local_id(7))] {
            assert!(!recognised(local_id.clone(), MessageKind::Data), "{local_id:?}");
        }
        // A report repeats the local id of the message that failed (mesh-api 7.3), and is news.
        assert!(!recognised(Some(ours.local_id(7)), MessageKind::Report));
    }
}
