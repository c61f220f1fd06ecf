//! `use = "route"`: the first rule that fits says which outputs a message goes to.
//!
//! The last rule is `otherwise = true`, so that every message goes somewhere.

use std::collections::BTreeMap;

use crate::domain::fault::Fault;
use crate::domain::ids::MailboxId;
use crate::pipeline::MailboxOutputs;
use crate::pipeline::message::Message;
use crate::pipeline::outputs::OutputTemplate;
use crate::pipeline::reading::{Keys, Node, Notes};
use crate::pipeline::stages::when::{self, When};

/// Rules, read top to bottom. Outputs are places in the pipeline's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Route {
    rules: Vec<(When, Vec<usize>)>,
    otherwise: Vec<usize>,
}

impl Route {
    /// The outputs of the first rule that fits.
    pub(in crate::pipeline) fn outputs(&self, message: &Message<'_>) -> Result<&[usize], Fault> {
        for (when, to) in &self.rules {
            if when.fits(message)? {
                return Ok(to);
            }
        }
        Ok(&self.otherwise)
    }
}

/// Reads `rules`.
pub(super) fn read(
    mut keys: Keys<'_>,
    outputs: &[OutputTemplate],
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    notes: &mut Notes<'_>,
) -> Option<Route> {
    let before = notes.count();
    let mut rules = Vec::new();
    let mut otherwise = None;
    let Some(node) = keys.required("rules", "a list of rules", notes) else {
        keys.end(notes);
        return None;
    };
    for mut rule in node.tables(notes) {
        let (at, name) = (rule.at(), rule.full(""));
        let name = name.trim_end_matches('.');
        if otherwise.is_some() {
            notes.mistake(&at, name, "a rule after the one for all the rest", "`otherwise = true` in the last rule");
        }
        let everything = ("this fits everything", "at least one key, or `otherwise = true`");
        let when = rule.optional("when").and_then(|node| when::read(&node, mailboxes, everything, notes));
        let is_otherwise = rule.optional("otherwise").is_some_and(|node| node.claim(notes));
        let to = read_targets(&mut rule, outputs, notes);
        rule.end(notes);
        match (when, is_otherwise) {
            (Some(when), false) => rules.push((when, to)),
            (None, true) => otherwise = Some(to),
            (Some(_), true) | (None, false) => {
                notes.mistake(&at, name, "a rule says for what it is", "either `when = { … }` or `otherwise = true`");
            }
        }
    }
    keys.end(notes);
    if otherwise.is_none() {
        notes.mistake(&node.at(), &node.key, "some messages would go nowhere", "`otherwise = true` in the last rule");
    }
    let otherwise = otherwise?;
    // A rule with a mistake may be the one that was meant to send something there.
    if notes.count() > before {
        return None;
    }
    for (place, output) in outputs.iter().enumerate() {
        if !rules.iter().any(|(_, to)| to.contains(&place)) && !otherwise.contains(&place) {
            let problem = format!("no rule sends anything to the output `{}`", output.name);
            notes.mistake(&node.at(), &node.key, problem, "every output in some rule");
        }
    }
    Some(Route { rules, otherwise })
}

fn read_targets(rule: &mut Keys<'_>, outputs: &[OutputTemplate], notes: &mut Notes<'_>) -> Vec<usize> {
    let Some(node) = rule.required("to", "names of outputs", notes) else { return Vec::new() };
    read_names(&node, outputs, notes)
}

/// Names of outputs, each once, as places in the pipeline's list.
pub(in crate::pipeline) fn read_names(
    node: &Node<'_>,
    outputs: &[OutputTemplate],
    notes: &mut Notes<'_>,
) -> Vec<usize> {
    let mut targets = Vec::new();
    for (node, word) in node.texts(notes) {
        match outputs.iter().position(|output| output.name.as_str() == word) {
            Some(place) if targets.contains(&place) => {
                notes.mistake(&node.at(), &node.key, "this output is named twice", "each output once");
            }
            Some(place) => targets.push(place),
            None => {
                let names = outputs.iter().map(|output| output.name.as_str());
                notes.unknown(&node.at(), &node.key, "no output has this name", word, names);
            }
        }
    }
    targets
}
