//! What two control files say of one message, element by element: pure.
//!
//! What a reader must take for the same (mesh-client-files 5 and 6) is no difference, and neither is what cannot be the
//! same in two mailboxes. All that is passed over so is one of [`Expected`], and counted.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::ids::Sensitive;
use crate::send::control;

/// The elements of the interface (mesh-client-files 6), as differences are told.
pub(super) const KNOWN: [&str; 23] = [
    "Version",
    "AddressType",
    "MessageType",
    "WorkflowId",
    "To_DTS",
    "From_DTS",
    "From_ESMTP",
    "To_ESMTP",
    "Subject",
    "LocalId",
    "DTSId",
    "PartnerId",
    "ProcessId",
    "Compress",
    "Encrypted",
    "AllowChunking",
    "IsCompressed",
    "DataChecksum",
    "StatusRecord/DateTime",
    "StatusRecord/Event",
    "StatusRecord/Status",
    "StatusRecord/StatusCode",
    "StatusRecord/Description",
];

/// All elements beyond these, whose names are somebody's own.
const OTHERS: &str = "an element that the interface does not know";

/// How two files were found to be of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// They have MESH's id of it.
    Id,
    /// They say the same of it: each lay in a mailbox of its own.
    Content,
}

/// What may differ, and why that is no fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Expected {
    OwnMailbox,
    OwnReport,
    ReportName,
    Description,
    Spelling,
    Order,
    LineEnds,
}

impl Expected {
    /// What differs, and the reason.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            // mesh-client-files 3.2 and 6.
            Self::OwnMailbox => (
                "DTSId, To_DTS, To_ESMTP, StatusRecord/DateTime, file name",
                "found by their content: in each mailbox MESH gave the message an id, a recipient and a time of its own",
            ),
            // 8.1: made by the client.
            Self::OwnReport => (
                "reports of COLLECT, TRANSFER and RECEIVE on one side",
                "a client makes them about its own OUT folder and its own polls",
            ),
            // 3.3.
            Self::ReportName => {
                ("names of reports", "there is no rule for them: consumers know reports by what they say")
            }
            // 6: for people; never match on it.
            Self::Description => ("StatusRecord/Description", "it is for people: no program may go by it"),
            // 5 and 6: ignoring case; empty and missing are the same; `0` is `00`; defaults.
            Self::Spelling => {
                ("spelling", "readers take Data and DATA, 0 and 00, and a missing Y or N and its default for the same")
            }
            // 5: order is not fixed.
            Self::Order => {
                ("order of the elements", "it is not fixed; it matters to a consumer that reads by position alone")
            }
            Self::LineEnds => (
                "ends of lines",
                "they are no content; `line_ends` of the mailbox makes them the same, where a consumer reads by line",
            ),
        }
    }
}

/// An element that differs; never what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) element: &'static str,
    /// Bytes of its text, if it is there.
    pub(super) there: Option<usize>,
    pub(super) here: Option<usize>,
}

/// What came of comparing.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    pub(super) expected: Vec<Expected>,
}

/// What a control file says.
pub(super) struct Said {
    known: BTreeMap<&'static str, Sensitive>,
    others: Vec<(String, Sensitive)>,
    order: Vec<&'static str>,
    is_crlf: bool,
}

impl Said {
    /// Reads one, as leniently as meshd reads those that it sends for.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let is_crlf = bytes.windows(2).any(|pair| pair == b"\r\n");
        let (mut known, mut others, mut order) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (path, text) in control::texts(bytes)? {
            match name_of(&path) {
                Some(name) => {
                    known.insert(name, text);
                    order.push(name);
                }
                None => others.push((path, text)),
            }
        }
        others.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Self { known, others, order, is_crlf })
    }

    pub(super) fn of(&self, name: &str) -> &str {
        self.known.get(name).map_or("", Sensitive::reveal)
    }

    pub(super) fn is_report(&self) -> bool {
        self.of("MessageType").eq_ignore_ascii_case("report")
    }

    /// As all readers take it.
    pub(super) fn meaning(&self, name: &'static str) -> String {
        let text = self.of(name);
        match name {
            "Compress" | "AllowChunking" if text.is_empty() => "y".to_owned(),
            "Encrypted" if text.is_empty() => "n".to_owned(),
            "StatusRecord/StatusCode" if text == "0" => "00".to_owned(),
            "AddressType"
            | "MessageType"
            | "Compress"
            | "Encrypted"
            | "AllowChunking"
            | "IsCompressed"
            | "StatusRecord/Event"
            | "StatusRecord/Status" => text.to_ascii_lowercase(),
            _ => text.to_owned(),
        }
    }

    fn length(&self, name: &str) -> Option<usize> {
        self.known.get(name).map(|text| text.reveal().len())
    }
}

fn name_of(path: &str) -> Option<&'static str> {
    let usual = match path {
        "DataCheckSum" => "DataChecksum",
        "PartnerIdentifier" => "PartnerId",
        other => other,
    };
    KNOWN.into_iter().find(|known| *known == usual)
}

/// Compares the two files of one message.
pub(super) fn compare(there: &Said, here: &Said, by: By) -> Compared {
    let mut compared = Compared::default();
    for element in KNOWN {
        if there.of(element) == here.of(element) {
            continue;
        }
        let expected = if there.meaning(element) == here.meaning(element) {
            Some(Expected::Spelling)
        } else {
            excuse(element, there.is_report(), by)
        };
        match expected {
            Some(expected) => compared.expected.push(expected),
            None => {
                let (there, here) = (there.length(element), here.length(element));
                compared.differences.push(Difference { element, there, here });
            }
        }
    }
    if there.others != here.others {
        compared.differences.push(Difference { element: OTHERS, there: None, here: None });
    }
    if order(there, here) != order(here, there) {
        compared.expected.push(Expected::Order);
    }
    if there.is_crlf != here.is_crlf {
        compared.expected.push(Expected::LineEnds);
    }
    compared
}

fn excuse(element: &str, is_report: bool, by: By) -> Option<Expected> {
    match element {
        "StatusRecord/Description" => Some(Expected::Description),
        "DTSId" | "To_DTS" | "To_ESMTP" | "StatusRecord/DateTime" if by == By::Content => Some(Expected::OwnMailbox),
        // A report is to the sender of what it is about (mesh-client-files 7.4).
        "From_DTS" | "From_ESMTP" if by == By::Content && is_report => Some(Expected::OwnMailbox),
        _ => None,
    }
}

/// The elements of `one` that the other has too, as they follow each other.
fn order(one: &Said, other: &Said) -> Vec<&'static str> {
    one.order.iter().copied().filter(|name| other.known.contains_key(name)).collect()
}
