//! What a call that got no answer, or no whole one, means, as a [`Fault`]. Pure.
//!
//! Almost everything is MESH-UNREACHABLE: the world is away, and it costs the message nothing (I5). Two are not:
//! - An answer to `head` or `fetch` that HTTP itself cannot read is MSG-BAD-HEADERS of that message, transiently: MESH
//!   puts what a sender wrote into headers, and one such message must not stop its mailbox (I6).
//! - A body that ends in order before its stated length is MSG-BAD-LENGTH of that message, transiently. It may be a
//!   gateway that restarted, and then the next call says so; it may be a message whose length is wrong at MESH, and then
//!   only that message waits. Not every byte arrived, so it never becomes a dead letter.
//!
//! A body longer than stated cannot be seen as such: what is beyond belongs to no answer, and the connection is closed
//! before it could be taken for one.

use std::error::Error;
use std::io;

use super::status::Call;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::Name;

/// The fault of a request that reqwest gave up on. Its own text is not used, since it repeats the URL.
pub(super) fn fault(call: Call, error: &reqwest::Error, dependency: &Name) -> Fault {
    let failure = Failure::of(error);
    let detail = format!("{}: {}", call.as_str(), failure.words);
    let of_message = |code| Fault::new(code, Class::Transient, Origin::Message, detail.clone());
    match (failure.kind, call.is_of_message()) {
        (Kind::Unreadable, true) => of_message(FaultCode::MsgBadHeaders),
        (Kind::Unreadable, false) => Fault::dependency(FaultCode::MeshProtocol, dependency.clone(), detail),
        (Kind::CutShort, true) if is_within_body(error) => of_message(FaultCode::MsgBadLength),
        (Kind::CutShort | Kind::Away, _) => Fault::dependency(FaultCode::MeshUnreachable, dependency.clone(), detail),
    }
}

/// The fault of a call that took longer than it may.
pub(super) fn too_slow(call: Call, dependency: &Name, limit: &str) -> Fault {
    let detail = format!("{}: no answer within {limit}", call.as_str());
    Fault::dependency(FaultCode::MeshUnreachable, dependency.clone(), detail)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// No connection, or one that broke.
    Away,
    /// The connection ended in order, but early.
    CutShort,
    /// An answer that is not HTTP.
    Unreadable,
}

/// Under TLS 1.3 a refused client certificate looks just so: the server has ended the handshake on its side, and the
/// close or the reset of the connection can overtake its alert (mesh-api 14.5).
const NO_ANSWER: &str =
    "the connection was closed before an answer, as happens if our client certificate is not accepted";

struct Failure {
    kind: Kind,
    words: String,
}

impl Failure {
    fn of(error: &reqwest::Error) -> Self {
        let away = |words: String| Self { kind: Kind::Away, words };
        if error.is_timeout() {
            return away(if error.is_connect() { "no connection in time" } else { "no byte in time" }.into());
        }
        let mut innermost = String::new();
        let mut next: Option<&(dyn Error + 'static)> = error.source();
        while let Some(cause) = next {
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return away(tls_words(tls));
            }
            if let Some(http) = cause.downcast_ref::<hyper::Error>() {
                if http.is_parse() {
                    return Self { kind: Kind::Unreadable, words: format!("the answer is not HTTP: {http}") };
                }
                if http.is_incomplete_message() || http.is_canceled() || http.is_closed() {
                    return Self::cut_short(error);
                }
            }
            innermost = cause.to_string();
            // An `io::Error` hides the error it wraps: its `source` is already that error's source.
            let io_error = cause.downcast_ref::<io::Error>();
            match io_error.map(io::Error::kind) {
                Some(io::ErrorKind::UnexpectedEof) => return Self::cut_short(error),
                // While connecting and within a body the error's own words say more.
                Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted)
                    if !error.is_connect() && !is_within_body(error) =>
                {
                    return away(NO_ANSWER.into());
                }
                Some(_) | None => (),
            }
            next = match io_error.and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => cause.source(),
            };
        }
        let place = if error.is_connect() { "no connection" } else { "the connection broke" };
        away(if innermost.is_empty() { place.into() } else { format!("{place}: {innermost}") })
    }

    fn cut_short(error: &reqwest::Error) -> Self {
        let words = if is_within_body(error) { "the body ended before its stated length" } else { NO_ANSWER };
        Self { kind: Kind::CutShort, words: words.into() }
    }
}

fn is_within_body(error: &reqwest::Error) -> bool {
    error.is_body() || error.is_decode()
}

/// What TLS failed on, in an operator's words (mesh-api 2).
#[expect(clippy::wildcard_enum_match_arm, reason = "rustls's enums grow, and each of their variants can print itself")]
fn tls_words(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error {
        rustls::Error::InvalidCertificate(certificate) => {
            let problem = match certificate {
                Certificate::Expired | Certificate::ExpiredContext { .. } => "it has expired",
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "it is not valid yet",
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    "it is for another host name"
                }
                // A bad signature is an issuer of the same name with another key.
                Certificate::UnknownIssuer | Certificate::BadSignature => "no anchor of the CA bundle issued it",
                Certificate::Revoked => "it is revoked",
                other => return format!("TLS: MESH's certificate is refused: {other}"),
            };
            format!("TLS: MESH's certificate is refused: {problem}")
        }
        rustls::Error::AlertReceived(alert) => {
            format!("TLS: MESH closed the connection with alert {alert:?}; it may not accept our client certificate")
        }
        other => format!("TLS: {other}"),
    }
}
