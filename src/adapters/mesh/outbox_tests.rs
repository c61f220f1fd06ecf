//! What a send goes over the wire as, and what is known after each way it can fail.

use futures_util::stream;

use super::super::client::tests::{End, Far, headers, mailbox};
use super::*;
use crate::domain::envelope::{MessageKind, Status};
use crate::domain::ids::{Sensitive, WorkflowId};
use crate::ports::inbox::Encoding;
use crate::ports::outbox::TrackedState;

fn envelope() -> Envelope {
    Envelope {
        mailbox: MailboxId::new("X26ABC1").expect("a mailbox id"),
        message_id: MessageId::new("OURS").expect("a message id"),
        kind: MessageKind::Data,
        workflow: WorkflowId::new("TOC").expect("a workflow id"),
        from: None,
        to: Some(Sensitive::new("X26ABC2")),
        subject: None,
        local_id: Some(Sensitive::new("OURS")),
        file_name: None,
        partner_id: None,
        checksum: None,
        content_type: None,
        content_encrypted: false,
        content_compressed: None,
        status: Status::default(),
        linked_message_id: None,
        chunks: 1,
    }
}

fn piece(number: u32, total: u32) -> Piece {
    let body = stream::iter([Ok(Bytes::from_static(b"hel")), Ok(Bytes::from_static(b"lo"))]).boxed();
    Piece { number, total, length: Some(5), encoding: Encoding::Plain, body }
}

fn message() -> MessageId {
    MessageId::new("AT-MESH").expect("a message id")
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

const ACCEPTED: &str = r#"{"message_id":"AT-MESH"}"#;

#[tokio::test]
async fn a_send_and_its_chunks_and_its_tracking_are_the_calls_of_the_api() {
    let far = Far::answering(vec![
        (answer("202 Accepted", ACCEPTED).into_bytes(), End::Closed),
        (answer("202 Accepted", "null").into_bytes(), End::Closed),
        (answer("200 OK", r#"{"message_id":"AT-MESH","status":"accepted"}"#).into_bytes(), End::Closed),
        (answer("404 Not Found", "").into_bytes(), End::Closed),
    ]);
    let mailbox = mailbox(&far);
    assert_eq!(mailbox.send(&envelope(), piece(1, 2)).await, Ok(message()));
    assert_eq!(mailbox.send_chunk(&message(), piece(2, 2)).await, Ok(Taken::Stored));
    let tracked = mailbox.track(&message()).await.expect("an answer").expect("it is known");
    assert_eq!(tracked.state, TrackedState::Accepted);
    assert_eq!(mailbox.find("RXX 17/9").await, Ok(Found::None));
    drop(mailbox);
    let requests = far.requests();
    let lines: Vec<&str> = requests.iter().filter_map(|request| request.lines().next()).collect();
    let expected = [
        "POST /messageexchange/X26ABC1/outbox HTTP/1.1",
        "POST /messageexchange/X26ABC1/outbox/AT-MESH/2 HTTP/1.1",
        "GET /messageexchange/X26ABC1/outbox/tracking?messageID=AT-MESH HTTP/1.1",
        "GET /messageexchange/X26ABC1/outbox/tracking/RXX%2017%2F9 HTTP/1.1",
    ];
    assert_eq!(lines, expected);
    for (request, range) in requests.iter().zip(["1:2", "2:2"]) {
        assert_eq!(headers(request, "mex-chunk-range"), [range]);
        assert_eq!(headers(request, "content-length"), ["5"]);
        assert_eq!(headers(request, "authorization").len(), 1);
    }
    assert_eq!(headers(&requests[0], "mex-to"), ["X26ABC2"]);
}

#[tokio::test]
async fn what_is_known_after_a_failed_send_is_no_more_than_can_be_known() {
    let of = |status: &'static str| async move {
        let far = Far::once(&answer(status, r#"{"detail":[{"event":"SEND","code":"12","msg":"Unregistered"}]}"#));
        let sent = mailbox(&far).send(&envelope(), piece(1, 1)).await;
        drop(far.requests());
        sent
    };
    for status in ["401 No", "403 No", "407 No", "425 Early", "429 Many"] {
        assert!(matches!(of(status).await, Err(Unsent::NotTaken(_))), "{status}");
    }
    for status in ["400 Bad", "404 None", "413 Large", "417 Refused", "422 No"] {
        let Err(Unsent::Refused(fault)) = of(status).await else { panic!("{status}") };
        assert!(fault.detail.contains("12, SEND, Unregistered"), "{fault:?}");
    }
    for status in
        ["408 Slow", "500 Broken", "502 Bad", "503 Busy", "504 Late", "204 Empty", "302 There", "202 Accepted"]
    {
        assert!(matches!(of(status).await, Err(Unsent::Unknown(_))), "{status}");
    }
    let far = Far::once("");
    let gone = mailbox(&far);
    drop(std::net::TcpStream::connect(far.address()).expect("it listens"));
    drop(far.requests());
    assert!(matches!(gone.send(&envelope(), piece(1, 1)).await, Err(Unsent::NotTaken(_))), "no connection");
}

#[tokio::test]
async fn an_answer_cut_anywhere_is_no_answer() {
    let whole = answer("202 Accepted", ACCEPTED);
    for end in [End::Closed, End::Reset] {
        for length in (0..whole.len()).step_by(3).chain([whole.len() - 1]) {
            let far = Far::answering(vec![(whole.as_bytes()[..length].to_vec(), end)]);
            let sent = mailbox(&far).send(&envelope(), piece(1, 1)).await;
            assert!(matches!(sent, Err(Unsent::Unknown(_))), "{length} of {}: {sent:?}", whole.len());
        }
    }
}

#[tokio::test]
async fn a_payload_that_breaks_is_not_taken_for_a_fault_of_mesh() {
    let far = Far::answering(vec![(Vec::new(), End::Held)]);
    let broken = stream::iter([Ok(Bytes::from_static(b"he")), Err(io::Error::other("it does not open"))]).boxed();
    let sent = mailbox(&far).send(&envelope(), Piece { body: broken, ..piece(1, 1) }).await;
    assert_eq!(sent, Err(Unsent::Unreadable("it does not open".into())));
}

#[tokio::test]
async fn a_chunk_that_is_locked_out_is_told_apart_from_a_refusal() {
    for (status, expected) in [("423 Locked", Ok(Taken::WasWhole)), ("406 No", Err(FaultCode::SendRefused))] {
        let far = Far::once(&answer(status, "{}"));
        let sent = mailbox(&far).send_chunk(&message(), piece(2, 2)).await;
        assert_eq!(sent.map_err(|fault| fault.code), expected, "{status}");
    }
}
