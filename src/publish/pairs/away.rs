//! Taking pairs out of `OUT`: see [`super`].

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::{Folders, PairFolders, is_at, path_of};
use crate::domain::control::{Control, Told};
use crate::domain::fault::Fault;
use crate::domain::ids::{DeliveryId, MessageId};
use crate::domain::step::Step;
use crate::ports::disk::{Disk, DiskFile, EntryKind};
use crate::ports::pairs::{Away, FileSeen, PairSeen, Report, Shelf};
use crate::publish::ctl::in_digits;
use crate::publish::ctl::told::{Kind, is_same, told};
use crate::publish::naming;

/// Of one name there are no more in a folder.
const MOST_ALIKE: u32 = 10_000;
/// A control file is no longer; what is, is another's.
const LONGEST: u64 = 64 * 1024;

/// See [`crate::ports::pairs::Pairs::put_away`].
pub(super) fn put_away(of: &PairFolders, folders: &Folders, away: &[Away<'_>]) -> Result<Vec<bool>, Fault> {
    let work = Work { of, folders };
    let mut moves = Vec::with_capacity(away.len());
    for one in away {
        moves.push(work.plan(one)?);
    }
    let result = work.make(moves.iter_mut().flatten()).and_then(|()| work.carry_out(moves.iter().flatten()));
    if result.is_err() {
        moves.iter().flatten().for_each(|one| work.discard(&one.drafts));
    }
    result.map(|()| moves.iter().map(Option::is_some).collect())
}

/// See [`crate::ports::pairs::Pairs::report`].
pub(super) fn report(of: &PairFolders, folders: &Folders, reports: &[Report<'_>]) -> Result<(), Fault> {
    let work = Work { of, folders };
    let mut moves = Vec::with_capacity(reports.len());
    for Report { pair, control, told } in reports {
        let drafts = work.report(pair, Some(control), told)?.into_iter().collect();
        moves.push(Moves { drafts, ..Moves::default() });
    }
    let result = work.make(moves.iter_mut()).and_then(|()| work.publish_reports(moves.iter()));
    if result.is_err() {
        moves.iter().for_each(|one| work.discard(&one.drafts));
    }
    result
}

/// What is done about one pair.
#[derive(Default)]
struct Moves {
    /// Files to be made.
    drafts: Vec<Draft>,
    /// Renames out of `OUT`.
    renames: Vec<(PathBuf, PathBuf)>,
    /// Removed from `OUT`, once all else is durable.
    removals: Vec<PathBuf>,
}

/// A control file to be made: in `TEMP`, then where it belongs.
struct Draft {
    text: String,
    temp: PathBuf,
    path: PathBuf,
    is_report: bool,
}

struct Work<'a> {
    of: &'a PairFolders,
    folders: &'a Folders,
}

impl Work<'_> {
    fn disk(&self) -> &dyn Disk {
        &*self.of.publisher.disk
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> Fault {
        move |error| self.of.trouble(doing, &error)
    }

    fn told(&self, kind: Kind, control: Option<&Control>, about: &Told) -> String {
        told(kind, &self.of.mailbox, control, about, self.of.plan.line_ends)
    }

    /// What is to be done about a pair; none if it is not as it was seen.
    fn plan(&self, away: &Away<'_>) -> Result<Option<Moves>, Fault> {
        let looked = self.failed("look at a pair in OUT");
        let Some(lying) = self.lying(away.pair).map_err(looked)? else { return Ok(None) };
        let mut moves = Moves::default();
        if away.report {
            moves.drafts.extend(self.report(away.pair, away.control, away.told)?);
        }
        let folder = match away.to {
            Shelf::Sent => &self.folders.sent,
            Shelf::Failed => &self.folders.failed,
            Shelf::Removed => {
                moves.removals.extend(lying.into_iter().map(|file| path_of(&self.folders.out, file)));
                return Ok(Some(moves));
            }
        };
        let sound = away.control.filter(|_| away.rewrites);
        let rewritten = sound.map(|control| self.told(Kind::Rewritten, Some(control), away.told));
        let (stem, is_written) = self.place(folder, away.pair, rewritten.as_deref())?;
        let Moves { drafts, renames, removals } = &mut moves;
        for file in lying {
            let (from, to) = (path_of(&self.folders.out, file), folder.join(format!("{stem}.{}", file.extension)));
            if away.pair.data.as_ref() == Some(file) || rewritten.is_none() {
                renames.push((from, to));
            } else {
                removals.push(from);
            }
        }
        if let Some(text) = rewritten.filter(|_| !is_written) {
            let path = folder.join(format!("{stem}.{}", naming::CONTROL));
            drafts.push(Draft { text, temp: self.temp(), path, is_report: false });
        }
        Ok(Some(moves))
    }

    /// The files of a pair that lie in `OUT`; none if one of them is another by now.
    fn lying<'p>(&self, pair: &'p PairSeen) -> io::Result<Option<Vec<&'p FileSeen>>> {
        let mut lying = Vec::new();
        for file in [&pair.data, &pair.control].into_iter().flatten() {
            if !is_at(self.disk(), &path_of(&self.folders.out, file), file)? {
                return Ok(None);
            }
            lying.push(file);
        }
        Ok(Some(lying))
    }

    /// The name that a pair gets in `folder`, and whether its control file is there already: a crash came between.
    fn place(&self, folder: &Path, pair: &PairSeen, rewritten: Option<&str>) -> Result<(String, bool), Fault> {
        self.free(pair.base.reveal(), |stem| {
            let extension = pair.data.as_ref().map_or(naming::DATA, |data| &data.extension);
            // Without its data in `OUT` that was moved before, to here or to where another look will find it.
            if pair.data.is_some() && self.disk().entry(&folder.join(format!("{stem}.{extension}")))?.is_some() {
                return Ok(None);
            }
            self.is_written(&folder.join(format!("{stem}.{}", naming::CONTROL)), rewritten)
        })
    }

    /// The first of the names `stem`, `stem~2` and so on that may be used, by what `look` says of each.
    fn free<T>(&self, stem: &str, look: impl Fn(&str) -> io::Result<Option<T>>) -> Result<(String, T), Fault> {
        for number in 1..MOST_ALIKE {
            let name = if number == 1 { stem.to_owned() } else { format!("{stem}~{number}") };
            if let Some(found) = look(&name).map_err(self.failed("look for a free name"))? {
                return Ok((name, found));
            }
        }
        let error =
            io::Error::new(io::ErrorKind::AlreadyExists, "too many files of one name: clear IN, SENT and FAILED");
        Err(self.of.trouble("find a free name", &error))
    }

    /// Whether `text` is at `path` already; none if something else is.
    fn is_written(&self, path: &Path, text: Option<&str>) -> io::Result<Option<bool>> {
        if self.disk().entry(path)?.is_none() {
            return Ok(Some(false));
        }
        let Some(text) = text else { return Ok(None) };
        let is_ours = self.text(path)?.is_some_and(|found| is_same(&found, text));
        Ok(is_ours.then_some(true))
    }

    fn text(&self, path: &Path) -> io::Result<Option<String>> {
        let entry = self.disk().entry(path)?.filter(|entry| entry.kind == EntryKind::File);
        let Some(length) = entry.map(|entry| entry.length).filter(|length| *length <= LONGEST) else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        let filled = self.disk().read(path)?.read_at(&mut bytes, 0)?;
        bytes.truncate(filled);
        // What is no text is not ours.
        Ok(String::from_utf8(bytes).ok())
    }

    /// A report is named after the pair, the time of its control file and what happened, so that it is the same after a
    /// crash. None if it is there.
    fn report(&self, pair: &PairSeen, control: Option<&Control>, about: &Told) -> Result<Option<Draft>, Fault> {
        let text = self.told(Kind::Report, control, about);
        let time = pair.control.as_ref().or(pair.data.as_ref()).map_or(about.at, |file| file.modified);
        let time = in_digits(time);
        let stem = format!("{}_{time}_{}-{}", pair.base.reveal(), about.event.as_str(), about.code);
        let path = |stem: &str| self.folders.standing.folder.join(format!("{stem}.{}", naming::CONTROL));
        let (stem, is_written) = self.free(&stem, |stem| self.is_written(&path(stem), Some(&text)))?;
        let draft = || Draft { path: path(&stem), temp: self.temp(), text, is_report: true };
        Ok((!is_written).then(draft))
    }

    /// A name that a start sweeps.
    fn temp(&self) -> PathBuf {
        let id = MessageId::new("MESHD-PAIR").expect("letters and a hyphen");
        let publisher = &self.of.publisher;
        let dice = publisher.chance.dice();
        let name = naming::staged(&id, DeliveryId(0), &publisher.boot, dice, naming::CONTROL);
        self.folders.standing.staging.join(name)
    }

    /// Makes all drafts in `TEMP`, durable but for their names.
    fn make<'m>(&self, moves: impl Iterator<Item = &'m mut Moves>) -> Result<(), Fault> {
        let mut open: Vec<Box<dyn DiskFile>> = Vec::new();
        for draft in moves.flat_map(|one| &one.drafts) {
            let made = || -> io::Result<Box<dyn DiskFile>> {
                let mut file = self.disk().create(Step::PairWrite, &draft.temp)?;
                file.append(Step::PairWrite, draft.text.as_bytes())?;
                let plan = &self.of.plan;
                self.disk().set_access(&draft.temp, plan.mode, plan.group.as_deref())?;
                Ok(file)
            };
            open.push(made().map_err(self.failed("write a control file into TEMP"))?);
        }
        let files: Vec<(Step, &dyn DiskFile)> = open.iter().map(|file| (Step::PairWrite, &**file)).collect();
        self.disk().sync_all(&files).map_err(self.failed("sync control files in TEMP"))
    }

    fn carry_out<'m>(&self, moves: impl Iterator<Item = &'m Moves> + Clone) -> Result<(), Fault> {
        self.publish_reports(moves.clone())?;
        let written = moves.clone().flat_map(|one| &one.drafts).filter(|draft| !draft.is_report);
        for draft in written.clone() {
            self.reveal(draft, Step::PairMove)?;
        }
        self.sync_folders_of(written.map(|draft| &*draft.path))?;
        let renames = moves.clone().flat_map(|one| &one.renames);
        for (from, to) in renames.clone() {
            let moved = self.disk().rename_no_replace(Step::PairMove, from, to);
            moved.map_err(self.failed("move a file out of OUT"))?;
        }
        self.sync_folders_of(renames.map(|(_, to)| &**to))?;
        for path in moves.flat_map(|one| &one.removals) {
            self.disk().remove(Step::PairRemove, path).map_err(self.failed("remove a file from OUT"))?;
        }
        self.disk().sync_folder(Step::PairSync, &self.folders.out).map_err(self.failed("sync OUT"))
    }

    fn sync_folders_of<'p>(&self, files: impl Iterator<Item = &'p Path>) -> Result<(), Fault> {
        let folders: BTreeSet<&Path> = files.filter_map(Path::parent).collect();
        folders.into_iter().try_for_each(|folder| {
            self.disk().sync_folder(Step::PairSync, folder).map_err(self.failed("sync a folder of pairs"))
        })
    }

    fn publish_reports<'m>(&self, moves: impl Iterator<Item = &'m Moves>) -> Result<(), Fault> {
        let mut is_any = false;
        for draft in moves.flat_map(|one| &one.drafts).filter(|draft| draft.is_report) {
            self.reveal(draft, Step::PairReport)?;
            is_any = true;
        }
        if !is_any {
            return Ok(());
        }
        self.disk().sync_folder(Step::PairSync, &self.folders.standing.folder).map_err(self.failed("sync IN"))
    }

    fn reveal(&self, draft: &Draft, step: Step) -> Result<(), Fault> {
        let placed = self.disk().rename_no_replace(step, &draft.temp, &draft.path);
        placed.map_err(self.failed("put a control file in its place"))
    }

    /// What resists is swept at the next start.
    fn discard(&self, drafts: &[Draft]) {
        for draft in drafts {
            if let Err(error) = self.disk().remove(Step::StageSweep, &draft.temp) {
                tracing::warn!(mailbox = %self.of.mailbox, %error, "a file in TEMP was not removed");
            }
        }
    }
}
