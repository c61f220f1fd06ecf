//! Both folders, looked at once and compared: what differs, what cannot be told yet, and what may differ.

use std::path::Path;
use std::time::Duration;

use super::elements::{By, Difference, Expected, compare};
use super::folder::{Folder, Side};
use super::message::{Flaw, Message};
use super::pairing::{More, pair};
use super::report::{DataDiffers, Finding, Report, What};
use super::steady::{Steady, Unread, first_difference};
use crate::domain::time::Timestamp;

/// What differs of a name, beside the elements.
const FILE_NAME: &str = "file name";

/// Told after each step: what is being done, how much of it, and how many bytes were read.
pub(super) type Progress<'a> = dyn FnMut(&str, usize, usize, u64) + 'a;

/// Both folders.
pub(super) struct Look<'a> {
    pub(super) there: &'a Path,
    pub(super) here: &'a Path,
    pub(super) now: Timestamp,
    /// What was written more lately may still be on its way to the other side.
    pub(super) settle: Duration,
}

impl Look<'_> {
    /// Compares what both folders list now.
    pub(super) fn compare(&self, there: Folder, here: Folder, progress: &mut Progress<'_>) -> Report {
        let mut report = Report::new(self.there, self.here);
        report.there.passed_over = there.passed_over;
        report.here.passed_over = here.passed_over;
        let there = read(Side::There, there, &mut report, progress);
        let here = read(Side::Here, here, &mut report, progress);
        let (mut digested, mut bytes, of_both) = (0, 0, there.len() + here.len());
        let matched = pair(&there, &here, |_, message| {
            digested += 1;
            sha256(message, &mut |more| {
                bytes += more;
                progress("digested", digested, of_both, bytes);
            })
        });
        let all = matched.pairs.len();
        for (done, (left, right, by)) in matched.pairs.into_iter().enumerate() {
            let mut seen = |more| {
                bytes += more;
                progress("compared", done, all, bytes);
            };
            seen(0);
            self.compare_pair((&there[left], &here[right]), by, &mut report, &mut seen);
        }
        for More { there: left, here: right, side, left: places } in matched.more {
            for message in places.into_iter().map(|place| of(&there, &here, side, place)) {
                let what = What::More { side, there: left, here: right };
                match message.is_own_report() {
                    true => report.expect(Expected::OwnReport),
                    false => self.tell(&mut report, what, &[(side, message)]),
                }
            }
        }
        for (side, place) in matched.only {
            let message = of(&there, &here, side, place);
            match message.flaw {
                Some(flaw) => self.tell(&mut report, What::of(side, flaw), &[(side, message)]),
                None if message.is_own_report() => report.expect(Expected::OwnReport),
                None => self.tell(&mut report, What::Only { side }, &[(side, message)]),
            }
        }
        for (side, place, unread) in matched.unread {
            let message = of(&there, &here, side, place);
            self.tell(&mut report, What::of(side, Flaw::Unread(unread)), &[(side, message)]);
        }
        report
    }

    fn compare_pair(
        &self,
        (there, here): (&Message, &Message),
        by: By,
        report: &mut Report,
        seen: &mut dyn FnMut(u64),
    ) {
        let both = [(Side::There, there), (Side::Here, here)];
        let mut is_whole = true;
        for (side, message) in both {
            if let Some(flaw) = message.flaw {
                is_whole = false;
                self.tell(report, What::of(side, flaw), &both);
            }
        }
        if !is_whole {
            return;
        }
        match differences(there, here, by, seen) {
            Ok((elements, data, expected)) => {
                expected.into_iter().for_each(|expected| report.expect(expected));
                if elements.is_empty() && data.is_none() {
                    report.counts.same += 1;
                } else {
                    self.tell(report, What::Differs { elements, data }, &both);
                }
            }
            Err((side, flaw)) => self.tell(report, What::of(side, flaw), &both),
        }
    }

    /// Notes a finding, if all that it is about has come to rest.
    fn tell(&self, report: &mut Report, what: What, about: &[(Side, &Message)]) {
        let is_young = |message: &Message| message.modified.0.abs_diff(self.now.0) < millis(self.settle);
        if about.iter().any(|(_, message)| is_young(message)) {
            report.counts.not_settled += 1;
            return;
        }
        let inode = |wanted| about.iter().find(|(side, _)| *side == wanted).and_then(|(_, message)| message.inode());
        let message = about.iter().find_map(|(_, message)| message.id.clone());
        // A name that is no id of MESH's may be a patient's: it is told only where a control file says that it is one.
        let is_told = about.iter().any(|(_, message)| message.has_told_its_id());
        let message = message.filter(|_| is_told);
        report.find(Finding { what, message, there: inode(Side::There), here: inode(Side::Here) });
    }
}

