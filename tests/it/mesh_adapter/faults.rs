//! Answers that break on their way, or should not have been sent.

use serde_json::json;

use super::*;
use crate::support::peers::Kind;

#[tokio::test]
async fn a_cut_body_ends_with_a_fault_and_never_passes_for_whole() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let sent = sandbox.send(FROM, TO, &["plain=100000"]);
    for bytes in [0, 1, 50_000] {
        sandbox.toxin(json!({ "toxin": "cut", "path": "/inbox/", "bytes": bytes })).await;
        let fault = download(&mailbox, &sent[0].id).await.map(drop).expect_err("cut");
        assert_eq!(facts(&fault), (FaultCode::MsgBadLength, Class::Transient, true), "{bytes}: {fault}");
    }
    assert_eq!(sandbox.report().await["done"], json!({ "cut": 3 }));
    assert_eq!(download(&mailbox, &sent[0].id).await.expect("whole").1, sent[0].sha256);
}

#[tokio::test]
async fn bytes_beyond_the_stated_length_belong_to_no_answer() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let sent = sandbox.send(FROM, TO, &["plain=1000"]);
    sandbox.toxin(json!({ "toxin": "overrun", "path": "/inbox/", "bytes": 100 })).await;
    assert_eq!(download(&mailbox, &sent[0].id).await.expect("its own bytes").1, sent[0].sha256);
    let again = match download(&mailbox, &sent[0].id).await {
        Err(fault) => {
            assert_eq!(fault.code, FaultCode::MeshUnreachable, "at most the connection is lost: {fault}");
            download(&mailbox, &sent[0].id).await
        }
        whole => whole,
    };
    assert_eq!(again.expect("its own bytes again").1, sent[0].sha256);
}

#[tokio::test]
async fn a_lost_answer_to_an_acknowledge_is_made_good_by_another() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let sent = sandbox.send(FROM, TO, &["plain=10"]);
    sandbox.toxin(json!({ "toxin": "lose-answer", "method": "PUT" })).await;
    let fault = mailbox.acknowledge(&proof(&sent[0].id)).await.expect_err("no answer");
    assert_eq!(facts(&fault), (FaultCode::MeshUnreachable, Class::Transient, false));
    mailbox.acknowledge(&proof(&sent[0].id)).await.expect("done before, and done");
    assert_eq!(sandbox.report().await["done"], json!({ "lose-answer": 1 }));
}

#[tokio::test]
async fn a_missing_chunk_is_a_fault_of_its_message() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let sent = sandbox.send(FROM, TO, &["chunked=300000:100000"]);
    sandbox.toxin(json!({ "toxin": "lose-chunk" })).await;
    let fault = download(&mailbox, &sent[0].id).await.map(drop).expect_err("chunk 2 is lost");
    assert_eq!(facts(&fault), (FaultCode::MsgGone, Class::Transient, true));
    assert_eq!(download(&mailbox, &sent[0].id).await.expect("whole").1, sent[0].sha256);
}

#[tokio::test]
async fn headers_that_contradict_each_other_are_faults_of_the_message() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let sent = sandbox.send(FROM, TO, &["chunked=300000:100000"]);
    let long = "x".repeat(64 * 1024);
    for (name, value, code) in [
        ("mex-chunk-range", json!("1:2"), FaultCode::MsgBadChunks),
        ("mex-chunk-range", json!("2:3"), FaultCode::MsgBadChunks),
        ("mex-chunk-range", json!("banana"), FaultCode::MsgBadChunks),
        ("mex-messagetype", json!("banana"), FaultCode::MsgBadHeaders),
        ("mex-subject", json!(long), FaultCode::MsgBadHeaders),
        ("content-encoding", json!("br"), FaultCode::MsgBadEncoding),
    ] {
        sandbox.toxin(json!({ "toxin": "header", "path": "/inbox/", "name": name, "value": value })).await;
        let fault = mailbox.fetch(&id(&sent[0].id), 1).await.map(drop).expect_err("a contradiction");
        assert_eq!(facts(&fault), (code, Class::Permanent, true), "{fault}");
    }
    sandbox.toxin(json!({ "toxin": "header", "path": "/inbox/", "name": "mex-messageid", "value": "ANOTHER" })).await;
    let fault = mailbox.fetch(&id(&sent[0].id), 1).await.map(drop).expect_err("another message");
    assert_eq!(facts(&fault), (FaultCode::MeshProtocol, Class::Transient, false));
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let limits = Limits { grace: Duration::from_millis(500), bytes_per_second: 1000, ..Limits::default() };
    let mailbox = mailbox(&sandbox, Wish { limits, ..Wish::default() });
    let sent = sandbox.send(FROM, TO, &["plain=100000"]);
    sandbox.toxin(json!({ "toxin": "drip", "path": "/inbox/", "seconds": 0.1 })).await;
    let fault = download(&mailbox, &sent[0].id).await.map(drop).expect_err("it would take hours");
    assert_eq!(facts(&fault), (FaultCode::MeshUnreachable, Class::Transient, false));
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_given_up() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let limits = Limits { answer: Duration::from_millis(300), ..Limits::default() };
    let mailbox = mailbox(&sandbox, Wish { limits, ..Wish::default() });
    // The first connection is made under the same limit, so it must not be the one that is measured.
    sandbox.toxin(json!({ "toxin": "delay", "seconds": 30 })).await;
    let fault = mailbox.list(first_page()).await.expect_err("no answer in time");
    assert_eq!(facts(&fault), (FaultCode::MeshUnreachable, Class::Transient, false));
}

#[tokio::test]
async fn a_list_that_is_none_or_leads_elsewhere_is_a_protocol_fault() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    for body in ["<html>", "{}", "null"] {
        sandbox.toxin(json!({ "toxin": "status", "status": 200, "body": body })).await;
        let fault = mailbox.list(first_page()).await.expect_err("no list");
        assert_eq!(facts(&fault), (FaultCode::MeshProtocol, Class::Transient, false));
    }
    let before = sandbox.report().await;
    let elsewhere = Page::Next("https://evil.example/messageexchange/X26ABC2/inbox".into());
    assert_eq!(mailbox.list(elsewhere).await.expect_err("another host").code, FaultCode::MeshProtocol);
    assert_eq!(before["calls"].as_array().map(Vec::len), Some(3));
    assert_eq!(sandbox.report().await["calls"], json!([]), "nothing was sent anywhere");
}
