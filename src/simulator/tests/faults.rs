use std::time::Instant;

use super::*;
use crate::simulator::calls::Call;
use crate::simulator::faults::{Chance, Fault, Rule};

const MINUTE: Duration = Duration::from_secs(60);

/// One message, and one fault on its next fetch.
async fn struck(fault: Fault) -> (Bench, Option<Got>) {
    let bench = bench().await;
    let id = bench.offer(&hello("WF")).await;
    bench.simulator.script(Rule::once(Call::Fetch, fault));
    let got = bench.call("GET", &format!("/messageexchange/{MAILBOX}/inbox/{id}"), &[], b"").await;
    assert_eq!(bench.simulator.statistics().faults, 1);
    let sound = bench.fetch(&id).await;
    assert_eq!((sound.status, sound.body.as_slice()), (200, &b"hello mesh"[..]), "only the first is struck");
    (bench, got)
}

#[tokio::test]
async fn statuses_come_with_their_headers_and_bodies() {
    let (_, got) = struck(Fault::status(503)).await;
    assert_eq!(got.map(|got| got.status), Some(503));
    let (_, got) = struck(Fault::retry_after(429, "7")).await;
    let got = got.expect("an answer");
    assert_eq!((got.status, got.header("retry-after")), (429, "7"));
    let (_, got) = struck(Fault::xml()).await;
    let got = got.expect("an answer");
    assert!(got.status == 500 && got.body.starts_with(b"<?xml"));
    let (_, got) = struck(Fault::garbage()).await;
    let got = got.expect("an answer");
    assert!(got.status == 200 && serde_json::from_slice::<serde_json::Value>(&got.body).is_err());
    let (_, got) = struck(Fault::redirect("https://elsewhere.example/")).await;
    let got = got.expect("an answer");
    assert_eq!((got.status, got.header("location")), (307, "https://elsewhere.example/"));
    let (_, got) = struck(Fault::missing_chunk()).await;
    assert_eq!(got.map(|got| got.status), Some(404));
}

#[tokio::test]
async fn a_refused_connection_has_no_answer_and_no_effect() {
    let bench = bench().await;
    let id = bench.offer(&hello("WF")).await;
    bench.simulator.script(Rule::once(Call::Acknowledge, Fault::Refuse));
    assert!(bench.acknowledge(&id).await.is_none());
    assert_eq!(bench.simulator.waiting(), 1);
}

#[tokio::test]
async fn a_lost_reply_has_no_answer_but_its_effect() {
    let bench = bench().await;
    let id = bench.offer(&hello("WF")).await;
    bench.simulator.script(Rule::once(Call::Acknowledge, Fault::LoseReply));
    assert!(bench.acknowledge(&id).await.is_none());
    assert_eq!(bench.simulator.waiting(), 0);
    assert_eq!(bench.acknowledge(&id).await.map(|got| got.status), Some(200));
}

#[tokio::test]
async fn a_cut_body_ends_after_the_bytes_asked_for() {
    for after in [0, 1, 9] {
        let (_, got) = struck(Fault::Cut { after }).await;
        let got = got.expect("headers came");
        assert_eq!((got.is_whole, got.body.len() as u64), (false, after));
    }
}

#[tokio::test]
async fn a_cut_on_the_wire_can_fall_into_the_headers() {
    for after in [0, 1, 40] {
        let (_, got) = struck(Fault::CutWire { after }).await;
        assert!(got.is_none(), "{after} bytes are no whole answer");
    }
}

#[tokio::test]
async fn an_answer_can_be_closed_in_order_anywhere() {
    for after in [0, 1, 40] {
        let (_, got) = struck(Fault::CloseWire { after }).await;
        assert!(got.is_none(), "{after} bytes are no whole answer");
    }
}

#[tokio::test]
async fn one_bit_of_an_answer_can_be_wrong() {
    let (_, got) = struck(Fault::CorruptWire { at: 0 }).await;
    assert!(got.is_none(), "no HTTP");
    // `HTTP/1.1 200 OK`: the last digit of the status.
    let (_, got) = struck(Fault::CorruptWire { at: 11 }).await;
    assert_eq!(got.map(|got| got.status), Some(201));
}

#[tokio::test]
async fn a_trickling_answer_is_slow_from_its_first_byte() {
    let start = Instant::now();
    let (_, got) = struck(Fault::Trickle { piece: 100, every: Duration::from_millis(20) }).await;
    assert_eq!(got.map(|got| (got.is_whole, got.body)), Some((true, b"hello mesh".to_vec())));
    assert!(start.elapsed() >= Duration::from_millis(100), "its headers alone are some hundred bytes");
}

#[tokio::test]
async fn an_answer_can_come_twice_on_one_connection() {
    let (bench, got) = struck(Fault::Twice).await;
    assert_eq!(got.map(|got| (got.is_whole, got.body)), Some((true, b"hello mesh".to_vec())));
    assert_eq!(bench.simulator.statistics().connections, 2, "a client throws such a connection away");
}

#[tokio::test]
async fn a_stalled_body_stops_and_a_dripping_one_goes_on() {
    let (_, got) = struck(Fault::Stall { after: 4, lasting: Duration::from_millis(300) }).await;
    assert_eq!(got.map(|got| (got.is_whole, got.body.len())), Some((true, 10)));
    let start = Instant::now();
    let (_, got) = struck(Fault::Drip { piece: 3, every: Duration::from_millis(50) }).await;
    assert_eq!(got.map(|got| (got.is_whole, got.body.len())), Some((true, 10)));
    assert!(start.elapsed() >= Duration::from_millis(200), "four pieces");
    let (_, got) = struck(Fault::Delay(Duration::from_millis(50))).await;
    assert_eq!(got.map(|got| got.status), Some(200));
}

