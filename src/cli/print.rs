//! Output of commands: results on standard output, failures on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anyhow::Context as _;
use serde::Serialize;

use super::exit::Failure;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// Prints, in colours if someone sees them.
pub(super) struct Printer {
    coloured_results: bool,
    coloured_failures: bool,
}

impl Printer {
    /// Colours on a terminal, unless `NO_COLOR` asks for none.
    pub(super) fn new() -> Self {
        let welcome = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            coloured_results: welcome && io::stdout().is_terminal(),
            coloured_failures: welcome && io::stderr().is_terminal(),
        }
    }

    /// A line of a result.
    pub(super) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        finish(writeln!(io::stdout().lock(), "{text}"))
    }

    /// A line that says all is well.
    pub(super) fn good(&mut self, text: impl Display) -> Result<(), Failure> {
        if self.coloured_results { self.line(format_args!("{GREEN}{text}{PLAIN}")) } else { self.line(text) }
    }

    /// A result for machines.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).context("write the result as JSON")?;
        self.line(text)
    }

    /// Bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        finish(io::stdout().lock().write_all(bytes))
    }

    /// Something to know about a result, for whoever looks.
    pub(super) fn note(&mut self, text: impl Display) {
        // Nobody is left to tell if standard error is gone.
        drop(writeln!(io::stderr().lock(), "meshd: {text}"));
    }

    /// What the next of its kind takes the place of, for whoever looks on; an empty one leaves nothing.
    pub(super) fn passing(&mut self, text: impl Display) {
        if io::stderr().is_terminal() {
            // Nobody is left to tell if standard error is gone.
            drop(write!(io::stderr().lock(), "\r{text}\x1b[K"));
        }
    }

    /// Why a command failed.
    pub(super) fn failure(&mut self, failure: &Failure) {
        let (red, plain) = if self.coloured_failures { (RED, PLAIN) } else { ("", "") };
        let mut err = io::stderr().lock();
        // Nobody is left to tell if standard error is gone.
        if let Failure::Configuration(findings) = failure {
            for finding in findings {
                drop(writeln!(err, "{finding}"));
            }
        }
        drop(writeln!(err, "{red}meshd: {failure}{plain}"));
    }
}

/// A reader that has seen enough is no failure.
fn finish(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other.context("write to standard output")?),
    }
}
