//! What should have come, and did not: judged every few seconds, told by the log, the journal and the status.
//!
//! What monitors know, and whether an alarm stands, is the store's: here it is compared with the pipelines and the time.
//! An alarm is raised and cleared once, whatever restarts lie between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::monitor::{MonitorId, Turn};
use crate::domain::operator::{Operator, Remark};
use crate::domain::time::Timestamp;
use crate::pipeline::{Alarm, Moment, Pipelines};
use crate::ports::clock::Clock;
use crate::ports::monitors::{FlowStatus, MonitorAlarm, MonitorStatus};
use crate::ports::store::{Flow, Halt, Monitored, Note, Occupancy, Store};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Every monitor of the pipelines of the moment.
#[derive(Clone)]
pub(super) struct Monitors {
    pub(super) store: Arc<dyn Store>,
    pub(super) pipelines: watch::Receiver<Arc<Pipelines>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// One monitor at one moment.
struct Look {
    of: MonitorId,
    kind: &'static str,
    /// None before it was ever watched.
    known: Option<Arc<Monitored>>,
    alarm: Option<Alarm>,
    /// Who accepts what is missing now accepts what is missing since then or longer.
    acceptable: Timestamp,
}

impl Monitors {
    /// Judges until `stop`.
    pub(super) async fn watch(self, stop: CancellationToken) -> Result<(), Halt> {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let occupancy = self.store.occupancy();
            let looks = self.look(&occupancy);
            let gone = occupancy.monitors.keys().filter(|known| !looks.iter().any(|look| look.of == **known));
            let ended = gone.map(|of| (of.clone(), Turn::Ended));
            let turns: Vec<_> =
                looks.iter().filter_map(|look| Some((look.of.clone(), look.turn()?))).chain(ended).collect();
            for (of, turn) in turns {
                self.store.note(Note::Monitor { of, turn }).await?;
            }
        }
    }

    /// All of them, in the order of their pipelines and names.
    pub(super) fn all(&self) -> Vec<MonitorStatus> {
        let mut all: Vec<_> = self.look(&self.store.occupancy()).into_iter().map(Look::told).collect();
        all.sort_by(|one, other| (&one.pipeline, &one.name).cmp(&(&other.pipeline, &other.name)));
        all
    }

    /// Ends an alarm, since a person waits no longer; `false` if there is none. Durable on return, with who did it.
    pub(super) async fn accept(&self, of: MonitorId, by: Operator, why: Remark) -> Result<bool, Halt> {
        let looks = self.look(&self.store.occupancy());
        let standing = looks.into_iter().find(|look| look.of == of && look.is_told());
        let Some(Look { acceptable: until, .. }) = standing else { return Ok(false) };
        let MonitorId { pipeline, monitor } = &of;
        tracing::info!(%pipeline, %monitor, user = by.0, "an operator accepted a monitor's alarm");
        self.store.note(Note::Monitor { of, turn: Turn::Accepted { until, by, why } }).await?;
        Ok(true)
    }

    fn look(&self, occupancy: &Occupancy) -> Vec<Look> {
        let now = self.now(occupancy);
        let pipelines = Arc::clone(&self.pipelines.borrow());
        let mut looks = Vec::new();
        for pipeline in pipelines.all() {
            for monitor in pipeline.monitors() {
                let of = MonitorId { pipeline: pipeline.name().clone(), monitor: monitor.name().clone() };
                let known = occupancy.monitors.get(&of).cloned();
                let alarm = known.as_ref().and_then(|known| monitor.alarm(known, now));
                looks.push(Look { of, kind: monitor.kind(), known, alarm, acceptable: monitor.acceptable(now) });
            }
        }
        looks
    }

    fn now(&self, occupancy: &Occupancy) -> Moment {
        let (began, monotonic_ms) = occupancy.began;
        let run = self.clock.monotonic().saturating_sub(Duration::from_millis(monotonic_ms));
        Moment { wall: self.clock.wall(), time: began.plus(run), run }
    }
}

impl Look {
    /// What the journal does not say yet. The log says it here.
    fn turn(&self) -> Option<Turn> {
        let MonitorId { pipeline, monitor } = &self.of;
        let stands = self.known.as_ref().map(|known| known.alarmed.is_some());
        match (stands, &self.alarm) {
            (None, _) => Some(Turn::Begun),
            (Some(false), Some(Alarm { code, detail })) => {
                tracing::error!(%pipeline, %monitor, code, detail, "a monitor raised an alarm");
                Some(Turn::Raised)
            }
            (Some(true), None) => {
                tracing::info!(%pipeline, %monitor, "a monitor's alarm ended");
                Some(Turn::Cleared)
            }
            (Some(false), None) | (Some(true), Some(_)) => None,
        }
    }

    /// Whether its alarm stands in the journal, and still should.
    fn is_told(&self) -> bool {
        self.alarm.is_some() && self.known.as_ref().is_some_and(|known| known.alarmed.is_some())
    }

    fn told(self) -> MonitorStatus {
        let known = self.known.unwrap_or_default();
        let alarm = self.alarm.zip(known.alarmed);
        let flow = |(flow, known): (&String, &Flow)| FlowStatus {
            flow: flow.clone(),
            from: known.from.clone(),
            last: known.last,
            next: known.sequence.next(),
            missing: known.sequence.gaps().iter().map(|gap| (gap.first, gap.last)).collect(),
            unlisted: known.sequence.unlisted(),
            again: known.sequence.again(),
            restarts: known.sequence.restarts(),
        };
        MonitorStatus {
            pipeline: self.of.pipeline,
            name: self.of.monitor,
            kind: self.kind.to_owned(),
            last: known.last,
            alarm: alarm.map(|(Alarm { code, detail }, since)| MonitorAlarm { code: code.to_owned(), detail, since }),
            unfollowed: known.unfollowed,
            flows: known.flows.iter().map(flow).collect(),
        }
    }
}
