//! `meshd check`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rustix::fs::{Access, access};
use serde_json::json;

use super::exit::FarSide;
use super::readable::readable;
use super::{Context, Failure};
use crate::config::{self, Loaded, SecretError, Secrets};
use crate::daemon::{self, Probe, SystemClock, Verdict};
use crate::domain::finding::{Finding, nearest};
use crate::domain::ids::MailboxId;
use crate::pipeline::Pipelines;
use crate::ports::clock::Clock;
use crate::ports::disk::Disk;
use crate::publish::{Promise, RootReport, Trial, probe_roots};
use crate::store::disk::{Real, group_names, group_number};
use crate::store::examine::examine;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit code 0 when all is well, 78 when something here is not; with --online also 77 when MESH
refuses us and 69 when it cannot be reached. Nothing is changed, and without --online nothing
is asked over the network. It also looks, beside a running daemon too, at what a start would
halt at: a half made restore, and damage at the end of the journal. `meshd journal verify`
reads all of the journal.

--online asks MESH for a sign of life, and for each mailbox a handshake and one page of its
list, of which only the number is shown. It counts as a handshake, of which MESH wants no more
than one an hour for each mailbox: the limit that a running daemon keeps is its own. It looks
at the state disk, and whether keys.identity opens what is sealed. A daemon may run beside it.

--online and --before-start write a small file into each staging folder and remove it: run
them as the daemon's user. Credentials of systemd are seen in a unit only; by hand, as root:

  systemd-run --pipe --wait --quiet -p User=meshd \\
    $(systemctl cat meshd | sed -n 's/^LoadCredential/-p&/p') meshd check --online

Examples:
  meshd check
  meshd check --tests
  meshd check --online
  meshd check --config ./meshd.toml --json")]
pub(super) struct Check {
    /// Outputs that are away, or cannot be written to, are shown and do not count, nor does a certificate out of its
    /// dates: what the unit asks before it starts the daemon, which keeps or gives out what it can meanwhile
    #[arg(long)]
    before_start: bool,
    /// Run the tests in the pipelines' files as well
    #[arg(long)]
    tests: bool,
    /// Ask MESH, the outputs and the state disk as well, and list what they answer
    #[arg(long)]
    online: bool,
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
    /// Why what is kept was not looked at.
    unseen: Option<String>,
    /// What was asked with `--online`.
    probes: Vec<Probe>,
    mailboxes: usize,
    pipelines: usize,
    /// How many ran, if they were asked for.
    tests: Option<usize>,
}

