//! Every kind of mail at once: 600 messages waiting, giants, odd headers, a report.

use std::collections::BTreeMap;

use meshd::simulator::consumer::{Consumer, Taken};
use serde_json::json;

use super::control::{self, Report};
use super::discreet::Forbidden;
use super::*;

/// What waits: a workflow id, too, is at its limit before the largest headers.
fn kinds() -> Vec<String> {
    let kinds = [
        "plain=1000003",
        "gzip=1000003",
        "chunked=60000000:20000000",
        "chunked-gzip=1000003:400000",
        "odd",
        "smallest",
        "patient",
        "many=600",
    ];
    let largest = [format!("workflow={}", "W".repeat(300)), "largest".to_owned()];
    kinds.map(str::to_owned).into_iter().chain(largest).collect()
}

const REPORT: Report = Report {
    subject: "CANARY-REPORTED 9990000077",
    local_id: "CANARY-REPORTED-LOCAL-9990000085",
    linked: "20200529155357895317_3573F8",
};

impl Scene {
    fn send_all(&self) -> Vec<Sent> {
        self.send(&kinds().iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Has the sandbox put a report into the mailbox; its id.
    async fn report_undelivered(&self) -> String {
        let report = json!({ "mailbox_id": MAILBOX, "code": "14", "description": "x", "workflow_id": "TEST_WORKFLOW",
            "subject": REPORT.subject, "local_id": REPORT.local_id, "linked_message_id": REPORT.linked });
        let made = self.sandbox.admin(reqwest::Method::POST, "/messageexchange/admin/report", Some(report)).await;
        made["message_id"].as_str().expect("an id").to_owned()
    }

    /// Waits until everything was taken and acknowledged, ends, and compares each set with what was sent.
    fn everything_came_once(&self, daemon: Daemon, consumer: Consumer, sent: &[Sent], report: &str, limit: Duration) {
        let count = sent.len() as u64 + 1;
        daemon.wait_for("all mail to be taken", limit, || consumer.count() >= count);
        self.wait_until_empty(&daemon);
        let occupancy = self.occupancy();
        for (what, expected) in [("accepted_total", count), ("delivered_total", count), ("refused", 0)] {
            assert_eq!(occupancy[what], expected, "{what}: {occupancy}");
        }
        for what in ["queued", "parked", "held", "dead"] {
            assert_eq!(occupancy[what]["messages"], 0, "{what}: {occupancy}");
        }
        self.end(daemon);

        let taken = consumer.stop().expect("an orderly end");
        assert_eq!(taken.len() as u64, count, "each came once");
        let taken: BTreeMap<String, Taken> = taken.into_iter().map(|taken| (taken.name.clone(), taken)).collect();
        assert_eq!(taken.len() as u64, count, "and each is another");
        for message in sent {
            let taken = &taken[&message.id];
            let (sha256, length) = (Some(message.sha256.clone()), Some(message.length));
            assert_eq!((&taken.sha256, taken.length), (&sha256, length), "{message:?}");
            let control = control::elements(taken.control.as_deref().expect("it was kept"));
            assert_eq!(control, control::of_message(message));
        }
        let taken = &taken[report];
        assert_eq!(taken.sha256, None, "a report has no data file");
        assert_eq!(control::elements(taken.control.as_deref().expect("it was kept")), control::of_report(&REPORT));
    }
}

#[tokio::test]
async fn everything_that_waits_comes_out_once_and_as_it_was_sent() {
    let scene = Scene::new(Kind::Plain).await;
    let sent = scene.send_all();
    let report = scene.report_undelivered().await;
    let consumer = scene.consumer();
    let daemon = scene.place.start();
    scene.everything_came_once(daemon, consumer, &sent, &report, PATIENCE);
}

/// Faults of one message are tried again after a minute (the poller's first refusal), so this takes one and a half.
#[tokio::test]
async fn under_strict_rules_and_every_fault_it_is_the_same_and_discreet() {
    let scene = Scene::new(Kind::Strict).await;
    let sent = scene.send_all();
    let report = scene.report_undelivered().await;
    scene.sandbox.report().await;
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for toxin in toxins(&sent) {
        let name = toxin["toxin"].as_str().expect("a name").to_owned();
        *expected.entry(name).or_default() += toxin["times"].as_u64().unwrap_or(1);
        scene.sandbox.toxin(toxin).await;
    }
    let forbidden = Forbidden::new(&scene, &sent);
    let consumer = scene.consumer();
    let daemon = scene.place.start();
    forbidden.check_process(&daemon);
    scene.everything_came_once(daemon, consumer, &sent, &report, PATIENCE * 2);

    let seen = scene.sandbox.report().await;
    assert_eq!(seen["done"], json!(expected), "each toxin struck as often as it should");
    assert_eq!(seen["refused"], json!({}), "no rule was broken");
    forbidden.check_traces(&scene, &sent);
}

/// Every fault of the wrapper. Those of MESH itself cost the pass a wait of seconds; those of a message, that message a
/// minute. None comes so often that a message meets two.
fn toxins(sent: &[Sent]) -> Vec<Value> {
    let id = |kind: &str| &sent.iter().find(|sent| sent.kind == kind).expect("it was sent").id;
    let of = |kind: &str| format!("/inbox/{}", id(kind));
    // An error of the server that repeats what a sender wrote.
    let telling = json!({ "detail": [{ "event": "GPPROVIDER_9990000001", "code": "9990000001",
        "msg": "no match for CANARY-NAME 9990000001" }] });
    vec![
        json!({ "toxin": "soap", "path": "/inbox?" }),
        json!({ "toxin": "empty-page", "path": "/inbox?" }),
        json!({ "toxin": "header", "path": of("patient"), "name": "mex-subject",
            "value": format!("CANARY-LONG 9990000001 {}", "s".repeat(500)) }),
        json!({ "toxin": "status", "path": of("smallest"), "status": 400, "body": telling.to_string() }),
        json!({ "toxin": "cut", "path": format!("{}/3", of("chunked")), "bytes": 1_000_000 }),
        json!({ "toxin": "lose-chunk", "path": format!("{}/2", of("chunked-gzip")) }),
        json!({ "toxin": "drip", "path": of("largest"), "seconds": 0.01 }),
        json!({ "toxin": "cut", "path": "/inbox/", "method": "GET", "bytes": 0, "every": 20 }),
        json!({ "toxin": "cut", "path": "/inbox/", "method": "GET", "bytes": 3, "every": 40 }),
        json!({ "toxin": "soap", "path": "/inbox/", "method": "GET", "every": 60, "times": 2 }),
        json!({ "toxin": "status", "path": "/inbox/", "method": "GET", "status": 503, "every": 80 }),
        json!({ "toxin": "status", "path": "/inbox/", "method": "GET", "status": 429, "retry_after": "1", "every": 100 }),
        json!({ "toxin": "status", "path": "/inbox/", "method": "GET", "status": 403, "every": 120 }),
        json!({ "toxin": "redirect", "path": "/inbox/", "method": "GET", "location": "https://localhost:1/", "every": 140 }),
        json!({ "toxin": "overrun", "path": "/inbox/", "method": "GET", "bytes": 100, "every": 160 }),
        json!({ "toxin": "delay", "path": "/inbox/", "method": "GET", "seconds": 1, "every": 180 }),
        json!({ "toxin": "clock", "path": "/inbox/", "method": "GET", "seconds": 10_000, "every": 200 }),
        json!({ "toxin": "status", "method": "PUT", "status": 503, "retry_after": "1", "every": 50 }),
        json!({ "toxin": "status", "method": "PUT", "status": 429, "every": 100 }),
        json!({ "toxin": "lose-answer", "method": "PUT", "every": 150 }),
    ]
}
