use futures_util::StreamExt;
use futures_util::stream;

use super::*;
use crate::domain::envelope::{MessageKind, Status};
use crate::domain::ids::{MailboxId, WorkflowId};

fn piece(number: u32, total: u32, encoding: Encoding) -> Piece {
    Piece { number, total, length: Some(5), encoding, body: stream::empty().boxed() }
}

fn envelope() -> Envelope {
    Envelope {
        mailbox: MailboxId::new("X26ABC1").expect("a mailbox id"),
        message_id: MessageId::new("OURS").expect("a message id"),
        kind: MessageKind::Data,
        workflow: WorkflowId::new("TOC").expect("a workflow id"),
        from: None,
        to: Some(Sensitive::new("X26ABC2")),
        subject: Some(Sensitive::new("batch 17")),
        local_id: Some(Sensitive::new("RXX-17")),
        file_name: None,
        partner_id: None,
        checksum: None,
        content_type: None,
        content_encrypted: true,
        content_compressed: None,
        status: Status::default(),
        linked_message_id: None,
        chunks: 1,
    }
}

fn text(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII"))).collect();
    lines.sort();
    lines
}

#[test]
fn a_message_says_what_is_known_of_it_and_no_more() {
    let headers = of_message(&envelope(), &piece(1, 1, Encoding::Plain)).expect("headers");
    let expected = [
        "content-length: 5",
        "content-type: application/octet-stream",
        "mex-content-encrypted: Y",
        "mex-from: X26ABC1",
        "mex-localid: RXX-17",
        "mex-subject: batch 17",
        "mex-to: X26ABC2",
        "mex-workflowid: TOC",
    ];
    assert_eq!(text(&headers), expected);
    assert!(headers.values().filter(|value| *value != "5").all(HeaderValue::is_sensitive), "none is logged");
}

#[test]
fn each_chunk_says_which_it_is_and_how_it_is_encoded() {
    let first = of_message(&envelope(), &piece(1, 3, Encoding::Gzip)).expect("headers");
    assert_eq!(
        (&first["mex-chunk-range"], &first["content-encoding"]),
        (&"1:3".parse().expect("a value"), &"gzip".parse().expect("a value"))
    );
    let third = of_chunk(&piece(3, 3, Encoding::Gzip)).expect("headers");
    let expected = [
        "content-encoding: gzip",
        "content-length: 5",
        "content-type: application/octet-stream",
        "mex-chunk-range: 3:3",
    ];
    assert_eq!(text(&third), expected);
}

#[test]
fn a_value_that_no_request_may_carry_is_not_repeated() {
    let broken = Envelope { subject: Some(Sensitive::new("9990000018\nX: y")), ..envelope() };
    let error = of_message(&broken, &piece(1, 1, Encoding::Plain)).expect_err("a line break");
    assert!(!error.contains("999"), "{error}");
}

#[test]
fn the_answers_of_both_versions_and_of_the_sandbox_are_read() {
    for body in [r#"{"message_id":"AB12"}"#, r#"{"messageID":"AB12"}"#] {
        assert_eq!(sent(body.as_bytes()), MessageId::new("AB12").ok(), "{body}");
    }
    for body in ["", "null", "{}", r#"{"message_id":"../x"}"#, "<soap/>"] {
        assert_eq!(sent(body.as_bytes()), None, "{body}");
    }
    let of = |state, code: Option<&str>| {
        Some(Tracked { message: MessageId::new("AB12").expect("an id"), state, code: code.map(str::to_owned) })
    };
    for (body, expected) in [
        (r#"{"message_id":"AB12","status":"accepted","status_success":true}"#, of(TrackedState::Accepted, None)),
        (r#"{"messageId":"AB12","status":"Acknowledged"}"#, of(TrackedState::Acknowledged, None)),
        (
            r#"{"message_id":"AB12","status":"undeliverable","status_code":"14"}"#,
            of(TrackedState::Undeliverable, Some("14")),
        ),
        (r#"{"message_id":"AB12","status":"error","status_code":"999 000"}"#, of(TrackedState::Undeliverable, None)),
        (r#"{"message_id":"AB12","status":"uploading"}"#, of(TrackedState::Uploading, None)),
        (r#"{"message_id":"AB12","status":"lost"}"#, None),
        (r#"{"status":"accepted"}"#, None),
    ] {
        assert_eq!(tracked(body.as_bytes()), expected, "{body}");
    }
    assert_eq!(found(StatusCode::NOT_FOUND, b""), Some(Found::None));
    assert_eq!(found(StatusCode::MULTIPLE_CHOICES, b""), Some(Found::Several));
    assert_eq!(found(StatusCode::OK, b"null"), None);
    assert_eq!(found(StatusCode::BAD_GATEWAY, b""), None);
}
