//! Which dead and held mail is meant.

use chrono::{DateTime, NaiveDate, NaiveTime};
use clap::{Args, ValueEnum};

use super::super::message::{mailbox, workflow};
use crate::domain::fault::FaultCode;
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{MailboxId, WorkflowId};
use crate::domain::settlement::DeathCause;
use crate::domain::time::Timestamp;
use crate::ports::store::{AsideState, Selection};

#[derive(Debug, Args)]
#[command(next_help_heading = "Which")]
pub(super) struct Which {
    /// In this mailbox
    #[arg(long, value_parser = mailbox)]
    mailbox: Option<MailboxId>,
    /// Dead, or held
    #[arg(long)]
    state: Option<State>,
    /// Dead of this cause
    #[arg(long)]
    cause: Option<Cause>,
    /// For this reason, such as MSG-NO-ROUTE
    #[arg(long)]
    code: Option<FaultCode>,
    /// Of this workflow
    #[arg(long, value_name = "WORKFLOW-ID", value_parser = workflow)]
    workflow: Option<WorkflowId>,
    /// Sent by this mailbox
    #[arg(long, value_name = "MAILBOX", value_parser = mailbox)]
    from: Option<MailboxId>,
    /// Set aside then or later: a day, or a time such as 2026-01-05T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Set aside before
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Of this group, as `groups` shows it
    #[arg(long, value_name = "GROUP")]
    group: Option<Fingerprint>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    Dead,
    Held,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cause {
    Permanent,
    Exhausted,
    Poison,
}

impl From<Which> for Selection {
    fn from(which: Which) -> Self {
        let Which { mailbox, state, cause, code, workflow, from, since, until, group } = which;
        Self {
            mailbox,
            state: state.map(|state| match state {
                State::Dead => AsideState::Dead,
                State::Held => AsideState::Held,
            }),
            cause: cause.map(|cause| match cause {
                Cause::Permanent => DeathCause::Permanent,
                Cause::Exhausted => DeathCause::Exhausted,
                Cause::Poison => DeathCause::Poison,
            }),
            code,
            workflow,
            from,
            since,
            until,
            group,
        }
    }
}

/// A selection, as the options that make it.
pub(super) fn options(selection: &Selection) -> String {
    let Selection { mailbox, state, cause, code, workflow, from, since, until, group } = selection;
    let state = state.map(|state| match state {
        AsideState::Dead => "dead",
        AsideState::Held => "held",
    });
    let cause = cause.map(|cause| match cause {
        DeathCause::Permanent => "permanent",
        DeathCause::Exhausted => "exhausted",
        DeathCause::Poison => "poison",
    });
    let given = [
        ("mailbox", mailbox.as_ref().map(ToString::to_string)),
        ("state", state.map(str::to_owned)),
        ("cause", cause.map(str::to_owned)),
        ("code", code.map(|code| code.to_string())),
        ("workflow", workflow.as_ref().map(ToString::to_string)),
        ("from", from.as_ref().map(ToString::to_string)),
        ("since", since.map(|since| since.to_string())),
        ("until", until.map(|until| until.to_string())),
        ("group", group.map(|group| group.to_string())),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some(format!("--{name} {}", value?)));
    given.collect::<Vec<_>>().join(" ")
}

/// A day begins at midnight, universal time.
fn time(text: &str) -> Result<Timestamp, String> {
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis());
    let day = || text.parse::<NaiveDate>().map(|day| day.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    at.or_else(|_| day())
        .map(Timestamp)
        .map_err(|_| "expected a day such as 2026-01-05, or a time such as 2026-01-05T09:30:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_to_the_second_with_its_zone() {
        assert_eq!(time("1970-01-02"), Ok(Timestamp(86_400_000)));
        assert_eq!(time("1970-01-01T01:00:01+01:00"), Ok(Timestamp(1_000)));
        for text in ["", "yesterday", "2026-13-01", "2026-01-05T09:30"] {
            assert!(time(text).is_err(), "{text:?}");
        }
    }
}
