//! The clock of mail that waits at MESH: said when much of its time is gone, before it is lost.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// MESH gives a message five days from its delivery to its acknowledge (mesh-api 7.2).
const FIVE_DAYS: Duration = Duration::from_secs(5 * 24 * 3600);

/// How near a message is to being lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// It has time.
    Calm,
    /// Two of the five days are gone.
    Odd,
    /// Three and a half are gone: a person must act.
    Pressing,
}

impl Urgency {
    /// Of what has waited for `age`.
    pub(super) fn of(age: Duration) -> Self {
        if age >= FIVE_DAYS.mul_f64(0.7) {
            Self::Pressing
        } else if age >= FIVE_DAYS.mul_f64(0.4) {
            Self::Odd
        } else {
            Self::Calm
        }
    }
}

/// One wait. A restart begins it anew: it is held in memory only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    since: Timestamp,
    said: Urgency,
}

impl Wait {
    /// It begins `now`.
    pub(super) fn begin(now: Timestamp) -> Self {
        Self { since: now, said: Urgency::Calm }
    }

    /// When it began.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// What is to be said of it `now`, each urgency once, and how long it has lasted.
    pub(super) fn alarm(&mut self, now: Timestamp) -> Option<(Urgency, Duration)> {
        let age = now.since(self.since);
        let urgency = Urgency::of(age);
        (urgency > self.said).then(|| {
            self.said = urgency;
            (urgency, age)
        })
    }
}
