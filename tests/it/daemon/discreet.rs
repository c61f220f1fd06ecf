//! I8 in a whole run: what senders wrote and what we prove ourselves by is nowhere but where it belongs.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::{SECRETS, Scene};
use crate::place::Daemon;
use crate::support::peers::Sent;

/// NHS numbers and marks that `send.py` and the tests put into headers, bodies and error answers.
const MARKS: &[&str] = &["CANARY-", "GPPROVIDER", "NHSMESH ", "99900000", "999 000 0018"];

/// How a file sealed by age begins.
const SEALED: &[u8] = b"age-encryption.org/v1\n";

/// Everything that must not be found.
pub(super) struct Forbidden(Vec<String>);

impl Forbidden {
    /// From what was sent, and from the secrets in the place. A text as short as `7` is found everywhere, so it is not
    /// looked for.
    pub(super) fn new(scene: &Scene, sent: &[Sent]) -> Self {
        let mut texts: Vec<String> = MARKS.iter().map(|&mark| mark.to_owned()).collect();
        texts.extend([SECRETS.shared_key.to_owned(), SECRETS.password.to_owned()]);
        for message in sent {
            let written =
                [&message.subject, &message.file_name, &message.local_id, &message.partner_id, &message.checksum];
            texts.extend(written.into_iter().flatten().filter(|text| text.len() > 8).cloned());
        }
        for file in [scene.place.path("identity"), scene.place.path("hmac"), scene.sandbox.tls.client.key.clone()] {
            let text = fs::read_to_string(file).expect("a key file");
            let secret = |line: &&str| line.len() > 20 && !line.starts_with(['#', '-']);
            texts.extend(text.lines().filter(secret).map(str::to_owned));
        }
        Self(texts)
    }

    /// Fails if the text is in `bytes`; `what` they are goes into the message.
    fn check(&self, what: &str, bytes: &[u8]) {
        for text in &self.0 {
            assert!(!contains(bytes, text.as_bytes()), "{what} contains {text:?}");
        }
    }

    /// Looks at the running process.
    pub(super) fn check_process(&self, daemon: &Daemon) {
        let line = fs::read(format!("/proc/{}/cmdline", daemon.id())).expect("it runs");
        assert!(contains(&line, b"run"), "it is our daemon's command line");
        self.check("the command line", &line);
    }

    /// Looks at the log, at every name and byte in the state folder, and at what the commands print.
    pub(super) fn check_traces(&self, scene: &Scene, sent: &[Sent]) {
        let log = fs::read(scene.place.path("log")).expect("a log");
        assert!(sent.iter().all(|message| contains(&log, message.id.as_bytes())), "the log does name the messages");
        let configuration = fs::read(scene.place.path("meshd.toml")).expect("a configuration");
        assert!(contains(&configuration, b"level = \"debug\""), "the log has every level");
        self.check("the log", &log);
        assert!(self.check_folder(&scene.place.path("state")) > 3, "journal, spool and index are there");
        for command in [&["spool", "list"][..], &["spool", "list", "--json"], &["journal", "verify", "--json"]] {
            let printed = scene.place.meshd(command);
            self.check("standard error", printed.stderr.as_bytes());
            self.check("standard output", printed.expect_done().as_bytes());
        }
    }

    /// How many files were looked at. Of a sealed part only that it is sealed: nothing can be found in it.
    fn check_folder(&self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("the folder is ours").path();
            self.check("a name", path.as_os_str().as_encoded_bytes());
            if path.is_dir() {
                files += self.check_folder(&path);
            } else {
                let bytes = fs::read(&path).expect("the file is ours");
                if path.extension() != Some(OsStr::new("age")) {
                    self.check(&path.display().to_string(), &bytes);
                } else {
                    assert!(bytes.starts_with(SEALED), "{} is sealed", path.display());
                }
                files += 1;
            }
        }
        files
    }
}

/// Plain search by first byte: what is not sealed is small.
fn contains(bytes: &[u8], text: &[u8]) -> bool {
    let Some((first, rest)) = text.split_first() else { return true };
    let mut bytes = bytes;
    while let Some(at) = bytes.iter().position(|byte| byte == first) {
        bytes = &bytes[at + 1..];
        if bytes.starts_with(rest) {
            return true;
        }
    }
    false
}
