//! What goes out by hand: from one mailbox to another of the same daemon, through a MESH that fails.

use std::fs;

use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::message::Draft;
use serde_json::Value;

use crate::PATIENCE;
use crate::house::House;
use crate::place::{Daemon, sha256};
use crate::trace::found;

const FROM: &str = "X26ABC1";
const TO: &str = "X26ABC2";

fn two_mailboxes() -> House {
    two_mailboxes_with("send = { chunk = \"100KB\" }\n")
}

fn two_mailboxes_with(mailbox: &'static str) -> House {
    let plan = Plan {
        mailboxes: vec![FROM.to_owned(), TO.to_owned()],
        mailbox,
        mesh: "ask_after = \"1s\"\ntrack_after = \"1s\"\n",
        ..Plan::default()
    };
    let house = House::build(plan);
    house.set_up();
    house
}

/// Sends a file of so many bytes; its delivery and its digest.
fn send(house: &House, length: usize) -> (String, Option<String>) {
    send_as(house, length, &[])
}

fn send_as(house: &House, length: usize, more: &[&str]) -> (String, Option<String>) {
    let file = house.path(&format!("out-{length}"));
    let bytes: Vec<u8> = (0..length).map(|number| (number % 251) as u8).collect();
    fs::write(&file, bytes).expect("the folder is ours");
    let name = file.to_str().expect("a plain name");
    let arguments = ["send", name, "--mailbox", FROM, "--to", TO, "--workflow", "LETTERS", "--json"];
    let said = house.meshd(&[&arguments[..], more].concat()).expect_done();
    let said: Value = serde_json::from_str(&said).expect("JSON");
    (format!("d{}", said["queued"]), sha256(&file))
}

/// Where each send stands: its delivery, its class, and how far it came.
fn ledger(house: &House) -> Vec<(String, String, String)> {
    let listed: Value = serde_json::from_str(&house.meshd(&["sent", "list", "--json"]).expect_done()).expect("JSON");
    // A word, or an object of one member that is called so.
    let word = |value: &Value| {
        let member = || value.as_object().and_then(|object| object.keys().next().cloned());
        value.as_str().map(str::to_owned).or_else(member).unwrap_or_default()
    };
    let of = |one: &Value| {
        let delivery = &one["delivery"];
        (format!("d{}", delivery["id"]), word(&one["class"]), word(&delivery["outgoing"]["progress"]))
    };
    listed.as_array().expect("a list").iter().map(of).collect()
}

fn wait_until_accepted(house: &House, daemon: &Daemon, count: usize) {
    let accepted =
        || ledger(house).iter().filter(|(_, class, state)| class == "delivered" && state == "accepted").count();
    daemon.wait_for("MESH to have all", PATIENCE, || accepted() == count);
}

#[test]
fn what_is_sent_comes_out_at_the_other_end_byte_for_byte() {
    let house = two_mailboxes();
    let daemon = house.start();
    let sent: Vec<_> = [1, 1_000, 100_000, 100_001, 750_000].map(|length| send(&house, length)).into();
    wait_until_accepted(&house, &daemon, sent.len());
    daemon.wait_for("all to come back in", PATIENCE, || house.published_of(TO).len() == sent.len());
    let mut expected: Vec<_> = sent.iter().map(|(_, sha256)| sha256.clone()).collect();
    let mut found: Vec<_> = house.published_of(TO).into_values().collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);

    daemon.wait_for("MESH to be asked for them", PATIENCE, || {
        ledger(&house).iter().all(|(_, _, state)| state == "collected")
    });
    let told = house.meshd(&["sent", "list"]).expect_done();
    assert!(told.contains("collected") && told.contains(TO) && told.contains("LETTERS"), "{told}");
    let story = house.meshd(&["message", "show", &sent[4].0]).expect_done();
    for step in
        ["gave it to be sent to X26ABC2", "is about to be sent", "with 7 of its chunks", "was accepted by MESH as"]
    {
        assert!(story.contains(step), "{step}: {story}");
    }
    let empty = house.path("empty");
    fs::write(&empty, "").expect("the folder is ours");
    let refused = house.meshd(&[
        "send",
        empty.to_str().expect("a plain name"),
        "--mailbox",
        FROM,
        "--to",
        TO,
        "--workflow",
        "W",
        "--subject",
        &"x".repeat(501),
    ]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("payload: it is empty") && refused.stderr.contains("Mex-Subject"), "{refused:?}");
    daemon.stop_in_order();
    house.meshd(&["journal", "verify"]).expect_done();
}

