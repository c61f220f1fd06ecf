//! The plain layout: a payload, and a JSON file that says what it is and where it came from.
//!
//! ```text
//! <folder>/<message id>.dat    the payload, plain bytes; not there for a report
//! <folder>/<message id>.json   last: the signal to the consumer
//! <folder>/.staging/           ours alone: where both are made
//! ```
//!
//! # The JSON file
//!
//! One object, UTF-8, indented, ending in LF, fields in this order. What the server did not say is `null`.
//! A later version may add fields; `version` changes when one changes its meaning or goes.
//!
//! | Field | Value |
//! |---|---|
//! | `version` | 1 |
//! | `message_id`, `mailbox`, `workflow_id` | as MESH knows them |
//! | `kind` | `data` or `report` |
//! | `from` | the sender's mailbox id |
//! | `to`, `subject`, `local_id`, `file_name`, `partner_id`, `checksum` | as the sender wrote them: **may be patient data, and never a path** |
//! | `content_type` | as served |
//! | `content_encrypted`, `content_compressed` | what the sender says of its payload: true, false; the latter `null` if unknown |
//! | `linked_message_id` | of a report: the message that failed |
//! | `status` | `code`, `event`, `success`, `description`, `timestamp` (`yyyyMMddHHmmss`), all as served |
//! | `payload` | `null` for a report, else `file` (its name in this folder), `length` (bytes), `sha256` (lower-case hex), `changes` (what a pipeline did to it since it came, in order: `gunzip`, `decrypt`) |
//! | `provenance` | `meshd` (its version), `delivery`, `continues` (the delivery before, when a message came again), `accepted_at` (RFC 3339, UTC), `chunks` (as served) |
//!
//! It holds no time but that of acceptance, so publishing the same delivery again gives the same bytes.

use serde::Serialize;

use crate::domain::envelope::{Envelope, MessageKind};
use crate::domain::ids::Sensitive;
use crate::ports::store::Delivery;

const VERSION: u32 = 1;

/// Where files are made, inside the folder they appear in.
pub(super) const STAGING: &str = ".staging";

/// What is known of a payload once it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Payload {
    /// Its final name.
    pub(super) file: String,
    /// Bytes.
    pub(super) length: u64,
    /// In the clear: this is the operator's own output.
    pub(super) sha256: String,
    /// What was done to it since it came.
    pub(super) changes: Vec<&'static str>,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    message_id: &'a str,
    mailbox: &'a str,
    workflow_id: &'a str,
    kind: MessageKind,
    from: Option<&'a str>,
    to: Option<&'a Sensitive>,
    subject: Option<&'a Sensitive>,
    local_id: Option<&'a Sensitive>,
    file_name: Option<&'a Sensitive>,
    partner_id: Option<&'a Sensitive>,
    checksum: Option<&'a Sensitive>,
    content_type: Option<&'a str>,
    content_encrypted: bool,
    content_compressed: Option<bool>,
    linked_message_id: Option<&'a str>,
    status: StatusRecord<'a>,
    payload: Option<&'a Payload>,
    provenance: Provenance<'a>,
}

#[derive(Serialize)]
struct StatusRecord<'a> {
    code: Option<&'a str>,
    event: Option<&'a str>,
    success: Option<&'a str>,
    description: Option<&'a Sensitive>,
    timestamp: Option<&'a str>,
}

#[derive(Serialize)]
struct Provenance<'a> {
    meshd: &'a str,
    delivery: String,
    continues: Option<String>,
    accepted_at: String,
    chunks: u32,
}

