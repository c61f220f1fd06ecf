//! The control socket: how operators ask the running daemon.
//!
//! A Unix socket that only root, the daemon's own user and members of `control.view_group` reach.
//! The kernel enforces that by the socket's owner, group and mode; who connects is then asked of the kernel once more.

mod client;
mod server;
mod wire;

pub use client::{AskError, ask};
pub(super) use server::{Control, ControlError};
pub use wire::{Answer, Ask, LARGEST_PAGE, Refusal};