#[test]
fn what_mesh_refuses_is_dead_and_sent_again_once_it_is_mended() {
    let house = two_mailboxes();
    let daemon = house.start();
    let file = house.path("letter");
    fs::write(&file, "a letter").expect("the folder is ours");
    let name = file.to_str().expect("a plain name");
    house.meshd(&["send", name, "--mailbox", FROM, "--to", "NOSUCH", "--workflow", "LETTERS"]).expect_done();
    daemon.wait_for("it to be dead", PATIENCE, || ledger(&house)[0].1 == "dead");
    let shown = house.meshd(&["deadletter", "list"]).expect_done();
    assert!(shown.contains("SEND-REFUSED"), "{shown}");
    assert!(daemon.log().contains("a message was not sent"), "{}", daemon.log());
    let told = house.meshd(&["sent", "list"]).expect_done();
    assert!(told.contains("12, SEND, Unregistered to address"), "{told}");
    let id = ledger(&house)[0].0.clone();
    house.meshd(&["deadletter", "replay", &id]).expect_done();
    daemon.wait_for("it to be refused again", PATIENCE, || ledger(&house).get(1).is_some_and(|next| next.1 == "dead"));
    daemon.stop_in_order();
}

#[test]
fn chunks_go_on_where_they_were_through_resets_and_kills() {
    let house = two_mailboxes();
    house.fault(Rule { from_nth: 3, ..Rule::once(Call::SendChunk, Fault::Refuse) });
    house.fault(Rule { from_nth: 6, ..Rule::once(Call::SendChunk, Fault::LoseReply) });
    house.fault(Rule::once(Call::Send, Fault::status(429)));
    let daemon = house.start();
    let (_, sha256) = send(&house, 950_000);
    daemon.wait_for("some chunks to be there", PATIENCE, || ledger(&house)[0].2 == "uploading");
    daemon.kill();
    let daemon = house.start();
    wait_until_accepted(&house, &daemon, 1);
    daemon.wait_for("it to come back in", PATIENCE, || house.published_of(TO).len() == 1);
    assert_eq!(house.published_of(TO).into_values().next(), Some(sha256));
    daemon.stop_in_order();
}

#[test]
fn what_got_no_answer_is_at_mesh_once_whether_it_arrived_or_not() {
    for (fault, kills) in
        [(Fault::LoseReply, false), (Fault::LoseReply, true), (Fault::Refuse, false), (Fault::Refuse, true)]
    {
        let house = two_mailboxes();
        house.fault(Rule::once(Call::Send, fault.clone()));
        let mut daemon = house.start();
        let sent = [send(&house, 1_000), send(&house, 250_000)];
        if kills {
            daemon.wait_for("it to be begun", PATIENCE, || ledger(&house).iter().any(|(_, _, state)| state == "begun"));
            daemon.kill();
            daemon = house.start();
        }
        wait_until_accepted(&house, &daemon, 2);
        daemon.wait_for("both to come back in", PATIENCE, || house.published_of(TO).len() == 2);
        let mut expected: Vec<_> = sent.map(|(_, sha256)| sha256).into();
        let mut found: Vec<_> = house.published_of(TO).into_values().collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{fault:?}");
        let at_mesh = house.simulator().messages(TO).expect("the mailbox is there").len();
        assert_eq!(at_mesh, 2, "{fault:?}: none of them twice");
        daemon.stop_in_order();
    }
}

