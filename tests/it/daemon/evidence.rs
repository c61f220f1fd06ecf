//! `meshd conformance` against NHS's sandbox: its verdicts, its evidence, and what it leaves alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::place::Ended;

/// The evidence of one run.
struct Evidence {
    ended: Ended,
    folder: PathBuf,
    json: Value,
    text: String,
}

impl Evidence {
    /// Runs the command, which is to write its evidence.
    fn of(scene: &Scene, arguments: &[&str]) -> Self {
        let folder = scene.place.path("evidence");
        let out = folder.to_str().expect("UTF-8");
        let ended = scene.place.meshd(&[&["conformance", "--out", out], arguments].concat());
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_else(|_| panic!("{ended:?}"));
        let (json, text) = (read("report.json"), read("report.txt"));
        Self { json: serde_json::from_str(&json).expect("JSON"), text, folder, ended }
    }

    /// The verdicts that are not "passed".
    fn not_passed(&self) -> BTreeMap<u64, &str> {
        let cases = self.json["cases"].as_array().expect("a list of cases");
        assert_eq!(cases.len(), 12, "each case of the catalogue is named");
        let verdict = |case: &'_ Value| case["verdict"] != "passed";
        cases.iter().filter(|case| verdict(case)).map(|case| (number(case), text(&case["verdict"]))).collect()
    }

    fn case(&self, wanted: u64) -> &Value {
        let cases = self.json["cases"].as_array().expect("a list of cases");
        cases.iter().find(|case| number(case) == wanted).expect("such a case")
    }

    fn reason(&self, wanted: u64) -> &str {
        text(&self.case(wanted)["reason"])
    }

    /// The statuses of a case's requests, in order.
    fn statuses(&self, wanted: u64) -> Vec<u64> {
        let requests = self.case(wanted)["requests"].as_array().expect("a list of requests");
        requests.iter().map(|request| request["status"].as_u64().unwrap_or(0)).collect()
    }
}

fn number(case: &Value) -> u64 {
    case["number"].as_u64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn two_mailboxes() -> Plan {
    Plan { mailboxes: vec![MAILBOX.to_owned(), SENDER.to_owned()], ..Plan::default() }
}

#[tokio::test]
async fn between_two_mailboxes_of_ours_every_case_that_a_machine_can_run_passes() {
    let scene = Scene::with(Kind::Strict, two_mailboxes()).await;
    scene.sandbox.report().await;
    let evidence = Evidence::of(&scene, &["--mailbox", MAILBOX, "--partner", SENDER]);
    assert_eq!(evidence.ended.code, Some(0), "{:?}\n{}", evidence.ended, evidence.text);
    assert_eq!(evidence.not_passed(), BTreeMap::from([(703, "not-run")]));
    assert!(evidence.reason(703).contains("five days"));
    assert_eq!(evidence.statuses(701), [403, 403, 200]);
    assert_eq!(evidence.statuses(702), [417]);
    assert_eq!(evidence.json["left"], json!([]));

    // What the far side saw is what the evidence says.
    let report = scene.sandbox.report().await;
    assert_eq!(report["refused"], json!({ "gone": 1 }), "one 410, that of case 705");
    let calls = report["calls"].as_array().expect("a list of calls");
    let of_cases = evidence.json["cases"].as_array().expect("a list").iter().map(|case| &case["requests"]);
    let told = of_cases.chain([&evidence.json["before"], &evidence.json["after"]]);
    let told: usize = told.map(|requests| requests.as_array().expect("a list").len()).sum();
    assert_eq!(told, calls.len(), "every request is told of");
    assert!(scene.sandbox.inbox(MAILBOX, &[]).is_empty() && scene.sandbox.inbox(SENDER, &[]).is_empty());

    // Fit to be handed over.
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&evidence.folder), 0o700);
    let json = evidence.json.to_string();
    for (name, text) in [("report.json", &json), ("report.txt", &evidence.text)] {
        assert_eq!(mode(&evidence.folder.join(name)), 0o600, "{name}");
        for secret in [SECRETS.shared_key, SECRETS.password, "NHSMESH"] {
            assert!(!text.contains(secret), "{name} has {secret}");
        }
        let path_of = |call: &Value| call["path"].as_str().expect("a path").to_owned();
        let ids: Vec<String> = calls
            .iter()
            .flat_map(|call| path_of(call).split('/').skip(4).map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let id = ids.iter().find(|part| part.len() == 32).expect("a message id");
        assert!(!text.contains(id), "{name} has the id of a message");
    }
    assert!(evidence.text.contains("Case 601: ") && evidence.text.contains("a list named 500 messages"));
    let repeated = ["599", "499", "99"].map(|times| format!("… and so {times} times more, until "));
    assert!(repeated.iter().all(|words| evidence.text.contains(words)), "{}", evidence.text);
    assert!(evidence.text.contains("mex-chunk-range"), "the headers of a chunk are named");
}