/// The bytes of the last file of a set.
pub(super) fn document(envelope: &Envelope, delivery: &Delivery, payload: Option<&Payload>) -> Vec<u8> {
    let status = &envelope.status;
    let document = Document {
        version: VERSION,
        message_id: envelope.message_id.as_str(),
        mailbox: envelope.mailbox.as_str(),
        workflow_id: envelope.workflow.as_str(),
        kind: envelope.kind,
        from: envelope.from.as_ref().map(|id| id.as_str()),
        to: envelope.to.as_ref(),
        subject: envelope.subject.as_ref(),
        local_id: envelope.local_id.as_ref(),
        file_name: envelope.file_name.as_ref(),
        partner_id: envelope.partner_id.as_ref(),
        checksum: envelope.checksum.as_ref(),
        content_type: envelope.content_type.as_deref(),
        content_encrypted: envelope.content_encrypted,
        content_compressed: envelope.content_compressed,
        linked_message_id: envelope.linked_message_id.as_ref().map(|id| id.as_str()),
        status: StatusRecord {
            code: status.code.as_deref(),
            event: status.event.as_deref(),
            success: status.success.as_deref(),
            description: status.description.as_ref(),
            timestamp: status.timestamp.as_deref(),
        },
        payload,
        provenance: Provenance {
            meshd: env!("CARGO_PKG_VERSION"),
            delivery: delivery.id.to_string(),
            continues: delivery.continues.map(|id| id.to_string()),
            accepted_at: delivery.accepted_at.to_string(),
            chunks: envelope.chunks,
        },
    };
    let mut bytes = serde_json::to_vec_pretty(&document).expect("text, numbers and options always serialise");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::testing::{data_envelope, delivery_of, report_envelope};

    #[test]
    fn a_message_is_described_with_its_provenance() {
        let envelope = data_envelope();
        let payload =
            Payload { file: "A.dat".to_owned(), length: 3, sha256: "ba78".to_owned(), changes: vec!["gunzip"] };
        let text = document(&envelope, &delivery_of(&envelope, 42), Some(&payload));
        let expected = r#"{
  "version": 1,
  "message_id": "20260105093012123456_0A1B2C",
  "mailbox": "X26ABC2",
  "workflow_id": "TRUST_DEMO_FLOW",
  "kind": "data",
  "from": "X26ABC1",
  "to": "X26ABC2",
  "subject": "Demo batch 17",
  "local_id": "RXX-000017",
  "file_name": "batch17.csv",
  "partner_id": null,
  "checksum": null,
  "content_type": "application/octet-stream",
  "content_encrypted": false,
  "content_compressed": null,
  "linked_message_id": null,
  "status": {
    "code": "00",
    "event": "TRANSFER",
    "success": "SUCCESS",
    "description": null,
    "timestamp": "20260105093013"
  },
  "payload": {
    "file": "A.dat",
    "length": 3,
    "sha256": "ba78",
    "changes": [
      "gunzip"
    ]
  },
  "provenance": {
    "meshd": "VERSION",
    "delivery": "d42",
    "continues": null,
    "accepted_at": "2026-01-05T09:30:13.000Z",
    "chunks": 1
  }
}
"#;
        assert_eq!(String::from_utf8(text).expect("UTF-8"), expected.replace("VERSION", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn a_report_has_no_payload_and_names_the_message_that_failed() {
        let envelope = report_envelope();
        let text = document(&envelope, &delivery_of(&envelope, 7), None);
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(value["payload"], serde_json::Value::Null);
        assert_eq!(value["kind"], "report");
        assert_eq!(value["linked_message_id"], "20260105093012123456_0A1B2C");
        assert_eq!(value["status"]["code"], "14");
    }

    #[test]
    fn hostile_text_reads_back_as_it_was() {
        let hostile = "\u{0}\u{1b}[2J\r\n\"}</x>é\u{202e}../../etc/x";
        let mut envelope = data_envelope();
        envelope.subject = Some(Sensitive::new(hostile));
        envelope.file_name = Some(Sensitive::new("../../etc/x"));
        let text = document(&envelope, &delivery_of(&envelope, 7), None);
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(value["subject"], hostile);
        assert_eq!(value["file_name"], "../../etc/x");
        assert!(text.iter().all(|byte| *byte == b'\n' || *byte >= b' '), "control characters are escaped");
    }
}
