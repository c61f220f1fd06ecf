//! A child process: what it has used, and that it never outlives us.

use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::process::{Pid, Signal, kill_process};

/// The kernel counts processor time in hundredths of a second (`USER_HZ`, fixed on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// A child, killed if nobody ended it.
pub(crate) struct Process(Option<Child>);

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Processor time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory it ever had resident, bytes.
    pub(crate) peak_bytes: u64,
    /// What it has now.
    pub(crate) resident_bytes: u64,
}

impl Process {
    pub(crate) fn of(child: Child) -> Self {
        Self(Some(child))
    }

    pub(crate) fn child(&mut self) -> anyhow::Result<&mut Child> {
        self.0.as_mut().context("the process has ended")
    }

    /// As far as it is still running: an ended process has no numbers any more.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.0.as_ref().context("the process has ended")?.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Fields after the name in brackets, which may hold anything: proc(5), fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok());
        let cpu = ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / TICKS_PER_SECOND);
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let numbers = || Some((cpu?, kilobytes("VmHWM:")?, kilobytes("VmRSS:")?));
        let (cpu, peak, resident) = numbers().ok_or_else(|| anyhow!("the process {pid} has no numbers"))?;
        Ok(Usage { cpu: Duration::from_secs_f64(cpu), peak_bytes: peak * 1024, resident_bytes: resident * 1024 })
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(mut self) -> anyhow::Result<ExitStatus> {
        let mut child = self.0.take().context("the process has ended")?;
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        Ok(child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
