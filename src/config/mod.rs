//! Layer 4: the configuration file, from text to checked values.
//!
//! Layers: defaults, the main file, and `conf.d/*.toml` beside it in name order.
//! Passes: [`load`] parses and checks (pure after the files are read), [`Loaded::resolve`] reads the secrets.
//! Each pass reports everything it finds, with file, line, key, what was expected and the nearest valid word.
//!
//! Modules elsewhere have small settings of their own; only this module and `daemon` know the file.

mod check;
mod document;
mod keys;
mod model;
mod plain;
mod read;
mod resolve;
mod schema;
mod secret;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

pub use document::Source;
pub use model::{
    AutoControl, Config, EncryptRule, Engine, Environment, Feature, Limits, LogFormat, LogLevel, Mailbox, Mesh, Order,
    PickupReport, PickupSettings, SendSettings,
};
pub use resolve::{Secrets, credentials, identities_at};
pub use schema::schema;
pub use secret::{SecretError, SecretRef};
pub use values::{ByteSize, ChunkSize, Cron, Listen, Mode, Percent, Period, Proxy};

use crate::domain::digest::hex;
use crate::domain::finding::Finding;

/// The main file, when neither an option nor `MESHD_CONFIG` names another.
pub const MAIN_FILE: &str = "/etc/meshd/meshd.toml";

/// No configuration file is longer than this many bytes.
const LONGEST: u64 = 1 << 20;

/// A configuration, and where each key of it stands.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// SHA-256 over the files, lower-case hex: the same files have the same one.
    pub sha256: String,
    /// Mailboxes that lack something, with stand-ins: pipelines may name them.
    left_out: Vec<Mailbox>,
    notes: read::Notes,
}

/// Which main file: the option, else `MESHD_CONFIG`, else [`MAIN_FILE`].
pub fn main_file(option: Option<PathBuf>) -> PathBuf {
    option.or_else(|| std::env::var_os("MESHD_CONFIG").map(PathBuf::from)).unwrap_or_else(|| MAIN_FILE.into())
}

/// Reads and checks the main file at `path` and `conf.d/*.toml` beside it.
pub fn load(path: &Path) -> Result<Loaded, Vec<Finding>> {
    read_sources(path).and_then(|sources| check_sources(&sources))
}

/// Reads the same files, and gives what is right in them even where something is wrong: see [`Loaded::mistakes`].
/// Files that cannot be read give nothing.
pub fn examine(path: &Path) -> Result<Loaded, Vec<Finding>> {
    read_sources(path).map(|sources| examine_sources(&sources))
}

/// Checks files already read.
pub fn check_sources(sources: &[Source]) -> Result<Loaded, Vec<Finding>> {
    let loaded = examine_sources(sources);
    if loaded.mistakes().is_empty() { Ok(loaded) } else { Err(loaded.notes.findings) }
}

fn examine_sources(sources: &[Source]) -> Loaded {
    let mut notes = read::Notes::default();
    let table = document::merge(sources, &mut notes.findings);
    let broken: BTreeSet<_> = notes.findings.iter().map(|finding| (finding.file.clone(), finding.line)).collect();
    let syntax = notes.findings.len();
    let mut config = Config::read(table, &mut notes);
    check::check(&config, &mut notes);
    let left_out = leave_out_incomplete(&mut config, &mut notes);
    // What the parser made of a line that is not TOML is no mistake of its own; nor is what is missing, since it may
    // stand there.
    let meant = notes.findings.split_off(syntax);
    let is_own =
        |found: &Finding| !broken.contains(&(found.file.clone(), found.line)) && (syntax == 0 || found.line.is_some());
    notes.findings.extend(meant.into_iter().filter(is_own));
    notes.findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let mut hash = digest::Context::new(&digest::SHA256);
    for source in sources {
        hash.update(source.text.as_bytes());
    }
    Loaded { config, sha256: hex(hash.finish().as_ref()), left_out, notes }
}

/// Takes out what has stand-ins, which serves the checks alone; of the mailboxes, hands it back.
fn leave_out_incomplete(config: &mut Config, notes: &mut read::Notes) -> Vec<Mailbox> {
    config.mesh.take_if(|_| notes.incomplete.contains("mesh"));
    let named = notes.mailboxes.drain(..).zip(config.mailboxes.drain(..));
    let (whole, left_out): (Vec<_>, Vec<_>) = named.partition(|(name, _)| !notes.incomplete.contains(name));
    (notes.mailboxes, config.mailboxes) = whole.into_iter().unzip();
    left_out.into_iter().map(|(_, mailbox)| mailbox).collect()
}

fn read_sources(main: &Path) -> Result<Vec<Source>, Vec<Finding>> {
    let mut paths = vec![main.to_path_buf()];
    let beside = main.parent().unwrap_or(Path::new("")).join("conf.d");
    match toml_files(&beside) {
        Ok(more) => paths.extend(more),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(vec![unreadable(&beside, &error)]),
    }
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    for path in paths {
        match read_bounded(&path) {
            Ok(text) => sources.push(Source { path, text }),
            Err(error) => findings.push(unreadable(&path, &error)),
        }
    }
    if findings.is_empty() { Ok(sources) } else { Err(findings) }
}

/// Every `*.toml` in a folder, in name order.
pub(crate) fn toml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The text of a configuration file, at most 1 MiB.
pub(crate) fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    plain::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Finding {
    Finding {
        file: path.to_path_buf(),
        line: None,
        key: String::new(),
        problem: error.to_string(),
        expected: "a readable configuration".into(),
        did_you_mean: None,
    }
}

impl Loaded {
    /// Everything that is wrong in the files. Each such key has its default here, or is left out with its table.
    pub fn mistakes(&self) -> &[Finding] {
        &self.notes.findings
    }

    /// Is nothing wrong in the table or key `name`, nor in what is inside it? Where a file is not TOML nothing is sure.
    pub fn is_sound(&self, name: &str) -> bool {
        let concerns = |key: &str| {
            key.is_empty() || key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        !self.mistakes().iter().any(|finding| concerns(&finding.key))
    }

    /// The mailboxes, each with the full name of its table, such as `mailbox[2]`.
    pub fn mailboxes(&self) -> impl Iterator<Item = (&str, &Mailbox)> {
        self.notes.mailboxes.iter().map(String::as_str).zip(&self.config.mailboxes)
    }

    /// Every mailbox that pipelines may name: those of the configuration, and those that lack something.
    pub fn nameable_mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.config.mailboxes.iter().chain(&self.left_out)
    }

    /// Is a mailbox written whose name is not known?
    pub fn has_a_nameless_mailbox(&self) -> bool {
        let is_name = |key: &str| key.starts_with("mailbox") && (key.ends_with("].id") || !key.contains('.'));
        self.notes.findings.iter().any(|found| is_name(&found.key))
    }

    /// A mistake at `key` that only the outside showed, with the key's place.
    pub fn finding(&self, key: &str, problem: impl Into<String>, expected: impl Into<String>) -> Finding {
        self.notes.finding(key, problem, expected)
    }
}
