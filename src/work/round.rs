//! One round of work on one delivery: what was decided, how far each output came, and so what it settles to.

use std::time::Duration;

use super::WorkSettings;
use super::suspects::SOLO_DEATHS;
use super::verdict::{Case, is_begun};
use super::worker::BatchEnd;
use crate::domain::course::{Handling, milliseconds};
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::Name;
use crate::domain::onward::MeshPlan;
use crate::domain::output::{FolderPlan, OutputPlan, OutputState, Progress};
use crate::domain::patients::Patients;
use crate::domain::settlement::{Reason, Settlement};
use crate::pipeline::Limits;
use crate::ports::clock::Chance;
use crate::ports::spool::Opened;
use crate::ports::store::{Lease, Note};

/// One round of work on one delivery.
pub(super) struct Round {
    pub(super) lease: Lease,
    pub(super) pipeline: Option<Name>,
    /// What it did so far, for the journal; none without a pipeline.
    pub(super) handling: Option<Box<Handling>>,
    /// How long the staging took that it had a part in.
    pub(super) staging: Option<Duration>,
    /// The same of the publishing; where an earlier round's was finished first, of the last.
    pub(super) publishing: Option<Duration>,
    pub(super) limits: Limits,
    pub(super) slots: Vec<Slot>,
    pub(super) opened: Option<Opened>,
    /// What its pipeline raised an alarm about.
    pub(super) alarms: Vec<FaultCode>,
    /// Whom its message names, if it was opened.
    pub(super) patients: Option<Patients>,
    /// Decided without any output, or before one.
    pub(super) end: Option<End>,
}

/// One output in this round.
pub(super) struct Slot {
    pub(super) state: OutputState,
    /// Staged in this round, not in an earlier one.
    pub(super) is_fresh: bool,
    /// Why it is not published.
    pub(super) trouble: Option<Fault>,
    /// Why a person must look.
    pub(super) hold: Option<Reason>,
}

pub(super) enum End {
    Discard(Reason),
    Hold(Reason),
    Fault(Fault),
}

impl Round {
    /// A round that has done nothing yet. One whose delivery killed the daemon twice has its end already.
    pub(super) fn begin(lease: Lease) -> Self {
        let slot = |state| Slot { state, is_fresh: false, trouble: None, hold: None };
        let slots = lease.delivery.outputs.iter().cloned().map(slot).collect();
        let end = (lease.delivery.solo_deaths >= SOLO_DEATHS).then(|| {
            let detail = "the daemon died twice while it was handled alone";
            End::Fault(Fault::new(FaultCode::MsgPoison, Class::Poison, Origin::Message, detail))
        });
        Self {
            lease,
            pipeline: None,
            handling: None,
            staging: None,
            publishing: None,
            limits: Limits::default(),
            slots,
            opened: None,
            alarms: Vec::new(),
            patients: None,
            end,
        }
    }

    pub(super) fn outputs(&self) -> Vec<OutputState> {
        self.slots.iter().map(|slot| slot.state.clone()).collect()
    }

    /// What it did, for the journal.
    pub(super) fn handled(&mut self) -> Option<Box<Handling>> {
        let mut handling = self.handling.take()?;
        handling.staging = self.staging.map(milliseconds);
        handling.publishing = self.publishing.map(milliseconds);
        Some(handling)
    }

    /// Whom its message names, for the journal. A payload that could not be made ready and is tried again is told of
    /// then: more of it may be readable.
    pub(super) fn concerned(&mut self, settlement: &Settlement) -> Option<Patients> {
        let is_tried_again = match settlement {
            Settlement::Retry { .. } | Settlement::Defer { .. } | Settlement::Release => true,
            Settlement::Delivered(_) | Settlement::Discarded(_) | Settlement::Held { .. } | Settlement::Dead { .. } => {
                false
            }
        };
        let is_unready = matches!(self.end, Some(End::Fault(_)));
        self.patients.take().filter(|_| !(is_tried_again && is_unready))
    }

    /// Its pipeline's alarms, for the journal.
    pub(super) fn alarms(&self) -> Vec<Note> {
        let Some(pipeline) = &self.pipeline else { return Vec::new() };
        let note =
            |code: &FaultCode| Note::Alarmed { id: self.lease.delivery.id, pipeline: pipeline.clone(), code: *code };
        self.alarms.iter().map(note).collect()
    }

