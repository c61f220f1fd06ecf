//! What goes over the wire, byte by byte, and what comes back that no honest server sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread::JoinHandle;

use futures_util::StreamExt;

use super::*;
use crate::adapters::http::tests_support::{Authority, write};
use crate::adapters::http::{Network, TlsFiles};
use crate::domain::fault::{Class, Origin};
use crate::domain::ids::DeliveryId;
use crate::domain::time::Timestamp;

/// How a connection ends after its answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::adapters::mesh) enum End {
    /// In order.
    Closed,
    /// By a reset.
    Reset,
    /// Not until the other side ends it.
    Held,
}

/// A far side that gives each connection one prepared answer, and keeps what it was asked.
pub(in crate::adapters::mesh) struct Far {
    address: SocketAddr,
    served: Option<JoinHandle<Vec<String>>>,
}

impl Far {
    pub(in crate::adapters::mesh) fn answering(answers: Vec<(Vec<u8>, End)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = std::thread::spawn(move || {
            let serve = |(answer, end): (Vec<u8>, End)| {
                let (mut stream, _) = listener.accept().expect("a connection");
                let request = read_head(&mut stream);
                // The far side may have gone by now; that is for the test to notice.
                drop(stream.write_all(&answer));
                match end {
                    End::Closed => (),
                    End::Reset => {
                        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("linger");
                    }
                    // Blocks until there is nothing more to come, which is when the other side has gone.
                    End::Held => drop(stream.read_to_end(&mut Vec::new())),
                }
                request
            };
            answers.into_iter().map(serve).collect()
        });
        Self { address, served: Some(served) }
    }

    pub(in crate::adapters::mesh) fn once(answer: &str) -> Self {
        Self::answering(vec![(answer.as_bytes().to_vec(), End::Closed)])
    }

