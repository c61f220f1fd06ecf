//! Layer 2: what goes out to MESH, once, and known to have arrived.
//!
//! | File | What it is |
//! |---|---|
//! | [`control`] | the control file of a sender |
//! | [`rules`] | what MESH will not take, told before the first byte |
//! | `pieces`, `gzip` | a payload, cut into the requests of one message, each compressed by all cores |
//! | `at_once` | a message that needs no store |
//! | [`sender`] | one message: what is done next by how far it came |
//! | [`tracking`] | whether what MESH has was collected, asked sparingly |
//! | [`encrypt`] | what is encrypted for its recipient before it leaves |
//! | [`pickup`] | pairs of files that applications put into `OUT`, and what became of them |
//! | [`turns`] | all mailboxes: one message of each at a time, a few in all |
//!
//! **Once.** Before the first request the journal says that it is about to be made. Its answer has MESH's id; without an
//! answer nothing is sent again before MESH was asked for the message by its local id, or a person said what became of
//! it. Later chunks may be repeated until MESH has them all (mesh-api 12), and go on behind the last that it answered
//! for.

mod at_once;
pub mod control;
pub mod encrypt;
mod gzip;
pub mod pickup;
mod pieces;
pub mod rules;
pub mod sender;
pub mod tracking;
pub mod turns;

pub use at_once::at_once;
