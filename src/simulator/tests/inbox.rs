use super::*;
use crate::simulator::message::Draft;
use crate::simulator::payload::Part;
use crate::simulator::{Known, State};

/// All ids, page by page, and how many were on each page.
async fn pages(bench: &Bench, query: &str) -> (Vec<String>, Vec<usize>) {
    let mut path = format!("/messageexchange/{MAILBOX}/inbox?{query}");
    let (mut ids, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let got = bench.get(&path).await;
        assert_eq!(got.status, 200);
        sizes.push(got.ids().len());
        ids.extend(got.ids());
        match got.next() {
            Some(next) => path = next,
            None => return (ids, sizes),
        }
    }
}

#[tokio::test]
async fn twenty_five_messages_come_on_three_pages_of_ten_oldest_first() {
    let bench = bench().await;
    let mut offered = Vec::new();
    for _ in 0..25 {
        offered.push(bench.offer(&hello("WF")).await);
    }
    let (ids, sizes) = pages(&bench, "max_results=10").await;
    assert_eq!((ids, sizes), (offered, vec![10, 10, 5]));
    let got = bench.get("/messageexchange/X26ABC1/inbox").await;
    assert_eq!(got.json()["links"]["self"], "/messageexchange/X26ABC1/inbox");
    assert_eq!((got.json()["approx_inbox_count"].as_u64(), got.next()), (Some(25), None));
    assert_eq!(bench.get("/messageexchange/X26ABC1/count").await.json()["count"], 25);
}

#[tokio::test]
async fn a_next_link_stays_right_when_the_page_before_was_acknowledged() {
    let bench = bench().await;
    bench.simulator.offer_many(MAILBOX, 25, |_| hello("WF")).await.expect("25 offers");
    let first = bench.get("/messageexchange/X26ABC1/inbox?max_results=10").await;
    let next = first.next().expect("a next page");
    let before = bench.get(&next).await.ids();
    for id in first.ids() {
        assert_eq!(bench.acknowledge(&id).await.map(|got| got.status), Some(200));
    }
    assert_eq!(bench.get(&next).await.ids(), before);
}

#[tokio::test]
async fn a_filter_is_applied_after_the_page_is_cut_so_empty_pages_have_a_next() {
    let bench = bench().await;
    bench.simulator.offer_many(MAILBOX, 20, |_| hello("NOISE")).await.expect("20 offers");
    let wanted = bench.offer(&hello("ANSWER_1")).await;
    for filter in ["ANSWER_1", "!NOISE", "ANSWER*", "!NOI*", "*WER*", "%21%2AOIS%2A"] {
        let (ids, sizes) = pages(&bench, &format!("max_results=10&workflow_filter={filter}")).await;
        assert_eq!((ids, sizes), (vec![wanted.clone()], vec![0, 0, 1]), "{filter}");
    }
}

#[tokio::test]
async fn parameters_out_of_range_are_400() {
    let bench = bench().await;
    for query in ["max_results=9", "max_results=5001", "max_results=x", "workflow_filter=W", "continue_from=short"] {
        assert_eq!(bench.get(&format!("/messageexchange/X26ABC1/inbox?{query}")).await.status, 400, "{query}");
    }
    let id = bench.offer(&hello("WF")).await;
    for chunk in ["0", "x", "-1"] {
        let got = bench.get(&format!("/messageexchange/X26ABC1/inbox/{id}/{chunk}")).await;
        assert_eq!(got.status, 400, "chunk {chunk}");
    }
}

