//! Making the files of sets where no consumer looks.
//!
//! Guarantees: on return the files of each answered set are on stable storage under their names in staging, with the
//! configured group and mode. A failed sync is final: what it covered is removed and made anew another time, under
//! another name, never synced again.
//!
//! Cost per file: create, one append per [`BUFFER`] bytes, set access, its share of a sync; per folder: one sync.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::domain::digest::Hasher;
use crate::domain::envelope::MessageKind;
use crate::domain::fault::Fault;
use crate::domain::output::{Layout, StagedFile, StagedSet, Transform};
use crate::domain::step::Step;
use crate::ports::disk::DiskFile;
use crate::ports::outputs::StageJob;
use crate::ports::spool::unreadable;
use crate::publish::root::{Checks, Standing, Trouble};
use crate::publish::{Publisher, mesh_client, naming, plain};

/// All the memory a payload takes on its way, bytes (I3).
pub(in crate::publish) const BUFFER: usize = 128 * 1024;

/// Sets whose files are open, and synced side by side, at a time: 16 descriptors, and as many threads for an instant.
const WAVE: usize = 8;

pub(in crate::publish) const SET_ACCESS: &str = "set mode and group of a staged file";

/// See [`Outputs::stage`](crate::ports::outputs::Outputs::stage).
pub(in crate::publish) fn stage(publisher: &Publisher, jobs: &[StageJob<'_>]) -> Vec<Result<StagedSet, Fault>> {
    let mut checks = Checks::new(&*publisher.disk, &publisher.state_directory);
    // Until the whole batch is staged: a folder may be looked at meanwhile.
    let mut admitted = Vec::new();
    let standings: Vec<Result<Standing, Fault>> = jobs
        .iter()
        .map(|job| {
            let standing = checks.of(job.plan)?;
            if let Some(backlogs) = &publisher.backlogs {
                admitted.push(backlogs.admit(publisher, job)?);
            }
            Ok(standing)
        })
        .collect();
    // One staging folder at a time: a sync error of one file system must not be blamed on another (I6).
    let mut folders: BTreeMap<PathBuf, Vec<Draft<'_>>> = BTreeMap::new();
    let mut results: Vec<Option<Result<StagedSet, Fault>>> = Vec::with_capacity(jobs.len());
    for (index, (job, standing)) in jobs.iter().zip(standings).enumerate() {
        match standing {
            Ok(standing) => {
                results.push(None);
                let drafts = folders.entry(standing.staging.clone()).or_default();
                drafts.push(Draft { publisher, job, standing, index, files: Vec::new(), open: Vec::new() });
            }
            Err(fault) => results.push(Some(Err(fault))),
        }
    }
    let mut buffer = vec![0; BUFFER];
    for (folder, drafts) in folders {
        let mut whole = Vec::new();
        for wave in waves(drafts) {
            write_wave(publisher, wave, &mut buffer, &mut whole, &mut results);
        }
        if whole.is_empty() {
            continue;
        }
        let synced = publisher.disk.sync_folder(Step::StageFolderSync, &folder);
        let trouble = synced.err().map(|error| Trouble::from_io("sync the staging folder", &error));
        for draft in whole {
            let (index, result) = draft.end(trouble.as_ref());
            results[index] = Some(result);
        }
    }
    results.into_iter().map(|result| result.expect("each job had a fault at once or a draft that ended")).collect()
}

fn waves(drafts: Vec<Draft<'_>>) -> impl Iterator<Item = Vec<Draft<'_>>> {
    let mut drafts = drafts.into_iter();
    std::iter::from_fn(move || {
        let wave: Vec<_> = drafts.by_ref().take(WAVE).collect();
        (!wave.is_empty()).then_some(wave)
    })
}

/// Writes and syncs a few sets. Those that are whole go on, the others end here.
fn write_wave<'a>(
    publisher: &Publisher,
    wave: Vec<Draft<'a>>,
    buffer: &mut [u8],
    whole: &mut Vec<Draft<'a>>,
    results: &mut [Option<Result<StagedSet, Fault>>],
) {
    let mut written = Vec::with_capacity(wave.len());
    for mut draft in wave {
        match draft.write(buffer) {
            Ok(()) => written.push(draft),
            Err(fault) => {
                draft.discard();
                results[draft.index] = Some(Err(fault));
            }
        }
    }
    let files: Vec<(Step, &dyn DiskFile)> =
        written.iter().flat_map(|draft| &draft.open).map(|file| (Step::StageSync, &**file)).collect();
    let synced = publisher.disk.sync_all(&files);
    drop(files);
    let trouble = synced.err().map(|error| Trouble::from_io("sync staged files", &error));
    for mut draft in written {
        draft.open.clear();
        if trouble.is_some() {
            let (index, result) = draft.end(trouble.as_ref());
            results[index] = Some(result);
        } else {
            whole.push(draft);
        }
    }
}

/// One set on its way.
struct Draft<'a> {
    publisher: &'a Publisher,
    job: &'a StageJob<'a>,
    standing: Standing,
    /// The job's place in the batch.
    index: usize,
    /// Made so far, in the order of their renames.
    files: Vec<StagedFile>,
    /// Written and not yet synced.
    open: Vec<Box<dyn DiskFile>>,
}

