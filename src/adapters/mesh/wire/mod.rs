//! The bytes of MESH's answers, to values and back. Pure; nothing here panics on what MESH sends.

mod endpoints;
mod fields;
mod listing;
mod outgoing;
mod path;
mod problem;
mod served;

pub(super) use endpoints::endpoints;
pub(super) use listing::{LARGEST_LIST, listing};
pub(super) use outgoing::{LARGEST_ANSWER, found, of_chunk, of_message, sent};
pub(super) use path::{list_path, message_path, part};
pub(super) use problem::{LARGEST_PROBLEM, Problem};
pub(super) use served::{Asked, served};
