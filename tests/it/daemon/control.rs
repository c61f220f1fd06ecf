//! What a control file says, read as a consumer's XML parser reads it.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::SENDER;
use crate::place::MAILBOX;
use crate::support::peers::Sent;

/// A report, as the admin call was asked to make it.
pub(super) struct Report {
    pub(super) subject: &'static str,
    pub(super) local_id: &'static str,
    pub(super) linked: &'static str,
}

/// Each element without children: its name, and its value.
type Elements = Vec<(String, String)>;

/// The elements of `control` in their order. The time of the status is checked and left out: the server chose it.
pub(super) fn elements(control: &str) -> Elements {
    let mut reader = Reader::from_str(control);
    let (mut elements, mut open, mut text) = (Elements::new(), None, String::new());
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(start) => {
                open = Some(start.name().0.to_owned());
                text.clear();
            }
            Event::Text(piece) => text.push_str(&piece.xml10_content()),
            Event::GeneralRef(entity) => text.push_str(resolve_predefined_entity(&entity).expect("one of XML's five")),
            Event::End(_) => elements.extend(open.take().map(|name| (name, std::mem::take(&mut text)))),
            Event::Eof => break,
            other @ (Event::Empty(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)) => panic!("no MESH client writes {other:?}"),
        }
    }
    let times = elements.extract_if(.., |(name, _)| name == "DateTime").map(|(_, time)| time);
    for time in times {
        assert!(time.len() == 14 && time.bytes().all(|byte| byte.is_ascii_digit()), "{time} is no time");
    }
    elements
}

/// What a MESH client writes beside such a message (mesh-client-files 7.2).
pub(super) fn of_message(sent: &Sent) -> Elements {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (subject, local_id) = (text(&sent.subject), text(&sent.local_id));
    let (partner, checksum) = (text(&sent.partner_id), text(&sent.checksum));
    pairs(&[
        ("Version", "1.0"),
        ("AddressType", "ALL"),
        ("MessageType", "Data"),
        ("From_DTS", SENDER),
        ("To_DTS", MAILBOX),
        ("From_ESMTP", "x26abc2@dts.nhs.uk"),
        ("To_ESMTP", "x26abc1@dts.nhs.uk"),
        ("Subject", &subject),
        ("LocalId", &local_id),
        ("DTSId", &sent.id),
        ("PartnerId", &partner),
        ("Compress", "Y"),
        ("Encrypted", if sent.encrypted { "Y" } else { "N" }),
        ("WorkflowId", &sent.workflow),
        ("ProcessId", ""),
        ("DataChecksum", &checksum),
        ("IsCompressed", "N"),
        ("Event", "TRANSFER"),
        ("Status", "SUCCESS"),
        ("StatusCode", "00"),
        ("Description", "Transferred to recipient mailbox"),
    ])
}

/// What a MESH client writes for a report (mesh-client-files 7.4).
pub(super) fn of_report(report: &Report) -> Elements {
    pairs(&[
        ("Version", "1.0"),
        ("AddressType", "DTS"),
        ("MessageType", "Report"),
        ("From_DTS", MAILBOX),
        // The sandbox puts the report's own mailbox into `Mex-To` (mesh-api 5.2).
        ("To_DTS", MAILBOX),
        ("Subject", &format!("NDR: {}", report.subject)),
        ("LocalId", report.local_id),
        ("DTSId", report.linked),
        ("PartnerId", ""),
        ("Compress", "Y"),
        ("Encrypted", "N"),
        ("WorkflowId", "TEST_WORKFLOW"),
        ("ProcessId", ""),
        ("DataChecksum", ""),
        ("IsCompressed", "N"),
        ("AllowChunking", "Y"),
        ("Event", "SEND"),
        ("Status", "ERROR"),
        ("StatusCode", "14"),
        ("Description", "Message not collected by recipient after 5 days"),
    ])
}

fn pairs(elements: &[(&str, &str)]) -> Elements {
    elements.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
