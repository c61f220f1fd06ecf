//! What the daemon sends, collected by NHS's client from NHS's sandbox.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use age::secrecy::ExposeSecret as _;
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

/// As an application of twenty years does it, through `OUT`; and what MESH refuses comes back with MESH's own code.
#[tokio::test]
async fn nhs_client_collects_what_applications_put_into_out() {
    let pickup = "pickup = { settle = \"1s\", scan = \"1s\", file_name = true }\n";
    let scene = Scene::with(Kind::Strict, Plan { mailbox: pickup, ..Plan::default() }).await;
    let daemon = scene.place.start();
    let (out, sent) = (scene.place.output().join("OUT"), scene.place.output().join("SENT"));
    let put = |base: &str, to: &str, bytes: &[u8]| {
        fs::write(out.join(format!("{base}.dat")), bytes).expect("the folder is ours");
        let control = format!(
            "\u{feff}<?xml version=\"1.0\"?>\r\n<DTSControl Version=\"1.0\">\r\n<From_DTS> {from} </From_DTS><LocalId>{base}\
             </LocalId>\r\n<Version>1.0</Version><AddressType>dts</AddressType><To_DTS>{to}</To_DTS>\r\n\
             <MessageType>DATA</MessageType><Subject>a &lt;b&gt; &amp; &#x63;</Subject>\r\n\
             <WorkflowId>TEST_WORKFLOW</WorkflowId><Unheard>of</Unheard></DTSControl>\r\n",
            from = MAILBOX.to_lowercase(),
        );
        fs::write(out.join(format!("{base}.ctl")), control).expect("the folder is ours");
    };
    put("list.csv", SENDER, b"a,b\n");
    put("one", SENDER, b"1");
    put("nobody", "NOSUCH", b"1");
    let count = |folder: &str| fs::read_dir(scene.place.output().join(folder)).expect("it is there").count();
    daemon.wait_for("all to be put away", PATIENCE, || count("OUT") == 0);
    assert_eq!((count("SENT"), count("FAILED")), (4, 2));
    let collected: Vec<Value> = scene.sandbox.collect(SENDER);
    assert_eq!(collected.len(), 2);
    for (base, length) in [("list.csv", 4), ("one", 1)] {
        let found = collected.iter().find(|one| one["headers"]["localid"] == base);
        let headers = &found.unwrap_or_else(|| panic!("{base} did not arrive"))["headers"];
        let data = sent.join(format!("{base}.dat"));
        assert_eq!(found.map(|found| &found["sha256"]), Some(&json!(sha256(&data).expect("it is there"))));
        assert_eq!(found.map(|found| &found["length"]), Some(&json!(length)));
        assert_eq!(headers["subject"], "a <b> & c");
        assert_eq!(headers["filename"], format!("{base}.dat"));
        let rewritten = fs::read_to_string(data.with_extension("ctl")).expect("it is there");
        let id = found.and_then(|found| found["id"].as_str()).expect("an id");
        assert!(rewritten.contains(&format!("<DTSId>{id}</DTSId>")), "{rewritten}");
    }
    let refused = fs::read_to_string(scene.place.output().join("FAILED/nobody.ctl")).expect("it is there");
    assert!(refused.contains("<Event>SEND</Event>") && refused.contains("<StatusCode>12</StatusCode>"), "{refused}");
    scene
        .place
        .meshd(&["deadletter", "discard", "--state", "dead", "--reason", "it went to nobody", "--yes"])
        .expect_done();
    scene.end(daemon);
}

