//! What `meshd top` shows, as lines: a pure function of two answers of the daemon and the terminal's size.

use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::ports::monitors::MonitorStatus;
use crate::ports::operations::{MailboxStatus, Status};

/// MESH keeps mail so long that nobody acknowledged (mesh-api 7.2).
const FIVE_DAYS: Duration = Duration::from_secs(5 * 24 * 3_600);

/// A terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// One moment.
pub(super) struct View<'a> {
    pub(super) now: &'a Status,
    /// The answer before it.
    pub(super) before: &'a Status,
    /// Why there is no newer answer.
    pub(super) trouble: Option<String>,
}

impl View<'_> {
    /// At most `size.rows` lines of at most `size.columns` characters.
    pub(super) fn lines(&self, size: Size) -> Vec<String> {
        let mut lines = self.head();
        lines.push(row(["MAILBOX", "IN/S", "OUT/S", "QUEUED", "HELD", "DEAD", "REFUSED", "AT MESH", "LISTED"]));
        lines.extend(self.now.mailboxes.iter().map(|mailbox| self.mailbox(mailbox)));
        if !self.now.monitors.is_empty() {
            lines.push(String::new());
            lines.extend(self.now.monitors.iter().map(|monitor| self.monitor(monitor)));
        }
        fit(lines, size)
    }

    /// How the whole is, and what is in the way: above the mailboxes, of which there may be hundreds.
    fn head(&self) -> Vec<String> {
        let Status { version, phase, ready, now, started_at, pipelines, monitors, obstacles, .. } = self.now;
        let ready = if *ready { "takes mail in" } else { "takes no mail in" };
        let runs = age(now.since(*started_at));
        let suspended = pipelines.iter().filter(|pipeline| pipeline.suspended.is_some()).count();
        let alarms = monitors.iter().filter(|monitor| monitor.alarm.is_some()).count();
        let mut lines = vec![
            format!("meshd {version} {} for {runs}, {ready}; {now}", phase.as_str()),
            format!(
                "pipelines: {}, suspended: {suspended}; monitors: {}, alarms: {alarms}; records: {}",
                pipelines.len(),
                monitors.len(),
                self.now.sequence,
            ),
        ];
        lines.extend(self.trouble.as_ref().map(|trouble| format!("no newer answer: {trouble}")));
        if self.now.suspects > 0 {
            lines.push(format!("{} suspects of an earlier run are handled alone first", self.now.suspects));
        }
        lines.push(String::new());
        for obstacle in obstacles {
            let since = age(now.since(obstacle.since));
            lines.push(format!("{since:>8}  {}: {}: {}", obstacle.code, obstacle.at, obstacle.detail));
        }
        if !obstacles.is_empty() {
            lines.push(String::new());
        }
        lines
    }

    fn mailbox(&self, mailbox: &MailboxStatus) -> String {
        let MailboxStatus { id, occupancy, waits_since, .. } = mailbox;
        let before = self.before.mailboxes.iter().find(|before| before.id == *id).map(|before| &before.occupancy);
        let seconds = self.now.now.since(self.before.now).as_secs_f64();
        let rate = |now: u64, before: Option<u64>| match before {
            Some(before) if seconds > 0.0 => format!("{:.1}", now.saturating_sub(before) as f64 / seconds),
            Some(_) | None => "-".to_owned(),
        };
        let waits = waits_since.map_or("-".to_owned(), |since| {
            let waited = self.now.now.since(since);
            let part = 100.0 * waited.as_secs_f64() / FIVE_DAYS.as_secs_f64();
            format!("{} {part:.0}%", age(waited))
        });
        row([
            id.as_str(),
            &rate(occupancy.accepted_total, before.map(|before| before.accepted_total)),
            &rate(occupancy.delivered_total, before.map(|before| before.delivered_total)),
            &occupancy.queued.messages.to_string(),
            &occupancy.held.messages.to_string(),
            &occupancy.dead.messages.to_string(),
            &occupancy.refused.to_string(),
            &waits,
            &self.ago(occupancy.listed_at),
        ])
    }

    fn monitor(&self, monitor: &MonitorStatus) -> String {
        let state = match &monitor.alarm {
            None => "as it should be",
            Some(alarm) => alarm.code.as_str(),
        };
        let name = cut(&format!("{} {}", monitor.pipeline, monitor.name), 40);
        format!("{name:<40} last: {:>8}  {state}", self.ago(monitor.last))
    }

    fn ago(&self, at: Option<Timestamp>) -> String {
        at.map_or("never".to_owned(), |at| age(self.now.now.since(at)))
    }
}

