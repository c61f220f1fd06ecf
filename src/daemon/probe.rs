//! The index, first opened by a child process that may die of it.
//!
//! After a run that did not end in order the index may be damaged, and opening damage can panic or hang, in threads
//! that are not ours. So a short-lived child opens it first, with a time limit; only what it survived is opened here.
//! What it did not survive is put aside by the store and made anew from the journal (I9).

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Opening some million rows takes seconds; an index that takes longer than this is quicker made anew.
const LIMIT: Duration = Duration::from_secs(60);

/// How often the child is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The hidden command that the child runs; its argument is the index's folder.
pub const COMMAND: &str = "index-probe";

/// Opens the index at `directory` in a child. Blocks up to a minute.
pub(super) fn in_a_child(directory: &Path) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("find our own program: {error}"))?;
    match run(Command::new(program).arg(COMMAND).arg(directory), LIMIT) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("a trial opening ended with {status}")),
        Ok(None) => Err(format!("a trial opening took longer than {} s", LIMIT.as_secs())),
        Err(error) => Err(format!("try the index in a child: {error}")),
    }
}

/// How the command ended; `None` if it did not within `limit` and was killed.
fn run(command: &mut Command, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_hangs_is_killed_and_one_that_dies_is_told_from_one_that_lives() {
        let hangs = run(Command::new("sleep").arg("1000"), Duration::from_millis(50)).expect("there is a sleep");
        assert_eq!(hangs, None);
        let lives = run(&mut Command::new("true"), LIMIT).expect("there is a true");
        assert!(lives.is_some_and(|status| status.success()));
        let dies = run(&mut Command::new("false"), LIMIT).expect("there is a false");
        assert!(dies.is_some_and(|status| !status.success()));
    }
}
