//! `meshd backup create`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use super::super::readable::readable;
use super::super::{Context, Failure};
use super::disk;
use crate::daemon::{SystemClock, pin};
use crate::ports::clock::Clock as _;
use crate::ports::disk::EntryKind;
use crate::store::backup::{self, Source};

/// Between two lines of progress.
const TELL: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "\
The daemon goes on with its work. Meanwhile nothing leaves its spool or journal, so both grow.
Run it as root or as the daemon's user: it reads the state directory. The identity of the
recipient is needed to restore; keep it, and copies of the daemon's own keys, elsewhere.

Examples:
  sudo meshd backup create --to /srv/backup --recipient age1…
  sudo meshd backup create --to /srv/backup/monday --recipient age1… --recipient age1…")]
pub(in crate::cli) struct Create {
    /// The file to make, or the folder to make it in; nothing is ever replaced
    #[arg(long, value_name = "FILE|DIR")]
    to: PathBuf,
    /// Who can open it: not the service itself, which the backup must outlive
    #[arg(long, value_name = "AGE1…", required = true)]
    recipient: Vec<String>,
    /// Print the backup's manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Create {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let loaded = context.load()?;
        let state = &loaded.config.state.directory;
        let services = loaded.config.mailboxes.iter().flat_map(|mailbox| &mailbox.recipients);
        if let Some(own) = services.into_iter().find(|own| self.recipient.iter().all(|other| other == *own)) {
            context.out.note(format_args!("{own} is a recipient of the service as well: a thief of its key has both"));
        }
        readable(state)?;
        let disk = disk();
        let (extent, held) = pin(&loaded.config.control.socket)?;
        let to = match disk.entry(&self.to).with_context(|| format!("look at {}", self.to.display()))? {
            Some(entry) if entry.kind == EntryKind::Folder => self.to.join(name(extent.sequence)),
            Some(_) | None => self.to,
        };
        let now = SystemClock::default().wall();
        let source = Source { disk: &disk, state, extent: &extent, now };
        let (shows, mut told) = (std::io::stderr().is_terminal(), Instant::now());
        let out = &mut context.out;
        let manifest = backup::create(&source, &self.recipient, &to, |(files, bytes)| {
            if shows && told.elapsed() >= TELL {
                told = Instant::now();
                out.note(format_args!("{files} files, {bytes} bytes so far"));
            }
        })
        .context("make the backup")?;
        if let Err(error) = held.whole() {
            discard(&to)?;
            return Err(error.into());
        }
        if self.json {
            return context.out.json(&manifest);
        }
        context.out.good(format_args!("{}: {} files, {} bytes", to.display(), manifest.files, manifest.bytes))?;
        context.out.line(format_args!("head {}", manifest.head))
    }
}

/// What a file is called in a folder of backups: they sort by what they hold.
fn name(sequence: u64) -> String {
    format!("meshd-{sequence:012}.tar.age")
}

/// The daemon ended while it was copied: nobody knows that the parts fit together.
fn discard(to: &Path) -> Result<(), anyhow::Error> {
    std::fs::remove_file(to).with_context(|| format!("remove {}, which may not be consistent", to.display()))
}
