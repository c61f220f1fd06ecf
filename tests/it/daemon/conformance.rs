//! The receiving half of NHS's catalogue of compliance tests (mesh-api 11.1), each case under its number.

use std::collections::BTreeSet;

use serde_json::json;

use super::calls::{Call, calls, count};
use super::*;

/// One message: shake hands, list, download, acknowledge directly after it.
async fn receives_one(kind: &str) {
    let scene = Scene::new(Kind::Strict).await;
    let sent = scene.send(&[kind]);
    scene.sandbox.report().await;
    let daemon = scene.place.start();
    scene.wait_for_published(&daemon, &sent);
    scene.wait_until_empty(&daemon);
    scene.end(daemon);
    let report = scene.sandbox.report().await;
    let id = &sent[0].id;
    let expected = [Call::Handshake, Call::List, Call::Get(id.clone(), 1), Call::Acknowledge(id.clone())];
    assert_eq!(calls(&report)[..4], expected.map(|call| (call, 200)), "{}", report["calls"]);
    assert_eq!(count(&report, &Call::Get(id.clone(), 1)), 1);
    assert_eq!(report["refused"], json!({}));
}

#[tokio::test]
async fn case_401_a_plain_message_is_received() {
    receives_one("plain=50000").await;
}

#[tokio::test]
async fn case_402_a_gzip_message_is_received() {
    receives_one("gzip=50000").await;
}

#[tokio::test]
async fn case_501_a_chunked_message_of_over_200_mb_is_received_with_its_digest() {
    let scene = Scene::new(Kind::Strict).await;
    let sent = scene.send(&["chunked=210000000:70000000"]);
    scene.sandbox.report().await;
    let daemon = scene.place.start();
    scene.wait_for_published(&daemon, &sent);
    scene.wait_until_empty(&daemon);
    scene.end(daemon);
    let report = scene.sandbox.report().await;
    let id = &sent[0].id;
    let about_it: Vec<(Call, u64)> =
        calls(&report).into_iter().filter(|(call, _)| !matches!(call, Call::List | Call::Handshake)).collect();
    let get = |chunk, status| (Call::Get(id.clone(), chunk), status);
    assert_eq!(about_it[..4], [get(1, 206), get(2, 206), get(3, 200), (Call::Acknowledge(id.clone()), 200)]);
}

#[tokio::test]
async fn case_601_of_600_messages_500_are_received_then_a_list_then_100() {
    let scene = Scene::new(Kind::Strict).await;
    let sent = scene.send(&["many=600"]);
    scene.sandbox.report().await;
    let daemon = scene.place.start();
    scene.wait_for_published(&daemon, &sent);
    scene.wait_until_empty(&daemon);
    scene.end(daemon);

    let report = scene.sandbox.report().await;
    assert_eq!(report["refused"], json!({}));
    let calls = calls(&report);
    assert!(calls.iter().all(|(_, status)| *status == 200), "{calls:?}");
    let calls: Vec<Call> = calls.into_iter().map(|(call, _)| call).collect();
    let passes: Vec<&[Call]> = calls.split(|call| *call == Call::List).collect();
    assert_eq!(passes[0], [Call::Handshake]);
    let ids: Vec<&String> = sent.iter().map(|sent| &sent.id).collect();
    for (pass, ids) in passes[1..].iter().zip([&ids[..500], &ids[500..]]) {
        let downloads: Vec<&String> =
            pass.iter().filter_map(|call| if let Call::Get(id, 1) = call { Some(id) } else { None }).collect();
        assert_eq!(downloads, ids, "each once, oldest first");
        assert_eq!(pass.len(), 2 * ids.len(), "and nothing but downloads and acknowledges");
        let mut downloaded = BTreeSet::new();
        for call in *pass {
            match call {
                Call::Get(id, _) => assert!(downloaded.insert(id)),
                Call::Acknowledge(id) => assert!(downloaded.contains(id), "{id} is acknowledged after its download"),
                Call::Handshake | Call::List | Call::Other(_) => panic!("{call:?} between downloads"),
            }
        }
    }
}

