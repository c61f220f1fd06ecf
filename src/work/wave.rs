//! Many alike failures in a row are a bad configuration, not bad mail (I5): the pipeline is suspended, the rest held.

use std::collections::HashMap;

use crate::domain::fault::FaultCode;
use crate::domain::ids::Name;

/// So many alike without a success between suspend a pipeline.
pub(super) const ALIKE: u32 = 20;

/// What each pipeline's last failures were. Made anew with every set of pipelines, so a reload lifts suspensions.
#[derive(Debug, Default)]
pub(super) struct Waves(HashMap<Name, Wave>);

#[derive(Debug)]
struct Wave {
    code: FaultCode,
    alike: u32,
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
        self.0.get(pipeline).is_some_and(|wave| wave.alike >= ALIKE)
    }

    /// A delivery ended well. A suspension stays: what ended was begun before it.
    pub(super) fn succeeded(&mut self, pipeline: &Name) {
        if !self.is_suspended(pipeline) {
            self.0.remove(pipeline);
        }
    }

    /// A delivery is about to become a dead letter.
    pub(super) fn failed(&mut self, pipeline: &Name, code: FaultCode) -> Standing {
        if self.is_suspended(pipeline) {
            return Standing::Suspended;
        }
        let wave = self.0.entry(pipeline.clone()).or_insert(Wave { code, alike: 0 });
        if wave.code != code {
            *wave = Wave { code, alike: 0 };
        }
        wave.alike += 1;
        if wave.alike == ALIKE { Standing::Suspends } else { Standing::Counted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_alike_without_a_success_suspend_a_pipeline() {
        let (mut waves, name) = (Waves::default(), name("p"));
        for _ in 1..ALIKE {
            assert_eq!(waves.failed(&name, FaultCode::MsgTooLarge), Standing::Counted);
        }
        assert_eq!(waves.failed(&name, FaultCode::MsgTooLarge), Standing::Suspends);
        assert_eq!(waves.failed(&name, FaultCode::MsgTooLarge), Standing::Suspended);
        waves.succeeded(&name);
        assert!(waves.is_suspended(&name));
    }

    #[test]
    fn a_success_another_code_or_another_pipeline_breaks_the_row() {
        let (mut waves, name, other) = (Waves::default(), name("p"), name("other"));
        for round in 0..100 {
            assert_eq!(waves.failed(&name, FaultCode::MsgTooLarge), Standing::Counted);
            if round % 19 == 18 {
                waves.succeeded(&name);
            }
        }
        waves.succeeded(&name);
        for round in 0..100 {
            let code = if round % 2 == 0 { FaultCode::MsgTooLarge } else { FaultCode::MsgPanic };
            assert_eq!(waves.failed(&name, code), Standing::Counted);
        }
        for _ in 0..19 {
            assert_eq!(waves.failed(&other, FaultCode::MsgTooLarge), Standing::Counted);
        }
        assert!(!waves.is_suspended(&name) && !waves.is_suspended(&other));
    }

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }
}
