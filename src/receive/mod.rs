//! Layer 2: from MESH to the store, one mailbox at a time.
//!
//! - `poller`: when to list, and how far to follow the list.
//! - `page`: what to do with one page of it.
//! - `trail`: the pages of a list, so that one without an end has one.
//! - `memory`: what need not be asked of MESH again.
//! - `handshake`: proving our credentials, daily.
//! - `refusals`: what stays at MESH, and for how long.
//! - `search`: reports that lie behind other mail before a closed door.
//! - `stumbles`: messages at which the world fails.
//! - `waiting`: the clock of mail that waits there.
//! - `admission`: may we take more? No room, no intake (I7).
//! - `receiver`: one message, chunk after chunk, to the store's proof.
//! - `body`: one chunk's bytes, decoded under limits.
//!
//! A message is acknowledged only with the store's proof in hand (I1).
//! What cannot be accepted is refused: noted, left at MESH, tried again ever more rarely.
//! One mailbox's trouble ends in its own task (I6).

pub mod admission;
mod body;
mod handshake;
mod memory;
mod page;
pub mod poller;
mod receiver;
mod refusals;
pub mod schedule;
mod search;
mod sightings;
mod stumbles;
mod trail;
mod waiting;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod tests;
