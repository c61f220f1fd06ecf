//! From the Java client to a configuration that `meshd check` finds nothing in, by the steps that the import prints.

use std::fs;
use std::path::Path;

use meshd::simulator::house::EVERYTHING;
use serde_json::Value;

use crate::place::Place;

/// The configuration of a client whose keystore keytool made.
fn old_client(place: &Place) -> String {
    let keystore = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/meshclient/mesh.jks");
    format!(
        "<MESHConfig>
<PrimaryURL>https://localhost:8743/messageexchange</PrimaryURL>
<KeyStorePath>{keystore}</KeyStorePath><KeyStorePassword>synthetic-1</KeyStorePassword>
<WorkPath>{work}</WorkPath><PollPeriod>30</PollPeriod>
<AuthenticationKey>environment-key</AuthenticationKey>
<Client><ClientIdentity>X26ABC1</ClientIdentity><ClientAuthentication>hunter2</ClientAuthentication>
<InterfaceRoot>{root}</InterfaceRoot></Client>
</MESHConfig>",
        keystore = keystore.display(),
        work = place.path("working").display(),
        root = place.output().display(),
    )
}

/// Does what the report leaves to do.
fn fill_in(configuration: &str, recipient: &str) -> String {
    configuration
        .replace("#organisation = ", "organisation = ")
        .replace("#recipients = [\"age1...\", \"age1...\"]", &format!("recipients = [\"{recipient}\"]"))
}

#[test]
fn what_was_imported_needs_only_what_it_asks_for() {
    let place = Place::new();
    place.write("meshclient.cfg", &old_client(&place));
    place.write("working/X26ABC1.lck", "");
    let text = |name: &str| place.path(name).display().to_string();
    let (cfg, out) = (text("meshclient.cfg"), text("imported"));
    let import = ["import-meshclient", &cfg, "--out", &out, "--json"];
    let refused = place.meshd(&import);
    assert_eq!(refused.code, Some(75), "{}", refused.stderr);
    assert!(refused.stderr.contains("X26ABC1.lck"), "{}", refused.stderr);
    fs::remove_file(place.path("working/X26ABC1.lck")).expect("the folder is ours");
    let said = place.meshd(&import).expect_done();
    assert!(!said.contains("hunter2") && !said.contains("synthetic-1"), "{said}");
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert!(report["to_do"].as_array().is_some_and(|steps| !steps.is_empty()), "{report}");

    let configuration = text("imported/meshd.toml");
    let check = ["check", "--config", &configuration];
    let own = format!(
        "[state]\ndirectory = \"{state}\"\nmin_free = \"0%\"\nmin_free_inodes = \"0%\"\n\
         [control]\nsocket = \"{socket}\"\n[pipelines]\ndirectory = \"{pipelines}\"\n",
        state = text("state"),
        socket = text("control.sock"),
        pipelines = text("pipelines"),
    );
    place.write("imported/conf.d/own.toml", &own);
    place.write("pipelines/everything.toml", EVERYTHING);
    let asked = place.meshd(&check);
    assert_eq!(asked.code, Some(78), "{asked:?}");
    for key in ["mailbox[1].organisation", "mailbox[1].recipients", "keys.identity", "keys.hmac"] {
        assert!(asked.stderr.contains(key), "{key}: {}", asked.stderr);
    }

    let generate = ["keys", "generate", "--output"];
    let identity = text("imported/secrets/meshd-age-identity");
    let recipient = place.meshd(&[&generate[..], &[&identity]].concat()).expect_done();
    let hmac = text("imported/secrets/meshd-hmac");
    place.meshd(&[&generate[..], &[&hmac, "--hmac"]].concat()).expect_done();
    let written = fs::read_to_string(&configuration).expect("it was made");
    place.write("imported/meshd.toml", &fill_in(&written, recipient.trim()));
    place.meshd(&["output", "init", "--config", &configuration]).expect_done();
    place.meshd(&check).expect_done();
}
