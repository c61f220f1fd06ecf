//! Every reason that meshd knows is given by a test: the rest of this suite shows those of receiving, the first test
//! here those of working and publishing, and the second says where each is shown.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use meshd::domain::fault::FaultCode;
use meshd::simulator::house::Plan;
use meshd::simulator::message::{Draft, Mail};
use meshd::simulator::payload::Payload;

use crate::estate::{Journal, check_discreet};
use crate::house::House;

/// Twenty alike suspend a pipeline.
const ALIKE: usize = 20;

fn mail(workflow: &str, body: &str) -> Arc<Mail> {
    Draft::data("X26ABC9", workflow, Payload::plain(body.to_owned())).ready().expect("a sound message")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "an operator's disk goes away and comes back")]
fn what_goes_wrong_after_acceptance_is_told_by_its_reason() {
    let (here, away) = ("X26ABC1".to_owned(), "X26ABC2".to_owned());
    let house = House::build(Plan { mailboxes: vec![here.clone(), away.clone()], ..Plan::default() });
    let output = "[[output]]\nname = \"inbox\"\nkind = \"mesh-folder\"\npath = \"{mailbox.output}/IN\"\n";
    let of = |workflow: &str, stage: &str| format!("[match]\nworkflow = [\"{workflow}\"]\n[[stage]]\n{stage}\n");
    let identity = house.path("identity");
    let decrypt = format!("use = \"decrypt\"\nidentity = {{ file = \"{}\" }}\nrequired = true", identity.display());
    let expect = "use = \"expect\"\ncontent = { format = \"hl7v2\" }";
    for (name, rest) in [
        ("gzip", of("GZIP", "use = \"decompress\"\nrequired = true").as_str()),
        ("sealed", &of("SEALED", &decrypt)),
        ("told", &of("TOLD", expect)),
        ("checked", &of("CHECKED", &format!("{expect}\notherwise = \"hold\""))),
        ("good", "[match]\nworkflow = [\"GOOD\"]\n"),
        ("old", "[match]\nworkflow = [\"OLD\"]\n[limits]\nmax_age = \"1s\"\n"),
        ("small", "[match]\nworkflow = [\"SMALL\"]\n[limits]\nmax_bytes = \"5B\"\n"),
        ("suspended", "[match]\nworkflow = [\"ALIKE\"]\n[limits]\nmax_bytes = \"5B\"\n"),
        (
            "unwanted",
            "[match]\nworkflow = [\"UNWANTED\"]\n[[stage]]\nuse = \"discard\"\nwhen = { workflow = [\"UNWANTED\"] }\nreason = \"nobody wants it\"\n",
        ),
    ] {
        house.write(&format!("pipelines/{name}.toml"), &format!("name = \"{name}\"\n{rest}{output}"));
    }
    house.set_up();
    fs::remove_file(house.path("pipelines/everything.toml")).expect("the folder is ours");
    fs::rename(house.path(&format!("out/{away}")), house.path("state-of-away")).expect("the folder is ours");
    let folder = house.path(&format!("out/{here}/IN"));
    fs::create_dir_all(&folder).expect("the folder is ours");
    fs::write(folder.join("TAKEN.dat"), "somebody else's").expect("the folder is ours");

    house.offer_as(&away, "AWAY", &mail("GOOD", "waits"));
    house.offer_as(&away, "OLD", &mail("OLD", "waits no longer"));
    for (id, workflow) in [
        ("GOOD", "GOOD"),
        ("TAKEN", "GOOD"),
        ("LARGE", "SMALL"),
        ("UNWANTED", "UNWANTED"),
        ("STRAY", "UNKNOWN"),
        ("NO-GZIP", "GZIP"),
        ("NOT-SEALED", "SEALED"),
        ("TOLD", "TOLD"),
        ("CHECKED", "CHECKED"),
    ] {
        house.offer_as(&here, id, &mail(workflow, "a letter"));
    }
    for n in 0..ALIKE {
        house.offer_as(&here, &format!("ALIKE-{n}"), &mail("ALIKE", "too large"));
    }
    let daemon = house.start();
    let limit = Duration::from_secs(60);
    house.wait_until_all_acknowledged(limit);
    let says = |code: FaultCode| daemon.log().contains(code.as_str());
    daemon.wait_for("the last of them", limit, || house.published_of(&here).contains_key("GOOD"));
    daemon.wait_for("an alarm", limit, || daemon.log().contains("a pipeline raised an alarm"));
    daemon.wait_for("what raised it", limit, || house.published_of(&here).contains_key("TOLD"));
    daemon
        .wait_for("twenty dead ones", limit, || daemon.log().matches(FaultCode::MsgTooLarge.as_str()).count() > ALIKE);
    house.offer_as(&here, "GOOD", &mail("GOOD", "another letter under the same id"));
    house.offer_as(&here, "ALIKE-AGAIN", &mail("ALIKE", "too large"));
    house.wait_until_all_acknowledged(limit);
    for code in [FaultCode::PipelineSuspended, FaultCode::MsgTooOld, FaultCode::OutUnavailable] {
        daemon.wait_for(code.as_str(), limit, || says(code));
    }
    let log = daemon.log();
    daemon.stop_in_order();
    assert!(!log.contains("panicked"), "{log}");
    fs::rename(house.path("state-of-away"), house.path(&format!("out/{away}"))).expect("the folder is ours");
    check_discreet(&house, &log);

    let journal = Journal::read(&house);
    for (id, code) in [
        ("AWAY", FaultCode::OutUnavailable),
        ("OLD", FaultCode::MsgTooOld),
        ("TAKEN", FaultCode::OutNameTaken),
        ("LARGE", FaultCode::MsgTooLarge),
        ("UNWANTED", FaultCode::MsgDiscarded),
        ("STRAY", FaultCode::MsgNoRoute),
        ("NO-GZIP", FaultCode::MsgBadCompression),
        ("NOT-SEALED", FaultCode::MsgNotDecryptable),
        ("CHECKED", FaultCode::MsgContentMismatch),
        ("GOOD", FaultCode::MsgIdReused),
        ("ALIKE-0", FaultCode::MsgTooLarge),
        ("ALIKE-AGAIN", FaultCode::PipelineSuspended),
    ] {
        assert!(journal.told(id, code), "{id} is told by {code}: {:?}", journal.reasons(id));
    }
    assert_eq!(fs::read(folder.join("TAKEN.dat")).expect("it is there"), b"somebody else's");
}

