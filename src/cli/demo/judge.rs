//! What became of the mail, judged by a process of its own from what lies in the demonstration's folder: the far side's
//! ledger, what must become of each message, the consumers' ledgers, and the output folders.
//!
//! Nobody who took part is asked. Only the reasons of dead and held mail are the daemon's own word, noted before it
//! stopped; the kept bytes are opened and compared.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::house::{House, file_sha256};
use super::mail::{EXPECTED, Expected, Fate, LEFT, MAILBOXES, TAKEN};
use crate::cli::{Context, Failure};
use crate::domain::fault::FaultCode;
use crate::domain::output::STATUS_FILE;
use crate::ports::store::{SetAside, SetAsideKind};
use crate::simulator::ledger::{self, Event, History, histories, read};

/// The command's name.
pub(in crate::cli) const COMMAND: &str = "demo-judge";
/// The far side's ledger.
pub(super) const FAR_SIDE: &str = "far-side.jsonl";
/// What the daemon says is dead or held.
pub(super) const SET_ASIDE: &str = "set-aside.json";

/// The ledger of the consumer of this mailbox.
pub(super) fn consumer_ledger(mailbox: &str) -> String {
    format!("consumer-{mailbox}.jsonl")
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Judge {
    /// The demonstration's folder
    folder: PathBuf,
}

impl Judge {
    pub(in crate::cli) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let verdict = Verdict::reach(&House::at(self.folder)?)?;
        context.out.json(&verdict)
    }
}

/// What became of the mail.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Verdict {
    /// Nothing was lost, doubled, altered or astray.
    pub(super) ok: bool,
    /// Messages put into the inboxes.
    pub(super) offered: u64,
    /// Of those, put in again under an id that was delivered before.
    pub(super) presented_again: u64,
    /// Acknowledges that MESH heard, one for each time a message was offered.
    pub(super) acknowledged: u64,
    /// Sets of files, by output folder.
    pub(super) delivered: BTreeMap<String, u64>,
    /// Dead letters, by reason.
    pub(super) dead: BTreeMap<FaultCode, u64>,
    /// Messages held for a person, by reason.
    pub(super) held: BTreeMap<FaultCode, u64>,
    /// Messages that a rule sends nowhere.
    pub(super) discarded: u64,
    /// Messages that were fetched, not acknowledged, and are still at MESH.
    pub(super) refused: u64,
    /// Expected in a place, and not there.
    pub(super) lost: u64,
    /// More than once in a place.
    pub(super) duplicates: u64,
    /// There with other bytes.
    pub(super) altered: u64,
    /// In a place where it should not be, or set aside with another reason.
    pub(super) astray: u64,
}

impl Verdict {
    /// Compares what was offered with what is there now.
    fn reach(house: &House) -> Result<Self, anyhow::Error> {
        let mut verdict = Self::default();
        let ledger = read(&house.path(FAR_SIDE)).context("read the far side's ledger")?;
        let heard = histories(&ledger);
        let mut sent = Sent::of(&ledger);
        let mut found = Found::default();
        for mailbox in MAILBOXES {
            let ledger = read(&house.path(&consumer_ledger(mailbox))).context("read a consumer's ledger")?;
            for (name, digests) in ledger::taken(&ledger) {
                for sha256 in digests {
                    found.add(mailbox, TAKEN, name.clone(), sha256);
                }
            }
            for folder in [TAKEN].into_iter().chain(LEFT) {
                found.look_into(house, mailbox, folder)?;
            }
        }
        let set_aside = fs::read_to_string(house.path(SET_ASIDE)).context("read what is set aside")?;
        let set_aside: Vec<SetAside> = serde_json::from_str(&set_aside).context("read what is set aside")?;
        let mut reasons: BTreeMap<(String, String), FaultCode> = BTreeMap::new();
        for aside in &set_aside {
            let delivery = &aside.delivery;
            reasons.insert((delivery.mailbox.to_string(), delivery.message_id.to_string()), aside.reason.code);
            let counts = match aside.kind {
                SetAsideKind::Dead(_) => &mut verdict.dead,
                SetAsideKind::Held => &mut verdict.held,
            };
            *counts.entry(aside.reason.code).or_default() += 1;
        }
        verdict.delivered = found.counts();
        verdict.acknowledged = heard.values().map(|history| u64::from(history.acknowledged)).sum();
        verdict.offered = heard.values().map(|history| u64::from(history.offered)).sum();
        verdict.presented_again = heard.values().map(|history| u64::from(history.offered.saturating_sub(1))).sum();

        let silent = History::default();
        let expected = fs::read_to_string(house.path(EXPECTED)).context("read what must become of the mail")?;
        for line in expected.lines() {
            let Expected { mailbox, id, fate } = serde_json::from_str(line).context("read what must become of mail")?;
            let history = heard.get(&(mailbox.clone(), id.clone())).unwrap_or(&silent);
            let sha256 = sent.next(&mailbox, &id)?;
            let is_acknowledged = history.acknowledged == history.offered;
            match fate {
                Fate::Refused if history.acknowledged == 0 && history.served > 0 => verdict.refused += 1,
                Fate::Refused => verdict.astray += 1,
                Fate::Out(_) | Fate::SetAside(_) | Fate::Discarded if !is_acknowledged => verdict.lost += 1,
                Fate::Out(folders) => {
                    for folder in folders {
                        verdict.compare(sha256.as_ref(), &found.take(&mailbox, &folder, &id));
                    }
                }
                Fate::SetAside(code) => {
                    verdict.kept(house, &mailbox, &id, sha256)?;
                    verdict.astray += u64::from(reasons.remove(&(mailbox, id)) != Some(code));
                }
                Fate::Discarded => {
                    verdict.kept(house, &mailbox, &id, sha256)?;
                    verdict.discarded += 1;
                }
            }
        }
        verdict.astray += reasons.len() as u64 + found.rest();
        verdict.ok = [verdict.lost, verdict.duplicates, verdict.altered, verdict.astray] == [0; 4];
        Ok(verdict)
    }

