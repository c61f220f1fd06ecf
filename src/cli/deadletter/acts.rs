//! `meshd deadletter replay`, `release`, `hold` and `discard`: on some deliveries at once, on very many as a job.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::Serialize;

use super::super::{Context, Failure};
use super::bring_in;
use super::bulk::Bulk;
use super::which::Which;
use crate::daemon::{Answer, Ask, MOST_ACTS, Outcome, ask};
use crate::domain::ids::DeliveryId;
use crate::domain::operator::Remark;
use crate::ports::operations::Whose;
use crate::ports::store::{Act, Acted, JobAct, NotAllowed, Rate, Replaces, Selection};

/// On which deliveries, and why.
#[derive(Debug, Args)]
struct On {
    /// The deliveries, as `list` shows them; or the options below say which
    #[arg(num_args = 1..=MOST_ACTS, value_name = "DELIVERY")]
    #[arg(required_unless_present = "Which", conflicts_with = "Which")]
    deliveries: Vec<DeliveryId>,
    #[command(flatten)]
    which: Which,
    /// Do it to all of them, and not only say what would be done
    #[arg(long, requires = "Which")]
    yes: bool,
    /// At most so many in a second
    #[arg(long, value_name = "N/s", default_value = "100/s", requires = "Which")]
    rate: Rate,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each becomes a new delivery, with a budget of its own, and goes through today's pipelines; the
old one ends as replayed. For all that are alike, or that the options under Which take, it says
first what it would do; with --yes it is a job, which goes on across restarts.

With --payload, one delivery is handled with other bytes, such as its own after somebody mended
them. It keeps its own until their time, and ends as discarded; the journal has the digests of
both, and who brought the new ones.

Examples:
  meshd deadletter replay d4711
  meshd deadletter replay d4711 d4712 --reason \"the pipeline is there now, INC0012345\"
  meshd deadletter replay --group bd222ccc0221a3ef --reason INC0012345
  meshd deadletter replay --group bd222ccc0221a3ef --reason INC0012345 --yes
  meshd deadletter replay d4711 --force
  meshd deadletter replay d4711 --again --reason \"the practice lost it\"
  meshd deadletter show d4711 --reveal --payload --out mended.hl7 --reason INC0012345
  meshd deadletter replay d4711 --payload mended.hl7 --reason \"segment added, INC0012345\"")]
pub(in crate::cli) struct Replay {
    #[command(flatten)]
    on: On,
    /// Although it may harm the daemon, or pass for another message; one alone
    #[arg(long, conflicts_with = "Which")]
    force: bool,
    /// Although a consumer has it, or may have it: it may come out twice
    #[arg(long, requires = "reason", conflicts_with = "Which")]
    again: bool,
    /// Have one delivery handled with the bytes of this file instead of its own, which are kept
    #[arg(long, value_name = "FILE", requires = "reason", conflicts_with = "Which")]
    payload: Option<PathBuf>,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT", required_unless_present = "deliveries")]
    reason: Option<Remark>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The same delivery goes on where it was. Outputs that are out stay as they are. One that was
held, OUT-NAME-TAKEN or OUT-UNCERTAIN, is tried again: where the consumer did have it, it
comes out twice.

Examples:
  meshd deadletter release d4711
  meshd deadletter release d4711 --reason \"the consumer does not have it\"
  meshd deadletter release d4711 --again --reason \"restored; the consumer does not have it\"
  meshd deadletter release --state held --code MSG-TOO-OLD --reason INC0012345 --yes")]
pub(in crate::cli) struct Release {
    #[command(flatten)]
    on: On,
    /// Although it may harm the daemon, or pass for another message; one alone
    #[arg(long, conflicts_with = "Which")]
    force: bool,
    /// Although it may have come out since the backup that this state was restored from
    #[arg(long, requires = "reason", conflicts_with = "Which")]
    again: bool,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT", required_unless_present = "deliveries")]
    reason: Option<Remark>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
What is held waits for a person, without a limit.

Examples:
  meshd deadletter hold d4711 --reason \"the sender asks us to wait\"
  meshd deadletter hold --from X26ABC9 --reason \"the sender asks us to wait\" --yes")]
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
  meshd deadletter discard d4711 --reason \"the sender sent it again\"
  meshd deadletter discard --mailbox X26ABC1 --code MSG-NO-ROUTE --reason INC0012345 --yes")]
pub(in crate::cli) struct Discard {
    #[command(flatten)]
    on: On,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
}

impl Replay {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        if let (Some(payload), Some(why)) = (&self.payload, &self.reason) {
            return self.replace(context, payload, why);
        }
        self.on.act(context, Act::Replay { force: self.force, again: self.again }, JobAct::Replay, self.reason)
    }
}

impl Replay {
    /// Has one delivery handled with the bytes of a file.
    fn replace(&self, context: &mut Context, payload: &Path, why: &Remark) -> Result<(), Failure> {
        let [delivery] = self.on.deliveries[..] else {
            return Err(anyhow!("with --payload name one delivery: the bytes are for it alone").into());
        };
        let whose = Whose::Delivery(Replaces { delivery, force: self.force, again: self.again });
        let named = || payload.display().to_string();
        let file = File::open(payload).with_context(named)?;
        let found = file.metadata().with_context(named)?;
        if !found.is_file() {
            return Err(anyhow!("{}: it is no regular file", payload.display()).into());
        }
        let new = bring_in(context, whose, found.len(), why, file)?;
        if self.on.json {
            return context.out.json(&[Line { delivery, done: Some(&Acted::ReplayedAs(new)), refused: None }]);
        }
        context.out.good(format_args!("{delivery} is replayed as {new} with {} bytes; it keeps its own", found.len()))
    }
}

impl Release {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        self.on.act(context, Act::Release { force: self.force, again: self.again }, JobAct::Release, self.reason)
    }
}

impl Hold {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        self.on.act(context, Act::Hold, JobAct::Hold, Some(self.reason))
    }
}

impl Discard {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        self.on.act(context, Act::Discard, JobAct::Discard, Some(self.reason))
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
    /// Does `act` with each of the deliveries, or `bulk` with all that is selected.
    fn act(self, context: &mut Context, act: Act, bulk: JobAct, why: Option<Remark>) -> Result<(), Failure> {
        if !self.deliveries.is_empty() {
            return self.act_on_each(context, act, why);
        }
        let why = why.ok_or_else(|| anyhow!("it needs a --reason, for the journal"))?;
        let Self { which, yes, rate, json, .. } = self;
        let bulk = Bulk { act: bulk, selection: Selection::from(which), rate, why, json };
        if yes { bulk.carry_out(context) } else { bulk.tell(context) }
    }

    fn act_on_each(self, context: &mut Context, act: Act, why: Option<Remark>) -> Result<(), Failure> {
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
