use std::io::{Read, Write};

use super::*;
use crate::daemon::control::client::{AskError, ask};
use crate::domain::ids::DeliveryId;
use crate::domain::time::Timestamp;
use crate::ports::operations::{Phase, Status, Told};
use crate::ports::store::{Halt, SetAside};

/// A daemon that says what it was asked.
struct Parrot;

impl Operations for Parrot {
    fn status(&self) -> Status {
        Status {
            version: "0".into(),
            pid: 7,
            phase: Phase::Running,
            started_at: Timestamp(0),
            now: Timestamp(1),
            sequence: 2,
            suspects: 0,
            dropped_leases: 0,
            certificate_days: None,
            ready: true,
            obstacles: Vec::new(),
            mailboxes: Vec::new(),
        }
    }

    fn set_aside(&self, page: SetAsidePage) -> Told<'_, Vec<SetAside>> {
        Box::pin(async move { Err(Halt(format!("{page:?}"))) })
    }

    fn journal_head(&self) -> Told<'_, String> {
        Box::pin(async { Ok("1:00".into()) })
    }
}

/// Runs `ask` against a served socket.
fn while_served<T: Send + 'static>(asking: impl FnOnce(&Path) -> T + Send + 'static) -> T {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("control.sock");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let control = Control::bind(&path, None).expect("the folder is ours");
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let served = tracker.spawn(control.serve(Arc::new(Parrot), stop.clone()));
        let asked = path.clone();
        let answer = tokio::task::spawn_blocking(move || asking(&asked)).await.expect("asking does not panic");
        stop.cancel();
        served.await.expect("serving does not panic");
        assert!(!path.exists(), "the socket is gone");
        answer
    })
}

#[test]
fn a_question_gets_its_answer() {
    let (status, head) = while_served(|path| (ask(path, Ask::Status), ask(path, Ask::JournalHead)));
    assert!(matches!(status, Ok(Answer::Status(status)) if status.pid == 7));
    assert!(matches!(head, Ok(Answer::JournalHead(head)) if head == "1:00"));
}

#[test]
fn a_page_is_never_larger_than_the_largest() {
    let question = Ask::SetAside { before: Some(DeliveryId(9)), only: None, count: usize::MAX };
    let error = while_served(|path| ask(path, question)).expect_err("the parrot has halted");
    assert!(error.to_string().contains("count: 200"), "{error}");
}

#[test]
fn what_is_not_understood_is_refused_and_never_met_with_silence() {
    for line in ["", "{}\n", "{\"version\":2,\"ask\":\"status\"}\n", "{\"version\":1,\"ask\":\"shutdown\"}\n"] {
        let response = while_served(move |path| {
            let mut stream = StdStream::connect(path).expect("it is served");
            stream.write_all(line.as_bytes()).expect("it reads");
            stream.shutdown(std::net::Shutdown::Write).expect("it is open");
            let mut response = String::new();
            stream.read_to_string(&mut response).expect("it answers");
            response
        });
        assert!(response.contains("not-understood"), "{line:?}: {response}");
    }
}

#[test]
fn a_request_without_end_is_cut_off() {
    let response = while_served(|path| {
        let mut stream = StdStream::connect(path).expect("it is served");
        stream.write_all(&[b'x'; LONGEST_REQUEST as usize]).expect("it reads that much");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        response
    });
    assert!(response.contains("not-understood"), "{response}");
}

#[test]
fn without_a_group_only_root_and_the_daemons_own_user_may_ask() {
    for (asker, guests, may) in
        [(0, Guests::None, true), (990, Guests::None, true), (1000, Guests::None, false), (1000, Guests::Members, true)]
    {
        assert_eq!(may_ask(asker, 990, guests), may, "{asker} {guests:?}");
    }
}

#[test]
fn nobody_listening_is_told_from_a_socket_left_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("control.sock");
    assert!(matches!(ask(&path, Ask::Status), Err(AskError::NotRunning(_))));
    drop(std::os::unix::net::UnixListener::bind(&path).expect("the folder is ours"));
    assert!(matches!(ask(&path, Ask::Status), Err(AskError::NotRunning(_))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let first = Control::bind(&path, None).expect("what was left behind is replaced");
    assert!(matches!(Control::bind(&path, None), Err(ControlError::Taken(_))));
    drop(first);
}

#[test]
fn a_daemon_that_listens_and_says_nothing_is_told_from_one_that_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("control.sock");
    let _deaf = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let error = ask(&path, Ask::Status).expect_err("nobody answers");
    assert!(matches!(error, AskError::Silent(_)), "{error}");
    assert!(error.to_string().contains("did not answer"), "{error}");
    assert!(error.to_string().contains("within 5 s"), "{error}");
}
