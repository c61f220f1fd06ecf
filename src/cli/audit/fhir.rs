//! Records as FHIR R4: an `AuditEvent` each, and a `Provenance` for each delivered message.
//!
//! The profiles are UK Core's (`UKCore-AuditEvent`, `UKCore-Provenance`, 1.2.0), which add to the base only that
//! `agent`, `target` and `recorded` must be supported. Codes are DICOM's audit codes where one fits (FHIR's example
//! binding for `AuditEvent.type`); every record's own kind is its subtype.
//! Nothing names a patient: subjects are ids of MESH and our own.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::super::Failure;
use crate::domain::ids::DeliveryId;
use crate::domain::monitor::Turn;
use crate::domain::operator::Operator;
use crate::domain::sending::Sending;
use crate::domain::time::Timestamp;
use crate::ports::trace::FoundRecord;
use crate::store::journal::event::{Acceptance, Event};

const AUDIT_EVENT: &str = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-AuditEvent";
const PROVENANCE: &str = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Provenance";

/// Deliveries whose beginning is remembered for their end: some tens of megabytes. Of one that took longer than so many
/// others, the provenance names the delivery alone.
const MOST_OPEN: usize = 100_000;

/// Turns one record after the other into resources.
#[derive(Debug, Default)]
pub(super) struct Translator {
    open: BTreeMap<DeliveryId, Origin>,
}

/// Where a delivery came from.
#[derive(Debug, Clone)]
struct Origin {
    mailbox: String,
    message: String,
    from: Option<String>,
    accepted: Timestamp,
}

impl Translator {
    /// The resources that one record makes.
    pub(super) fn resources(&mut self, record: &FoundRecord) -> Result<Vec<Value>, Failure> {
        let event: Event = serde_json::from_str(&record.body)
            .with_context(|| format!("read record {}: it was written by another version", record.sequence))?;
        let mut resources = vec![audit_event(record, &event)];
        if let Event::Accepted(accepted) = &event {
            self.begin(record, Origin::of(record, accepted));
        } else if let Event::BroughtIn(brought) = &event {
            self.begin(record, Origin::of(record, &brought.kept));
        } else if let Event::SendQueued(queued) = &event {
            self.begin(record, Origin::of(record, &queued.kept));
        } else if let Event::Replayed(replay) = &event {
            let from = self.open.remove(&replay.of).and_then(|origin| origin.from);
            let (mailbox, message) = (replay.mailbox.to_string(), replay.message.to_string());
            self.begin(record, Origin { mailbox, message, from, accepted: record.wall });
        } else if let Event::Delivered { id, handling, .. } = &event {
            let pipeline = handling.as_ref().map(|handling| format!("{} {}", handling.pipeline, handling.file));
            resources.push(provenance(record, *id, self.open.get(id), pipeline));
        } else if let Event::Purged { id, .. } = &event {
            self.open.remove(id);
        }
        Ok(resources)
    }

    fn begin(&mut self, record: &FoundRecord, origin: Origin) {
        self.open.insert(DeliveryId(record.sequence), origin);
        if self.open.len() > MOST_OPEN {
            self.open.pop_first();
        }
    }
}

impl Origin {
    fn of(record: &FoundRecord, accepted: &Acceptance) -> Self {
        Self {
            mailbox: accepted.mailbox.to_string(),
            message: accepted.message.to_string(),
            from: accepted.from.as_ref().map(ToString::to_string),
            accepted: record.wall,
        }
    }
}

