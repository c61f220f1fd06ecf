//! The judge: what the far side offered against what the consumers took. The daemon is not asked.
//!
//! | | Property | Broken if |
//! |---|---|---|
//! | P1 | no loss | a message that should have come out of a destination did not |
//! | P2 | ack implies kept | that message was acknowledged |
//! | P3 | no duplicate | a consumer took it more than once |
//! | P4 | intact | what was taken is not what was offered |
//! | P5 | no half state | a file is left in an output or staging folder, or a temporary one in the state |
//! | P14 | no scapegoats | nothing here fails by itself, so whatever was dead or held did not come out: P1 |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use meshd::domain::output::STATUS_FILE;

/// One message as the far side knows it.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    pub(crate) id: String,
    /// Of the payload; a report has none.
    pub(crate) sha256: Option<String>,
    pub(crate) is_acknowledged: bool,
    /// By name.
    pub(crate) destinations: Vec<&'static str>,
}

/// What the consumer of each destination took: names and digests, in order.
pub(crate) type Taken = BTreeMap<&'static str, Vec<(String, Option<String>)>>;

/// How often a message may come out of one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Whatever happened to the process, the index or the state's disk.
    Once,
    /// The output's own disk lost power: a set may come out once more, however often that was.
    OnceAndOnceMore,
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    Lost { id: String, from: &'static str, acknowledged: bool },
    Unacknowledged { id: String },
    Doubled { id: String, from: &'static str, times: usize },
    Damaged { id: String, from: &'static str },
    Unknown { name: String, from: &'static str },
    Left { path: PathBuf },
    Told { path: PathBuf, canary: &'static str },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { id, from, acknowledged: true } => {
                write!(f, "P2: {id} was acknowledged and never came out of {from}")
            }
            Self::Lost { id, from, acknowledged: false } => write!(f, "P1: {id} never came out of {from}"),
            Self::Unacknowledged { id } => write!(f, "P1: {id} is still unacknowledged"),
            Self::Doubled { id, from, times } => write!(f, "P3: {id} came out of {from} {times} times"),
            Self::Damaged { id, from } => write!(f, "P4: {id} came out of {from} with other bytes"),
            Self::Unknown { name, from } => write!(f, "P4: {name} came out of {from} and was never offered"),
            Self::Left { path } => write!(f, "P5: {} was left", path.display()),
            Self::Told { path, canary } => write!(f, "P12: {} tells of {canary}", path.display()),
        }
    }
}

/// Everything that is broken, once the daemon has had the time to bring all out.
pub(crate) fn judge(offered: &[Offered], taken: &Taken, times: Times) -> Vec<Broken> {
    let mut broken = missing(offered, taken);
    let known: BTreeMap<&str, &Offered> = offered.iter().map(|message| (message.id.as_str(), message)).collect();
    for (from, sets) in taken {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut whole: BTreeSet<&str> = BTreeSet::new();
        for (name, sha256) in sets {
            // A consumer deletes the data file first. When power fails between, the control file stays, alone, for a
            // set that the consumer has: that is its own half-made deletion.
            if times == Times::OnceAndOnceMore && sha256.is_none() && whole.contains(name.as_str()) {
                continue;
            }
            if sha256.is_some() {
                whole.insert(name);
            }
            *counts.entry(name).or_default() += 1;
            match known.get(name.as_str()) {
                Some(message) if !message.destinations.contains(from) => {
                    broken.push(Broken::Unknown { name: name.clone(), from });
                }
                Some(message) if message.sha256 != *sha256 => broken.push(Broken::Damaged { id: name.clone(), from }),
                Some(_) => {}
                None => broken.push(Broken::Unknown { name: name.clone(), from }),
            }
        }
        let most = match times {
            Times::Once => 1,
            Times::OnceAndOnceMore => 2,
        };
        let doubled = counts.into_iter().filter(|(_, times)| *times > most);
        broken.extend(doubled.map(|(id, times)| Broken::Doubled { id: id.to_owned(), from, times }));
    }
    broken
}

/// What is still to come: the daemon is waited for until this is empty.
pub(crate) fn missing(offered: &[Offered], taken: &Taken) -> Vec<Broken> {
    let mut missing = Vec::new();
    let came: std::collections::BTreeSet<(&str, &str)> =
        taken.iter().flat_map(|(from, sets)| sets.iter().map(|(name, _)| (*from, name.as_str()))).collect();
    for message in offered {
        let id = &message.id;
        if !message.is_acknowledged {
            missing.push(Broken::Unacknowledged { id: id.clone() });
        }
        for from in &message.destinations {
            if !came.contains(&(*from, id.as_str())) {
                missing.push(Broken::Lost { id: id.clone(), from, acknowledged: message.is_acknowledged });
            }
        }
    }
    missing
}

/// Files where none should be after an orderly stop: anything in `outputs`, anything half made under `state`.
///
/// Markers and status files belong where they are. So does an index that was moved aside, whatever it holds.
pub(crate) fn left_behind(outputs: &[PathBuf], state: &Path) -> Vec<Broken> {
    let is_of_root = |path: &Path| path.file_name().is_some_and(|name| name == ".meshd-output" || name == STATUS_FILE);
    let is_half_made = |path: &Path| path.extension().is_some_and(|end| end == "tmp" || end == "part");
    let in_outputs =
        outputs.iter().flat_map(|folder| entries(folder)).filter(|path| path.is_file() && !is_of_root(path));
    let mut left: Vec<PathBuf> = in_outputs.collect();
    let mut folders = vec![state.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if is_half_made(&path) {
                left.push(path);
            } else if path.is_dir() && !path.display().to_string().contains("index") {
                folders.push(path);
            }
        }
    }
    left.into_iter().map(|path| Broken::Left { path }).collect()
}

