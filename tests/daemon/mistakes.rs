//! What `meshd check` says of the mistakes operators make. The snapshot is the whole of what they read: each mistake
//! with file, line, key, what was expected, and the nearest valid word where there is one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use meshd::simulator::certificates::{Authority, CLIENT_NAME, ClientFiles, Validity};
use meshd::simulator::house::{Far, Plan};
use meshd::simulator::mail::mixed;

use crate::PATIENCE;
use crate::house::House;
use crate::place::Place;

const MAILBOX_HEAD: &str = "[[mailbox]]\nid = \"X26ABC1\"\n";

/// A mistake: what it is, and how it is made in a sound set of files.
type Mistake = (&'static str, fn(&Desk));

const MISTAKES: &[Mistake] = &[
    ("a value without an end", |desk| desk.swap("level = \"debug\"", "level = \"debug")),
    ("a key without a value, and a mistake elsewhere", |desk| {
        desk.swap("level = \"debug\"", "level =");
        desk.swap("drain = \"20s\"", "drian = \"20s\"");
    }),
    ("a key written twice", |desk| desk.swap("[life]\n", "[life]\ndrain = \"10s\"\n")),
    ("an unknown key, near a known one", |desk| desk.swap("[life]\n", "[life]\nworker = 4\n")),
    ("an unknown key, near none", |desk| desk.swap("[life]\n", "[life]\ncolour = \"red\"\n")),
    ("an unknown table", |desk| desk.swap("[life]", "[lief]")),
    ("a table where there is one value", |desk| {
        desk.swap("[life]\ndrain = \"20s\"\n", "");
        desk.swap("[state]", "life = 3\n[state]");
    }),
    ("an unknown word", |desk| desk.swap("level = \"debug\"", "level = \"debgu\"")),
    ("a number in place of a string", |desk| desk.swap("drain = \"20s\"", "drain = 20")),
    ("a string in place of a number", |desk| desk.swap("[life]\n", "[life]\nworkers = \"4\"\n")),
    ("a fraction in place of a whole number", |desk| desk.swap("[life]\n", "[life]\nworkers = 1.5\n")),
    ("no unit of time", |desk| desk.swap("drain = \"20s\"", "drain = \"20\"")),
    ("a unit of time that is none", |desk| desk.swap("drain = \"20s\"", "drain = \"20 sec\"")),
    ("no unit of size", |desk| desk.add("limits = { bytes = \"20000\" }")),
    ("shares that are none, or too large", |desk| {
        desk.swap("min_free = \"0%\"", "min_free = \"10\"");
        desk.swap("min_free_inodes = \"0%\"", "min_free_inodes = \"95%\"");
    }),
    ("numbers and times out of range", |desk| {
        desk.swap("drain = \"20s\"", "drain = \"1h\"\nworkers = 65");
        desk.add("in_flight = 33\nlimits = { messages = 0 }");
        desk.swap("[life]", "[retention]\nseen = \"7d\"\njournal = \"1d\"\n[journal]\nsegment = \"1KB\"\n[life]");
    }),
    ("a path that does not begin at the root", |desk| {
        desk.swap(&desk.quoted("state"), "\"state\"");
        desk.swap(&desk.quoted("pipelines"), "\"../pipelines\"");
    }),
    ("a path with two dots", |desk| desk.swap(&desk.quoted("control.sock"), "\"/run/../control.sock\"")),
    ("no port to listen on", |desk| desk.swap("127.0.0.1:0", "127.0.0.1")),
    ("a name to listen on", |desk| desk.swap("127.0.0.1:0", "localhost:9464")),
    ("no service", |desk| desk.swap("[mesh]", "[mehs]")),
    ("an unknown environment", |desk| desk.swap("\"custom\"", "\"custum\"")),
    ("no address of a custom service", |desk| desk.swap("url = \"https://localhost:8743\"\n", "")),
    ("an address for a service that has one", |desk| {
        desk.swap("\"custom\"", "\"int\"");
        desk.swap("\"* * * * * *\"", "\"0 */5 * * * *\"");
    }),
    ("a simulator's certificate on a national service", |desk| {
        desk.swap("\"custom\"\nurl = \"https://localhost:8743\"", "\"int\"");
        desk.swap("\"* * * * * *\"", "\"0 */5 * * * *\"");
    }),
    ("what a rehearsal may have, on live", |desk| {
        desk.swap("\"custom\"\nurl = \"https://localhost:8743\"", "\"live\"");
        desk.swap("\"* * * * * *\"", "\"0 */5 * * * *\"");
        desk.swap("[life]", "[features]\nallow = [\"simulator-certificates\"]\n[life]");
    }),
    ("an unknown word in a list", |desk| {
        desk.swap("[life]", "[features]\nallow = [\"simulator-certificates\", \"test-recipient\"]\n[life]");
    }),
    ("recipients of our documents, on a national service", |desk| {
        desk.swap("\"custom\"\nurl = \"https://localhost:8743\"", "\"int\"");
        desk.swap("\"* * * * * *\"", "\"0 */5 * * * *\"");
        desk.swap(
            "recipients = [",
            "recipients = [\"age1gde3ncmahlqd9gg50tanl99r960llztrhfapnmx853s4tjum03uqfssgdh\", ",
        );
        desk.swap("[life]", "[features]\nallow = [\"simulator-certificates\"]\n[life]");
    }),
    ("mail in the clear", |desk| desk.swap("https://localhost:8743", "http://mesh.example")),
    ("an address with a password", |desk| desk.swap("https://localhost:8743", "https://me:hunter2@mesh.example")),
    ("a proxy with a password", |desk| {
        desk.swap("[[mailbox]]", "proxy = \"http://me:hunter2@proxy.example:3128\"\n\n[[mailbox]]");
    }),
    ("a proxy without a scheme", |desk| {
        desk.swap("[[mailbox]]", "proxy = \"proxy.example:3128\"\n\n[[mailbox]]");
    }),
    ("authorities as a bare path", |desk| {
        desk.swap(&format!("{{ file = {} }}", desk.quoted("ca.pem")), &desk.quoted("ca.pem"));
    }),
    ("authorities in a file that holds none", |desk| desk.file("ca.pem", "no certificate\n")),
    ("a key that belongs to another certificate", |desk| desk.file("client.key", &desk.other_key)),
    ("a secret written in place", |desk| desk.swap(&desk.reference("password"), "\"hunter2\"")),
    ("a secret that is not there", |desk| desk.remove("password")),
    ("a client certificate that has expired", |desk| desk.certificate(2020, 2021)),
    ("a client certificate that is not valid yet", |desk| desk.certificate(2098, 2099)),
    ("a secret that others may read", |desk| desk.mode("password", 0o644)),
    ("an empty secret", |desk| desk.file("shared-key", "\n")),
    ("a credential outside a unit", |desk| desk.swap(&desk.reference("hmac"), "{ credential = \"meshd-hmac\" }")),
    ("a credential that is no name", |desk| desk.swap(&desk.reference("hmac"), "{ credential = \"../hmac\" }")),
    ("a reference of a kind there is not", |desk| desk.swap(&desk.reference("hmac"), "{ env = \"HMAC\" }")),
    ("an identity that is none", |desk| desk.file("identity", "AGE-SECRET-KEY-hunter2\n")),
    ("a key that is too short", |desk| desk.file("hmac", "hunter2\n")),
    ("a key that is its own predecessor", |desk| {
        let key = desk.reference("hmac");
        desk.swap("[keys]\n", &format!("[keys]\nretired_hmac = [{key}]\n"));
    }),
    ("a recipient that is none", |desk| desk.swap("recipients = [", "recipients = [\"age1nonsense\", ")),
    ("mail sealed for strangers alone", |desk| desk.swap(&format!("\"{}\", ", desk.recipient), "")),
    ("mail sealed for nobody", |desk| {
        desk.swap("recipients = [", "recipients = []\n#");
    }),
    ("a mailbox without most of its keys", |desk| desk.add("[[mailbox]]\nid = \"X26ABC2\"")),
    ("a mailbox twice", |desk| desk.add(&desk.second_mailbox())),
    ("a mailbox id with a space", |desk| desk.swap("id = \"X26ABC1\"", "id = \"X26 ABC1\"")),
    ("an organisation that is no ODS code", |desk| desk.swap("organisation = \"X26\"", "organisation = \"x-26\"")),
    ("a schedule of five fields", |desk| desk.swap("\"* * * * * *\"", "\"*/5 * * * *\"")),
    ("a schedule with an hour that is none", |desk| desk.swap("\"* * * * * *\"", "\"0 0 25 * * *\"")),
    ("a schedule that a national service does not bear", |desk| {
        desk.swap("\"custom\"\nurl = \"https://localhost:8743\"", "\"int\"");
    }),
    ("a group that is not there", |desk| desk.add("group = \"no-such-group\"")),
    ("groups of operators that are not there", |desk| {
        desk.swap("[control]\n", "[control]\nview_group = \"rooot\"\noperate_group = \"nobody-at-all\"\n");
    }),
    ("modes that are none, or too wide", |desk| {
        desk.add("mode = \"rw-r-----\"");
        desk.add(&desk.second_mailbox().replace("X26ABC1", "X26ABC2"));
        desk.add("mode = \"0666\"");
    }),
    ("an output inside the state", |desk| desk.swap(&desk.quoted("out/X26ABC1"), &desk.quoted("state/out"))),
    ("an output that was not set up", |desk| desk.swap(&desk.quoted("out/X26ABC1"), &desk.quoted("out/X26ABC9"))),
    ("a folder of pipelines that is not there", |desk| {
        desk.swap(&desk.quoted("pipelines"), &desk.quoted("pipeline"));
    }),
    ("a folder of pipelines that is empty", |desk| desk.remove("pipelines/everything.toml")),
    ("a pipeline that is not TOML", |desk| desk.file("pipelines/everything.toml", "name = everything\n")),
    ("an unknown stage", |desk| desk.pipeline("[[stage]]\nuse = \"decompres\"\n")),
    ("a route to an output there is not", |desk| {
        desk.pipeline("[[stage]]\nuse = \"route\"\nrules = [{ otherwise = true, to = [\"inbx\"] }]\n");
    }),
    ("an output with a mistake, and a route to it", |desk| {
        desk.swap_in("pipelines/everything.toml", "mesh-folder", "mesh-foldr");
        desk.pipeline("[[stage]]\nuse = \"route\"\nrules = [{ otherwise = true, to = [\"inbox\"] }]\n");
    }),
    ("two outputs of one path", |desk| {
        desk.pipeline("[[output]]\nname = \"again\"\nkind = \"mesh-folder\"\npath = \"{mailbox.output}/IN\"\n");
    }),
    ("a placeholder that is none", |desk| {
        desk.swap_in("pipelines/everything.toml", "{mailbox.output}", "{mailbox.ouput}");
    }),
    ("a pipeline for a mailbox that is not configured", |desk| desk.pipeline("[match]\nmailbox = \"X26ABC7\"\n")),
    ("two pipelines that are equally specific", |desk| {
        let everything = fs::read_to_string(desk.place.path("pipelines/everything.toml")).expect("it was written");
        desk.file("pipelines/second.toml", &everything.replace("name = \"everything\"", "name = \"second\""));
    }),
    ("a test without an end, in a pipeline without a name", |desk| {
        desk.swap_in("pipelines/everything.toml", "name = \"everything\"", "");
        desk.pipeline("[[test]]\nname = \"a letter\"\nmessage = \"letter.txt\"\nexpect = {}\n");
    }),
    ("a test that does not come out", |desk| {
        desk.file("pipelines/letter.txt", "a letter");
        desk.pipeline("[[test]]\nname = \"a letter\"\nmessage = \"letter.txt\"\nexpect = { discard = true }\n");
    }),
    ("a test without its message", |desk| {
        desk.pipeline("[[test]]\nname = \"a letter\"\nmessage = \"letter.txt\"\nexpect = { discard = true }\n");
    }),
    ("a mistake in a file laid over the first", |desk| {
        desk.file("conf.d/10-site.toml", "[life]\ndrain = \"2h\"\n[lgo]\nlevel = \"info\"\n");
    }),
    ("a mailbox twice, in two files", |desk| desk.file("conf.d/20-more.toml", &desk.second_mailbox())),
    ("a mailbox twice, the second without most of what it needs, and polled too often", |desk| {
        desk.swap("\"custom\"\nurl = \"https://localhost:8743\"", "\"int\"");
        desk.swap(MAILBOX_HEAD, &format!("{MAILBOX_HEAD}{MAILBOX_HEAD}"));
    }),
    ("a mailbox that lacks something, and pipelines that name it and another", |desk| {
        desk.swap("organisation = \"X26\"\n", "");
        desk.pipeline("[match]\nmailbox = [\"X26ABC1\", \"X26ABC7\"]\n");
    }),
    ("a service without its key, and out of its ranges", |desk| {
        desk.swap(&format!("shared_key = {}\n", desk.reference("shared-key")), "patience = \"1h\"\n");
    }),
    ("a table that is not closed, before all mailboxes", |desk| desk.file("meshd.toml", "[mesh\n")),
    ("a pipeline that is not TOML, beside an output that is away", |desk| {
        desk.file("pipelines/second.toml", "[match\n");
        desk.remove("out/X26ABC1/.meshd-output");
    }),
    ("pipes in place of files", |desk| {
        desk.remove("shared-key");
        desk.pipe("shared-key");
        desk.pipe("pipelines/second.toml");
    }),
    ("mistakes of every kind at once", |desk| {
        desk.swap("level = \"debug\"", "level = \"debgu\"");
        desk.remove("shared-key");
        desk.mode("client.key", 0o644);
        desk.pipeline("[[stage]]\nuse = \"decompres\"\n");
    }),
];

#[test]
fn every_mistake_is_told_with_its_place_and_what_was_expected() {
    let desk = Desk::new();
    let mut told = String::new();
    for (what, make) in MISTAKES {
        make(&desk);
        told += &format!("# {what}\n{}\n", desk.check());
        desk.mend();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn an_output_that_several_pipelines_name_is_told_once_when_it_is_away() {
    let desk = Desk::new();
    let everything = fs::read_to_string(desk.place.path("pipelines/everything.toml")).expect("it was written");
    let second = everything.replace("name = \"everything\"", "name = \"second\"");
    desk.file("pipelines/second.toml", &format!("{second}\n[match]\nworkflow = \"A\"\n"));
    fs::remove_file(desk.place.output().join(".meshd-output")).expect("our own file");
    let told = desk.check();
    assert_eq!(told.matches("has no marker").count(), 1, "{told}");
}

#[test]
fn a_check_by_hand_says_how_it_gets_systemds_credentials() {
    let desk = Desk::new();
    desk.swap(&format!("password = {}", desk.reference("password")), "password = { credential = \"mesh-X26ABC1\" }");
    let told = desk.check();
    assert!(told.contains("`CREDENTIALS_DIRECTORY` is not set"), "{told}");
    assert_eq!(told.matches("`meshd check --help` says how by hand").count(), 1, "{told}");
}

/// A sound set of files, and one mistake at a time in it.
struct Desk {
    place: Place,
    /// Every file as it should be.
    sound: Vec<(String, String)>,
    /// The recipient of the daemon's own identity.
    recipient: String,
    authority: Authority,
    other_key: String,
}

impl Desk {
    fn new() -> Self {
        let place = Place::build(Plan::default());
        let authority = Authority::new().expect("an authority");
        let client = authority.client(CLIENT_NAME, Validity::default()).expect("a certificate");
        place.write("ca.pem", &authority.pem());
        place.write("client.pem", &client.certificate_pem);
        place.write("client.key", &client.key_pem);
        let tls = ClientFiles::under(&place.path(""));
        place.set_up(&Far::simulated("https://localhost:8743".into(), tls));
        let names =
            ["meshd.toml", "pipelines/everything.toml", "ca.pem", "client.pem", "client.key", "password", "shared-key"];
        let read = |name: &str| (name.to_owned(), fs::read_to_string(place.path(name)).expect("it was written"));
        let sound: Vec<_> =
            names.into_iter().chain(["identity", "hmac", "out/X26ABC1/.meshd-output"]).map(read).collect();
        let recipient = sound[0].1.split_once("recipients = [\"").and_then(|(_, rest)| rest.split_once('"'));
        let recipient = recipient.expect("there is a recipient").0.to_owned();
        let other_key = authority.client(CLIENT_NAME, Validity::default()).expect("a certificate").key_pem;
        Self { place, sound, recipient, authority, other_key }
    }

    /// Puts `to` in the place of `from`, which must be there.
    fn swap(&self, from: &str, to: &str) {
        self.swap_in("meshd.toml", from, to);
    }

    fn swap_in(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.place.path(name)).expect("it was written");
        assert!(text.contains(from), "{name} has no {from}");
        self.file(name, &text.replacen(from, to, 1));
    }

    /// Adds lines to the mailbox, which is the last table.
    fn add(&self, lines: &str) {
        let text = fs::read_to_string(self.place.path("meshd.toml")).expect("it was written");
        self.file("meshd.toml", &format!("{}\n{lines}\n", text.trim_end()));
    }

    /// Adds tables to the pipeline.
    fn pipeline(&self, tables: &str) {
        let text = fs::read_to_string(self.place.path("pipelines/everything.toml")).expect("it was written");
        self.file("pipelines/everything.toml", &format!("{text}{tables}"));
    }

    fn file(&self, name: &str, text: &str) {
        self.place.write(name, text);
    }

    /// A named pipe, into which nobody ever writes.
    fn pipe(&self, name: &str) {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, self.place.path(name), kind, 0o600.into(), 0).expect("our own folder");
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.place.path(name), PermissionsExt::from_mode(mode)).expect("our own file");
    }

    /// The daemon's certificate is valid in these years only.
    fn certificate(&self, from: i32, until: i32) {
        let validity = Validity { from: (from, 1, 1), until: (until, 1, 1) };
        let client = self.authority.client(CLIENT_NAME, validity).expect("a certificate");
        self.file("client.pem", &client.certificate_pem);
        self.file("client.key", &client.key_pem);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.place.path(name)).expect("our own file");
    }

    /// A path of the folder, as the configuration has it.
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", self.place.path(name).display())
    }

    fn reference(&self, name: &str) -> String {
        format!("{{ file = {} }}", self.quoted(name))
    }

    /// The table of the mailbox once more.
    fn second_mailbox(&self) -> String {
        let text = &self.sound[0].1;
        text[text.find(MAILBOX_HEAD).expect("there is a mailbox")..].to_owned()
    }

    /// What is printed of the mistakes, with `~` for the folder. It never says a secret.
    fn check(&self) -> String {
        let checked = self.place.meshd(&["check", "--tests"]);
        assert_eq!(checked.code, Some(78), "{checked:?}");
        assert!(!checked.stderr.contains("hunter2"), "{checked:?}");
        let folder = self.place.path("").display().to_string();
        checked.stderr.replace(folder.trim_end_matches('/'), "~").replace(&self.recipient, "[our recipient]")
    }

    /// Everything as it should be.
    fn mend(&self) {
        let added = ["conf.d", "pipelines/second.toml", "pipelines/letter.txt"];
        for name in self.sound.iter().map(|(name, _)| name.as_str()).chain(added) {
            let path = self.place.path(name);
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
                .expect("our own file");
        }
        for (name, text) in &self.sound {
            self.file(name, text);
        }
        self.place.meshd(&["check"]).expect_done();
    }
}

#[test]
fn a_flipped_bit_that_a_start_would_halt_at_is_seen_by_check_and_nothing_is_changed() {
    let house = House::build(Plan::default());
    house.set_up();
    house.offer(3, |number| mixed(number).expect("synthetic mail is well made"));
    let daemon = house.start();
    house.wait_until_all_acknowledged(PATIENCE);
    house.meshd(&["check"]).expect_done();
    daemon.stop_in_order();
    house.meshd(&["check"]).expect_done();

    let segment = house.path("state/journal/00000000000000000001.log");
    let mut bytes = fs::read(&segment).expect("it is ours");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, &bytes).expect("it is ours");
    let checked = house.meshd(&["check"]);
    assert!(checked.code == Some(78) && checked.stderr.contains("state.directory: journal segment"), "{checked:?}");
    assert_eq!(fs::read(&segment).expect("it is there"), bytes);
    assert_eq!(house.meshd(&["run"]).code, Some(70));
}