/// Encrypted before it leaves, by a rule, and opened by the pipeline at the other end, which is another mailbox's daemon
/// as far as the sandbox knows.
#[tokio::test]
async fn what_is_encrypted_at_its_source_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, identity) = (folder.path().join("identity"), age::x25519::Identity::generate());
    fs::write(&file, identity.to_string().expose_secret()).expect("the folder is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("the folder is ours");
    let pipeline = format!(
        "name = \"opened\"\n[[stage]]\nuse = \"decrypt\"\nidentity = {{ file = \"{}\" }}\n\
         [[output]]\nname = \"inbox\"\nkind = \"mesh-folder\"\npath = \"{{mailbox.output}}/IN\"\n",
        file.display()
    );
    let mailbox = format!(
        "send = {{ chunk = \"6MB\" }}\npickup = {{ settle = \"1s\", scan = \"1s\", reports = [] }}\n\
         [[mailbox.encrypt]]\nto = \"{SENDER}\"\nrecipients = [\"{other}\"]\n\
         [[mailbox.encrypt]]\nworkflow = \"TEST_WORKFLOW\"\nrecipients = [\"{own}\"]\n",
        other = age::x25519::Identity::generate().to_public(),
        own = identity.to_public(),
    );
    let plan = Plan {
        pipelines: vec![("opened.toml", pipeline)],
        mailbox: Box::leak(mailbox.into_boxed_str()),
        ..Plan::default()
    };
    let scene = Scene::with(Kind::Strict, plan).await;
    let daemon = scene.place.start();
    let send = |to: &str, bytes: &[u8]| {
        let file = scene.place.path("letter");
        fs::write(&file, bytes).expect("the folder is ours");
        let name = file.to_str().expect("a plain name");
        scene.place.meshd(&["send", name, "--to", to, "--workflow", "TEST_WORKFLOW"]).expect_done();
        sha256(&file)
    };
    let large: Vec<u8> = (0..14_000_000_u64).map(|number| (number * number % 253) as u8).collect();
    let mut expected = vec![send(MAILBOX, b"one letter"), send(MAILBOX, &large)];
    send(SENDER, b"for another");
    let out = scene.place.output().join("OUT");
    fs::write(out.join("pair.dat"), "through OUT").expect("the folder is ours");
    let control = format!(
        "<DTSControl><Version>1.0</Version><AddressType>DTS</AddressType><MessageType>Data</MessageType>\
         <WorkflowId>TEST_WORKFLOW</WorkflowId><To_DTS>{MAILBOX}</To_DTS><From_DTS>{MAILBOX}</From_DTS></DTSControl>"
    );
    fs::write(out.join("pair.ctl"), control).expect("the folder is ours");
    daemon.wait_for("all to come back in", PATIENCE, || scene.place.published().len() == 3);
    daemon.wait_for("the pair to be put away", PATIENCE, || fs::read_dir(&out).expect("it is there").count() == 0);
    expected.push(sha256(&scene.place.output().join("SENT/pair.dat")));
    let mut found: Vec<_> = scene.place.published().into_values().collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let control = fs::read_dir(scene.place.inbox()).expect("it is there").map(|entry| entry.expect("it lists").path());
    let control = control.filter(|path| path.extension().is_some_and(|extension| extension == "ctl"));
    let texts: Vec<String> = control.map(|path| fs::read_to_string(path).expect("it is there")).collect();
    assert!(texts.iter().all(|text| text.contains("<Encrypted>Y</Encrypted>")), "its sender said so: {texts:?}");
    let collected: Vec<Value> = scene.sandbox.collect(SENDER);
    assert_eq!((collected.len(), &collected[0]["headers"]["content-encrypted"]), (1, &json!("Y")));
    assert!(collected[0]["length"].as_u64() > Some(11 + 16 + 100), "an age file: {}", collected[0]);
    scene.end(daemon);
}

