//! `meshd subject export`: what is kept about a person, in one file that is sealed for whoever answers them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use age::x25519::Recipient;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::super::archive::{Archive, recipient};
use super::super::readable::readable;
use super::super::spool::{configured, disk};
use super::super::{Context, Failure, own_file};
use super::{About, Found, Whom, look_up};
use crate::config::Loaded;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId};
use crate::domain::operator::Purpose;
use crate::ports::spool::Opened;
use crate::ports::store::{Class, Delivery, Kept, LookUp};
use crate::store::spool::Reader;

/// So often a payload is asked for that was moved in the spool since it was looked up.
const TRIES: u32 = 3;

const REMOVED: &str = "it was removed meanwhile";

#[derive(Debug, Args)]
#[command(after_help = "\
Writes all that is kept about a person into one file: a tar archive, sealed with age for the
recipients that are given, and for nobody else. Whoever has the key of one opens it with

  age --decrypt --identity KEY-FILE answer.tar.age | tar --extract

For each delivery it has a folder with the headers as MESH served them, and the payload as it
came, before any stage of a pipeline. index.json says what became of each delivery, whose
payloads are gone, and why one could not be read. It needs to read keys.hmac, keys.identity and
the spool. What it does not find is as with `meshd subject find`; nothing is removed.

Examples:
  meshd subject export --nhs-number-file ./numbers --reason \"subject access, INC0012345\" \\
    --scan --recipient age1… --out answer.tar.age")]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    whom: Whom,
    /// A public age key to seal it for; may be given several times
    #[arg(long, value_name = "AGE-RECIPIENT", required = true, value_parser = recipient)]
    recipient: Vec<Recipient>,
    /// Where to write it; a file that is there is never written over
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// `index.json`, and what `--json` prints.
#[derive(Debug, Default, Serialize)]
struct Index {
    deliveries: BTreeMap<DeliveryId, Exported>,
    /// The journal connects these with them, and nothing is kept of them any more.
    gone: BTreeSet<DeliveryId>,
    /// Payloads of no delivery that is known.
    left_behind: Vec<LeftBehind>,
}

#[derive(Debug, Serialize)]
struct Exported {
    #[serde(flatten)]
    about: About,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, Serialize)]
struct LeftBehind {
    mailbox: MailboxId,
    message: MessageId,
    #[serde(flatten)]
    content: Content,
}

/// Where in the archive the headers and the payload are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    Folder(String),
    /// They are those of another delivery, which is in the file too.
    SameAs(DeliveryId),
    Missing(String),
}

impl Export {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { whom, recipient, out } = self;
        let loaded = context.load()?;
        // Before anybody is looked for: the journal says of each look what it was for.
        let file = own_file::make(&out)?;
        let made = || {
            let found = whom.gather(context, &loaded, Purpose::Export)?;
            let mut archive = Archive::begin(file, &recipient)?;
            let index = fill(context, &loaded, found, &mut archive)?;
            archive.add_json("index.json", &index)?;
            archive.end()?;
            Ok(index)
        };
        let index = made().map_err(|failure| own_file::give_up(&out, failure))?;
        if whom.json { context.out.json(&index) } else { tell(context, &index, &out) }
    }
}

