//! Every status of mesh-api 9.4 on every call of a receiver, with every body of 9.1 and every code of 9.2.

use std::time::Duration;

use bytes::Bytes;
use meshd::domain::fault::FaultCode;
use meshd::simulator::State;
use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Reply, Rule};
use meshd::simulator::house::Plan;
use meshd::simulator::mail::{Kind, sample};

use crate::estate::{BAD, CANARY, Case, End, Estate, Log, check_discreet, chunked, plain};
use crate::house::House;

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

/// What it makes of one on a call about the mailbox, or on an acknowledge.
fn by_status_of_mesh(status: u16) -> FaultCode {
    match status {
        401 | 403 => FaultCode::MeshAuth,
        404 | 410 => FaultCode::MeshProtocol,
        407 | 408 | 425 | 429 | 500..=599 => FaultCode::MeshUnavailable,
        400..=499 => FaultCode::MeshRequest,
        _ => FaultCode::MeshProtocol,
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
        let end = End::DeliveredThough(by_status_of_mesh(status));
        Case::of(format!("list {status}"), plain(), end).with(Call::List, None, 1, Fault::status(status))
    });
    let acknowledges = STATUSES.into_iter().map(|status| {
        let end = match status {
            // Gone is as good as acknowledged to us.
            404 | 410 => End::Delivered,
            _ => End::DeliveredThough(by_status_of_mesh(status)),
        };
        let case = Case::of(format!("acknowledge {status}"), plain(), end);
        // For ever: a message that cannot be acknowledged is delivered once, and stands before no other.
        case.with(Call::Acknowledge, None, u64::MAX, Fault::status(status))
    });
    Estate::prove(lists.chain(acknowledges).collect());
}

/// A HEAD is asked only while there is no room for data: it tells whether a message is a report, for which there is.
#[test]
fn each_status_on_a_head_leaves_that_message_for_later_and_stands_before_no_report() {
    const FIRST: &str = "FIRST";
    const REPORT: &str = "REPORT";
    let mailboxes: Vec<String> = STATUSES.iter().map(|status| format!("X26H{status}")).collect();
    let plan = Plan {
        mailboxes: mailboxes.clone(),
        mesh: "patience = \"3s\"",
        mailbox: "limits = { messages = 1, bytes = \"1MB\" }",
        ..Plan::default()
    };
    let house = House::build(plan);
    let report = sample(Kind::Report, 1).expect("a sound report");
    for (status, mailbox) in STATUSES.into_iter().zip(&mailboxes) {
        for (id, mail) in [(FIRST, &plain()), (BAD, &plain()), (REPORT, &report)] {
            house.offer_as(mailbox, id, mail);
        }
        // What is the message's own is so for ever; what is MESH's passes. A 403 is asked again once (mesh-api 4.4).
        let times = match status {
            403 => 2,
            _ if is_of_message(status) => u64::MAX,
            _ => 1,
        };
        house.fault(Rule {
            mailbox: Some(mailbox.clone()),
            message: Some(BAD.to_owned()),
            times,
            ..Rule::always(Call::Head, Fault::status(status))
        });
    }
    // Without its output the first message stays queued, and the mailbox is full.
    house.set_up_without_output();
    let daemon = house.start();
    let limit = Duration::from_secs(110);
    let is_taken = |mailbox: &str, id: &str| {
        let known = house.simulator().messages(mailbox).expect("it is served");
        known.iter().any(|known| known.id.to_string() == id && known.state == State::Acknowledged)
    };
    let are_reports_in = || mailboxes.iter().all(|mailbox| is_taken(mailbox, REPORT));
    daemon.wait_for("the reports behind", limit, are_reports_in);
    for (status, mailbox) in STATUSES.into_iter().zip(&mailboxes) {
        assert!(is_taken(mailbox, FIRST) && !is_taken(mailbox, BAD), "HEAD {status}");
        let waited = Log::of(&daemon.log()).waited;
        let told = (mailbox.clone(), by_status_of_mesh(status).to_string());
        assert_eq!(waited.contains(&told), !is_of_message(status), "HEAD {status}: {waited:?}");
    }

    house.meshd(&["output", "init"]).expect_done();
    let is_out = |mailbox: &String| {
        let published = house.published_of(mailbox);
        [FIRST, BAD, REPORT].iter().all(|id| published.contains_key(*id))
    };
    daemon.wait_for("all of it", limit, || mailboxes.iter().all(is_out));
    let log = daemon.log();
    daemon.stop_in_order();
    check_discreet(&house, &log);
}

/// Whether a status on a call about a message is that message's own, so that the rest of the mailbox goes on.
fn is_of_message(status: u16) -> bool {
    match by_status(status) {
        End::Refused(_) | End::LetGo => true,
        End::Waits(_) | End::Delivered | End::DeliveredThough(_) | End::Dead(_) => false,
    }
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
