//! Sending into the simulator (mesh-api 6.6), so that NHS's own client and the daemon's other end can be tested.
//!
//! A message becomes visible to its recipient when all its chunks are there, in whatever order they came.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::{HeaderName, Response};
use hyper::body::{Body as _, Incoming};
use serde_json::json;

use super::body::Body;
use super::ledger::Event;
use super::mailbox::{Known, State};
use super::message::Draft;
use super::payload::{LARGEST_BODY, Part, Payload};
use super::requests::Asked;
use super::{SimulatorError, answers, lock};
use crate::adapters::mesh::headers;

/// Messages of which chunks are still missing.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Upload>>);

struct Upload {
    sender: String,
    recipient: String,
    draft: Draft,
    total: u64,
    is_gzip: bool,
    parts: BTreeMap<u64, Bytes>,
}

impl Uploads {
    /// True if `recipient` will get the message once it is complete.
    pub(super) fn is_for(&self, id: &str, recipient: &str) -> bool {
        lock(&self.0).get(id).is_some_and(|upload| upload.recipient == recipient)
    }
}

/// Why a send is refused: the answer itself.
type Refused = Box<Response<Body>>;

/// A message, or its first chunk.
pub(super) async fn send(asked: &Asked<'_>, body: Incoming) -> Result<Response<Body>, SimulatorError> {
    let checked = match check(asked) {
        Ok(checked) => checked,
        Err(refused) => return Ok(*refused),
    };
    let bytes = match receive(asked, body).await {
        Ok(bytes) => bytes,
        Err(refused) => return Ok(*refused),
    };
    if bytes.is_empty() {
        return Ok(answers::error(417, "COLLECT", "02", "Data file is missing"));
    }
    let id = asked.shared.new_id();
    let total = checked.total;
    let upload = Upload {
        sender: asked.mailbox.id.clone(),
        recipient: checked.recipient,
        draft: checked.draft,
        total,
        is_gzip: checked.is_gzip,
        parts: BTreeMap::from([(1, bytes)]),
    };
    if total == 1 {
        deliver(asked, &id, upload).await?;
    } else {
        lock(&asked.shared.uploads.0).insert(id.clone(), upload);
    }
    Ok(answers::sent(&json!({ "message_id": id })))
}

/// A later chunk.
pub(super) async fn send_chunk(asked: &Asked<'_>, body: Incoming) -> Result<Response<Body>, SimulatorError> {
    let id = &*asked.route.message;
    let refuse = |status, code: &str| Ok(answers::error_of(Some(id), status, "SEND", code, code));
    let claimed = text(asked.headers, headers::CHUNK_RANGE).as_deref().and_then(read_range);
    let Some((number, total)) = claimed.filter(|(number, _)| Some(*number) == asked.route.chunk_number()) else {
        return refuse(417, "InvalidHeaderChunks");
    };
    let encoding = match encoding(asked.headers) {
        Ok(is_gzip) => is_gzip,
        Err(refused) => return Ok(*refused),
    };
    {
        let uploads = lock(&asked.shared.uploads.0);
        let Some(upload) = uploads.get(id) else {
            let is_complete = asked.shared.mailboxes.values().any(|mailbox| mailbox.is_known(id));
            return Ok(match is_complete {
                true => answers::framework(423, &json!({ "message": "An internal error occurred" })),
                false => answers::unknown_message(),
            });
        };
        if upload.sender != asked.mailbox.id {
            return Ok(answers::forbidden());
        }
        if number > upload.total {
            return Ok(answers::framework(406, &json!({ "message": "An internal error occurred" })));
        }
        if total != upload.total {
            return refuse(417, "InvalidHeaderChunks");
        }
        if encoding != upload.is_gzip {
            return refuse(417, "cannot change content encoding");
        }
    }
    let bytes = match receive(asked, body).await {
        Ok(bytes) => bytes,
        Err(refused) => return Ok(*refused),
    };
    let complete = {
        let mut uploads = lock(&asked.shared.uploads.0);
        match uploads.get_mut(id) {
            Some(upload) => {
                upload.parts.insert(number, bytes);
                (upload.parts.len() as u64 == upload.total).then(|| uploads.remove(id)).flatten()
            }
            None => None,
        }
    };
    if let Some(upload) = complete {
        deliver(asked, id, upload).await?;
    }
    Ok(answers::sent(&serde_json::Value::Null))
}