#[tokio::test]
async fn mail_of_others_is_neither_downloaded_nor_acknowledged() {
    let scene = Scene::new(Kind::Strict).await;
    let foreign: Vec<String> = scene.send(&["many=3"]).into_iter().map(|sent| sent.id).collect();
    scene.sandbox.report().await;
    let cases = ["201", "401", "402", "601", "705"].map(|number| ["--case", number]).concat();
    let evidence = Evidence::of(&scene, &cases);
    assert_eq!(evidence.ended.code, Some(0), "{:?}\n{}", evidence.ended, evidence.text);
    assert!(evidence.reason(601).starts_with("messages that are not of this run wait in the mailbox (3)"));
    assert!(evidence.reason(502).contains("not asked for"));
    let report = scene.sandbox.report().await;
    let calls = report["calls"].to_string();
    assert!(foreign.iter().all(|id| !calls.contains(id)), "no call names them: {calls}");
    assert_eq!(scene.sandbox.inbox(MAILBOX, &[]), foreign, "and they wait as before");
}

#[tokio::test]
async fn the_sandbox_as_it_is_cannot_show_a_410_and_the_evidence_says_so() {
    let scene = Scene::new(Kind::Plain).await;
    let evidence = Evidence::of(&scene, &["--case", "704", "--case", "705"]);
    assert_eq!(evidence.ended.code, Some(0), "{:?}", evidence.ended);
    assert_eq!(evidence.case(704)["verdict"], "passed");
    assert!(evidence.reason(705).contains("as NHS's sandbox does: no 410"), "{}", evidence.reason(705));
}

/// A far side that breaks one rule at a time.
#[tokio::test]
async fn a_rule_that_is_broken_is_a_case_that_fails() {
    let localid = json!({ "toxin": "header", "path": "/inbox/", "method": "GET", "name": "mex-localid", "value": "x" });
    let cut = json!({ "toxin": "cut", "path": "/inbox/", "method": "GET", "bytes": 3 });
    let lost = json!({ "toxin": "status", "path": "/status/acknowledged", "method": "PUT", "status": 500 });
    let busy = json!({ "toxin": "status", "path": "/outbox", "method": "POST", "status": 503 });
    let code = json!({ "toxin": "status", "path": "/outbox", "method": "POST", "status": 400 });
    for (toxin, case, why) in [
        (localid, "401", "does not have its local id: it is left alone"),
        (cut, "401", "the body of chunk 1"),
        (lost, "401", "the acknowledge: MESH-UNAVAILABLE"),
        (busy, "201", "whether it was sent is not known: MESH-UNAVAILABLE"),
        (code, "702", "one request with a 417 is expected"),
    ] {
        let scene = Scene::new(Kind::Strict).await;
        scene.sandbox.toxin(toxin.clone()).await;
        let evidence = Evidence::of(&scene, &["--case", case]);
        assert_eq!(evidence.ended.code, Some(1), "{toxin}: {:?}", evidence.ended);
        let number = case.parse().expect("a number");
        assert_eq!(evidence.case(number)["verdict"], "failed", "{toxin}");
        assert!(evidence.reason(number).contains(why), "{toxin}: {}", evidence.reason(number));
        assert!(evidence.ended.stderr.contains("1 failed"), "{}", evidence.ended.stderr);
        assert!(scene.sandbox.inbox(MAILBOX, &[]).is_empty(), "{toxin}: what is ours is put away all the same");
        assert_eq!(scene.sandbox.report().await["waiting"], json!([]), "{toxin}: it acted");
    }
}

#[tokio::test]
async fn it_does_not_begin_beside_a_daemon_nor_without_mesh_nor_on_live() {
    let scene = Scene::new(Kind::Strict).await;
    let folder = scene.place.path("evidence");
    let run = || scene.place.meshd(&["conformance", "--out", folder.to_str().expect("UTF-8"), "--case", "704"]);
    let daemon = scene.place.start();
    let beside = run();
    assert_eq!(beside.code, Some(75), "{beside:?}");
    assert!(beside.stderr.contains("the daemon must be stopped first"), "{beside:?}");
    daemon.stop_in_order();
    scene.place.write("password", "an outdated password\n");
    assert_eq!(run().code, Some(77));
    scene.place.write("password", SECRETS.password);
    assert_eq!(run().code, Some(0), "the folder is still empty, and is taken");
    let again = run();
    assert_eq!(again.code, Some(1), "evidence is not written over");
    assert!(again.stderr.contains("not empty"), "{again:?}");
    fs::remove_dir_all(&folder).expect("it is ours");
    let configuration = fs::read_to_string(scene.place.path("meshd.toml")).expect("a configuration");
    scene.place.write("meshd.toml", &configuration.replace(&scene.sandbox.url, "https://localhost:1"));
    let away = run();
    assert_eq!(away.code, Some(69), "{away:?}");
    let url = format!("url = \"{}\"", scene.sandbox.url);
    let live = [(r#""custom""#, r#""live""#), (&url, ""), (r#"poll = "* * * * * *""#, "")]
        .iter()
        .fold(configuration, |text, (old, new)| text.replace(old, new));
    scene.place.write("meshd.toml", &live);
    let live = run();
    assert!(live.code == Some(1) && live.stderr.contains("is the live service"), "{live:?}");
}
