//! Whole configurations: the shipped one, good ones, and ones with many mistakes.

use std::collections::BTreeSet;

use super::document::Source;
use super::model::Feature;
use super::read::Notes;
use super::schema::{SHIPPED, shipped_in_full};
use super::*;

/// A recipient whose identity nobody has.
const RECIPIENT: &str = "age1kaea6l00mdx54a980c96jr7pknrfl0z5skj0xdexd6hvzc0epseq8u4wex";

/// One that is printed, as the examples have it.
const PRINTED: &str = "\"age1gde3ncmahlqd9gg50tanl99r960llztrhfapnmx853s4tjum03uqfssgdh\",
    \"age19f3cwwfmr5efmvse3u7ycf9gss54gwtv8wh3c22h4zly882w945s4z4yyl\",";

/// The drop-ins beside the shipped file.
pub(super) const EXAMPLES: [(&str, &str); 3] = [
    ("10-mailbox", include_str!("../../config/conf.d/10-mailbox.toml")),
    ("20-environment", include_str!("../../config/conf.d/20-environment.toml")),
    ("30-small-machine", include_str!("../../config/conf.d/30-small-machine.toml")),
];

fn source(text: &str) -> Source {
    Source { path: "meshd.toml".into(), text: text.into() }
}

pub(super) fn minimal() -> String {
    format!(
        r#"
[mesh]
environment = "int"
ca = {{ file = "/etc/meshd/ca.pem" }}
client_certificate = {{ credential = "mesh-cert" }}
client_key = {{ credential = "mesh-key" }}
shared_key = {{ credential = "mesh-shared-key" }}
[[mailbox]]
id = "X26ABC1"
organisation = "X26"
password = {{ credential = "mesh-X26ABC1" }}
recipients = ["{RECIPIENT}"]
output = "/srv/mesh/X26ABC1"
"#
    )
}

fn findings(text: &str) -> Vec<Finding> {
    check_sources(&[source(text)]).expect_err("there are mistakes")
}

/// The keys that have a finding, each with its line.
fn keys(text: &str) -> Vec<(String, Option<usize>)> {
    findings(text).into_iter().map(|finding| (finding.key, finding.line)).collect()
}

fn read(text: &str) -> (Config, Notes) {
    let mut notes = Notes::default();
    let table = document::merge(&[source(text)], &mut notes.findings);
    let config = Config::read(table, &mut notes);
    assert_eq!(notes.findings, []);
    (config, notes)
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    assert_eq!(read(SHIPPED).0, read("").0);
}

#[test]
fn the_shipped_file_shows_every_key() {
    let (_, notes) = read(&shipped_in_full());
    let shown: BTreeSet<String> =
        notes.places.keys().map(|key| key.chars().filter(|c| !matches!(c, '[' | ']' | '0'..='9')).collect()).collect();
    let references = |key: &&String| !key.ends_with(".credential") && !key.ends_with(".file");
    let hidden: Vec<_> = notes.known.keys().filter(references).filter(|key| !shown.contains(*key)).collect();
    assert_eq!(hidden, Vec::<&String>::new());
}

#[test]
fn the_shipped_file_is_right_once_every_key_is_switched_on() {
    let loaded = check_sources(&[source(&shipped_in_full())]).expect("no mistakes");
    let (written_out, left_out) = (&loaded.config.mailboxes[0], &read(&minimal()).0.mailboxes[0]);
    assert_eq!(written_out.poll, left_out.poll);
    assert_eq!(written_out.in_flight, left_out.in_flight);
    assert_eq!(written_out.mode, left_out.mode);
    assert_eq!(written_out.limits, left_out.limits);
    assert_eq!(written_out.set_aside, left_out.set_aside);
}

#[test]
fn each_example_can_be_laid_over_a_minimal_configuration_and_all_of_them_together() {
    let live = minimal().replace("\"int\"", "\"live\"");
    // The first names printed recipients, which only the second allows.
    let examples = EXAMPLES.map(|(name, text)| (name, text.replace(PRINTED, &format!("\"{RECIPIENT}\","))));
    let checked = |over: &[&str]| {
        let over = over.iter().map(|text| Source { path: "conf.d/example.toml".into(), text: (*text).to_owned() });
        check_sources(&std::iter::once(source(&live)).chain(over).collect::<Vec<_>>())
    };
    for (name, text) in &examples {
        checked(&[text]).unwrap_or_else(|findings| panic!("{name}: {findings:?}"));
    }
    let [mailbox, environment, small] = EXAMPLES.map(|(_, text)| text);
    let config = checked(&[mailbox, environment, small]).expect("no mistakes").config;
    assert_eq!(config.mailboxes.len(), 2);
    assert_eq!(config.mesh.map(|mesh| mesh.environment), Some(Environment::Integration));
    assert_eq!(config.life.workers.0, 1);
    let refused = checked(&[mailbox]).expect_err("printed recipients on live");
    assert!(refused.iter().all(|finding| finding.key == "mailbox[2].recipients"), "{refused:?}");
}

