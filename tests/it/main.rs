//! The adapters and the daemon against far sides that we did not write: NHS's own sandbox and client.
//!
//! The first test that needs them installs them (`tests/it/peers/setup`), and fails loudly if that cannot be done.

mod daemon;
mod mesh_adapter;
#[path = "../daemon/place.rs"]
mod place;
mod support;
