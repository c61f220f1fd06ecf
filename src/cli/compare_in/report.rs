//! What came of the comparison, for people and machines. It has ids of MESH's, inodes, lengths, and nothing that a
//! file or a name says (I8).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::elements::{Difference, Expected};
use super::folder::{PassedOver, Side};
use super::message::{Flaw, Message};
use super::steady::Unread;
use crate::domain::ids::MessageId;

/// Lines of findings that a person is shown without `--all`.
const SHOWN: usize = 20;

/// All of it. Its form as JSON is what `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    verdict: Verdict,
    pub(super) there: Seen,
    pub(super) here: Seen,
    pub(super) counts: Counts,
    /// What differs and may, by how many messages.
    #[serde(serialize_with = "with_reasons")]
    expected: BTreeMap<Expected, u64>,
    pub(super) findings: Vec<Finding>,
}

/// The whole in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    Same,
    Different,
    /// Nothing differs so far, and something is too young or was in motion.
    Unsettled,
}

/// What lay in one folder.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    folder: PathBuf,
    /// Messages with data, or with what should be their data or control file.
    data: u64,
    reports: u64,
    /// Of those with data, whose files are named by another name than MESH's id.
    named_otherwise: u64,
    pub(super) passed_over: PassedOver,
}

/// Messages by what was found. One that differs in both counts in both.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) same: u64,
    control_differs: u64,
    data_differs: u64,
    only_there: u64,
    only_here: u64,
    /// Without a partner, as the other side has the message less often.
    more_there: u64,
    more_here: u64,
    data_without_control: u64,
    control_without_data: u64,
    unreadable_control: u64,
    /// No regular file, or not to be opened.
    not_read: u64,
    /// Went away, or was written to, meanwhile.
    in_motion: u64,
    /// Would be a finding, and is too young to be one.
    pub(super) not_settled: u64,
}

/// What is wrong with a message.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    #[serde(flatten)]
    pub(super) what: What,
    pub(super) message: Option<MessageId>,
    /// The inodes of their control files, or data files.
    pub(super) there: Option<u64>,
    pub(super) here: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "detail")]
