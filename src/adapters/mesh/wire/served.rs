//! The headers of a served message, to its envelope and the facts of the chunk (mesh-api 5.2, 6.4).

use http::{HeaderMap, StatusCode, header};

use super::fields::{Fields, bad};
use crate::adapters::mesh::headers as mex;
use crate::domain::envelope::{Envelope, MessageKind, Status};
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::{MailboxId, MessageId, Name, WorkflowId};
use crate::ports::inbox::Encoding;

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters::mesh) struct Asked<'a> {
    pub(in crate::adapters::mesh) mailbox: &'a MailboxId,
    pub(in crate::adapters::mesh) message_id: &'a MessageId,
    /// The chunk, from 1; nothing when only the headers were asked for.
    pub(in crate::adapters::mesh) chunk: Option<u32>,
    /// MESH, for faults that are not the message's.
    pub(in crate::adapters::mesh) dependency: &'a Name,
}

/// What was served, apart from its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::adapters::mesh) struct Served {
    pub(in crate::adapters::mesh) envelope: Envelope,
    pub(in crate::adapters::mesh) number: u32,
    pub(in crate::adapters::mesh) content_length: Option<u64>,
    pub(in crate::adapters::mesh) encoding: Encoding,
}

/// Lengths of mesh-api 10, and for headers without one a length that no honest value reaches.
mod longest {
    pub(super) const TO: usize = 100;
    pub(super) const NAME: usize = 300;
    pub(super) const TEXT: usize = 500;
    pub(super) const SHORT: usize = 100;
    pub(super) const RANGE: usize = 20;
    pub(super) const DESCRIPTION: usize = 1000;
}

/// The spool names chunks with six digits; at MESH's largest chunk that is a hundred terabytes.
const MOST_CHUNKS: u32 = 999_999;

/// Reads the headers of a 200 or 206 answer.
pub(in crate::adapters::mesh) fn served(
    asked: &Asked<'_>,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Served, Fault> {
    let fields = Fields(headers);
    check_identity(asked, &fields)?;
    let encoding = encoding(&fields)?;
    let content_length = content_length(asked, &fields)?;
    let kind = kind(&fields)?;
    let (number, chunks) = position(asked, status, kind, content_length, &fields)?;
    let content_compressed = match encoding {
        // The server then sets the header itself (mesh-api 5.2): it no longer says what the sender said.
        Encoding::Gzip => None,
        Encoding::Plain => fields.flag(mex::CONTENT_COMPRESSED)?,
    };
    let workflow = WorkflowId::new(fields.plain(mex::WORKFLOW_ID, longest::NAME)?.unwrap_or_default())
        .map_err(|_| bad(mex::WORKFLOW_ID, "is no workflow id"))?;
    let linked = fields.text(mex::LINKED_MESSAGE_ID, longest::SHORT)?;
    let envelope = Envelope {
        mailbox: asked.mailbox.clone(),
        message_id: asked.message_id.clone(),
        kind,
        workflow,
        from: fields.text(mex::FROM, longest::SHORT)?.and_then(|text| MailboxId::new(text).ok()),
        to: fields.sensitive(mex::TO, longest::TO)?,
        subject: fields.sensitive(mex::SUBJECT, longest::TEXT)?,
        local_id: fields.sensitive(mex::LOCAL_ID, longest::NAME)?,
        file_name: fields.sensitive(mex::FILE_NAME, longest::NAME)?,
        partner_id: fields.sensitive(mex::PARTNER_ID, longest::TEXT)?,
        checksum: fields.sensitive(mex::CONTENT_CHECKSUM, longest::SHORT)?,
        content_type: content_type(&fields)?,
        content_encrypted: fields.flag(mex::CONTENT_ENCRYPTED)?.unwrap_or(false),
        content_compressed,
        status: Status {
            code: fields.plain(mex::STATUS_CODE, longest::SHORT)?,
            event: fields.plain(mex::STATUS_EVENT, longest::SHORT)?,
            description: fields.sensitive(mex::STATUS_DESCRIPTION, longest::DESCRIPTION)?,
            success: fields.plain(mex::STATUS_SUCCESS, longest::SHORT)?,
            timestamp: fields.plain(mex::STATUS_TIMESTAMP, longest::SHORT)?,
        },
        linked_message_id: match linked {
            None => None,
            Some(text) => Some(MessageId::new(text).map_err(|_| bad(mex::LINKED_MESSAGE_ID, "is no message id"))?),
        },
        chunks,
    };
    Ok(Served { envelope, number, content_length, encoding })
}

