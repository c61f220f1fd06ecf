//! `meshd keys status`

use std::collections::BTreeMap;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::super::{Context, Failure};
use crate::config::Config;
use crate::daemon::{Answer, Ask, ask};
use crate::domain::recipient::{Holder, RecipientTag};
use crate::ports::sealed::{SealedPage, SealedSet};
use crate::ports::store::Amount;

#[derive(Debug, Args)]
#[command(after_help = "\
It goes by the names of recipients that lie beside each sealed payload; `meshd spool verify`
opens them all. A retired identity that nothing needs may leave the configuration. It ends
with 1 if something that is kept opens with none of the identities.

Examples:
  meshd keys status
  meshd keys status --json | jq '.identities[] | select(.needed.messages == 0)'")]
pub(in crate::cli) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is known of the keys. Its form as JSON is what `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Standing {
    identities: Vec<Identity>,
    sealed: Vec<Sealed>,
    /// What opens with none of the identities.
    closed: Amount,
    /// What the spool does not say of for whom it is sealed.
    unnamed: Amount,
    /// What is kept and does not read.
    unreadable: Amount,
    /// What is not sealed for the recipients that new mail of its mailbox is sealed for.
    outdated: Amount,
}

#[derive(Debug, Serialize)]
struct Identity {
    #[serde(flatten)]
    holder: Holder,
    /// What it opens.
    opens: Amount,
    /// What of it opens, or may open, with no present identity.
    needed: Amount,
}

#[derive(Debug, Serialize)]
struct Sealed {
    /// Recipients; one that the configuration does not name by its tag.
    recipients: Vec<String>,
    #[serde(flatten)]
    amount: Amount,
}

impl Status {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let config = context.load()?.config;
        let standing = look(&config)?;
        if self.json {
            context.out.json(&standing)?;
        } else {
            standing.print(context)?;
        }
        match standing.closed.messages + standing.unreadable.messages {
            0 => Ok(()),
            count => Err(anyhow!("{count} payloads do not open: put back the identities they are sealed for").into()),
        }
    }
}

fn look(config: &Config) -> Result<Standing, Failure> {
    let mut sets: BTreeMap<(Vec<RecipientTag>, bool), Amount> = BTreeMap::new();
    let mut unreadable = Amount::default();
    let mut after = None;
    loop {
        let Answer::Sealed(page) = ask(&config.control.socket, Ask::Sealed { after })? else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        let SealedPage { holders, sets: found, unreadable: more, last } = page;
        add(&mut unreadable, more);
        for SealedSet { recipients, is_present, amount } in found {
            add(sets.entry((recipients, is_present)).or_default(), amount);
        }
        after = last;
        if after.is_none() {
            return Ok(Standing { unreadable, ..Standing::of(config, holders, sets) });
        }
    }
}

impl Standing {
    fn of(config: &Config, holders: Vec<Holder>, sets: BTreeMap<(Vec<RecipientTag>, bool), Amount>) -> Self {
        let named = config.mailboxes.iter().flat_map(|mailbox| &mailbox.recipients);
        let texts: BTreeMap<RecipientTag, &str> = named
            .chain(holders.iter().map(|holder| &holder.recipient))
            .map(|text| (RecipientTag::of(text), text.as_str()))
            .collect();
        let text = |tag: &RecipientTag| texts.get(tag).map_or_else(|| tag.to_string(), |text| (*text).to_owned());
        let opens = |holder: &Holder, set: &[RecipientTag]| set.contains(&RecipientTag::of(&holder.recipient));
        let mut standing = Self::default();
        for ((recipients, is_present), amount) in &sets {
            let is_closed = !recipients.is_empty() && !holders.iter().any(|holder| opens(holder, recipients));
            for (counts, into) in [
                (is_closed, &mut standing.closed),
                (recipients.is_empty(), &mut standing.unnamed),
                (!is_present, &mut standing.outdated),
            ] {
                add(into, if counts { *amount } else { Amount::default() });
            }
            standing.sealed.push(Sealed { recipients: recipients.iter().map(text).collect(), amount: *amount });
        }
        for holder in &holders {
            let (mut opened, mut needed) = (Amount::default(), Amount::default());
            for ((recipients, _), amount) in &sets {
                let is_opened = opens(holder, recipients);
                let has_present = holders.iter().any(|other| !other.is_retired && opens(other, recipients));
                add(&mut opened, if is_opened { *amount } else { Amount::default() });
                let is_needed = (is_opened || recipients.is_empty()) && !has_present;
                add(&mut needed, if is_needed { *amount } else { Amount::default() });
            }
            standing.identities.push(Identity { holder: holder.clone(), opens: opened, needed });
        }
        standing
    }

    fn print(&self, context: &mut Context) -> Result<(), Failure> {
        for Identity { holder, opens, needed } in &self.identities {
            let Holder { key, recipient, is_retired } = holder;
            let need = match (is_retired, needed.messages) {
                (false, _) => String::new(),
                (true, 0) => "; not needed any more".to_owned(),
                (true, _) => format!("; needed for {}", text(*needed)),
            };
            context.out.line(format_args!("{key}: {recipient} opens {}{need}", text(*opens)))?;
        }
        for Sealed { recipients, amount } in &self.sealed {
            let whom = if recipients.is_empty() { "nobody knows whom".to_owned() } else { recipients.join(" and ") };
            context.out.line(format_args!("sealed for {whom}: {}", text(*amount)))?;
        }
        if self.outdated.messages > 0 {
            context.out.line(format_args!("sealed for others than new mail is: {}", text(self.outdated)))?;
        }
        for (what, amount) in [("no identity opens", self.closed), ("unreadable", self.unreadable)] {
            if amount.messages > 0 {
                context.out.line(format_args!("{what}: {}", text(amount)))?;
            }
        }
        Ok(())
    }
}

fn add(to: &mut Amount, more: Amount) {
    to.messages += more.messages;
    to.bytes += more.bytes;
}

fn text(amount: Amount) -> String {
    let noun = if amount.messages == 1 { "payload" } else { "payloads" };
    format!("{} {noun}, {} bytes", amount.messages, amount.bytes)
}