impl Draft<'_> {
    fn write(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        let StageJob { plan, delivery, opened } = *self.job;
        let payload = match opened.envelope.kind {
            MessageKind::Data => Some(self.write_payload(buffer)?),
            // A lone control file: a report has no payload (mesh-client-files 1, mesh-api 7.3).
            MessageKind::Report => None,
        };
        let (extension, bytes) = match plan.layout {
            Layout::MeshFolder => {
                let control = mesh_client::control(&opened.envelope, delivery, plan.line_ends);
                (naming::CONTROL, control)
            }
            Layout::Folder => (naming::JSON, plain::document(&opened.envelope, delivery, payload.as_ref())),
        };
        self.write_file(extension, |file, hasher| {
            hasher.update(&bytes);
            file.append(Step::StageWrite, &bytes).map_err(CopyError::Output)?;
            Ok(bytes.len() as u64)
        })?;
        Ok(())
    }

    fn write_payload(&mut self, buffer: &mut [u8]) -> Result<plain::Payload, Fault> {
        let payload = &self.job.opened.payload;
        let mut sha256 = String::new();
        self.write_file(naming::DATA, |file, hasher| {
            let mut reader = payload.reader().map_err(CopyError::Spool)?;
            let length = copy(&mut *reader, file, hasher, payload.length(), buffer)?;
            sha256 = hasher.clear();
            Ok(length)
        })?;
        let staged = self.files.last().expect("write_file adds the file it wrote");
        let changes = self.job.plan.payload.iter().map(Transform::as_str).collect();
        Ok(plain::Payload { file: staged.name.clone(), length: staged.length, sha256, changes })
    }

    fn write_file(
        &mut self,
        extension: &str,
        fill: impl FnOnce(&mut dyn DiskFile, &mut Hasher) -> Result<u64, CopyError>,
    ) -> Result<(), Fault> {
        let Publisher { disk, chance, key, boot, .. } = self.publisher;
        let StageJob { plan, delivery, .. } = *self.job;
        let temp = naming::staged(&delivery.message_id, delivery.id, boot, chance.dice(), extension);
        let path = self.standing.staging.join(&temp);
        let refused = |doing: &str, error: &io::Error| Trouble::from_io(doing, error).fault(&plan.name);
        let mut file = disk.create(Step::StageWrite, &path).map_err(|error| refused("make a staged file", &error))?;
        let mut hasher = Hasher::new();
        let filled = fill(&mut *file, &mut hasher);
        // Listed before the result is looked at: what was made is removed if anything fails from here on.
        self.files.push(StagedFile {
            temp,
            name: naming::published(&delivery.message_id, extension),
            length: *filled.as_ref().unwrap_or(&0),
            digest: key.sign(hasher),
        });
        filled.map_err(|error| match error {
            CopyError::Output(error) => refused("write a staged file", &error),
            CopyError::Spool(error) => unreadable(&error),
        })?;
        disk.set_access(&path, plan.mode, plan.group.as_deref())
            // Also for a group that does not exist, which is "not found" and not an output that is away.
            .map_err(|error| Trouble::refused(SET_ACCESS, &error).fault(&plan.name))?;
        self.open.push(file);
        Ok(())
    }

    /// Ends the set: whole in staging, or removed because of `trouble`.
    fn end(self, trouble: Option<&Trouble>) -> (usize, Result<StagedSet, Fault>) {
        let result = match trouble {
            None => Ok(StagedSet { marker: self.standing.marker, files: self.files }),
            Some(trouble) => {
                self.discard();
                Err(trouble.fault(&self.job.plan.name))
            }
        };
        (self.index, result)
    }

    /// Removes what was made. What resists is swept at the next start.
    fn discard(&self) {
        for file in &self.files {
            let path = self.standing.staging.join(&file.temp);
            if let Err(error) = self.publisher.disk.remove(Step::StageSweep, &path) {
                tracing::warn!(output = %self.job.plan.name, delivery = %self.job.delivery.id, %error, "staged file not removed");
            }
        }
    }
}

/// Which side of a copy failed.
enum CopyError {
    Spool(io::Error),
    Output(io::Error),
}

/// Copies exactly `length` bytes; more or fewer are the spool's failure.
fn copy(
    reader: &mut dyn Read,
    file: &mut dyn DiskFile,
    hasher: &mut Hasher,
    length: u64,
    buffer: &mut [u8],
) -> Result<u64, CopyError> {
    let mut copied = 0;
    loop {
        let filled = fill(reader, buffer).map_err(CopyError::Spool)?;
        if filled == 0 {
            break;
        }
        copied += filled as u64;
        if copied > length {
            break;
        }
        hasher.update(&buffer[..filled]);
        file.append(Step::StageWrite, &buffer[..filled]).map_err(CopyError::Output)?;
    }
    if copied == length {
        Ok(length)
    } else {
        let what = if copied > length { "has more than its" } else { "ends before its" };
        Err(CopyError::Spool(io::Error::new(io::ErrorKind::InvalidData, format!("payload {what} {length} bytes"))))
    }
}

/// Reads until the buffer is full or the payload ends, so that a small file takes one append.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
