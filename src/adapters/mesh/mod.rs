//! MESH, version 2 of its API, for receiving.
//!
//! `wire` turns bytes into values and `status` answers into faults; both are pure. `client` does the calls and decides
//! nothing but the one fresh-token try of mesh-api 4.4.

pub mod auth;
mod body;
mod client;
mod environment;
pub mod headers;
mod machine;
mod ping;
mod status;
mod transport;
mod wire;

pub use client::{Limits, Mailbox, Parts};
pub use environment::{BaseUrl, Environment, InvalidUrl};
pub use ping::ping;