/// Everything that was found but the index, which is known at the end.
fn fill(context: &mut Context, loaded: &Loaded, found: Found, archive: &mut Archive) -> Result<Index, Failure> {
    let spool = loaded.config.state.directory.join("spool");
    readable(&spool)?;
    let reader = Reader::new(disk(), &spool, configured(context)?);
    let Found { deliveries, gone, left_behind } = found;
    let mut index = Index { gone, ..Index::default() };
    let all = deliveries.len() + left_behind.len();
    let found: BTreeSet<DeliveryId> = deliveries.keys().copied().collect();
    for (done, (id, about)) in deliveries.into_iter().enumerate() {
        context.out.passing(format_args!("{done} of {all} are in the file"));
        let content = match holder(&loaded.config.control.socket, &about.kept)? {
            Some(holder) if holder.delivery.id != id && found.contains(&holder.delivery.id) => {
                Content::SameAs(holder.delivery.id)
            }
            Some(holder) => match open(&reader, &loaded.config.control.socket, holder)? {
                Ok(opened) => add(archive, id.to_string(), &opened)?,
                Err(why) => Content::Missing(why),
            },
            None => Content::Missing(REMOVED.to_owned()),
        };
        index.deliveries.insert(id, Exported { about, content });
    }
    for (place, hit) in (1..).zip(left_behind) {
        let content = match reader.open(&hit.mailbox, &hit.message, &hit.location) {
            Ok(opened) => add(archive, format!("left-behind-{place}"), &opened)?,
            Err(error) => Content::Missing(error.to_string()),
        };
        index.left_behind.push(LeftBehind { mailbox: hit.mailbox, message: hit.message, content });
    }
    context.out.passing("");
    Ok(index)
}

fn add(archive: &mut Archive, folder: String, Opened { envelope, payload }: &Opened) -> Result<Content, Failure> {
    archive.add_json(&format!("{folder}/headers.json"), envelope)?;
    let bytes = payload.reader().with_context(|| format!("open the payload of {folder}"))?;
    archive.add_bytes(&format!("{folder}/payload"), payload.length(), bytes)?;
    Ok(Content::Folder(folder))
}

/// Opens its payload, or says why it cannot be had. The daemon goes on meanwhile, and may move or remove it.
fn open(reader: &Reader, socket: &Path, holder: Kept) -> Result<Result<Opened, String>, Failure> {
    let (mut now, mut why) = (holder, String::new());
    for _ in 0..TRIES {
        let Delivery { mailbox, message_id, location, .. } = &now.delivery;
        match reader.open(mailbox, message_id, location) {
            Ok(opened) => return Ok(Ok(opened)),
            Err(error) => why = error.to_string(),
        }
        match self::holder(socket, &now)? {
            None => return Ok(Err(REMOVED.to_owned())),
            Some(found) if found.delivery.location == *location => break,
            Some(found) => now = found,
        }
    }
    Ok(Err(why))
}

/// The delivery that has its payload by now: its own, or the last of those that replay it; none if it is not kept.
fn holder(socket: &Path, kept: &Kept) -> Result<Option<Kept>, Failure> {
    let delivery = &kept.delivery;
    let lives = look_up(socket, LookUp::Messages(vec![(delivery.mailbox.clone(), delivery.message_id.clone())]))?;
    let mut wanted = Some(delivery.id);
    // Each replay has a higher number, so this ends.
    while let Some(life) = wanted.and_then(|id| lives.iter().find(|life| life.delivery.id == id)) {
        if life.class != Class::Replayed {
            return Ok(Some(life.clone()));
        }
        wanted = life.replayed_as.filter(|next| *next > life.delivery.id);
    }
    Ok(None)
}

fn tell(context: &mut Context, Index { deliveries, gone, left_behind }: &Index, out: &Path) -> Result<(), Failure> {
    let missing = |content: &Content| match content {
        Content::Folder(_) | Content::SameAs(_) => None,
        Content::Missing(why) => Some(why.clone()),
    };
    let mut without = 0;
    for (id, exported) in deliveries {
        if let Some(why) = missing(&exported.content) {
            without += 1;
            context.out.note(format_args!("{id}: its payload is not in the file: {why}"));
        }
    }
    for LeftBehind { mailbox, message, content } in left_behind {
        if let Some(why) = missing(content) {
            without += 1;
            context.out.note(format_args!("{message} of {mailbox} is not in the file: {why}"));
        }
    }
    context.out.good(format_args!(
        "{}: deliveries: {}, known to the journal alone: {}, known no more: {}, without their payload: {without}",
        out.display(),
        deliveries.len(),
        gone.len(),
        left_behind.len(),
    ))
}
