//! NHS's sandbox as a far side, and NHS's client as a sender.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::certificates::{self, Files, Server};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/peers");

/// The peers' interpreter, installed by the first test that asks.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let setup = Command::new(format!("{PEERS}/setup")).output().expect("run tests/it/peers/setup");
        let said = String::from_utf8_lossy(&setup.stderr);
        assert!(setup.status.success(), "tests/it/peers/setup failed: {said}");
        PathBuf::from(String::from_utf8(setup.stdout).expect("a path").trim())
    })
}

/// Which far side to start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NHS's sandbox as it is.
    Plain,
    /// Behind the rules and toxins of `strict.py`.
    Strict,
}

/// A running sandbox with mutual TLS; ends with this value, or with the test's process.
pub(crate) struct Sandbox {
    child: Child,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) tls: Files,
    pub(crate) url: String,
    pub(crate) secrets: Secrets,
}

/// What mailboxes prove themselves by.
#[derive(Clone, Copy)]
pub(crate) struct Secrets {
    pub(crate) shared_key: &'static str,
    pub(crate) password: &'static str,
}

impl Secrets {
    /// The sandbox's own.
    pub(crate) const USUAL: Self = Self { shared_key: "TestKey", password: "password" };
}

/// A message as `send.py` reports it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) sha256: String,
    pub(crate) length: u64,
    pub(crate) workflow: String,
    pub(crate) subject: Option<String>,
    pub(crate) file_name: Option<String>,
    pub(crate) local_id: Option<String>,
    pub(crate) partner_id: Option<String>,
    pub(crate) checksum: Option<String>,
    pub(crate) encrypted: bool,
}

impl Sandbox {
    /// Starts it and waits until it serves.
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_with(kind, Secrets::USUAL).await
    }

    /// The same, with such secrets.
    pub(crate) async fn start_with(kind: Kind, secrets: Secrets) -> Self {
        let sandbox = Self::listen_with(kind, Server::Good, secrets);
        sandbox.admin(reqwest::Method::GET, "/health", None).await;
        sandbox
    }

    /// Starts it with such a server certificate, and does not wait.
    pub(crate) fn listen(kind: Kind, server: Server) -> Self {
        Self::listen_with(kind, server, Secrets::USUAL)
    }

    fn listen_with(kind: Kind, server: Server, secrets: Secrets) -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let tls = certificates::make(directory.path(), server);
        let log = std::fs::File::create(directory.path().join("sandbox.log")).expect("a log");
        let mut child = Command::new(python())
            .arg(format!("{PEERS}/serve.py"))
            .arg(match kind {
                Kind::Plain => "plain",
                Kind::Strict => "strict",
            })
            .arg("--certificate")
            .arg(&tls.server.certificate)
            .arg("--key")
            .arg(&tls.server.key)
            .arg("--ca")
            .arg(&tls.ca)
            .env("SHARED_KEY", secrets.shared_key)
            .env("PASSWORD", secrets.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("start serve.py");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("read its first line");
        let said = std::fs::read_to_string(directory.path().join("sandbox.log")).unwrap_or_default();
        let first: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("serve.py did not start: {said}"));
        let url = format!("https://localhost:{}", first["port"]);
        Self { child, directory, tls, url, secrets }
    }

    /// A call of the test's own, with the client certificate; answers its JSON.
    pub(crate) async fn admin(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let pem = [&self.tls.client.certificate, &self.tls.client.key].map(|path| std::fs::read(path).expect("read"));
        let ca = std::fs::read(&self.tls.ca).expect("read");
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).expect("a certificate")])
            .identity(reqwest::Identity::from_pem(&pem.concat()).expect("an identity"))
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a client");
        let request = client.request(method, format!("{}{path}", self.url));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let mut response = request.send().await.expect("the sandbox answers");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk().await.expect("a whole answer") {
            answer.extend_from_slice(&piece);
        }
        serde_json::from_slice(&answer).unwrap_or(Value::Null)
    }

    /// Puts a toxin in (`strict.py`).
    pub(crate) async fn toxin(&self, toxin: Value) {
        self.admin(reqwest::Method::POST, "/strict/toxins", Some(toxin)).await;
    }

    /// What `strict.py` did and saw since the last call of [`Self::report`].
    pub(crate) async fn report_so_far(&self) -> Value {
        self.admin(reqwest::Method::GET, "/strict/report", None).await
    }

    /// What `strict.py` did and saw since the last call of this.
    pub(crate) async fn report(&self) -> Value {
        let report = self.report_so_far().await;
        self.admin(reqwest::Method::DELETE, "/strict", None).await;
        report
    }

    /// Sends with NHS's client: see `send.py` for `kinds`.
    pub(crate) fn send(&self, from: &str, to: &str, kinds: &[&str]) -> Vec<Sent> {
        let lines = self.client("send.py", &[&["--from", from, "--to", to], kinds].concat());
        lines.lines().map(|line| serde_json::from_str(line).expect("a line of send.py")).collect()
    }

    /// What NHS's client sees waiting in `mailbox`, once it has acknowledged those.
    pub(crate) fn inbox(&self, mailbox: &str, acknowledge: &[&str]) -> Vec<String> {
        let acknowledge = acknowledge.iter().flat_map(|id| ["--acknowledge", id]);
        let arguments: Vec<&str> = ["--mailbox", mailbox].into_iter().chain(acknowledge).collect();
        self.client("inbox.py", &arguments).lines().map(str::to_owned).collect()
    }

    /// Collects all of a mailbox with NHS's client: see `collect.py`.
    pub(crate) fn collect(&self, mailbox: &str) -> Vec<Value> {
        let lines = self.client("collect.py", &["--mailbox", mailbox]);
        lines.lines().map(|line| serde_json::from_str(line).expect("a line of collect.py")).collect()
    }

    /// Runs a script that uses NHS's client; what it printed.
    fn client(&self, script: &str, arguments: &[&str]) -> String {
        let output = Command::new(python())
            .arg(format!("{PEERS}/{script}"))
            .args(["--url", &self.url])
            .args(["--shared-key", self.secrets.shared_key, "--password", self.secrets.password])
            .arg("--ca")
            .arg(&self.tls.ca)
            .arg("--certificate")
            .arg(&self.tls.client.certificate)
            .arg("--key")
            .arg(&self.tls.client.key)
            .args(arguments)
            .output()
            .expect("run a script of NHS's client");
        assert!(output.status.success(), "{script} failed: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("it prints UTF-8")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill, and `wait` knows it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
