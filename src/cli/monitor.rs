//! `meshd monitor`

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Context, Failure};
use crate::daemon::{Answer, Ask, ask};
use crate::domain::ids::Name;
use crate::domain::monitor::MonitorId;
use crate::domain::operator::Remark;
use crate::ports::monitors::{FlowStatus, MonitorStatus};

#[derive(Debug, Subcommand)]
pub(super) enum Monitor {
    /// List what should come, what came last, and what is missing
    List(List),
    /// Wait no longer for what a monitor missed, so that its alarm ends
    Accept(Accept),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Times are in UTC. A flow is one sender's interchanges for one recipient, by a digest that names
nobody.

Examples:
  meshd monitor list
  meshd monitor list --json | jq '.[] | select(.alarm)'")]
pub(super) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Of a monitor that counts, the numbers that it names now are waited for no longer; of one that
waits for messages, the time is counted anew. What is missed afterwards is an alarm again.

Examples:
  meshd monitor accept pathology numbers --reason \"the laboratory voided 4711, INC0012345\"")]
pub(super) struct Accept {
    /// The pipeline, as `list` shows it
    #[arg(value_parser = |text: &str| Name::new(text))]
    pipeline: Name,
    /// The monitor, as `list` shows it
    #[arg(value_parser = |text: &str| Name::new(text))]
    monitor: Name,
    /// Why, for the journal, in a few words; never name a patient
    #[arg(long, value_name = "TEXT")]
    reason: Remark,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Monitor {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Accept(accept) => accept.run(context),
        }
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let monitors = monitors(&context.load()?.config.control.socket)?;
        if self.json {
            return context.out.json(&monitors);
        }
        context.out.line(row(["MONITOR", "KIND", "LAST MESSAGE", "STATE"]))?;
        for monitor in &monitors {
            for line in lines(monitor) {
                context.out.line(line)?;
            }
        }
        Ok(())
    }
}

impl Accept {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { pipeline, monitor, reason, json } = self;
        let socket = context.load()?.config.control.socket;
        let known = monitors(&socket)?;
        if !known.iter().any(|known| known.pipeline == pipeline && known.name == monitor) {
            let names: Vec<_> = known.iter().map(|known| format!("{} {}", known.pipeline, known.name)).collect();
            return Err(anyhow!("{pipeline} has no monitor {monitor}; there are: {}", names.join(", ")).into());
        }
        let of = MonitorId { pipeline, monitor };
        let question = Ask::AcceptMonitor { of: of.clone(), why: reason };
        let Answer::MonitorAccepted(was_told) = ask(&socket, question)? else { return Err(other_answer()) };
        if !was_told {
            return Err(anyhow!("the monitor {of} has no alarm").into());
        }
        if json {
            return context.out.json(&json!({ "accepted": true }));
        }
        context.out.good(format_args!("the alarm of {of} ended"))
    }
}

fn monitors(socket: &Path) -> Result<Vec<MonitorStatus>, Failure> {
    let Answer::Status(status) = ask(socket, Ask::Status)? else { return Err(other_answer()) };
    Ok(status.monitors)
}

fn other_answer() -> Failure {
    anyhow!("the daemon answered another question").into()
}

/// A monitor, and its flows under it.
fn lines(monitor: &MonitorStatus) -> Vec<String> {
    let state = match &monitor.alarm {
        None => "as it should be".to_owned(),
        Some(alarm) => format!("{} since {}: {}", alarm.code, alarm.since, alarm.detail),
    };
    let name = format!("{} {}", monitor.pipeline, monitor.name);
    let last = monitor.last.map_or("none".to_owned(), |last| last.to_string());
    let mut lines = vec![row([&name, &monitor.kind, &last, &state])];
    lines.extend(monitor.flows.iter().map(|flow| format!("  {}", in_words(flow))));
    if monitor.unfollowed > 0 {
        lines.push(format!("  {} messages of other flows are not counted: there are too many", monitor.unfollowed));
    }
    lines
}

fn in_words(flow: &FlowStatus) -> String {
    let FlowStatus { flow, from, last, next, missing, unlisted, again, restarts } = flow;
    let from = from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    let mut text = format!("flow {flow}{from}: {next} is next, last at {last}");
    let range =
        |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first} to {last}") };
    if !missing.is_empty() {
        text += &format!("; missing: {}", missing.iter().map(range).collect::<Vec<_>>().join(", "));
    }
    for (count, what) in [(unlisted, "more missing"), (again, "came again"), (restarts, "times counted anew")] {
        if *count > 0 {
            text += &format!("; {count} {what}");
        }
    }
    text
}

fn row([monitor, kind, last, state]: [&str; 4]) -> String {
    format!("{monitor:<32} {kind:<9} {last:<24}  {state}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::MailboxId;
    use crate::domain::time::Timestamp;
    use crate::ports::monitors::MonitorAlarm;

    #[test]
    fn a_monitor_is_told_with_its_flows() {
        let detail = "interchanges did not come: 8 of flow 0123456789ab from LAB1".into();
        let monitor = MonitorStatus {
            pipeline: Name::new("pathology").expect("a name"),
            name: Name::new("numbers").expect("a name"),
            kind: "sequence".into(),
            last: Some(Timestamp(0)),
            alarm: Some(MonitorAlarm { code: "MONITOR-GAP".into(), detail, since: Timestamp(60_000) }),
            unfollowed: 2,
            flows: vec![FlowStatus {
                flow: "0123456789ab".into(),
                from: MailboxId::new("LAB1").ok(),
                last: Timestamp(0),
                next: 13,
                missing: vec![(8, 8), (10, 11)],
                unlisted: 0,
                again: 1,
                restarts: 0,
            }],
        };
        insta::assert_snapshot!(lines(&monitor).join("\n"), @r"
        pathology numbers                sequence  1970-01-01T00:00:00.000Z  MONITOR-GAP since 1970-01-01T00:01:00.000Z: interchanges did not come: 8 of flow 0123456789ab from LAB1
          flow 0123456789ab from LAB1: 13 is next, last at 1970-01-01T00:00:00.000Z; missing: 8, 10 to 11; 1 came again
          2 messages of other flows are not counted: there are too many
        ");
    }
}
