//! From a request to its answer: door, script of faults, call.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, DATE};
use http::header::{HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::body::{Body, Content};
use super::calls::{Call, Route, encode, query};
use super::connection::Line;
use super::faults::Fault;
use super::filter::Filter;
use super::ledger::Event;
use super::mailbox::{Acknowledge, Found, Mailbox, Serving};
use super::message::Mail;
use super::payload::Payload;
use super::shared::Shared;
use super::tokens::{Refusal, Token};
use super::{SimulatorError, answers, outbox, spoil};
use crate::adapters::mesh::headers;
use crate::ports::clock::Clock;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("reset by a scripted fault")]
    Scripted,
    /// An answer would claim what the ledger could not keep.
    #[error("the ledger failed")]
    Ledger(#[from] SimulatorError),
}

/// One request, start to end.
pub(super) async fn answer(
    shared: &Shared,
    line: &Line,
    request: Request<Incoming>,
) -> Result<Response<Body>, NoAnswer> {
    line.renew();
    let result = respond(shared, line, request).await;
    if let Ok(response) = &result {
        shared.counters.reply(response.status().as_u16());
        shared.counters.bytes_served.fetch_add(response.body().length(), Ordering::Relaxed);
    }
    shared.changed.notify_waiters();
    result.map(|mut response| {
        response.headers_mut().insert(DATE, shared.clock.date());
        response
    })
}

async fn respond(shared: &Shared, line: &Line, request: Request<Incoming>) -> Result<Response<Body>, NoAnswer> {
    let (parts, body) = request.into_parts();
    let Some(route) = Route::read(&parts.method, parts.uri.path()).filter(|route| route.mailbox != "_ping") else {
        shared.counters.request(Call::Other);
        return Ok(outside(parts.uri.path()));
    };
    shared.counters.request(route.call);
    if shared.ledger_requests {
        shared.record(|| Event::Request { call: route.call, mailbox: route.mailbox.to_string() }).await?;
    }
    let mailbox = match admit(shared, &route, &parts.headers) {
        Ok(mailbox) => mailbox,
        Err(refusal) => {
            shared.refuse(refusal);
            return Ok(refused(refusal));
        }
    };
    let struck = shared.faults.strike(&route);
    if struck.is_some() {
        shared.counters.faults.fetch_add(1, Ordering::Relaxed);
    }
    match &struck {
        Some(Fault::Reply(reply)) => return Ok(spoil::scripted(reply)?),
        Some(Fault::Refuse) => {
            line.reset();
            return Err(NoAnswer::Scripted);
        }
        Some(Fault::Delay(lasting)) => tokio::time::sleep(*lasting).await,
        Some(_) | None => {}
    }
    let asked = Asked { shared, mailbox, route: &route, headers: &parts.headers, query: parts.uri.query() };
    let mut response = asked.perform(body).await?;
    if let Some(fault) = struck {
        response = spoil::spoil(fault, response, line)?;
    }
    if parts.method == Method::HEAD {
        // The headers tell the length of the body that GET would bring.
        let length = HeaderValue::from(response.body().length());
        response.headers_mut().insert(CONTENT_LENGTH, length);
        *response.body_mut() = Body::whole("");
    }
    Ok(response)
}

/// Paths without a mailbox: the sandbox's signs of life need no token (mesh-api 14.4).
fn outside(path: &str) -> Response<Body> {
    match path {
        "/health" | "/_ping" | "/messageexchange/_ping" => answers::framework(200, &json!({ "status": "running" })),
        _ => answers::framework(404, &json!({ "detail": "Not Found" })),
    }
}

/// The mailbox, if the token opens it.
fn admit<'a>(shared: &'a Shared, route: &Route<'_>, headers: &HeaderMap) -> Result<&'a Arc<Mailbox>, Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Refusal::Unreadable)?;
    let token = Token::read(header).ok_or(Refusal::Unreadable)?;
    let mailbox = shared.mailboxes.get(&*route.mailbox).ok_or(Refusal::UnknownMailbox)?;
    if token.mailbox != mailbox.id {
        return Err(Refusal::OtherMailbox);
    }
    mailbox.door.admit(&token, shared.clock.wall())?;
    Ok(mailbox)
}

/// The texts of mesh-api 9.3; the national service does not tell the last three apart.
fn refused(refusal: Refusal) -> Response<Body> {
    match refusal {
        Refusal::Unreadable => answers::error(403, "", "", "Error reading from Authorization header"),
        Refusal::UnknownMailbox => answers::error(403, "SEND", "EPL-151", "No mailbox matched"),
        Refusal::OtherMailbox => answers::error(403, "", "", "Mailbox id does not match token"),
        Refusal::WrongHash | Refusal::OutsideWindow | Refusal::Reused => {
            answers::error(403, "", "", "Invalid Authentication Token")
        }
    }
}

/// A request that passed the door.
pub(super) struct Asked<'a> {
    pub(super) shared: &'a Shared,
    pub(super) mailbox: &'a Mailbox,
    pub(super) route: &'a Route<'a>,
    pub(super) headers: &'a HeaderMap,
    query: Option<&'a str>,
}