    /// Whether there is something to be sent on, and nothing that makes it bad mail.
    pub(super) fn is_to_send_on(&self) -> bool {
        let is_bad = |slot: &Slot| slot.trouble.as_ref().is_some_and(|fault| fault.origin == Origin::Message);
        self.opened.is_some()
            && self.slots.iter().any(|slot| slot.mesh_to_send().is_some())
            && !self.slots.iter().any(is_bad)
    }

    pub(super) fn is_begun(&self) -> bool {
        is_begun(&self.outputs())
    }

    fn faults(&self) -> Vec<Fault> {
        let early = match &self.end {
            Some(End::Fault(fault)) => Some(fault),
            Some(End::Discard(_) | End::Hold(_)) | None => None,
        };
        early.into_iter().chain(self.slots.iter().filter_map(|slot| slot.trouble.as_ref())).cloned().collect()
    }

    /// An output that a person must look at, now or since an earlier round.
    fn held(&self) -> Option<Reason> {
        self.slots.iter().find_map(|slot| match (&slot.hold, &slot.state.progress) {
            (Some(reason), _) => Some(reason.clone()),
            (None, Progress::Held(code)) => {
                Some(Reason::new(*code, format!("output {} is held", slot.state.plan.name())))
            }
            (None, Progress::Planned | Progress::Staged(_) | Progress::Published(_) | Progress::Reopened(_)) => None,
        })
    }

    pub(super) fn settlement(&self, settings: &WorkSettings, chance: &dyn Chance) -> Settlement {
        let outputs = self.outputs();
        match &self.end {
            Some(End::Discard(reason)) => return Settlement::Discarded(reason.clone()),
            Some(End::Hold(reason)) => return Settlement::Held { reason: reason.clone(), outputs },
            Some(End::Fault(_)) | None => {}
        }
        let is_published = |output: &OutputState| matches!(output.progress, Progress::Published(_));
        if !outputs.is_empty() && outputs.iter().all(is_published) {
            return Settlement::Delivered(outputs);
        }
        let case = Case {
            delivery: &self.lease.delivery,
            limits: self.limits,
            outputs: outputs.clone(),
            settings,
            age: self.lease.age,
            dice: chance.dice(),
        };
        match (case.settle(&self.faults()), self.held()) {
            (Some(settlement), _) => settlement,
            (None, Some(reason)) => Settlement::Held { reason, outputs },
            // No fault, nothing held, not all published: nothing was done.
            (None, None) => Settlement::Release,
        }
    }

    /// What this round shows about outputs and about our own machine.
    pub(super) fn report(&self, end: &mut BatchEnd) {
        for slot in &self.slots {
            let name = slot.state.plan.name();
            match (&slot.trouble, &slot.state.progress) {
                (Some(Fault { origin: Origin::Dependency(_), code, detail, .. }), _) => {
                    end.away.entry(name.clone()).or_insert_with(|| Reason::new(*code, detail));
                }
                (None, Progress::Published(_)) => {
                    end.back.insert(name.clone());
                }
                (Some(_), _)
                | (None, Progress::Planned | Progress::Staged(_) | Progress::Held(_) | Progress::Reopened(_)) => {}
            }
        }
        let is_shortage = |fault: &Fault| matches!((fault.class, &fault.origin), (Class::Transient, Origin::Local(_)));
        end.is_short |= self.faults().iter().any(is_shortage);
    }
}

impl Slot {
    pub(super) fn planned(plan: OutputPlan) -> Self {
        let state = OutputState { plan, progress: Progress::Planned };
        Self { state, is_fresh: false, trouble: None, hold: None }
    }

    /// Nothing of it counts yet.
    pub(super) fn is_to_do(&self) -> bool {
        self.state.progress.is_to_stage()
    }

    /// The folder that is to be staged for.
    pub(super) fn folder_to_stage(&self) -> Option<&FolderPlan> {
        match &self.state.plan {
            OutputPlan::Folder(plan) => Some(plan).filter(|_| self.is_to_do()),
            OutputPlan::Mesh(_) => None,
        }
    }

    /// The message that is to be sent on.
    pub(super) fn mesh_to_send(&self) -> Option<&MeshPlan> {
        match &self.state.plan {
            OutputPlan::Folder(_) => None,
            OutputPlan::Mesh(plan) => Some(plan).filter(|_| self.is_to_do()),
        }
    }
}