pub(super) enum What {
    Differs { elements: Vec<Difference>, data: Option<DataDiffers> },
    Only { side: Side },
    More { side: Side, there: usize, here: usize },
    DataWithoutControl { side: Side },
    ControlWithoutData { side: Side },
    UnreadableControl { side: Side, why: &'static str },
    NotRead { side: Side, why: String },
    InMotion { side: Side, why: &'static str },
}

/// Two data files that are not the same.
#[derive(Debug, Serialize)]
pub(super) struct DataDiffers {
    /// Lengths, where there is one.
    pub(super) there: Option<u64>,
    pub(super) here: Option<u64>,
    /// Offset of the first byte that differs.
    pub(super) first: u64,
}

impl What {
    pub(super) fn of(side: Side, flaw: Flaw) -> Self {
        match flaw {
            Flaw::NoControl => Self::DataWithoutControl { side },
            Flaw::NoData => Self::ControlWithoutData { side },
            Flaw::Control(why) => Self::UnreadableControl { side, why },
            Flaw::Unread(Unread::Vanished) => Self::InMotion { side, why: "it went away" },
            Flaw::Unread(Unread::Changed) => Self::InMotion { side, why: "it was written to" },
            Flaw::Unread(Unread::Odd(why)) => Self::NotRead { side, why: why.to_owned() },
            Flaw::Unread(Unread::Failed(kind)) => Self::NotRead { side, why: io::Error::from(kind).to_string() },
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Differs { elements, data } => {
                let mut parts = Vec::new();
                if !elements.is_empty() {
                    let elements: Vec<String> = elements.iter().map(Difference::words).collect();
                    parts.push(format!("control file differs: {}", elements.join(", ")));
                }
                parts.extend(data.as_ref().map(DataDiffers::words));
                parts.join("; ")
            }
            Self::Only { side: Side::There } => "only there: lost here, or not yet come".to_owned(),
            Self::Only { side: Side::Here } => "only here".to_owned(),
            Self::More { side, there, here } => {
                format!("duplicate {}: {there} there, {here} here", side.as_str())
            }
            Self::DataWithoutControl { side } => format!("{}: data file without a control file", side.as_str()),
            Self::ControlWithoutData { side } => format!("{}: control file without its data file", side.as_str()),
            Self::UnreadableControl { side, why } => format!("{}: unreadable control file: {why}", side.as_str()),
            Self::NotRead { side, why } => format!("{}: not read: {why}", side.as_str()),
            Self::InMotion { side, why } => format!("{}: {why} meanwhile", side.as_str()),
        }
    }
}

impl Difference {
    fn words(&self) -> String {
        let bytes = |length: Option<usize>| length.map_or("none".to_owned(), |length| format!("{length} bytes"));
        match (self.there, self.here) {
            (None, None) => self.element.to_owned(),
            (there, here) => format!("{} ({} there, {} here)", self.element, bytes(there), bytes(here)),
        }
    }
}

impl DataDiffers {
    fn words(&self) -> String {
        let bytes = |length: Option<u64>| length.map_or("none".to_owned(), |length| format!("{length} bytes"));
        let (there, here) = (bytes(self.there), bytes(self.here));
        format!("data differs from offset {} ({there} there, {here} here)", self.first)
    }
}

impl Report {
    pub(super) fn new(there: &Path, here: &Path) -> Self {
        let seen = |folder: &Path| Seen {
            folder: folder.to_owned(),
            data: 0,
            reports: 0,
            named_otherwise: 0,
            passed_over: PassedOver::default(),
        };
        Self {
            verdict: Verdict::Same,
            there: seen(there),
            here: seen(here),
            counts: Counts::default(),
            expected: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    pub(super) fn seen(&mut self, side: Side, message: &Message) {
        let seen = match side {
            Side::There => &mut self.there,
            Side::Here => &mut self.here,
        };
        if message.is_data() {
            seen.data += 1;
            seen.named_otherwise += u64::from(!message.is_named_by_id());
        } else {
            seen.reports += 1;
        }
    }

    pub(super) fn expect(&mut self, what: Expected) {
        *self.expected.entry(what).or_default() += 1;
    }

    pub(super) fn find(&mut self, finding: Finding) {
        let counts = &mut self.counts;
        let count = match &finding.what {
            What::Differs { elements, data } => {
                counts.control_differs += u64::from(!elements.is_empty());
                counts.data_differs += u64::from(data.is_some());
                return self.findings.push(finding);
            }
            What::Only { side: Side::There } => &mut counts.only_there,
            What::Only { side: Side::Here } => &mut counts.only_here,
            What::More { side: Side::There, .. } => &mut counts.more_there,
            What::More { side: Side::Here, .. } => &mut counts.more_here,
            What::DataWithoutControl { .. } => &mut counts.data_without_control,
            What::ControlWithoutData { .. } => &mut counts.control_without_data,
            What::UnreadableControl { .. } => &mut counts.unreadable_control,
            What::NotRead { .. } => &mut counts.not_read,
            What::InMotion { .. } => &mut counts.in_motion,
        };
        *count += 1;
        self.findings.push(finding);
    }

    /// Nothing was compared.
    pub(super) fn is_empty(&self) -> bool {
        let all = |seen: &Seen| seen.data + seen.reports;
        all(&self.there) + all(&self.here) == 0
    }

    /// Decides the whole, and keeps it.
    pub(super) fn conclude(&mut self) -> Verdict {
        let is_unsettled = self.counts.not_settled + self.counts.in_motion > 0;
        self.verdict = match self.findings.len() as u64 - self.counts.in_motion {
            0 if is_unsettled => Verdict::Unsettled,
            0 => Verdict::Same,
            _ => Verdict::Different,
        };
        self.verdict
    }

    /// For people: the findings, then the counts.
    pub(super) fn lines(&self, all: bool) -> Vec<String> {
        let shown = if all { self.findings.len() } else { SHOWN };
        let mut lines: Vec<String> = self.findings.iter().take(shown).map(Finding::line).collect();
        if self.findings.len() > shown {
            lines.push(format!("… and {} more: --all shows them", self.findings.len() - shown));
        }
        lines.push(self.there.line(Side::There));
        lines.push(self.here.line(Side::Here));
        let Counts {
            same,
            control_differs,
            data_differs,
            only_there,
            only_here,
            more_there,
            more_here,
            data_without_control,
            control_without_data,
            unreadable_control,
            not_read,
            in_motion,
            not_settled,
        } = self.counts;
        lines.push(format!("{same:>8}  the same"));
        let rest = [
            (control_differs, "control file differs"),
            (data_differs, "data differs"),
            (only_there, "only there"),
            (only_here, "only here"),
            (more_there, "duplicates there"),
            (more_here, "duplicates here"),
            (data_without_control, "data file without a control file"),
            (control_without_data, "control file without its data file"),
            (unreadable_control, "unreadable control file"),
            (not_read, "not read"),
            (in_motion, "in motion"),
            (not_settled, "not settled yet"),
        ];
        let some = rest.into_iter().filter(|(count, _)| *count > 0);
        lines.extend(some.map(|(count, what)| format!("{count:>8}  {what}")));
        for (expected, count) in &self.expected {
            let (what, why) = expected.words();
            lines.push(format!("{count:>8}  may differ: {what}"));
            lines.push(format!("          {why}"));
        }
        lines
    }
}

impl Finding {
    fn line(&self) -> String {
        let inode = |side: &str, inode: Option<u64>| inode.map(|inode| format!("inode {inode} {side}"));
        let name = match &self.message {
            Some(message) => message.to_string(),
            None => {
                let inodes = [inode("there", self.there), inode("here", self.here)];
                inodes.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
        };
        format!("{name}  {}", self.what.words())
    }
}

impl Seen {
    fn line(&self, side: Side) -> String {
        let Self { folder, data, reports, named_otherwise, passed_over } = self;
        let mut line = format!("{}: {}: {data} messages, {reports} reports", side.as_str(), folder.display());
        if *named_otherwise > 0 {
            line += &format!(", {named_otherwise} not named by MESH's id");
        }
        let PassedOver { files, folders, links, others } = passed_over;
        let parts = [(files, "other files"), (folders, "folders"), (links, "links"), (others, "special files")];
        let parts: Vec<_> =
            parts.iter().filter(|(count, _)| **count > 0).map(|(n, what)| format!("{n} {what}")).collect();
        if !parts.is_empty() {
            line += &format!("; passed over {}", parts.join(", "));
        }
        line
    }
}

fn with_reasons<S: serde::Serializer>(expected: &BTreeMap<Expected, u64>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row {
        kind: Expected,
        what: &'static str,
        why: &'static str,
        messages: u64,
    }
    serializer.collect_seq(expected.iter().map(|(kind, messages)| {
        let (what, why) = kind.words();
        Row { kind: *kind, what, why, messages: *messages }
    }))
}
