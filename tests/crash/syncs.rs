//! Syncs that fail once, each in turn, on the real disk: a tracer answers EIO for them.
//!
//! The tracer counts for each thread by itself, so pass K fails the Kth sync of every thread that comes so far.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use meshd::simulator::house::Plan;

use crate::judge::Times;
use crate::place::PROGRAM;
use crate::say;
use crate::scene::{Ended, Scene, mixed_batch};

/// Further ones meet nothing new: a start needs some twenty, and each commit two.
const PASSES: u32 = 40;
/// At once: a traced daemon mostly waits.
const AT_ONCE: u32 = 3;
/// The exit code of a daemon whose stable storage failed.
const HALTED: i32 = 70;

#[test]
fn after_a_failed_sync_it_halts_and_nothing_acknowledged_is_lost() {
    if let Some(why) = cannot_trace() {
        say(&format!("NOT RUN failing syncs: {why}"));
        return;
    }
    let ends: Vec<Result<Passed, String>> = std::thread::scope(|scope| {
        let worker = |first| move || (first..=PASSES).step_by(AT_ONCE as usize).map(pass).collect::<Vec<_>>();
        let workers: Vec<_> = (1..=AT_ONCE).map(|first| scope.spawn(worker(first))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("failures are returned")).collect()
    });
    let failures: Vec<&String> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
    assert!(
        failures.is_empty(),
        "{} passes failed:\n{}",
        failures.len(),
        failures.iter().map(|f| f.as_str()).collect::<Vec<_>>().join("\n\n")
    );
    let halts = ends.iter().filter(|end| matches!(end, Ok(Passed::Halted))).count();
    say(&format!("failing syncs: {} passes, the daemon halted in {halts}", ends.len()));
    assert!(halts > 5, "hardly any sync failed: nothing was tested");
}

/// What a failed sync led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// Exit code 70.
    Halted,
    /// No sync of the state failed: only outputs', which wait and are tried again from the start.
    Lived,
}

/// One daemon whose syncs fail the `nth` time, and the recovery without faults.
fn pass(nth: u32) -> Result<Passed, String> {
    let scene = Scene::new(Plan::default());
    scene.offer(mixed_batch(u64::from(nth) * 10));
    let trace = scene.house.path("trace");
    let mut command = scene.through("strace");
    command.args(["-f", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-e"]);
    command.arg(format!("inject=fsync,fdatasync:error=EIO:when={nth}"));
    command.arg("-o").arg(&trace).args([PROGRAM, "run"]);
    let ended = scene.run_to_end(command)?;

    let trace = std::fs::read_to_string(&trace).unwrap_or_default();
    let state = scene.house.state();
    let state = state.to_str().expect("UTF-8");
    let syncs: Vec<String> = whole_calls(&trace).into_iter().filter(|call| call.contains(state)).collect();
    let failed: Vec<&String> = syncs.iter().filter(|call| call.contains("(INJECTED)")).collect();
    // Our own kill may have come between a failed sync and the halt: then no data was synced after it, at most the
    // folder that marks the halt.
    let mut after = syncs.iter().rev().take_while(|call| !call.contains("(INJECTED)"));
    let was_halting = !after.any(|call| call.contains("fdatasync("));
    let passed = match ended {
        Ended::Itself(Some(HALTED)) if !failed.is_empty() => Passed::Halted,
        Ended::Killed if failed.is_empty() || was_halting => Passed::Lived,
        Ended::Itself(_) | Ended::Killed => {
            return Err(format!("sync {nth}: {ended:?} after {failed:?}: {}", scene.tail()));
        }
    };
    scene.finish(Times::Once).map_err(|failure| format!("sync {nth}, {passed:?}: {failure}"))?;
    Ok(passed)
}

/// The traced calls in the order of their ends. One that another thread's came between lies in two lines: its begin
/// ends in `<unfinished ...>`, and `<... fsync resumed>` continues it.
fn whole_calls(trace: &str) -> Vec<String> {
    let mut begun = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        if let Some(begin) = call.strip_suffix("<unfinished ...>") {
            begun.insert(thread, begin);
        } else if let Some((_, end)) = call.split_once(" resumed>") {
            calls.push(format!("{}{end}", begun.remove(thread).unwrap_or_default()));
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

fn cannot_trace() -> Option<String> {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO:when=1", "true"]);
    match command.stdout(Stdio::null()).stderr(Stdio::piped()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")),
        Err(error) => Some(format!("strace: {error}")),
    }
}
