//! What follows from a fault. Pure; the one place where faults become settlements.
//!
//! | Fault | Effect |
//! |---|---|
//! | transient, dependency | deferred, no attempt counted; past `max_age` held, `MSG-TOO-OLD` |
//! | transient, message | tried again with full jitter; at `max_attempts` dead, exhausted |
//! | transient, local | released, and all work rests a while |
//! | permanent, message | dead at once |
//! | permanent, dependency or local | held: bad mail it is not (I5) |
//! | poison, message | dead, poison |
//! | poison, dependency or local | held |
//!
//! Once an output was staged, published or held, the delivery is neither dead nor tried from the start, because both
//! would forget that output (I2): where it would be dead it is held, where it would be tried again it is deferred.

use std::time::Duration;

use super::WorkSettings;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::output::OutputState;
use crate::domain::settlement::{DeathCause, Reason, Settlement};
use crate::pipeline::Limits;
use crate::ports::store::Delivery;

/// What a verdict needs to know beside the fault.
pub(super) struct Case<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) limits: Limits,
    pub(super) outputs: Vec<OutputState>,
    pub(super) settings: &'a WorkSettings,
    /// How long we have had it.
    pub(super) age: Duration,
    /// From all of `u64`.
    pub(super) dice: u64,
}

/// What follows from one fault, from the gravest to the mildest.
///
/// Waiting goes before holding, so that an output that only waits is not stopped by one that needs a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    Dead(Cause),
    Retry,
    Defer,
    Release,
    TooOld,
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Poison,
    Permanent,
    Exhausted,
}

impl Case<'_> {
    /// The settlement for a delivery with these faults, of which the gravest decides; `None` without a fault.
    pub(super) fn settle(self, faults: &[Fault]) -> Option<Settlement> {
        let (effect, fault) =
            faults.iter().map(|fault| (self.effect(fault), fault)).min_by_key(|(effect, _)| *effect)?;
        let reason = Reason::new(fault.code, &fault.detail);
        let outputs = self.outputs.clone();
        Some(match effect {
            Effect::Dead(Cause::Poison) => Settlement::Dead { cause: DeathCause::Poison, reason },
            Effect::Dead(Cause::Permanent) => Settlement::Dead { cause: DeathCause::Permanent, reason },
            Effect::Dead(Cause::Exhausted) => Settlement::Dead { cause: DeathCause::Exhausted, reason },
            Effect::Retry => Settlement::Retry { after: self.retry_wait(fault), reason },
            Effect::Defer => Settlement::Defer { after: self.defer_wait(fault), reason, outputs },
            Effect::Release if self.is_begun() => {
                Settlement::Defer { after: self.settings.local_pause, reason, outputs }
            }
            Effect::Release => Settlement::Release,
            Effect::TooOld => {
                let hours = self.age.as_secs() / 3_600;
                let detail = format!("after {hours} hours: {fault}");
                Settlement::Held { reason: Reason::new(FaultCode::MsgTooOld, detail), outputs }
            }
            Effect::Hold => Settlement::Held { reason, outputs },
        })
    }

    fn effect(&self, fault: &Fault) -> Effect {
        match (fault.class, &fault.origin) {
            (Class::Transient, Origin::Dependency(_)) => self.defer_or_too_old(),
            (Class::Transient, Origin::Message) if self.is_begun() => self.defer_or_too_old(),
            (Class::Transient, Origin::Message) => {
                if self.delivery.attempts.saturating_add(1) >= self.limits.max_attempts {
                    Effect::Dead(Cause::Exhausted)
                } else {
                    Effect::Retry
                }
            }
            (Class::Transient, Origin::Local(_)) => Effect::Release,
            (Class::Permanent | Class::Poison, Origin::Message) if self.is_begun() => Effect::Hold,
            (Class::Permanent, Origin::Message) => Effect::Dead(Cause::Permanent),
            (Class::Poison, Origin::Message) => Effect::Dead(Cause::Poison),
            (Class::Permanent | Class::Poison, Origin::Dependency(_) | Origin::Local(_)) => Effect::Hold,
        }
    }

    fn defer_or_too_old(&self) -> Effect {
        if self.age >= self.limits.max_age { Effect::TooOld } else { Effect::Defer }
    }

    fn retry_wait(&self, fault: &Fault) -> Duration {
        self.settings.retry.wait(self.delivery.attempts, fault.retry_after, self.dice)
    }

    /// Jitter above a floor, which keeps a long queue from coming round at once while an output is away.
    fn defer_wait(&self, fault: &Fault) -> Duration {
        let floor = fault.retry_after.unwrap_or_default().max(self.settings.defer.first);
        self.settings.defer.wait(self.delivery.starts, Some(floor), self.dice)
    }

    fn is_begun(&self) -> bool {
        is_begun(&self.outputs)
    }
}

