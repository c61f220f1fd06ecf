//! What became of each setting of the old client, for the person who moves it.

use std::path::PathBuf;

use serde::Serialize;

use super::super::{Context, Failure};

/// The report. Its form as JSON is what `--json` prints.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// The files that were made.
    pub(super) written: Vec<PathBuf>,
    pub(super) mapped: Vec<Mapped>,
    pub(super) without_equal: Vec<WithoutEqual>,
    /// What a person has to do, in this order.
    pub(super) to_do: Vec<String>,
}

/// An element, and what was made of it.
#[derive(Debug, Serialize)]
pub(super) struct Mapped {
    pub(super) element: String,
    /// Of one mailbox; else of all.
    pub(super) mailbox: Option<String>,
    pub(super) setting: String,
    /// Where the two differ.
    pub(super) note: Option<String>,
}

/// An element of which nothing was made.
#[derive(Debug, Serialize)]
pub(super) struct WithoutEqual {
    pub(super) element: String,
    pub(super) mailbox: Option<String>,
    /// What to do about it.
    pub(super) instead: String,
}

impl Report {
    /// Notes what was made of an element.
    pub(super) fn map(&mut self, mailbox: Option<&str>, element: &str, setting: String, note: Option<String>) {
        let mailbox = mailbox.map(str::to_owned);
        self.mapped.push(Mapped { element: element.to_owned(), mailbox, setting, note });
    }

    /// Notes an element of which nothing was made.
    pub(super) fn miss(&mut self, mailbox: Option<&str>, element: &str, instead: &str) {
        let (mailbox, instead) = (mailbox.map(str::to_owned), instead.to_owned());
        self.without_equal.push(WithoutEqual { element: element.to_owned(), mailbox, instead });
    }

    pub(super) fn print(&self, context: &mut Context) -> Result<(), Failure> {
        for path in &self.written {
            context.out.good(format_args!("wrote {}", path.display()))?;
        }
        self.lines().into_iter().try_for_each(|line| context.out.line(line))
    }

    /// All but what was written.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec!["mapped:".to_owned()];
        for Mapped { element, mailbox, setting, note } in &self.mapped {
            lines.push(format!("  {}: {setting}", of(element, mailbox.as_deref())));
            lines.extend(note.iter().map(|note| format!("    {note}")));
        }
        if !self.without_equal.is_empty() {
            lines.push("without an equal here:".to_owned());
        }
        for WithoutEqual { element, mailbox, instead } in &self.without_equal {
            lines.push(format!("  {}: {instead}", of(element, mailbox.as_deref())));
        }
        lines.push("to do:".to_owned());
        lines.extend((1..).zip(&self.to_do).map(|(number, what)| format!("  {number}. {what}")));
        lines
    }
}

fn of(element: &str, mailbox: Option<&str>) -> String {
    mailbox.map_or_else(|| element.to_owned(), |mailbox| format!("{element} of {mailbox}"))
}
