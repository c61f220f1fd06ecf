//! `meshd man`

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Page;

use super::{Arguments, Context, Failure};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd man | man -l -
  meshd man keys generate > meshd-keys-generate.1
  meshd man --all /usr/local/share/man/man1")]
pub(super) struct Man {
    /// The page of one command; of meshd itself without it
    command: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    all: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mut root = Arguments::command();
        if let Some(folder) = self.all {
            let written = clap_mangen::generate_to(root, &folder);
            return Ok(written.with_context(|| format!("write manual pages into {}", folder.display()))?);
        }
        root.build();
        let command = find(&root, &self.command)
            .with_context(|| format!("there is no command `meshd {}`", self.command.join(" ")))?;
        let mut page = Vec::new();
        Page::new(command.clone()).render(&mut page).context("write the manual page")?;
        context.out.bytes(&page)
    }
}

fn find<'a>(root: &'a Command, names: &[String]) -> Option<&'a Command> {
    names.iter().try_fold(root, |command, name| command.find_subcommand(name))
}
