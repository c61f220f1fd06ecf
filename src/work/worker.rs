//! One batch, from its leases to its settlements.
//!
//! What blocks (opening, staging, publishing) runs on the blocking pool, in two visits per batch;
//! journal calls of one batch are made side by side, so that they share commits.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::future::join_all;

use super::patients;
use super::round::{End, Round, Slot};
use super::sealed::{Closed, Sealed};
use super::wave::{Standing, Waves};
use super::{Work, WorkError, WorkSettings};
use crate::domain::course::{Handling, StageTime, milliseconds};
use crate::domain::digest::DigestKey;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::Name;
use crate::domain::monitor::Sighting;
use crate::domain::operator::Operator;
use crate::domain::output::{OutputPlan, Progress, Publication};
use crate::domain::patients::Patients;
use crate::domain::settlement::{Reason, Settlement};
use crate::pipeline::{Facts, Letter, Message, Outcome, Pipeline, Pipelines};
use crate::ports::clock::{Chance, Clock};
use crate::ports::operations::Post;
use crate::ports::outputs::{Outputs, PublishJob, Published, StageJob};
use crate::ports::spool::Spool;
use crate::ports::store::{Delivery, Halt, Lease, Note, Store};
use crate::ports::timings::{Span, Timings};

/// What a batch works with: one set of pipelines, and what these pipelines did so far.
pub(super) struct Desk {
    store: Arc<dyn Store>,
    spool: Arc<dyn Spool>,
    outputs: Arc<dyn Outputs>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    timings: Arc<dyn Timings>,
    pub(super) post: Arc<dyn Post>,
    pub(super) by: Operator,
    key: DigestKey,
    settings: WorkSettings,
    pipelines: Arc<Pipelines>,
    waves: Arc<Waves>,
}

/// What a batch tells the scheduler.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct BatchEnd {
    /// Some delivery came to an end, so the mailbox need not rest.
    pub(super) is_fruitful: bool,
    /// Our own machine was short of something, so everything rests.
    pub(super) is_short: bool,
    /// Outputs that were away, and why.
    pub(super) away: BTreeMap<Name, Reason>,
    /// Outputs that took something.
    pub(super) back: BTreeSet<Name>,
}

impl Desk {
    pub(super) fn new(work: &Work, pipelines: Arc<Pipelines>) -> Self {
        Self {
            store: Arc::clone(&work.store),
            spool: Arc::clone(&work.spool),
            outputs: Arc::clone(&work.outputs),
            clock: Arc::clone(&work.clock),
            chance: Arc::clone(&work.chance),
            timings: Arc::clone(&work.timings),
            post: Arc::clone(&work.post),
            by: work.by,
            key: work.key.clone(),
            settings: work.settings.clone(),
            pipelines,
            waves: work.suspensions.begin_anew(),
        }
    }

    /// Whether it works with these.
    pub(super) fn has(&self, pipelines: &Arc<Pipelines>) -> bool {
        Arc::ptr_eq(&self.pipelines, pipelines)
    }

    /// Works on leased deliveries until each is settled. Every settlement is durable on return.
    pub(super) async fn work(self: Arc<Self>, leases: Vec<Lease>) -> Result<BatchEnd, WorkError> {
        let desk = Arc::clone(&self);
        let mut rounds = blocking(move || desk.prepare(leases)).await??;
        self.note_staged(&rounds).await?;
        self.send_on(&mut rounds).await?;
        let desk = Arc::clone(&self);
        let rounds = blocking(move || {
            let mut rounds = rounds;
            desk.publish(&mut rounds, false);
            rounds
        })
        .await?;
        self.settle(rounds).await
    }

    /// Finishes what earlier rounds staged, then opens, decides and stages the rest. Blocks.
    fn prepare(&self, leases: Vec<Lease>) -> Result<Vec<Round>, Halt> {
        let mut rounds: Vec<Round> = leases.into_iter().map(Round::begin).collect();
        self.publish(&mut rounds, true);
        for round in &mut rounds {
            self.decide(round)?;
        }
        self.stage(&mut rounds);
        Ok(rounds)
    }

