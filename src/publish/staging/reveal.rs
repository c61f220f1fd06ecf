//! Making staged files appear, and finishing what a crash interrupted.
//!
//! Guarantees: on return every answered set is durable in its place. Payloads are renamed and their folder synced
//! before the first control file of the batch is renamed, so whoever sees a control file finds its payload.
//! No file is replaced. What to do with a half-made set is decided in [`evidence`].
//!
//! Assumption: after a failed folder sync a file system that journals its names fails until it is mounted again,
//! which undoes or keeps each rename; so trying again later does not mistake a lost rename for a durable one.
//!
//! Cost per fresh set of two: one look, two renames; per folder: two syncs.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::evidence::{self, Act, Content, Setting, Sight, Since, Verdict};
use super::write::{BUFFER, SET_ACCESS};
use crate::domain::digest::{ContentDigest, Hasher};
use crate::domain::fault::FaultCode;
use crate::domain::output::{Publication, StagedFile};
use crate::domain::settlement::Reason;
use crate::domain::step::Step;
use crate::ports::disk::EntryKind;
use crate::ports::outputs::{PublishJob, Published};
use crate::publish::Publisher;
use crate::publish::root::{Checks, Standing, Trouble};

/// See [`Outputs::publish`](crate::ports::outputs::Outputs::publish).
pub(in crate::publish) fn publish(publisher: &Publisher, jobs: &[PublishJob<'_>]) -> Vec<Published> {
    let mut checks = Checks::new(&*publisher.disk, &publisher.state_directory);
    let mut sets: Vec<Set<'_>> = jobs.iter().map(|job| prepare(publisher, &mut checks, job)).collect();
    perform(publisher, &mut sets, Part::Payloads);
    sync_folders(publisher, &mut sets, Part::Payloads);
    perform(publisher, &mut sets, Part::Control);
    sync_folders(publisher, &mut sets, Part::Control);
    sets.into_iter()
        .map(|set| match set {
            Set::Going(going) => Published::Done(going.publication),
            Set::Ended(published) => published,
        })
        .collect()
}

/// One job on its way.
enum Set<'a> {
    Going(Going<'a>),
    Ended(Published),
}

struct Going<'a> {
    job: &'a PublishJob<'a>,
    standing: Standing,
    acts: Vec<Act>,
    publication: Publication,
}

/// Which files of a set: all but the last, or the last, which is the signal to the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Payloads,
    Control,
}

impl Part {
    fn of<'a>(self, going: &'a Going<'_>) -> &'a [StagedFile] {
        let files = &going.job.set.files;
        let (payloads, control) = files.split_at(files.len().saturating_sub(1));
        match self {
            Self::Payloads => payloads,
            Self::Control => control,
        }
    }

    fn acts<'a>(self, going: &'a Going<'_>) -> &'a [Act] {
        let (payloads, control) = going.acts.split_at(going.acts.len().saturating_sub(1));
        match self {
            Self::Payloads => payloads,
            Self::Control => control,
        }
    }

    fn rename_step(self) -> Step {
        match self {
            Self::Payloads => Step::PublishData,
            Self::Control => Step::PublishControl,
        }
    }

    fn sync_step(self) -> Step {
        match self {
            Self::Payloads => Step::PublishDataSync,
            Self::Control => Step::PublishControlSync,
        }
    }
}

fn prepare<'a>(publisher: &Publisher, checks: &mut Checks<'_>, job: &'a PublishJob<'a>) -> Set<'a> {
    let standing = match checks.of(job.plan) {
        Ok(standing) => standing,
        Err(fault) => return Set::Ended(Published::NotNow(fault)),
    };
    if standing.marker != job.set.marker && !standing.former.contains(&job.set.marker) {
        return Set::Ended(not_now(job, &Trouble::away("its root carries another marker than when it was staged")));
    }
    if job.set.files.is_empty() {
        let reason = Reason::new(FaultCode::OutUncertain, "the record of what was staged names no files");
        return Set::Ended(Published::Held(reason));
    }
    let sights = match sights(publisher, &standing, job) {
        Ok(sights) => sights,
        Err(error) => return Set::Ended(not_now(job, &Trouble::from_io("look at staged files", &error))),
    };
    let since = if job.resumed {
        let same_boot = job.set.files.iter().all(|file| publisher.boot.is_that_of(&file.temp));
        Since::Resumed { same_boot }
    } else {
        Since::Fresh
    };
    let setting = Setting { since, ordered_renames: standing.ordered_renames };
    match evidence::decide(&sights, setting) {
        Verdict::Finish(acts, publication) => Set::Going(Going { job, standing, acts, publication }),
        Verdict::Held(reason) => Set::Ended(Published::Held(reason)),
    }
}

/// Where each file of the set is now.
fn sights<'a>(
    publisher: &Publisher,
    standing: &Standing,
    job: &'a PublishJob<'_>,
) -> io::Result<Vec<(&'a str, Sight)>> {
    let files = &job.set.files;
    let last = files.len() - 1;
    files
        .iter()
        .enumerate()
        .map(|(index, file)| {
            let sight = if job.resumed {
                look(publisher, standing, file)?
            } else {
                // Just staged by us. Only the control file's name is looked at before: were it taken, renaming the
                // payload would pair it with somebody else's control file. The renames themselves find the rest.
                let target = if index == last {
                    compare(publisher, &standing.folder.join(&file.name), file)?
                } else {
                    Content::Gone
                };
                Sight { staged: Content::Equal, target }
            };
            Ok((file.name.as_str(), sight))
        })
        .collect()
}