    /// What was found of a message in one folder: once, with its own bytes.
    fn compare(&mut self, sent: Option<&String>, found: &[Option<String>]) {
        match found {
            [] => self.lost += 1,
            [_, more @ ..] => self.duplicates += more.len() as u64,
        }
        self.altered += found.iter().filter(|sha256| sha256.as_ref() != sent).count() as u64;
    }

    /// What comes out nowhere is still there, sealed.
    fn kept(&mut self, house: &House, mailbox: &str, id: &str, sent: Option<String>) -> Result<(), anyhow::Error> {
        match house.kept_sha256(mailbox, id)? {
            None => self.lost += 1,
            kept => self.altered += u64::from(kept != sent),
        }
        Ok(())
    }
}

/// The SHA-256 of what was offered, by mailbox and id, in the order of offering; none for a report, which has no content.
struct Sent(BTreeMap<(String, String), VecDeque<Option<String>>>);

impl Sent {
    fn of(ledger: &[ledger::Line]) -> Self {
        let mut all = BTreeMap::<_, VecDeque<_>>::new();
        for line in ledger {
            if let Event::Offered { mailbox, id, sha256, length, .. } = &line.event {
                let sha256 = sha256.clone().filter(|_| *length != Some(0));
                all.entry((mailbox.clone(), id.clone())).or_default().push_back(sha256);
            }
        }
        Self(all)
    }

    /// Of the first offer under this id that was not asked for yet.
    fn next(&mut self, mailbox: &str, id: &str) -> Result<Option<String>, anyhow::Error> {
        let offers = self.0.get_mut(&(mailbox.to_owned(), id.to_owned()));
        offers.and_then(VecDeque::pop_front).ok_or_else(|| anyhow!("the far side does not know {id} of {mailbox}"))
    }
}

/// Sets of files, by mailbox, folder and name.
#[derive(Default)]
struct Found(BTreeMap<(String, String, String), Vec<Option<String>>>);

impl Found {
    fn add(&mut self, mailbox: &str, folder: &str, name: String, sha256: Option<String>) {
        self.0.entry((mailbox.to_owned(), folder.to_owned(), name)).or_default().push(sha256);
    }

    /// Adds every set that lies in a folder.
    fn look_into(&mut self, house: &House, mailbox: &str, folder: &str) -> Result<(), anyhow::Error> {
        let path = house.output(mailbox, folder);
        for entry in fs::read_dir(&path).with_context(|| format!("list {}", path.display()))? {
            let control = entry?.path();
            let is_status = control.ends_with(STATUS_FILE);
            if !is_status && [Some("ctl"), Some("json")].contains(&control.extension().and_then(OsStr::to_str)) {
                let name = control.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                self.add(mailbox, folder, name, file_sha256(&control.with_extension("dat"))?);
            }
        }
        Ok(())
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for ((mailbox, folder, _), sets) in &self.0 {
            *counts.entry(format!("{mailbox}/{folder}")).or_default() += sets.len() as u64;
        }
        counts
    }

    fn take(&mut self, mailbox: &str, folder: &str, name: &str) -> Vec<Option<String>> {
        self.0.remove(&(mailbox.to_owned(), folder.to_owned(), name.to_owned())).unwrap_or_default()
    }

    /// Sets that nobody expected.
    fn rest(&self) -> u64 {
        self.0.values().map(|sets| sets.len() as u64).sum()
    }
}
