//! The control socket: how operators ask the running daemon.
//!
//! A Unix socket that only root, the daemon's own user and members of one group reach: `control.view_group`, or if there
//! is none, `control.operate_group`. The kernel enforces that by the socket's owner, group and mode; who connects is then
//! asked of the kernel once more, and for each request that changes something the second group is looked up (`people`).

mod client;
mod people;
mod server;
mod wire;

pub use client::{AskError, Held, ask, ask_for_bytes, bring_in, pin};
pub(super) use people::Groups;
pub(super) use server::{Control, ControlError};
pub use wire::{Answer, Ask, LARGEST_PAGE, MOST_ACTS, Outcome, Refusal};
