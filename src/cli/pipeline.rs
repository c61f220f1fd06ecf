//! `meshd pipeline`

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Context, Failure};
use crate::daemon::{Answer, Ask, LARGEST_PAGE, MOST_ACTS, ask};
use crate::domain::ids::{DeliveryId, Name};
use crate::domain::operator::Remark;
use crate::domain::settlement::Reason;
use crate::ports::operations::PipelineStatus;
use crate::ports::store::{Act, AsideState, Selection};

#[derive(Debug, Subcommand)]
pub(super) enum Pipeline {
    /// List the pipelines of the running daemon, and which are suspended
    List(List),
    /// Let a suspended pipeline go on, and put the mail held for it back to work
    Resume(Resume),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd pipeline list
  meshd pipeline list --json | jq '.[] | select(.suspended)'")]
pub(super) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A pipeline is suspended when twenty of its messages failed alike without a success between.
Those twenty are dead letters: replay them by `meshd deadletter replay`. What came after them is
held for the pipeline, and goes on now. A reload or a restart lifts the suspension too, and
leaves the held mail to this command.

Examples:
  meshd pipeline resume pathology --reason \"the limit was too small, INC0012345\"
  meshd pipeline resume pathology --only-new")]
pub(super) struct Resume {
    /// The pipeline, as `list` shows it
    #[arg(value_parser = |text: &str| Name::new(text))]
    pipeline: Name,
    /// Leave held what is held
    #[arg(long)]
    only_new: bool,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Option<Remark>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Pipeline {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Resume(resume) => resume.run(context),
        }
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let pipelines = pipelines(&context.load()?.config.control.socket)?;
        if self.json {
            return context.out.json(&pipelines);
        }
        context.out.line(row(["PIPELINE", "STATE", "OUTPUTS"]))?;
        for pipeline in &pipelines {
            let state = match pipeline.suspended {
                None => "runs".to_owned(),
                Some(suspended) => format!("suspended since {}: {}", suspended.since, suspended.code),
            };
            let outputs: Vec<_> = pipeline.outputs.iter().map(Name::as_str).collect();
            context.out.line(row([pipeline.name.as_str(), &state, &outputs.join(", ")]))?;
        }
        Ok(())
    }
}

impl Resume {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { pipeline, only_new, reason, json } = self;
        let socket = context.load()?.config.control.socket;
        let known = pipelines(&socket)?;
        if !known.iter().any(|known| known.name == pipeline) {
            let names: Vec<_> = known.iter().map(|known| known.name.as_str()).collect();
            return Err(anyhow!("no pipeline is called {pipeline}; there are: {}", names.join(", ")).into());
        }
        let question = Ask::Resume { pipeline: pipeline.clone(), why: reason.clone() };
        let Answer::Resumed(was_suspended) = ask(&socket, question)? else { return Err(other_answer()) };
        let released = if only_new { 0 } else { release(&socket, &Reason::suspended(&pipeline), reason.as_ref())? };
        if !was_suspended && released == 0 {
            return Err(anyhow!("{pipeline} is not suspended, and no mail is held for it").into());
        }
        if json {
            return context.out.json(&json!({ "was_suspended": was_suspended, "released": released }));
        }
        let state = if was_suspended { "goes on" } else { "was not suspended any more" };
        context.out.good(format_args!("{pipeline} {state}; deliveries back at work: {released}"))
    }
}

/// Puts everything held for this reason back to work, newest first; says how much.
fn release(socket: &Path, reason: &Reason, why: Option<&Remark>) -> Result<usize, Failure> {
    let (mut released, mut before) = (0, None);
    loop {
        let selection =
            Box::new(Selection { state: Some(AsideState::Held), code: Some(reason.code), ..Selection::default() });
        let page = Ask::SetAside { before, only: None, selection, count: LARGEST_PAGE };
        let Answer::SetAside(found) = ask(socket, page)? else { return Err(other_answer()) };
        let held = found.page.iter().filter(|aside| aside.reason == *reason);
        let held: Vec<DeliveryId> = held.map(|aside| aside.delivery.id).collect();
        for deliveries in held.chunks(MOST_ACTS) {
            let act = Act::Release { force: false, again: false };
            let question = Ask::Act { deliveries: deliveries.to_vec(), act, why: why.cloned() };
            let Answer::Acted(outcomes) = ask(socket, question)? else { return Err(other_answer()) };
            // What was refused is at work or ended, since someone else was faster; or is from before a restore, and takes
            // `deadletter release --again`.
            released += outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
        }
        let Some(rest) = found.rest else { return Ok(released) };
        before = Some(rest);
    }
}

fn pipelines(socket: &Path) -> Result<Vec<PipelineStatus>, Failure> {
    let Answer::Status(status) = ask(socket, Ask::Status)? else { return Err(other_answer()) };
    Ok(status.pipelines)
}

fn other_answer() -> Failure {
    anyhow!("the daemon answered another question").into()
}

fn row([pipeline, state, outputs]: [&str; 3]) -> String {
    format!("{pipeline:<24} {state:<60} {outputs}").trim_end().to_owned()
}
