//! Choosing a pipeline and running it. Pure, and called for every message.

use std::path::Path;

use super::stages::Stage;
use super::{Facts, Limits, MailboxOutputs, Outcome, Pipeline, Pipelines};
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{MailboxId, Name};
use crate::domain::output::OutputPlan;

impl Pipelines {
    /// The most specific pipeline that takes a message. No allocation; pipelines of other exact workflows are not looked at.
    pub fn choose(&self, facts: &Facts<'_>) -> Option<&Pipeline> {
        // An exact workflow is more specific than anything else, whatever the other keys say.
        let exact = self.exact.get(facts.workflow.as_str()).map(Vec::as_slice).unwrap_or_default();
        self.best(exact, facts).or_else(|| self.best(&self.open, facts))
    }

    /// Where a mailbox's outputs lie; `None` if the configuration has no such mailbox.
    pub fn mailbox(&self, id: &MailboxId) -> Option<&MailboxOutputs> {
        self.mailboxes.get(id)
    }

    /// Every pipeline.
    pub fn all(&self) -> &[Pipeline] {
        &self.pipelines
    }

    /// Every output there could be, with the mailbox it would be of.
    pub fn plans(&self) -> Vec<(MailboxId, OutputPlan)> {
        let mut plans = Vec::new();
        for (id, mailbox) in &self.mailboxes {
            let outputs = self
                .pipelines
                .iter()
                .filter(|pipeline| pipeline.matching.admits(id))
                .flat_map(|pipeline| &pipeline.outputs);
            plans.extend(outputs.map(|output| (id.clone(), output.plan(mailbox))));
        }
        plans
    }

    fn best(&self, places: &[usize], facts: &Facts<'_>) -> Option<&Pipeline> {
        let pipelines = places.iter().map(|place| &self.pipelines[*place]);
        pipelines
            .filter_map(|pipeline| Some((pipeline.matching.fit(facts)?, pipeline)))
            .max_by_key(|(specificity, _)| *specificity)
            .map(|(_, pipeline)| pipeline)
    }
}

impl Pipeline {
    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The file it was compiled from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How long and how often its messages are tried.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Folds the stages over a message. Without a stage that routes, it goes to every output.
    pub fn run(&self, facts: &Facts<'_>, mailbox: &MailboxOutputs) -> Result<Outcome, Fault> {
        if let Some(allowed) = self.limits.max_bytes.filter(|allowed| facts.length > *allowed) {
            let detail = format!("{} bytes, and pipeline {} allows {allowed}", facts.length, self.name);
            return Err(Fault::message(FaultCode::MsgTooLarge, detail));
        }
        let mut chosen: Option<&[usize]> = None;
        for stage in &self.stages {
            match stage {
                Stage::Discard(discard) => {
                    if let Some(reason) = discard.verdict(facts) {
                        return Ok(Outcome::Discard(reason));
                    }
                }
                Stage::Route(route) => chosen = Some(route.outputs(facts)),
            }
        }
        let plans = match chosen {
            Some(places) => places.iter().map(|place| self.outputs[*place].plan(mailbox)).collect(),
            None => self.outputs.iter().map(|output| output.plan(mailbox)).collect(),
        };
        Ok(Outcome::Deliver(plans))
    }
}