    /// Runs the pipeline, unless an earlier round's decision stands, and opens the payload if an output needs it.
    fn decide(&self, round: &mut Round) -> Result<(), Halt> {
        let is_begun = round.is_begun();
        let Round { lease, pipeline, handling, limits, slots, opened, alarms, patients, end, .. } = round;
        let sealed = Sealed::new(&*self.spool, lease);
        let letter: &dyn Letter = if end.is_some() { &Closed } else { &sealed };
        let mut message = Message::new(Facts::of(&lease.delivery), letter);
        let chosen = guarded(|| self.pipelines.choose(&message)).unwrap_or_else(|| Err(panicked("a match")));
        if let Ok(Some(chosen)) = &chosen {
            *pipeline = Some(chosen.name().clone());
            *handling = Some(Box::new(chosen.handling()));
            *limits = *chosen.limits();
        }
        let watching = chosen.as_ref().ok().copied().flatten();
        if end.is_none() && !is_begun {
            match chosen.and_then(|chosen| self.outcome(chosen, &mut message, &lease.delivery, handling.as_deref_mut()))
            {
                Ok(Outcome::Deliver(plans)) => *slots = plans.into_iter().map(Slot::planned).collect(),
                Ok(Outcome::Discard(reason)) => *end = Some(End::Discard(reason)),
                Ok(Outcome::Hold(reason)) => *end = Some(End::Hold(reason)),
                Err(fault) => *end = Some(End::Fault(fault)),
            }
            *alarms = message.alarms().iter().map(|alarm| alarm.code).collect();
        }
        let unstaged = slots.iter().find(|slot| slot.is_to_do()).filter(|_| end.is_none());
        if let Some(Slot { state, .. }) = unstaged {
            let prepared = guarded(|| self.pipelines.follow(&mut message, state.plan.payload()))
                .unwrap_or_else(|| Err(panicked("making the payload ready")));
            *end = prepared.err().map(End::Fault);
        }
        if let (Some(pipeline), Some(handling)) = (watching, handling) {
            handling.seen = self.see(pipeline, &mut message, slots);
        }
        let is_wanted = unstaged.is_some() && end.is_none();
        let changed = message.into_changed();
        if let Some(mut letter) = sealed.end()? {
            letter.payload = changed.unwrap_or(letter.payload);
            if self.settings.looks_for_patients {
                let found = guarded(|| patients::named(&letter));
                *patients = Some(found.unwrap_or(Patients { more: true, ..Patients::default() }));
            }
            *opened = Some(letter).filter(|_| is_wanted);
        }
        Ok(())
    }

    /// What the pipeline's monitors see. What keeps them from it most often is the end of the delivery too.
    fn see(&self, pipeline: &Pipeline, message: &mut Message<'_>, slots: &[Slot]) -> Vec<Sighting> {
        if pipeline.monitors().is_empty() {
            return Vec::new();
        }
        let looked = guarded(|| {
            // If an earlier round decided, its transforms are done again for a monitor that looks into the payload.
            let decided = slots.first().filter(|_| pipeline.counts(message));
            let followed = decided.map_or(Ok(()), |slot| self.pipelines.follow(message, slot.state.plan.payload()));
            let (seen, fault) = pipeline.see(message, &self.key);
            (seen, followed.err().or(fault))
        });
        let (seen, fault) = looked.unwrap_or_else(|| (Vec::new(), Some(panicked("a monitor"))));
        if let Some(fault) = fault {
            let code = fault.code.as_str();
            tracing::warn!(pipeline = %pipeline.name(), code, "a monitor could not look into a message");
        }
        seen
    }

