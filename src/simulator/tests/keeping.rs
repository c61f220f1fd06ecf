use super::*;
use crate::simulator::calls::Call;
use crate::simulator::ledger::{self, Event, History, Keeping, LedgerSettings};

async fn one_message_through(keeping: Keeping, path: &std::path::Path) -> (Bench, String) {
    let settings = LedgerSettings { path: path.to_owned(), keeping, requests: true };
    let bench = bench_with(SimulatorSettings { ledger: Some(settings), ..Default::default() }).await;
    let id = bench.offer(&hello("WF")).await;
    bench.get("/messageexchange/X26ABC1/inbox").await;
    bench.fetch(&id).await;
    bench.acknowledge(&id).await.expect("an answer");
    (bench, id)
}

fn history_of(path: &std::path::Path, id: &str) -> History {
    let lines = ledger::read(path).expect("read the ledger");
    ledger::histories(&lines).remove(&(MAILBOX.to_owned(), id.to_owned())).expect("the message is in it")
}

#[tokio::test]
async fn a_synced_ledger_tells_the_story_while_the_simulator_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("far.jsonl");
    let (bench, id) = one_message_through(Keeping::Synced, &path).await;
    let history = history_of(&path, &id);
    assert_eq!((history.offered, history.listed, history.served, history.acknowledged), (1, 1, 1, 1));
    assert_eq!((history.sha256.as_deref(), history.length), (hello("WF").sha256(), Some(10)));
    let lines = ledger::read(&path).expect("read the ledger");
    assert!(matches!(lines[0].event, Event::Opened { .. }));
    assert!(lines.windows(2).all(|pair| pair[0].t_ns <= pair[1].t_ns), "time does not run back");
    let mut calls = Vec::new();
    for line in &lines {
        if let Event::Request { call, .. } = &line.event {
            calls.push(*call);
        }
    }
    assert_eq!(calls, [Call::List, Call::Fetch, Call::Acknowledge]);
    bench.simulator.shutdown().await.expect("an orderly end");
}

#[tokio::test]
async fn a_buffered_ledger_is_whole_after_the_shutdown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("far.jsonl");
    let (bench, id) = one_message_through(Keeping::Buffered, &path).await;
    bench.simulator.shutdown().await.expect("an orderly end");
    assert_eq!(history_of(&path, &id).acknowledged, 1);
}

#[tokio::test]
async fn a_torn_last_line_is_left_out_and_does_not_spoil_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("far.jsonl");
    let (bench, first) = one_message_through(Keeping::Synced, &path).await;
    bench.simulator.shutdown().await.expect("an orderly end");
    let mut bytes = std::fs::read(&path).expect("read the ledger");
    bytes.extend_from_slice(b"{\"t_ns\":12,\"event\":\"ackno");
    std::fs::write(&path, bytes).expect("tear the ledger");
    let (bench, second) = one_message_through(Keeping::Synced, &path).await;
    bench.simulator.shutdown().await.expect("an orderly end");
    for id in [first, second] {
        assert_eq!(history_of(&path, &id).acknowledged, 1);
    }
}

#[tokio::test]
async fn client_files_are_written_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let bench = bench().await;
    for _ in 0..2 {
        let files = bench.simulator.write_client_files(folder.path()).expect("three files");
        let mode = std::fs::metadata(&files.client_key).expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(std::fs::read_to_string(&files.ca).expect("a certificate").contains("BEGIN CERTIFICATE"));
    }
}

#[tokio::test]
async fn statistics_count_requests_by_kind_and_bytes() {
    let bench = bench().await;
    let id = bench.offer(&hello("WF")).await;
    bench.fetch(&id).await;
    bench.acknowledge(&id).await.expect("an answer");
    let statistics = bench.simulator.statistics();
    assert_eq!(statistics.requests.get(&Call::Fetch), Some(&1));
    assert_eq!(statistics.requests.get(&Call::Acknowledge), Some(&1));
    assert_eq!((statistics.statuses.get(&2), statistics.bytes_served, statistics.waiting), (Some(&2), 10, 0));
    assert_eq!(statistics.connections, 1, "the connection is kept alive");
}

#[tokio::test]
async fn a_wait_that_is_not_met_ends_at_its_limit() {
    let bench = bench().await;
    bench.offer(&hello("WF")).await;
    assert!(bench.simulator.wait_until_all_acknowledged(Duration::from_millis(20)).await.is_err());
}

#[tokio::test]
async fn a_simulator_started_again_at_its_address_is_trusted_by_the_same_client() {
    let first = bench().await;
    let (listen, authority) = (first.simulator.address(), Some(Arc::clone(first.simulator.authority())));
    first.simulator.shutdown().await.expect("an orderly end");
    assert!(first.call("GET", "/messageexchange/X26ABC1/inbox", &[], b"").await.is_none(), "nobody listens");
    let again = start(SimulatorSettings { listen, authority, ..Default::default() }).await.expect("start again");
    assert_eq!(first.get("/messageexchange/X26ABC1/inbox").await.status, 200);
    again.shutdown().await.expect("an orderly end");
}