#[tokio::test]
async fn a_message_carries_the_headers_of_the_dictionary() {
    let bench = bench().await;
    let draft = Draft {
        subject: Some("subj".into()),
        local_id: Some("loc-1".into()),
        content_type: Some("text/plain".into()),
        encrypted: true,
        ..Draft::data("X26ABC9", "TEST_WORKFLOW", Payload::plain("hello mesh"))
    };
    let id = bench.offer(&draft.ready().expect("a message")).await;
    let got = bench.fetch(&id).await;
    assert_eq!((got.status, got.body.as_slice()), (200, &b"hello mesh"[..]));
    let file_name = format!("{id}.dat");
    for (name, value) in [
        ("mex-messageid", &*id),
        ("mex-messagetype", "DATA"),
        ("mex-from", "X26ABC9"),
        ("mex-to", MAILBOX),
        ("mex-workflowid", "TEST_WORKFLOW"),
        ("mex-chunk-range", "1:1"),
        ("mex-total-chunks", "1"),
        ("mex-subject", "subj"),
        ("mex-localid", "loc-1"),
        ("mex-filename", &file_name),
        ("mex-content-encrypted", "Y"),
        ("mex-content-type", "text/plain"),
        ("content-type", "text/plain"),
        ("content-length", "10"),
        ("mex-statuscode", "00"),
        ("mex-statusevent", "TRANSFER"),
        ("mex-statussuccess", "SUCCESS"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    assert_eq!(got.header("mex-statustimestamp").len(), 14);
    let head = bench.call("HEAD", &format!("/messageexchange/{MAILBOX}/inbox/{id}"), &[], b"").await;
    let head = head.expect("an answer");
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, "10"));
    assert_eq!(head.header("mex-subject"), "subj");
}

#[tokio::test]
async fn chunks_are_206_but_the_last() {
    let bench = bench().await;
    let payload = Payload::generated(5, 2_500_000, 1_000_000).expect("a payload");
    let expected = payload.sha256();
    let id = bench.offer(&Draft::data("X26ABC9", "WF", payload).ready().expect("a message")).await;
    let mut whole = Vec::new();
    for (chunk, status) in [(1, 206), (2, 206), (3, 200)] {
        let got = bench.get(&format!("/messageexchange/{MAILBOX}/inbox/{id}/{chunk}")).await;
        assert_eq!((got.status, got.header("mex-chunk-range")), (status, &*format!("{chunk}:3")));
        whole.extend(got.body);
    }
    assert_eq!(bench.fetch(&id).await.header("mex-chunk-range"), "1:3");
    assert_eq!(Payload::plain(whole).sha256(), expected);
    assert_eq!(bench.get(&format!("/messageexchange/{MAILBOX}/inbox/{id}/4")).await.status, 404);
}

#[tokio::test]
async fn gzip_is_served_to_those_who_offer_it() {
    let bench = bench_with(SimulatorSettings { transcode: true, ..Default::default() }).await;
    let stored = Draft::data("X26ABC9", "WF", Payload::gzip(b"hello mesh").expect("gzip")).ready().expect("a message");
    for mail in [stored, hello("WF")] {
        let path = format!("/messageexchange/{MAILBOX}/inbox/{}", bench.offer(&mail).await);
        let got = bench.call("GET", &path, &[("accept-encoding", "gzip")], b"").await.expect("an answer");
        assert_eq!((got.header("content-encoding"), got.header("mex-content-compressed")), ("gzip", "Y"));
        assert_eq!(Payload::Fixed(vec![Part::stored(got.body.into(), true)]).sha256(), mail.payload.sha256());
        let got = bench.get(&path).await;
        assert_eq!((got.header("content-encoding"), got.body.as_slice()), ("", &b"hello mesh"[..]));
    }
}

