//! Pipelines that would send to each other for ever.

use std::collections::BTreeMap;
use std::path::Path;

use super::MailboxOutputs;
use super::definition::Definition;
use super::matching::Condition;
use super::onward::{Onward, Recipient};
use super::outputs::{OutputTemplate, Target};
use super::stages::Stage;
use crate::domain::envelope::MessageKind;
use crate::domain::finding::Finding;
use crate::domain::ids::{MailboxId, WorkflowId};

/// Finds every output that sends to a mailbox of ours whose pipelines can bring the message back to it, every one whose
/// answers would be answered the same way, and every one to which reports would go.
///
/// It may find one where a `when` or a `from` would break the circle; never none where there is one.
pub(super) fn check(
    read: &[(&Path, &Definition)],
    mailboxes: &BTreeMap<MailboxId, MailboxOutputs>,
    findings: &mut Vec<Finding>,
) {
    // `next[p]`: the pipelines that could take what pipeline `p` sends, with the output that sends it.
    let next: Vec<Vec<(usize, &OutputTemplate)>> = read
        .iter()
        .map(|(_, definition)| {
            let sends = sending(definition);
            let takers = |(output, onward): (_, &Onward)| {
                let own = onward.own_recipient(mailboxes);
                let could = move |(place, (_, taker)): (usize, &(&Path, &Definition))| {
                    own.filter(|own| could_take(&taker.matching, own, onward, &definition.matching)).map(|_| place)
                };
                read.iter().enumerate().filter_map(could).map(move |place| (place, output)).collect::<Vec<_>>()
            };
            sends.flat_map(takers).collect()
        })
        .collect();
    for (place, (file, definition)) in read.iter().enumerate() {
        let mut told: Vec<usize> = Vec::new();
        for (output, onward) in sending(definition).filter(|(_, onward)| is_answered_alike(onward, definition)) {
            told.push(output.line);
            let problem = format!("two that answer each other as `{}` does would never end", output.name);
            let expected = "a `workflow` that this pipeline's [match] does not take, such as one that ends in _ACK";
            let key = if onward.workflow.is_some() { "workflow" } else { "to" };
            findings.push(finding(file, definition, output, key, problem, expected));
        }
        for (taker, output) in &next[place] {
            if comes_back(*taker, place, &next) && !told.contains(&output.line) {
                told.push(output.line);
                let problem = format!("what `{}` sends would come back to it, for ever", output.name);
                let expected = "another mailbox, or a workflow that no pipeline in the circle takes";
                findings.push(finding(file, definition, output, "to", problem, expected));
            }
        }
        let is_routed = definition.stages.iter().any(|stage| matches!(stage, Stage::Route(_)));
        for (output, _) in sending(definition).filter(|_| !is_routed) {
            if definition.matching.kind != Some(MessageKind::Data) {
                let problem = format!("reports would come to `{}`, and have no payload to send on", output.name);
                let expected = "`type = \"data\"` in [match], or a route that keeps reports from it";
                findings.push(finding(file, definition, output, "kind", problem, expected));
            }
        }
    }
}

fn sending(definition: &Definition) -> impl Iterator<Item = (&OutputTemplate, &Onward)> {
    definition.outputs.iter().filter_map(|output| match &output.target {
        Target::Mesh(onward) => Some((output, onward)),
        Target::Folder(_) => None,
    })
}

fn could_take(taker: &Condition, own: &MailboxId, onward: &Onward, sender: &Condition) -> bool {
    let workflow = match &onward.workflow {
        Some(workflow) => taker.admits_workflow(workflow),
        None => taker.workflow_meets(sender),
    };
    workflow && taker.admits(own) && taker.kind != Some(MessageKind::Report)
}

/// Whether an answer to an answer would be answered too: the far side may do as we do.
fn is_answered_alike(onward: &Onward, definition: &Definition) -> bool {
    let is_taken = |workflow: &WorkflowId| definition.matching.admits_workflow(workflow);
    matches!(onward.to, Recipient::Sender { .. }) && onward.workflow.as_ref().is_none_or(is_taken)
}

/// Whether a message that pipeline `from` takes can come to pipeline `to`.
fn comes_back(from: usize, to: usize, next: &[Vec<(usize, &OutputTemplate)>]) -> bool {
    let mut seen = vec![false; next.len()];
    let mut open = vec![from];
    while let Some(place) = open.pop() {
        if place == to {
            return true;
        }
        if !std::mem::replace(&mut seen[place], true) {
            open.extend(next[place].iter().map(|(taker, _)| *taker));
        }
    }
    false
}

fn finding(
    file: &Path,
    definition: &Definition,
    output: &OutputTemplate,
    key: &str,
    problem: String,
    expected: &str,
) -> Finding {
    let place = definition.outputs.iter().position(|other| other.line == output.line).map_or(1, |place| place + 1);
    Finding {
        file: file.into(),
        line: Some(output.line),
        key: format!("output[{place}].{key}"),
        problem,
        expected: expected.into(),
        did_you_mean: None,
    }
}
