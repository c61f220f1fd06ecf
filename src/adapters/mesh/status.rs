//! What an answer that is no success means (mesh-api 6.4, 6.5, 9.4), as a [`Fault`]. Pure, and the only place that
//! reads a status code.
//!
//! | Answer | handshake, list, acknowledge | head, fetch |
//! |---|---|---|
//! | 3xx, 1xx, an undocumented 2xx | MESH-PROTOCOL | MESH-PROTOCOL |
//! | 401, 403 | MESH-AUTH | MESH-AUTH |
//! | 404 | MESH-PROTOCOL; on acknowledge: done | MSG-GONE, for now: another reader may have it (9.4) |
//! | 410 | MESH-PROTOCOL; on acknowledge: done | MSG-GONE, for good |
//! | 407, 408, 425, 429, 502, 503, 504 | MESH-UNAVAILABLE | MESH-UNAVAILABLE |
//! | 500 and the other 5xx | MESH-UNAVAILABLE | MESH-UNAVAILABLE of this message |
//! | 400 and the other 4xx | MESH-REQUEST | MESH-REQUEST of this message |
//!
//! On send and send chunk any 4xx but 401, 403, 407, 408, 425 and 429 is SEND-REFUSED of that message, for good.
//!
//! A 500 on one message does not say that MESH is down: NHS's own code gives it for a single broken message (mesh-api 8).
//! So it counts against that message, transiently, and the rest of the mailbox goes on (I6). In an outage the next list
//! fails as well and stops the mailbox, and what was not fetched whole never becomes a dead letter (I5).

use std::time::Duration;

use chrono::NaiveDateTime;
use http::{HeaderMap, StatusCode, header};

use super::wire::Problem;
use crate::domain::fault::{Class, Fault, FaultCode, Origin};
use crate::domain::ids::Name;
use crate::domain::time::Timestamp;

/// What was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Ping,
    Handshake,
    List,
    Head,
    Fetch,
    Acknowledge,
    Send,
    SendChunk,
    Track,
    LookUp,
}

impl Call {
    /// The word for faults and logs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Handshake => "handshake",
            Self::List => "list",
            Self::Head => "head",
            Self::Fetch => "fetch",
            Self::Acknowledge => "acknowledge",
            Self::Send => "send",
            Self::SendChunk => "send chunk",
            Self::Track => "track",
            Self::LookUp => "look up",
        }
    }

    /// Is it about one message, so that a failure may be that message's?
    pub(super) fn is_of_message(self) -> bool {
        match self {
            Self::Head | Self::Fetch => true,
            Self::Ping
            | Self::Handshake
            | Self::List
            | Self::Acknowledge
            | Self::Send
            | Self::SendChunk
            | Self::Track
            | Self::LookUp => false,
        }
    }

    /// Does this status mean that the call did what it is for?
    pub(super) fn is_done(self, status: StatusCode) -> bool {
        match self {
            // Whatever the answer, it is a sign of life.
            Self::Ping => true,
            Self::Handshake | Self::List | Self::Head | Self::LookUp => status == StatusCode::OK,
            Self::Fetch => status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT,
            Self::Send | Self::SendChunk => status == StatusCode::ACCEPTED || status == StatusCode::OK,
            // Nothing, and several, are answers.
            Self::Track => [StatusCode::OK, StatusCode::MULTIPLE_CHOICES, StatusCode::NOT_FOUND].contains(&status),
            // Gone is as good as acknowledged to us: we keep the message (mesh-api 6.5).
            Self::Acknowledge => {
                status == StatusCode::OK || status == StatusCode::NOT_FOUND || status == StatusCode::GONE
            }
        }
    }
}

/// The fault of an answer for which [`Call::is_done`] is false.
pub(super) fn fault(call: Call, status: StatusCode, problem: &Problem, dependency: &Name) -> Fault {
    let detail = format!("{} got {}{problem}", call.as_str(), status.as_u16());
    let of_mesh = |code| Fault::dependency(code, dependency.clone(), detail.clone());
    let of_message = |code, class| Fault::new(code, class, Origin::Message, detail.clone());
    if let Call::Send | Call::SendChunk = call {
        return match status.as_u16() {
            401 | 403 => of_mesh(FaultCode::MeshAuth),
            407 | 408 | 425 | 429 | 500..=599 => of_mesh(FaultCode::MeshUnavailable),
            400..=499 => of_message(FaultCode::SendRefused, Class::Permanent),
            _ => of_mesh(FaultCode::MeshProtocol),
        };
    }
    match (status.as_u16(), call.is_of_message()) {
        (401 | 403, _) => of_mesh(FaultCode::MeshAuth),
        (404, true) => of_message(FaultCode::MsgGone, Class::Transient),
        (410, true) => of_message(FaultCode::MsgGone, Class::Permanent),
        (404 | 410, false) => of_mesh(FaultCode::MeshProtocol),
        (407 | 408 | 425 | 429 | 502..=504, _) => of_mesh(FaultCode::MeshUnavailable),
        (500..=599, true) => of_message(FaultCode::MeshUnavailable, Class::Transient),
        (500..=599, false) => of_mesh(FaultCode::MeshUnavailable),
        (400..=499, true) => of_message(FaultCode::MeshRequest, Class::Permanent),
        (400..=499, false) => of_mesh(FaultCode::MeshRequest),
        (_, _) => of_mesh(FaultCode::MeshProtocol),
    }
}

/// No wait that MESH asks for is taken to be longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// `Retry-After`: seconds, or a date, which is counted from the answer's own `Date` if it has one, so that a wrong clock
/// here does not matter. Unreadable and negative values ask for nothing; huge ones are cut to a day.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse::<u64>().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let then = http_date(text)?;
    Some(then.since(date(headers).unwrap_or(now)).min(LONGEST_WAIT))
}

/// The answer's `Date`.
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(header::DATE)?.to_str().ok()?.trim())
}

/// How far our clock may be from MESH's before a refusal mentions it: the window is 2 hours (mesh-api 4.4), but minutes
/// are worth a look already.
const SKEW_WORTH_SAYING: Duration = Duration::from_secs(5 * 60);

/// Says how wrong our clock is by MESH's, if it is (mesh-api 4.4).
pub(super) fn skew(headers: &HeaderMap, now: Timestamp) -> Option<String> {
    let theirs = date(headers)?;
    let (apart, word) = if now > theirs { (now.since(theirs), "ahead of") } else { (theirs.since(now), "behind") };
    (apart >= SKEW_WORTH_SAYING).then(|| format!("our clock is {} s {word} MESH's", apart.as_secs()))
}

/// The three forms of RFC 9110, 5.6.7.
fn http_date(text: &str) -> Option<Timestamp> {
    const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let parsed = FORMS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(Timestamp(parsed.and_utc().timestamp_millis()))
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
