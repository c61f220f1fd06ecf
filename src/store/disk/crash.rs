//! Crash points: the process ends here, as if by SIGKILL, when the environment says so.
//!
//! Without the feature `crash-points` a point compiles to nothing.

use super::Side;
use crate::domain::step::Step;

/// Ends the process if this is the pass that `MESHD_CRASH_AT` names.
#[cfg(feature = "crash-points")]
pub(super) fn point(step: Step, side: Side) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static PASSES: AtomicU64 = AtomicU64::new(0);

    let plan = PLAN.get_or_init(|| {
        let text = std::env::var("MESHD_CRASH_AT").ok()?;
        // A suite whose crash never comes would pass without having tested anything.
        Some(Plan::parse(&text).unwrap_or_else(|| panic!("MESHD_CRASH_AT: not <step>:<before|after>:<n>: {text:?}")))
    });
    let Some(plan) = plan else { return };
    if (plan.step, plan.side) == (step, side) && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == plan.pass {
        // No unwinding and no buffers flushed: the kernel keeps what it was given, nothing else survives.
        std::process::abort();
    }
}

/// Does nothing: the feature `crash-points` is off.
#[cfg(not(feature = "crash-points"))]
pub(super) fn point(_step: Step, _side: Side) {}

/// The one pass at which the process ends.
#[cfg(any(test, feature = "crash-points"))]
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    step: Step,
    side: Side,
    pass: u64,
}

#[cfg(any(test, feature = "crash-points"))]
impl Plan {
    fn parse(text: &str) -> Option<Self> {
        let (step, rest) = text.split_once(':')?;
        let (side, pass) = rest.split_once(':')?;
        let side = match side {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return None,
        };
        let pass = pass.parse().ok().filter(|pass| *pass > 0)?;
        Some(Self { step: step.parse().ok()?, side, pass })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_names_step_side_and_pass() {
        let plan = Plan { step: Step::GroupWrite, side: Side::After, pass: 3 };
        assert_eq!(Plan::parse("group-write:after:3"), Some(plan));
        for wrong in
            ["", "group-write", "group-write:after", "group-write:during:1", "group-write:after:0", "x:after:1"]
        {
            assert_eq!(Plan::parse(wrong), None, "{wrong:?}");
        }
    }

    /// Runs itself once more as the process that is to end.
    #[cfg(feature = "crash-points")]
    #[test]
    fn the_process_ends_at_the_named_pass_and_not_before() {
        use crate::ports::disk::Disk;
        use std::os::unix::process::ExitStatusExt;

        const FILE: &str = "MESHD_TEST_CRASH_FILE";
        if let Some(path) = std::env::var_os(FILE) {
            let mut file = super::super::Real::new().create(Step::StageWrite, path.as_ref()).unwrap();
            for byte in b"123" {
                file.append(Step::GroupWrite, &[*byte]).unwrap();
            }
            return;
        }
        for (plan, left) in
            [("group-write:before:2", "1"), ("group-write:after:2", "12"), ("group-write:after:4", "123")]
        {
            let room = tempfile::tempdir().unwrap();
            let path = room.path().join("file");
            let name = "store::disk::crash::tests::the_process_ends_at_the_named_pass_and_not_before";
            let mut victim = std::process::Command::new(std::env::current_exe().unwrap());
            victim.args(["--exact", name]).env(FILE, &path).env("MESHD_CRASH_AT", plan);
            let status = victim.output().unwrap().status;
            assert_eq!(status.signal(), (left != "123").then_some(libc::SIGABRT), "{plan}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), left, "{plan}");
        }
    }
}