    /// What a pipeline says of a message.
    fn outcome(
        &self,
        pipeline: Option<&Pipeline>,
        message: &mut Message<'_>,
        delivery: &Delivery,
        handling: Option<&mut Handling>,
    ) -> Result<Outcome, Fault> {
        let Some(mailbox) = self.pipelines.mailbox(&delivery.mailbox) else {
            let detail = "its mailbox is not in the configuration";
            return Ok(Outcome::Hold(Reason::new(FaultCode::MsgNoRoute, detail)));
        };
        let pipeline = pipeline.ok_or_else(|| Fault::message(FaultCode::MsgNoRoute, "no pipeline takes it"))?;
        if self.waves.is_suspended(pipeline.name()) {
            return Ok(Outcome::Hold(Reason::suspended(pipeline.name())));
        }
        let mut stages = Vec::new();
        let mut began = self.clock.monotonic();
        let mut done = |stage: &'static str| {
            let now = self.clock.monotonic();
            stages.push(StageTime(stage.into(), milliseconds(now.saturating_sub(began))));
            began = now;
        };
        let decided = guarded(|| {
            let outcome = pipeline.run(message, mailbox, &mut done)?;
            let is_let_go = self.settings.holds_synthetic && matches!(outcome, Outcome::Deliver(_));
            let synthetic = if is_let_go { message.synthetic()? } else { None };
            Ok(synthetic.map_or(outcome, Outcome::Hold))
        });
        let outcome = decided.unwrap_or_else(|| Err(panicked("a stage")));
        if let Some(handling) = handling {
            handling.stages = stages;
        }
        for alarm in message.alarms() {
            let Delivery { id, mailbox, message_id, workflow, .. } = delivery;
            let (code, detail, pipeline) = (alarm.code.as_str(), alarm.detail.as_str(), pipeline.name());
            tracing::error!(delivery = %id, %mailbox, %message_id, workflow_id = %workflow, %pipeline, code, detail, "a pipeline raised an alarm");
        }
        outcome
    }

    /// Stages every output that is not yet staged of every opened delivery, in one call. Blocks.
    fn stage(&self, rounds: &mut [Round]) {
        let mut places = Vec::new();
        let mut jobs = Vec::new();
        for (r, round) in rounds.iter().enumerate() {
            let Some(opened) = &round.opened else { continue };
            for (s, slot) in round.slots.iter().enumerate() {
                let Some(plan) = slot.folder_to_stage() else { continue };
                places.push((r, s));
                jobs.push(StageJob { plan, delivery: &round.lease.delivery, opened });
            }
        }
        let began = self.clock.monotonic();
        let answers = together_or_alone(&jobs, |jobs| self.outputs.stage(jobs), |job| job);
        let took = self.clock.monotonic().saturating_sub(began);
        for ((r, s), answer) in places.into_iter().zip(answers) {
            rounds[r].staging = Some(took);
            let slot = &mut rounds[r].slots[s];
            match answer {
                Some(Ok(set)) => {
                    slot.state.progress = Progress::Staged(set);
                    slot.is_fresh = true;
                }
                Some(Err(fault)) => slot.trouble = Some(fault),
                None => slot.trouble = Some(panicked("staging")),
            }
        }
    }

    /// Publishes what is staged: of earlier rounds if `resumed`, of this one if not. Blocks.
    fn publish(&self, rounds: &mut [Round], resumed: bool) {
        let mut places = Vec::new();
        let mut jobs = Vec::new();
        for (r, round) in rounds.iter().enumerate().filter(|(_, round)| round.end.is_none()) {
            for (s, slot) in round.slots.iter().enumerate().filter(|(_, slot)| slot.is_fresh != resumed) {
                if let (OutputPlan::Folder(plan), Progress::Staged(set)) = (&slot.state.plan, &slot.state.progress) {
                    places.push((r, s));
                    jobs.push(PublishJob { plan, set, resumed });
                }
            }
        }
        // A panic may have come after a rename.
        let again = |job| PublishJob { resumed: true, ..job };
        let began = self.clock.monotonic();
        let answers = together_or_alone(&jobs, |jobs| self.outputs.publish(jobs), again);
        let took = self.clock.monotonic().saturating_sub(began);
        for ((r, s), answer) in places.into_iter().zip(answers) {
            rounds[r].publishing = Some(took);
            let slot = &mut rounds[r].slots[s];
            match answer {
                Some(Published::Done(publication)) => slot.state.progress = Progress::Published(publication),
                Some(Published::Held(reason)) => {
                    slot.state.progress = Progress::Held(reason.code);
                    slot.hold = Some(reason);
                }
                Some(Published::NotNow(fault)) => slot.trouble = Some(fault),
                None => slot.trouble = Some(panicked("publishing")),
            }
        }
    }

    /// Makes what was staged, and what is to be sent on, durable in the journal, before any rename and any send.
    async fn note_staged(&self, rounds: &[Round]) -> Result<(), WorkError> {
        let is_fresh = |round: &&Round| round.is_to_send_on() || round.slots.iter().any(|slot| slot.is_fresh);
        let fresh = rounds.iter().filter(is_fresh);
        let replies: Vec<_> = fresh.map(|round| self.store.staged(round.lease.delivery.id, round.outputs())).collect();
        for reply in join_all(replies).await {
            reply?;
        }
        Ok(())
    }

    async fn settle(&self, rounds: Vec<Round>) -> Result<BatchEnd, WorkError> {
        let mut end = BatchEnd::default();
        let mut settled = Vec::with_capacity(rounds.len());
        let mut replies = Vec::with_capacity(rounds.len());
        let mut notes = Vec::new();
        for mut round in rounds {
            round.report(&mut end);
            notes.extend(round.alarms());
            let settlement = self.verdict(&round, &mut notes);
            round.lease.handling = round.handled();
            round.lease.patients = round.concerned(&settlement);
            let (delivery, pipeline) = (round.lease.delivery.clone(), round.pipeline);
            replies.push(self.store.settle(round.lease, settlement.clone()));
            settled.push((delivery, pipeline, settlement));
        }
        let notes: Vec<_> = notes.into_iter().map(|note| self.store.note(note)).collect();
        for (reply, (delivery, pipeline, settlement)) in join_all(replies).await.into_iter().zip(settled) {
            reply?;
            if let Settlement::Delivered(_) = settlement {
                let time = self.clock.wall().since(delivery.accepted_at);
                self.timings.took(Span::AcceptedToPublished, &delivery.mailbox, time);
            }
            end.is_fruitful |= log(&delivery, pipeline.as_ref(), &settlement);
        }
        for reply in join_all(notes).await {
            reply?;
        }
        Ok(end)
    }

    /// The settlement of a round, counted towards its pipeline's suspension, which is noted.
    fn verdict(&self, round: &Round, notes: &mut Vec<Note>) -> Settlement {
        let settlement = round.settlement(&self.settings, &*self.chance);
        let Some(pipeline) = &round.pipeline else { return settlement };
        match &settlement {
            Settlement::Delivered(_) | Settlement::Discarded(_) => {
                self.waves.succeeded(pipeline);
                settlement
            }
            Settlement::Dead { reason, .. } => match self.waves.failed(pipeline, reason.code, self.clock.wall()) {
                Standing::Counted => settlement,
                Standing::Suspends => {
                    let code = reason.code;
                    tracing::error!(%pipeline, %code, "pipeline suspended after too many alike failures, its mail is held");
                    notes.push(Note::Suspended { pipeline: pipeline.clone(), code });
                    settlement
                }
                Standing::Suspended => {
                    Settlement::Held { reason: Reason::suspended(pipeline), outputs: round.outputs() }
                }
            },
            Settlement::Retry { .. } | Settlement::Defer { .. } | Settlement::Release | Settlement::Held { .. } => {
                settlement
            }
        }
    }
}