/// An answer about another message is no fault of the one asked for: it must never count against it, let alone be kept
/// under its id.
fn check_identity(asked: &Asked<'_>, fields: &Fields<'_>) -> Result<(), Fault> {
    let served = fields.text(mex::MESSAGE_ID, longest::SHORT)?;
    if served.is_some_and(|id| !id.eq_ignore_ascii_case(asked.message_id.as_str())) {
        let detail = format!("{} names another message than the one asked for", mex::MESSAGE_ID);
        return Err(Fault::dependency(FaultCode::MeshProtocol, asked.dependency.clone(), detail));
    }
    Ok(())
}

fn kind(fields: &Fields<'_>) -> Result<MessageKind, Fault> {
    match fields.text(mex::MESSAGE_TYPE, longest::SHORT)?.map(|text| text.to_ascii_lowercase()).as_deref() {
        Some("data") => Ok(MessageKind::Data),
        Some("report") => Ok(MessageKind::Report),
        Some(_) => Err(bad(mex::MESSAGE_TYPE, "is neither DATA nor REPORT")),
        None => Err(bad(mex::MESSAGE_TYPE, "is missing")),
    }
}

fn encoding(fields: &Fields<'_>) -> Result<Encoding, Fault> {
    let name = "content-encoding";
    match fields.text(name, longest::SHORT)?.map(|text| text.to_ascii_lowercase()).as_deref() {
        None | Some("identity") => Ok(Encoding::Plain),
        Some("gzip" | "x-gzip") => Ok(Encoding::Gzip),
        Some(_) => Err(Fault::message(FaultCode::MsgBadEncoding, format!("{name} is not gzip"))),
    }
}

/// The length of the encoded body. Without it only a chunked transfer shows a cut, so where a body comes, one of them is
/// required.
fn content_length(asked: &Asked<'_>, fields: &Fields<'_>) -> Result<Option<u64>, Fault> {
    let stated = fields.text("content-length", longest::RANGE)?;
    match stated {
        Some(text) => {
            let length = decimal(&text).ok_or_else(|| bad("content-length", "is no number"))?;
            Ok(Some(length))
        }
        None if asked.chunk.is_none() || fields.0.contains_key(header::TRANSFER_ENCODING) => Ok(None),
        None => Err(Fault::new(
            FaultCode::MsgBadLength,
            Class::Transient,
            Origin::Message,
            "neither content-length nor transfer-encoding: a cut body would look whole",
        )),
    }
}

/// Which chunk of how many: `Mex-Chunk-Range`, else `Mex-Total-Chunks`, else one of one (mesh-api 5.2).
fn position(
    asked: &Asked<'_>,
    status: StatusCode,
    kind: MessageKind,
    content_length: Option<u64>,
    fields: &Fields<'_>,
) -> Result<(u32, u32), Fault> {
    let wanted = asked.chunk.unwrap_or(1);
    let total = fields.text(mex::TOTAL_CHUNKS, longest::RANGE)?;
    let total = match total {
        Some(text) => Some(number(&text).ok_or_else(|| chunks("the total is no number"))?),
        None => None,
    };
    let (n, m) = match fields.text(mex::CHUNK_RANGE, longest::RANGE)? {
        Some(range) => range
            .split_once(':')
            .and_then(|(n, m)| Some((number(n.trim())?, number(m.trim())?)))
            .ok_or_else(|| chunks("the range is not n:m"))?,
        None => (wanted, total.unwrap_or(if kind == MessageKind::Report { 0 } else { 1 })),
    };
    if total.is_some_and(|total| total != m) {
        return Err(chunks("range and total disagree"));
    }
    let empty_report = kind == MessageKind::Report && (m == 0 || (m == 1 && content_length == Some(0)));
    if empty_report && wanted == 1 {
        return Ok((0, 0));
    }
    if m > MOST_CHUNKS {
        return Err(chunks("more chunks than any message has"));
    }
    if n == 0 || n > m {
        return Err(chunks("the range is not within the total"));
    }
    if n != wanted {
        return Err(chunks("another chunk than the one asked for"));
    }
    // HEAD answers 200 whatever the total.
    let is_last = status == StatusCode::OK;
    if asked.chunk.is_some() && is_last != (n == m) {
        return Err(chunks("status and range disagree on which chunk is the last"));
    }
    Ok((n, m))
}

fn content_type(fields: &Fields<'_>) -> Result<Option<String>, Fault> {
    if let Some(recorded) = fields.plain(mex::CONTENT_TYPE, longest::SHORT)? {
        return Ok(Some(recorded));
    }
    // The transport's own header is not MESH's: an odd one is left out, not held against the message.
    Ok(fields.plain("content-type", longest::SHORT).ok().flatten())
}

fn chunks(problem: &str) -> Fault {
    Fault::message(FaultCode::MsgBadChunks, format!("{}: {problem}", mex::CHUNK_RANGE))
}

/// Digits only: `parse` alone would take a `+`.
fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn number(text: &str) -> Option<u32> {
    decimal(text).and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
#[path = "served_tests.rs"]
mod tests;
