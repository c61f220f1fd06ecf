//! `meshd deadletter replay`, `release`, `hold` and `discard`.

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;

use super::super::{Context, Failure};
use crate::daemon::{Answer, Ask, MOST_ACTS, Outcome, ask};
use crate::domain::ids::DeliveryId;
use crate::domain::operator::Remark;
use crate::ports::store::{Act, Acted, NotAllowed};

/// On which deliveries, and why.
#[derive(Debug, Args)]
struct On {
    /// The deliveries, as `list` shows them
    #[arg(required = true, num_args = 1..=MOST_ACTS, value_name = "DELIVERY")]
    deliveries: Vec<DeliveryId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each becomes a new delivery, with a budget of its own, and goes through today's pipelines; the
old one ends as replayed.

Examples:
  meshd deadletter replay d4711
  meshd deadletter replay d4711 d4712 --reason \"the pipeline is there now, INC0012345\"
  meshd deadletter replay d4711 --force
  meshd deadletter replay d4711 --again --reason \"the practice lost it\"")]
pub(in crate::cli) struct Replay {
    #[command(flatten)]
    on: On,
    /// Although it may harm the daemon, or pass for another message; one alone
    #[arg(long)]
    force: bool,
    /// Although a consumer has it, or may have it: it may come out twice
    #[arg(long, requires = "reason")]
    again: bool,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Option<Remark>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The same delivery goes on where it was. Outputs that are out stay as they are. One that was
held, OUT-NAME-TAKEN or OUT-UNCERTAIN, is tried again: where the consumer did have it, it
comes out twice.

Examples:
  meshd deadletter release d4711
  meshd deadletter release d4711 --reason \"the consumer does not have it\"")]
pub(in crate::cli) struct Release {
    #[command(flatten)]
    on: On,
    /// Although it may harm the daemon, or pass for another message; one alone
    #[arg(long)]
    force: bool,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Option<Remark>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is held waits for a person, without a limit.

Examples:
  meshd deadletter hold d4711 --reason \"the sender asks us to wait\"")]
pub(in crate::cli) struct Hold {
    #[command(flatten)]
    on: On,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
}

#[derive(Debug, Args)]
#[command(after_help = "\
It goes nowhere. Its payload is kept for `retention.delivered`.

Examples:
  meshd deadletter discard d4711 --reason \"the sender sent it again\"")]
pub(in crate::cli) struct Discard {
    #[command(flatten)]
    on: On,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
}

impl Replay {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        self.on.act(context, Act::Replay { force: self.force, again: self.again }, self.reason)
    }
}

impl Release {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        self.on.act(context, Act::Release { force: self.force }, self.reason)
    }
}

impl Hold {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        self.on.act(context, Act::Hold, Some(self.reason))
    }
}

impl Discard {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        self.on.act(context, Act::Discard, Some(self.reason))
    }
}

/// What came of one, for machines.
#[derive(Serialize)]
struct Line<'a> {
    delivery: DeliveryId,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<&'a Acted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a NotAllowed>,
}

impl<'a> Line<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let Outcome { delivery, result } = outcome;
        Self { delivery: *delivery, done: result.as_ref().ok(), refused: result.as_ref().err() }
    }
}

impl On {
    fn act(self, context: &mut Context, act: Act, why: Option<Remark>) -> Result<(), Failure> {
        let socket = context.load()?.config.control.socket;
        let Answer::Acted(outcomes) = ask(&socket, Ask::Act { deliveries: self.deliveries, act, why })? else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        if self.json {
            context.out.json(&outcomes.iter().map(Line::of).collect::<Vec<_>>())?;
        }
        let mut refused = 0;
        for Outcome { delivery, result } in &outcomes {
            match result {
                Ok(acted) if !self.json => context.out.good(format_args!("{delivery} {}", done(*acted)))?,
                Ok(_) => {}
                Err(why) => {
                    context.out.note(format_args!("{delivery}: {why}"));
                    refused += 1;
                }
            }
        }
        match refused {
            0 => Ok(()),
            _ => Err(anyhow!("{refused} of {} left as they were", outcomes.len()).into()),
        }
    }
}

fn done(acted: Acted) -> String {
    match acted {
        Acted::ReplayedAs(id) => format!("is replayed as {id}"),
        Acted::Released => "is back at work".to_owned(),
        Acted::Held => "is held".to_owned(),
        Acted::Discarded => "is discarded".to_owned(),
    }
}
