//! Whole runs against fakes. Waits are a few milliseconds.

mod bench;
pub(super) mod fakes;
mod faults;
mod hung;
mod onward;
mod order;
mod payload;
mod suspects;