#[test]
fn what_nobody_can_find_out_is_held_and_goes_again_only_if_somebody_says_so() {
    let house = two_mailboxes();
    house.fault(Rule::once(Call::Send, Fault::LoseReply));
    let daemon = house.start();
    let (id, _) = send_as(&house, 1_000, &["--local-id", "RXX-17"]);
    daemon.wait_for("it to be held", PATIENCE, || ledger(&house)[0].1 == "held");
    let told = house.meshd(&["sent", "list"]).expect_done();
    assert!(told.contains("unknown") && told.contains("SEND-UNKNOWN"), "{told}");
    let release = ["deadletter", "release", &id];
    let refused = house.meshd(&release);
    assert!(refused.code == Some(1) && refused.stderr.contains("--again"), "{refused:?}");
    assert_eq!(house.simulator().messages(TO).expect("the mailbox is there").len(), 1);
    house.meshd(&[&release[..], &["--again", "--reason", "the recipient wants it twice"]].concat()).expect_done();
    wait_until_accepted(&house, &daemon, 1);
    daemon.stop_in_order();
}

#[test]
fn what_somebody_found_at_mesh_is_not_sent_again_and_what_they_want_again_is() {
    let house = two_mailboxes();
    house.fault(Rule::once(Call::Send, Fault::LoseReply));
    let daemon = house.start();
    let (id, _) = send_as(&house, 1_000, &["--local-id", "RXX-17"]);
    daemon.wait_for("it to be held", PATIENCE, || ledger(&house)[0].1 == "held");
    let there = house.simulator().messages(TO).expect("the mailbox is there");
    let resolve = ["sent", "resolve", &id, "--arrived", &there[0].id, "--reason", "they have it"];
    assert_eq!(house.meshd(&resolve[..5]).code, Some(2), "it takes a reason");
    house.meshd(&resolve).expect_done();
    let again = house.meshd(&resolve);
    assert!(again.code == Some(1) && again.stderr.contains("no send that got no answer"), "{again:?}");
    let resent = house.meshd(&["sent", "resend", &id, "--reason", "they lost it"]).expect_done();
    assert!(resent.contains("is sent once more"), "{resent}");
    daemon.wait_for("a second message", PATIENCE, || house.published_of(TO).len() == 2);
    let stranger = format!("d{}", found(&house, &["--kind", "accepted"])[0]["sequence"]);
    let refused = house.meshd(&["sent", "resend", &stranger, "--reason", "it came in"]);
    assert_eq!(refused.code, Some(1), "what came in is not sent");
    let story = house.meshd(&["message", "show", &id]).expect_done();
    assert!(story.contains("found it at MESH as") && story.contains("they have it"), "{story}");
    daemon.stop_in_order();
}

/// Point 15 of the compatibility list (mesh-client-files 12): what routes to a patient is in no log, journal or list.
#[test]
fn a_control_file_says_where_to_and_nothing_of_it_is_told_in_clear() {
    const PATIENT: &str = "GPPROVIDER_9990000018_19670126_CANARY";
    let house = two_mailboxes();
    let daemon = house.start();
    let file = house.path("letter");
    fs::write(&file, "a letter").expect("the folder is ours");
    let control = |to: &str| {
        format!(
            "<DTSControl><Version>1.0</Version><AddressType>DTS</AddressType><MessageType>Data</MessageType>\
             <WorkflowId>LETTERS</WorkflowId><To_DTS>{to}</To_DTS><From_DTS>{FROM}</From_DTS>\
             <Subject>CANARY-SUBJECT 9990000026</Subject><Compress>N</Compress></DTSControl>"
        )
    };
    let name = file.to_str().expect("a plain name");
    let send = |to: &str| {
        house.write("letter.ctl", &control(to));
        let control = house.path("letter.ctl");
        house.meshd(&["send", name, "--control", control.to_str().expect("a plain name")])
    };
    send(TO).expect_done();
    let routed = send(PATIENT).expect_done();
    assert!(routed.contains("whom MESH finds"), "{routed}");
    daemon.wait_for("both to have an end", PATIENCE, || {
        let stand = ledger(&house);
        stand.len() == 2 && stand.iter().all(|(_, class, _)| class != "waiting")
    });
    assert_eq!(ledger(&house).iter().filter(|(_, class, _)| class == "dead").count(), 1, "the far side routes nobody");
    daemon.wait_for("the other to come back in", PATIENCE, || house.published_of(TO).len() == 1);
    let listed = house.meshd(&["sent", "list"]).expect_done() + &house.meshd(&["sent", "list", "--json"]).expect_done();
    assert!(!listed.contains("CANARY") && !listed.contains("999000"), "{listed}");
    house.write("numbers", "9990000018\n");
    fs::write(&file, "a letter about 999 000 0018").expect("the folder is ours");
    send(TO).expect_done();
    let numbers = house.path("numbers");
    let about = ["--nhs-number-file", numbers.to_str().expect("a plain name"), "--reason", "INC0012345", "--json"];
    let about = house.meshd(&[&["subject", "find", "--scan"][..], &about].concat()).expect_done();
    let about: Value = serde_json::from_str(&about).expect("JSON");
    let goes_out = |kept: &&Value| kept["delivery"]["outgoing"].is_object();
    let kept = about["deliveries"].as_object().expect("a map").values();
    let found = (kept.filter(goes_out).count(), &about["left_behind"]);
    assert_eq!(found, (2, &Value::Array(Vec::new())), "the letter, and the one that is addressed by them: {about}");
    let broken = send("");
    assert!(broken.code == Some(1) && broken.stderr.contains("To_DTS"), "{broken:?}");
    let named = house.meshd(&["send", name, "--mailbox", FROM, "--to", PATIENT, "--workflow", "LETTERS"]);
    assert!(named.code == Some(1) && named.stderr.contains("--control"), "{named:?}");
    daemon.stop_in_order();
    for (path, bytes) in house.kept_in_clear() {
        for secret in ["CANARY", "9990000018", "9990000026"] {
            let found = bytes.windows(secret.len()).any(|some| some == secret.as_bytes());
            assert!(!found, "{secret} in {}", path.display());
        }
    }
}

