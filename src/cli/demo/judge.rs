//! What became of the mail, judged by the far side's ledger, the consumer and the files: the daemon is not asked.
//!
//! Only the reasons of dead and held mail are the daemon's own word; the kept bytes are opened and compared.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use super::house::{House, file_sha256};
use super::mail::{Fate, LEFT, MAILBOXES, Offer, TAKEN};
use crate::domain::fault::FaultCode;
use crate::domain::output::STATUS_FILE;
use crate::ports::store::{SetAside, SetAsideKind};
use crate::simulator::consumer::Taken;
use crate::simulator::ledger::{History, histories, read};

/// The summary; as JSON it is what `--json` prints.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
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
    /// Acknowledges that MESH had heard when the daemon was killed.
    pub(super) killed_after: u64,
    /// Where the journal ends, after every record of it was checked against a head noted before the stop.
    pub(super) journal_head: String,
    /// Messages of the spool that were opened and checked.
    pub(super) spool_messages: u64,
    /// Expected in a place, and not there.
    pub(super) lost: u64,
    /// More than once in a place.
    pub(super) duplicates: u64,
    /// There with other bytes.
    pub(super) altered: u64,
    /// In a place where it should not be, or set aside with another reason.
    pub(super) astray: u64,
    /// From beginning to end.
    pub(super) seconds: f64,
}

impl Summary {
    /// Compares what was offered with what is there now.
    pub(super) fn judge(
        &mut self,
        house: &House,
        offers: &[Offer],
        taken: Vec<(&'static str, Taken)>,
        set_aside: &[SetAside],
    ) -> Result<(), anyhow::Error> {
        let ledger = read(&house.path("far-side.jsonl")).context("read the far side's ledger")?;
        let heard = histories(&ledger);
        let mut found = Found::default();
        for (mailbox, taken) in taken {
            found.add(mailbox, TAKEN, taken.name, taken.sha256);
        }
        for mailbox in MAILBOXES {
            for folder in [TAKEN].into_iter().chain(LEFT) {
                found.look_into(house, mailbox, folder)?;
            }
        }
        let mut reasons: BTreeMap<(&str, &str), FaultCode> = BTreeMap::new();
        for aside in set_aside {
            reasons.insert((aside.delivery.mailbox.as_str(), aside.delivery.message_id.as_str()), aside.reason.code);
            let counts = match aside.kind {
                SetAsideKind::Dead(_) => &mut self.dead,
                SetAsideKind::Held => &mut self.held,
            };
            *counts.entry(aside.reason.code).or_default() += 1;
        }
        self.delivered = found.counts();
        self.acknowledged = heard.values().map(|history| u64::from(history.acknowledged)).sum();
        self.offered = heard.values().map(|history| u64::from(history.offered)).sum();
        self.presented_again = heard.values().map(|history| u64::from(history.offered.saturating_sub(1))).sum();

        let silent = History::default();
        for offer in offers {
            let history = heard.get(&(offer.mailbox.to_owned(), offer.id.clone())).unwrap_or(&silent);
            let is_acknowledged = history.acknowledged == history.offered;
            match offer.fate {
                Fate::Refused if history.acknowledged == 0 && history.served > 0 => self.refused += 1,
                Fate::Refused => self.astray += 1,
                Fate::Out(_) | Fate::SetAside(_) | Fate::Discarded if !is_acknowledged => self.lost += 1,
                Fate::Out(folders) => {
                    for folder in folders {
                        self.compare(offer, &found.take(offer.mailbox, folder, &offer.id));
                    }
                }
                Fate::SetAside(code) => {
                    self.kept(house, offer)?;
                    self.astray += u64::from(reasons.remove(&(offer.mailbox, offer.id.as_str())) != Some(code));
                }
                Fate::Discarded => {
                    self.kept(house, offer)?;
                    self.discarded += 1;
                }
            }
        }
        self.astray += reasons.len() as u64 + found.rest();
        self.ok = [self.lost, self.duplicates, self.altered, self.astray] == [0; 4];
        Ok(())
    }

    /// What was found of a message in one folder: once, with its own bytes.
    fn compare(&mut self, offer: &Offer, found: &[Option<String>]) {
        match found {
            [] => self.lost += 1,
            [_, more @ ..] => self.duplicates += more.len() as u64,
        }
        self.altered += found.iter().filter(|sha256| sha256.as_deref() != offer.sha256()).count() as u64;
    }

    /// What comes out nowhere is still there, sealed.
    fn kept(&mut self, house: &House, offer: &Offer) -> Result<(), anyhow::Error> {
        match house.kept_sha256(offer.mailbox, &offer.id)? {
            None => self.lost += 1,
            Some(sha256) => self.altered += u64::from(Some(sha256.as_str()) != offer.sha256()),
        }
        Ok(())
    }

    /// The table for people.
    pub(super) fn lines(&self) -> Vec<String> {
        let row = |label: &str, count: u64, note: &str| format!("{label:<34} {count:>6}  {note}").trim_end().to_owned();
        let mut lines = vec![
            row(
                "offered by MESH",
                self.offered,
                &format!("{} of them under an id delivered before", self.presented_again),
            ),
            row("acknowledged to MESH", self.acknowledged, ""),
        ];
        for (folder, count) in &self.delivered {
            let note = if folder.ends_with(TAKEN) { "taken by the consumer" } else { "lie there" };
            lines.push(row(&format!("  delivered to {folder}"), *count, note));
        }
        for (word, counts) in [("dead letter", &self.dead), ("held", &self.held)] {
            for (code, count) in counts {
                lines.push(row(&format!("  {word} {code}"), *count, "kept, opened and compared"));
            }
        }
        lines.push(row("  discarded by rule", self.discarded, "kept for now, opened and compared"));
        lines.push(row("refused, still at MESH", self.refused, ""));
        lines.push(row("acknowledged when it was killed", self.killed_after, "SIGKILL, then started again"));
        lines.push(row("messages opened in the spool", self.spool_messages, "spool verified"));
        let (records, _) = self.journal_head.split_once(':').unwrap_or((&self.journal_head, ""));
        lines.push(row(
            "records in the journal",
            records.parse().unwrap_or_default(),
            "journal verified against its noted head",
        ));
        lines
    }

    /// The verdict.
    pub(super) fn verdict(&self) -> String {
        format!(
            "lost {}, duplicates {}, altered {}, astray {}, in {:.0} s",
            self.lost, self.duplicates, self.altered, self.astray, self.seconds
        )
    }
}

/// Sets of files, by mailbox, folder and name.
#[derive(Default)]
struct Found(BTreeMap<(&'static str, &'static str, String), Vec<Option<String>>>);

impl Found {
    fn add(&mut self, mailbox: &'static str, folder: &'static str, name: String, sha256: Option<String>) {
        self.0.entry((mailbox, folder, name)).or_default().push(sha256);
    }

    /// Adds every set that lies in a folder.
    fn look_into(&mut self, house: &House, mailbox: &'static str, folder: &'static str) -> Result<(), anyhow::Error> {
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

    fn take(&mut self, mailbox: &'static str, folder: &'static str, name: &str) -> Vec<Option<String>> {
        self.0.remove(&(mailbox, folder, name.to_owned())).unwrap_or_default()
    }

    /// Sets that nobody expected.
    fn rest(&self) -> u64 {
        self.0.values().map(|sets| sets.len() as u64).sum()
    }
}
