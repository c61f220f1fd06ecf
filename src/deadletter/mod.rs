//! The words for bad mail: what each reason means and what an operator does about it.
//!
//! It guarantees that every [`crate::domain::fault::FaultCode`] has exactly one entry.
//! It decides nothing about a message; that is `work`.

mod reasons;

pub use reasons::{Entry, Reasons, ReasonsError, Replay};