#[test]
fn no_more_waits_to_be_sent_than_may() {
    let house = two_mailboxes_with("limits = { messages = 2, bytes = \"1MB\" }\n");
    let daemon = house.start();
    house.meshd(&["mailbox", "suspend", FROM, "--reason", "INC0012345"]).expect_done();
    send(&house, 1_000);
    send(&house, 1_001);
    let file = house.path("out-1000");
    let third = ["send", file.to_str().expect("a plain name"), "--mailbox", FROM, "--to", TO, "--workflow", "LETTERS"];
    let refused = house.meshd(&third);
    assert!(refused.code == Some(75) && refused.stderr.contains("`limits` allow"), "{refused:?}");
    house.meshd(&["mailbox", "resume", FROM, "--reason", "INC0012345"]).expect_done();
    wait_until_accepted(&house, &daemon, 2);
    house.meshd(&third).expect_done();
    daemon.stop_in_order();
}

/// MESH's report of it may name our own mailbox (mesh-api 5.2): whom it was for is in the ledger.
#[test]
fn the_report_of_a_loss_names_whom_the_message_was_for() {
    let house = two_mailboxes();
    let daemon = house.start();
    send(&house, 1_000);
    wait_until_accepted(&house, &daemon, 1);
    let at_mesh = house.simulator().messages(TO).expect("the mailbox is there")[0].id.to_string();
    for (id, linked) in [("KNOWN", at_mesh.as_str()), ("UNKNOWN", "20260105093012123456_0A1B2C")] {
        let report = Draft { to: Some(FROM.to_owned()), ..Draft::undelivered("LETTERS", linked) };
        house.offer_as(FROM, id, &report.ready().expect("a sound report"));
    }
    daemon.wait_for("both reports", PATIENCE, || house.published_of(FROM).len() == 2);
    let control =
        |id: &str| fs::read_to_string(house.inbox_of(FROM).join(format!("{id}.ctl"))).expect("it was published");
    let known = control("KNOWN");
    assert!(known.contains("<From_DTS>X26ABC1<") && known.contains("<To_DTS>X26ABC2<"), "{known}");
    assert!(known.contains(&format!("<DTSId>{at_mesh}<")), "{known}");
    let unknown = control("UNKNOWN");
    assert!(unknown.contains("<To_DTS>X26ABC1<"), "as it was served: {unknown}");
    assert_eq!(ledger(&house)[0].2, "undelivered");
    daemon.stop_in_order();
}
