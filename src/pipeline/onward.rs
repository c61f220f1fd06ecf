//! `kind = "mesh"`: an output that sends a message on, to another mailbox.
//!
//! ```toml
//! [[output]]
//! name = "reply"
//! kind = "mesh"
//! to = "{message.from}"      # or a mailbox id
//! workflow = "TOC_ACK"       # left out: the message's own
//! from = "X26ABC1"           # left out: the mailbox it came to
//! subject = "received"       # at most one of this and "subject" in keep
//! keep = ["local_id"]        # also subject, file_name, partner_id, content_type
//! ```
//!
//! What is sent is the payload as the stages left it. What its mailbox says of sending holds for it: chunks, compression,
//! encryption at source, limits.

use std::collections::BTreeMap;

use super::MailboxOutputs;
use super::matching::Facts;
use super::reading::{Keys, Node, Notes};
use crate::domain::envelope::MessageKind;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{MailboxId, Name, WorkflowId};
use crate::domain::onward::{KeptHeader, MeshPlan};
use crate::domain::output::Transform;

/// What stands for the message's sender.
const SENDER: &str = "{message.from}";
/// `Mex-Subject` is no longer (mesh-api 5.1).
const LONGEST_SUBJECT: usize = 500;

/// Such an output as written, for every mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Onward {
    /// Out of this mailbox; the one it came to if there is none.
    pub(super) from: Option<MailboxId>,
    pub(super) to: Recipient,
    /// The message's own if there is none.
    pub(super) workflow: Option<WorkflowId>,
    subject: Option<String>,
    keep: Vec<KeptHeader>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recipient {
    Mailbox(MailboxId),
    /// Whoever sent it, unless it is one of these, our own: two pipelines could answer each other for ever.
    Sender {
        ours: Vec<MailboxId>,
    },
}

impl Onward {
    /// What a message is sent on as.
    pub(super) fn plan(&self, name: &Name, facts: &Facts<'_>, payload: &[Transform]) -> Result<MeshPlan, Fault> {
        let nobody = |why: &str| {
            let detail = format!("output {name}: {why}");
            Err(Fault::message(FaultCode::SendNoRecipient, detail))
        };
        if facts.kind == MessageKind::Report {
            return nobody("a report has no payload, and is not sent on");
        }
        let to = match (&self.to, facts.from) {
            (Recipient::Mailbox(to), _) => to.clone(),
            (Recipient::Sender { .. }, None) => return nobody("the message does not say who sent it"),
            (Recipient::Sender { ours }, Some(from)) if ours.iter().any(|own| is_same(own, from)) => {
                return nobody("a mailbox of our own sent it, and is not answered");
            }
            (Recipient::Sender { .. }, Some(from)) => from.clone(),
        };
        Ok(MeshPlan {
            name: name.clone(),
            from: self.from.as_ref().unwrap_or(facts.mailbox).clone(),
            to,
            workflow: self.workflow.as_ref().unwrap_or(facts.workflow).clone(),
            subject: self.subject.clone(),
            keep: self.keep.clone(),
            payload: payload.to_vec(),
        })
    }

    /// The mailbox of ours that gets what is sent on, if one does.
    pub(super) fn own_recipient<'m>(
        &self,
        mailboxes: &'m BTreeMap<MailboxId, MailboxOutputs>,
    ) -> Option<&'m MailboxId> {
        match &self.to {
            Recipient::Mailbox(to) => mailboxes.keys().find(|own| is_same(own, to)),
            Recipient::Sender { .. } => None,
        }
    }
}

/// MESH's mailbox ids have no case of their own.
fn is_same(one: &MailboxId, other: &MailboxId) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

/// Reads what is left of an `[[output]]` of this kind. `None` if it has a mistake.
pub(super) fn read(
    mut keys: Keys<'_>,
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Option<Onward> {
    let ids = "a mailbox id: letters, digits, `_`, `-`";
    let to = keys.required("to", "a mailbox id, or {message.from}", notes).and_then(|node| {
        let ours = || mailboxes.keys().cloned().collect();
        node.parse(notes, "a mailbox id, or {message.from}", |text| match text {
            SENDER => Some(Recipient::Sender { ours: ours() }),
            id => MailboxId::new(id).ok().map(Recipient::Mailbox),
        })
    });
    let from = keys.optional("from").and_then(|node| {
        let id = node.parse(notes, ids, |text| MailboxId::new(text).ok())?;
        if !mailboxes.contains_key(&id) {
            let problem = "no mailbox of the configuration has this id";
            notes.unknown(&node.at(), &node.key, problem, id.as_str(), mailboxes.keys().map(MailboxId::as_str));
        }
        Some(id)
    });
    let workflow = keys.optional("workflow").and_then(|node| {
        let read = |text: &str| WorkflowId::new(text).ok().filter(|_| !text.trim().is_empty());
        node.parse(notes, "a workflow id: printable ASCII", read)
    });
    let subject = keys.optional("subject").and_then(|node| {
        let is_subject = |text: &str| {
            (1..=LONGEST_SUBJECT).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        };
        let expected = "1 to 500 printable ASCII characters, the same for every message";
        node.parse(notes, expected, |text| is_subject(text).then(|| text.to_owned()))
    });
    let keep = keys.optional("keep").map(|node| read_kept(&node, subject.is_some(), notes)).unwrap_or_default();
    keys.end(notes);
    Some(Onward { from, to: to?, workflow, subject, keep })
}

fn read_kept(node: &Node<'_>, has_subject: bool, notes: &mut Notes<'_>) -> Vec<KeptHeader> {
    let mut kept = Vec::new();
    for (node, text) in node.texts(notes) {
        let header = KeptHeader::ALL.into_iter().find(|header| header.as_str() == text);
        match header {
            Some(KeptHeader::Subject) if has_subject => {
                notes.mistake(&node.at(), &node.key, "there is a `subject` too", "one of the two");
            }
            Some(header) if kept.contains(&header) => {
                notes.mistake(&node.at(), &node.key, "this header stands here twice", "each header once");
            }
            Some(header) => kept.push(header),
            None => {
                let words = KeptHeader::ALL.map(KeptHeader::as_str);
                notes.unknown(&node.at(), &node.key, "no header is kept by this name", text, words);
            }
        }
    }
    kept
}
