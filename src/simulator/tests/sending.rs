use super::*;
use crate::simulator::payload::compress;

const OUTBOX: &str = "/messageexchange/X26ABC2/outbox";
const TO: (&str, &str) = ("mex-to", MAILBOX);
const WORKFLOW: (&str, &str) = ("mex-workflowid", "WF");

async fn send(bench: &Bench, headers: &[(&str, &str)], body: &[u8]) -> Got {
    bench.call("POST", OUTBOX, headers, body).await.expect("an answer")
}

fn id_of(got: &Got) -> String {
    got.json()["message_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn what_was_sent_is_received() {
    let bench = bench().await;
    let headers = [TO, WORKFLOW, ("mex-subject", "subj"), ("mex-localid", "loc-1"), ("content-type", "text/plain")];
    let got = send(&bench, &headers, b"hello mesh").await;
    assert_eq!(got.status, 202);
    let id = id_of(&got);
    assert_eq!(bench.get("/messageexchange/X26ABC1/inbox").await.ids(), [id.as_str()]);
    let got = bench.fetch(&id).await;
    assert_eq!(got.body, b"hello mesh");
    for (name, value) in
        [("mex-from", OTHER), ("mex-subject", "subj"), ("mex-localid", "loc-1"), ("content-type", "text/plain")]
    {
        assert_eq!(got.header(name), value, "{name}");
    }
}

#[tokio::test]
async fn a_send_without_what_it_needs_is_refused_as_specified() {
    let bench = bench().await;
    for (headers, body, status, code) in [
        (vec![WORKFLOW], "x", 400, None),
        (vec![TO], "x", 400, None),
        (vec![("mex-to", ""), WORKFLOW], "x", 400, Some("08")),
        (vec![("mex-to", "NOSUCH"), WORKFLOW], "x", 417, Some("12")),
        (vec![TO, WORKFLOW], "", 417, Some("02")),
        (vec![TO, WORKFLOW, ("mex-from", MAILBOX)], "x", 417, Some("07")),
        (vec![TO, ("mex-workflowid", "http://x")], "x", 400, Some("06")),
        (vec![TO, WORKFLOW, ("mex-subject", "a\tb")], "x", 400, Some("06")),
        (vec![TO, WORKFLOW, ("mex-content-checksum", "a_b!")], "x", 400, Some("Invalid checksum")),
        (vec![TO, WORKFLOW, ("content-encoding", "br")], "x", 422, Some("UnsupportedContentEncoding")),
        (vec![TO, WORKFLOW, ("mex-chunk-range", "2:2")], "x", 417, Some("InvalidHeaderChunks")),
        (vec![TO, WORKFLOW, ("mex-chunk-range", "1:0")], "x", 417, Some("InvalidHeaderChunks")),
    ] {
        let got = send(&bench, &headers, body.as_bytes()).await;
        assert_eq!(got.status, status, "{headers:?}");
        assert_eq!(got.json()["detail"][0]["code"].as_str(), code, "{headers:?}");
    }
    let long = "x".repeat(501);
    let got = send(&bench, &[TO, WORKFLOW, ("mex-subject", &long)], b"x").await;
    assert_eq!(got.json()["detail"][0]["ctx"]["max_length"], 500);
    assert_eq!(bench.simulator.waiting(), 0);
}

#[tokio::test]
async fn chunks_become_a_message_when_all_are_there() {
    let bench = bench().await;
    let (one, two) = (compress(b"hello ").expect("gzip"), compress(b"mesh").expect("gzip"));
    let gzip = ("content-encoding", "gzip");
    let id = id_of(&send(&bench, &[TO, WORKFLOW, gzip, ("mex-chunk-range", "1:2")], &one).await);
    assert_eq!(bench.fetch(&id).await.status, 410, "still uploading");
    let path = format!("{OUTBOX}/{id}/2");
    for (range, headers, status) in [
        ("2:2", vec![], 417),
        ("3:3", vec![gzip], 417),
        ("2:9", vec![gzip], 417),
        ("2:2", vec![gzip], 202),
        ("2:2", vec![gzip], 423),
    ] {
        let headers: Vec<_> = headers.into_iter().chain([("mex-chunk-range", range)]).collect();
        let got = bench.call("POST", &path, &headers, &two).await.expect("an answer");
        assert_eq!(got.status, status, "{headers:?}");
    }
    assert_eq!((bench.fetch(&id).await.status, bench.fetch(&id).await.body), (206, b"hello ".to_vec()));
    let last = bench.get(&format!("/messageexchange/{MAILBOX}/inbox/{id}/2")).await;
    assert_eq!((last.status, last.body.as_slice()), (200, &b"mesh"[..]));
}

#[tokio::test]
async fn a_body_over_100_mb_is_413() {
    let bench = bench().await;
    let got = bench.call("POST", OUTBOX, &[TO, WORKFLOW], &vec![0; 100_000_001]).await;
    // The answer may come before the body was read, and the connection end with it.
    assert!(got.is_none_or(|got| got.status == 413));
    assert_eq!(bench.simulator.waiting(), 0);
    let got = bench.call("POST", OUTBOX, &[TO, WORKFLOW], &vec![0; 100_000_000]).await.expect("an answer");
    assert_eq!(got.status, 202);
}
