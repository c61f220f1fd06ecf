//! Mail that NHS's client sent, received through the adapter.

use meshd::domain::envelope::MessageKind;
use serde_json::json;

use super::*;
use crate::support::peers::{Kind, Sent};

#[tokio::test]
async fn the_handshake_names_client_and_system() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    mailbox(&sandbox, Wish::default()).handshake().await.expect("a handshake");
    let report = sandbox.report().await;
    assert_eq!(report["refused"], json!({}), "the wrapper refuses a handshake without them");
    assert_eq!(
        (&report["calls"][0]["method"], &report["calls"][0]["path"]),
        (&json!("POST"), &json!("/messageexchange/X26ABC2"))
    );
}

#[tokio::test]
async fn a_list_pages_through_every_message_once_and_filters_by_workflow() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let sent = sandbox.send(FROM, TO, &["many=22", "workflow=OTHER_ACK", "many=3"]);
    let mut listed = Vec::new();
    let mut page = Page::First { max_results: 10, workflow_filter: None };
    let mut sizes = Vec::new();
    loop {
        let listing = mailbox.list(page).await.expect("a page");
        assert_eq!((listing.unusable, listing.approximate_count), (0, Some(25)));
        sizes.push(listing.ids.len());
        listed.extend(listing.ids);
        match listing.next {
            Some(next) => page = Page::Next(next),
            None => break,
        }
    }
    assert_eq!(sizes, [10, 10, 5]);
    let sent_ids: Vec<MessageId> = sent.iter().map(|sent| id(&sent.id)).collect();
    assert_eq!(listed, sent_ids, "oldest first, each once");

    for (filter, count) in [("OTHER_ACK", 3), ("!OTHER_ACK", 22), ("*_ACK*", 3), ("!*_ACK*", 22), ("TEST*", 22)] {
        let page = Page::First { max_results: 500, workflow_filter: Some(filter.into()) };
        assert_eq!(mailbox.list(page).await.expect("a page").ids.len(), count, "{filter}");
    }
    assert_eq!(sandbox.report().await["refused"], json!({}), "no token was used twice");
}

#[tokio::test]
async fn a_filtered_page_may_be_empty_and_still_lead_on() {
    let sandbox = Sandbox::start(Kind::Strict).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    sandbox.send(FROM, TO, &["plain=10"]);
    sandbox.toxin(json!({ "toxin": "empty-page" })).await;
    let page = Page::First { max_results: 500, workflow_filter: Some("TEST_WORKFLOW".into()) };
    let empty = mailbox.list(page).await.expect("an empty page");
    assert_eq!(empty.ids.len(), 0);
    let rest = mailbox.list(Page::Next(empty.next.expect("it leads on"))).await.expect("the next page");
    assert_eq!(rest.ids.len(), 1);
}

/// Every kind of mail, on the sandbox as it is and behind the wrapper.
async fn receives_every_kind(kind: Kind) {
    let sandbox = Sandbox::start(kind).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let kinds = [
        "plain=1000003",
        "gzip=1000003",
        "chunked=1000003:200000",
        "chunked-gzip=1000003:400000",
        "odd",
        "smallest",
        "largest",
    ];
    let sent = sandbox.send(FROM, TO, &kinds);
    for message in &sent {
        let head = mailbox.head(&id(&message.id)).await.expect("its headers");
        let (envelope, sha256) = download(&mailbox, &message.id).await.expect("its bytes");
        assert_eq!(sha256, message.sha256, "{message:?}");
        assert_eq!(head.chunks, envelope.chunks);
        check_envelope(&envelope, message);
    }
    for message in &sent {
        mailbox.acknowledge(&proof(&message.id)).await.expect("acknowledged");
        mailbox.acknowledge(&proof(&message.id)).await.expect("again is as good");
    }
    assert_eq!(mailbox.list(first_page()).await.expect("a list").ids, []);
    if kind == Kind::Strict {
        let fault = mailbox.fetch(&id(&sent[0].id), 1).await.map(drop).expect_err("an acknowledged message is gone");
        assert_eq!(facts(&fault), (FaultCode::MsgGone, Class::Permanent, true));
        assert_eq!(sandbox.report().await["refused"], json!({ "gone": 1 }));
    }
}

fn check_envelope(envelope: &Envelope, sent: &Sent) {
    let chunks = match sent.kind.as_str() {
        "chunked" => 6,
        "chunked-gzip" => 3,
        _ => 1,
    };
    assert_eq!((envelope.kind, envelope.chunks), (MessageKind::Data, chunks), "{sent:?}");
    assert_eq!((envelope.message_id.as_str(), envelope.workflow.as_str()), (sent.id.as_str(), sent.workflow.as_str()));
    assert_eq!(envelope.from.as_ref().map(MailboxId::as_str), Some(FROM));
    assert_eq!(envelope.to.as_ref().map(|to| to.reveal()), Some(TO));
    assert_eq!(envelope.subject.as_ref().map(|text| text.reveal()), sent.subject.as_deref());
    assert_eq!(envelope.local_id.as_ref().map(|text| text.reveal()), sent.local_id.as_deref());
    let default_name = format!("{}.dat", sent.id);
    assert_eq!(
        envelope.file_name.as_ref().map(|text| text.reveal()),
        sent.file_name.as_deref().or(Some(&default_name))
    );
    assert_eq!(envelope.status.code.as_deref(), Some("00"));
    assert!(sent.length > 0);
}

#[tokio::test]
async fn every_kind_of_mail_arrives_whole_from_the_sandbox() {
    receives_every_kind(Kind::Plain).await;
}

#[tokio::test]
async fn every_kind_of_mail_arrives_whole_under_strict_rules() {
    receives_every_kind(Kind::Strict).await;
}

#[tokio::test]
async fn a_report_arrives_without_body_or_chunk() {
    let sandbox = Sandbox::start(Kind::Plain).await;
    let mailbox = mailbox(&sandbox, Wish::default());
    let report = json!({ "mailbox_id": TO, "code": "14", "description": "x", "workflow_id": "TEST_WORKFLOW",
        "subject": "orig subj", "local_id": "loc-1", "linked_message_id": "20200529155357895317_3573F8" });
    let made = sandbox.admin(reqwest::Method::POST, "/messageexchange/admin/report", Some(report)).await;
    let message = made["message_id"].as_str().expect("an id").to_owned();
    assert_eq!(mailbox.list(first_page()).await.expect("a list").ids, [id(&message)]);

    let chunk = mailbox.fetch(&id(&message), 1).await.expect("a report");
    assert_eq!((chunk.number, chunk.total), (0, 0));
    let envelope = chunk.envelope.clone();
    assert_eq!(body(chunk).await.expect("no body"), b"");
    assert_eq!((envelope.kind, envelope.chunks, envelope.from), (MessageKind::Report, 0, None));
    assert_eq!(envelope.linked_message_id, Some(id("20200529155357895317_3573F8")));
    assert_eq!(envelope.status.code.as_deref(), Some("14"));
    assert_eq!(envelope.status.success.as_deref(), Some("ERROR"));
    assert_eq!(envelope.subject.as_ref().map(|text| text.reveal()), Some("NDR: orig subj"));
    mailbox.acknowledge(&proof(&message)).await.expect("acknowledged like the rest");
}
