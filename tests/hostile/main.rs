//! Bad input through the whole daemon: the real program, with a far side that answers wrongly in every way we know
//! (mesh-api 9; torture 3.4 and 3.7).
//!
//! Each case has a bad message with good ones around it. What becomes of the bad one is asserted by its reason;
//! the good ones must come out, once, as they were sent. After every run: nothing panicked, nothing lies outside the
//! outputs and the state, and no value that a sender wrote is in the log, the journal or a file name.

mod codes;
mod estate;
mod headers;
#[path = "../daemon/house.rs"]
mod house;
mod lists;
mod messages;
mod network;
#[path = "../daemon/place.rs"]
mod place;
mod statuses;
