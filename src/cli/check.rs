//! `meshd check`

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use rustix::fs::{Access, access};
use serde_json::json;

use super::{Context, Failure};
use crate::adapters::http::{Client, Network};
use crate::config::{Loaded, Secrets};
use crate::daemon::{self, SystemClock};
use crate::domain::finding::Finding;
use crate::pipeline::Pipelines;
use crate::ports::disk::Disk;
use crate::publish::{Promise, RootReport, probe_roots};
use crate::store::disk::Real;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 0 when all is well, 78 when something is not. Nothing is changed, and nothing is asked over the network.

Examples:
  meshd check
  meshd check --tests
  meshd check --config ./meshd.toml --json")]
pub(super) struct Check {
    /// Outputs that are away are shown, but do not count: what the unit asks before it starts the daemon, which
    /// receives and keeps mail while an output is away
    #[arg(long)]
    before_start: bool,
    /// Run the tests in the pipelines' files as well
    #[arg(long)]
    tests: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was looked at.
#[derive(Default)]
struct Report {
    mistakes: Vec<Finding>,
    away: Vec<Finding>,
    roots: Vec<(String, RootReport)>,
    mailboxes: usize,
    pipelines: usize,
    /// How many ran, if they were asked for.
    tests: Option<usize>,
}

impl Check {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mut report = Report::default();
        match context.load() {
            Ok(loaded) => look(&loaded, self.tests, &mut report),
            Err(Failure::Configuration(findings)) => report.mistakes = findings,
            Err(other) => return Err(other),
        }
        if !self.before_start {
            report.mistakes.append(&mut report.away);
        }
        if self.json {
            context.out.json(&json!({
                "mistakes": report.mistakes.iter().map(as_json).collect::<Vec<_>>(),
                "away": report.away.iter().map(as_json).collect::<Vec<_>>(),
            }))?;
        } else {
            for (output, root) in &report.roots {
                context.out.line(format_args!("{output}: {}, {}", root.kind, promise(root.promise)))?;
            }
            for away in &report.away {
                context.out.line(format_args!("away for now: {away}"))?;
            }
        }
        if !report.mistakes.is_empty() {
            return Err(Failure::Configuration(report.mistakes));
        }
        if self.json {
            return Ok(());
        }
        let tests = report.tests.map_or(String::new(), |count| format!(", tests: {count}"));
        let Report { mailboxes, pipelines, .. } = report;
        context.out.good(format_args!("no mistakes (mailboxes: {mailboxes}, pipelines: {pipelines}{tests})"))
    }
}

fn promise(promise: Promise) -> &'static str {
    match promise {
        Promise::Once => "each message appears once",
        Promise::AtLeastOnce => {
            "after a crash a message may wait for a person, or appear again with the same name and bytes"
        }
    }
}

fn as_json(finding: &Finding) -> serde_json::Value {
    json!({
        "file": finding.file,
        "line": finding.line,
        "key": finding.key,
        "problem": finding.problem,
        "expected": finding.expected,
        "did_you_mean": finding.did_you_mean,
    })
}

fn look(loaded: &Loaded, with_tests: bool, report: &mut Report) {
    report.mailboxes = loaded.config.mailboxes.len();
    match loaded.resolve() {
        Ok(secrets) => {
            report.mistakes.extend(certificates(loaded, &secrets));
            report.mistakes.extend(daemon::foreign_key(loaded, &secrets, &Real::new()));
        }
        Err(findings) => report.mistakes.extend(findings),
    }
    report.mistakes.extend(writable(loaded, "state.directory", &loaded.config.state.directory));
    if let Some(folder) = loaded.config.control.socket.parent() {
        report.mistakes.extend(writable(loaded, "control.socket", folder));
    }
    match daemon::load_pipelines_with_keys(loaded) {
        Ok(pipelines) => {
            outputs(loaded, &pipelines, report);
            if with_tests {
                let tested = pipelines.test();
                report.tests = Some(tested.count);
                report.mistakes.extend(tested.failures);
            }
        }
        Err(findings) => report.mistakes.extend(findings),
    }
}

fn certificates(loaded: &Loaded, secrets: &Secrets) -> Option<Finding> {
    let mesh = loaded.config.mesh.as_ref()?;
    let clock = Arc::new(SystemClock::default());
    let error = Client::new(daemon::tls_files(mesh, secrets), Network::default(), clock).err()?;
    Some(loaded.finding("mesh", error.to_string(), "authorities, a certificate and its key, that fit together"))
}

/// Could the daemon write into `folder`, or make it?
fn writable(loaded: &Loaded, key: &str, folder: &Path) -> Option<Finding> {
    let nearest = folder.ancestors().find(|ancestor| ancestor.exists())?;
    let error = access(nearest, Access::WRITE_OK | Access::EXEC_OK).err()?;
    let problem = format!("{}: {error}", nearest.display());
    Some(loaded.finding(key, problem, "a folder that this user may write to"))
}

fn outputs(loaded: &Loaded, pipelines: &Pipelines, report: &mut Report) {
    report.pipelines = pipelines.all().len();
    let disk: Arc<dyn Disk> = Arc::new(Real::new());
    let (mailboxes, roots): (Vec<_>, Vec<_>) =
        pipelines.plans().into_iter().map(|(mailbox, plan)| (mailbox, (plan.root().to_path_buf(), plan))).unzip();
    let reports = probe_roots(&disk, &loaded.config.state.directory, &roots);
    for ((mailbox, (_, plan)), found) in mailboxes.into_iter().zip(roots).zip(reports) {
        match found {
            Ok(found) => {
                let output = format!("{mailbox}, output {} in {}", plan.name, plan.folder.display());
                // Several pipelines may name one output: it is told once.
                if !report.roots.iter().any(|(told, _)| *told == output) {
                    report.roots.push((output, found));
                }
            }
            Err(fault) => {
                let number = (1..).zip(&loaded.config.mailboxes).find(|(_, known)| known.id == mailbox);
                let key = number.map_or("mailbox".into(), |(number, _)| format!("mailbox[{number}].output"));
                let problem = format!("output {} in {}: {fault}", plan.name, plan.folder.display());
                report.away.push(loaded.finding(&key, problem, "a root that `meshd output init` set up, mounted"));
            }
        }
    }
}
