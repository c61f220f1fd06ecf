//! A message that goes out, as the headers of its requests (mesh-api 5.1), and what MESH answers to them.

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::adapters::mesh::headers as mex;
use crate::domain::envelope::Envelope;
use crate::domain::ids::{MessageId, Sensitive};
use crate::domain::sending::code;
use crate::ports::inbox::Encoding;
use crate::ports::outbox::{Found, Piece, Tracked, TrackedState};

/// No answer to a send or to tracking is longer.
pub(in crate::adapters::mesh) const LARGEST_ANSWER: usize = 64 * 1024;

/// What a payload is called where its sender does not say (mesh-api 11.1).
const BYTES: &str = "application/octet-stream";

/// The headers of the first request; the error names the one that no request may carry, and not its value (I8).
pub(in crate::adapters::mesh) fn of_message(envelope: &Envelope, piece: &Piece) -> Result<HeaderMap, &'static str> {
    let mut headers = of_piece(piece)?;
    let kind = envelope.content_type.as_deref().unwrap_or(BYTES);
    put(&mut headers, CONTENT_TYPE, kind)?;
    if piece.total > 1 && envelope.content_type.is_some() {
        // Of a chunked message nothing else tells its recipient.
        put(&mut headers, HeaderName::from_static(mex::CONTENT_TYPE), kind)?;
    }
    put(&mut headers, HeaderName::from_static(mex::FROM), envelope.mailbox.as_str())?;
    put(&mut headers, HeaderName::from_static(mex::WORKFLOW_ID), envelope.workflow.as_str())?;
    let said: [(&'static str, &Option<Sensitive>); 6] = [
        (mex::TO, &envelope.to),
        (mex::LOCAL_ID, &envelope.local_id),
        (mex::SUBJECT, &envelope.subject),
        (mex::FILE_NAME, &envelope.file_name),
        (mex::PARTNER_ID, &envelope.partner_id),
        (mex::CONTENT_CHECKSUM, &envelope.checksum),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            put(&mut headers, HeaderName::from_static(name), value.reveal())?;
        }
    }
    if envelope.content_encrypted {
        put(&mut headers, HeaderName::from_static(mex::CONTENT_ENCRYPTED), "Y")?;
    }
    if let Some(is_compressed) = envelope.content_compressed {
        put(&mut headers, HeaderName::from_static(mex::CONTENT_COMPRESSED), if is_compressed { "Y" } else { "N" })?;
    }
    Ok(headers)
}

/// The headers of a chunk after the first.
pub(in crate::adapters::mesh) fn of_chunk(piece: &Piece) -> Result<HeaderMap, &'static str> {
    let mut headers = of_piece(piece)?;
    put(&mut headers, CONTENT_TYPE, BYTES)?;
    Ok(headers)
}

fn of_piece(piece: &Piece) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    if piece.total > 1 {
        let range = format!("{}:{}", piece.number, piece.total);
        put(&mut headers, HeaderName::from_static(mex::CHUNK_RANGE), &range)?;
    }
    if piece.encoding == Encoding::Gzip {
        put(&mut headers, CONTENT_ENCODING, "gzip")?;
    }
    if let Some(length) = piece.length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(headers)
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) -> Result<(), &'static str> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "a header has characters that no request may carry")?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// The id in the answer to a send.
pub(in crate::adapters::mesh) fn sent(body: &[u8]) -> Option<MessageId> {
    let body: Value = serde_json::from_slice(body).ok()?;
    message_id(&body)
}

/// The answer to tracking (mesh-api 6.7); none if it is not one.
pub(in crate::adapters::mesh) fn tracked(body: &[u8]) -> Option<Tracked> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let state = match text("status")?.to_ascii_lowercase().as_str() {
        "uploading" => TrackedState::Uploading,
        "accepted" => TrackedState::Accepted,
        "acknowledged" => TrackedState::Acknowledged,
        "undeliverable" | "error" => TrackedState::Undeliverable,
        _ => return None,
    };
    let code = text("status_code").or_else(|| text("statusCode")).and_then(code);
    Some(Tracked { message: message_id(&body)?, state, code })
}

/// The answer to tracking by local id.
pub(in crate::adapters::mesh) fn found(status: StatusCode, body: &[u8]) -> Option<Found> {
    match status {
        StatusCode::OK => tracked(body).map(Found::One),
        StatusCode::MULTIPLE_CHOICES => Some(Found::Several),
        StatusCode::NOT_FOUND => Some(Found::None),
        _ => None,
    }
}

/// The three spellings of mesh-api 3.
fn message_id(body: &Value) -> Option<MessageId> {
    let id = ["message_id", "messageID", "messageId"].iter().find_map(|key| body.get(key)?.as_str())?;
    MessageId::new(id).ok()
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