#[tokio::test]
async fn case_701_after_a_403_the_mailbox_stops_with_an_alarm_and_goes_on_once_it_is_put_right() {
    let scene = Scene::new(Kind::Strict).await;
    let sent = scene.send(&["plain=1000"]);
    scene.sandbox.report().await;
    scene.place.write("password", "an outdated password\n");
    let daemon = scene.place.start();
    daemon.wait_for("the alarm", PATIENCE, || daemon.log().contains("MESH refuses this mailbox's credentials"));
    assert!(daemon.log().contains("MESH-AUTH"), "{}", daemon.log());
    assert_eq!(scene.occupancy()["accepted_total"], 0);
    daemon.stop_in_order();
    let report = scene.sandbox.report().await;
    let twice = vec![(Call::Handshake, 403), (Call::Handshake, 403)];
    assert_eq!(calls(&report), twice, "tried once more with a fresh token, then left alone");
    assert_eq!(report["refused"], json!({}), "the second token was a fresh one");

    scene.place.write("password", SECRETS.password);
    let daemon = scene.place.start();
    scene.wait_for_published(&daemon, &sent);
    scene.wait_until_empty(&daemon);
    scene.end(daemon);
    let report = scene.sandbox.report().await;
    assert_eq!(count(&report, &Call::Handshake), 0, "one an hour, across restarts: {}", report["calls"]);
}

/// A body as the service gives it with such a code (mesh-api 9.1).
fn error_body(code: &str, msg: &str) -> String {
    json!({ "detail": [{ "event": "RECEIVE", "code": code, "msg": msg }] }).to_string()
}

#[tokio::test]
async fn case_704_a_404_costs_nothing_but_that_message_for_now() {
    let scene = Scene::new(Kind::Strict).await;
    let sent = scene.send(&["many=3"]);
    let path = format!("/inbox/{}", sent[0].id);
    let body = error_body("20", "Message does not exist");
    scene.sandbox.report().await;
    scene.sandbox.toxin(json!({ "toxin": "status", "status": 404, "path": path, "body": body })).await;
    let daemon = scene.place.start();
    scene.wait_for_published(&daemon, &sent[1..]);
    daemon.wait_for("the rest to be acknowledged", PATIENCE, || {
        scene.sandbox.inbox(MAILBOX, &[]) == [sent[0].id.clone()]
    });
    assert_eq!(scene.occupancy()["accepted_total"], 2);
    assert!(!daemon.log().contains("\"ERROR\"") && !daemon.log().contains("\"WARN\""), "{}", daemon.log());
    scene.end(daemon);
    let report = scene.sandbox.report().await;
    assert_eq!(report["done"], json!({ "status": 1 }));
    assert_eq!(count(&report, &Call::Get(sent[0].id.clone(), 1)), 1, "it waits its turn");
}

#[tokio::test]
async fn case_705_a_410_for_a_message_delivered_before_is_told_once_and_not_repeated() {
    let scene = Scene::new(Kind::Strict).await;
    let sent = scene.send(&["many=3"]);
    let (slow, gone) = (&sent[0].id, &sent[1].id);
    scene.sandbox.report().await;
    scene.sandbox.toxin(json!({ "toxin": "delay", "path": format!("/inbox/{slow}"), "seconds": 10 })).await;
    let daemon = scene.place.start();
    // Listed, and not yet asked for: now another reader of the mailbox takes it.
    let asked = Call::Get(slow.clone(), 1);
    let asking = async { while count(&scene.sandbox.report_so_far().await, &asked) == 0 {} };
    tokio::time::timeout(PATIENCE, asking).await.expect("the first message is asked for");
    scene.sandbox.inbox(MAILBOX, &[gone]);
    scene.wait_for_published(&daemon, &[sent[0].clone(), sent[2].clone()]);
    let more = scene.send(&["plain=1000"]);
    scene.wait_for_published(&daemon, &more);
    scene.wait_until_empty(&daemon);
    assert_eq!(scene.occupancy()["accepted_total"], 3);
    assert_eq!(daemon.log().matches("MSG-GONE").count(), 1, "{}", daemon.log());
    let is_alarm = |line: &str| line.contains("message is lost to us") && line.contains("\"ERROR\"");
    assert!(daemon.log().lines().any(is_alarm), "{}", daemon.log());
    scene.end(daemon);
    assert!(!scene.place.published().contains_key(gone));
    let report = scene.sandbox.report().await;
    assert_eq!(report["refused"], json!({ "gone": 1 }), "410, once");
}
