//! What records say to monitors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Index, IndexError, State, for_each, keys, kind};
use crate::domain::course::Handling;
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::domain::monitor::{MonitorId, Numbered, Sighting, Turn};
use crate::domain::sequence::Sequence;
use crate::domain::time::Timestamp;
use crate::ports::store::{Flow, MOST_FLOWS, Monitored, Monitors};
use crate::store::journal::Stamp;

/// A message as monitors see it.
struct Seen<'a> {
    accepted_at: Timestamp,
    from: Option<&'a MailboxId>,
    /// In the store's own time.
    now: Timestamp,
}

impl State {
    /// Monitors saw a delivery. Of its rounds of work only one counts its number: what is deferred, or tried again, did
    /// not come again.
    pub(super) fn sighted(
        &mut self,
        index: &dyn Index,
        id: DeliveryId,
        at: Stamp,
        handling: &Handling,
    ) -> Result<(), IndexError> {
        if handling.seen.is_empty() {
            return Ok(());
        }
        let mut row = self.expect(index, id)?;
        let (delivery, is_counted) = (&row.delivery, row.counted);
        let seen = Seen { accepted_at: delivery.accepted_at, from: delivery.from.as_ref(), now: self.time_of(at) };
        for Sighting { monitor, number } in &handling.seen {
            let of = MonitorId { pipeline: handling.pipeline.clone(), monitor: monitor.clone() };
            let mut known = self.monitored(&of, at.wall);
            if delivery.continues.is_none() {
                known.last = known.last.filter(|last| *last <= at.wall).max(Some(seen.accepted_at));
            }
            if let Some(numbered) = number.as_ref().filter(|_| !is_counted) {
                row.counted = true;
                self.count(&of, &mut known, numbered, &seen)?;
            }
            self.keep(of, known)?;
        }
        if row.counted != is_counted {
            self.put(keys::delivery(kind::DELIVERY, id), &row)?;
        }
        Ok(())
    }

    /// Something became of a monitor.
    pub(super) fn turned(&mut self, wall: Timestamp, of: &MonitorId, turn: &Turn) -> Result<(), IndexError> {
        let mut known = self.monitored(of, wall);
        match turn {
            Turn::Begun => {}
            Turn::Raised => known.alarmed = Some(wall),
            Turn::Cleared => known.alarmed = None,
            Turn::Accepted { until, .. } => {
                (known.begun, known.alarmed) = (wall, None);
                for (flow, known) in &mut known.flows {
                    known.sequence.accept(*until);
                    self.put(keys::flow(of, flow), known)?;
                }
            }
            Turn::Ended => {
                known.flows.keys().for_each(|flow| self.remove(keys::flow(of, flow)));
                self.remove(keys::monitor(of));
                Arc::make_mut(&mut self.monitors).remove(of);
                return Ok(());
            }
        }
        self.keep(of.clone(), known)
    }

    /// Counts a number in its flow. A flow that is new takes the place of the quietest with nothing missing, if there
    /// is no other; a flow that misses something is never given up for one that anybody can make up.
    fn count(
        &mut self,
        of: &MonitorId,
        known: &mut Monitored,
        numbered: &Numbered,
        seen: &Seen<'_>,
    ) -> Result<(), IndexError> {
        let Numbered { flow: name, number } = numbered;
        if !known.flows.contains_key(name) && known.flows.len() >= MOST_FLOWS {
            let Some(quietest) = quietest(&known.flows) else {
                known.unfollowed += 1;
                return Ok(());
            };
            known.flows.remove(&quietest);
            self.remove(keys::flow(of, &quietest));
        }
        let from = seen.from.cloned();
        let flow = match known.flows.remove(name) {
            Some(mut flow) => {
                flow.sequence.take(*number, seen.now);
                Flow { last: flow.last.max(seen.accepted_at), from, ..flow }
            }
            None => Flow { sequence: Sequence::begin(*number), last: seen.accepted_at, from },
        };
        self.put(keys::flow(of, name), &flow)?;
        known.flows.insert(name.clone(), flow);
        Ok(())
    }

    /// What a monitor knows; one that knows nothing yet begins now.
    fn monitored(&self, of: &MonitorId, wall: Timestamp) -> Monitored {
        match self.monitors.get(of) {
            Some(known) => Monitored::clone(known),
            None => Monitored { begun: wall, ..Monitored::default() },
        }
    }

    fn keep(&mut self, of: MonitorId, known: Monitored) -> Result<(), IndexError> {
        self.put(keys::monitor(&of), &known)?;
        Arc::make_mut(&mut self.monitors).insert(of, Arc::new(known));
        Ok(())
    }

    /// The store's own time of a record of the last run.
    pub(super) fn time_of(&self, at: Stamp) -> Timestamp {
        let (time, monotonic_ms) = self.meta.began;
        time.plus(Duration::from_millis(at.monotonic_ms.saturating_sub(monotonic_ms)))
    }
}

/// The flow with nothing missing that was silent for the longest time.
fn quietest(flows: &BTreeMap<String, Flow>) -> Option<String> {
    let whole = flows.iter().filter(|(_, flow)| flow.sequence.is_whole());
    whole.min_by_key(|(_, flow)| flow.last).map(|(name, _)| name.clone())
}

/// Every monitor, as the index has it.
pub(super) fn load(index: &dyn Index) -> Result<Monitors, IndexError> {
    let mut all: BTreeMap<MonitorId, Monitored> = BTreeMap::new();
    for_each(index, kind::MONITOR, |key, value| {
        let wrong = || IndexError("a monitor's key".into());
        let (of, flow) = keys::monitor_and_flow(key).ok_or_else(wrong)?;
        if flow.is_empty() {
            all.insert(of, keys::decode(value)?);
        } else {
            // A monitor's own key is a prefix of those of its flows, and so comes first.
            all.get_mut(&of).ok_or_else(wrong)?.flows.insert(flow, keys::decode(value)?);
        }
        Ok(())
    })?;
    Ok(all.into_iter().map(|(of, known)| (of, Arc::new(known))).collect())
}