    pub(in crate::adapters::mesh) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of the requests.
    pub(in crate::adapters::mesh) fn requests(mut self) -> Vec<String> {
        self.served.take().expect("asked once").join().expect("the far side did not panic")
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("a request") == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("requests are ASCII")
}

/// A wall clock that stands, and nonces that count.
#[derive(Default)]
struct Still(Mutex<u64>);

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        Timestamp(1_767_366_299_999)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Chance for Still {
    fn dice(&self) -> u64 {
        0
    }
    fn uuid(&self) -> String {
        let mut count = self.0.lock().expect("no panic holds it");
        *count += 1;
        format!("11111111-1111-4111-8111-11111111111{count}")
    }
}

fn mailbox_at(address: SocketAddr, network: Network) -> Mailbox {
    let directory = tempfile::tempdir().expect("a folder");
    let ca = directory.path().join("ca.pem");
    write(&ca, &Authority::new("Test CA", 2999).pem(), 0o644);
    let still = Arc::new(Still::default());
    let files = TlsFiles { ca, identity: None, credentials_directory: None };
    let mailbox = MailboxId::new("X26ABC1").expect("a mailbox id");
    Mailbox::new(Parts {
        http: Client::new(files, network, still.clone()).expect("good files"),
        base: BaseUrl::parse(&format!("http://{address}")).expect("a base URL"),
        credentials: Credentials::new(mailbox, "password".into(), b"TestKey"),
        clock: still.clone(),
        chance: still,
        dependency: Name::new("mesh").expect("a name"),
        limits: Limits { answer: Duration::from_secs(5), ..Limits::default() },
    })
}

pub(in crate::adapters::mesh) fn mailbox(far: &Far) -> Mailbox {
    mailbox_at(far.address, Network::default())
}

fn message() -> MessageId {
    MessageId::new("20200529155357895317_3573F8").expect("a message id")
}

pub(in crate::adapters::mesh) fn headers(request: &str, name: &str) -> Vec<String> {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const SERVED: &str = "HTTP/1.1 200 OK\r\nmex-messagetype: DATA\r\n";

/// mesh-api 3, 4.1, 5.1, 6.1: the lines and headers of every call.
#[tokio::test]
async fn each_call_sends_what_the_api_describes() {
    let list = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{\"messages\":[]}";
    let served = format!("{SERVED}content-length: 0\r\nconnection: close\r\n\r\n");
    let answers = [OK, list, served.as_str(), served.as_str(), OK];
    let far = Far::answering(answers.iter().map(|answer| (answer.as_bytes().to_vec(), End::Closed)).collect());
    let mailbox = mailbox(&far);
    mailbox.handshake().await.expect("a handshake");
    mailbox.list(Page::First { max_results: 500, workflow_filter: None }).await.expect("a list");
    mailbox.head(&message()).await.expect("headers");
    drop(mailbox.fetch(&message(), 1).await.expect("a chunk"));
    let accepted = Accepted::attest(mailbox.mailbox().clone(), message(), DeliveryId(1));
    mailbox.acknowledge(&accepted).await.expect("acknowledged");

    let requests = far.requests();
    let lines: Vec<&str> = requests.iter().filter_map(|request| request.lines().next()).collect();
    assert_eq!(
        lines,
        [
            "POST /messageexchange/X26ABC1 HTTP/1.1",
            "GET /messageexchange/X26ABC1/inbox?max_results=500 HTTP/1.1",
            "HEAD /messageexchange/X26ABC1/inbox/20200529155357895317_3573F8 HTTP/1.1",
            "GET /messageexchange/X26ABC1/inbox/20200529155357895317_3573F8 HTTP/1.1",
            "PUT /messageexchange/X26ABC1/inbox/20200529155357895317_3573F8/status/acknowledged HTTP/1.1",
        ]
    );
    let mut tokens = std::collections::HashSet::new();
    for (request, accepts_gzip) in requests.iter().zip([false, false, false, true, false]) {
        assert_eq!(headers(request, "accept"), ["application/vnd.mesh.v2+json"]);
        assert_eq!(headers(request, "accept-encoding").len(), usize::from(accepts_gzip), "{request}");
        let [token] = headers(request, "authorization").try_into().expect("one token");
        assert!(token.starts_with("NHSMESH X26ABC1:11111111-1111-4111-8111-11111111111"), "{token}");
        assert!(token.contains(":0:202601021504:"), "{token}");
        assert!(tokens.insert(token), "a token is good for one request");
        assert!(headers(request, "user-agent")[0].starts_with("meshd;"));
    }
    for (name, value) in [("mex-clientversion", concat!("meshd==", env!("CARGO_PKG_VERSION"))), ("mex-osname", "Linux")]
    {
        assert_eq!(headers(&requests[0], name), [value]);
    }
    for name in ["mex-osversion", "mex-osarchitecture"] {
        assert!(!headers(&requests[0], name)[0].is_empty());
    }
    let lengths = requests.iter().map(|request| headers(request, "content-length").concat());
    assert_eq!(lengths.collect::<Vec<_>>(), ["0", "", "", "", "0"], "gateways want one where a body could be");
}

#[tokio::test]
async fn a_later_chunk_is_asked_for_by_number() {
    let far = Far::once(&format!("{SERVED}mex-chunk-range: 3:3\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
    drop(mailbox(&far).fetch(&message(), 3).await.expect("the last chunk"));
    assert!(far.requests()[0].starts_with("GET /messageexchange/X26ABC1/inbox/20200529155357895317_3573F8/3 HTTP/1.1"));
}

/// Header bytes that HTTP itself refuses: on a message they are that message's, elsewhere MESH's (I6).
#[tokio::test]
async fn an_answer_that_is_not_http_is_told_apart_by_what_was_asked() {
    let many: String = (0..500).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = "x".repeat(1024 * 1024);
    for answer in [
        "HTTP/1.1 200 OK\r\nmex-subject: SECRET\x01\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nmex-subject: SECRET\0\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "SECRET, not HTTP\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\nmex-subject: {long}\r\n\r\n"),
    ] {
        let far = Far::once(&answer);
        let fault = mailbox(&far).fetch(&message(), 1).await.map(drop).expect_err("not HTTP");
        let facts = (fault.code, fault.class, fault.origin.clone());
        assert_eq!(facts, (FaultCode::MsgBadHeaders, Class::Transient, Origin::Message), "{fault}");
        assert!(!fault.detail.contains("SECRET"), "{fault}");
        let far = Far::once(&answer);
        let fault = mailbox(&far).handshake().await.expect_err("not HTTP");
        assert_eq!(fault.code, FaultCode::MeshProtocol, "{fault}");
    }
}

/// The end of a body before its stated length: in order it is the message's, by a reset the world's.
#[tokio::test]
async fn a_cut_body_is_told_from_a_broken_connection() {
    let short = format!("{SERVED}content-length: 10\r\n\r\nhello").into_bytes();
    let chunked = format!("{SERVED}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").into_bytes();
    for (answer, end, code) in [
        (short.clone(), End::Closed, FaultCode::MsgBadLength),
        (short, End::Reset, FaultCode::MeshUnreachable),
        (chunked.clone(), End::Closed, FaultCode::MsgBadLength),
        (chunked, End::Reset, FaultCode::MeshUnreachable),
    ] {
        let far = Far::answering(vec![(answer, end)]);
        let chunk = match mailbox(&far).fetch(&message(), 1).await {
            Ok(chunk) => chunk,
            // A reset may overtake the headers.
            Err(fault) => {
                assert_eq!((fault.code, code), (FaultCode::MeshUnreachable, FaultCode::MeshUnreachable), "{fault}");
                continue;
            }
        };
        let pieces: Vec<_> = chunk.body.collect().await;
        let fault = pieces.last().expect("an end").as_ref().expect_err("not whole");
        assert_eq!((fault.code, fault.class), (code, Class::Transient), "{fault}");
        assert_eq!(pieces.iter().filter(|piece| piece.is_err()).count(), 1, "nothing comes after the fault");
    }
}

#[tokio::test]
async fn no_answer_at_all_is_unreachable_on_every_call() {
    for end in [End::Closed, End::Reset] {
        let far = Far::answering(vec![(Vec::new(), end), (Vec::new(), end)]);
        let mailbox = mailbox(&far);
        for fault in [
            mailbox.handshake().await.expect_err("no answer"),
            mailbox.fetch(&message(), 1).await.map(drop).expect_err("no answer"),
        ] {
            assert_eq!((fault.code, fault.class), (FaultCode::MeshUnreachable, Class::Transient), "{fault}");
            assert!(matches!(fault.origin, Origin::Dependency(_)));
            assert!(!fault.detail.contains("127.0.0.1"), "no URL: {fault}");
        }
    }
}

#[tokio::test]
async fn an_endless_error_body_does_not_hide_its_status() {
    let endless = format!("HTTP/1.1 503 Busy\r\nretry-after: 3\r\n\r\n{}", "x".repeat(wire::LARGEST_PROBLEM * 2));
    let fault = mailbox(&Far::once(&endless)).handshake().await.expect_err("503");
    assert_eq!((fault.code, fault.retry_after), (FaultCode::MeshUnavailable, Some(Duration::from_secs(3))));
}

/// Slow-loris: an error body, and a body, that stop coming.
#[tokio::test]
async fn a_body_that_stops_coming_holds_no_call() {
    let stuck = "HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\n{".as_bytes().to_vec();
    let far = Far::answering(vec![(stuck.clone(), End::Held), (stuck, End::Held)]);
    let mut mailbox = mailbox(&far);
    mailbox.parts.limits.answer = Duration::from_millis(300);
    let fault = mailbox.fetch(&message(), 1).await.map(drop).expect_err("503");
    assert_eq!(fault.code, FaultCode::MeshUnavailable, "the status is known: {fault}");
    let fault = mailbox.handshake().await.expect_err("503");
    assert_eq!(fault.code, FaultCode::MeshUnavailable, "the status is known: {fault}");
}

#[tokio::test]
async fn a_list_beyond_the_limit_is_not_read_on() {
    let huge = format!("HTTP/1.1 200 OK\r\n\r\n{{\"messages\":[\"{}", "x".repeat(wire::LARGEST_LIST));
    let page = Page::First { max_results: 10, workflow_filter: None };
    let fault = mailbox(&Far::once(&huge)).list(page).await.expect_err("too large");
    assert_eq!(fault.code, FaultCode::MeshProtocol);
    assert!(fault.detail.contains("larger than"), "{fault}");
}

/// The token goes to MESH through the tunnel, never to the proxy.
#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_told_no_token() {
    let proxy = Far::once("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    let network = Network { proxy: Some(format!("http://{}", proxy.address)), ..Network::default() };
    let mut mailbox = mailbox_at(proxy.address, network);
    mailbox.parts.base = BaseUrl::parse("https://mesh.example:8743").expect("a base URL");
    let fault = mailbox.handshake().await.expect_err("the proxy refuses");
    assert_eq!(fault.code, FaultCode::MeshUnreachable, "{fault}");
    let requests = proxy.requests();
    assert!(requests[0].starts_with("CONNECT mesh.example:8743 HTTP/1.1"), "{}", requests[0]);
    assert_eq!(headers(&requests[0], "authorization"), Vec::<String>::new());
}

#[tokio::test]
async fn a_host_without_proxy_is_reached_directly() {
    let far = Far::once(OK);
    let nowhere = Network {
        proxy: Some("http://127.0.0.1:9".into()),
        no_proxy: vec!["127.0.0.0/8".into()],
        ..Network::default()
    };
    mailbox_at(far.address, nowhere).handshake().await.expect("no proxy in between");
    assert_eq!(far.requests().len(), 1);
}

/// A list, a fetch and an acknowledge, each broken off after every few bytes of its answer: none passes for whole.
#[tokio::test]
async fn an_answer_broken_off_anywhere_never_passes_for_whole() {
    let list = "HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n{\"messages\":[\"A\",\"B\"]}";
    let served =
        format!("{SERVED}mex-chunk-range: 1:1\r\nmex-workflowid: W\r\ncontent-length: 20\r\n\r\n{}", "x".repeat(20));
    let acknowledged = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    for end in [End::Closed, End::Reset] {
        for (call, answer) in [(Call::List, list), (Call::Fetch, served.as_str()), (Call::Acknowledge, acknowledged)] {
            for length in (0..answer.len()).step_by(7).chain([answer.len() - 1]) {
                let far = Far::answering(vec![(answer.as_bytes()[..length].to_vec(), end)]);
                let is_whole = passes_for_whole(&mailbox(&far), call).await;
                assert!(!is_whole, "{} after {length} of {} bytes", call.as_str(), answer.len());
            }
        }
    }
    for (call, answer) in [(Call::List, list), (Call::Fetch, served.as_str()), (Call::Acknowledge, acknowledged)] {
        assert!(passes_for_whole(&mailbox(&Far::once(answer)), call).await, "the whole answer does: {}", call.as_str());
    }
}

async fn passes_for_whole(mailbox: &Mailbox, call: Call) -> bool {
    match call {
        Call::List => mailbox.list(Page::First { max_results: 10, workflow_filter: None }).await.is_ok(),
        Call::Fetch => match mailbox.fetch(&message(), 1).await {
            Ok(chunk) => chunk.body.all(|piece| std::future::ready(piece.is_ok())).await,
            Err(_) => false,
        },
        Call::Acknowledge => {
            let accepted = Accepted::attest(mailbox.mailbox().clone(), message(), DeliveryId(1));
            mailbox.acknowledge(&accepted).await.is_ok()
        }
        Call::Ping | Call::Send | Call::SendChunk | Call::Track | Call::LookUp => panic!("no call of one who receives"),
        Call::Handshake => mailbox.handshake().await.is_ok(),
        Call::Head => mailbox.head(&message()).await.is_ok(),
    }
}