#[tokio::test]
async fn a_stalled_body_does_not_hold_up_the_shutdown() {
    let bench = bench().await;
    let id = bench.offer(&hello("WF")).await;
    bench.simulator.script(Rule::once(Call::Fetch, Fault::Stall { after: 4, lasting: MINUTE }));
    let path = format!("/messageexchange/{MAILBOX}/inbox/{id}");
    let (got, ended) = tokio::join!(bench.call("GET", &path, &[], b""), async {
        bench.simulator.wait_until(LIMIT, |far| far.statistics().faults == 1).await.expect("the request came");
        bench.simulator.shutdown().await
    });
    assert!(ended.is_ok() && got.is_none_or(|got| !got.is_whole));
}

#[tokio::test]
async fn a_false_length_is_found_out_or_cuts_the_body() {
    let (_, got) = struck(Fault::ContentLength(5)).await;
    let got = got.expect("headers came");
    assert_eq!((got.header("content-length"), got.is_whole), ("15", false));
    let (_, got) = struck(Fault::ContentLength(-4)).await;
    let got = got.expect("an answer");
    assert_eq!((got.header("content-length"), got.body.as_slice()), ("6", &b"hello "[..]));
}

#[tokio::test]
async fn headers_can_be_hostile() {
    let (_, got) = struck(Fault::chunk_range("3:2")).await;
    assert_eq!(got.expect("an answer").header("mex-chunk-range"), "3:2");
    let hostile = vec![
        ("mex-filename".to_owned(), b"../../etc/\xff\xfe".to_vec()),
        ("mex-subject".to_owned(), vec![b'x'; 60_000]),
    ];
    let (_, got) = struck(Fault::Headers(hostile)).await;
    let got = got.expect("an answer");
    assert_eq!(got.headers["mex-filename"].as_bytes(), b"../../etc/\xff\xfe");
    assert_eq!(got.headers["mex-subject"].len(), 60_000);
}

#[tokio::test]
async fn bodies_can_be_declared_gzip_and_not_be() {
    for (fault, bytes) in [
        (Fault::not_gzip(), Some(16)),
        (Fault::torn_gzip().expect("gzip"), None),
        (Fault::bomb(1 << 20).expect("gzip"), None),
    ] {
        let (_, got) = struck(fault).await;
        let got = got.expect("an answer");
        assert_eq!((got.header("content-encoding"), got.is_whole), ("gzip", true));
        assert!(bytes.is_none_or(|bytes| got.body.len() == bytes));
        assert!(got.body.len() < 3000, "small on the wire: {}", got.body.len());
    }
}

#[tokio::test]
async fn raw_bytes_replace_the_answer() {
    let raw = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nx: 1\r\n\r\nabcEXTRA";
    let (_, got) = struck(Fault::Raw(raw.into())).await;
    let got = got.expect("an answer");
    assert_eq!((got.header("x"), got.body.as_slice()), ("1", &b"abc"[..]));
    let (_, got) = struck(Fault::Raw("not http at all\r\n\r\n".into())).await;
    assert!(got.is_none());
}

#[tokio::test]
async fn a_storm_ends_when_it_is_healed() {
    let bench = bench().await;
    bench.simulator.storm(Some(Chance { seed: 4, percent: 60 }));
    let mut failed = 0;
    for _ in 0..30 {
        let got = bench.call("GET", "/messageexchange/X26ABC1/inbox", &[], b"").await;
        failed += u32::from(got.is_none_or(|got| got.status != 200 || !got.is_whole));
    }
    assert!((5..30).contains(&failed), "{failed} of 30");
    bench.simulator.heal();
    for _ in 0..10 {
        assert_eq!(bench.get("/messageexchange/X26ABC1/inbox").await.status, 200);
    }
}

#[tokio::test]
async fn a_cut_that_an_answer_was_too_short_for_is_forgotten() {
    let bench = bench().await;
    let id = bench.offer(&hello("WF")).await;
    bench.simulator.script(Rule::once(Call::Fetch, Fault::CutWire { after: 1_000_000 }));
    for _ in 0..3 {
        assert!(bench.fetch(&id).await.is_whole);
    }
    assert_eq!(bench.simulator.statistics().connections, 1);
}

#[tokio::test]
async fn a_rule_can_be_for_one_chunk_of_one_message() {
    let bench = bench().await;
    let mail = crate::simulator::mail::sample(crate::simulator::mail::Kind::ChunkedGzip, 1).expect("a sample");
    let (struck, spared) = (bench.offer(&mail).await, bench.offer(&mail).await);
    let rule = Rule::always(Call::Fetch, Fault::missing_chunk());
    bench.simulator.script(Rule { message: Some(struck.clone()), chunk: Some(2), ..rule });
    for (id, chunk, status) in [(&struck, 1, 206), (&struck, 2, 404), (&spared, 2, 200), (&struck, 2, 404)] {
        let got = bench.get(&format!("/messageexchange/{MAILBOX}/inbox/{id}/{chunk}")).await;
        assert_eq!(got.status, status, "chunk {chunk} of {id}");
    }
}
