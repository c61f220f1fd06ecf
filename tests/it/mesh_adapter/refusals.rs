//! What MESH refuses: 403, 404, 410, and the statuses of mesh-api 9.4.

use serde_json::json;

use super::*;
use crate::support::peers::Kind;

#[tokio::test]
async fn refused_credentials_are_tried_twice_with_two_tokens_and_no_more() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish { password: "wrong", ..Wish::default() });
    let fault = mailbox.handshake().await.expect_err("a wrong password");
    assert_eq!(facts(&fault), (FaultCode::MeshAuth, Class::Transient, false));
    assert!(fault.detail.contains("Invalid Authentication Token"), "{fault}");
    assert!(!fault.detail.contains("clock"), "{fault}");
    let report = sandbox.report().await;
    assert_eq!(report["calls"].as_array().map(Vec::len), Some(2));
    assert_eq!(report["refused"], json!({}), "the sandbox refused, not the wrapper: both tokens were fresh");
}

#[tokio::test]
async fn one_refusal_is_healed_by_a_fresh_token() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    sandbox.toxin(json!({ "toxin": "status", "status": 403 })).await;
    mailbox.list(first_page()).await.expect("the second token is taken");
    assert_eq!(sandbox.report().await["done"], json!({ "status": 1 }));
}

#[tokio::test]
async fn a_wrong_clock_is_named_with_its_error() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    const THREE_HOURS_MS: i64 = 3 * 60 * 60 * 1000;
    for (wrong_by_ms, word) in [(THREE_HOURS_MS, "ahead of"), (-THREE_HOURS_MS, "behind")] {
        let mailbox = mailbox(&sandbox, Wish { clock_wrong_by_ms: wrong_by_ms, ..Wish::default() });
        let fault = mailbox.handshake().await.expect_err("outside the window of two hours");
        assert_eq!(fault.code, FaultCode::MeshAuth);
        let told = fault.detail.contains("our clock is 10") && fault.detail.contains(word);
        assert!(told, "{fault}");
    }
    assert_eq!(sandbox.report().await["refused"], json!({ "token-time": 4 }));
}

#[tokio::test]
async fn another_mailboxs_message_is_refused() {
    let sandbox = Sandbox::start(Kind::Plain).await;
    let sent = sandbox.send(FROM, TO, &["plain=10"]);
    let stranger = mailbox(&sandbox, Wish { mailbox: "X26ABC3", ..Wish::default() });
    let fault = stranger.fetch(&id(&sent[0].id), 1).await.map(drop).expect_err("not ours");
    assert_eq!(facts(&fault), (FaultCode::MeshAuth, Class::Transient, false));
}

#[tokio::test]
async fn a_proof_of_another_mailbox_is_never_sent() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let stranger = mailbox(&sandbox, Wish { mailbox: "X26ABC3", ..Wish::default() });
    assert!(stranger.acknowledge(&proof("ANY")).await.is_err());
    assert_eq!(sandbox.report().await["calls"], json!([]));
}

#[tokio::test]
async fn a_message_that_is_not_there_is_gone_and_its_acknowledge_is_done() {
    let sandbox = Sandbox::start(Kind::Plain).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let sent = sandbox.send(FROM, TO, &["plain=10", "plain=10"]);
    let event = json!({ "status": "undeliverable", "code": "14", "event": "SEND", "description": "x" });
    let path = format!("/messageexchange/admin/message/{}/event", sent[0].id);
    sandbox.admin(reqwest::Method::POST, &path, Some(event)).await;
    for (message, chunk, class) in [
        (sent[0].id.as_str(), 1, Class::Permanent),
        ("00000000000000000000000000000000", 1, Class::Transient),
        (sent[1].id.as_str(), 2, Class::Transient),
    ] {
        let fault = mailbox.fetch(&id(message), chunk).await.map(drop).expect_err("gone");
        assert_eq!(facts(&fault), (FaultCode::MsgGone, class, true), "{fault}");
    }
    for message in [sent[0].id.as_str(), "00000000000000000000000000000000"] {
        assert_eq!(mailbox.head(&id(message)).await.map(drop).expect_err("gone").code, FaultCode::MsgGone);
        mailbox.acknowledge(&proof(message)).await.expect("nothing is left to acknowledge");
    }
}

#[tokio::test]
async fn what_the_far_side_asks_us_to_wait_is_passed_on() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let day = 86_400;
    for (status, asked, waits) in [
        (429, Some("7"), Some(7)),
        (503, Some("0"), Some(0)),
        (503, Some("1000000000"), Some(day)),
        (503, Some("-1"), None),
        (429, Some("soon"), None),
        (503, None, None),
        (502, None, None),
        (504, None, None),
        (425, None, None),
    ] {
        let mut toxin = json!({ "toxin": "status", "status": status });
        if let Some(asked) = asked {
            toxin["retry_after"] = json!(asked);
        }
        sandbox.toxin(toxin).await;
        let fault = mailbox.list(first_page()).await.expect_err("busy");
        assert_eq!(facts(&fault), (FaultCode::MeshUnavailable, Class::Transient, false), "{status}");
        assert_eq!(fault.retry_after, waits.map(Duration::from_secs), "{status} {asked:?}");
    }
}

#[tokio::test]
async fn an_xml_error_and_a_redirect_are_told_apart_and_followed_nowhere() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    sandbox.toxin(json!({ "toxin": "soap" })).await;
    assert_eq!(mailbox.handshake().await.expect_err("500").to_string(), "MESH-UNAVAILABLE: handshake got 500");
    let location = format!("{}/messageexchange/X26ABC2", sandbox.url);
    sandbox.toxin(json!({ "toxin": "redirect", "location": location })).await;
    assert_eq!(mailbox.handshake().await.expect_err("302").code, FaultCode::MeshProtocol);
    assert_eq!(sandbox.report().await["calls"].as_array().map(Vec::len), Some(2));
}
