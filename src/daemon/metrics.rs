//! What `/metrics` tells, in the OpenMetrics text format.
//!
//! Counters and gauges are read from the same [`Status`] that `meshd status` shows, at the moment of asking; only
//! durations are gathered here. Labels are mailbox ids, pipelines, monitors, and places and codes of obstacles: no
//! message, no person (I8).
//! What moves fast comes as counters rather than a gauge: accepted and acknowledged, delivered and discarded.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::domain::ids::{MailboxId, Name};
use crate::domain::time::Timestamp;
use crate::ports::monitors::MonitorStatus;
use crate::ports::operations::{MailboxStatus, Status};
use crate::ports::store::MailboxOccupancy;
use crate::ports::timings::{Span, Timings};

/// What is read from a status: name without the unit and without `_total`, which the format adds; help; unit; value.
struct Metric(&'static str, &'static str, Kind, Value);

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    /// A gauge in bytes.
    Bytes,
    /// A gauge in seconds since 1970.
    Time,
}

enum Value {
    /// One for each mailbox.
    Each(fn(&MailboxOccupancy) -> Option<f64>),
    /// The same, from what this process knows of it.
    Mailbox(fn(&MailboxStatus) -> Option<f64>),
    /// One for each monitor.
    Monitor(fn(&MonitorStatus) -> Option<f64>),
    /// One for each sort of obstacle that there is.
    Obstacles,
    /// One in all.
    Whole(fn(&Status) -> Option<f64>),
}

/// Every metric but the durations: see [`named`].
const METRICS: &[Metric] = {
    use Kind::{Bytes, Counter, Gauge, Time};
    use Value::{Each, Mailbox, Monitor, Whole};
    &[
        Metric("meshd_accepted", "Messages kept", Counter, Each(|of| count(of.accepted_total))),
        Metric("meshd_acknowledged", "Messages acknowledged to MESH", Counter, Each(|of| count(of.acknowledged_total))),
        Metric("meshd_delivered", "Deliveries that came out", Counter, Each(|of| count(of.delivered_total))),
        Metric("meshd_discarded", "Deliveries ended by a rule", Counter, Each(|of| count(of.discarded_total))),
        Metric("meshd_queued", "Messages kept and not ended", Gauge, Each(|of| count(of.queued.messages))),
        Metric("meshd_queued", "Their payloads", Bytes, Each(|of| count(of.queued.bytes))),
        Metric("meshd_sending", "Messages to be sent", Gauge, Each(|of| count(of.sending.messages))),
        Metric("meshd_sending", "Their payloads", Bytes, Each(|of| count(of.sending.bytes))),
        Metric("meshd_sent", "Messages that MESH accepted from us", Counter, Each(|of| count(of.sent_total))),
        Metric("meshd_undelivered", "Of those, given up by MESH", Counter, Each(|of| count(of.undelivered_total))),
        Metric("meshd_held", "Deliveries that wait for a person", Gauge, Each(|of| count(of.held.messages))),
        Metric("meshd_held", "Their payloads", Bytes, Each(|of| count(of.held.bytes))),
        Metric("meshd_dead", "Dead letters", Gauge, Each(|of| count(of.dead.messages))),
        Metric("meshd_dead", "Their payloads", Bytes, Each(|of| count(of.dead.bytes))),
        Metric("meshd_retained", "Ended deliveries still kept", Gauge, Each(|of| count(of.retained.messages))),
        Metric("meshd_retained", "Their payloads", Bytes, Each(|of| count(of.retained.bytes))),
        Metric("meshd_refused", "Messages refused, left at MESH", Gauge, Each(|of| count(of.refused))),
        Metric("meshd_last_list", "When the inbox was last listed", Time, Each(|of| of.listed_at.map(seconds))),
        Metric(
            "meshd_waits_since",
            "Since when mail waits at MESH that could not be taken; MESH keeps it five days",
            Time,
            Mailbox(|mailbox| mailbox.waits_since.map(seconds)),
        ),
        Metric("meshd_pairs", "Pairs and halves in OUT", Gauge, Mailbox(|of| count(of.pickup?.lying))),
        Metric(
            "meshd_pairs_failed",
            "Of them, could not be sent",
            Counter,
            Mailbox(|of| count(of.pickup?.failed_total)),
        ),
        Metric(
            "meshd_pairs_oldest",
            "Time of the oldest file in OUT",
            Time,
            Mailbox(|of| of.pickup?.oldest.map(seconds)),
        ),
        Metric("meshd_journal_records", "Records in the journal", Counter, Whole(|status| count(status.sequence))),
        Metric("meshd_suspects", "Deliveries handled alone first", Gauge, Whole(|status| count(status.suspects))),
        Metric("meshd_dropped_leases", "A defect if not 0", Counter, Whole(|status| count(status.dropped_leases))),
        Metric(
            "meshd_certificate_days_left",
            "Whole days until the client certificate expires",
            Gauge,
            Whole(|status| status.certificate_days.map(|days| days as f64)),
        ),
        Metric("meshd_start", "When this process began", Time, Whole(|status| Some(seconds(status.started_at)))),
        Metric("meshd_ready", "1 while mail can be taken in", Gauge, Whole(|status| count(u64::from(status.ready)))),
        Metric(
            "meshd_monitor_alarms",
            "1 while something that a monitor expects has not come",
            Gauge,
            Monitor(|monitor| count(u64::from(monitor.alarm.is_some()))),
        ),
        Metric(
            "meshd_monitor_last_message",
            "When the last message that a monitor saw was kept",
            Time,
            Monitor(|monitor| monitor.last.map(seconds)),
        ),
        Metric("meshd_obstacles", "What is in the way, by where and why; none if nothing is", Gauge, Value::Obstacles),
    ]
};

