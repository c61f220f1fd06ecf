use http::HeaderValue;

use super::*;

const ID: &str = "9786B1EC3D974DE08FEDA64FC92EA15A";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value HTTP lets through"));
    }
    headers
}

/// A served message of the sandbox (mesh-api 14.8), with these headers in place of its own.
fn message(changed: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = headers(&[
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", "10"),
        (mex::FROM, "X26ABC1"),
        (mex::TO, "X26ABC2"),
        (mex::WORKFLOW_ID, "TEST_WORKFLOW"),
        (mex::CHUNK_RANGE, "1:1"),
        (mex::TOTAL_CHUNKS, "1"),
        (mex::LOCAL_ID, "loc-1"),
        (mex::PARTNER_ID, "P1"),
        (mex::FILE_NAME, "a.txt"),
        (mex::SUBJECT, "subj"),
        (mex::MESSAGE_TYPE, "DATA"),
        (mex::MESSAGE_ID, ID),
        (mex::STATUS_CODE, "00"),
        (mex::STATUS_EVENT, "TRANSFER"),
        (mex::STATUS_DESCRIPTION, "Transferred to recipient mailbox"),
        (mex::STATUS_SUCCESS, "SUCCESS"),
        (mex::STATUS_TIMESTAMP, "20261122064937"),
        (mex::CONTENT_ENCRYPTED, "Y"),
        (mex::CONTENT_COMPRESSED, "Y"),
        (mex::CONTENT_CHECKSUM, "abc"),
        (mex::CONTENT_TYPE, "text/plain"),
    ]);
    for (name, _) in changed {
        headers.remove(*name);
    }
    for (name, value) in changed.iter().filter(|(_, value)| *value != ABSENT) {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value HTTP lets through"));
    }
    headers
}

const ABSENT: &str = "(absent)";

fn read(chunk: Option<u32>, status: u16, headers: &HeaderMap) -> Result<Served, Fault> {
    let asked = Asked {
        mailbox: &MailboxId::new("X26ABC2").expect("a mailbox id"),
        message_id: &MessageId::new(ID).expect("a message id"),
        chunk,
        dependency: &Name::new("mesh").expect("a name"),
    };
    served(&asked, StatusCode::from_u16(status).expect("a status"), headers)
}

fn reveal(text: &Option<crate::domain::ids::Sensitive>) -> &str {
    text.as_ref().map_or("", |text| text.reveal())
}

#[test]
fn a_message_of_the_sandbox_is_read_whole() {
    let served = read(Some(1), 200, &message(&[])).expect("a message");
    let envelope = &served.envelope;
    assert_eq!((served.number, envelope.chunks, served.content_length), (1, 1, Some(10)));
    assert_eq!(served.encoding, Encoding::Plain);
    assert_eq!(envelope.kind, MessageKind::Data);
    assert_eq!(envelope.workflow.as_str(), "TEST_WORKFLOW");
    assert_eq!(envelope.from.as_ref().map(MailboxId::as_str), Some("X26ABC1"));
    assert_eq!(
        [&envelope.to, &envelope.subject, &envelope.local_id, &envelope.file_name, &envelope.partner_id].map(reveal),
        ["X26ABC2", "subj", "loc-1", "a.txt", "P1"]
    );
    assert_eq!(reveal(&envelope.checksum), "abc");
    assert_eq!(envelope.content_type.as_deref(), Some("text/plain"));
    assert_eq!((envelope.content_encrypted, envelope.content_compressed), (true, Some(true)));
    assert_eq!(envelope.status.code.as_deref(), Some("00"));
    assert_eq!(envelope.linked_message_id, None);
}

/// mesh-api 7.3 and the transcript in 14.8.
#[test]
fn a_report_has_no_sender_no_chunk_and_names_the_message_that_failed() {
    let report = message(&[
        (mex::MESSAGE_TYPE, "Report"),
        (mex::CHUNK_RANGE, "1:0"),
        (mex::TOTAL_CHUNKS, "0"),
        (mex::FROM, ABSENT),
        ("content-length", "0"),
        ("content-type", ABSENT),
        (mex::CONTENT_TYPE, ABSENT),
        (mex::LINKED_MESSAGE_ID, "20200529155357895317_3573F8"),
        (mex::STATUS_CODE, "14"),
        (mex::STATUS_SUCCESS, "ERROR"),
    ]);
    let served = read(Some(1), 200, &report).expect("a report");
    assert_eq!((served.number, served.envelope.chunks), (0, 0));
    assert_eq!(served.envelope.kind, MessageKind::Report);
    assert_eq!((served.envelope.from, served.envelope.content_type), (None, None));
    assert_eq!(served.envelope.linked_message_id.as_ref().map(MessageId::as_str), Some("20200529155357895317_3573F8"));
    assert_eq!(served.envelope.status.code.as_deref(), Some("14"));
}

