//! Bodies and chunks that are not what they say (torture 3.4 and 3.7; mesh-api 6.4 and 8).

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use meshd::domain::fault::FaultCode;
use meshd::simulator::calls::Call;
use meshd::simulator::faults::{Fault, Reply};
use meshd::simulator::message::Mail;
use meshd::simulator::payload::{Part, Payload};

use crate::estate::{CANARY, Case, End, Estate, chunked, draft, plain};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// One chunk that its sender declared to be gzip.
fn declared(bytes: impl Into<Bytes>) -> Arc<Mail> {
    draft(Payload::Fixed(vec![Part::stored(bytes.into(), true)])).ready().expect("a sound message")
}

/// 300 kB that do not compress, so that they are large in both forms.
fn noise() -> Vec<u8> {
    let mut state = 7_u64;
    (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect()
}

#[test]
fn a_body_is_whole_gzip_or_is_kept_as_served() {
    let (small, large) = (format!("a letter about {CANARY}").into_bytes(), noise());
    let dead = End::Dead(FaultCode::MsgBadEncoding);
    let mut cases = vec![
        Case::of("a bomb of 64 MiB", declared(gzip(&vec![0; 64 << 20])), End::Dead(FaultCode::MsgTooLarge)),
        Case::of(
            "a bomb behind noise",
            declared([gzip(&large), gzip(&vec![0; 256 << 20])].concat()),
            End::Dead(FaultCode::MsgTooLarge),
        ),
        Case::of("nothing at all", declared(""), dead),
    ];
    for (size, bytes) in [("small", &small), ("large", &large)] {
        let whole = gzip(bytes);
        let half = whole.len() / 2;
        let mut broken = whole.clone();
        let last = broken.len() - 6;
        broken[last] ^= 1;
        for (name, encoded, end) in [
            ("gzip", whole.clone(), End::Delivered),
            ("gzip in gzip", gzip(&whole), End::Delivered),
            ("members", [gzip(&bytes[..9]), gzip(&bytes[9..])].concat(), End::Delivered),
            ("no gzip", bytes.clone(), dead),
            ("torn", whole[..half].to_vec(), dead),
            ("torn in its trailer", whole[..whole.len() - 3].to_vec(), dead),
            ("torn in its header", whole[..7].to_vec(), dead),
            ("garbage behind", [whole.as_slice(), b"garbage"].concat(), dead),
            ("a torn member behind", [whole.as_slice(), &whole[..half]].concat(), dead),
            ("a wrong checksum", broken, dead),
        ] {
            cases.push(Case::of(format!("{size}: {name}"), declared(encoded), end));
        }
    }
    let encoding = Fault::Headers(vec![("content-encoding".into(), b"br".to_vec())]);
    cases.push(Case::fetch("an unknown encoding", encoding, End::Refused(FaultCode::MsgBadEncoding)));
    cases.push(Case::of(
        "chunked gzip, the second not gzip",
        {
            let parts = vec![Part::stored(gzip(&small).into(), true), Part::stored(small.clone().into(), true)];
            draft(Payload::Fixed(parts)).ready().expect("a sound message")
        },
        dead,
    ));
    cases.push(Case::of(
        "chunked gzip, the last torn",
        {
            let torn = gzip(&large)[..1000].to_vec();
            let parts = vec![Part::stored(gzip(&large).into(), true), Part::stored(torn.into(), true)];
            draft(Payload::Fixed(parts)).ready().expect("a sound message")
        },
        dead,
    ));
    Estate::prove(cases);
}

#[test]
fn a_body_that_does_not_come_whole_is_never_kept() {
    let second = Duration::from_secs(1);
    let waits = End::Waits(FaultCode::MeshUnreachable);
    let bad_length = End::Refused(FaultCode::MsgBadLength);
    let large = |name: &str, fault, end| Case::of(name, chunked(), end).with(Call::Fetch, Some(2), u64::MAX, fault);
    Estate::prove(vec![
        Case::fetch("longer stated", Fault::ContentLength(7), bad_length),
        Case::fetch("huge stated", Fault::ContentLength(1 << 40), End::Refused(FaultCode::MsgTooLarge)),
        large("longer stated on a chunk", Fault::ContentLength(7), bad_length),
        Case::fetch("cut at once", Fault::Cut { after: 0 }, waits),
        Case::fetch("cut in the middle", Fault::Cut { after: 9 }, waits),
        large("cut in a chunk", Fault::Cut { after: 50_000 }, waits),
        Case::fetch("cut in its headers", Fault::CutWire { after: 300 }, waits),
        Case::fetch("reset", Fault::Refuse, waits),
        Case::fetch("no answer", Fault::LoseReply, waits),
        Case::fetch("drips", Fault::Drip { piece: 1, every: second / 2 }, waits),
        large("drips in a chunk", Fault::Drip { piece: 100, every: second }, waits),
        Case::fetch("stalls", Fault::Stall { after: 5, lasting: 3600 * second }, waits),
        large("stalls in a chunk", Fault::Stall { after: 99_999, lasting: 3600 * second }, waits),
        Case::fetch("answers late", Fault::Delay(3600 * second), waits),
        Case::of("cut once", plain(), End::Delivered).with(Call::Fetch, None, 1, Fault::Cut { after: 9 }),
        Case::of("a chunk cut once", chunked(), End::Delivered).with(Call::Fetch, Some(3), 1, Fault::Cut { after: 9 }),
        Case::of("an acknowledge whose answer is lost", plain(), End::Delivered).with(
            Call::Acknowledge,
            None,
            1,
            Fault::LoseReply,
        ),
        Case::fetch(
            "redirected to another host",
            Fault::redirect("https://192.0.2.1/"),
            End::Waits(FaultCode::MeshProtocol),
        ),
        Case::fetch("redirected to http", Fault::redirect("http://127.0.0.1:1/"), End::Waits(FaultCode::MeshProtocol)),
    ]);
}

#[test]
fn chunks_must_agree_on_their_number_and_their_place() {
    let bad = End::Refused(FaultCode::MsgBadChunks);
    let range = |range: &str| Fault::chunk_range(range);
    let mut cases: Vec<_> = [
        "",
        "1",
        "1:",
        ":1",
        "0:1",
        "2:1",
        "1:2",
        "2:2",
        "1:0",
        "-1:1",
        "+1:1",
        "1:1:1",
        "1/1",
        "one:one",
        "1:99999999999",
        "1:1000000",
        "1:4294967295",
        "9990000018:1",
    ]
    .into_iter()
    .map(|text| {
        Case::fetch(format!("range {text:?} of one"), range(text), if text.is_empty() { End::Delivered } else { bad })
    })
    .collect();
    let at = |name: &str, chunk, fault| Case::of(name, chunked(), bad).with(Call::Fetch, Some(chunk), u64::MAX, fault);
    let total = |text: &str| Fault::Headers(vec![("mex-total-chunks".into(), text.as_bytes().to_vec())]);
    let both = |n: &str, m: &str| {
        let range = format!("{n}:{m}").into_bytes();
        Fault::Headers(vec![("mex-chunk-range".into(), range), ("mex-total-chunks".into(), m.as_bytes().to_vec())])
    };
    let whole = |status: u16, n: &str| {
        let headers = [
            ("mex-messagetype", "DATA"),
            ("mex-workflowid", "HOSTILE"),
            ("mex-chunk-range", n),
            ("mex-messageid", "BAD"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
        Fault::Reply(Reply { status, headers, body: "x".into() })
    };
    cases.extend([
        at("the first again in place of the second", 2, range("1:3")),
        at("the third in place of the second", 2, range("3:3")),
        at("the total grows", 2, both("2", "4")),
        at("the total shrinks", 2, both("2", "2")),
        at("a total of a million", 1, both("1", "1000000")),
        at("the largest total", 1, both("1", "4294967295")),
        at("range and total disagree", 1, total("7")),
        at("total is no number", 1, total("three")),
        at("a hole", 2, Fault::missing_chunk()),
        at("200 before the last", 2, whole(200, "2:3")),
        at("206 at the last", 3, whole(206, "3:3")),
        at("200 with 1 of 2", 1, whole(200, "1:2")),
        at("206 with 1 of 1", 1, whole(206, "1:1")),
        Case::of("a hole that closes", chunked(), End::Delivered).with(Call::Fetch, Some(2), 1, Fault::missing_chunk()),
    ]);
    Estate::prove(cases);
}
