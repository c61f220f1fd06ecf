//! meshd: MESH mail is kept before it is acknowledged, and comes out once.

pub mod adapters;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deadletter;
pub mod domain;
pub mod pipeline;
pub mod ports;
pub mod publish;
pub mod receive;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod store;
pub mod work;