fn audit_event(record: &FoundRecord, event: &Event) -> Value {
    let about = event.about();
    let kind = kind(&record.body);
    let Nature { class, action, outcome } = Nature::of(event);
    let mut entities = Vec::new();
    entities.extend(about.message.map(|message| entity("message-id", message.as_str())));
    entities.extend(about.mailbox.map(|mailbox| entity("mailbox", mailbox.as_str())));
    let own = about.is_beginning.then_some(DeliveryId(record.sequence));
    let deliveries = own.iter().chain(about.deliveries);
    entities.extend(deliveries.map(|delivery| entity("delivery", &delivery.to_string())));
    let detail = |name: &str, value: &str| json!({"type": name, "valueString": value});
    entities.push(json!({
        "what": identified("journal-record", &record.sequence.to_string()),
        "detail": [
            detail("hash", &record.hash),
            detail("run", &record.run.to_string()),
            detail("boot", if record.boot.is_empty() { "unknown" } else { record.boot.as_str() }),
            detail("monotonic-ms", &record.monotonic_ms.to_string()),
            detail("record", &record.body),
        ],
    }));
    json!({
        "resourceType": "AuditEvent",
        "id": format!("record-{}", record.sequence),
        "meta": {"profile": [AUDIT_EVENT]},
        "type": class.coding(),
        "subtype": [{"system": system("event"), "code": kind}],
        "action": action,
        "recorded": record.wall.to_string(),
        "outcome": outcome,
        "agent": [agent(about.by)],
        "source": {
            "observer": {"display": "meshd"},
            "type": [{
                "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                "code": "4",
                "display": "Application Server",
            }],
        },
        "entity": entities,
    })
}

fn provenance(record: &FoundRecord, delivery: DeliveryId, origin: Option<&Origin>, pipeline: Option<String>) -> Value {
    let mut resource = json!({
        "resourceType": "Provenance",
        "id": format!("delivery-{}", delivery.0),
        "meta": {"profile": [PROVENANCE]},
        "target": [identified("delivery", &delivery.to_string())],
        "recorded": record.wall.to_string(),
        "activity": {"text": "received from MESH and published"},
        "agent": [{"type": {"text": "assembler"}, "who": {"display": "meshd"}}],
    });
    if let Some(Origin { mailbox, message, from, accepted }) = origin {
        resource["occurredPeriod"] = json!({"start": accepted.to_string(), "end": record.wall.to_string()});
        resource["agent"][0]["onBehalfOf"] = identified("mailbox", mailbox);
        let mut source = json!({"role": "source", "what": identified("message-id", message)});
        if let Some(from) = from {
            source["agent"] = json!([{"type": {"text": "author"}, "who": identified("mailbox", from)}]);
        }
        resource["entity"] = json!([source]);
    }
    if let Some(pipeline) = pipeline {
        let derived = json!({"role": "derivation", "what": identified("pipeline", &pipeline)});
        match resource["entity"].as_array_mut() {
            Some(entities) => entities.push(derived),
            None => resource["entity"] = json!([derived]),
        }
    }
    resource
}

/// What sort of thing a record is for those who audit many systems.
struct Nature {
    class: Class,
    /// FHIR `audit-event-action`.
    action: &'static str,
    /// FHIR `audit-event-outcome`: 0 well, 4 failed and may pass, 8 failed.
    outcome: &'static str,
}

#[derive(Clone, Copy)]
enum Class {
    Application,
    AuditLogUsed,
    Export,
    Import,
    Object,
}