#[tokio::test]
async fn a_report_has_headers_and_no_body() {
    let bench = bench().await;
    let id = bench.offer(&Draft::undelivered("WF", "20260105093012123456_0A1B2C").ready().expect("a report")).await;
    let got = bench.fetch(&id).await;
    assert_eq!((got.status, got.body.len()), (200, 0));
    for (name, value) in [
        ("mex-messagetype", "REPORT"),
        ("mex-chunk-range", "1:0"),
        ("mex-total-chunks", "0"),
        ("mex-statuscode", "14"),
        ("mex-statussuccess", "ERROR"),
        ("mex-linkedmsgid", "20260105093012123456_0A1B2C"),
        ("mex-from", ""),
        ("content-type", ""),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn an_acknowledged_message_is_gone_and_may_be_acknowledged_again() {
    let bench = bench().await;
    let id = bench.offer(&hello("WF")).await;
    assert_eq!(bench.fetch(&id).await.status, 200);
    for _ in 0..2 {
        let got = bench.acknowledge(&id).await.expect("an answer");
        assert_eq!((got.status, got.body.len()), (200, 0));
    }
    let got = bench.fetch(&id).await;
    assert_eq!((got.status, got.json()["detail"][0]["code"].as_str()), (410, Some("Message already accepted")));
    bench.simulator.wait_until_all_acknowledged(LIMIT).await.expect("nothing waits");
    let known = bench.simulator.messages(MAILBOX).expect("a mailbox");
    let [Known { state: State::Acknowledged, served: 1, listed: 0, acknowledged_at: Some(_), .. }] = known.as_slice()
    else {
        panic!("{known:?}")
    };
}

#[tokio::test]
async fn unknown_foreign_and_expired_messages_are_told_apart() {
    let bench = bench().await;
    let got = bench.fetch("NOSUCH").await;
    assert_eq!((got.status, got.json()["detail"][0]["code"].as_str()), (404, Some("20")));
    let foreign = bench.simulator.offer(OTHER, &hello("WF")).await.expect("an offer");
    assert_eq!(bench.fetch(&foreign).await.status, 403);
    assert_eq!(bench.acknowledge(&foreign).await.map(|got| got.status), Some(403));
    let expired = bench.offer(&hello("WF")).await;
    bench.simulator.expire(MAILBOX, &expired).await.expect("a known mailbox");
    assert_eq!(bench.fetch(&expired).await.status, 410);
    assert_eq!(bench.acknowledge(&expired).await.map(|got| got.status), Some(200));
    assert_eq!(bench.simulator.waiting(), 1, "the foreign one");
}

#[tokio::test]
async fn a_message_put_back_is_listed_again_with_its_new_content() {
    let bench = bench().await;
    bench.simulator.offer_as(MAILBOX, "AGAIN", &hello("WF")).await.expect("an offer");
    bench.acknowledge("AGAIN").await.expect("an answer");
    let other = Draft::data("X26ABC9", "WF", Payload::plain("changed")).ready().expect("a message");
    bench.simulator.offer_as(MAILBOX, "AGAIN", &other).await.expect("an offer");
    assert_eq!(bench.get("/messageexchange/X26ABC1/inbox").await.ids(), ["AGAIN"]);
    assert_eq!(bench.fetch("AGAIN").await.body, b"changed");
    assert_eq!(bench.simulator.waiting(), 1);
}

#[tokio::test]
async fn every_kind_of_synthetic_mail_arrives_whole() {
    let bench = bench().await;
    for kind in crate::simulator::mail::Kind::ALL {
        let mail = crate::simulator::mail::sample(kind, 3).expect("a sample");
        let id = bench.offer(&mail).await;
        let mut whole = Vec::new();
        for chunk in 1..=mail.payload.chunks().max(1) {
            whole.extend(bench.get(&format!("/messageexchange/{MAILBOX}/inbox/{id}/{chunk}")).await.body);
        }
        assert_eq!(Payload::plain(whole).sha256().as_deref(), mail.sha256(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_waiting_messages_have_ids_of_their_own_and_list_in_full_pages() {
    let bench = bench().await;
    let mail = hello("WF");
    bench.simulator.offer_many(MAILBOX, 100_000, |_| Arc::clone(&mail)).await.expect("many offers");
    let got = bench.get("/messageexchange/X26ABC1/inbox?max_results=5000").await;
    assert_eq!((got.ids().len(), got.json()["approx_inbox_count"].as_u64()), (5000, Some(100_000)));
    let distinct: std::collections::HashSet<_> =
        bench.simulator.messages(MAILBOX).expect("a mailbox").into_iter().map(|known| known.id).collect();
    assert_eq!(distinct.len(), 100_000);
}
