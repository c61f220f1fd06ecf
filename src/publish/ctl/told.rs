//! What became of a pair that an application put into `OUT`: the rewritten control file in `SENT` or `FAILED`, and the
//! report in `IN` (mesh-client-files 7.3 and 7.4). The two differ in one word.

use super::{File, in_digits, text};
use crate::domain::control::{Control, Told};
use crate::domain::ids::{MailboxId, MessageId, Sensitive};
use crate::domain::output::LineEnds;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::publish) enum Kind {
    /// The sender's own file, with what became of it.
    Rewritten,
    /// A report.
    Report,
}

/// The file. Without a known recipient that is the mailbox, since an empty `To_DTS` is an
/// error to readers.
pub(in crate::publish) fn told(
    kind: Kind,
    mailbox: &MailboxId,
    control: Option<&Control>,
    told: &Told,
    line_ends: LineEnds,
) -> String {
    let mut file = File::default();
    let flag = |is: bool| if is { "Y" } else { "N" };
    file.open("DTSControl");
    file.element("Version", "1.0");
    file.element("AddressType", "DTS");
    file.element(
        "MessageType",
        match kind {
            Kind::Rewritten => "Data",
            Kind::Report => "Report",
        },
    );
    file.element("From_DTS", mailbox.as_str());
    let to = control.map(|control| control.to.reveal()).filter(|to| !to.is_empty());
    file.element("To_DTS", to.unwrap_or(mailbox.as_str()));
    let of = |value: fn(&Control) -> Option<&Sensitive>| text(control.and_then(value));
    file.element("Subject", of(|control| control.subject.as_ref()));
    file.element("LocalId", of(|control| control.local_id.as_ref()));
    file.element("DTSId", told.message.as_ref().map_or("", MessageId::as_str));
    file.element("PartnerId", of(|control| control.partner_id.as_ref()));
    file.element("Compress", flag(control.is_none_or(|control| control.compress)));
    file.element("Encrypted", flag(control.is_some_and(|control| control.encrypted)));
    file.element("WorkflowId", control.map_or("", |control| control.workflow.as_str()));
    file.element("ProcessId", "");
    file.element("DataChecksum", of(|control| control.checksum.as_ref()));
    // What lies beside it is as the application wrote it.
    file.element("IsCompressed", "N");
    file.element("AllowChunking", flag(control.is_none_or(|control| control.allow_chunking)));
    let success = if told.is_success { "SUCCESS" } else { "ERROR" };
    file.status(&in_digits(told.at), told.event.as_str(), success, &told.code, &told.description);
    file.close("DTSControl");
    file.finish(line_ends)
}

/// The same but for its time and ends of lines: what was written before a crash is not written again, whatever the
/// configuration says since.
pub(in crate::publish) fn is_same(one: &str, other: &str) -> bool {
    let timeless = |text: &str| {
        let text = text.replace("\r\n", "\n");
        let (before, rest) = text.split_once("<DateTime>")?;
        let (_, after) = rest.split_once("</DateTime>")?;
        Some((before.to_owned(), after.to_owned()))
    };
    one == other || timeless(one).is_some_and(|one| timeless(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::control::StatusEvent;
    use crate::domain::ids::WorkflowId;
    use crate::domain::time::Timestamp;

    fn control() -> Control {
        Control {
            from: MailboxId::new("X26ABC1").expect("a mailbox id"),
            to: Sensitive::new("X26ABC2"),
            workflow: WorkflowId::new("TRUST_DEMO_FLOW").expect("a workflow id"),
            subject: Some(Sensitive::new("Demo <batch> 17")),
            local_id: Some(Sensitive::new("RXX-000017")),
            partner_id: None,
            checksum: None,
            compress: true,
            encrypted: false,
            allow_chunking: true,
        }
    }

    fn sent(at: i64) -> Told {
        Told {
            message: MessageId::new("20260105093012123456_0A1B2C").ok(),
            at: Timestamp(at),
            event: StatusEvent::Transfer,
            is_success: true,
            code: "00".into(),
            description: "Transferred to recipient mailbox".into(),
        }
    }

    #[test]
    fn a_sent_pair_s_control_file_is_the_same_in_every_version() {
        let expected = "<DTSControl>
  <Version>1.0</Version>
  <AddressType>DTS</AddressType>
  <MessageType>Data</MessageType>
  <From_DTS>X26ABC1</From_DTS>
  <To_DTS>X26ABC2</To_DTS>
  <Subject>Demo &lt;batch&gt; 17</Subject>
  <LocalId>RXX-000017</LocalId>
  <DTSId>20260105093012123456_0A1B2C</DTSId>
  <PartnerId></PartnerId>
  <Compress>Y</Compress>
  <Encrypted>N</Encrypted>
  <WorkflowId>TRUST_DEMO_FLOW</WorkflowId>
  <ProcessId></ProcessId>
  <DataChecksum></DataChecksum>
  <IsCompressed>N</IsCompressed>
  <AllowChunking>Y</AllowChunking>
  <StatusRecord>
    <DateTime>20260105093013</DateTime>
    <Event>TRANSFER</Event>
    <Status>SUCCESS</Status>
    <StatusCode>00</StatusCode>
    <Description>Transferred to recipient mailbox</Description>
  </StatusRecord>
</DTSControl>
";
        let from = MailboxId::new("X26ABC1").expect("a mailbox id");
        let told_at = |at| told(Kind::Rewritten, &from, Some(&control()), &sent(at), LineEnds::Lf);
        assert_eq!(told_at(1_767_605_413_000), expected);
        assert!(is_same(&told_at(1), &told_at(1_767_605_413_000)));
        let report = told(Kind::Report, &from, Some(&control()), &sent(1), LineEnds::Lf);
        assert!(!is_same(&report, &told_at(1)), "another kind");
        assert!(!is_same("no control file", "another"));
    }

    #[test]
    fn a_report_about_half_a_pair_names_a_recipient_all_the_same() {
        let from = MailboxId::new("X26ABC1").expect("a mailbox id");
        let failed =
            Told { message: None, event: StatusEvent::Collect, is_success: false, code: "01".into(), ..sent(0) };
        let report = told(Kind::Report, &from, None, &failed, LineEnds::Lf);
        for part in ["<MessageType>Report<", "<To_DTS>X26ABC1<", "<Event>COLLECT<", "<Status>ERROR<", "<StatusCode>01<"]
        {
            assert!(report.contains(part), "{part}");
        }
    }
}