/// Renames what is to be renamed of one part of every set that is still going.
fn perform(publisher: &Publisher, sets: &mut [Set<'_>], part: Part) {
    for set in sets {
        let Set::Going(going) = set else { continue };
        let ended = part
            .of(going)
            .iter()
            .zip(part.acts(going))
            .find_map(|(file, act)| perform_one(publisher, going, file, *act, part).err());
        if let Some(published) = ended {
            *set = Set::Ended(published);
        }
    }
}

fn perform_one(
    publisher: &Publisher,
    going: &Going<'_>,
    file: &StagedFile,
    act: Act,
    part: Part,
) -> Result<(), Published> {
    let Going { job, standing, .. } = going;
    let staged = standing.staging.join(&file.temp);
    match act {
        Act::Leave => Ok(()),
        Act::Clear => {
            clear(publisher, job, &staged);
            Ok(())
        }
        Act::Rename => {
            if job.resumed {
                // A power cut may have kept the content and lost the mode.
                publisher
                    .disk
                    .set_access(&staged, job.plan.mode, job.plan.group.as_deref())
                    .map_err(|error| not_now(job, &Trouble::refused(SET_ACCESS, &error)))?;
            }
            let target = standing.folder.join(&file.name);
            match publisher.disk.rename_no_replace(part.rename_step(), &staged, &target) {
                Ok(()) => Ok(()),
                Err(error) if [io::ErrorKind::AlreadyExists, io::ErrorKind::NotFound].contains(&error.kind()) => {
                    after_surprise(publisher, going, file)
                }
                Err(error) => Err(not_now(job, &Trouble::from_io("rename to the output folder", &error))),
            }
        }
    }
}

/// A rename found its target there or its source gone: is it ours already, is the root away, or must a person look?
fn after_surprise(publisher: &Publisher, going: &Going<'_>, file: &StagedFile) -> Result<(), Published> {
    let Going { job, standing, .. } = going;
    Checks::new(&*publisher.disk, &publisher.state_directory).of(job.plan).map_err(Published::NotNow)?;
    let sight = look(publisher, standing, file)
        .map_err(|error| not_now(job, &Trouble::from_io("look at staged files", &error)))?;
    let setting = Setting { since: Since::Fresh, ordered_renames: standing.ordered_renames };
    match evidence::decide(&[(file.name.as_str(), sight)], setting) {
        Verdict::Held(reason) => Err(Published::Held(reason)),
        Verdict::Finish(acts, _) if acts.contains(&Act::Rename) => {
            let trouble = Trouble { code: FaultCode::OutWrite, detail: "the output folder is changing".to_owned() };
            Err(not_now(job, &trouble))
        }
        Verdict::Finish(acts, _) => {
            if acts.contains(&Act::Clear) {
                clear(publisher, job, &standing.staging.join(&file.temp));
            }
            Ok(())
        }
    }
}

/// Removes a leftover beside its published file. What resists is swept at the next start.
fn clear(publisher: &Publisher, job: &PublishJob<'_>, staged: &Path) {
    if let Err(error) = publisher.disk.remove(Step::StageSweep, staged) {
        tracing::warn!(output = %job.plan.name, %error, "published file not removed from staging");
    }
}

/// Syncs each folder that holds this part of a set, once; also for files that were found in place, since the run that
/// renamed them may have died before its sync.
fn sync_folders(publisher: &Publisher, sets: &mut [Set<'_>], part: Part) {
    let mut folders: BTreeMap<PathBuf, Option<Trouble>> = BTreeMap::new();
    for set in sets {
        let Set::Going(going) = set else { continue };
        if part.of(going).is_empty() {
            continue;
        }
        let trouble = folders.entry(going.standing.folder.clone()).or_insert_with_key(|folder| {
            let synced = publisher.disk.sync_folder(part.sync_step(), folder);
            synced.err().map(|error| Trouble::from_io("sync the output folder", &error))
        });
        if let Some(trouble) = trouble {
            *set = Set::Ended(not_now(going.job, trouble));
        }
    }
}

fn look(publisher: &Publisher, standing: &Standing, file: &StagedFile) -> io::Result<Sight> {
    Ok(Sight {
        staged: compare(publisher, &standing.staging.join(&file.temp), file)?,
        target: compare(publisher, &standing.folder.join(&file.name), file)?,
    })
}

/// What lies at `path`, compared with what was journalled of `file`. Links are never followed.
fn compare(publisher: &Publisher, path: &Path, file: &StagedFile) -> io::Result<Content> {
    let Some(entry) = publisher.disk.entry(path)? else { return Ok(Content::Gone) };
    if entry.kind != EntryKind::File || entry.length != file.length {
        return Ok(Content::Other);
    }
    match digests(publisher, path) {
        Ok(digests) if digests.contains(&file.digest) => Ok(Content::Equal),
        Ok(_) => Ok(Content::Other),
        // Taken between our two looks.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::Gone),
        Err(error) => Err(error),
    }
}

fn digests(publisher: &Publisher, path: &Path) -> io::Result<Vec<ContentDigest>> {
    let file = publisher.disk.read(path)?;
    let mut buffer = vec![0; BUFFER];
    let mut hasher = Hasher::new();
    let mut offset = 0;
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok(publisher.key.sign_each(hasher)),
            count => {
                hasher.update(&buffer[..count]);
                offset += count as u64;
            }
        }
    }
}

fn not_now(job: &PublishJob<'_>, trouble: &Trouble) -> Published {
    Published::NotNow(trouble.fault(&job.plan.name))
}

#[cfg(test)]
mod tests;