/// Files in which patient data stands open (I8).
pub(crate) fn told(files: Vec<(PathBuf, Vec<u8>)>, canaries: &[&'static str]) -> Vec<Broken> {
    let tells = |bytes: &[u8], canary: &str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
    let open = files.iter().flat_map(|(path, bytes)| {
        let told = canaries.iter().filter(|canary| tells(bytes, canary));
        told.map(|canary| Broken::Told { path: path.clone(), canary })
    });
    open.collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INBOX: &str = "inbox";
    const COPY: &str = "copy";

    fn offered(is_acknowledged: bool) -> Vec<Offered> {
        let sha256 = Some("aa".to_owned());
        vec![Offered { id: "ONE".into(), sha256, is_acknowledged, destinations: vec![INBOX, COPY] }]
    }

    fn taken(inbox: &[&str], copy: &[&str]) -> Taken {
        let sets = |digests: &[&str]| digests.iter().map(|sha256| ("ONE".into(), Some((*sha256).into()))).collect();
        [(INBOX, sets(inbox)), (COPY, sets(copy))].into()
    }

    #[test]
    fn what_came_out_once_of_each_destination_is_in_order() {
        assert_eq!(judge(&offered(true), &taken(&["aa"], &["aa"]), Times::Once), []);
    }

    #[test]
    fn a_control_file_alone_counts_unless_its_set_was_taken_before_a_power_cut() {
        let alone = |first: Option<&str>| -> Taken {
            let sets =
                first.map(|sha256| ("ONE".into(), Some(sha256.into()))).into_iter().chain([("ONE".into(), None)]);
            [(INBOX, sets.collect()), (COPY, vec![("ONE".into(), Some("aa".into()))])].into()
        };
        let damaged = Broken::Damaged { id: "ONE".to_owned(), from: INBOX };
        assert_eq!(judge(&offered(true), &alone(Some("aa")), Times::OnceAndOnceMore), []);
        assert_eq!(judge(&offered(true), &alone(None), Times::OnceAndOnceMore), std::slice::from_ref(&damaged));
        assert!(judge(&offered(true), &alone(Some("aa")), Times::Once).contains(&damaged));
    }

    #[test]
    fn a_loss_a_duplicate_other_bytes_and_strangers_are_seen() {
        let id = || "ONE".to_owned();
        let lost = Broken::Lost { id: id(), from: COPY, acknowledged: true };
        assert_eq!(judge(&offered(true), &taken(&["aa"], &[]), Times::Once), [lost]);
        let unacknowledged = Broken::Unacknowledged { id: id() };
        assert_eq!(judge(&offered(false), &taken(&["aa"], &["aa"]), Times::Once), [unacknowledged]);
        let doubled = Broken::Doubled { id: id(), from: INBOX, times: 2 };
        assert_eq!(judge(&offered(true), &taken(&["aa", "aa"], &["aa"]), Times::Once), [doubled]);
        let damaged = Broken::Damaged { id: id(), from: INBOX };
        assert_eq!(judge(&offered(true), &taken(&["bb"], &["aa"]), Times::Once), [damaged]);
        let unknown = |from| Broken::Unknown { name: id(), from };
        assert_eq!(judge(&[], &taken(&["aa"], &["aa"]), Times::Once), [unknown(COPY), unknown(INBOX)]);
    }

    #[test]
    fn a_cut_of_the_outputs_disk_excuses_one_more_and_no_other_bytes() {
        let once_more = Times::OnceAndOnceMore;
        assert_eq!(judge(&offered(true), &taken(&["aa", "aa"], &["aa"]), once_more), []);
        assert_eq!(judge(&offered(true), &taken(&["aa", "aa", "aa"], &["aa"]), once_more).len(), 1);
        assert_eq!(judge(&offered(true), &taken(&["aa", "bb"], &["aa"]), once_more).len(), 1);
    }

    #[test]
    fn what_lies_around_is_seen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (output, state) = (folder.path().join("IN"), folder.path().join("state"));
        std::fs::create_dir_all(state.join("journal")).expect("ours");
        std::fs::create_dir(&output).expect("ours");
        for path in [output.join("ONE.dat"), state.join("journal/1.tmp"), output.join(".meshd-output")] {
            std::fs::write(path, "x").expect("ours");
        }
        assert_eq!(left_behind(&[output], &state).len(), 2);
    }
}