impl Check {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mut report = Report::default();
        match config::examine(&context.config) {
            Ok(loaded) => self.look(&loaded, &mut report)?,
            Err(findings) => report.mistakes = findings,
        }
        if !self.before_start {
            report.mistakes.append(&mut report.away);
        }
        report.mistakes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        if self.json {
            context.out.json(&json!({
                "mistakes": report.mistakes.iter().map(as_json).collect::<Vec<_>>(),
                "away": report.away.iter().map(as_json).collect::<Vec<_>>(),
                "outputs": report.roots.iter().map(root_as_json).collect::<Vec<_>>(),
                "state_not_looked_at": report.unseen,
                "online": report.probes.iter().map(probe_as_json).collect::<Vec<_>>(),
            }))?;
        } else {
            let written = if self.trial() == Trial::Write { ", written to as this user" } else { "" };
            for (output, root) in &report.roots {
                context.out.line(format_args!("{output}: {}, {}{written}", root.kind, promise(root.promise)))?;
            }
            for Probe { about, verdict, answer } in &report.probes {
                context.out.line(format_args!("{about}: {}: {answer}", verdict.as_str()))?;
            }
            if let Some(why) = &report.unseen {
                context.out.line(format_args!("what is kept was not looked at: {why}"))?;
            }
            for away in &report.away {
                context.out.line(format_args!("away for now: {away}"))?;
            }
        }
        if report.mistakes.iter().any(|finding| finding.problem == SecretError::NoCredentials.to_string()) {
            context.out.note("credentials of systemd are seen in a unit only: `meshd check --help` says how by hand");
        }
        if self.online && report.probes.is_empty() {
            context.out.note("MESH, keys and disk are asked once there is no other mistake");
        }
        if !report.mistakes.is_empty() {
            return Err(Failure::Configuration(report.mistakes));
        }
        let is_any = |verdict| report.probes.iter().any(|probe| probe.verdict == verdict);
        if is_any(Verdict::Refused) {
            return Err(Failure::Far(FarSide::Refused));
        }
        if is_any(Verdict::Away) {
            return Err(Failure::Far(FarSide::Away));
        }
        if self.json {
            return Ok(());
        }
        let tests = report.tests.map_or(String::new(), |count| format!(", tests: {count}"));
        let Report { mailboxes, pipelines, .. } = report;
        context.out.good(format_args!("no mistakes (mailboxes: {mailboxes}, pipelines: {pipelines}{tests})"))
    }

    /// Looks at all that a sound key leads to, so that a mistake hides no other.
    fn look(&self, loaded: &Loaded, report: &mut Report) -> Result<(), Failure> {
        report.mistakes.extend_from_slice(loaded.mistakes());
        report.mailboxes = loaded.config.mailboxes.len();
        let state_is_sound = loaded.is_sound("state.directory");
        let secrets = loaded.resolve().map_err(|findings| report.mistakes.extend(findings)).ok();
        certificates(loaded, report);
        if let Some(secrets) = secrets {
            if state_is_sound {
                report.mistakes.extend(daemon::foreign_key(loaded, &secrets, &Real::new()));
            }
            if self.online && report.mistakes.is_empty() && report.away.is_empty() {
                report.ask(loaded, &secrets)?;
            }
        }
        if state_is_sound {
            report.mistakes.extend(writable(loaded, "state.directory", &loaded.config.state.directory));
            // The start itself looks, and ends with another code.
            if !self.before_start {
                kept(loaded, report);
            }
        }
        if let Some(folder) = loaded.config.control.socket.parent()
            && loaded.is_sound("control.socket")
        {
            report.mistakes.extend(writable(loaded, "control.socket", folder));
        }
        groups(loaded, report);
        if !loaded.is_sound("pipelines") || loaded.has_a_nameless_mailbox() {
            return Ok(());
        }
        let (pipelines, findings) = daemon::examine_pipelines(loaded);
        let is_whole = findings.is_empty();
        report.mistakes.extend(findings);
        let Some(pipelines) = pipelines else { return Ok(()) };
        report.pipelines = pipelines.all().len();
        if state_is_sound {
            outputs(loaded, &pipelines, self.trial(), report);
        }
        // Which pipeline takes a message is known with all of them only.
        if self.tests && is_whole {
            let tested = pipelines.test();
            report.tests = Some(tested.count);
            report.mistakes.extend(tested.failures);
        }
        Ok(())
    }

    fn trial(&self) -> Trial {
        if self.online || self.before_start { Trial::Write } else { Trial::Look }
    }
}

impl Report {
    /// Asks what only MESH, the disk and the keys can tell. What is wrong here is a mistake like any other.
    fn ask(&mut self, loaded: &Loaded, secrets: &Secrets) -> Result<(), Failure> {
        let (wrong, told) =
            daemon::probe(loaded, secrets)?.into_iter().partition(|probe| probe.verdict == Verdict::Wrong);
        let wrong: Vec<Probe> = wrong;
        self.mistakes.extend(wrong.into_iter().map(|probe| loaded.finding(&probe.about, probe.answer, "")));
        self.probes = told;
        Ok(())
    }
}

fn root_as_json((output, root): &(String, RootReport)) -> serde_json::Value {
    json!({ "output": output, "file_system": root.kind, "once": root.promise == Promise::Once })
}

