//! `meshd deadletter export`: dead and held mail in one file, sealed for whoever is to look into it elsewhere.

use std::path::PathBuf;

use age::x25519::Recipient;
use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::super::archive::{Archive, recipient};
use super::super::{Context, Failure, own_file};
use super::set_aside;
use crate::daemon::{Answer, Ask, ask_for_bytes};
use crate::domain::ids::DeliveryId;
use crate::domain::operator::Remark;

#[derive(Debug, Args)]
#[command(after_help = "\
Writes the deliveries into one file: a tar archive, sealed with age for the recipients that are
given, and for nobody else, such as a supplier who is to find out what is wrong with them. The
journal says of each who took it out, and why; they stay dead or held. Whoever has the key of a
recipient opens it with

  age --decrypt --identity KEY-FILE letters.tar.age | tar --extract

For each it has a folder with letter.json (why it is set aside, as `show --json` tells),
headers.json (as MESH served them) and payload (the bytes, as pipelines get them).

Examples:
  meshd deadletter export d4711 --recipient age1… --out letters.tar.age --reason INC0012345
  meshd deadletter export d4711 d4712 --recipient age1… --out two.tar.age --reason INC0012345")]
pub(in crate::cli) struct Export {
    /// The deliveries, as `list` shows them
    #[arg(required = true)]
    deliveries: Vec<DeliveryId>,
    /// A public age key to seal it for; may be given several times
    #[arg(long, value_name = "AGE-RECIPIENT", required = true, value_parser = recipient)]
    recipient: Vec<Recipient>,
    /// Where to write it; a file that is there is never written over
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(super) fn run(mut self, context: &mut Context) -> Result<(), Failure> {
        self.deliveries.sort_unstable();
        self.deliveries.dedup();
        // Before anything is asked for: what cannot be written is not taken out.
        let file = own_file::make(&self.out)?;
        let made = || {
            let mut archive = Archive::begin(file, &self.recipient)?;
            self.deliveries.iter().try_for_each(|id| self.add(context, &mut archive, *id))?;
            archive.end()
        };
        made().map_err(|failure| own_file::give_up(&self.out, failure))?;
        if self.json {
            return context.out.json(&json!({ "file": self.out, "deliveries": self.deliveries }));
        }
        let (count, file) = (self.deliveries.len(), self.out.display());
        context.out.good(format_args!("{file}: deliveries: {count}; they stay as they are here"))
    }

    fn add(&self, context: &Context, archive: &mut Archive, id: DeliveryId) -> Result<(), Failure> {
        let question = Ask::SetAside { before: None, only: Some(id), selection: Box::default(), count: 1 };
        let found = set_aside(context, question)?;
        let letter = found.page.first().ok_or_else(|| anyhow!("{id} is neither dead nor held"))?;
        let socket = context.load()?.config.control.socket;
        let question = Ask::Reveal { delivery: id, payload: true, why: self.reason.clone() };
        let (answer, bytes) = ask_for_bytes(&socket, question)?;
        let Answer::Revealed { envelope, length } = answer else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        archive.add_json(&format!("{id}/letter.json"), letter)?;
        archive.add_json(&format!("{id}/headers.json"), &envelope)?;
        archive.add_bytes(&format!("{id}/payload"), length, bytes)
    }
}
