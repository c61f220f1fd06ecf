//! One message as the far side holds it: headers made once, shared by as many message ids as one likes.

use std::sync::{Arc, OnceLock};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::SimulatorError;
use super::payload::Payload;
use crate::adapters::mesh::headers;

/// `Mex-AddressType` and `Mex-Version`: always sent, to be ignored (mesh-api 5.2).
const ADDRESS_TYPE: HeaderName = HeaderName::from_static("mex-addresstype");
const VERSION: HeaderName = HeaderName::from_static("mex-version");
const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// A message to offer. Absent fields are left out of the headers (mesh-api 5.2).
#[derive(Debug)]
pub struct Draft {
    /// `Mex-WorkflowID`.
    pub workflow: String,
    /// `Mex-From`; none on a report.
    pub from: Option<String>,
    /// `Mex-To`; the mailbox it is offered to when absent.
    pub to: Option<String>,
    /// `Mex-Subject`.
    pub subject: Option<String>,
    /// `Mex-LocalID`.
    pub local_id: Option<String>,
    /// `Mex-FileName`; `<message id>.dat` when absent.
    pub file_name: Option<String>,
    /// `Mex-PartnerID`.
    pub partner_id: Option<String>,
    /// `Mex-Content-Checksum`.
    pub checksum: Option<String>,
    /// The sender's content type.
    pub content_type: Option<String>,
    /// `Mex-Content-Encrypted: Y`.
    pub encrypted: bool,
    /// `Mex-Content-Compressed`, when the sender said something.
    pub compressed: Option<bool>,
    /// Set on a report, and on nothing else.
    pub report: Option<Report>,
    /// Headers as raw bytes, put in place of those above: 8-bit values, odd shapes, great lengths.
    pub raw_headers: Vec<(String, Vec<u8>)>,
    /// The content.
    pub payload: Payload,
}

/// What makes a message a report (mesh-api 7.3).
#[derive(Debug, Clone)]
pub struct Report {
    /// `Mex-StatusCode`, such as `14`.
    pub code: String,
    /// `Mex-StatusEvent`, such as `SEND`.
    pub event: String,
    /// `Mex-StatusDescription`.
    pub description: String,
    /// `Mex-LinkedMsgID`: the message that failed.
    pub linked_message_id: String,
}

impl Draft {
    /// A message from another mailbox, with nothing but a workflow and content.
    pub fn data(from: &str, workflow: &str, payload: Payload) -> Self {
        Self {
            workflow: workflow.to_owned(),
            from: Some(from.to_owned()),
            to: None,
            subject: None,
            local_id: None,
            file_name: None,
            partner_id: None,
            checksum: None,
            content_type: None,
            encrypted: false,
            compressed: None,
            report: None,
            raw_headers: Vec::new(),
            payload,
        }
    }

    /// The report of non-delivery after five days (mesh-api 7.2, 7.3).
    pub fn undelivered(workflow: &str, linked_message_id: &str) -> Self {
        Self {
            from: None,
            subject: Some("NDR: not collected".to_owned()),
            report: Some(Report {
                code: "14".to_owned(),
                event: "SEND".to_owned(),
                description: "Message not collected by recipient after 5 days".to_owned(),
                linked_message_id: linked_message_id.to_owned(),
            }),
            ..Self::data("", workflow, Payload::Nothing)
        }
    }

    /// Makes the headers. Refuses a value that HTTP cannot carry at all.
    pub fn ready(self) -> Result<Arc<Mail>, SimulatorError> {
        let mut map = HeaderMap::with_capacity(24);
        let mut put = |name: &'static str, value: &str| -> Result<(), SimulatorError> {
            map.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes())?);
            Ok(())
        };
        for (name, value) in [
            (headers::FROM, &self.from),
            (headers::TO, &self.to),
            (headers::SUBJECT, &self.subject),
            (headers::LOCAL_ID, &self.local_id),
            (headers::FILE_NAME, &self.file_name),
            (headers::PARTNER_ID, &self.partner_id),
            (headers::CONTENT_CHECKSUM, &self.checksum),
            (headers::CONTENT_TYPE, &self.content_type),
        ] {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                put(name, value)?;
            }
        }
        put(headers::WORKFLOW_ID, &self.workflow)?;
        if self.encrypted {
            put(headers::CONTENT_ENCRYPTED, "Y")?;
        }
        if let Some(compressed) = self.compressed {
            put(headers::CONTENT_COMPRESSED, if compressed { "Y" } else { "N" })?;
        }
        let (kind, success, code, event, description) = match &self.report {
            Some(report) => ("REPORT", "ERROR", &*report.code, &*report.event, &*report.description),
            None => ("DATA", "SUCCESS", "00", "TRANSFER", "Transferred to recipient mailbox"),
        };
        put(headers::MESSAGE_TYPE, kind)?;
        put(headers::STATUS_SUCCESS, success)?;
        put(headers::STATUS_CODE, code)?;
        put(headers::STATUS_EVENT, event)?;
        put(headers::STATUS_DESCRIPTION, description)?;
        if let Some(report) = &self.report {
            put(headers::LINKED_MESSAGE_ID, &report.linked_message_id)?;
        }
        map.insert(ADDRESS_TYPE, HeaderValue::from_static("ALL"));
        map.insert(VERSION, HeaderValue::from_static("1.0"));
        let chunks = self.payload.chunks();
        map.insert(HeaderName::from_static(headers::TOTAL_CHUNKS), HeaderValue::from(chunks));
        if self.report.is_none() {
            // Only an unchunked message carries the sender's type as its own (mesh-api 3).
            let typed = self.content_type.as_deref().filter(|_| chunks == 1);
            map.insert(CONTENT_TYPE, typed.map_or(Ok(OCTET_STREAM), HeaderValue::from_str)?);
        }
        for (name, value) in &self.raw_headers {
            map.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value)?);
        }
        Ok(Arc::new(Mail { workflow: self.workflow, headers: map, payload: self.payload, sha256: OnceLock::new() }))
    }
}

/// A message ready to be served under any id.
#[derive(Debug)]
pub struct Mail {
    /// `Mex-WorkflowID`, for the inbox filter.
    pub workflow: String,
    /// All headers that do not depend on the message id, the moment or the chunk.
    pub(super) headers: HeaderMap,
    /// The content.
    pub payload: Payload,
    sha256: OnceLock<Option<String>>,
}

impl Mail {
    /// SHA-256 over the decoded content in lower-case hex; `None` if a part declared gzip is not.
    ///
    /// Computed once, when first asked for: about a second per gigabyte.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.get_or_init(|| self.payload.sha256()).as_deref()
    }
}