impl Asked<'_> {
    async fn perform(&self, body: Incoming) -> Result<Response<Body>, SimulatorError> {
        // Version 2 only, as one media type (mesh-api 3).
        if self.headers.get(ACCEPT).is_none_or(|accept| accept != headers::ACCEPT_V2) {
            return Ok(answers::error(400, "", "", "Accept header api format incorrect"));
        }
        match self.route.call {
            Call::Handshake => Ok(self.handshake()),
            Call::List => self.list().await,
            Call::Head => Ok(self.head()),
            Call::Fetch => self.fetch().await,
            Call::Acknowledge => self.acknowledge().await,
            Call::Count => Ok(answers::json_text(json!({ "count": self.mailbox.waiting() }).to_string())),
            Call::Send => outbox::send(self, body).await,
            Call::SendChunk => outbox::send_chunk(self, body).await,
            Call::Track => Ok(self.track()),
            Call::Other => Ok(answers::framework(405, &json!({ "detail": "Method Not Allowed" }))),
        }
    }

    /// mesh-api 6.2 and 5.1.
    fn handshake(&self) -> Response<Body> {
        let required = [headers::CLIENT_VERSION, headers::OS_NAME, headers::OS_VERSION];
        match required.into_iter().find(|name| !self.headers.contains_key(*name)) {
            Some(name) => answers::missing_header(name),
            None => answers::empty(),
        }
    }

    /// mesh-api 6.7.
    fn track(&self) -> Response<Body> {
        let id = query(self.query, "messageID");
        let is_asked_for = |sent: &outbox::Sent| match &id {
            Some(id) => sent.id == **id,
            None => sent.local_id.as_deref() == Some(&*self.route.message),
        };
        let found: Vec<outbox::Sent> = outbox::sent_by(self).into_iter().filter(is_asked_for).collect();
        match &found[..] {
            [] => answers::unknown_message(),
            [one] => answers::json_text(
                json!({ "message_id": one.id, "local_id": one.local_id, "status": one.status, "status_success": true })
                    .to_string(),
            ),
            _ => answers::framework(300, &json!({ "detail": "Multiple messages found" })),
        }
    }

    /// mesh-api 6.3.
    async fn list(&self) -> Result<Response<Body>, SimulatorError> {
        let page = match query(self.query, "max_results").map_or(Ok(500), |text| text.parse::<usize>()) {
            Ok(page) if (10..=5000).contains(&page) => page,
            Ok(_) | Err(_) => return Ok(answers::out_of_range("query", "max_results", "an integer of 10 to 5000")),
        };
        let from = match query(self.query, "continue_from") {
            None => 0,
            Some(text) if !(24..=1000).contains(&text.len()) => {
                return Ok(answers::out_of_range("query", "continue_from", "24 to 1000 characters"));
            }
            Some(text) => match read_anchor(&text) {
                Some(from) => from,
                // As the sandbox answers a link it cannot read (mesh-api 6.3).
                None => return Ok(answers::framework(500, &json!({ "message": "An internal error occurred" }))),
            },
        };
        let filter_text = query(self.query, "workflow_filter");
        let filter = match filter_text.as_deref().map(Filter::read) {
            None => None,
            Some(Some(filter)) => Some(filter),
            Some(None) => return Ok(answers::out_of_range("query", "workflow_filter", "2 to 255 characters")),
        };
        let listed = self.mailbox.list(from, page, filter.as_ref());

        let me = format!("/messageexchange/{}/inbox", self.mailbox.id);
        let mut text = String::with_capacity(200 + listed.ids.len() * 36);
        text.push_str("{\"messages\":[");
        for (index, id) in listed.ids.iter().enumerate() {
            text.push_str(if index == 0 { "\"" } else { ",\"" });
            // An id of this simulator needs no escape: `offer_as` refuses others.
            text.push_str(id);
            text.push('"');
        }
        text.push_str("],\"links\":{\"self\":\"");
        text.push_str(&me);
        if let Some(next) = listed.next {
            text.push_str(&format!("\",\"next\":\"{me}?continue_from={}&max_results={page}", anchor(next)));
            if let Some(filter) = &filter_text {
                text.push_str("&workflow_filter=");
                text.push_str(&encode(filter));
            }
        }
        text.push_str(&format!("\"}},\"approx_inbox_count\":{}}}", listed.waiting));
        self.shared
            .record(|| Event::Listed {
                mailbox: self.mailbox.id.clone(),
                ids: listed.ids.iter().map(|id| id.to_string()).collect(),
            })
            .await?;
        Ok(answers::json_text(text))
    }

    fn head(&self) -> Response<Body> {
        match self.mailbox.find(&self.route.message, Serving::HeadersOrLaterChunk) {
            Found::Waiting(mail) => self.chunk(&mail, 1),
            Found::Acknowledged | Found::Gone => answers::gone(&self.route.message),
            Found::Unknown => answers::unknown_message(),
        }
    }

    /// mesh-api 6.4.
    async fn fetch(&self) -> Result<Response<Body>, SimulatorError> {
        let Some(number) = self.route.chunk_number() else {
            return Ok(answers::out_of_range("path", "chunk_number", "an integer of 1 or more"));
        };
        let serving = if number == 1 { Serving::Body } else { Serving::HeadersOrLaterChunk };
        let mail = match self.mailbox.find(&self.route.message, serving) {
            Found::Waiting(mail) => mail,
            Found::Acknowledged | Found::Gone => return Ok(answers::gone(&self.route.message)),
            Found::Unknown => return Ok(self.not_ours()),
        };
        let response = self.chunk(&mail, number);
        if response.status().is_success() {
            self.shared
                .record(|| Event::BodyServed {
                    mailbox: self.mailbox.id.clone(),
                    id: self.route.message.to_string(),
                    chunk: number.min(mail.payload.chunks()),
                    bytes: response.body().length(),
                })
                .await?;
        }
        Ok(response)
    }

    /// mesh-api 6.5.
    async fn acknowledge(&self) -> Result<Response<Body>, SimulatorError> {
        let id = &*self.route.message;
        match self.mailbox.acknowledge(id, self.shared.clock.monotonic()) {
            Acknowledge::Done => {
                let mailbox = &self.mailbox.id;
                self.shared.record(|| Event::Acknowledged { mailbox: mailbox.clone(), id: id.to_owned() }).await?;
                // Only now: who waits for the last acknowledge also finds it in the ledger.
                self.shared.waiting.fetch_sub(1, Ordering::AcqRel);
                Ok(answers::empty())
            }
            Acknowledge::Repeated => Ok(answers::empty()),
            Acknowledge::Unknown => Ok(self.not_ours()),
        }
    }

    /// Unknown to this mailbox: 403 if it is another's or still on its way, else 404.
    fn not_ours(&self) -> Response<Body> {
        let id = &*self.route.message;
        if self.shared.uploads.is_for(id, &self.mailbox.id) {
            return answers::gone(id);
        }
        if self.shared.mailboxes.values().any(|mailbox| mailbox.is_known(id)) {
            return answers::forbidden();
        }
        answers::unknown_message()
    }

    /// Headers and body of one chunk.
    fn chunk(&self, mail: &Mail, number: u64) -> Response<Body> {
        let total = mail.payload.chunks();
        let gzip_offered = self.headers.get(ACCEPT_ENCODING).is_some_and(|value| {
            value.to_str().is_ok_and(|text| text.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case("gzip")))
        });
        let index = number - 1;
        let (content, is_gzip) = match &mail.payload {
            // A report has one empty answer and no chunk (mesh-api 5.2).
            Payload::Nothing if number == 1 => (Content::Whole("".into()), false),
            Payload::Nothing => return answers::unknown_message(),
            Payload::Fixed(parts) => {
                let Some(part) = usize::try_from(index).ok().and_then(|index| parts.get(index)) else {
                    return answers::unknown_message();
                };
                match part.served(gzip_offered, self.shared.transcode) {
                    Some((bytes, is_gzip)) => (Content::Whole(bytes), is_gzip),
                    None => return answers::framework(500, &json!({ "message": "An internal error occurred" })),
                }
            }
            Payload::Generated { pattern, chunk_bytes } => {
                if number > total {
                    return answers::unknown_message();
                }
                let (at, end) = (index * chunk_bytes, (number * chunk_bytes).min(pattern.length));
                (small_in_one_piece(Content::Generated { pattern: *pattern, at, end }), false)
            }
        };
        let mut response = Response::new(Body::new(content));
        if number < total {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        let id = &*self.route.message;
        *response.headers_mut() = mail.headers.clone();
        let map = response.headers_mut();
        // Checked ids and numbers are always valid header values.
        let text = |value: Result<HeaderValue, _>| value.unwrap_or(HeaderValue::from_static(""));
        map.insert(headers::MESSAGE_ID, text(HeaderValue::from_str(id)));
        let range = if total == 1 { HeaderValue::from_static("1:1") } else { text(range(number, total)) };
        map.entry(headers::CHUNK_RANGE).or_insert(range);
        map.entry(headers::TO).or_insert_with(|| self.mailbox.to.clone());
        map.entry(headers::FILE_NAME).or_insert_with(|| text(HeaderValue::from_str(&format!("{id}.dat"))));
        map.insert(headers::STATUS_TIMESTAMP, self.shared.status_timestamp.clone());
        if is_gzip {
            map.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            map.insert(headers::CONTENT_COMPRESSED, HeaderValue::from_static("Y"));
        }
        response
    }
}

fn range(number: u64, total: u64) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    // A report's range is `1:0`.
    HeaderValue::try_from(format!("{number}:{total}"))
}

/// One write instead of several, where it costs no memory to speak of.
fn small_in_one_piece(content: Content) -> Content {
    match content {
        Content::Generated { pattern, at, end } if end - at <= 64 * 1024 => Content::Whole(pattern.bytes(at, end)),
        Content::Generated { .. } | Content::Whole(_) => content,
    }
}

/// `continue_from` for the page that starts at a place: opaque to clients, and long enough (mesh-api 6.3).
fn anchor(place: u64) -> String {
    format!("anchor-{:024x}", place)
}

fn read_anchor(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("anchor-")?, 16).ok()
}