/// Runs on the blocking pool, which the batch waits for.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, WorkError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| WorkError::Lost)
}

/// Catches a panic. What the panic says is dropped: it may quote the message (I8).
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

pub(super) fn panicked(place: &str) -> Fault {
    Fault::new(FaultCode::MsgPanic, Class::Poison, Origin::Message, format!("{place} panicked"))
}

/// One call for all jobs; if that panics one call each, so that only what panics by itself is blamed (I10).
fn together_or_alone<J: Copy, T>(jobs: &[J], call: impl Fn(&[J]) -> Vec<T>, again: impl Fn(J) -> J) -> Vec<Option<T>> {
    if jobs.is_empty() {
        return Vec::new();
    }
    match guarded(|| call(jobs)) {
        Some(answers) => answers.into_iter().map(Some).collect(),
        None if jobs.len() == 1 => vec![None],
        None => jobs.iter().map(|job| guarded(|| call(&[again(*job)])).and_then(|mut answers| answers.pop())).collect(),
    }
}

/// The outputs that a consumer may have had before (I2).
fn republished(settlement: &Settlement) -> Vec<&Name> {
    let Settlement::Delivered(outputs) = settlement else { return Vec::new() };
    let again = outputs.iter().filter(|output| output.progress == Progress::Published(Publication::Again));
    again.map(|output| output.plan.name()).collect()
}