/// Name and help of a duration.
fn named(span: Span) -> (&'static str, &'static str) {
    match span {
        Span::ListedToAcknowledged => {
            ("meshd_listed_to_acknowledged", "From the list that named a message to its acknowledge")
        }
        Span::AcceptedToPublished => {
            ("meshd_accepted_to_published", "From a message's being kept to the last of its outputs")
        }
    }
}

/// Exact up to 2^53.
fn count(number: u64) -> Option<f64> {
    Some(number as f64)
}

fn seconds(at: Timestamp) -> f64 {
    at.0 as f64 / 1_000.0
}

/// The durations gathered so far.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    listed_to_acknowledged: Durations,
    accepted_to_published: Durations,
}

type Durations = Family<Label, Histogram, fn() -> Histogram>;

impl Default for Metrics {
    fn default() -> Self {
        let none = || Durations::new_with_constructor(buckets);
        Self { listed_to_acknowledged: none(), accepted_to_published: none() }
    }
}

impl Metrics {
    /// The text for `/metrics`.
    pub(super) fn render(&self, status: Status) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        for span in Span::ALL {
            let (name, help) = named(span);
            registry.register_with_unit(name, help, Unit::Seconds, self.of(span).clone());
        }
        registry.register_collector(Box::new(Reading(status)));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn of(&self, span: Span) -> &Durations {
        match span {
            Span::ListedToAcknowledged => &self.listed_to_acknowledged,
            Span::AcceptedToPublished => &self.accepted_to_published,
        }
    }
}

impl Timings for Metrics {
    fn took(&self, span: Span, mailbox: &MailboxId, time: Duration) {
        self.of(span).get_or_create(&Label(mailbox.clone())).observe(time.as_secs_f64());
    }
}

/// `mailbox="…"`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Label(MailboxId);

impl EncodeLabelSet for Label {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        ("mailbox", self.0.as_str()).encode(encoder.encode_label())
    }
}

/// `pipeline="…",monitor="…"`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Watched(Name, Name);

