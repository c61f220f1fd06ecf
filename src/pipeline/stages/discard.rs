//! `use = "discard"`: what a rule describes goes nowhere, deliberately and with a reason.

use std::collections::BTreeMap;

use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::MailboxId;
use crate::domain::settlement::Reason;
use crate::pipeline::MailboxOutputs;
use crate::pipeline::message::Message;
use crate::pipeline::reading::{Keys, Notes};
use crate::pipeline::stages::when::{self, When};

/// A rule and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Discard {
    when: When,
    reason: String,
}

impl Discard {
    /// Why the message ends here, if it does.
    pub(in crate::pipeline) fn verdict(&self, message: &Message<'_>) -> Result<Option<Reason>, Fault> {
        let fits = self.when.fits(message)?;
        Ok(fits.then(|| Reason::new(FaultCode::MsgDiscarded, &self.reason)))
    }
}

/// Reads `when` and `reason`.
pub(super) fn read(
    mut keys: Keys<'_>,
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Option<Discard> {
    let when = keys.required("when", "what to discard", notes);
    let everything = ("this discards everything", "at least one key");
    let when = when.and_then(|node| when::read(&node, mailboxes, everything, notes));
    let expected = "why, in a few words for the journal, without patient data";
    let reason = keys
        .required("reason", expected, notes)
        .and_then(|node| node.parse(notes, expected, |text| (!text.trim().is_empty()).then(|| text.trim().to_owned())));
    keys.end(notes);
    Some(Discard { when: when?, reason: reason? })
}