impl Nature {
    fn of(event: &Event) -> Self {
        let nature = |class, action, outcome| Self { class, action, outcome };
        match event {
            Event::Accepted(_) | Event::BroughtIn(_) | Event::SendQueued(_) => nature(Class::Import, "C", "0"),
            Event::SendResolved { .. }
            | Event::Sending { progress: Sending::Accepted { .. } | Sending::Collected { .. }, .. } => {
                nature(Class::Export, "R", "0")
            }
            Event::Sending { progress: Sending::Undelivered { .. }, .. } => nature(Class::Export, "R", "8"),
            Event::PairPutAway { .. }
            | Event::Sending { progress: Sending::Ready | Sending::Begun | Sending::Uploading { .. }, .. } => {
                nature(Class::Export, "E", "0")
            }
            Event::Refused { .. } => nature(Class::Import, "C", "4"),
            Event::Delivered { .. } | Event::BackupBegun { .. } | Event::BackupEnded { .. } => {
                nature(Class::Export, "R", "0")
            }
            Event::Revealed { .. } => nature(Class::Object, "R", "0"),
            Event::AuditRead { .. } | Event::SubjectSought { .. } => nature(Class::AuditLogUsed, "R", "0"),
            Event::JobBegun(_)
            | Event::JobPassed { .. }
            | Event::JobEnded { .. }
            | Event::Run { .. }
            | Event::Started { .. }
            | Event::Stopping
            | Event::Stopped
            | Event::TailCut { .. }
            | Event::Rebuilt { .. }
            | Event::ClockStep { .. }
            | Event::HandshakeTried { .. }
            | Event::Handshake { .. }
            | Event::Listed { .. }
            | Event::Configured { .. }
            | Event::Resumed { .. }
            | Event::Restored { .. }
            | Event::KeyMade { .. }
            | Event::RewrapBegun { .. }
            | Event::MailboxSuspended { .. }
            | Event::MailboxResumed { .. }
            | Event::LegalHoldAdded { .. }
            | Event::LegalHoldComplete { .. }
            | Event::LegalHoldRemoved { .. }
            | Event::Monitor { turn: Turn::Begun | Turn::Cleared | Turn::Accepted { .. } | Turn::Ended, .. } => {
                nature(Class::Application, "E", "0")
            }
            Event::Suspended { .. } | Event::Monitor { turn: Turn::Raised, .. } => nature(Class::Application, "E", "4"),
            Event::Dead { .. } => nature(Class::Object, "U", "8"),
            Event::Retry { .. }
            | Event::Deferred { .. }
            | Event::Held { .. }
            | Event::Suspect { .. }
            | Event::Alarmed { .. } => nature(Class::Object, "U", "4"),
            Event::Purged { .. }
            | Event::VolumeRemoved { .. }
            | Event::PartsRemoved { .. }
            | Event::Abandoned { .. }
            | Event::SegmentRemoved { .. } => nature(Class::Object, "D", "0"),
            Event::Acknowledged { .. }
            | Event::Repeated { .. }
            | Event::Forgotten { .. }
            | Event::Working { .. }
            | Event::Concerns { .. }
            | Event::Staged { .. }
            | Event::Discarded { .. }
            | Event::Released { .. }
            | Event::Replayed(_)
            | Event::OperatorReleased { .. }
            | Event::OperatorHeld { .. }
            | Event::OperatorDiscarded { .. }
            | Event::LegalHoldTook { .. }
            | Event::Spared { .. }
            | Event::Moved { .. }
            | Event::Resealed(_) => nature(Class::Object, "U", "0"),
        }
    }
}

impl Class {
    fn coding(self) -> Value {
        let dicom = |code: &str, display: &str| json!({"system": "http://dicom.nema.org/resources/ontology/DCM", "code": code, "display": display});
        match self {
            Self::Application => dicom("110100", "Application Activity"),
            Self::AuditLogUsed => dicom("110101", "Audit Log Used"),
            Self::Export => dicom("110106", "Export"),
            Self::Import => dicom("110107", "Import"),
            Self::Object => json!({
                "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
                "code": "object",
                "display": "Object",
            }),
        }
    }
}

fn agent(by: Option<Operator>) -> Value {
    match by {
        Some(operator) => json!({"who": identified("unix-user", &operator.0.to_string()), "requestor": true}),
        None => json!({"who": {"display": "meshd"}, "requestor": false}),
    }
}

fn entity(name: &str, value: &str) -> Value {
    json!({"what": identified(name, value)})
}

fn identified(name: &str, value: &str) -> Value {
    json!({"identifier": {"system": system(name), "value": value}})
}

/// Our own names for what has no registered one.
fn system(name: &str) -> String {
    format!("urn:meshd:{name}")
}

/// The word of a record's kind.
fn kind(body: &str) -> &str {
    let rest = body.strip_prefix("{\"e\":\"").unwrap_or_default();
    rest.split('"').next().unwrap_or_default()
}