#[test]
fn a_minimal_configuration_is_enough() {
    let loaded = check_sources(&[source(&minimal())]).expect("no mistakes");
    let mesh = loaded.config.mesh.as_ref().expect("there is a service");
    assert_eq!(mesh.service(), Some(crate::adapters::mesh::Environment::Int));
    assert_eq!(loaded.sha256.len(), 64);
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line() {
    let text = minimal()
        + "pol = \"0 */5 * * * *\"\n[log]\nformat = \"jurnald\"\nlevel = 3\n[life]\ndrain = \"soon\"\n[stat]\n";
    assert_eq!(
        keys(&text),
        [
            ("mailbox[1].pol".into(), Some(14)),
            ("log.format".into(), Some(16)),
            ("log.level".into(), Some(17)),
            ("life.drain".into(), Some(19)),
            ("stat".into(), Some(20)),
        ]
    );
}

#[test]
fn a_slip_of_the_hand_is_told_the_nearest_word() {
    let text = minimal() + "[log]\nformat = \"jurnald\"\nlebel = \"info\"\n[retension]\n";
    let guesses: Vec<_> = findings(&text).into_iter().filter_map(|finding| finding.did_you_mean).collect();
    assert_eq!(guesses, ["journald", "level", "retention"]);
}

#[test]
fn a_missing_key_is_reported_at_its_table() {
    assert_eq!(keys(&minimal().replace("environment = \"int\"\n", "")), [("mesh.environment".into(), Some(2))]);
}

#[test]
fn an_empty_configuration_lacks_a_mailbox() {
    assert_eq!(keys(""), [("mailbox".into(), None)]);
}

#[test]
fn national_services_are_listed_at_most_every_five_minutes_and_at_least_daily() {
    for (poll, good) in [
        ("0 */5 * * * *", true),
        ("0 7 * * * *", true),
        ("0 */4 * * * *", false),
        ("*/30 * * * * *", false),
        ("0 0 9 * * Mon-Fri", false),
    ] {
        let text = minimal() + &format!("poll = \"{poll}\"\n");
        assert_eq!(check_sources(&[source(&text)]).is_ok(), good, "{poll}");
        let custom = text.replace("\"int\"", "\"custom\"\nurl = \"https://localhost:8743\"");
        assert!(check_sources(&[source(&custom)]).is_ok(), "{poll}");
    }
}

#[test]
fn a_custom_service_needs_its_url_and_a_named_one_takes_none() {
    assert_eq!(keys(&minimal().replace("\"int\"", "\"custom\"")), [("mesh.url".into(), Some(2))]);
    assert_eq!(
        keys(&minimal().replace("\"int\"", "\"int\"\nurl = \"https://a.example\"")),
        [("mesh.url".into(), Some(4))]
    );
}

#[test]
fn credentials_never_travel_in_the_clear() {
    let text = minimal().replace("\"int\"", "\"custom\"\nurl = \"http://mesh.example\"");
    assert_eq!(keys(&text), [("mesh.url".into(), Some(4))]);
}

#[test]
fn two_mailboxes_never_share_an_id_or_an_output() {
    let second = &minimal()[minimal().find("[[mailbox]]").expect("it is there")..];
    assert_eq!(
        keys(&(minimal() + second)),
        [("mailbox[2].id".into(), Some(15)), ("mailbox[2].output".into(), Some(19))]
    );
}

#[test]
fn a_secret_written_in_place_is_refused_and_not_repeated() {
    let text = minimal().replace("{ credential = \"mesh-X26ABC1\" }", "\"hunter2\"");
    let findings = findings(&text);
    assert_eq!(findings.len(), 1);
    assert!(!findings[0].to_string().contains("hunter2"));
    assert_eq!(findings[0].line, Some(11));
}

#[test]
fn a_reference_names_exactly_one_place() {
    for wrong in ["{ }", "{ credential = \"a\", file = \"/b\" }", "{ credential = \"../a\" }", "{ path = \"/b\" }"] {
        let text = minimal().replace("{ credential = \"mesh-X26ABC1\" }", wrong);
        assert!(findings(&text).iter().all(|finding| finding.key.starts_with("mailbox[1].password")), "{wrong}");
    }
}

#[test]
fn recipients_of_our_documents_are_for_rehearsals_and_never_for_live() {
    let printed = SHIPPED.lines().find_map(|line| line.strip_prefix("#recipients = [\"")?.strip_suffix("\"]"));
    let text = minimal().replace(RECIPIENT, printed.expect("the shipped file shows a recipient"));
    assert_eq!(keys(&text), [("mailbox[1].recipients".into(), Some(12))]);
    let allowed = text.clone() + "[features]\nallow = [\"test-recipients\"]\n";
    assert!(check_sources(&[source(&allowed)]).is_ok());
    let custom = text.replace("\"int\"", "\"custom\"\nurl = \"https://localhost:8743\"");
    assert!(check_sources(&[source(&custom)]).is_ok());
    let live = allowed.replace("\"int\"", "\"live\"");
    assert_eq!(keys(&live), [("features.allow".into(), Some(15))]);
}

#[test]
fn synthetic_numbers_are_for_rehearsals_that_say_so_and_never_for_live() {
    let allows = |environment: &str, allow: &str| {
        let text = minimal().replace("\"int\"", environment) + &format!("[features]\nallow = [{allow}]\n");
        check_sources(&[source(&text)]).map(|loaded| loaded.config.may_use(Feature::SyntheticNumbers)).ok()
    };
    let (custom, word) = ("\"custom\"\nurl = \"https://localhost:8743\"", "\"synthetic-numbers\"");
    assert_eq!((allows("\"live\"", ""), allows("\"live\"", word)), (Some(false), None));
    for national in ["\"int\"", "\"dep\""] {
        assert_eq!((allows(national, ""), allows(national, word)), (Some(false), Some(true)), "{national}");
    }
    assert_eq!(allows(custom, ""), Some(true));
}

#[test]
fn mail_sealed_for_strangers_alone_is_refused_when_keys_are_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a temporary folder is writable");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("our own file");
        format!("{{ file = \"{}\" }}", path.display())
    };
    let identity = age::x25519::Identity::generate();
    let ours = identity.to_public().to_string();
    let key =
        write("identity", &format!("# a comment\n{}\n", secrecy::ExposeSecret::expose_secret(&identity.to_string())));
    let other = write("other", &"k".repeat(32));
    let mut text = minimal() + &format!("[keys]\nidentity = {key}\nhmac = {other}\n");
    for name in ["mesh-cert", "mesh-key", "mesh-shared-key", "mesh-X26ABC1"] {
        text = text.replace(&format!("{{ credential = \"{name}\" }}"), &other);
    }

    let strangers =
        check_sources(&[source(&text)]).expect("no mistakes in it").resolve().expect_err("sealed for strangers");
    assert_eq!(strangers.iter().map(|finding| finding.key.as_str()).collect::<Vec<_>>(), ["mailbox[1].recipients"]);

    let secrets = check_sources(&[source(&text.replace(RECIPIENT, &ours))]).expect("no mistakes").resolve();
    assert_eq!(secrets.expect("all is there").identities.len(), 1);

    let former = age::x25519::Identity::generate();
    let retired = write("former", secrecy::ExposeSecret::expose_secret(&former.to_string()));
    let both = |retired: &str| text.replace("[keys]\n", &format!("[keys]\nretired_identities = [{retired}]\n"));
    let resolve = |text: &str| check_sources(&[source(text)]).expect("no mistakes in it").resolve();
    let secrets = resolve(&both(&retired).replace(RECIPIENT, &ours)).expect("all is there");
    assert_eq!(secrets.holders.iter().map(|holder| holder.is_retired).collect::<Vec<_>>(), [false, true]);
    let former = former.to_public().to_string();
    let sealed_for_both = both(&retired).replace(&format!("\"{RECIPIENT}\""), &format!("\"{ours}\", \"{former}\""));
    for (text, problem) in [
        (both(&retired).replace(RECIPIENT, &former), "none of these belongs to keys.identity"),
        (sealed_for_both, "number 2 belongs to an identity of keys.retired_identities"),
        (both(&key).replace(RECIPIENT, &ours), "is in keys.identity as well"),
        (both(&other).replace(RECIPIENT, &ours), "other: there is no age identity"),
        (both("{ file = \"/nowhere\" }").replace(RECIPIENT, &ours), "/nowhere"),
    ] {
        let findings = resolve(&text).expect_err(problem);
        assert!(findings.iter().any(|finding| finding.problem.contains(problem)), "{problem}: {findings:?}");
    }
}

#[test]
fn every_secret_that_cannot_be_had_is_reported() {
    let loaded = check_sources(&[source(&minimal())]).expect("no mistakes in it");
    let missing = loaded.resolve().expect_err("there are no credentials in a test");
    assert_eq!(missing.len(), 6);
}
