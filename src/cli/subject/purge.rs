//! `meshd subject purge`: what is kept about a person goes before its time.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::super::{Context, Failure};
use super::{About, Found, Whom, other_answer};
use crate::daemon::{Answer, Ask, ask};
use crate::domain::ids::DeliveryId;
use crate::domain::operator::{Purpose, Remark};
use crate::domain::output::{OutputPlan, Progress};
use crate::ports::store::{Class, Expunged, Kept, MOST_LOOKED_UP, NotExpunged};

#[derive(Debug, Args)]
#[command(after_help = "\
Without --yes it removes nothing, and tells what it would do with each delivery. What is on its
way, staged for an output or under a legal hold stays, and is told; so run it again later.
What names other people as well, such as a list, stays without --with-others.

Payloads go. What the journal has of them stays, as evidence: ids, times, and keyed digests. A
small payload is sealed together with others, and leaves the disk with its volume: at once,
unless mail that stays is sealed with it; then with the last of that. Until then nothing knows
of it but `meshd subject find --scan`, which needs the key to open it.

Examples:
  meshd subject purge --nhs-number-file ./numbers --reason \"request, INC0012345\"
  meshd subject purge --nhs-number-file ./numbers --reason INC0012345 --scan --yes")]
pub(in crate::cli) struct Purge {
    #[command(flatten)]
    whom: Whom,
    /// Remove them, and do not only tell
    #[arg(long)]
    yes: bool,
    /// Also what names other people, or may: it goes for all of them
    #[arg(long)]
    with_others: bool,
}

/// What becomes, or would become, of one delivery.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Fate {
    WouldGo,
    Gone(Expunged),
    Stays(NotExpunged),
    /// Other people's data would go with it.
    NamesOthers,
}

impl Fate {
    /// Its payload is still here, and is its own.
    fn is_left(&self) -> bool {
        match self {
            Self::WouldGo | Self::NamesOthers => true,
            Self::Stays(NotExpunged::Unknown | NotExpunged::ReplayedAs(_)) | Self::Gone(_) => false,
            Self::Stays(NotExpunged::OnItsWay | NotExpunged::Staged | NotExpunged::LegallyHeld) => true,
        }
    }
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    deliveries: &'a BTreeMap<DeliveryId, Fate>,
    /// Where else data about them is, or may be.
    elsewhere: Vec<String>,
}

impl Purge {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { whom, yes, with_others } = self;
        let loaded = context.load()?;
        let found = whom.gather(context, &loaded, Purpose::Purge)?;
        let mut fates: BTreeMap<DeliveryId, Fate> =
            found.deliveries.iter().map(|(id, about)| (*id, foreseen(about, with_others))).collect();
        if yes {
            expunge(&loaded.config.control.socket, &mut fates, &whom.reason)?;
        }
        let elsewhere = elsewhere(&found);
        let staying = fates.values().filter(|fate| yes && fate.is_left()).count();
        let end = match staying {
            0 => Ok(()),
            count => Err(anyhow!("{count} of {} stay", fates.len()).into()),
        };
        if whom.json {
            context.out.json(&Told { deliveries: &fates, elsewhere })?;
            return end;
        }
        for (id, fate) in &fates {
            context.out.line(format_args!("{id}: {}", in_words(fate)))?;
        }
        if !yes {
            context.out.note("nothing was removed: --yes does");
        }
        context.out.line("what still holds, or may hold, data about them:")?;
        elsewhere.iter().try_for_each(|place| context.out.line(format_args!("- {place}")))?;
        end
    }
}

/// What the daemon would say by now.
fn foreseen(about: &About, with_others: bool) -> Fate {
    let kept = &about.kept;
    match kept.class {
        Class::Waiting => Fate::Stays(NotExpunged::OnItsWay),
        _ if kept.is_legally_held => Fate::Stays(NotExpunged::LegallyHeld),
        Class::Held | Class::Dead if has_staged(kept) => Fate::Stays(NotExpunged::Staged),
        // Nothing but what is known of it, until its time: the payload is another delivery's, which is told of, too.
        Class::Replayed => Fate::Stays(kept.replayed_as.map_or(NotExpunged::Unknown, NotExpunged::ReplayedAs)),
        Class::Held | Class::Dead | Class::Delivered | Class::Discarded if about.names_others && !with_others => {
            Fate::NamesOthers
        }
        Class::Held | Class::Dead | Class::Delivered | Class::Discarded => Fate::WouldGo,
    }
}

fn has_staged(kept: &Kept) -> bool {
    kept.delivery.outputs.iter().any(|output| matches!(output.progress, Progress::Staged(_)))
}

/// Asks for the removal of what may go; the daemon decides.
fn expunge(socket: &Path, fates: &mut BTreeMap<DeliveryId, Fate>, why: &Remark) -> Result<(), Failure> {
    let would_go = |(id, fate): (&DeliveryId, &Fate)| matches!(fate, Fate::WouldGo).then_some(*id);
    let ids: Vec<DeliveryId> = fates.iter().filter_map(would_go).collect();
    for ids in ids.chunks(MOST_LOOKED_UP) {
        let question = Ask::Expunge { deliveries: ids.to_vec(), why: why.clone() };
        let Answer::Expunged(done) = ask(socket, question)? else { return Err(other_answer()) };
        for (id, result) in done {
            fates.insert(id, result.map_or_else(Fate::Stays, Fate::Gone));
        }
    }
    Ok(())
}

fn in_words(fate: &Fate) -> String {
    match fate {
        Fate::WouldGo => "its payload would go".to_owned(),
        Fate::Gone(Expunged::Now) => "its payload goes from the disk now".to_owned(),
        Fate::Gone(Expunged::WithVolume { volume }) => {
            format!("its payload goes from the disk with volume {volume}, as soon as the others in it are moved")
        }
        Fate::Gone(Expunged::Shared { volume, shared_by, until }) => {
            let until = until.map_or("a person or a legal hold lets go".to_owned(), |until| until.to_string());
            format!("its payload is given up, and sealed in volume {volume} with {shared_by} more until {until}")
        }
        Fate::Stays(why) => format!("stays: {why}"),
        Fate::NamesOthers => {
            "stays: it names other people, or may; --with-others removes it for all of them".to_owned()
        }
    }
}

fn elsewhere(found: &Found) -> Vec<String> {
    let mut places = vec![
        "the journal: ids, times, and keyed digests of their NHS numbers; never their text".to_owned(),
        "backups and snapshots of the state directory: nothing is known of them here".to_owned(),
        "whoever has a private key of the spool can open what is still sealed in it, or in a copy".to_owned(),
    ];
    for about in found.deliveries.values() {
        let delivery = &about.kept.delivery;
        for output in &delivery.outputs {
            let Progress::Published(_) = output.progress else { continue };
            let message = &delivery.message_id;
            places.push(match &output.plan {
                OutputPlan::Folder(plan) => {
                    format!("{message}, published to {}: its consumer has it, or will", plan.folder.display())
                }
                OutputPlan::Mesh(plan) => {
                    format!("{message}, sent on to {}: see `meshd sent list --mailbox {}`", plan.to, plan.from)
                }
            });
        }
    }
    for hit in &found.left_behind {
        places.push(format!("{}: {} of {}, known no more", super::place(&hit.location), hit.message, hit.mailbox));
    }
    places
}
