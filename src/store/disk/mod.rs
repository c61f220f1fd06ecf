//! The two file systems behind [`Disk`](crate::ports::disk::Disk).
//!
//! [`Real`] is the machine's own. `Simulated` keeps everything in memory and remembers what a power cut would take.
//! Both pass one contract suite, so what is proved on the simulated one holds for the real one as far as its model goes.
//!
//! Every call that carries a [`Step`] passes a crash point before and after its effect.
//! They do nothing unless the package is built with the feature `crash-points`; then the environment variable
//! `MESHD_CRASH_AT="<step>:<before|after>:<n>"` aborts the process at the `n`-th pass (from 1) of that point.
//!
//! Nothing here retries, logs or decides what an error means.

#[cfg(test)]
mod contract;
mod crash;
mod groups;
mod real;
mod secret;
#[cfg(any(test, feature = "simulator"))]
mod simulated;

use std::io;

use crate::domain::step::Step;

pub use groups::{names as group_names, number as group_number};
pub use real::Real;
pub use secret::write_secret;
#[cfg(any(test, feature = "simulator"))]
pub use simulated::Simulated;

/// Which side of a step's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Nothing of it has happened.
    Before,
    /// All of it has happened.
    After,
}

/// Runs one step's effect between its two crash points.
fn around<T>(step: Step, effect: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    crash::point(step, Side::Before);
    let done = effect()?;
    crash::point(step, Side::After);
    Ok(done)
}