/// mesh-api 5.2 and 6.4: asked chunk, status, range, total, and what they say together.
#[test]
fn ranges_totals_and_statuses_must_agree() {
    for (chunk, status, range, total, expected) in [
        (1, 200, "1:1", "1", Some((1, 1))),
        (1, 200, ABSENT, ABSENT, Some((1, 1))),
        (1, 200, "1:1", ABSENT, Some((1, 1))),
        (1, 206, "1:3", "3", Some((1, 3))),
        (2, 206, "2:3", ABSENT, Some((2, 3))),
        (2, 206, ABSENT, "3", Some((2, 3))),
        (3, 200, "3:3", "3", Some((3, 3))),
        (3, 200, " 3 : 3 ", "3", Some((3, 3))),
        (1, 200, "1:3", "3", None),
        (3, 206, "3:3", "3", None),
        (1, 206, "1:1", "1", None),
        (1, 206, "2:3", "3", None),
        (2, 206, "2:3", "4", None),
        (2, 200, ABSENT, ABSENT, None),
        (1, 200, "1:0", "0", None),
        (1, 206, "4:3", "3", None),
        (1, 206, "0:3", "3", None),
        (1, 206, "1", "3", None),
        (1, 206, "1:", "3", None),
        (1, 206, "+1:3", "3", None),
        (1, 206, "1:3:3", "3", None),
        (1, 206, "1:x", ABSENT, None),
        (1, 206, "1:4294967296", ABSENT, None),
        (1, 206, "1:1000000", ABSENT, None),
        (1, 206, "1:999999", ABSENT, Some((1, 999_999))),
        (1, 206, "1:3", "three", None),
    ] {
        let headers = message(&[(mex::CHUNK_RANGE, range), (mex::TOTAL_CHUNKS, total)]);
        let read = read(Some(chunk), status, &headers);
        let position = read.as_ref().ok().map(|served| (served.number, served.envelope.chunks));
        assert_eq!(position, expected, "chunk {chunk}, {status}, range {range}, total {total}");
        if let Err(fault) = read {
            assert_eq!((fault.code, fault.class), (FaultCode::MsgBadChunks, Class::Permanent));
        }
    }
}

#[test]
fn headers_alone_are_200_whatever_the_total() {
    let served = read(None, 200, &message(&[(mex::CHUNK_RANGE, "1:3"), (mex::TOTAL_CHUNKS, "3")])).expect("a head");
    assert_eq!(served.envelope.chunks, 3);
}

#[test]
fn a_gzip_answer_says_nothing_of_the_senders_compression() {
    let headers = message(&[("content-encoding", "GZIP"), (mex::CONTENT_COMPRESSED, "Y")]);
    let served = read(Some(1), 200, &headers).expect("a message");
    assert_eq!((served.encoding, served.envelope.content_compressed), (Encoding::Gzip, None));
}

#[test]
fn flags_are_read_in_every_way_they_are_written() {
    for (text, compressed) in [
        ("Y", Some(true)),
        ("on", Some(true)),
        ("1", Some(true)),
        ("N", Some(false)),
        ("False", Some(false)),
        ("maybe", None),
        ("", None),
        (ABSENT, None),
    ] {
        let served = read(Some(1), 200, &message(&[(mex::CONTENT_COMPRESSED, text)])).expect("a message");
        assert_eq!(served.envelope.content_compressed, compressed, "{text}");
    }
}

#[test]
fn eight_bit_text_is_kept_as_data() {
    let mut headers = message(&[(mex::SUBJECT, "Zoë\tX")]);
    headers.insert(mex::LOCAL_ID, HeaderValue::from_bytes(b"Zo\xeb").expect("HTTP lets it through"));
    let envelope = read(Some(1), 200, &headers).expect("a message").envelope;
    assert_eq!([reveal(&envelope.subject), reveal(&envelope.local_id)], ["Zoë\tX", "Zoë"]);
}

/// The limits of mesh-api 10, each met and each passed by one.
#[test]
fn each_header_has_its_limit() {
    for (name, limit) in [
        (mex::TO, 100),
        (mex::WORKFLOW_ID, 300),
        (mex::LOCAL_ID, 300),
        (mex::FILE_NAME, 300),
        (mex::SUBJECT, 500),
        (mex::PARTNER_ID, 500),
        (mex::CONTENT_CHECKSUM, 100),
        (mex::CONTENT_TYPE, 100),
        (mex::CONTENT_ENCRYPTED, 20),
        (mex::CONTENT_COMPRESSED, 20),
    ] {
        let longest = "x".repeat(limit);
        assert!(read(Some(1), 200, &message(&[(name, &longest)])).is_ok(), "{name} of {limit}");
        let fault = read(Some(1), 200, &message(&[(name, &format!("{longest}x"))])).expect_err("too long");
        assert_eq!((fault.code, fault.class), (FaultCode::MsgBadHeaders, Class::Permanent));
        assert!(fault.detail.contains(name) && !fault.detail.contains("xxx"), "{fault}");
    }
    let eight_bit = "é".repeat(500);
    assert!(read(Some(1), 200, &message(&[(mex::SUBJECT, &eight_bit)])).is_ok(), "characters count, not bytes");
}

