//! `meshd journal`

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;

use super::readable::readable;
use super::{Context, Failure};
use crate::daemon::{Answer, Ask, ask};
use crate::store::disk::Real;
use crate::store::journal::Head;
use crate::store::journal::verify::verify;

#[derive(Debug, Subcommand)]
pub(super) enum Journal {
    /// Check every record and the chain between them
    Verify(Verify),
    /// Ask the running daemon where the journal ends
    Head(ShowHead),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Finds edits, damage and missing records. That its end was not cut off shows only against a head
noted elsewhere: the log has one a minute, `meshd journal head` gives the present one.

Examples:
  meshd journal verify
  meshd journal verify --against \"$(cat noted-head)\"
  meshd journal verify --directory /mnt/backup/journal --json")]
pub(super) struct Verify {
    /// A head noted elsewhere: the journal must contain it
    #[arg(long, value_name = "HEAD")]
    against: Option<Head>,
    /// The journal's folder; without it the configured one
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd journal head >> /somewhere/else/meshd-heads")]
pub(super) struct ShowHead {}

impl Journal {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Verify(verify) => verify.run(context),
            Self::Head(_) => show_head(context),
        }
    }
}

impl Verify {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let directory = match self.directory {
            Some(directory) => directory,
            None => context.load()?.config.state.directory.join("journal"),
        };
        readable(&directory)?;
        let verified = verify(&Real::new(), &directory, self.against)
            .with_context(|| format!("the journal in {} is not in order", directory.display()))?;
        if self.json {
            return context.out.json(&json!({
                "segments": verified.segments,
                "first": verified.first,
                "head": verified.head.to_string(),
            }));
        }
        context.out.good(format_args!(
            "in order: records {} to {} (segments: {})",
            verified.first, verified.head.sequence, verified.segments
        ))?;
        context.out.line(format_args!("head {}", verified.head))
    }
}

fn show_head(context: &mut Context) -> Result<(), Failure> {
    let loaded = context.load()?;
    let Answer::JournalHead(head) = ask(&loaded.config.control.socket, Ask::JournalHead)? else {
        return Err(anyhow!("the daemon answered another question").into());
    };
    context.out.line(head)
}
