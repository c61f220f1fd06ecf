use super::*;
use crate::publish::testing::{data_envelope, report_envelope};

const ACCEPTED_AT: Timestamp = Timestamp(1_767_605_413_000);

#[test]
fn a_message_is_written_byte_for_byte_as_the_mesh_client_does() {
    assert_eq!(
        received(&data_envelope(), ACCEPTED_AT, LineEnds::Lf),
        "\
<DTSControl>
  <Version>1.0</Version>
  <AddressType>ALL</AddressType>
  <MessageType>Data</MessageType>
  <From_DTS>X26ABC1</From_DTS>
  <To_DTS>X26ABC2</To_DTS>
  <From_ESMTP>x26abc1@dts.nhs.uk</From_ESMTP>
  <To_ESMTP>x26abc2@dts.nhs.uk</To_ESMTP>
  <Subject>Demo batch 17</Subject>
  <LocalId>RXX-000017</LocalId>
  <DTSId>20260105093012123456_0A1B2C</DTSId>
  <PartnerId></PartnerId>
  <Compress>Y</Compress>
  <Encrypted>N</Encrypted>
  <WorkflowId>TRUST_DEMO_FLOW</WorkflowId>
  <ProcessId></ProcessId>
  <DataChecksum></DataChecksum>
  <IsCompressed>N</IsCompressed>
  <StatusRecord>
    <DateTime>20260105093013</DateTime>
    <Event>TRANSFER</Event>
    <Status>SUCCESS</Status>
    <StatusCode>00</StatusCode>
    <Description>Transferred to recipient mailbox</Description>
  </StatusRecord>
</DTSControl>
"
    );
}

#[test]
fn a_report_is_written_byte_for_byte_as_the_mesh_client_does() {
    assert_eq!(
        received(&report_envelope(), ACCEPTED_AT, LineEnds::Lf),
        "\
<DTSControl>
  <Version>1.0</Version>
  <AddressType>DTS</AddressType>
  <MessageType>Report</MessageType>
  <From_DTS>X26ABC1</From_DTS>
  <To_DTS>X26ABC2</To_DTS>
  <Subject>NDR: Demo batch 17</Subject>
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
    <DateTime>20260110093013</DateTime>
    <Event>SEND</Event>
    <Status>ERROR</Status>
    <StatusCode>14</StatusCode>
    <Description>Message not collected by recipient after 5 days</Description>
  </StatusRecord>
</DTSControl>
"
    );
}

#[test]
fn headers_that_were_not_served_leave_empty_elements_or_the_usual_status() {
    let mut envelope = data_envelope();
    (envelope.from, envelope.to, envelope.subject, envelope.local_id) = (None, None, None, None);
    envelope.status = Status::default();
    let text = received(&envelope, ACCEPTED_AT, LineEnds::Lf);
    for line in [
        "<From_DTS></From_DTS>",
        "<To_DTS>X26ABC2</To_DTS>",
        "<From_ESMTP></From_ESMTP>",
        "<Subject></Subject>",
        "<LocalId></LocalId>",
        "<DateTime>20260105093013</DateTime>",
        "<Event>TRANSFER</Event>",
        "<StatusCode>00</StatusCode>",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_report_without_the_failed_message_still_names_one() {
    let mut envelope = report_envelope();
    envelope.linked_message_id = None;
    envelope.to = None;
    envelope.status = Status::default();
    let text = received(&envelope, ACCEPTED_AT, LineEnds::Lf);
    for line in ["<DTSId>R1</DTSId>", "<To_DTS>X26ABC1</To_DTS>", "<Status>ERROR</Status>", "<StatusCode></StatusCode>"]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn what_the_sender_says_of_its_payload_passes_through() {
    let mut envelope = data_envelope();
    envelope.content_encrypted = true;
    envelope.checksum = Some(Sensitive::new("SHA-256:00ff"));
    envelope.partner_id = Some(Sensitive::new("sub|tag"));
    let text = received(&envelope, ACCEPTED_AT, LineEnds::Lf);
    for line in
        ["<Encrypted>Y</Encrypted>", "<DataChecksum>SHA-256:00ff</DataChecksum>", "<PartnerId>sub|tag</PartnerId>"]
    {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn an_automatic_routing_value_makes_no_mail_address() {
    let mut envelope = data_envelope();
    envelope.to = Some(Sensitive::new("GPPROVIDER_9990000001_19700101_O'TEST"));
    let text = received(&envelope, ACCEPTED_AT, LineEnds::Lf);
    assert!(text.contains("<To_DTS>GPPROVIDER_9990000001_19700101_O&apos;TEST</To_DTS>"));
    assert!(text.contains("<To_ESMTP>x26abc2@dts.nhs.uk</To_ESMTP>"));
}

#[test]
fn hostile_values_stay_inside_their_element() {
    let subject = format!("</Subject><To_DTS>X</To_DTS>&\"'\0\x1b[2J\r\n\t\u{85}\u{ffff}é€{}", "ü".repeat(500));
    let mut envelope = data_envelope();
    envelope.subject = Some(Sensitive::new(&*subject));
    envelope.file_name = Some(Sensitive::new("../../etc/x"));
    let text = received(&envelope, ACCEPTED_AT, LineEnds::Lf);
    let expected = format!(
        "  <Subject>&lt;/Subject&gt;&lt;To_DTS&gt;X&lt;/To_DTS&gt;&amp;&quot;&apos;  [2J  \t  é€{}</Subject>\n",
        "ü".repeat(500)
    );
    assert!(text.contains(&expected), "{text}");
    assert_eq!(text.matches("<To_DTS>").count(), 1);
    assert!(!text.contains("etc/x"), "the sender's file name has no element");
    assert!(text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
}

proptest::proptest! {
    #[test]
    fn any_subject_reads_back_as_it_was_but_for_forbidden_characters(subject in "\\PC{0,500}|.{0,500}") {
        let mut envelope = data_envelope();
        envelope.subject = Some(Sensitive::new(&*subject));
        let text = received(&envelope, ACCEPTED_AT, LineEnds::Lf);
        let start = text.find("<Subject>").expect("opened") + "<Subject>".len();
        let end = text.find("</Subject>").expect("closed");
        let read = quick_xml::escape::unescape(&text[start..end]).expect("well formed").into_owned();
        let kept = |c: char| if c != '\t' && c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c };
        proptest::prop_assert_eq!(read, subject.chars().map(kept).collect::<String>());
    }
}

/// Golden, as the two at the top are: they differ in nothing else.
#[test]
fn lines_end_as_the_plan_says() {
    for envelope in [data_envelope(), report_envelope()] {
        let unix = received(&envelope, ACCEPTED_AT, LineEnds::Lf);
        let windows = received(&envelope, ACCEPTED_AT, LineEnds::Crlf);
        assert!(windows.starts_with("<DTSControl>\r\n  <Version>1.0</Version>\r\n  <AddressType>"), "{windows}");
        assert!(windows.ends_with("  </StatusRecord>\r\n</DTSControl>\r\n"), "{windows}");
        assert_eq!(windows.matches("\r\n").count(), unix.lines().count());
        assert_eq!(windows.replace("\r\n", "\n"), unix);
        assert!(!unix.contains('\r'), "{unix}");
    }
}