impl EncodeLabelSet for Watched {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        ("pipeline", self.0.as_str()).encode(encoder.encode_label())?;
        ("monitor", self.1.as_str()).encode(encoder.encode_label())
    }
}

/// `at="…",code="…"`: which output or pipeline it is says `meshd status`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Sort(&'static str, String);

impl EncodeLabelSet for Sort {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        ("at", self.0).encode(encoder.encode_label())?;
        ("code", self.1.as_str()).encode(encoder.encode_label())
    }
}

/// How many obstacles there are of each sort.
fn sorts(status: &Status) -> BTreeMap<Sort, u64> {
    let mut sorts = BTreeMap::new();
    for obstacle in &status.obstacles {
        *sorts.entry(Sort(obstacle.at.kind(), obstacle.code.clone())).or_insert(0) += 1;
    }
    sorts
}

/// From a millisecond to three days, each about four times the one before.
fn buckets() -> Histogram {
    const SECONDS: [f64; 14] =
        [0.001, 0.004, 0.016, 0.06, 0.25, 1.0, 4.0, 15.0, 60.0, 300.0, 1_200.0, 3_600.0, 21_600.0, 259_200.0];
    Histogram::new(SECONDS)
}

/// One status, as metrics.
#[derive(Debug)]
struct Reading(Status);

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Metric(name, help, kind, value) in METRICS {
            let (form, unit) = match kind {
                Kind::Counter => (MetricType::Counter, None),
                Kind::Gauge => (MetricType::Gauge, None),
                Kind::Bytes => (MetricType::Gauge, Some(Unit::Bytes)),
                Kind::Time => (MetricType::Gauge, Some(Unit::Other("timestamp_seconds".into()))),
            };
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), form)?;
            match value {
                Value::Whole(read) => {
                    if let Some(value) = read(&self.0) {
                        write(&mut family, *kind, value)?;
                    }
                }
                Value::Each(read) => each(&mut family, *kind, &self.0, |mailbox| read(&mailbox.occupancy))?,
                Value::Mailbox(read) => each(&mut family, *kind, &self.0, read)?,
                Value::Monitor(read) => {
                    for monitor in &self.0.monitors {
                        if let Some(value) = read(monitor) {
                            let label = Watched(monitor.pipeline.clone(), monitor.name.clone());
                            write(&mut family.encode_family(&label)?, *kind, value)?;
                        }
                    }
                }
                Value::Obstacles => {
                    for (sort, number) in sorts(&self.0) {
                        write(&mut family.encode_family(&sort)?, *kind, number as f64)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn each(
    family: &mut MetricEncoder<'_>,
    kind: Kind,
    status: &Status,
    read: impl Fn(&MailboxStatus) -> Option<f64>,
) -> Result<(), fmt::Error> {
    for mailbox in &status.mailboxes {
        if let Some(value) = read(mailbox) {
            write(&mut family.encode_family(&Label(mailbox.id.clone()))?, kind, value)?;
        }
    }
    Ok(())
}

fn write(metric: &mut MetricEncoder<'_>, kind: Kind, value: f64) -> Result<(), fmt::Error> {
    match kind {
        Kind::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
        Kind::Gauge | Kind::Bytes | Kind::Time => metric.encode_gauge(&value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::obstacles::{At, Obstacle};
    use crate::ports::operations::Phase;
    use crate::ports::pickups::PickupStatus;

    #[test]
    fn a_status_and_its_durations_are_told_in_the_text_format() {
        let mailbox = MailboxId::new("X26ABC1").expect("an id");
        let occupancy = MailboxOccupancy { accepted_total: 3, listed_at: Some(Timestamp(1_500)), ..Default::default() };
        let status = Status {
            version: "0.1.0".into(),
            pid: 7,
            phase: Phase::Running,
            started_at: Timestamp(0),
            now: Timestamp(1),
            sequence: 42,
            suspects: 0,
            dropped_leases: 0,
            certificate_days: None,
            ready: true,
            pipelines: Vec::new(),
            monitors: vec![MonitorStatus {
                pipeline: Name::new("pathology").expect("a name"),
                name: Name::new("lab").expect("a name"),
                kind: "traffic".into(),
                last: Some(Timestamp(3_500)),
                alarm: None,
                unfollowed: 0,
                flows: Vec::new(),
            }],
            legal_holds: Vec::new(),
            obstacles: [1, 2].map(obstacle).into(),
            mailboxes: vec![MailboxStatus {
                id: mailbox.clone(),
                organisation: None,
                waits_since: Some(Timestamp(2_500)),
                pickup: Some(PickupStatus { lying: 2, oldest: Some(Timestamp(4_500)), failed_total: 1 }),
                occupancy,
            }],
        };
        let metrics = Metrics::default();
        metrics.took(Span::ListedToAcknowledged, &mailbox, Duration::from_millis(2));
        let text = metrics.render(status).expect("it is told");
        for line in [
            "meshd_accepted_total{mailbox=\"X26ABC1\"} 3.0",
            "meshd_last_list_timestamp_seconds{mailbox=\"X26ABC1\"} 1.5",
            "meshd_waits_since_timestamp_seconds{mailbox=\"X26ABC1\"} 2.5",
            "meshd_pairs{mailbox=\"X26ABC1\"} 2.0",
            "meshd_pairs_failed_total{mailbox=\"X26ABC1\"} 1.0",
            "meshd_pairs_oldest_timestamp_seconds{mailbox=\"X26ABC1\"} 4.5",
            "meshd_monitor_alarms{pipeline=\"pathology\",monitor=\"lab\"} 0.0",
            "meshd_monitor_last_message_timestamp_seconds{pipeline=\"pathology\",monitor=\"lab\"} 3.5",
            "meshd_journal_records_total 42.0",
            "meshd_ready 1.0",
            "meshd_obstacles{at=\"output\",code=\"OUT-WRITE\"} 2.0",
            "meshd_listed_to_acknowledged_seconds_bucket{le=\"0.004\",mailbox=\"X26ABC1\"} 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
        assert!(!text.lines().any(|told| told.starts_with("meshd_certificate_days")), "unknown is not told: {text}");
        assert!(text.ends_with("# EOF\n"));
    }

    fn obstacle(number: u8) -> Obstacle {
        let at = At::Output(format!("/srv/{number}").into());
        Obstacle { at, code: "OUT-WRITE".into(), detail: "as a test".into(), since: Timestamp(1) }
    }

    /// A dashboard that asks for a name that is not told stays empty, and an alert on it never fires.
    #[test]
    fn each_metric_that_alerts_and_dashboards_name_is_told() {
        let suffix = |kind: Kind| match kind {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Bytes => "_bytes",
            Kind::Time => "_timestamp_seconds",
        };
        let mut told: Vec<String> =
            METRICS.iter().map(|Metric(name, _, kind, _)| format!("{name}{}", suffix(*kind))).collect();
        told.extend(Span::ALL.map(|span| format!("{}_seconds_bucket", named(span).0)));
        let rules = include_str!("../../config/prometheus/meshd.rules.yml");
        let dashboard = include_str!("../../config/grafana/meshd.json");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for text in [rules, dashboard] {
            let asked: Vec<&str> = text.split(|c| !is_name(c)).filter(|word| word.starts_with("meshd_")).collect();
            assert!(asked.len() > 10, "nothing is asked for: {asked:?}");
            for name in asked {
                assert!(told.iter().any(|told| told == name), "{name} is not told");
            }
        }
    }

    #[test]
    fn no_two_metrics_share_a_name_and_unit() {
        let mut names: Vec<_> =
            METRICS.iter().map(|Metric(name, _, kind, _)| (*name, matches!(kind, Kind::Bytes))).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
