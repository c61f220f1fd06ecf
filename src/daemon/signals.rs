//! Signals, as one stream.
//!
//! TERM and INT stop the daemon in order; a second one ends the process at once, from the handler itself, so that a
//! stop that hangs can always be ended. I1 to I4 make that safe. USR1 puts the status into the log.
//! HUP has configuration and pipelines read anew.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook_tokio::Signals as Stream;

/// The exit code of a process ended by a second signal: its stop was cut off, and the next start takes everything up.
const ENDED_AT_ONCE: i32 = 75;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// TERM or INT.
    Stop,
    /// USR1.
    Status,
    /// HUP.
    Reload,
}

/// The stream.
pub(super) struct Signals(Stream);

impl Signals {
    /// Begins to take signals. Inside a runtime, once per process.
    pub(super) fn new() -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag down and puts it up, the second finds it up.
            flag::register_conditional_shutdown(signal, ENDED_AT_ONCE, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        Ok(Self(Stream::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP])?))
    }

    /// The next wish. Cancelling the wait loses none.
    pub(super) async fn next(&mut self) -> Wish {
        match self.0.next().await {
            Some(SIGUSR1) => Wish::Status,
            Some(SIGHUP) => Wish::Reload,
            Some(_) | None => Wish::Stop,
        }
    }
}
