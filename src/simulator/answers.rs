//! Answers and error bodies, in the shapes of mesh-api 9.1 and the texts of 9.2 and 9.3.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use super::body::Body;
use crate::adapters::mesh::headers::ACCEPT_V2;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const V2: HeaderValue = HeaderValue::from_static(ACCEPT_V2);

/// Success without a body: handshake, acknowledge.
pub(super) fn empty() -> Response<Body> {
    Response::new(Body::whole(""))
}

/// Success with a body of version 2.
pub(super) fn json_text(text: String) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    response.headers_mut().insert(CONTENT_TYPE, V2);
    response
}

/// What a send is answered with: plain JSON even in version 2 (mesh-api 15, row 18).
pub(super) fn sent(body: &serde_json::Value) -> Response<Body> {
    typed(StatusCode::ACCEPTED, body)
}

/// The error shape of version 2.
pub(super) fn error(status: u16, event: &str, code: &str, message: &str) -> Response<Body> {
    error_of(None, status, event, code, message)
}

/// The same, naming the message.
pub(super) fn error_of(id: Option<&str>, status: u16, event: &str, code: &str, message: &str) -> Response<Body> {
    let detail = json!([{ "event": event, "code": code, "msg": message }]);
    let body = match id {
        Some(id) => json!({ "message_id": id, "detail": detail }),
        None => json!({ "detail": detail }),
    };
    typed(status_of(status), &body)
}

/// A required header is not there.
pub(super) fn missing_header(name: &str) -> Response<Body> {
    invalid(&json!({ "type": "missing", "loc": ["header", name], "msg": "Field required" }))
}

/// A header is longer than the `limit` characters of mesh-api 10.
pub(super) fn header_too_long(name: &str, limit: usize) -> Response<Body> {
    invalid(&json!({
        "type": "string_too_long",
        "loc": ["header", name],
        "msg": format!("String should have at most {limit} characters"),
        "ctx": { "max_length": limit },
    }))
}

/// A parameter of path or query is out of range.
pub(super) fn out_of_range(place: &str, name: &str, expected: &str) -> Response<Body> {
    invalid(&json!({ "type": "out_of_range", "loc": [place, name], "msg": format!("Input should be {expected}") }))
}

/// The shape without event and code: signs of life, 404 and 405 of the framework, 406, 423 and 500.
pub(super) fn framework(status: u16, body: &serde_json::Value) -> Response<Body> {
    typed(status_of(status), body)
}

/// The message does not exist (mesh-api 9.2, code 20).
pub(super) fn unknown_message() -> Response<Body> {
    error(404, "RECEIVE", "20", "Message does not exist")
}

/// It was acknowledged, has expired, or failed (mesh-api 6.4).
pub(super) fn gone(id: &str) -> Response<Body> {
    error_of(Some(id), 410, "SEND", "Message already accepted", "Message already accepted")
}

/// The message is another mailbox's.
pub(super) fn forbidden() -> Response<Body> {
    error(403, "", "", "Forbidden")
}

fn invalid(problem: &serde_json::Value) -> Response<Body> {
    typed(StatusCode::BAD_REQUEST, &json!({ "detail": [problem] }))
}

fn typed(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::whole(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
