//! What a pipeline can do with a message, one file each. A stage reads the message and says what follows;
//! all it changes is what the stages after it, and the outputs, see of the payload.

pub(super) mod decompress;
pub(super) mod decrypt;
pub(super) mod discard;
pub(super) mod expect;
pub(super) mod route;
mod when;

use std::collections::BTreeMap;

use super::MailboxOutputs;
use super::outputs::OutputTemplate;
use super::reading::{Node, Notes};
use crate::domain::ids::MailboxId;
use decompress::Decompress;
use decrypt::Decrypt;
use discard::Discard;
use expect::Expect;
use route::Route;

/// One stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// Undoes gzip.
    Decompress(Decompress),
    /// Opens an age file.
    Decrypt(Decrypt),
    /// Ends what a rule describes.
    Discard(Discard),
    /// Compares the content with what it should be.
    Expect(Expect),
    /// Chooses among the outputs.
    Route(Route),
}

impl Stage {
    /// The word for it in `use`.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Decompress(_) => "decompress",
            Self::Decrypt(_) => "decrypt",
            Self::Discard(_) => "discard",
            Self::Expect(_) => "expect",
            Self::Route(_) => "route",
        }
    }

    /// Without a payload there is nothing for it to do.
    pub(super) fn looks_at_payload(&self) -> bool {
        match self {
            Self::Decompress(_) | Self::Decrypt(_) | Self::Expect(_) => true,
            Self::Discard(_) | Self::Route(_) => false,
        }
    }
}

/// What `use` can say.
const WORDS: [&str; 5] = ["decompress", "decrypt", "discard", "expect", "route"];

/// Reads the `[[stage]]` tables, top to bottom.
pub(super) fn read(
    node: &Node<'_>,
    outputs: &[OutputTemplate],
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut is_routed = false;
    for mut keys in node.tables(notes) {
        let Some(verb) = keys.required("use", "what the stage does", notes) else { continue };
        match verb.text(notes) {
            Some("route") => {
                if is_routed {
                    notes.mistake(&verb.at(), &verb.key, "this pipeline routes twice", "one stage that routes");
                }
                is_routed = true;
                stages.extend(route::read(keys, outputs, mailboxes, notes).map(Stage::Route));
            }
            Some("decompress") => stages.push(Stage::Decompress(decompress::read(keys, notes))),
            Some("decrypt") => stages.extend(decrypt::read(keys, notes).map(Stage::Decrypt)),
            Some("expect") => stages.extend(expect::read(keys, notes).map(Stage::Expect)),
            Some("discard") => stages.extend(discard::read(keys, mailboxes, notes).map(Stage::Discard)),
            Some(word) => notes.unknown(&verb.at(), &verb.key, "this stage is not known", word, WORDS),
            None => {}
        }
    }
    stages
}