/// Whether an output came so far that the delivery must never go through a pipeline again.
pub(super) fn is_begun(outputs: &[OutputState]) -> bool {
    outputs.iter().any(|output| output.progress.is_begun())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Name;
    use crate::domain::output::{FolderPlan, Layout, LineEnds, OutputPlan, Progress, Publication};
    use crate::domain::retry::Backoff;
    use crate::work::tests::fakes::delivery;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_table_of_faults() {
        use Class::{Permanent, Poison, Transient};
        let young = MINUTE;
        let old = 73 * 60 * MINUTE;
        let cases = [
            (Transient, dependency(), young, 0, "deferred"),
            (Transient, dependency(), young, 100, "deferred"),
            (Transient, dependency(), old, 0, "held MSG-TOO-OLD"),
            (Transient, Origin::Message, old, 0, "retry"),
            (Transient, Origin::Message, young, 6, "retry"),
            (Transient, Origin::Message, young, 7, "dead exhausted"),
            (Transient, Origin::Local("memory"), old, 7, "released"),
            (Permanent, Origin::Message, young, 0, "dead permanent"),
            (Permanent, dependency(), young, 0, "held OUT-WRITE"),
            (Permanent, Origin::Local("memory"), young, 0, "held OUT-WRITE"),
            (Poison, Origin::Message, young, 0, "dead poison"),
            (Poison, dependency(), young, 0, "held OUT-WRITE"),
            (Poison, Origin::Local("memory"), young, 0, "held OUT-WRITE"),
        ];
        for (class, origin, age, attempts, expected) in cases {
            let fault = Fault::new(FaultCode::OutWrite, class, origin, "");
            let actual = settled(Progress::Planned, age, attempts, std::slice::from_ref(&fault));
            assert_eq!(word(&actual), expected, "{fault:?} after {attempts} attempts and {age:?}");
        }
    }

    #[test]
    fn a_delivery_with_an_output_on_its_way_is_neither_dead_nor_tried_from_the_start() {
        use Class::{Permanent, Poison, Transient};
        let cases = [
            (Transient, dependency(), "deferred"),
            (Transient, Origin::Message, "deferred"),
            (Transient, Origin::Local("memory"), "deferred"),
            (Permanent, Origin::Message, "held OUT-WRITE"),
            (Poison, Origin::Message, "held OUT-WRITE"),
        ];
        for (class, origin, expected) in cases {
            let fault = Fault::new(FaultCode::OutWrite, class, origin, "");
            let actual = settled(Progress::Published(Publication::Seen), MINUTE, 7, std::slice::from_ref(&fault));
            assert_eq!(word(&actual), expected, "{fault:?}");
        }
    }

    #[test]
    fn the_gravest_of_several_faults_decides_but_waiting_goes_before_holding() {
        let waits = Fault::new(FaultCode::OutWrite, Class::Transient, dependency(), "");
        let kills = Fault::message(FaultCode::MsgTooLarge, "");
        let holds = Fault::new(FaultCode::OutNameTaken, Class::Permanent, dependency(), "");
        let both =
            |one: &Fault, other: &Fault| word(&settled(Progress::Planned, MINUTE, 0, &[one.clone(), other.clone()]));
        assert_eq!(both(&waits, &kills), "dead permanent");
        assert_eq!(both(&holds, &waits), "deferred");
    }

    #[test]
    fn waits_keep_to_their_floors_and_ceilings() {
        let fault =
            |retry_after| Fault::new(FaultCode::OutWrite, Class::Transient, dependency(), "").after(retry_after);
        let wait = |retry_after| {
            let settlement = settled(Progress::Planned, MINUTE, 0, &[fault(retry_after)]);
            let Settlement::Defer { after, .. } = settlement else { panic!("{settlement:?}") };
            after
        };
        assert_eq!(wait(None), Duration::from_secs(5));
        assert_eq!(wait(Some(Duration::from_secs(40))), Duration::from_secs(40));
        assert_eq!(wait(Some(100 * MINUTE)), 5 * MINUTE);
    }

    /// Settles with dice at their lowest, so that a wait is its floor.
    fn settled(progress: Progress, age: Duration, attempts: u32, faults: &[Fault]) -> Settlement {
        let name = Name::new("inbox").expect("a name");
        let (line_ends, folder, payload) = (LineEnds::Lf, "/srv".into(), Vec::new());
        let plan = FolderPlan { name, layout: Layout::Folder, line_ends, folder, group: None, mode: 0o640, payload };
        let delivery = Delivery { attempts, ..delivery(1, "MB1") };
        let settings = WorkSettings::default();
        assert_eq!(settings.defer, Backoff { first: Duration::from_secs(5), longest: 5 * MINUTE });
        let case = Case {
            delivery: &delivery,
            limits: Limits::default(),
            outputs: vec![OutputState { plan: OutputPlan::Folder(plan), progress }],
            settings: &settings,
            age,
            dice: 0,
        };
        case.settle(faults).expect("there is a fault")
    }

    fn dependency() -> Origin {
        Origin::Dependency(Name::new("output").expect("a name"))
    }

    fn word(settlement: &Settlement) -> String {
        match settlement {
            Settlement::Retry { .. } => "retry".into(),
            Settlement::Defer { .. } => "deferred".into(),
            Settlement::Release => "released".into(),
            Settlement::Held { reason, .. } => format!("held {}", reason.code),
            Settlement::Dead { cause: DeathCause::Permanent, .. } => "dead permanent".into(),
            Settlement::Dead { cause: DeathCause::Exhausted, .. } => "dead exhausted".into(),
            Settlement::Dead { cause: DeathCause::Poison, .. } => "dead poison".into(),
            Settlement::Delivered(_) | Settlement::Discarded(_) => "no fault".into(),
        }
    }
}
