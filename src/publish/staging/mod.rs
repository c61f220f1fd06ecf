//! The intent protocol: files are made whole where no consumer looks, their intent is journalled, then they appear.
//!
//! 1. [`mod@write`] makes every file of a set in staging, with its group and mode. Durable on return.
//! 2. The caller journals `staged`.
//! 3. [`reveal`] renames them to their places without ever replacing a file: payload first, folder synced, control file
//!    last, folder synced. Durable on return.
//! 4. The caller journals `published`.
//!
//! [`evidence`] decides what to do when 3 was begun before, and [`sweep`] removes what no journal record names.
//!
//! This is the only place, beside `store::disk` and the marker, that asks for a sync or a rename.

pub(super) mod evidence;
pub(super) mod reveal;
pub(super) mod sweep;
pub(super) mod write;
