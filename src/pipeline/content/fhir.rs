//! What both forms of FHIR come to: the resource's type, a bundle's type, and the event of its message header.
//!
//! A bundle inside an entry, such as the document that an ITK3 message carries, is not looked into.
//! The header should be the first entry; the first one anywhere counts (itk3 1: seen in published examples).

use super::{Content, Format, word};

/// Code systems of ITK3's events; their number differs between versions (itk3 1).
const ITK3_EVENTS: &str = "https://fhir.nhs.uk/STU3/CodeSystem/ITK-MessageEvent-";

/// What was seen so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) resource: Word,
    pub(super) bundle: Word,
    /// The entry's resource that is being read.
    pub(super) entry: Entry,
    header: Option<Entry>,
}

/// What could be a message header.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) resource: Word,
    pub(super) system: Word,
    pub(super) code: Word,
}

/// A value that should stand once. Two that differ are none: nobody can say which of them a reader takes.
#[derive(Default)]
pub(super) enum Word {
    #[default]
    Absent,
    One(String),
    Unclear,
}

impl Word {
    pub(super) fn set(&mut self, text: &str) {
        *self = match (std::mem::take(self), word(text)) {
            (Self::Absent, Some(word)) => Self::One(word),
            (Self::One(earlier), Some(word)) if earlier == word => Self::One(word),
            (Self::Absent | Self::One(_) | Self::Unclear, _) => Self::Unclear,
        }
    }

    pub(super) fn one(self) -> Option<String> {
        match self {
            Self::One(word) => Some(word),
            Self::Absent | Self::Unclear => None,
        }
    }
}

impl Seen {
    /// The entry's resource ends here, or the prefix does.
    pub(super) fn end_entry(&mut self) {
        let entry = std::mem::take(&mut self.entry);
        let is_header = matches!(&entry.resource, Word::One(resource) if resource == "MessageHeader");
        if is_header && self.header.is_none() {
            self.header = Some(entry);
        }
    }

    pub(super) fn content(mut self, format: Format) -> Option<Content> {
        self.end_entry();
        let resource = self.resource.one()?;
        if resource != "Bundle" {
            return Some(Content::new(format, Some(resource), None));
        }
        let Entry { system, code, .. } = self.header.unwrap_or_default();
        let is_itk3 = system.one().is_some_and(|system| system.starts_with(ITK3_EVENTS));
        Some(Content { is_itk3, ..Content::new(format, self.bundle.one(), code.one()) })
    }
}
