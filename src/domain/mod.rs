//! Layer 0: values and pure rules. No I/O, no clock, no tokio.

pub mod control;
pub mod course;
pub mod digest;
pub mod envelope;
pub mod fault;
pub mod finding;
pub mod fingerprint;
pub mod ids;
pub mod legal_hold;
pub mod monitor;
pub mod nhs_number;
pub mod onward;
pub mod operator;
pub mod output;
pub mod pair;
pub mod patients;
pub mod quantity;
pub mod recipient;
pub mod retry;
pub mod secret;
pub mod sending;
pub mod sequence;
pub mod settlement;
pub mod step;
pub mod time;