/// 80 columns.
fn row([mailbox, accepted, delivered, queued, held, dead, refused, waits, listed]: [&str; 9]) -> String {
    let mailbox = cut(mailbox, 15);
    format!(
        "{mailbox:<15} {accepted:>7} {delivered:>7} {queued:>8} {held:>5} {dead:>5} {refused:>7} {waits:>10} {listed:>8}"
    )
}

/// In its two largest units at most.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// As many lines and characters as there is room for, and how much is not shown.
fn fit(mut lines: Vec<String>, size: Size) -> Vec<String> {
    if lines.len() > size.rows {
        let shown = size.rows.saturating_sub(1);
        let hidden = lines.len() - shown;
        lines.truncate(shown);
        lines.push(format!("{hidden} more lines: make the terminal higher, or see `meshd status`"));
    }
    lines.iter().map(|line| cut(line, size.columns)).collect()
}

/// The beginning of a text that is too long, with a sign that it is one.
fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.trim_end().to_owned();
    }
    let shown: String = text.chars().take(longest.saturating_sub(1)).collect();
    shown.trim_end().to_owned() + if longest > 0 { "…" } else { "" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fault::FaultCode;
    use crate::domain::ids::{MailboxId, Name};
    use crate::domain::monitor::MonitorId;
    use crate::ports::monitors::MonitorAlarm;
    use crate::ports::obstacles::{At, Obstacle};
    use crate::ports::operations::{Phase, PipelineStatus, Suspended};
    use crate::ports::store::{Amount, MailboxOccupancy};

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn mailbox(id: &str) -> MailboxId {
        MailboxId::new(id).expect("an id")
    }

    const NOW: Timestamp = Timestamp(1_767_605_412_000);

    fn ago(seconds: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(seconds))
    }

    fn well() -> Status {
        let occupancy = MailboxOccupancy {
            accepted_total: 1_000,
            delivered_total: 990,
            queued: Amount { messages: 10, bytes: 1 },
            listed_at: Some(ago(12)),
            ..MailboxOccupancy::default()
        };
        let (id, organisation) = (mailbox("X26ABC1"), Some("X26".to_owned()));
        Status {
            version: "0.1.0".into(),
            pid: 7,
            phase: Phase::Running,
            started_at: ago(93_784),
            now: NOW,
            sequence: 4_242,
            suspects: 0,
            dropped_leases: 0,
            certificate_days: Some(90),
            ready: true,
            pipelines: vec![PipelineStatus {
                name: name("pathology"),
                sha256: String::new(),
                outputs: Vec::new(),
                suspended: None,
            }],
            monitors: Vec::new(),
            legal_holds: Vec::new(),
            obstacles: Vec::new(),
            mailboxes: vec![MailboxStatus { id, organisation, waits_since: None, pickup: None, occupancy }],
        }
    }

    fn unwell() -> Status {
        let mut status = well();
        status.ready = false;
        status.suspects = 2;
        status.pipelines[0].suspended = Some(Suspended { code: FaultCode::MsgTooLarge, since: ago(600) });
        let obstacle = |at, code: &str, detail: &str, since| Obstacle {
            at,
            code: code.to_owned(),
            detail: detail.to_owned(),
            since,
        };
        let of = MonitorId { pipeline: name("pathology"), monitor: name("numbers") };
        status.obstacles = vec![
            obstacle(At::Door(mailbox("X26ABC1")), "NO-ROOM", "limit of dead and held mail of the mailbox", ago(75)),
            obstacle(At::Monitor(of), "MONITOR-GAP", "interchanges did not come: 8 of flow 0123456789ab", ago(3_900)),
        ];
        let alarm = MonitorAlarm { code: "MONITOR-GAP".into(), detail: "8".into(), since: ago(3_900) };
        status.monitors = vec![
            MonitorStatus {
                pipeline: name("pathology"),
                name: name("laboratory"),
                kind: "traffic".into(),
                last: None,
                alarm: None,
                unfollowed: 0,
                flows: Vec::new(),
            },
            MonitorStatus {
                pipeline: name("pathology"),
                name: name("numbers"),
                kind: "sequence".into(),
                last: Some(ago(4_000)),
                alarm: Some(alarm),
                unfollowed: 0,
                flows: Vec::new(),
            },
        ];
        status.mailboxes[0].waits_since = Some(ago(172_800));
        let mut other = status.mailboxes[0].clone();
        other.id = mailbox("A_MAILBOX_WITH_A_LONG_NAME");
        other.occupancy.dead = Amount { messages: 12_345, bytes: 1 };
        status.mailboxes.push(other);
        status
    }

    /// The same, two seconds earlier.
    fn earlier(status: &Status) -> Status {
        let mut before = status.clone();
        before.now = ago(2);
        before.mailboxes[0].occupancy.accepted_total -= 25;
        before.mailboxes[0].occupancy.delivered_total -= 1;
        before.mailboxes.truncate(1);
        before
    }

    fn shown(now: &Status, trouble: Option<&str>, size: Size) -> Vec<String> {
        View { now, before: &earlier(now), trouble: trouble.map(str::to_owned) }.lines(size)
    }

    const USUAL: Size = Size { columns: 80, rows: 24 };

    #[test]
    fn a_house_that_is_well() {
        insta::assert_snapshot!(shown(&well(), None, USUAL).join("\n"), @r"
        meshd 0.1.0 running for 1d02h, takes mail in; 2026-01-05T09:30:12.000Z
        pipelines: 1, suspended: 0; monitors: 0, alarms: 0; records: 4242

        MAILBOX            IN/S   OUT/S   QUEUED  HELD  DEAD REFUSED    AT MESH   LISTED
        X26ABC1            12.5     0.5       10     0     0       0          -      12s
        ");
    }

    #[test]
    fn a_house_in_trouble() {
        insta::assert_snapshot!(shown(&unwell(), Some("nobody listens"), USUAL).join("\n"), @r"
        meshd 0.1.0 running for 1d02h, takes no mail in; 2026-01-05T09:30:12.000Z
        pipelines: 1, suspended: 1; monitors: 2, alarms: 1; records: 4242
        no newer answer: nobody listens
        2 suspects of an earlier run are handled alone first

           1m15s  NO-ROOM: the door of X26ABC1: limit of dead and held mail of the mail…
           1h05m  MONITOR-GAP: the monitor numbers of the pipeline pathology: interchan…

        MAILBOX            IN/S   OUT/S   QUEUED  HELD  DEAD REFUSED    AT MESH   LISTED
        X26ABC1            12.5     0.5       10     0     0       0  2d00h 40%      12s
        A_MAILBOX_WITH…       -       -       10     0 12345       0  2d00h 40%      12s

        pathology laboratory                     last:    never  as it should be
        pathology numbers                        last:    1h06m  MONITOR-GAP
        ");
    }

    #[test]
    fn a_small_terminal_shows_the_head() {
        let size = Size { columns: 50, rows: 6 };
        insta::assert_snapshot!(shown(&unwell(), None, size).join("\n"), @r"
        meshd 0.1.0 running for 1d02h, takes no mail in;…
        pipelines: 1, suspended: 1; monitors: 2, alarms:…
        2 suspects of an earlier run are handled alone fi…

           1m15s  NO-ROOM: the door of X26ABC1: limit of…
        8 more lines: make the terminal higher, or see `m…
        ");
    }

    proptest! {
        #[test]
        fn it_fits(columns in 0usize..200, rows in 1usize..60) {
            let lines = shown(&unwell(), None, Size { columns, rows });
            prop_assert!(lines.len() <= rows);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= columns));
        }
    }
}