type Differences = (Vec<Difference>, Option<DataDiffers>, Vec<Expected>);

fn differences(
    there: &Message,
    here: &Message,
    by: By,
    seen: &mut dyn FnMut(u64),
) -> Result<Differences, (Side, Flaw)> {
    let said = |side, message: &Message| message.said().map_err(|flaw| (side, flaw));
    let compared = compare(&said(Side::There, there)?, &said(Side::Here, here)?, by);
    let (mut elements, mut expected) = (compared.differences, compared.expected);
    let names = (there.names(), here.names());
    if names.0 != names.1 {
        let length = |message: &Message| Some(message.base.len());
        match (by, there.is_data()) {
            (By::Content, _) => expected.push(Expected::OwnMailbox),
            (By::Id, false) => expected.push(Expected::ReportName),
            (By::Id, true) => {
                elements.push(Difference { element: FILE_NAME, there: length(there), here: length(here) });
            }
        }
    }
    expected.sort_unstable();
    expected.dedup();
    let data = match by {
        // Their digests are equal.
        By::Content => None,
        By::Id => data(there, here, seen).map_err(|(side, unread)| (side, Flaw::Unread(unread)))?,
    };
    Ok((elements, data, expected))
}

fn data(there: &Message, here: &Message, seen: &mut dyn FnMut(u64)) -> Result<Option<DataDiffers>, (Side, Unread)> {
    let open = |side, message: &Message| {
        message.data.as_ref().map(|half| Steady::open(half).map_err(|unread| (side, unread))).transpose()
    };
    let (left, right) = (open(Side::There, there)?, open(Side::Here, here)?);
    let lengths = (left.as_ref().map(|file| file.length), right.as_ref().map(|file| file.length));
    let first = match (left, right) {
        (Some(left), Some(right)) => first_difference(left, right, seen)?,
        (None, None) => None,
        // A report with a data file on one side alone.
        (Some(_), None) | (None, Some(_)) => Some(0),
    };
    Ok(first.map(|first| DataDiffers { there: lengths.0, here: lengths.1, first }))
}

fn sha256(message: &Message, seen: &mut dyn FnMut(u64)) -> Result<[u8; 32], Unread> {
    match &message.data {
        Some(half) => Steady::open(half)?.sha256(seen),
        None => Ok([0; 32]),
    }
}

fn read(side: Side, folder: Folder, report: &mut Report, progress: &mut Progress<'_>) -> Vec<Message> {
    let all = folder.bases.len();
    let mut messages = Vec::with_capacity(all);
    for (done, (base, halves)) in folder.bases.into_iter().enumerate() {
        progress(side.as_str(), done, all, 0);
        let message = Message::of(base, halves);
        report.seen(side, &message);
        messages.push(message);
    }
    messages
}

fn of<'a>(there: &'a [Message], here: &'a [Message], side: Side, place: usize) -> &'a Message {
    match side {
        Side::There => &there[place],
        Side::Here => &here[place],
    }
}

fn millis(period: Duration) -> u64 {
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX)
}
