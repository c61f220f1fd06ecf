//! Many alike failures in a row are a bad configuration, not bad mail (I5): the pipeline is suspended, the rest held.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::fault::FaultCode;
use crate::domain::ids::Name;
use crate::domain::time::Timestamp;
use crate::ports::operations::Suspended;

/// So many alike without a success between suspend a pipeline.
pub(super) const ALIKE: u32 = 20;

/// Which pipelines are suspended, for whoever asks, and for a person to lift.
#[derive(Debug, Clone, Default)]
pub struct Suspensions(Arc<Mutex<Arc<Waves>>>);

impl Suspensions {
    /// Those that stand.
    pub fn all(&self) -> BTreeMap<Name, Suspended> {
        let waves = Arc::clone(&locked(&self.0));
        let all = locked(&waves.0);
        all.iter().filter_map(|(name, wave)| Some((name.clone(), wave.suspended?))).collect()
    }

    /// Lets a pipeline go on; `false` if it is not suspended.
    pub fn lift(&self, pipeline: &Name) -> bool {
        let waves = Arc::clone(&locked(&self.0));
        let mut all = locked(&waves.0);
        let is_suspended = all.get(pipeline).is_some_and(|wave| wave.suspended.is_some());
        is_suspended && all.remove(pipeline).is_some()
    }

    /// Nothing is suspended, and what is still counted by the waves of before counts no more.
    pub(super) fn begin_anew(&self) -> Arc<Waves> {
        let waves = Arc::new(Waves::default());
        *locked(&self.0) = Arc::clone(&waves);
        waves
    }
}

/// What each pipeline's last failures were. Made anew with every set of pipelines, so a reload lifts suspensions.
#[derive(Debug, Default)]
pub(super) struct Waves(Mutex<HashMap<Name, Wave>>);

#[derive(Debug)]
struct Wave {
    code: FaultCode,
    alike: u32,
    suspended: Option<Suspended>,
}

/// What a failure means for its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// One more; the pipeline goes on.
    Counted,
    /// The one that suspends the pipeline. It is a dead letter itself.
    Suspends,
    /// The pipeline was suspended before: the delivery is held instead.
    Suspended,
}

impl Waves {
    /// Whether new messages of the pipeline are held.
    pub(super) fn is_suspended(&self, pipeline: &Name) -> bool {
        locked(&self.0).get(pipeline).is_some_and(|wave| wave.suspended.is_some())
    }

    /// A delivery ended well. A suspension stays: what ended was begun before it.
    pub(super) fn succeeded(&self, pipeline: &Name) {
        let mut all = locked(&self.0);
        if all.get(pipeline).is_some_and(|wave| wave.suspended.is_none()) {
            all.remove(pipeline);
        }
    }

    /// A delivery is about to become a dead letter.
    pub(super) fn failed(&self, pipeline: &Name, code: FaultCode, now: Timestamp) -> Standing {
        let mut all = locked(&self.0);
        let wave = all.entry(pipeline.clone()).or_insert(Wave { code, alike: 0, suspended: None });
        if wave.suspended.is_some() {
            return Standing::Suspended;
        }
        if wave.code != code {
            *wave = Wave { code, alike: 0, suspended: None };
        }
        wave.alike += 1;
        if wave.alike < ALIKE {
            return Standing::Counted;
        }
        wave.suspended = Some(Suspended { code, since: now });
        Standing::Suspends
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(7);

    #[test]
    fn twenty_alike_without_a_success_suspend_a_pipeline() {
        let (suspensions, name) = (Suspensions::default(), name("p"));
        let waves = suspensions.begin_anew();
        for _ in 1..ALIKE {
            assert_eq!(waves.failed(&name, FaultCode::MsgTooLarge, NOW), Standing::Counted);
        }
        assert_eq!(suspensions.all(), BTreeMap::new());
        assert!(!suspensions.lift(&name), "nothing is suspended yet, and the count goes on");
        assert_eq!(waves.failed(&name, FaultCode::MsgTooLarge, NOW), Standing::Suspends);
        assert_eq!(waves.failed(&name, FaultCode::MsgTooLarge, NOW), Standing::Suspended);
        waves.succeeded(&name);
        assert!(waves.is_suspended(&name));
        let suspension = Suspended { code: FaultCode::MsgTooLarge, since: NOW };
        assert_eq!(suspensions.all(), BTreeMap::from([(name, suspension)]));
    }

    #[test]
    fn a_lifted_pipeline_is_counted_from_the_beginning_and_a_new_set_knows_nothing_of_the_old() {
        let (suspensions, name) = (Suspensions::default(), name("p"));
        let waves = suspensions.begin_anew();
        let fail = |times| (0..times).fold(None, |_, _| Some(waves.failed(&name, FaultCode::MsgTooLarge, NOW)));
        assert_eq!(fail(ALIKE), Some(Standing::Suspends));
        assert!(suspensions.lift(&name) && !waves.is_suspended(&name));
        assert_eq!(fail(ALIKE - 1), Some(Standing::Counted));
        assert_eq!(fail(1), Some(Standing::Suspends));
        assert!(!suspensions.begin_anew().is_suspended(&name));
        assert_eq!(fail(ALIKE), Some(Standing::Suspended));
        assert_eq!(suspensions.all(), BTreeMap::new());
    }

    #[test]
    fn a_success_another_code_or_another_pipeline_breaks_the_row() {
        let (waves, name, other) = (Waves::default(), name("p"), name("other"));
        for round in 0..100 {
            assert_eq!(waves.failed(&name, FaultCode::MsgTooLarge, NOW), Standing::Counted);
            if round % 19 == 18 {
                waves.succeeded(&name);
            }
        }
        waves.succeeded(&name);
        for round in 0..100 {
            let code = if round % 2 == 0 { FaultCode::MsgTooLarge } else { FaultCode::MsgPanic };
            assert_eq!(waves.failed(&name, code, NOW), Standing::Counted);
        }
        for _ in 0..19 {
            assert_eq!(waves.failed(&other, FaultCode::MsgTooLarge, NOW), Standing::Counted);
        }
        assert!(!waves.is_suspended(&name) && !waves.is_suspended(&other));
    }

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }
}
