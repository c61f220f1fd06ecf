//! Layer 1: what the inside asks of the outside, readable in one sitting.

pub mod clock;
pub mod directory;
pub mod disk;
pub mod inbox;
pub mod monitors;
pub mod obstacles;
pub mod operations;
pub mod outbox;
pub mod outputs;
pub mod pairs;
pub mod pickups;
pub mod sealed;
pub mod spool;
pub mod store;
pub mod timings;
pub mod trace;
pub mod trial;
pub mod waits;
