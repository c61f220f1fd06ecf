//! `when = { … }` of a stage: the keys of `[match]`, and `content`.

use std::collections::BTreeMap;

use crate::domain::fault::Fault;
use crate::domain::ids::MailboxId;
use crate::pipeline::MailboxOutputs;
use crate::pipeline::content::{Wanted, wanted};
use crate::pipeline::definition::read_condition;
use crate::pipeline::matching::Condition;
use crate::pipeline::message::Message;
use crate::pipeline::reading::{Node, Notes};

/// What MESH says, and what the payload is. All of it must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct When {
    condition: Condition,
    content: Option<Wanted>,
}

impl When {
    /// The payload is looked at only if all else fits.
    pub(super) fn fits(&self, message: &Message<'_>) -> Result<bool, Fault> {
        if self.condition.fit(message)?.is_none() {
            return Ok(false);
        }
        match &self.content {
            Some(wanted) => Ok(wanted.fits(message.content()?)),
            None => Ok(true),
        }
    }
}

/// Reads the table. `everything` is the problem with one that has no key.
pub(super) fn read(
    node: &Node<'_>,
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    everything: (&str, &str),
    notes: &mut Notes<'_>,
) -> Option<When> {
    let mut keys = node.table(notes)?;
    let content = keys.optional("content");
    let is_about_content = content.is_some();
    let content = content.and_then(|node| wanted::read(&node, notes));
    let condition = read_condition(keys, mailboxes, notes);
    if condition.is_empty() && !is_about_content {
        let (problem, expected) = everything;
        notes.mistake(&node.at(), &node.key, problem, expected);
    }
    Some(When { condition, content })
}
