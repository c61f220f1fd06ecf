use std::time::Duration;

use super::super::schedule::at_least_every;
use super::super::service::Service;
use super::*;

/// What is said of a file with this text, without the name of its folder.
fn told(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("meshclient.cfg");
    std::fs::write(&path, bytes).expect("a temporary folder is writable");
    let settings = Cfg::read(&path).and_then(|cfg| Settings::of(cfg).map_err(Failure::Configuration));
    let Err(Failure::Configuration(findings)) = settings else { return "nothing".to_owned() };
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n").replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn mistakes_are_told_with_line_and_element_and_without_secrets() {
    let deep = "<a>".repeat(9);
    let (with, without) = ("<MESHConfig>\n<KeyStorePassword>hunter2", "</MESHConfig>");
    let client = "<Client>\n<ClientIdentity>X26ABC1</ClientIdentity></Client>";
    let cases: Vec<(String, &str)> = vec![
        ("<config/>".into(), "meshclient.cfg:1: its one root element is not MESHConfig"),
        (format!("{with}</KeyStorePasswort>"), "meshclient.cfg:2: KeyStorePassword: it is no well-formed XML"),
        (with.into(), "meshclient.cfg:2: KeyStorePassword: it is cut off"),
        (format!("{with}&hunter2;"), "meshclient.cfg:2: KeyStorePassword: it has an entity of its own"),
        (
            "<!DOCTYPE a [<!ENTITY b \"hunter2\">]>\n<MESHConfig/>".into(),
            "meshclient.cfg:1: it has a document type declaration, which none may have",
        ),
        (format!("<MESHConfig>\n\n{deep}"), "meshclient.cfg:3: a: it has more than eight levels"),
        (
            format!("{with}</KeyStorePassword>\n<KeyStorePassword>hunter3</KeyStorePassword>{without}"),
            "meshclient.cfg:3: KeyStorePassword: it stands there a second time, and nobody says which counts",
        ),
        (
            format!("{with}</KeyStorePassword>{without}"),
            "meshclient.cfg:1: Client: there is none; expected one for each mailbox",
        ),
        (
            format!("<MESHConfig>\n<Client><ClientIdentity>hunter 2</ClientIdentity></Client>{without}"),
            "meshclient.cfg:2: ClientIdentity: this is not a mailbox id; expected 1 to 100 letters, digits, `_` or `-`, \
             such as X26ABC1",
        ),
        (
            format!("<MESHConfig>\n<Client/>{without}"),
            "meshclient.cfg:2: ClientIdentity: it is missing from this Client; expected 1 to 100 letters, digits, `_` \
             or `-`, such as X26ABC1",
        ),
        (
            format!("<MESHConfig>{client}{client}<PollPeriod>\nhunter2</PollPeriod>{without}"),
            "meshclient.cfg:3: ClientIdentity: a Client before has this mailbox already; expected each mailbox once\n\
             meshclient.cfg:3: PollPeriod: this is no length of time; expected seconds, at most a year of them",
        ),
        (
            "<MESHConfig><Client><ClientIdentity>A</ClientIdentity>\n<SaveSent>hunter2</SaveSent></Client></MESHConfig>"
                .into(),
            "meshclient.cfg:2: SaveSent: this says neither; expected `Y` or `N`",
        ),
    ];
    for (text, expected) in cases {
        let told = told(text.as_bytes());
        assert_eq!(told, expected, "{text}");
        assert!(!told.contains("hunter"), "{told}");
    }
}

#[test]
fn only_utf8_of_a_sensible_length_is_read() {
    let told_of_pound = told(b"<MESHConfig>\n<KeyStorePassword>\xa3</KeyStorePassword></MESHConfig>");
    assert!(told_of_pound.starts_with("meshclient.cfg:2: it is not UTF-8 here"), "{told_of_pound}");
    let long = format!("<MESHConfig>{}</MESHConfig>", " ".repeat(1 << 20));
    assert_eq!(told(long.as_bytes()), "meshclient.cfg:1: it is longer than 1 MiB");
}

#[test]
fn order_comments_and_what_is_not_known_do_not_matter() {
    let text = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- hello --><MESHConfig>
        <Client><SaveSent> n </SaveSent><Deep><PollPeriod>x</PollPeriod></Deep>
          <ClientAuthentication><![CDATA[a<b]]>&amp;&#163;</ClientAuthentication>
          <ClientIdentity>X26ABC1</ClientIdentity></Client>
        <Colour>red</Colour><ProcessingDelay>7</ProcessingDelay><PollPeriod/></MESHConfig>";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("meshclient.cfg");
    std::fs::write(&path, text).expect("a temporary folder is writable");
    let settings = Settings::of(Cfg::read(&path).expect("well-formed")).expect("no mistakes");
    assert_eq!(settings.others, ["Colour"]);
    assert_eq!((settings.poll_period, settings.processing_delay), (None, Some(Duration::from_secs(7))));
    let [client] = &settings.clients[..] else { panic!("one mailbox") };
    assert_eq!(client.others, ["Deep"]);
    assert!(!client.save_sent.is_on && client.collect_report.is_on && !client.delay_report.is_on);
    let password = client.password.as_ref().map(|password| password.expose_secret().to_owned());
    assert_eq!(password.as_deref(), Some("a<b&\u{a3}"));
}

#[test]
fn services_are_known_by_their_hosts() {
    for (url, word, was_within_hscn) in [
        ("https://mesh-sync.spineservices.nhs.uk", "live", false),
        ("https://mesh-sync.national.ncrs.nhs.uk/", "live", true),
        ("https://msg.intspineservices.nhs.uk/messageexchange", "int", false),
        ("HTTPS://MSG.INT.spine2.ncrs.nhs.uk:443/messageexchange/", "int", true),
        ("msg.depspineservices.nhs.uk", "dep", false),
        ("msg.dep.spine2.ncrs.nhs.uk", "dep", true),
    ] {
        let Service::National { word: found, was_within_hscn: was, .. } = Service::at(url) else { panic!("{url}") };
        assert_eq!((found, was), (word, was_within_hscn), "{url}");
    }
    let Service::Custom(url) = Service::at("https://mesh.example:8829/messageexchange") else { panic!("another") };
    assert_eq!(url.as_str(), "https://mesh.example:8829");
    for wrong in ["", "http://mesh.example", "https://user:hunter2@mesh.example", "ftp://x", "https://x/other/path"] {
        assert_eq!(Service::at(wrong), Service::Unknown, "{wrong}");
    }
}

#[test]
fn schedules_come_round_and_never_later_than_before() {
    for (period, every, schedule) in [
        (0, 1, "*/1 * * * * *"),
        (30, 30, "*/30 * * * * *"),
        (45, 30, "*/30 * * * * *"),
        (300, 300, "0 */5 * * * *"),
        (1_800, 1_800, "0 */30 * * * *"),
        (2_000, 1_800, "0 */30 * * * *"),
        (3_600, 3_600, "0 0 */1 * * *"),
        (30_000, 28_800, "0 0 */8 * * *"),
        (86_400, 86_400, "0 0 0 * * *"),
        (31_536_000, 86_400, "0 0 0 * * *"),
    ] {
        let (found, text) = at_least_every(Duration::from_secs(period));
        assert_eq!((found.as_secs(), text.as_str()), (every, schedule), "{period}");
        let cron: crate::config::Cron = text.parse().expect("six fields");
        let gaps = cron.gaps(chrono::DateTime::UNIX_EPOCH).expect("it repeats");
        assert_eq!(gaps, (found, found), "{period}");
    }
}