#[test]
fn hostile_headers_are_faults_that_do_not_repeat_them() {
    for (name, value) in [
        (mex::MESSAGE_TYPE, "HACK-SECRET"),
        (mex::MESSAGE_TYPE, ABSENT),
        (mex::WORKFLOW_ID, "SECRET\tX"),
        (mex::WORKFLOW_ID, "SECRÉT"),
        (mex::LINKED_MESSAGE_ID, "../SECRET"),
        (mex::STATUS_CODE, "SECRÉT"),
        (mex::CONTENT_TYPE, "SECRET\tX"),
        ("content-length", "-1"),
        ("content-length", "+10"),
        ("content-length", "99999999999999999999"),
    ] {
        let fault = read(Some(1), 200, &message(&[(name, value)])).expect_err(value);
        assert_eq!(fault.code, FaultCode::MsgBadHeaders, "{name}: {value}");
        assert!(!fault.detail.contains("SECR"), "{fault}");
    }
}

#[test]
fn repeated_headers_must_agree() {
    for (second, fits) in [("subj", true), ("SECRET", false)] {
        let mut headers = message(&[]);
        headers.append(mex::SUBJECT, HeaderValue::from_str(second).expect("a value"));
        assert_eq!(read(Some(1), 200, &headers).is_ok(), fits);
    }
}

#[test]
fn an_answer_about_another_message_is_never_held_against_the_one_asked_for() {
    let fault = read(Some(1), 200, &message(&[(mex::MESSAGE_ID, "ANOTHER")])).expect_err("another message");
    assert_eq!(fault.code, FaultCode::MeshProtocol);
    assert!(matches!(fault.origin, Origin::Dependency(_)));
    for same in [ABSENT, "9786b1ec3d974de08feda64fc92ea15a"] {
        assert!(read(Some(1), 200, &message(&[(mex::MESSAGE_ID, same)])).is_ok(), "{same}");
    }
}

#[test]
fn an_unknown_encoding_is_a_fault_of_the_message() {
    let fault = read(Some(1), 200, &message(&[("content-encoding", "br")])).expect_err("not gzip");
    assert_eq!((fault.code, fault.origin), (FaultCode::MsgBadEncoding, Origin::Message));
}

#[test]
fn a_body_whose_cut_could_not_be_seen_is_refused() {
    let fault = read(Some(1), 200, &message(&[("content-length", ABSENT)])).expect_err("no length");
    assert_eq!((fault.code, fault.class), (FaultCode::MsgBadLength, Class::Transient));
    assert!(read(None, 200, &message(&[("content-length", ABSENT)])).is_ok(), "headers alone have no body to cut");
    let chunked = message(&[("content-length", ABSENT), ("transfer-encoding", "chunked")]);
    assert_eq!(read(Some(1), 200, &chunked).expect("chunked shows its end").content_length, None);
}

#[test]
fn a_sender_that_is_no_mailbox_is_left_out() {
    assert_eq!(read(Some(1), 200, &message(&[(mex::FROM, "a/b")])).expect("a message").envelope.from, None);
}

#[test]
fn an_absent_workflow_is_an_empty_one() {
    let served = read(Some(1), 200, &message(&[(mex::WORKFLOW_ID, ABSENT)])).expect("MESH leaves empty ones out");
    assert_eq!(served.envelope.workflow.as_str(), "");
}

proptest::proptest! {
    /// Whatever HTTP lets through ends as an envelope or as a fault that shows none of it.
    #[test]
    fn any_header_value_is_read_or_refused(
        which in 0usize..20,
        bytes in proptest::collection::vec(0x80u8..=0xff, 0..600),
    ) {
        let names = [mex::MESSAGE_TYPE, mex::FROM, mex::TO, mex::WORKFLOW_ID, mex::CHUNK_RANGE, mex::TOTAL_CHUNKS,
            mex::FILE_NAME, mex::LOCAL_ID, mex::SUBJECT, mex::PARTNER_ID, mex::CONTENT_CHECKSUM, mex::CONTENT_ENCRYPTED,
            mex::CONTENT_TYPE, mex::STATUS_CODE, mex::STATUS_DESCRIPTION, mex::LINKED_MESSAGE_ID, mex::MESSAGE_ID,
            "content-type", "content-encoding", "content-length"];
        let mut headers = message(&[]);
        headers.insert(names[which], HeaderValue::from_bytes(&bytes).expect("HTTP lets it through"));
        if let Err(fault) = read(Some(1), 200, &headers) {
            proptest::prop_assert!(fault.detail.is_ascii(), "{}", fault);
        }
    }
}
