use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::super::super::exit::Exit;
use super::*;
use crate::config;

const SECRETS: [&str; 4] = [PASSWORD, "mailbox-password-1", "mailbox-password-2", "environment-key"];

/// An old client's home, as its installer makes it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a temporary folder"));
        for folder in ["KEYSTORE", "working", "proxy"] {
            fs::create_dir(home.path(folder)).expect("the folder is ours");
        }
        fs::copy(fixture("mesh.jks"), home.path("KEYSTORE/mesh.keystore")).expect("the folder is ours");
        home.cfg(&home.usual());
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn cfg(&self, text: &str) {
        fs::write(self.path("meshclient.cfg"), text).expect("the folder is ours");
    }

    fn usual(&self) -> String {
        let home = self.0.path().display();
        format!(
            "<MESHConfig>
  <PrimaryURL>https://msg.int.spine2.ncrs.nhs.uk/messageexchange</PrimaryURL>
  <LogPath>{home}/log</LogPath>
  <KeyStorePath>{home}/KEYSTORE/mesh.keystore</KeyStorePath>
  <KeyStorePassword>{PASSWORD}</KeyStorePassword>
  <WorkPath>{home}/working</WorkPath>
  <ProxyPath>proxy</ProxyPath>
  <SignalPath>{home}/sig</SignalPath>
  <PollPeriod>30</PollPeriod>
  <ServerRetry>3</ServerRetry>
  <MaxMessages>100</MaxMessages>
  <MaxConnections>4</MaxConnections>
  <AutoUpgrade>Y</AutoUpgrade>
  <AuthenticationKey>environment-key</AuthenticationKey>
  <ProcessingDelay>1</ProcessingDelay>
  <Client>
    <ClientIdentity>X26ABC1</ClientIdentity>
    <ClientAuthentication>mailbox-password-1</ClientAuthentication>
    <MailboxType>MESH</MailboxType>
    <InterfaceRoot>/srv/MESH-DATA-HOME/X26ABC1</InterfaceRoot>
    <ClientLogLevel>2</ClientLogLevel>
    <CollectReport>Y</CollectReport><DelayReport>Y</DelayReport>
    <TransferReport>N</TransferReport><PollReport>N</PollReport>
    <SaveSent>Y</SaveSent>
  </Client>
  <Client>
    <ClientIdentity>X26ABC2</ClientIdentity>
    <ClientAuthentication>mailbox-password-2</ClientAuthentication>
    <InterfaceRoot>C:\\MESH-DATA-HOME\\X26ABC2</InterfaceRoot>
    <CollectReport>N</CollectReport>
  </Client>
</MESHConfig>
"
        )
    }

    fn command(&self) -> ImportMeshclient {
        ImportMeshclient {
            cfg: self.path("meshclient.cfg"),
            out: self.path("imported"),
            keystore: None,
            key_alias: None,
            client_is_stopped: false,
            json: false,
        }
    }

    fn import(&self) -> Result<Report, Failure> {
        self.command().import()
    }

    /// Every file below, with its bytes.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.clone(), fs::read(&path).expect("our own file"));
                }
            }
        }
        found
    }

    fn shown(&self, text: &str) -> String {
        text.replace(&self.0.path().canonicalize().expect("it is there").display().to_string(), "HOME")
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn the_configuration_lacks_only_what_a_person_knows() {
    let home = Home::new();
    let before = home.files();
    home.import().expect("all is there");
    let configuration = fs::read_to_string(home.path("imported/meshd.toml")).expect("it was made");
    insta::assert_snapshot!(home.shown(&configuration));

    let findings = config::load(&home.path("imported/meshd.toml")).expect_err("some things only a person knows");
    let found: Vec<String> = findings.iter().map(|finding| format!("{}: {}", finding.key, finding.problem)).collect();
    let missing = "this key is missing";
    let (first, second) = ("mailbox[1]", "mailbox[2]");
    let expected = [(first, "organisation"), (first, "recipients"), (second, "organisation"), (second, "recipients")];
    let expected: Vec<_> = expected.iter().map(|(of, key)| format!("{of}.{key}: {missing}")).collect();
    assert_eq!(found[..4], expected);
    assert_eq!(found[4..], [format!("{second}.output: {missing}")]);

    for (path, bytes) in before {
        assert_eq!(fs::read(&path).expect("nothing is removed"), bytes, "{}", path.display());
    }
}

#[test]
fn everything_that_is_made_is_for_its_owner_alone() {
    let home = Home::new();
    let report = home.import().expect("all is there");
    assert_eq!((mode(&home.path("imported")), mode(&home.path("imported/secrets"))), (0o700, 0o700));
    let names = ["mesh-key", "mesh-cert", "mesh-shared-key", "mesh-X26ABC1", "mesh-X26ABC2"];
    let mut expected: Vec<PathBuf> = names.map(|name| home.path("imported/secrets").join(name)).into();
    expected.insert(2, home.path("imported/nhs-ca.pem"));
    expected.push(home.path("imported/meshd.toml"));
    let expected: Vec<_> = expected.iter().map(|path| path.canonicalize().expect("it was made")).collect();
    assert_eq!(report.written, expected);
    for path in &report.written {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    for (name, secret) in [("mesh-X26ABC1", SECRETS[1]), ("mesh-X26ABC2", SECRETS[2]), ("mesh-shared-key", SECRETS[3])]
    {
        let path = home.path("imported/secrets").join(name);
        assert_eq!(fs::read_to_string(path).expect("it was made"), secret, "{name}");
    }
}

#[test]
fn the_report_names_every_element_and_no_secret() {
    let home = Home::new();
    let text = home.usual().replace("<SaveSent>", "<Colour>mailbox-password-1</Colour><SaveSent>");
    home.cfg(&text);
    fs::write(home.path("proxy/proxy.ini"), "proxy-password").expect("the folder is ours");
    let report = home.import().expect("all is there");
    let told = report.lines().join("\n");
    insta::assert_snapshot!(home.shown(&told));
    let json = serde_json::to_string(&report).expect("JSON");
    for secret in SECRETS.iter().chain(&["proxy-password", "PRIVATE"]) {
        assert!(!told.contains(secret) && !json.contains(secret), "{secret}");
    }
    let elements = text.split('<').skip(1).filter(|part| !part.starts_with('/'));
    for element in elements.filter_map(|part| part.split('>').next()) {
        let is_around = ["MESHConfig", "Client", "MailboxType"].contains(&element);
        assert!(is_around || told.contains(element), "{element} is told");
    }
}

#[test]
fn a_lock_of_the_old_client_is_in_the_way() {
    let home = Home::new();
    fs::write(home.path("working/X26ABC1.LCK"), "").expect("the folder is ours");
    fs::write(home.path("working/notes.txt"), "").expect("the folder is ours");
    let failure = home.import().expect_err("it runs");
    assert_eq!(failure.exit(), Exit::TryAgain);
    let told = failure.to_string();
    assert!(told.contains("working/X26ABC1.LCK") && !told.contains("notes.txt"), "{told}");
    assert!(told.contains("--client-is-stopped") && !home.path("imported").exists(), "{told}");

    let report = ImportMeshclient { client_is_stopped: true, ..home.command() }.import().expect("somebody said so");
    assert!(!report.to_do.iter().any(|what| what.contains("see that the old client")));
    assert!(home.path("working/X26ABC1.LCK").exists());
}

#[test]
fn where_nobody_can_look_for_locks_a_person_has_to() {
    let home = Home::new();
    let windows = home.usual().replace(&format!("{}/working", home.0.path().display()), "C:\\MESH-APP-HOME\\working");
    home.cfg(&windows);
    let report = home.import().expect("all is there");
    assert!(report.to_do[0].contains("see that the old client does not run"), "{:?}", report.to_do);
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let home = Home::new();
    fs::create_dir(home.path("imported")).expect("the folder is ours");
    fs::write(home.path("imported/meshd.toml"), "mine").expect("the folder is ours");
    let failure = home.import().expect_err("somebody's");
    assert!(failure.to_string().contains("not empty"), "{failure}");
    assert_eq!(fs::read_to_string(home.path("imported/meshd.toml")).expect("it is there"), "mine");

    fs::remove_file(home.path("imported/meshd.toml")).expect("our own");
    fs::set_permissions(home.path("imported"), fs::Permissions::from_mode(0o755)).expect("our own");
    home.import().expect("an empty one will do");
    assert_eq!(mode(&home.path("imported")), 0o700);
}

#[test]
fn what_cannot_be_finished_leaves_nothing() {
    let home = Home::new();
    // Its password would lie where the client's key does.
    home.cfg(&home.usual().replace(">X26ABC2<", ">key<"));
    let told = home.import().expect_err("two files of one name").to_string();
    assert!(told.contains("secrets/mesh-key") && !told.contains("stays"), "{told}");
    assert_eq!(fs::read_dir(home.path("imported")).expect("it was made").count(), 0);
}

#[test]
fn nothing_is_made_if_the_keystore_does_not_open() {
    let home = Home::new();
    home.cfg(&home.usual().replace(&format!(">{PASSWORD}<"), ">hunter2<"));
    let told = home.import().expect_err("another password").to_string();
    assert!(told.contains("KeyStorePassword does not open it") && !told.contains("hunter2"), "{told}");
    home.cfg(&home.usual().replace("KEYSTORE/mesh.keystore", "elsewhere"));
    let told = home.import().expect_err("it is not there").to_string();
    assert!(told.contains("--keystore") && told.contains("elsewhere"), "{told}");
    assert!(!home.path("imported").exists());

    let keystore = Some(fixture("openssl.p12"));
    ImportMeshclient { keystore, ..home.command() }.import().expect("it lies elsewhere");
}

#[test]
fn what_an_older_client_does_not_have_is_asked_for() {
    let home = Home::new();
    home.cfg("<MESHConfig><Client><ClientIdentity>X26ABC1</ClientIdentity></Client></MESHConfig>");
    let report = home.import().expect("enough for a beginning");
    let told = report.to_do.join("\n");
    for word in
        ["mesh.environment", "mesh-key", "nhs-ca.pem", "AuthenticationKey", "ClientAuthentication", "InterfaceRoot"]
    {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(report.written.len(), 1, "the configuration alone");
}

#[test]
fn a_service_of_ones_own_is_listed_as_often_as_before() {
    let home = Home::new();
    home.cfg(&home.usual().replace("https://msg.int.spine2.ncrs.nhs.uk/messageexchange", "https://localhost:8829"));
    home.import().expect("all is there");
    let configuration = fs::read_to_string(home.path("imported/meshd.toml")).expect("it was made");
    for line in ["environment = \"custom\"", "url = \"https://localhost:8829\"", "poll = \"*/30 * * * * *\""] {
        assert!(configuration.contains(line), "{line}");
    }
}

#[test]
fn what_is_behind_a_hash_stays_there() {
    let home = Home::new();
    home.cfg(&home.usual().replace("C:\\MESH-DATA-HOME\\X26ABC2", "C:\\\norganisation = \"X26\""));
    home.import().expect("all is there");
    let configuration = fs::read_to_string(home.path("imported/meshd.toml")).expect("it was made");
    assert!(!configuration.contains("\norganisation"), "{configuration}");
}
