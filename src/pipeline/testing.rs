//! Runs each `[[test]]` as a message would run: the same choice among all pipelines, the same stages.
//!
//! It reads the files that the tests name, as a stream, and writes nothing.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cases::{Bytes, Case, End, Given};
use super::{Facts, Letter, Message, Outcome, Pipeline, Pipelines};
use crate::domain::digest::Hasher;
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::fault::{Class, Fault, Origin};
use crate::domain::finding::Finding;
use crate::domain::ids::{MessageId, Name};
use crate::ports::spool::{Opened, Payload, PayloadSource};

/// What came of all tests.
#[derive(Debug, Default)]
pub struct Tested {
    /// How many there are.
    pub count: usize,
    /// One for each that failed.
    pub failures: Vec<Finding>,
}

/// Why a test failed: where in it, what came, what should have.
struct Failure {
    key: &'static str,
    problem: String,
    expected: String,
}

impl Pipelines {
    /// Runs every test of every pipeline.
    pub fn test(&self) -> Tested {
        let mut tested = Tested::default();
        for pipeline in &self.pipelines {
            for case in &pipeline.cases {
                tested.count += 1;
                // What a panic says is on standard error already.
                let run = catch_unwind(AssertUnwindSafe(|| self.run_case(pipeline, case)));
                let panicked = |_| Err(failure("", "it panicked".into(), "no panic"));
                if let Err(failure) = run.unwrap_or_else(panicked) {
                    tested.failures.push(failure.finding(pipeline, case));
                }
            }
        }
        tested
    }

    fn run_case(&self, pipeline: &Pipeline, case: &Case) -> Result<(), Failure> {
        let sample =
            Sample::open(pipeline.file(), case).map_err(|problem| failure(".message", problem, "a readable file"))?;
        let mut message = Message::new(sample.facts(), &sample);
        let chosen = self.choose(&message).map_err(|fault| failure("", fault.to_string(), &case.expected.end))?;
        match chosen {
            Some(chosen) if chosen.name() == pipeline.name() => {}
            Some(other) => {
                let problem = format!("the pipeline `{}` takes it", other.name());
                return Err(failure(".given", problem, "this pipeline to take it"));
            }
            None => return Err(failure(".given", "no pipeline takes it".into(), "this pipeline to take it")),
        }
        let mailbox = self.mailbox(&case.given.mailbox).expect("a test is read only with a configured mailbox");
        let came = match pipeline.run(&mut message, mailbox, &mut |_| ()) {
            Ok(Outcome::Deliver(plans)) => {
                let mut names: Vec<Name> = plans.iter().map(|plan| plan.name().clone()).collect();
                names.sort();
                End::Outputs(names)
            }
            Ok(Outcome::Discard(_)) => End::Discard,
            Ok(Outcome::Hold(reason)) => End::Held(reason.code),
            Err(fault) => end_of(&fault),
        };
        if came != case.expected.end {
            return Err(failure(".expect", format!("it is {came}"), &case.expected.end));
        }
        match message.alarms() {
            [] if case.expected.is_alarmed => return Err(failure(".expect", "no alarm is raised".into(), "an alarm")),
            [alarm, ..] if !case.expected.is_alarmed => {
                let problem = format!("the alarm {} is raised: {}", alarm.code, alarm.detail);
                return Err(failure(".expect", problem, "`alarm = true`, or no alarm"));
            }
            _ => {}
        }
        match &case.expected.bytes {
            Some(bytes) => compare(bytes, &sample.opened.payload, &message),
            None => Ok(()),
        }
    }
}

/// As `work` settles it at the first attempt: what the message itself did is dead, all else is held.
fn end_of(fault: &Fault) -> End {
    match (fault.class, &fault.origin) {
        (Class::Permanent | Class::Poison, Origin::Message) => End::Dead(fault.code),
        (Class::Permanent | Class::Poison, Origin::Dependency(_) | Origin::Local(_)) | (Class::Transient, _) => {
            End::Held(fault.code)
        }
    }
}