/// A message that its sender may ask for.
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) local_id: Option<String>,
    pub(super) status: &'static str,
}

/// What the asking mailbox sent, whole or not.
pub(super) fn sent_by(asked: &Asked<'_>) -> Vec<Sent> {
    let own = &asked.mailbox.id;
    let uploads = lock(&asked.shared.uploads.0);
    let begun = uploads.iter().filter(|(_, upload)| upload.sender == *own);
    let begun =
        begun.map(|(id, upload)| Sent { id: id.clone(), local_id: upload.draft.local_id.clone(), status: "uploading" });
    let whole = asked.shared.mailboxes.values().flat_map(|mailbox| mailbox.known());
    let is_own = |known: &Known| text(&known.mail.headers, headers::FROM).as_deref() == Some(own);
    let whole = whole.filter(is_own).map(|known| Sent {
        id: known.id.to_string(),
        local_id: text(&known.mail.headers, headers::LOCAL_ID),
        status: match known.state {
            State::Accepted => "accepted",
            State::Acknowledged => "acknowledged",
            State::Gone => "undeliverable",
        },
    });
    begun.chain(whole).collect()
}

async fn deliver(asked: &Asked<'_>, id: &str, upload: Upload) -> Result<(), SimulatorError> {
    let Upload { recipient, mut draft, is_gzip, parts, .. } = upload;
    draft.payload = Payload::Fixed(parts.into_values().map(|bytes| Part::stored(bytes, is_gzip)).collect());
    let local_id = draft.local_id.clone();
    let mail = draft.ready()?;
    asked
        .shared
        .record(|| Event::Received {
            mailbox: asked.mailbox.id.clone(),
            id: id.to_owned(),
            local_id,
            sha256: mail.sha256().map(str::to_owned),
        })
        .await?;
    asked.shared.offer(&recipient, vec![(id.into(), mail)]).await
}

/// What the headers of a message say, once they are in order.
struct Checked {
    recipient: String,
    draft: Draft,
    total: u64,
    is_gzip: bool,
}