/// One INFO line per delivery's end; waiting is for DEBUG. Returns whether it was an end.
fn log(delivery: &Delivery, pipeline: Option<&Name>, settlement: &Settlement) -> bool {
    let (word, reason, is_end) = match settlement {
        Settlement::Delivered(_) => ("delivered", None, true),
        Settlement::Discarded(reason) => ("discarded", Some(reason), true),
        Settlement::Held { reason, .. } => ("held", Some(reason), true),
        Settlement::Dead { reason, .. } => ("dead", Some(reason), true),
        Settlement::Retry { reason, .. } => ("retry", Some(reason), false),
        Settlement::Defer { reason, .. } => ("deferred", Some(reason), false),
        Settlement::Release => ("released", None, false),
    };
    let Delivery { id, mailbox, message_id, workflow, .. } = delivery;
    let pipeline = pipeline.map(Name::as_str);
    for output in republished(settlement) {
        let (code, output) = (FaultCode::OutRepublished.as_str(), output.as_str());
        tracing::warn!(delivery = %id, %mailbox, %message_id, output, code, "published once more: the output's disk lost power");
    }
    let code = reason.map(|reason| reason.code.as_str());
    if is_end {
        let detail = reason.map(|reason| reason.detail.as_str());
        tracing::info!(delivery = %id, %mailbox, %message_id, workflow_id = %workflow, pipeline, code, detail, disposition = word, "delivery ended");
    } else {
        tracing::debug!(delivery = %id, %mailbox, %message_id, workflow_id = %workflow, pipeline, code, disposition = word, "delivery waits");
    }
    is_end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::output::{FolderPlan, Layout, LineEnds, OutputState};

    #[test]
    fn an_output_that_came_out_again_is_told_and_no_other() {
        let output = |name: &str, publication| {
            let name = Name::new(name).expect("a name");
            let (line_ends, folder, payload) = (LineEnds::Lf, "/srv".into(), Vec::new());
            let plan =
                FolderPlan { name, layout: Layout::Folder, line_ends, folder, group: None, mode: 0o640, payload };
            OutputState { plan: OutputPlan::Folder(plan), progress: Progress::Published(publication) }
        };
        let outputs = vec![
            output("seen", Publication::Seen),
            output("again", Publication::Again),
            output("inferred", Publication::Inferred),
        ];
        let delivered = Settlement::Delivered(outputs);
        let told: Vec<_> = republished(&delivered).into_iter().map(Name::as_str).collect();
        assert_eq!(told, ["again"]);
        assert!(republished(&Settlement::Release).is_empty());
    }
}
