//! What the demonstration says while it runs, on standard error: live on a terminal, plain lines elsewhere.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// Back to the start of the line, and nothing after it.
const CLEAR: &str = "\r\x1b[K";

pub(super) struct Progress {
    is_live: bool,
    begun: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_live: io::stderr().is_terminal(), begun: Instant::now() }
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// A step that is done: stays.
    pub(super) fn step(&self, text: impl Display) {
        self.write(format_args!("[{:5.1} s] {text}\n", self.seconds()));
    }

    /// How far it is: on a terminal, until the next word.
    pub(super) fn now(&self, text: impl Display) {
        if self.is_live {
            self.write(format_args!("[{:5.1} s] {text}", self.seconds()));
        }
    }

    fn write(&self, text: std::fmt::Arguments<'_>) {
        let clear = if self.is_live { CLEAR } else { "" };
        let mut err = io::stderr().lock();
        // A demonstration that nobody watches still ends with its summary.
        drop(write!(err, "{clear}{text}").and_then(|()| err.flush()));
    }
}
