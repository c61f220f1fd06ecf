//! `meshd completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, Context, Failure};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd completions bash > /usr/share/bash-completion/completions/meshd
  meshd completions zsh > /usr/share/zsh/site-functions/_meshd")]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "meshd", &mut text);
        context.out.bytes(&text)
    }
}
