//! What the daemon sends, collected by NHS's client from NHS's sandbox.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::*;
use crate::place::sha256;

/// What the daemon sends, by local id: a length, how it is sent, and what its recipient is to see of it.
fn letters() -> Vec<(&'static str, u64, Vec<&'static str>, Value)> {
    let odd = "a <b> & \"c\" 'd' ]]>; %0d%0a ../../x";
    vec![
        ("one-byte", 1, vec!["--no-compress"], json!({})),
        ("plain", 1_000_003, vec!["--no-compress"], json!({ "content-type": "application/octet-stream" })),
        ("gzip", 1_000_003, vec![], json!({})),
        ("seven-chunks", 140_000_000, vec!["--no-compress"], json!({ "total-chunks": "7" })),
        ("three-gzip-chunks", 45_000_000, vec![], json!({ "total-chunks": "3" })),
        (
            "odd names",
            10,
            vec!["--subject", odd, "--file-name", odd, "--checksum", "SHA-256: ab/cd", "--content-type", "text/x-odd"],
            json!({ "subject": odd, "filename": odd, "content-checksum": "SHA-256: ab/cd", "content-type": "text/x-odd" }),
        ),
        ("sealed-by-its-sender", 1_000, vec!["--encrypted"], json!({ "content-encrypted": "Y" })),
    ]
}

impl Scene {
    /// Sends all of it; each local id with the digest of its bytes.
    fn send_out(&self) -> BTreeMap<String, Option<String>> {
        let mut sent = BTreeMap::new();
        for (local_id, length, more, _) in letters() {
            let file = self.place.path(local_id);
            let bytes: Vec<u8> = (0..length).map(|number| (number * number % 253) as u8).collect();
            fs::write(&file, bytes).expect("the folder is ours");
            let name = file.to_str().expect("a plain name");
            let arguments = ["send", name, "--to", SENDER, "--workflow", "TEST_WORKFLOW", "--local-id", local_id];
            self.place.meshd(&[&arguments[..], &more].concat()).expect_done();
            sent.insert(local_id.to_owned(), sha256(&file));
        }
        sent
    }

    fn wait_until_sent(&self, daemon: &Daemon, count: usize) {
        daemon.wait_for("MESH to have all", PATIENCE * 2, || {
            let listed = self.place.meshd(&["sent", "list", "--json"]).expect_done();
            let listed: Value = serde_json::from_str(&listed).expect("JSON");
            let is_there = |sent: &&Value| sent["delivery"]["outgoing"]["progress"]["accepted"].is_object();
            listed.as_array().expect("a list").iter().filter(is_there).count() == count
        });
    }

    /// What NHS's client collects is what was sent, each once.
    fn check_collected(&self, sent: &BTreeMap<String, Option<String>>) {
        let collected: Vec<Value> = self.sandbox.collect(SENDER);
        assert_eq!(collected.len(), sent.len(), "each once");
        for (local_id, length, _, headers) in letters() {
            let found = collected.iter().find(|one| one["headers"]["localid"] == local_id);
            let found = found.unwrap_or_else(|| panic!("{local_id} did not arrive"));
            let digest = sent[local_id].as_deref().expect("it was there");
            assert_eq!((&found["sha256"], &found["length"]), (&json!(digest), &json!(length)), "{local_id}");
            assert_eq!(found["headers"]["from"], MAILBOX, "{local_id}");
            assert_eq!(found["headers"]["workflowid"], "TEST_WORKFLOW", "{local_id}");
            for (name, value) in headers.as_object().expect("headers") {
                assert_eq!(&found["headers"][name], value, "{local_id}: {name}");
            }
        }
        assert_eq!(self.sandbox.inbox(SENDER, &[]), Vec::<String>::new());
    }
}

fn plan(more: &'static str) -> Plan {
    Plan { mailbox: "send = { chunk = \"20MB\" }\n", mesh: more, ..Plan::default() }
}

#[tokio::test]
async fn nhs_client_collects_what_was_sent_byte_for_byte() {
    let scene = Scene::with(Kind::Plain, plan("")).await;
    let daemon = scene.place.start();
    let sent = scene.send_out();
    scene.wait_until_sent(&daemon, sent.len());
    scene.check_collected(&sent);
    scene.end(daemon);
}

/// Answers are lost, requests are refused, connections cut: nothing is there twice, and nothing is missing.
#[tokio::test]
async fn under_strict_rules_and_faults_each_is_there_once() {
    let scene = Scene::with(Kind::Strict, plan("ask_after = \"2s\"\n")).await;
    for toxin in [
        json!({ "toxin": "status", "path": "/outbox", "method": "POST", "status": 429, "retry_after": "1" }),
        json!({ "toxin": "status", "path": "/outbox/", "method": "POST", "status": 503, "every": 3, "times": 2 }),
        json!({ "toxin": "lose-answer", "path": "/outbox/", "method": "POST", "every": 5, "times": 1 }),
    ] {
        scene.sandbox.toxin(toxin).await;
    }
    let daemon = scene.place.start();
    let sent = scene.send_out();
    scene.wait_until_sent(&daemon, sent.len());
    scene.check_collected(&sent);
    let seen = scene.sandbox.report().await;
    assert_eq!(seen["refused"], json!({}), "no rule was broken");
    assert_eq!(seen["done"], json!({ "status": 3, "lose-answer": 1 }), "each toxin struck as often as it should");
    scene.end(daemon);
}

/// A send without an answer is found by the local id that is its own.
#[tokio::test]
async fn a_send_without_an_answer_is_found_at_nhs_sandbox() {
    for (toxin, count) in [("lose-answer", 1), ("cut", 1)] {
        let scene = Scene::with(Kind::Strict, plan("ask_after = \"2s\"\n")).await;
        scene.sandbox.toxin(json!({ "toxin": toxin, "path": "/outbox", "method": "POST", "bytes": 0 })).await;
        let file = scene.place.path("letter");
        fs::write(&file, "a letter").expect("the folder is ours");
        let name = file.to_str().expect("a plain name");
        let daemon = scene.place.start();
        scene.place.meshd(&["send", name, "--to", SENDER, "--workflow", "TEST_WORKFLOW"]).expect_done();
        scene.wait_until_sent(&daemon, 1);
        assert_eq!(scene.sandbox.collect(SENDER).len(), count, "{toxin}");
        scene.end(daemon);
    }
}