fn compare(expected: &Bytes, came: &Payload, message: &Message<'_>) -> Result<(), Failure> {
    let unreadable = |error: io::Error| failure(".message", error.to_string(), "a readable file");
    let published = message.payload().map_err(|fault| failure(".message", fault.to_string(), "a readable file"))?;
    let published = sha256(published).map_err(unreadable)?;
    let wanted = match expected {
        Bytes::Same => sha256(came).map_err(unreadable)?,
        Bytes::Sha256(wanted) => wanted.clone(),
    };
    if published == wanted {
        return Ok(());
    }
    Err(failure(".expect", format!("the bytes published have the SHA-256 {published}"), &format!("SHA-256 {wanted}")))
}

fn sha256(payload: &Payload) -> io::Result<String> {
    let (mut reader, mut hasher) = (payload.reader()?, Hasher::new());
    let mut piece = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hasher.clear()),
            count => hasher.update(&piece[..count]),
        }
    }
}

fn failure(key: &'static str, problem: String, expected: &(impl fmt::Display + ?Sized)) -> Failure {
    Failure { key, problem, expected: expected.to_string() }
}

impl Failure {
    fn finding(self, pipeline: &Pipeline, case: &Case) -> Finding {
        Finding {
            file: pipeline.file().into(),
            line: Some(case.line),
            key: format!("{}{}", case.key, self.key),
            problem: format!("test \"{}\": {}", case.name, self.problem),
            expected: self.expected,
            did_you_mean: None,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outputs(names) => {
                let names: Vec<&str> = names.iter().map(Name::as_str).collect();
                write!(f, "delivered to {}", names.join(", "))
            }
            Self::Discard => f.write_str("discarded"),
            Self::Dead(code) => write!(f, "dead with {code}"),
            Self::Held(code) => write!(f, "held with {code}"),
        }
    }
}

/// A test's message, as if it had come.
struct Sample {
    opened: Opened,
}

impl Sample {
    /// Its file is named in what is wrong with it.
    fn open(file: &Path, case: &Case) -> Result<Self, String> {
        let payload = match &case.message {
            Some(path) => {
                let path = file.parent().unwrap_or(Path::new("")).join(path);
                let metadata = File::open(&path).and_then(|file| file.metadata());
                let metadata = metadata.map_err(|error| format!("{}: {error}", path.display()))?;
                Payload::new(metadata.len(), Arc::new(Plain(path)))
            }
            None => Payload::new(0, Arc::new(Empty)),
        };
        Ok(Self { opened: Opened { envelope: envelope(&case.given), payload } })
    }

    fn facts(&self) -> Facts<'_> {
        let Envelope { workflow, mailbox, from, kind, .. } = &self.opened.envelope;
        Facts { workflow, mailbox, from: from.as_ref(), kind: *kind, length: self.opened.payload.length() }
    }
}

impl Letter for Sample {
    fn opened(&self) -> Result<&Opened, Fault> {
        Ok(&self.opened)
    }
}

fn envelope(given: &Given) -> Envelope {
    let Given { workflow, mailbox, from, kind, subject, local_id, file_name } = given;
    Envelope {
        mailbox: mailbox.clone(),
        message_id: MessageId::new("TEST").expect("letters"),
        kind: *kind,
        workflow: workflow.clone(),
        from: from.clone(),
        to: None,
        subject: subject.clone(),
        local_id: local_id.clone(),
        file_name: file_name.clone(),
        partner_id: None,
        checksum: None,
        content_type: None,
        content_encrypted: false,
        content_compressed: None,
        status: Status::default(),
        linked_message_id: None,
        chunks: match kind {
            MessageKind::Data => 1,
            MessageKind::Report => 0,
        },
    }
}

struct Plain(PathBuf);

impl PayloadSource for Plain {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&self.0)?))
    }
}

struct Empty;

impl PayloadSource for Empty {
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::empty()))
    }
}
