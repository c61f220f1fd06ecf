//! `meshd deadletter import`: what was exported, here or elsewhere, is held for a person to look at.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::Serialize;

use super::super::{Context, Failure};
use super::bring_in;
use crate::daemon::{AskError, Refusal};
use crate::domain::envelope::Envelope;
use crate::domain::ids::DeliveryId;
use crate::domain::operator::Remark;
use crate::ports::operations::Whose;

/// Headers are shorter than this, bytes: no request is longer.
const LONGEST_HEADERS: u64 = 64 * 1024;

/// The members of a folder in the archive that are read, as `export` names them.
const HEADERS: &str = "headers.json";
const PAYLOAD: &str = "payload";

#[derive(Debug, Args)]
#[command(after_help = "\
Reads a file that `meshd deadletter export` or `meshd subject export` wrote, and keeps each
message in it as a new delivery, held until a person looked at it and says `release` or
`discard`. Its mailbox must be configured here. A message that is here already is left out, so
that the same file does no harm a second time.

The file opens with a private key of one of its recipients: such as the daemon's own, if it was
exported for it.

Examples:
  meshd deadletter import letters.tar.age --identity key.txt --reason \"old server, INC0012345\"")]
pub(in crate::cli) struct Import {
    /// The exported file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A file with the private age key that opens it; may be given several times
    #[arg(long, value_name = "KEY-FILE", required = true)]
    identity: Vec<PathBuf>,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What became of one message in the file.
#[derive(Serialize)]
struct Line {
    /// Its folder in the file.
    folder: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Import {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mut archive = tar::Archive::new(self.open()?);
        let broken = || format!("{}: it ends early, or is no export", self.file.display());
        let (mut lines, mut headers): (Vec<Line>, Option<(String, Envelope)>) = (Vec::new(), None);
        for entry in archive.entries().with_context(broken)? {
            let mut entry = entry.with_context(broken)?;
            let path = entry.path().with_context(broken)?.into_owned();
            let Some((folder, name)) = split(&path) else { continue };
            if name == HEADERS {
                let envelope = read_headers(&mut entry).with_context(|| format!("{folder}/{name}"))?;
                headers = Some((folder, envelope));
            } else if name == PAYLOAD {
                let of_it = headers.take().filter(|(its, _)| *its == folder);
                let (folder, envelope) = of_it.ok_or_else(|| anyhow!("{folder}/{name}: no {HEADERS} before it"))?;
                let line = self.keep(context, folder, envelope, &mut entry)?;
                if !self.json {
                    tell(context, &line)?;
                }
                lines.push(line);
            }
        }
        if self.json {
            context.out.json(&lines)?;
        }
        match lines.iter().filter(|line| line.refused.is_some()).count() {
            _ if lines.is_empty() => Err(anyhow!("{}: there is no message in it", self.file.display()).into()),
            0 => Ok(()),
            refused => Err(anyhow!("{refused} of {} were not brought in", lines.len()).into()),
        }
    }

    fn open(&self) -> Result<impl Read + use<>, Failure> {
        let mut identities = Vec::new();
        for path in &self.identity {
            // What the library says of a file that is none may repeat some of it.
            let file = age::IdentityFile::from_file(path.display().to_string());
            let keys = file.map_err(|_| ()).and_then(|file| file.into_identities().map_err(|_| ()));
            identities.extend(keys.map_err(|()| anyhow!("{}: it is no file of private age keys", path.display()))?);
        }
        let file = File::open(&self.file).with_context(|| self.file.display().to_string())?;
        let opened = age::Decryptor::new_buffered(BufReader::new(file)).and_then(|decryptor| {
            decryptor.decrypt(identities.iter().map(|identity| &**identity as &dyn age::Identity))
        });
        Ok(opened.with_context(|| format!("open {}", self.file.display()))?)
    }

    fn keep(
        &self,
        context: &Context,
        folder: String,
        envelope: Envelope,
        payload: &mut tar::Entry<'_, impl Read>,
    ) -> Result<Line, Failure> {
        let length = payload.size();
        match bring_in(context, Whose::Message(Box::new(envelope)), length, &self.reason, payload) {
            Ok(delivery) => Ok(Line { folder, delivery: Some(delivery), refused: None }),
            Err(Failure::Ask(AskError::Refused(Refusal::NotBroughtIn(why)))) => {
                Ok(Line { folder, delivery: None, refused: Some(why.to_string()) })
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Folder and name of a member.
fn split(path: &Path) -> Option<(String, &str)> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?.to_str()?;
    Some((folder.to_owned(), name))
}

fn read_headers(entry: &mut impl Read) -> anyhow::Result<Envelope> {
    let mut json = Vec::new();
    entry.take(LONGEST_HEADERS).read_to_end(&mut json)?;
    // What the parser says of wrong JSON may repeat some of it (I8).
    serde_json::from_slice(&json).map_err(|error| anyhow!("no headers of a message, line {}", error.line()))
}

fn tell(context: &mut Context, Line { folder, delivery, refused }: &Line) -> Result<(), Failure> {
    match (delivery, refused) {
        (Some(delivery), _) => context.out.good(format_args!("{folder} is here as {delivery}, held")),
        (None, why) => {
            context.out.note(format_args!("{folder}: {}", why.as_deref().unwrap_or("not brought in")));
            Ok(())
        }
    }
}