/// mesh-api 5.1, 9.2 and 10.
fn check(asked: &Asked<'_>) -> Result<Checked, Refused> {
    let map = asked.headers;
    for (name, limit) in [
        (headers::TO, 100),
        (headers::WORKFLOW_ID, 300),
        (headers::LOCAL_ID, 300),
        (headers::FILE_NAME, 300),
        (headers::SUBJECT, 500),
        (headers::PARTNER_ID, 500),
        (headers::CONTENT_CHECKSUM, 100),
        (headers::CONTENT_TYPE, 100),
        (headers::CHUNK_RANGE, 20),
        (headers::CONTENT_ENCRYPTED, 20),
        (headers::CONTENT_COMPRESSED, 20),
    ] {
        let Some(value) = map.get(name) else { continue };
        if value.len() > limit {
            return Err(Box::new(answers::header_too_long(name, limit)));
        }
        let may_be_address = ![headers::TO, headers::WORKFLOW_ID, headers::CONTENT_CHECKSUM].contains(&name);
        let is_address = value.as_bytes().starts_with(b"http://") || value.as_bytes().starts_with(b"https://");
        if value.as_bytes().iter().any(|byte| *byte < 0x20) || (is_address && !may_be_address) {
            return Err(refuse(400, "TRANSFER", "06", "MalformedControlFile"));
        }
    }
    let required = |name| text(map, name).ok_or_else(|| Box::new(answers::missing_header(name)));
    let recipient = required(headers::TO)?.trim().to_ascii_uppercase();
    let workflow = required(headers::WORKFLOW_ID)?;
    if recipient.is_empty() {
        return Err(refuse(400, "SEND", "08", "TO_DTS missing"));
    }
    let checksum = text(map, headers::CONTENT_CHECKSUM);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":-/".contains(c);
    if checksum.as_deref().is_some_and(|checksum| !checksum.chars().all(is_plain)) {
        return Err(refuse(400, "SEND", "Invalid checksum", "Invalid checksum"));
    }
    let is_gzip = encoding(map)?;
    let total = match text(map, headers::CHUNK_RANGE).map(|range| read_range(&range)) {
        None => 1,
        Some(Some((1, total))) => total,
        Some(_) => return Err(refuse(417, "SEND", "InvalidHeaderChunks", "InvalidHeaderChunks")),
    };
    let from = text(map, headers::FROM).unwrap_or_else(|| asked.mailbox.id.clone());
    if from != asked.mailbox.id {
        // Assumption: 417, as for the other codes of this kind; no source shows the status of code 07.
        return Err(refuse(417, "SEND", "07", "From address does not match the token"));
    }
    if !asked.shared.mailboxes.contains_key(&recipient) {
        return Err(refuse(417, "SEND", "12", "Unregistered to address"));
    }
    // On a chunked message only `Mex-Content-Type` tells the sender's type (mesh-api 5.1).
    let own_type = text(map, CONTENT_TYPE.as_str()).filter(|_| total == 1);
    let is_yes = |name| text(map, name).as_deref().and_then(read_boolean);
    let draft = Draft {
        to: Some(recipient.clone()),
        subject: text(map, headers::SUBJECT),
        local_id: text(map, headers::LOCAL_ID),
        file_name: text(map, headers::FILE_NAME),
        partner_id: text(map, headers::PARTNER_ID),
        checksum,
        content_type: text(map, headers::CONTENT_TYPE).or(own_type),
        encrypted: is_yes(headers::CONTENT_ENCRYPTED) == Some(true),
        compressed: is_yes(headers::CONTENT_COMPRESSED),
        ..Draft::data(&from, &workflow, Payload::Nothing)
    };
    Ok(Checked { recipient, draft, total, is_gzip })
}

fn refuse(status: u16, event: &str, code: &str, message: &str) -> Refused {
    Box::new(answers::error(status, event, code, message))
}

/// True for gzip, false for none; anything else is refused.
fn encoding(map: &HeaderMap) -> Result<bool, Refused> {
    match text(map, CONTENT_ENCODING.as_str()).as_deref() {
        None => Ok(false),
        Some("gzip") => Ok(true),
        Some(_) => Err(refuse(422, "SEND", "UnsupportedContentEncoding", "UnsupportedContentEncoding")),
    }
}

/// `n:m` with 1 <= n <= m.
fn read_range(text: &str) -> Option<(u64, u64)> {
    let (number, total) = text.split_once(':')?;
    let (number, total) = (number.parse().ok()?, total.parse().ok()?);
    (1 <= number && number <= total).then_some((number, total))
}

/// The words the sandbox takes (mesh-api 5.1).
fn read_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A header's text; Latin-1 bytes are kept as the characters they stand for.
fn text(map: &HeaderMap, name: &str) -> Option<String> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    Some(map.get(name)?.as_bytes().iter().map(|byte| char::from(*byte)).collect())
}

/// The body, up to the largest that MESH takes (mesh-api 8); 413 beyond.
async fn receive(asked: &Asked<'_>, mut body: Incoming) -> Result<Bytes, Refused> {
    let too_large = || refuse(413, "SEND", "", "Request body is larger than 100 MB");
    let declared = text(asked.headers, CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > LARGEST_BODY) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(frame) = frame else { return Err(refuse(400, "SEND", "", "The request body ended early")) };
        let Ok(piece) = frame.into_data() else { continue };
        if (bytes.len() + piece.len()) as u64 > LARGEST_BODY {
            return Err(too_large());
        }
        asked.shared.counters.bytes_received.fetch_add(piece.len() as u64, Ordering::Relaxed);
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
