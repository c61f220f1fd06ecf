//! `meshd run`

use clap::Args;

use super::{Context, Failure};
use crate::daemon;

#[derive(Debug, Args)]
#[command(after_help = "\
TERM or INT stops in order; a second one ends at once, with exit code 75, and loses nothing.
HUP has configuration and pipelines read anew, all or nothing.
USR1 puts the status into the log.

Examples:
  meshd run
  meshd run --config ./meshd.toml")]
pub(super) struct Run {}

impl Run {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let loaded = context.load()?;
        Ok(daemon::run(&context.config, loaded)?)
    }
}
