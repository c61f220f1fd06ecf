//! When to list: a cron expression, moved by a phase that belongs to the mailbox.
//!
//! All mailboxes of a trust on one expression would list in one second; a phase fixed by the mailbox id spreads them
//! without ever coming closer together than the expression says (mesh-api 11: five minutes between lists).
//! Times are UTC: MESH has no summer time, and neither do its polls.

use std::time::Duration;

use cron::Schedule;

use crate::domain::ids::MailboxId;
use crate::domain::time::Timestamp;

/// A list begins a little after its tick; the next tick still counts as one gap later.
const SLACK: Duration = Duration::from_secs(5);

/// When one mailbox is listed.
#[derive(Debug, Clone)]
pub struct Polls {
    schedule: Schedule,
    phase: Duration,
    gap: Duration,
}

impl Polls {
    /// `gap` is the least time between two lists, whatever the expression says.
    pub fn new(schedule: Schedule, mailbox: &MailboxId, gap: Duration) -> Self {
        let phase = phase(&schedule, mailbox);
        Self { schedule, phase, gap }
    }

    /// The next poll, given when the last one began. One that was missed, or never was, is due at once.
    pub fn next(&self, now: Timestamp, last: Option<Timestamp>) -> Timestamp {
        let Some(last) = last else { return now };
        // After a clock step back the last poll seems to lie ahead: count from now instead.
        let earliest = last.min(now).plus(self.gap.saturating_sub(SLACK));
        self.tick_after(earliest).unwrap_or(earliest).max(now)
    }

    fn tick_after(&self, time: Timestamp) -> Option<Timestamp> {
        let phase = i64::try_from(self.phase.as_millis()).unwrap_or(0);
        let tick = self.schedule.after(&Timestamp(time.0 - phase).utc()).next()?;
        Some(Timestamp(tick.timestamp_millis() + phase))
    }
}

/// Anywhere within the time between two ticks; the same for one mailbox for ever (FNV-1a of its id).
fn phase(schedule: &Schedule, mailbox: &MailboxId) -> Duration {
    let mut ticks = schedule.after(&Timestamp(0).utc());
    let period = match (ticks.next(), ticks.next()) {
        (Some(first), Some(second)) => (second - first).num_milliseconds().max(1),
        _ => return Duration::ZERO,
    };
    let hash = mailbox
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    Duration::from_millis(hash % period.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polls(mailbox: &str) -> Polls {
        let schedule = "0 */5 * * * *".parse().expect("a cron expression");
        Polls::new(schedule, &MailboxId::new(mailbox).expect("a mailbox id"), Duration::from_secs(300))
    }

    const NOW: Timestamp = Timestamp(1_767_605_412_123);

    #[test]
    fn the_first_poll_ever_is_at_once() {
        assert_eq!(polls("X26ABC1").next(NOW, None), NOW);
    }

    #[test]
    fn polls_keep_one_phase_and_never_come_closer_than_the_gap() {
        let polls = polls("X26ABC1");
        let mut listed = NOW;
        let mut last = None;
        for _ in 0..50 {
            let next = polls.next(listed, Some(listed));
            assert!(next.since(listed) >= Duration::from_secs(295));
            if let Some(last) = last {
                assert_eq!(next.since(last), Duration::from_secs(300));
            }
            last = Some(next);
            listed = next.plus(Duration::from_millis(700));
        }
    }

    #[test]
    fn a_poll_missed_while_down_is_made_up_at_once() {
        let long_ago = Timestamp(NOW.0 - 3_600_000);
        assert_eq!(polls("X26ABC1").next(NOW, Some(long_ago)), NOW);
    }

    #[test]
    fn a_last_list_in_the_future_does_not_stop_polling() {
        let ahead = Timestamp(NOW.0 + 400 * 86_400_000);
        assert!(polls("X26ABC1").next(NOW, Some(ahead)).since(NOW) <= Duration::from_secs(600));
    }

    #[test]
    fn mailboxes_differ_in_phase() {
        let next = |mailbox| polls(mailbox).next(NOW, Some(NOW));
        assert_ne!(next("X26ABC1"), next("X26ABC2"));
    }
}
