//! `meshd status`

use anyhow::anyhow;
use clap::Args;

use super::hold::spared;
use super::{Context, Failure};
use crate::daemon::{Answer, Ask, ask};
use crate::ports::obstacles::Obstacle;
use crate::ports::operations;
use crate::ports::store::MailboxOccupancy;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshd status
  meshd status --json | jq '.mailboxes[].occupancy.queued'")]
pub(super) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self, context: &mut Context) -> Result<(), Failure> {
        let loaded = context.load()?;
        let Answer::Status(status) = ask(&loaded.config.control.socket, Ask::Status)? else {
            return Err(anyhow!("the daemon answered another question").into());
        };
        if self.json {
            return context.out.json(&*status);
        }
        context.out.line(summary(&status))?;
        context.out.line(row(["MAILBOX", "QUEUED", "HELD", "DEAD", "REFUSED", "DELIVERED", "LAST LIST"]))?;
        for mailbox in &status.mailboxes {
            let MailboxOccupancy { queued, held, dead, refused, delivered_total, listed_at, .. } = &mailbox.occupancy;
            context.out.line(row([
                mailbox.id.as_str(),
                &queued.messages.to_string(),
                &held.messages.to_string(),
                &dead.messages.to_string(),
                &refused.to_string(),
                &delivered_total.to_string(),
                &listed_at.map_or("never".into(), |at| at.to_string()),
            ]))?;
        }
        if !status.legal_holds.is_empty() {
            context.out.line(spared(&status))?;
        }
        for mailbox in &status.mailboxes {
            if let Some(since) = mailbox.waits_since {
                context
                    .out
                    .line(format_args!("{}: mail waits at MESH since {since}; MESH keeps it five days", mailbox.id))?;
            }
            if let Some(text) = unseen(mailbox.id.as_str(), &mailbox.occupancy) {
                context.out.line(text)?;
            }
        }
        Ok(())
    }
}

/// How outputs came out that we did not see come out just once, if any did.
fn unseen(mailbox: &str, occupancy: &MailboxOccupancy) -> Option<String> {
    let MailboxOccupancy { inferred_total: inferred, republished_total: republished, .. } = occupancy;
    (inferred + republished > 0).then(|| {
        format!(
            "{mailbox}: outputs found gone after a crash and taken for consumed: {inferred}; \
             published once more after a power cut: {republished}"
        )
    })
}

fn summary(status: &operations::Status) -> String {
    let certificate = match status.certificate_days {
        Some(days) => format!("{days} days left"),
        None => "unknown".into(),
    };
    let mut text = format!(
        "meshd {} is {} (process {}, since {})\njournal at record {}; client certificate: {certificate}",
        status.version,
        status.phase.as_str(),
        status.pid,
        status.started_at,
        status.sequence,
    );
    for obstacle in &status.obstacles {
        let Obstacle { at, code, detail, since } = obstacle;
        text += &format!("\nin the way since {since}: {at}: {code}: {detail}");
    }
    if status.suspects > 0 {
        text += &format!("\n{} suspects of an earlier run are handled alone first", status.suspects);
    }
    if status.dropped_leases > 0 {
        text += &format!("\n{} leases were dropped unsettled: this is a defect", status.dropped_leases);
    }
    text
}

fn row([mailbox, queued, held, dead, refused, delivered, listed]: [&str; 7]) -> String {
    format!("{mailbox:<16} {queued:>8} {held:>6} {dead:>6} {refused:>8} {delivered:>10}  {listed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::ports::obstacles::At;
    use crate::ports::operations::Phase;

    #[test]
    fn a_summary_mentions_what_is_wrong_and_only_that() {
        let mut status = operations::Status {
            version: "0.1.0".into(),
            pid: 7,
            phase: Phase::Running,
            started_at: Timestamp(0),
            now: Timestamp(1),
            sequence: 42,
            suspects: 0,
            dropped_leases: 0,
            certificate_days: Some(90),
            ready: true,
            pipelines: Vec::new(),
            monitors: Vec::new(),
            legal_holds: Vec::new(),
            obstacles: Vec::new(),
            mailboxes: Vec::new(),
        };
        let well = summary(&status);
        assert!(well.contains("record 42") && well.contains("90 days"), "{well}");
        assert!(!well.contains("suspects") && !well.contains("defect"), "{well}");
        let at = At::Output("/srv/mesh".into());
        let (code, detail) = ("OUT-UNAVAILABLE".into(), "no marker".into());
        status.obstacles.push(Obstacle { at, code, detail, since: Timestamp(0) });
        status.suspects = 3;
        status.dropped_leases = 1;
        let unwell = summary(&status);
        assert!(unwell.contains("3 suspects") && unwell.contains("defect"), "{unwell}");
        assert!(unwell.contains("the output root /srv/mesh: OUT-UNAVAILABLE: no marker"), "{unwell}");
    }

    #[test]
    fn outputs_that_were_not_seen_to_come_out_once_are_told_if_there_are_any() {
        let mut occupancy = MailboxOccupancy::default();
        assert_eq!(unseen("X26ABC1", &occupancy), None);
        (occupancy.inferred_total, occupancy.republished_total) = (2, 1);
        let text = unseen("X26ABC1", &occupancy).expect("there are some");
        assert!(text.contains("consumed: 2") && text.contains("once more after a power cut: 1"), "{text}");
    }
}
