//! Copying what is pinned.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Writer;
use super::{BackupError, Manifest, at, manifest};
use crate::domain::step::Step;
use crate::domain::time::Timestamp;
use crate::ports::disk::{Disk, DiskFile, EntryKind};
use crate::ports::spool::SpoolError;
use crate::ports::store::Extent;
use crate::store::journal::segment::{FileReader, Name};
use crate::store::spool::{RecipientSet, contents};

/// Beside the journal and the spool: which output roots were set up.
pub(super) const OUTPUTS: &str = "outputs.json";

/// What is copied.
pub struct Source<'a> {
    /// The disk.
    pub disk: &'a Arc<dyn Disk>,
    /// The state directory.
    pub state: &'a Path,
    /// What of it, pinned until this is done.
    pub extent: &'a Extent,
    /// Now.
    pub now: Timestamp,
}

/// Makes the backup `to`, which must not exist, sealed for `recipients` (`age1…`). Durable on return.
///
/// `told` hears the number of files and bytes so far, after each file. What a crash leaves is called `<to>.part`.
pub fn create(
    source: &Source<'_>,
    recipients: &[String],
    to: &Path,
    mut told: impl FnMut((u64, u64)),
) -> Result<Manifest, BackupError> {
    let disk = source.disk.as_ref();
    let recipients = RecipientSet::parse(recipients)?;
    if disk.entry(to).map_err(at("look at", to))?.is_some() {
        return Err(at("make", to)(io::ErrorKind::AlreadyExists.into()));
    }
    let part = with_ending(to, ".part");
    let file = disk.create(Step::BackupWrite, &part).map_err(at("make", &part))?;
    let made = write(source, &recipients, file, &part, &mut told).and_then(|manifest| {
        disk.rename_no_replace(Step::BackupWrite, &part, to).map_err(at("rename to", to))?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.sync_folder(Step::BackupWrite, folder).map_err(at("sync", folder))?;
        Ok(manifest)
    });
    if made.is_err() {
        disk.remove(Step::BackupWrite, &part).map_err(at("remove", &part))?;
    }
    made
}

fn write(
    source: &Source<'_>,
    recipients: &RecipientSet,
    file: Box<dyn DiskFile>,
    part: &Path,
    told: &mut dyn FnMut((u64, u64)),
) -> Result<Manifest, BackupError> {
    let failed = || at("write", part);
    // age writes its pieces of 64 KiB one by one.
    let sink = BufWriter::with_capacity(super::PIECE, Sink(file));
    let mut writer = Writer::new(recipients.seal(sink).map_err(failed())?);
    let mut add = |path: &Path, length: u64| -> Result<(), BackupError> {
        add(&mut writer, source, path, length)?;
        told(writer.counts());
        Ok(())
    };
    let journal = source.state.join("journal");
    for entry in source.disk.list(&journal).map_err(at("list", &journal))? {
        if let Some(length) = of_journal(&entry.path, entry.length, source.extent) {
            add(&entry.path, length)?;
        }
    }
    let volume = (source.extent.volume, source.extent.volume_bytes);
    contents(source.disk, &source.state.join("spool"), volume, &mut add)?;
    let outputs = source.state.join(OUTPUTS);
    let entry = source.disk.entry(&outputs).map_err(at("look at", &outputs))?;
    if let Some(entry) = entry.filter(|entry| entry.kind == EntryKind::File) {
        add(&outputs, entry.length)?;
    }

    let Extent { head, sequence, .. } = source.extent;
    let made = source.now.to_string();
    let manifest = Manifest::new(made, head.clone(), *sequence, writer.counts(), writer.sha256());
    let json = serde_json::to_vec(&manifest).map_err(|error| failed()(error.into()))?;
    writer.add(manifest::NAME, json.len() as u64, &mut json.as_slice()).map_err(failed())?;
    let sealed = writer.finish().and_then(|seal| seal.finish()).map_err(failed())?;
    let sink = sealed.into_inner().map_err(|error| failed()(error.into_error()))?;
    sink.0.sync(Step::BackupWrite).map_err(at("sync", part))?;
    Ok(manifest)
}

/// How much of a file of the journal's folder belongs to the copy, if any.
fn of_journal(path: &Path, length: u64, extent: &Extent) -> Option<u64> {
    if let Some(Name { first, .. }) = Name::parse(path) {
        return match first.cmp(&extent.segment) {
            std::cmp::Ordering::Less => Some(length),
            std::cmp::Ordering::Equal => Some(extent.segment_bytes),
            std::cmp::Ordering::Greater => None,
        };
    }
    let sequence: u64 = path.file_stem()?.to_str()?.parse().ok()?;
    let is_beside = path.extension().is_some_and(|kind| kind == "checkpoint" || kind == "seen");
    (is_beside && sequence <= extent.sequence).then_some(length)
}

fn add<W: Write>(writer: &mut Writer<W>, source: &Source<'_>, path: &Path, length: u64) -> Result<(), BackupError> {
    let name = path.strip_prefix(source.state).ok().and_then(Path::to_str);
    let name = name.ok_or_else(|| BackupError::Unsound(format!("{} has no plain name", path.display())))?;
    let file = source.disk.read(path).map_err(at("open", path))?;
    writer.add(name, length, &mut FileReader { file, at: 0 }).map_err(at("copy", path))
}

/// `path` with more at the end of its name.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A file of the disk port, written as a stream.
struct Sink(Box<dyn DiskFile>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(Step::BackupWrite, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<SpoolError> for BackupError {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}
