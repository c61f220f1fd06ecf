//! The control files that a MESH client writes: beside a received message, and about what was sent. Pure.
//!
//! Element order and values are those of delivered files (mesh-client-files 7.2) and of reports (7.4),
//! because some consumers parse them by position. The text is the same for the same message in every version:
//! golden tests below hold it. Lines end in LF or, where the plan says so, in CRLF; there is no XML declaration.
//!
//! Every value is escaped. A character that XML 1.0 or the interface forbids (5: control characters other than tab)
//! becomes a space, so that words stay apart.

pub(super) mod told;

use std::fmt::Write as _;

use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::ids::{MailboxId, Sensitive};
use crate::domain::output::LineEnds;
use crate::domain::time::Timestamp;

const INDENT: usize = 2;

/// The control file of `envelope`, accepted at `accepted_at`.
pub(super) fn received(envelope: &Envelope, accepted_at: Timestamp, line_ends: LineEnds) -> String {
    let mut file = File::default();
    match envelope.kind {
        MessageKind::Data => data(&mut file, envelope, accepted_at),
        MessageKind::Report => report(&mut file, envelope, accepted_at),
    }
    file.finish(line_ends)
}

/// mesh-client-files 7.2. The server fills both kinds of address on delivery, hence `ALL` and the `ESMTP` pair.
fn data(file: &mut File, envelope: &Envelope, accepted_at: Timestamp) {
    let from = envelope.from.as_ref().map_or("", MailboxId::as_str);
    let to = recipient(envelope);
    file.open("DTSControl");
    file.element("Version", "1.0");
    file.element("AddressType", "ALL");
    file.element("MessageType", "Data");
    file.element("From_DTS", from);
    file.element("To_DTS", to);
    file.element("From_ESMTP", &legacy_address(from));
    file.element("To_ESMTP", &legacy_address(if MailboxId::new(to).is_ok() { to } else { envelope.mailbox.as_str() }));
    subject_to_checksum(file, envelope, envelope.message_id.as_str());
    status_record(
        file,
        &envelope.status,
        accepted_at,
        // 8.2: the status of every delivered message.
        &Usual { event: "TRANSFER", success: "SUCCESS", code: "00", description: "Transferred to recipient mailbox" },
    );
    file.close("DTSControl");
}

/// mesh-client-files 7.4 and 8.3. `DTSId` is the message that failed; the report's own id is the file's name.
///
/// The addresses are those of the message reported on. We are its sender, for its report came to us. Its recipient is
/// whom the ledger says it was sent to; of one that the ledger does not know what `Mex-To` says, which is our own mailbox
/// where the server puts that there (mesh-api 5.2), and our own mailbox where it says nothing, since an empty `To_DTS` is
/// an error to readers.
fn report(file: &mut File, envelope: &Envelope, accepted_at: Timestamp) {
    let failed = envelope.linked_message_id.as_ref().unwrap_or(&envelope.message_id);
    file.open("DTSControl");
    file.element("Version", "1.0");
    file.element("AddressType", "DTS");
    file.element("MessageType", "Report");
    file.element("From_DTS", envelope.mailbox.as_str());
    file.element("To_DTS", recipient(envelope));
    subject_to_checksum(file, envelope, failed.as_str());
    file.element("AllowChunking", "Y");
    status_record(
        file,
        &envelope.status,
        accepted_at,
        &Usual { event: "SEND", success: "ERROR", code: "", description: "" },
    );
    file.close("DTSControl");
}

/// The elements that both kinds share, from `Subject` to `IsCompressed`.
fn subject_to_checksum(file: &mut File, envelope: &Envelope, dts_id: &str) {
    file.element("Subject", text(envelope.subject.as_ref()));
    file.element("LocalId", text(envelope.local_id.as_ref()));
    file.element("DTSId", dts_id);
    file.element("PartnerId", text(envelope.partner_id.as_ref()));
    // A sender's wish about its own transport, which no header carries to the recipient: the default.
    file.element("Compress", "Y");
    file.element("Encrypted", if envelope.content_encrypted { "Y" } else { "N" });
    file.element("WorkflowId", envelope.workflow.as_str());
    file.element("ProcessId", "");
    // As the sender gave it (11); we add none of our own (13).
    file.element("DataChecksum", text(envelope.checksum.as_ref()));
    // 6.2: compression for transport has been undone; what else the payload is, is the application's.
    file.element("IsCompressed", "N");
}

/// What stands in a status record that the server left out.
struct Usual {
    event: &'static str,
    success: &'static str,
    code: &'static str,
    description: &'static str,
}

fn status_record(file: &mut File, status: &Status, accepted_at: Timestamp, usual: &Usual) {
    // Consumers sort by this day (4.4), so it is never empty. The server's own value passes unchanged (13).
    let time = status.timestamp.clone().unwrap_or_else(|| in_digits(accepted_at));
    file.status(
        &time,
        status.event.as_deref().unwrap_or(usual.event),
        status.success.as_deref().unwrap_or(usual.success),
        status.code.as_deref().unwrap_or(usual.code),
        status.description.as_ref().map_or(usual.description, Sensitive::reveal),
    );
}

/// A time as status records have it, and names of reports: `yyyyMMddHHmmss`, UTC.
pub(super) fn in_digits(time: Timestamp) -> String {
    time.utc().format("%Y%m%d%H%M%S").to_string()
}

fn recipient(envelope: &Envelope) -> &str {
    envelope.to.as_ref().map(Sensitive::reveal).filter(|to| !to.trim().is_empty()).unwrap_or(envelope.mailbox.as_str())
}

/// The e-mail form of a mailbox id (6, `From_ESMTP`).
fn legacy_address(mailbox: &str) -> String {
    if mailbox.is_empty() { String::new() } else { format!("{}@dts.nhs.uk", mailbox.to_ascii_lowercase()) }
}

fn text(value: Option<&Sensitive>) -> &str {
    value.map_or("", Sensitive::reveal)
}

/// The text so far, and how deep in it we are.
#[derive(Default)]
struct File {
    text: String,
    depth: usize,
}

impl File {
    fn open(&mut self, name: &str) {
        let indent = INDENT * self.depth;
        self.put(format_args!("{:indent$}<{name}>\n", ""));
        self.depth += 1;
    }

    fn close(&mut self, name: &str) {
        self.depth -= 1;
        let indent = INDENT * self.depth;
        self.put(format_args!("{:indent$}</{name}>\n", ""));
    }

    fn element(&mut self, name: &str, value: &str) {
        let indent = INDENT * self.depth;
        self.put(format_args!("{:indent$}<{name}>", ""));
        self.escape(value);
        self.put(format_args!("</{name}>\n"));
    }

    fn status(&mut self, time: &str, event: &str, success: &str, code: &str, description: &str) {
        self.open("StatusRecord");
        self.element("DateTime", time);
        self.element("Event", event);
        self.element("Status", success);
        self.element("StatusCode", code);
        self.element("Description", description);
        self.close("StatusRecord");
    }

    /// The text with such ends of lines. No value has one in it: they are control characters.
    fn finish(self, line_ends: LineEnds) -> String {
        match line_ends {
            LineEnds::Lf => self.text,
            LineEnds::Crlf => self.text.replace('\n', "\r\n"),
        }
    }

    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        self.text.write_fmt(what).expect("writing to a string does not fail");
    }

    fn escape(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&apos;"),
                '\t' => self.text.push('\t'),
                '\u{fffe}' | '\u{ffff}' => self.text.push(' '),
                other if other.is_control() => self.text.push(' '),
                other => self.text.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests;
