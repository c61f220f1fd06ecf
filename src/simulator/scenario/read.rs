//! From a file to a scenario, or to its mistakes with file, line and key.
//!
//! A value of the wrong kind ends the reading; what can be checked only over the whole is reported all at once.

use std::fs;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Content, Scenario};
use crate::domain::finding::{Finding, nearest};
use crate::domain::ids::MailboxId;

/// Reads and checks a scenario.
pub fn read(path: &Path) -> Result<Scenario, Vec<Finding>> {
    let bare = |problem: String| Finding {
        file: path.to_owned(),
        line: None,
        key: String::new(),
        problem,
        expected: String::new(),
        did_you_mean: None,
    };
    let text = fs::read_to_string(path).map_err(|error| vec![bare(format!("it cannot be read: {error}"))])?;
    let line = |at: usize| Some(1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count());
    let document = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        vec![Finding { line: line(at), ..bare(error.message().to_owned()) }]
    })?;
    let mut places = Vec::new();
    note_keys(document.get_ref(), "", &mut places);

    let scenario: Scenario = toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let around = places.iter().filter(|(_, range)| range.contains(&at));
        let key = around.min_by_key(|(_, range)| range.len()).map(|(key, _)| key.clone()).unwrap_or_default();
        vec![Finding { line: line(at), key, ..bare(error.message().to_owned()) }]
    })?;
    let mut mistakes = Vec::new();
    scenario.check(&mut |key, problem, expected, did_you_mean| {
        let at = places.iter().find(|(known, _)| *known == key).and_then(|(_, range)| line(range.start));
        mistakes.push(Finding { line: at, key, expected, did_you_mean, ..bare(problem) });
    });
    if mistakes.is_empty() { Ok(scenario) } else { Err(mistakes) }
}

/// Notes every key with its full name, and from where to where it and its value stand.
fn note_keys(table: &DeTable<'_>, above: &str, places: &mut Vec<(String, Range<usize>)>) {
    for (key, value) in table {
        let name = if above.is_empty() { key.get_ref().to_string() } else { format!("{above}.{}", key.get_ref()) };
        places.push((name.clone(), key.span().start..value.span().end.max(key.span().end)));
        note_value(value, name, places);
    }
}

fn note_value(value: &Spanned<DeValue<'_>>, name: String, places: &mut Vec<(String, Range<usize>)>) {
    if let Some(table) = value.get_ref().as_table() {
        note_keys(table, &name, places);
    }
    for (place, item) in value.get_ref().as_array().into_iter().flatten().enumerate() {
        let name = format!("{name}[{}]", place + 1);
        places.push((name.clone(), item.span()));
        note_value(item, name, places);
    }
}

/// Takes a key, what is wrong with its value, what may stand there, and the nearest word.
type Note<'a> = dyn FnMut(String, String, String, Option<String>) + 'a;

impl Scenario {
    /// What no single value shows.
    fn check(&self, note: &mut Note<'_>) {
        let mut wrong = |key: String, problem: &str, expected: &str| note(key, problem.into(), expected.into(), None);
        let share = "0 to 100";
        if self.storm.is_some_and(|percent| percent > 100) {
            wrong("storm".into(), "this is no share", share);
        }
        if self.mailboxes.is_empty() {
            wrong("mailbox".into(), "there is no mailbox", "at least one [[mailbox]]");
        }
        for (place, mailbox) in (1..).zip(&self.mailboxes) {
            let key = format!("mailbox[{place}].id");
            if MailboxId::new(mailbox.id.as_str()).is_err() {
                wrong(key, "this is no mailbox id", "letters and digits");
            } else if self.mailboxes[..place - 1].iter().any(|other| other.id == mailbox.id) {
                wrong(key, "this mailbox is there already", "each once");
            }
        }
        for (place, mail) in (1..).zip(&self.mail) {
            let Content::Sized(sized) = &mail.what else { continue };
            let key = format!("mail[{place}].what.sized.size");
            if let Err(error) = sized.payload(0) {
                wrong(key, &error.to_string(), "1B to 100GB (gzipped: 64MB), in chunks of 1B to 100MB");
            }
        }
        for (place, fault) in (1..).zip(&self.faults) {
            if fault.percent.is_some_and(|percent| percent > 100) {
                wrong(format!("fault[{place}].percent"), "this is no share", share);
            }
            if fault.from_nth == 0 {
                wrong(format!("fault[{place}].from_nth"), "requests are counted from 1", "1 or more");
            }
            if let Err(error) = fault.rule(0) {
                wrong(format!("fault[{place}].what"), &error.to_string(), "");
            }
        }
        let of_mail = (1..).zip(&self.mail).flat_map(|(place, mail)| {
            (1..).zip(&mail.mailboxes).map(move |(nth, id)| (format!("mail[{place}].mailboxes[{nth}]"), id))
        });
        let of_faults = (1..)
            .zip(&self.faults)
            .filter_map(|(place, fault)| Some((format!("fault[{place}].mailbox"), fault.mailbox.as_ref()?)));
        let ids = || self.mailboxes.iter().map(|mailbox| mailbox.id.as_str());
        for (key, id) in of_mail.chain(of_faults).filter(|(_, id)| !ids().any(|known| known == id.as_str())) {
            let expected = format!("one of: {}", ids().collect::<Vec<_>>().join(", "));
            note(key, "there is no such mailbox".into(), expected, nearest(id, ids()));
        }
    }
}
