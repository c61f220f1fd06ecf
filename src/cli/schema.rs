//! `meshd schema`

use clap::Args;

use super::{Context, Failure};
use crate::config;

#[derive(Debug, Args)]
#[command(after_help = "\
It is a JSON schema for meshd.toml and the files in conf.d, for editors that help with TOML.

Examples:
  meshd schema > meshd.schema.json")]
pub(super) struct Schema;

impl Schema {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        context.out.json(&config::schema())
    }
}
