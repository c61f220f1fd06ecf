//! `meshd backup verify`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;

use super::super::{Context, Failure};
use super::{disk, opening};
use crate::store::backup;

#[derive(Debug, Args)]
#[command(after_help = "\
Needs room for the journal, and for one volume or large message at a time, in a folder beside
the backup that is gone afterwards. Payloads are checked as they are sealed.

Examples:
  meshd backup verify /srv/backup/meshd-000000004711.tar.age --identity ./backup-identity")]
pub(in crate::cli) struct Verify {
    /// The backup
    file: PathBuf,
    /// The age identity that opens it
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// The folder to unpack into; it must not exist
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let identities = opening(self.identity)?;
        let scratch = self.scratch.unwrap_or_else(|| beside(&self.file));
        let checked = backup::verify(&disk(), &self.file, &identities, &scratch)
            .with_context(|| format!("check {}", self.file.display()))?;
        if self.json {
            let (manifest, messages, problems) = (&checked.manifest, checked.messages, &checked.problems);
            context.out.json(&json!({ "manifest": manifest, "messages": messages, "problems": problems }))?;
        } else {
            for problem in &checked.problems {
                context.out.line(problem)?;
            }
            let manifest = &checked.manifest;
            context.out.line(format_args!("made {}, head {}", manifest.made, manifest.head))?;
        }
        match checked.problems.len() {
            0 if self.json => Ok(()),
            0 => context.out.good(format_args!("in order: {} messages", checked.messages)),
            count => Err(anyhow!("{count} problems in {}", self.file.display()).into()),
        }
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".scratch");
    name.into()
}
