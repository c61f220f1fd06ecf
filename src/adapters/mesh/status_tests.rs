use http::HeaderValue;

use super::*;

/// All but the ping, of which any answer will do.
const CALLS: [Call; 5] = [Call::Handshake, Call::List, Call::Head, Call::Fetch, Call::Acknowledge];

fn mesh() -> Name {
    Name::new("mesh").expect("a name")
}

fn of(call: Call, status: u16) -> Option<(FaultCode, Class, bool)> {
    let status = StatusCode::from_u16(status).expect("a status");
    if call.is_done(status) {
        return None;
    }
    let fault = fault(call, status, &Problem::default(), &mesh());
    Some((fault.code, fault.class, fault.origin == Origin::Message))
}

/// Every row of mesh-api 9.4 that a receiver can meet, on every call.
#[test]
fn each_status_means_what_the_table_says() {
    use FaultCode::{MeshAuth, MeshProtocol, MeshRequest, MeshUnavailable, MsgGone};
    let mesh = |code| [Some((code, Class::Transient, false)); 5];
    let by_message = |code, class, of_mesh: FaultCode| {
        let (mesh, message) = (Some((of_mesh, Class::Transient, false)), Some((code, class, true)));
        [mesh, mesh, message, message, mesh]
    };
    let done_or =
        |done: [bool; 5]| done.map(|done| if done { None } else { Some((MeshProtocol, Class::Transient, false)) });
    let gone = |class| {
        let mut gone = by_message(MsgGone, class, MeshProtocol);
        gone[4] = None;
        gone
    };
    for (statuses, expected) in [
        (vec![200], done_or([true; 5])),
        (vec![206], done_or([false, false, false, true, false])),
        (vec![201, 202, 204, 226, 100, 300, 301, 302, 303, 304, 307, 308, 999], done_or([false; 5])),
        (vec![400, 405, 406, 413, 417, 418, 422, 423, 451], by_message(MeshRequest, Class::Permanent, MeshRequest)),
        (vec![401, 403], mesh(MeshAuth)),
        (vec![404], gone(Class::Transient)),
        (vec![410], gone(Class::Permanent)),
        (vec![407, 408, 425, 429, 502, 503, 504], mesh(MeshUnavailable)),
        (vec![500, 501, 505, 599], by_message(MeshUnavailable, Class::Transient, MeshUnavailable)),
    ] {
        for status in statuses {
            assert_eq!(CALLS.map(|call| of(call, status)), expected, "{status}");
        }
    }
}

/// A send has two ways to fail: the world did it, or the message.
#[test]
fn each_status_on_a_send_means_what_the_table_says() {
    use FaultCode::{MeshAuth, MeshProtocol, MeshUnavailable, SendRefused};
    let mesh = |code| Some((code, Class::Transient, false));
    for (statuses, expected) in [
        (vec![200, 202], None),
        (vec![100, 201, 204, 301, 999], mesh(MeshProtocol)),
        (vec![401, 403], mesh(MeshAuth)),
        (vec![407, 408, 425, 429, 500, 502, 503, 504], mesh(MeshUnavailable)),
        (vec![400, 404, 405, 406, 410, 413, 417, 422, 423], Some((SendRefused, Class::Permanent, true))),
    ] {
        for status in statuses {
            assert_eq!([Call::Send, Call::SendChunk].map(|call| of(call, status)), [expected; 2], "{status}");
        }
    }
    assert_eq!([200, 300, 404].map(|status| of(Call::Track, status)), [None; 3], "nothing, and several, are answers");
}

/// Every code of mesh-api 9.2: whatever code comes, the status decides, and the code is told.
#[test]
fn each_published_code_is_told_and_changes_nothing() {
    for code in [
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
        "01",
        "99",
    ] {
        let body = serde_json::json!({ "detail": [{ "event": "SEND", "code": code, "msg": "" }] }).to_string();
        let problem = Problem::of(body.as_bytes());
        let fault = fault(Call::Fetch, StatusCode::GONE, &problem, &mesh());
        assert_eq!(fault.code, FaultCode::MsgGone);
        assert_eq!(fault.detail, format!("fetch got 410: {code}, SEND"));
    }
}

#[test]
fn an_unreadable_body_does_not_hide_the_status() {
    let problem = Problem::of(b"<soap:Envelope><soap:Fault>boom</soap:Fault></soap:Envelope>");
    let fault = fault(Call::List, StatusCode::INTERNAL_SERVER_ERROR, &problem, &mesh());
    assert_eq!(fault.to_string(), "MESH-UNAVAILABLE: list got 500");
}

fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a value");
    pairs.iter().map(|(name, text)| (name.clone(), value(text))).collect()
}

/// 2026-11-22T06:49:37Z, a Sunday.
const NOW: Timestamp = Timestamp(1_795_330_177_000);

#[test]
fn retry_after_is_read_in_every_form_or_not_at_all() {
    const DAY: u64 = 86_400;
    for (text, seconds) in [
        ("7", Some(7)),
        (" 7 ", Some(7)),
        ("0", Some(0)),
        ("1000000000", Some(DAY)),
        ("99999999999999999999999999", Some(DAY)),
        ("Sun, 22 Nov 2026 06:50:37 GMT", Some(60)),
        ("Sunday, 22-Nov-26 06:50:37 GMT", Some(60)),
        ("Sun Nov 22 06:50:37 2026", Some(60)),
        ("Sun, 22 Nov 2026 06:48:37 GMT", Some(0)),
        ("Sat, 22 Nov 2036 06:48:37 GMT", Some(DAY)),
        ("Sun, 22 Nov 2026 06:50:37 UTC", None),
        ("Mon, 22 Nov 2026 06:50:37 GMT", None),
        ("-1", None),
        ("+7", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u{e9}", None),
    ] {
        let wait = retry_after(&headers(&[(header::RETRY_AFTER, text)]), NOW);
        assert_eq!(wait, seconds.map(Duration::from_secs), "{text}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), NOW), None);
}

#[test]
fn a_retry_date_is_counted_from_the_far_sides_own_clock() {
    let answer = headers(&[
        (header::DATE, "Sun, 22 Nov 2026 04:00:00 GMT"),
        (header::RETRY_AFTER, "Sun, 22 Nov 2026 04:00:05 GMT"),
    ]);
    assert_eq!(retry_after(&answer, NOW), Some(Duration::from_secs(5)));
}

#[test]
fn a_clock_that_is_off_is_told_by_how_much() {
    for (theirs, words) in [
        ("Sun, 22 Nov 2026 06:49:37 GMT", None),
        ("Sun, 22 Nov 2026 06:45:00 GMT", None),
        ("Sun, 22 Nov 2026 03:49:37 GMT", Some("our clock is 10800 s ahead of MESH's")),
        ("Sun, 22 Nov 2026 09:49:37 GMT", Some("our clock is 10800 s behind MESH's")),
        ("yesterday", None),
    ] {
        assert_eq!(skew(&headers(&[(header::DATE, theirs)]), NOW).as_deref(), words, "{theirs}");
    }
}
