//! `meshd keys rotate`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::super::{Context, Failure};
use super::make_identity;
use crate::config::{Config, SecretRef};
use crate::daemon::{Answer, Ask, ask};
use crate::domain::recipient::{Holder, RecipientTag};

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is sealed for the new identity before the daemon starts with the configuration that is
printed; what was sealed before opens with the old one, which stays loaded for reading. The
journal says who made it. No daemon runs, or you may not act: no identity is made.
A unit gets a credential: encrypt the new file with systemd-creds, name the credential instead
of the file, and remove the file.

Examples:
  meshd keys rotate --output /etc/meshd/identity-2027")]
pub(in crate::cli) struct Rotate {
    /// The file to make; it must not exist
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Rotate {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let config = context.load()?.config;
        let path = std::path::absolute(&self.output).context("make the path absolute")?;
        let recipient = make_identity(&path)?;
        let holders = match note(&config.control.socket, &recipient) {
            Ok(holders) => holders,
            Err(failure) => {
                // Nothing is sealed for it yet, and nobody is to take it for journalled.
                std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
                return Err(failure);
            }
        };
        context.out.line(&recipient)?;
        context.out.line("the configuration needs, all at once:")?;
        for line in needed(&config, &holders, &path, &recipient) {
            context.out.line(format_args!("  {line}"))?;
        }
        context.out.line("then `meshd check`, and restart the daemon: a reload changes no key")
    }
}

/// Has the journal say that it was made. What the daemon has loaded is returned.
fn note(socket: &Path, recipient: &str) -> Result<Vec<Holder>, Failure> {
    let Answer::KeyNoted(holders) = ask(socket, Ask::KeyMade { recipient: RecipientTag::of(recipient) })? else {
        return Err(anyhow!("the daemon answered another question").into());
    };
    Ok(holders)
}

/// The new one in the place of the present ones.
fn needed(config: &Config, holders: &[Holder], path: &Path, recipient: &str) -> Vec<String> {
    let keys = &config.keys;
    let mut retired: Vec<_> = vec![toml(&keys.identity)];
    retired.extend(keys.retired_identities.iter().map(toml));
    let mut lines = vec![
        "[keys]".to_owned(),
        format!("identity = {}", toml(&SecretRef::File(path.to_owned()))),
        format!("retired_identities = [{}]", retired.join(", ")),
    ];
    for mailbox in &config.mailboxes {
        let others = mailbox.recipients.iter().filter(|other| !holders.iter().any(|of| of.recipient == **other));
        let recipients: Vec<_> =
            std::iter::once(recipient).chain(others.map(String::as_str)).map(|name| format!("\"{name}\"")).collect();
        lines.push(format!("[[mailbox]] # {}", mailbox.id));
        lines.push(format!("recipients = [{}]", recipients.join(", ")));
    }
    lines
}

fn toml(reference: &SecretRef) -> String {
    match reference {
        SecretRef::File(path) => format!("{{ file = {:?} }}", path.display().to_string()),
        SecretRef::Credential(name) => format!("{{ credential = {name:?} }}"),
    }
}