/// Where each reason is produced. A new reason does not compile until it has a place here.
fn shown_in(code: FaultCode) -> &'static str {
    match code {
        FaultCode::MsgBadHeaders => "headers_outside_the_dictionary_are_refused_by_name",
        FaultCode::MsgBadChunks => "chunks_must_agree_on_their_number_and_their_place",
        FaultCode::MsgBadEncoding => "a_body_is_whole_gzip_or_is_kept_as_served",
        FaultCode::MsgBadLength => "a_body_that_does_not_come_whole_is_never_kept",
        FaultCode::MsgGone => "each_status_on_a_download_touches_that_message_alone",
        FaultCode::MeshAuth => "waits_that_mesh_asks_for_are_kept_and_a_refusal_is_not_hammered",
        FaultCode::MeshRequest | FaultCode::MeshUnavailable | FaultCode::MeshProtocol => {
            "each_status_on_a_download_touches_that_message_alone"
        }
        FaultCode::MeshUnreachable => "a_body_that_does_not_come_whole_is_never_kept",
        FaultCode::MsgTooLarge
        | FaultCode::MsgIdReused
        | FaultCode::MsgNoRoute
        | FaultCode::MsgTooOld
        | FaultCode::MsgDiscarded
        | FaultCode::MsgBadCompression
        | FaultCode::MsgNotDecryptable
        | FaultCode::MsgContentMismatch
        | FaultCode::PipelineSuspended
        | FaultCode::OutUnavailable
        | FaultCode::OutNameTaken => "what_goes_wrong_after_acceptance_is_told_by_its_reason",
        // This needs a national service.
        FaultCode::MsgSynthetic => "src/work",
        // These need a broken disk, a dying daemon or a bug, so the parts' own tests show them.
        FaultCode::MsgPanic
        | FaultCode::MsgPoison
        | FaultCode::SpoolUnreadable
        | FaultCode::StoreFailed
        | FaultCode::OutRepublished => "src/work",
        FaultCode::SendNoRecipient => "src/pipeline",
        FaultCode::SendUnsendable | FaultCode::SendBacklog => "src/work",
        FaultCode::SendRefused | FaultCode::SendUnknown => "src/send",
        FaultCode::SpoolLost | FaultCode::OperatorHeld | FaultCode::Restored => "src/store",
        FaultCode::OutWrite | FaultCode::OutHung | FaultCode::OutBacklog | FaultCode::OutUncertain => "src/publish",
    }
}

#[test]
fn every_reason_is_shown_by_a_test_that_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    crate::estate::walk(&root.join("src"), &mut files);
    crate::estate::walk(&root.join("tests/hostile"), &mut files);
    let texts: Vec<(String, String)> = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .map(|file| {
            (
                file.strip_prefix(root).expect("below it").display().to_string(),
                fs::read_to_string(&file).expect("source"),
            )
        })
        .collect();
    for code in FaultCode::ALL {
        let place = shown_in(*code);
        let is_shown = if place.starts_with("src/") {
            let made = format!("FaultCode::{code:?}");
            texts.iter().any(|(file, text)| file.starts_with(place) && text.contains(&made))
        } else {
            texts.iter().any(|(file, text)| file.starts_with("tests/") && text.contains(&format!("fn {place}()")))
        };
        assert!(is_shown, "{code}: nothing in {place} shows it");
    }
}
