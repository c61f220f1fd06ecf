//! Every status of mesh-api 9.4 on every call of a receiver, with every body of 9.1 and every code of 9.2.

use bytes::Bytes;
use meshd::domain::fault::FaultCode;
use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Reply};

use crate::estate::{CANARY, Case, End, Estate, chunked, plain};

/// What the daemon makes of a status on a call about one message.
fn by_status(status: u16) -> End {
    match status {
        401 | 403 => End::Waits(FaultCode::MeshAuth),
        404 => End::LetGo,
        410 => End::Refused(FaultCode::MsgGone),
        407 | 408 | 425 | 429 | 502..=504 => End::Waits(FaultCode::MeshUnavailable),
        500..=599 => End::Refused(FaultCode::MeshUnavailable),
        400..=499 => End::Refused(FaultCode::MeshRequest),
        _ => End::Waits(FaultCode::MeshProtocol),
    }
}

/// Those of mesh-api 9.4, those a gateway gives, and those nobody should give.
const STATUSES: [u16; 27] = [
    201, 202, 204, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408, 410, 413, 417, 422, 423, 425, 429,
    500, 502, 503, 504,
];

fn reply(status: u16, kind: &str, body: impl Into<Bytes>) -> Fault {
    Fault::Reply(Reply { status, headers: vec![("content-type".into(), kind.as_bytes().to_vec())], body: body.into() })
}

#[test]
fn each_status_on_a_download_touches_that_message_alone() {
    let first = STATUSES
        .into_iter()
        .map(|status| Case::fetch(format!("GET {status}"), Fault::status(status), by_status(status)));
    let later = STATUSES.into_iter().map(|status| {
        let end = if status == 404 { End::Refused(FaultCode::MsgBadChunks) } else { by_status(status) };
        Case::of(format!("GET /2 {status}"), chunked(), end).with(Call::Fetch, Some(2), u64::MAX, Fault::status(status))
    });
    Estate::prove(first.chain(later).collect());
}

#[test]
fn each_status_on_a_list_or_an_acknowledge_is_the_worlds_and_passes() {
    let others = || STATUSES.into_iter().filter(|status| ![401, 403].contains(status));
    let lists = others().map(|status| {
        Case::of(format!("list {status}"), plain(), End::Delivered).with(Call::List, None, 1, Fault::status(status))
    });
    let acknowledges = STATUSES.into_iter().map(|status| {
        let case = Case::of(format!("acknowledge {status}"), plain(), End::Delivered);
        // For ever: a message that cannot be acknowledged is delivered once, and stands before no other.
        case.with(Call::Acknowledge, None, u64::MAX, Fault::status(status))
    });
    Estate::prove(lists.chain(acknowledges).collect());
}

/// mesh-api 9.1, and what is none of its shapes.
fn bodies() -> Vec<(&'static str, Bytes)> {
    let canary = CANARY;
    vec![
        ("v2", format!(r#"{{"message_id":"X","detail":[{{"event":"RECEIVE","code":"20","msg":"{canary}"}}]}}"#).into()),
        (
            "v1",
            format!(r#"{{"messageID":"X","errorEvent":"SEND","errorCode":"12","errorDescription":"{canary}"}}"#).into(),
        ),
        (
            "validation",
            format!(
                r#"{{"detail":[{{"type":"missing","loc":["header","{canary}"],"msg":"{canary}","input":"{canary}"}}]}}"#
            )
            .into(),
        ),
        ("string", format!(r#"{{"detail":"{canary}"}}"#).into()),
        ("framework", format!(r#"{{"internal_id":"{canary}","message":"{canary}"}}"#).into()),
        ("XML", format!("<?xml version=\"1.0\"?><Envelope><Body><Fault>{canary}</Fault></Body></Envelope>").into()),
        ("empty", Bytes::new()),
        ("garbage", format!("\u{0}{{{{[[ {canary}").into()),
        ("truncated", format!(r#"{{"detail":[{{"event":"RECEIVE","code":"20","msg":"{canary}"#).into()),
        ("deep", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into()),
        ("17 MiB", vec![b'x'; 17 << 20].into()),
        ("not UTF-8", vec![0xff, 0xfe, 0x80, b'{'].into()),
        ("escapes", Bytes::from_static(b"{\"detail\":[{\"code\":\"\\u001b[31m\",\"msg\":\"\\u001b]0;x\\u0007\"}]}")),
        ("wrong types", Bytes::from_static(br#"{"detail":{"event":[],"code":{},"msg":7},"message":[1]}"#)),
    ]
}

/// mesh-api 9.2.
const CODES: [&str; 27] = [
    "00",
    "02",
    "06",
    "07",
    "08",
    "09",
    "11",
    "12",
    "14",
    "15",
    "16",
    "17",
    "18",
    "19",
    "20",
    "100",
    "EPL-150",
    "EPL-151",
    "EPL-152",
    "EPL-153",
    "EPL-154",
    "InvalidHeaderChunks",
    "UnsupportedContentEncoding",
    "Invalid checksum",
    "Message already accepted",
    "Invalid file format",
    "9990000018 CANARY-SMITH",
];

#[test]
fn no_error_body_hides_its_status_or_shows_a_patient() {
    let refused = bodies().into_iter().map(|(name, body)| {
        Case::fetch(
            format!("GET 417 {name}"),
            reply(417, "application/json", body),
            End::Refused(FaultCode::MeshRequest),
        )
    });
    let waiting = bodies().into_iter().map(|(name, body)| {
        let fault = reply(500, "text/xml", body);
        Case::of(format!("list 500 {name}"), plain(), End::Delivered).with(Call::List, None, 1, fault)
    });
    let codes = CODES.into_iter().map(|code| {
        let body = format!(r#"{{"message_id":"X","detail":[{{"event":"SEND","code":"{code}","msg":"{CANARY}"}}]}}"#);
        Case::fetch(format!("code {code}"), reply(400, "application/json", body), End::Refused(FaultCode::MeshRequest))
    });
    Estate::prove(refused.chain(waiting).chain(codes).collect());
}
