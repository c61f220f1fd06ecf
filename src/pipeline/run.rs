//! Choosing a pipeline and running it. Called for every message.

use std::path::Path;

use super::outputs::OutputTemplate;
use super::stages::Stage;
use super::{Limits, MailboxOutputs, Message, Monitor, Outcome, Pipeline, Pipelines};
use crate::domain::course::Handling;
use crate::domain::digest::DigestKey;
use crate::domain::envelope::MessageKind;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::{MailboxId, Name};
use crate::domain::monitor::Sighting;
use crate::domain::output::{FolderPlan, Transform, Unconsumed};

impl Pipelines {
    /// The most specific pipeline that takes a message. No allocation; pipelines of other exact workflows are not looked
    /// at, and the message is opened only for one that asks for what is sealed and else fits.
    pub fn choose(&self, message: &Message<'_>) -> Result<Option<&Pipeline>, Fault> {
        // An exact workflow is more specific than anything else, whatever the other keys say.
        let exact = self.exact.get(message.facts().workflow.as_str()).map(Vec::as_slice).unwrap_or_default();
        match self.best(exact, message)? {
            Some(pipeline) => Ok(Some(pipeline)),
            None => self.best(&self.open, message),
        }
    }

    /// Makes a message's payload ready as was decided, in this round or an earlier one: opened, and changed.
    pub fn follow(&self, message: &mut Message<'_>, decided: &[Transform]) -> Result<(), Fault> {
        message.follow(decided, &self.keys)
    }

    /// Where a mailbox's outputs lie; `None` if the configuration has no such mailbox.
    pub fn mailbox(&self, id: &MailboxId) -> Option<&MailboxOutputs> {
        self.mailboxes.get(id)
    }

    /// Every pipeline.
    pub fn all(&self) -> &[Pipeline] {
        &self.pipelines
    }

    /// Every folder there could be output to, with the mailbox it would be of.
    pub fn folders(&self) -> Vec<(MailboxId, FolderPlan)> {
        let mut plans = Vec::new();
        for (id, mailbox) in &self.mailboxes {
            let outputs = self
                .pipelines
                .iter()
                .filter(|pipeline| pipeline.matching.admits(id))
                .flat_map(|pipeline| &pipeline.outputs);
            plans.extend(outputs.filter_map(|output| Some((id.clone(), output.folder(mailbox)?))));
        }
        plans
    }

    /// Every output with a limit of what its consumer may leave there.
    pub fn waiting(&self) -> Vec<(FolderPlan, Unconsumed)> {
        let mut limits = Vec::new();
        for (id, mailbox) in &self.mailboxes {
            let pipelines = self.pipelines.iter().filter(|pipeline| pipeline.matching.admits(id));
            let outputs = pipelines.flat_map(|pipeline| &pipeline.outputs);
            limits.extend(outputs.filter_map(|output| output.waiting(mailbox)));
        }
        limits
    }

    fn best(&self, places: &[usize], message: &Message<'_>) -> Result<Option<&Pipeline>, Fault> {
        let mut best = None;
        for pipeline in places.iter().map(|place| &self.pipelines[*place]) {
            if let Some(specificity) = pipeline.matching.fit(message)?
                && best.is_none_or(|(highest, _)| specificity > highest)
            {
                best = Some((specificity, pipeline));
            }
        }
        Ok(best.map(|(_, pipeline)| pipeline))
    }
}

impl Pipeline {
    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// SHA-256 of its file, lower-case hex: equal files make equal pipelines.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What the journal says of a message that it takes, before any stage.
    pub fn handling(&self) -> Handling {
        let file = self.sha256.chars().take(12).collect();
        Handling {
            pipeline: self.name.clone(),
            file,
            stages: Vec::new(),
            staging: None,
            publishing: None,
            seen: Vec::new(),
        }
    }

    /// The file it was compiled from.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How long and how often its messages are tried.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Its outputs' names, in the order of its file.
    pub fn outputs(&self) -> impl Iterator<Item = &Name> {
        self.outputs.iter().map(|output| &output.name)
    }

    /// What is watched about its messages.
    pub fn monitors(&self) -> &[Monitor] {
        &self.monitors
    }

    /// Whether a monitor looks into a message's payload.
    pub fn counts(&self, message: &Message<'_>) -> bool {
        message.facts().kind == MessageKind::Data && self.monitors.iter().any(Monitor::looks_at_payload)
    }

    /// What its monitors see of a message whose payload is as the stages left it, and why some see nothing. Flows are
    /// told apart by `key`.
    pub fn see(&self, message: &Message<'_>, key: &DigestKey) -> (Vec<Sighting>, Option<Fault>) {
        // A report has no payload (mesh-api 7.3).
        let has_payload = message.facts().kind == MessageKind::Data;
        let (mut seen, mut fault) = (Vec::new(), None);
        for monitor in self.monitors.iter().filter(|monitor| has_payload || !monitor.looks_at_payload()) {
            match monitor.see(message, key) {
                Ok(sighting) => seen.extend(sighting),
                Err(error) => fault = Some(error),
            }
        }
        (seen, fault)
    }

    /// Folds the stages over a message. Without a stage that routes, it goes to every output.
    ///
    /// `done` hears of each stage that the message went through: whoever measures time does it there.
    pub fn run(
        &self,
        message: &mut Message<'_>,
        mailbox: &MailboxOutputs,
        done: &mut dyn FnMut(&'static str),
    ) -> Result<Outcome, Fault> {
        let length = message.facts().length;
        if let Some(allowed) = self.limits.max_bytes.filter(|allowed| length > *allowed) {
            let detail = format!("{length} bytes, and pipeline {} allows {allowed}", self.name);
            return Err(Fault::message(FaultCode::MsgTooLarge, detail));
        }
        // A report has no payload (mesh-api 7.3).
        let has_payload = message.facts().kind == MessageKind::Data;
        let mut chosen: Option<&[usize]> = None;
        for stage in self.stages.iter().filter(|stage| has_payload || !stage.looks_at_payload()) {
            let said = self.step(stage, message);
            done(stage.word());
            match said? {
                Said::GoOn => {}
                Said::To(places) => chosen = Some(places),
                Said::End(outcome) => return Ok(outcome),
            }
        }
        let plan = |output: &OutputTemplate| output.plan(message.facts(), mailbox, message.transforms());
        let plans: Result<_, Fault> = match chosen {
            Some(places) => places.iter().map(|place| plan(&self.outputs[*place])).collect(),
            None => self.outputs.iter().map(plan).collect(),
        };
        plans.map(Outcome::Deliver)
    }

    fn step<'a>(&self, stage: &'a Stage, message: &mut Message<'_>) -> Result<Said<'a>, Fault> {
        match stage {
            Stage::Decompress(decompress) => decompress.work(message, &self.keys)?,
            Stage::Decrypt(decrypt) => decrypt.work(message, &self.keys)?,
            Stage::Expect(expect) => {
                if let Some(reason) = expect.work(message)? {
                    return Ok(Said::End(Outcome::Hold(reason)));
                }
            }
            Stage::Discard(discard) => {
                if let Some(reason) = discard.verdict(message)? {
                    return Ok(Said::End(Outcome::Discard(reason)));
                }
            }
            Stage::Route(route) => return Ok(Said::To(route.outputs(message)?)),
        }
        Ok(Said::GoOn)
    }
}

/// What follows from one stage.
enum Said<'a> {
    /// The next stage.
    GoOn,
    /// The same, and it goes to these outputs.
    To(&'a [usize]),
    /// Nothing: this is the end.
    End(Outcome),
}