fn probe_as_json(probe: &Probe) -> serde_json::Value {
    json!({ "about": probe.about, "verdict": probe.verdict.as_str(), "answer": probe.answer })
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

/// Do authorities, certificate and key fit together, and is it their time? Asked only if none of them is among the
/// mistakes. Without a valid one the daemon still gives out what it has.
fn certificates(loaded: &Loaded, report: &mut Report) {
    let files = ["mesh.ca", "mesh.client_certificate", "mesh.client_key"];
    if report.mistakes.iter().any(|finding| files.contains(&finding.key.as_str())) {
        return;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    match loaded.config.mesh.as_ref().map(|mesh| daemon::client(loaded, mesh, &clock)) {
        Some(Ok(client)) => report.away.extend(daemon::invalid_certificate(loaded, &client, clock.wall())),
        Some(Err(findings)) => report.mistakes.extend(findings),
        None => {}
    }
}

/// Are the groups there? One that owns outputs keeps no mail from being received.
fn groups(loaded: &Loaded, report: &mut Report) {
    let missing = |key: &str, name: &Option<String>| {
        let error = group_number(name.as_ref()?).err()?;
        let names = group_names().unwrap_or_default();
        let did_you_mean = nearest(name.as_ref()?, names.iter().map(String::as_str));
        Some(Finding { did_you_mean, ..loaded.finding(key, error.to_string(), "a group of this machine") })
    };
    let control = &loaded.config.control;
    report.mistakes.extend(missing("control.view_group", &control.view_group));
    report.mistakes.extend(missing("control.operate_group", &control.operate_group));
    report.away.extend(loaded.mailboxes().filter_map(|(name, of)| missing(&format!("{name}.group"), &of.group)));
}

/// Would a start halt at what is kept?
fn kept(loaded: &Loaded, report: &mut Report) {
    let state = &loaded.config.state.directory;
    if let Err(failure) = readable(state).and_then(|()| readable(&state.join("journal"))) {
        report.unseen = Some(failure.to_string());
    } else if let Err(halt) = examine(&Real::new(), state) {
        let expected = "a state that a start takes up: see 'Halted (70)' in the README";
        report.mistakes.push(loaded.finding("state.directory", halt.0, expected));
    }
}

/// Could the daemon write into `folder`, or make it?
fn writable(loaded: &Loaded, key: &str, folder: &Path) -> Option<Finding> {
    let nearest = folder.ancestors().find(|ancestor| ancestor.exists())?;
    let error = access(nearest, Access::WRITE_OK | Access::EXEC_OK).err()?;
    let problem = format!("{}: {error}", nearest.display());
    Some(loaded.finding(key, problem, "a folder that this user may write to"))
}

/// The folders between which pairs are moved, as far as this user may not.
fn immovable(loaded: &Loaded, mailbox: &MailboxId, root: &Path) -> Vec<Finding> {
    let known = loaded.mailboxes().find(|(_, known)| known.id == *mailbox);
    let key = known.map_or("mailbox".into(), |(name, _)| format!("{name}.pickup"));
    let finding = |folder: PathBuf| {
        let error = access(&folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).err()?;
        let problem = format!("pairs cannot be moved: {}: {error}", folder.display());
        Some(loaded.finding(&key, problem, "a folder that `meshd output init` made, and this user may write to"))
    };
    ["OUT", "SENT", "FAILED"].map(|folder| finding(root.join(folder))).into_iter().flatten().collect()
}

fn outputs(loaded: &Loaded, pipelines: &Pipelines, trial: Trial, report: &mut Report) {
    let disk: Arc<dyn Disk> = Arc::new(Real::new());
    // Of a mailbox that lacks something, the output may be a stand-in.
    let is_whole = |mailbox: &MailboxId| loaded.config.mailboxes.iter().any(|known| known.id == *mailbox);
    let outputs = pipelines.folders().into_iter().map(|of| (of, false));
    let pickups = daemon::pickup_plans(&loaded.config).into_iter().map(|of| (of, true));
    let plans = outputs.chain(pickups).filter(|((mailbox, _), _)| is_whole(mailbox));
    let (mailboxes, roots): (Vec<_>, Vec<_>) =
        plans.map(|((mailbox, plan), is_pickup)| ((mailbox, is_pickup), (plan.root().to_path_buf(), plan))).unzip();
    let reports = probe_roots(&disk, &loaded.config.state.directory, &roots, trial);
    // Several pipelines may name one output: it is told once, whatever there is to tell.
    for (((mailbox, is_pickup), (root, plan)), found) in mailboxes.into_iter().zip(roots).zip(reports) {
        let what = match is_pickup {
            true => format!("pickup in {}", root.display()),
            false => format!("output {} in {}", plan.name, plan.folder.display()),
        };
        match found {
            Ok(found) => {
                let output = format!("{mailbox}, {what}");
                if is_pickup {
                    report.away.extend(immovable(loaded, &mailbox, &root));
                }
                if !report.roots.iter().any(|(told, _)| *told == output) {
                    report.roots.push((output, found));
                }
            }
            Err(fault) => {
                let known = loaded.mailboxes().find(|(_, known)| known.id == mailbox);
                let key = known.map_or("mailbox".into(), |(name, _)| format!("{name}.output"));
                let problem = format!("{what}: {fault}");
                let expected = "a root that `meshd output init` set up, mounted, and writable for this user";
                let finding = loaded.finding(&key, problem, expected);
                if !report.away.contains(&finding) {
                    report.away.push(finding);
                }
            }
        }
    }
}
