//! MESH, version 2 of its API.
//!
//! `wire` turns bytes into values and `status` answers into faults; both are pure. `client` does the calls of
//! receiving, `outbox` those of sending and `directory` the one that finds mailboxes; they decide nothing but the one fresh-token try of mesh-api 4.4, which a send
//! has not: whether it is made again is for whoever knows what it may cost.

pub mod auth;
mod body;
mod client;
mod directory;
mod environment;
pub mod headers;
mod machine;
mod outbox;
mod ping;
mod status;
mod transport;
mod wire;
mod witness;

pub use client::{Limits, Mailbox, Parts};
pub use environment::{BaseUrl, Environment, InvalidUrl};
pub use ping::ping;
pub use witness::{Exchange, Witness};
