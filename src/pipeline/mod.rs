//! Where each message goes, as operators wrote it: one TOML file per pipeline, compiled once, then immutable.
//!
//! # Guarantees
//!
//! - Every mistake in every file is reported at once, with file, line, key and what was expected.
//! - The same message gives the same outcome: no clock, no chance, and of the outside only the message itself is read.
//! - At most one pipeline takes a message. If several match, the most specific one does (see below);
//!   two that could match one message equally well do not compile.
//! - No path is made from anything a sender wrote: folders come from the files and from the mailbox's own output.
//! - A message is opened for a decision only when a rule asks for what is sealed: headers beyond the clear facts, or the
//!   payload. Choosing among pipelines that do not ask allocates nothing.
//! - A payload is published byte for byte as it came, but for the changes that stages name (`transform`).
//! - What a sender wrote is compared and never repeated: not in a reason, not in a log, not in the journal (I8).
//!
//! # Which pipeline takes a message
//!
//! A pipeline matches if all keys of its `[match]` do; a key that is left out always does.
//! Matches are compared key by key in the order `workflow`, `mailbox`, `from`, `type`, `subject`, `local_id`, `file_name`;
//! the first difference decides:
//!
//! 1. a value without `*` that is equal: exact;
//! 2. a pattern with `*`: the more of its characters are not `*`, the more specific;
//! 3. no such key.
//!
//! Of several values of one key the best that matches counts. A key matches only a message that has such a header: a
//! report has no sender, and many messages have no subject. The last three are sealed with the message, since they may be
//! patient data; content is no key of `[match]`, so that choosing never reads a payload.
//!
//! # What the stages do
//!
//! They are read top to bottom; each sees the payload as the ones before it left it.
//!
//! | `use` | What it does |
//! |---|---|
//! | `decompress` | undoes one layer of gzip |
//! | `decrypt` | opens an age file |
//! | `discard` | ends what its `when` describes |
//! | `expect` | compares the `content` with what it should be, and tells or holds a disagreement |
//! | `route` | the first rule that fits chooses the outputs; without this stage all get the message |
//!
//! `when` has the keys of `[match]`, and `content` (`content` lists what is recognised). A report has no payload: the
//! stages that look at one pass it by.
//!
//! `[[monitor]]` says what should come, and what is an alarm if it does not (`monitors`).
//!
//! `[[test]]` says what must become of a message; `meshd check --tests` runs them (`testing`).
//!
//! # What is decided stays decided
//!
//! The outcome names each output with what is done to the payload on its way, and is journalled before anything is
//! published. A delivery that is resumed is finished from there, whatever the pipelines say then.

mod cases;
mod compile;
mod content;
mod definition;
mod keyring;
mod loops;
mod matching;
mod message;
mod monitors;
mod onward;
mod outputs;
mod reading;
mod run;
mod stages;
mod testing;
mod transform;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::ids::{MailboxId, Name};
use crate::domain::output::{LineEnds, OutputPlan, Unconsumed};
use crate::domain::settlement::Reason;
use cases::Case;
use keyring::Keyring;
use matching::Condition;
pub use matching::Facts;
pub use message::{Letter, Message};
pub use monitors::{Alarm, Moment, Monitor};
use outputs::OutputTemplate;
use stages::Stage;
pub use testing::Tested;

/// All pipelines and the mailboxes they write for. Immutable; a reload makes another one.
#[derive(Debug)]
pub struct Pipelines {
    pipelines: Vec<Pipeline>,
    /// Pipelines that name a workflow without `*`, by it: the quick way for most messages.
    exact: HashMap<String, Vec<usize>>,
    /// Pipelines with a workflow pattern or no workflow key.
    open: Vec<usize>,
    mailboxes: BTreeMap<MailboxId, MailboxOutputs>,
    keys: Keyring,
}

/// One compiled pipeline.
#[derive(Debug)]
pub struct Pipeline {
    name: Name,
    file: PathBuf,
    /// SHA-256 of the file, lower-case hex.
    sha256: String,
    matching: Condition,
    limits: Limits,
    stages: Vec<Stage>,
    outputs: Vec<OutputTemplate>,
    monitors: Vec<Monitor>,
    cases: Vec<Case>,
    keys: Keyring,
}

/// What a mailbox says about its output files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxOutputs {
    /// What `{mailbox.output}` stands for: an absolute path.
    pub output: PathBuf,
    /// Owning group of the files; the process's own when absent.
    pub group: Option<String>,
    /// Permission bits of the files, such as `0o640`.
    pub mode: u32,
    /// How lines of control files end.
    pub line_ends: LineEnds,
    /// How much a consumer may leave in an output that does not say so itself.
    pub waiting: Option<Unconsumed>,
}

/// How long and how often a pipeline's messages are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts that fail through the message itself; the last one makes it a dead letter.
    pub max_attempts: u32,
    /// Since it was accepted; a message that still waits for a dependency then is held.
    pub max_age: Duration,
    /// Decoded length of the payload; a larger message is a dead letter. Unlimited when absent.
    pub max_bytes: Option<u64>,
}

impl Default for Limits {
    /// Eight attempts, three days (a weekend), any size.
    fn default() -> Self {
        Self { max_attempts: 8, max_age: Duration::from_secs(72 * 3_600), max_bytes: None }
    }
}

/// The last word of a pipeline on a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It goes to each of these; there is at least one.
    Deliver(Vec<OutputPlan>),
    /// A rule says it goes nowhere.
    Discard(Reason),
    /// A person must look before it goes anywhere.
    Hold(Reason),
}