/// The recipient by its organisation: asked of the sandbox, where one mailbox is registered for one workflow, all for
/// another, and none for a third.
#[tokio::test]
async fn a_recipient_is_found_by_its_organisation_and_workflow() {
    let mailbox = "[mailbox.pickup]\nsettle = \"1s\"\nscan = \"1s\"\nreports = []\n\
                   [[mailbox.pickup.auto]]\nbegins = \"ONE_\"\nto_ods = \"X26\"\nworkflow = \"TEST_WORKFLOW\"\n\
                   [[mailbox.pickup.auto]]\nbegins = \"MANY_\"\nto_ods = \"X26\"\nworkflow = \"TEST_WORKFLOW2\"\n\
                   [[mailbox.pickup.auto]]\nbegins = \"NONE_\"\nto_ods = \"Y99\"\nworkflow = \"TEST_WORKFLOW\"\n";
    let scene = Scene::with(Kind::Strict, Plan { mailbox, ..Plan::default() }).await;
    let daemon = scene.place.start();
    let find = |more: &[&str]| scene.place.meshd(&[&["mailbox", "find", "--ods"][..], more].concat());
    let found = find(&["x26", "--workflow", "TEST_WORKFLOW", "--json"]).expect_done();
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(found["mailboxes"], json!([{ "mailbox": SENDER, "name": "TESTMB2" }]));
    let several = find(&["X26", "--workflow", "TEST_WORKFLOW2"]).expect_done();
    assert!(several.contains(SENDER) && several.contains(MAILBOX), "{several}");
    let none = find(&["Y99", "--workflow", "TEST_WORKFLOW"]);
    assert!(none.code == Some(1) && none.stderr.contains("no mailbox"), "{none:?}");

    let file = scene.place.path("letter");
    fs::write(&file, "a letter").expect("the folder is ours");
    let name = file.to_str().expect("a plain name");
    scene.place.meshd(&["send", name, "--to-ods", "X26", "--workflow", "TEST_WORKFLOW"]).expect_done();
    let refused = scene.place.meshd(&["send", name, "--to-ods", "X26", "--workflow", "TEST_WORKFLOW2"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("several"), "{refused:?}");
    let folder = |name: &str| scene.place.output().join(name);
    for base in ["ONE_1", "MANY_1", "NONE_1"] {
        fs::write(folder("OUT").join(format!("{base}.dat")), base).expect("the folder is ours");
    }
    let count = |name: &str| fs::read_dir(folder(name)).expect("it is there").count();
    daemon.wait_for("all to be put away", PATIENCE, || count("OUT") == 0);
    let text = |path: &str| fs::read_to_string(folder(path)).expect("it is there");
    assert!(text("SENT/ONE_1.ctl").contains(&format!("<To_DTS>{SENDER}</To_DTS>")));
    assert!(text("FAILED/MANY_1.ctl").contains("<StatusCode>EPL-150</StatusCode>"));
    assert!(text("FAILED/NONE_1.ctl").contains("<StatusCode>EPL-151</StatusCode>"));
    scene.wait_until_sent(&daemon, 2);
    assert_eq!(scene.sandbox.collect(SENDER).len(), 2);
    scene.end(daemon);
}

/// Published into the folder and answered to whoever sent it: NHS's client gets back what it sent, each once.
#[tokio::test]
async fn what_a_pipeline_sends_on_nhs_client_collects() {
    let answering = "name = \"answering\"\n[match]\nworkflow = \"TEST_WORKFLOW\"\ntype = \"data\"\n[[output]]\nname = \"inbox\"\nkind = \"mesh-folder\"\n\
                     path = \"{mailbox.output}/IN\"\n[[output]]\nname = \"answer\"\nkind = \"mesh\"\nto = \"{message.from}\"\n\
                     workflow = \"TEST_ANSWER\"\nsubject = \"it came\"\nkeep = [\"local_id\", \"file_name\"]\n";
    let pipelines = vec![("answering.toml", answering.to_owned())];
    let scene = Scene::with(Kind::Strict, Plan { pipelines, ..plan("ask_after = \"2s\"\n") }).await;
    let came = scene.send(&["plain=1000003", "gzip=50000", "chunked=60000000:20000000", "smallest", "patient"]);
    let toxin =
        json!({ "toxin": "status", "path": "/outbox", "method": "POST", "status": 429, "every": 2, "times": 3 });
    scene.sandbox.toxin(toxin).await;
    let daemon = scene.place.start();
    scene.wait_for_published(&daemon, &came);
    scene.wait_until_sent(&daemon, came.len());
    let answers: Vec<Value> = scene.sandbox.collect(SENDER);
    assert_eq!(answers.len(), came.len(), "each once");
    for sent in &came {
        let found = answers.iter().find(|answer| answer["sha256"] == sent.sha256);
        let headers = &found.unwrap_or_else(|| panic!("{} did not come back", sent.kind))["headers"];
        assert_eq!((&headers["from"], &headers["workflowid"]), (&json!(MAILBOX), &json!("TEST_ANSWER")));
        assert_eq!(headers["subject"], "it came");
        for (name, value) in [("localid", &sent.local_id), ("filename", &sent.file_name)] {
            if let Some(value) = value {
                assert_eq!(headers[name], *value, "{}", sent.kind);
            }
        }
    }
    scene.end(daemon);
}
