//! `meshd deadletter groups`

use std::cmp::Reverse;

use anyhow::anyhow;
use clap::Args;

use super::super::{Context, Failure};
use crate::daemon::{Answer, Ask, ask};
use crate::ports::store::FailureGroup;

#[derive(Debug, Args)]
#[command(after_help = "\
Alike are those with the same state, the same code, and the same detail but for numbers and
ids, in whatever mailbox.

Examples:
  meshd deadletter groups
  meshd deadletter list --group bd222ccc0221a3ef")]
pub(in crate::cli) struct Groups {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Groups {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let socket = context.load()?.config.control.socket;
        let (mut groups, mut after) = (Vec::new(), None);
        loop {
            let Answer::Groups(found) = ask(&socket, Ask::Groups { after })? else {
                return Err(anyhow!("the daemon answered another question").into());
            };
            groups.extend(found.page);
            after = found.rest;
            if after.is_none() {
                break;
            }
        }
        groups.sort_by_key(|group| Reverse(group.count));
        if self.json {
            return context.out.json(&groups);
        }
        if groups.is_empty() {
            return context.out.good("nothing is dead or held");
        }
        context.out.line(row(["GROUP", "COUNT", "STATE", "FIRST SEEN", "LAST SEEN", "MAILBOXES", "REASON"]))?;
        groups.iter().try_for_each(|group| context.out.line(text(group)))
    }
}

fn text(group: &FailureGroup) -> String {
    let mailboxes = match group.mailboxes {
        1 => group.mailbox.to_string(),
        many => many.to_string(),
    };
    row([
        &group.fingerprint.to_string(),
        &group.count.to_string(),
        group.kind.as_str(),
        &group.first_seen.to_string(),
        &group.last_seen.to_string(),
        &mailboxes,
        &format!("{}: {}", group.code, group.detail),
    ])
}

fn row([group, count, state, first, last, mailboxes, reason]: [&str; 7]) -> String {
    format!("{group:<16} {count:>8}  {state:<16} {first:<24} {last:<24} {mailboxes:<16} {reason}")
}
