//! `meshd queue`

use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::listing::Listing;
use super::{Context, Failure};
use crate::daemon::{Answer, Ask, SystemClock, ask};
use crate::domain::time::Timestamp;
use crate::ports::clock::Clock as _;
use crate::ports::store::{Queued, Wait};

#[derive(Debug, Subcommand)]
pub(super) enum Queue {
    /// List what waits for work and what is in work
    List(List),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Mailbox by mailbox, oldest first, with what is in work.

Examples:
  meshd queue list
  meshd queue list --mailbox X26ABC1 --count 200 --json
  meshd queue list --after X26ABC1:d4711")]
pub(super) struct List {
    #[command(flatten)]
    page: Listing,
}

impl Queue {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
        }
    }
}

impl List {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { page: wanted } = self;
        let socket = context.load()?.config.control.socket;
        let (mailbox, after, count) = (wanted.mailbox.clone(), wanted.after.clone(), wanted.count());
        let Answer::Queue(page) = ask(&socket, Ask::Queue { mailbox, after, count })? else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        wanted.check(context, &page)?;
        if wanted.json {
            return context.out.json(&page);
        }
        if page.is_empty() {
            return context.out.good("nothing waits");
        }
        let now = SystemClock::default().wall();
        context.out.line(row(HEADINGS))?;
        for queued in &page {
            context.out.line(line(queued, now))?;
        }
        wanted.end(context, &page, |queued| &queued.delivery)
    }
}

const HEADINGS: [&str; 9] =
    ["DELIVERY", "MAILBOX", "AGE", "DUE", "TRIES", "BYTES", "WORKFLOW", "MESSAGE", "LAST REASON"];

fn line(queued: &Queued, now: Timestamp) -> String {
    let Queued { delivery, wait, last, .. } = queued;
    let due = match wait {
        Wait::Due(due) if *due <= now => "now".to_owned(),
        Wait::Due(due) => due.to_string(),
        Wait::InWork => "in work".to_owned(),
        Wait::Alone => "alone, before others".to_owned(),
    };
    row([
        &delivery.id.to_string(),
        delivery.mailbox.as_str(),
        &age(now.since(delivery.accepted_at)),
        &due,
        &delivery.attempts.to_string(),
        &delivery.length.to_string(),
        delivery.workflow.as_str(),
        delivery.message_id.as_str(),
        &last.as_ref().map(|reason| format!("{}: {}", reason.code, reason.detail)).unwrap_or_default(),
    ])
}

/// In the largest unit of which there is one, since it is compared at a glance.
fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, _, _) => format!("{days} d"),
    }
}

fn row([delivery, mailbox, age, due, tries, bytes, workflow, message, last]: [&str; 9]) -> String {
    let line = format!(
        "{delivery:<9} {mailbox:<16} {age:>6} {due:<24} {tries:>5} {bytes:>12} {workflow:<20} {message:<28} {last}"
    );
    line.trim_end().to_owned()
}
