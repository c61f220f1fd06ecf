//! Headers that a sender filled with what no header should hold (torture 3.7; mesh-api 5.2 and 10).

use std::sync::Arc;

use bytes::Bytes;
use meshd::domain::fault::FaultCode;
use meshd::simulator::faults::Fault;
use meshd::simulator::message::Mail;
use meshd::simulator::payload::Payload;

use crate::estate::{CANARY, Case, End, Estate, draft};

const BAD_HEADERS: End = End::Refused(FaultCode::MsgBadHeaders);

fn with(headers: &[(&str, &[u8])]) -> Arc<Mail> {
    let mut draft = draft(Payload::plain("a letter"));
    draft.raw_headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
    draft.ready().expect("HTTP can carry it")
}

/// An answer byte by byte, with these lines among its headers.
fn raw(lines: &[u8]) -> Fault {
    let head = b"HTTP/1.1 200 OK\r\nMex-MessageID: BAD\r\nMex-MessageType: DATA\r\nMex-WorkflowID: HOSTILE\r\n\
        Mex-Chunk-Range: 1:1\r\nContent-Length: 1\r\n";
    Fault::Raw(Bytes::from([head.as_slice(), lines, b"\r\nx"].concat()))
}

/// File names that must never become one (torture 3.7).
fn names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "../../etc/passwd",
        "/etc/cron.d/x",
        "..",
        ".",
        "",
        " ",
        "CON",
        "con.dat",
        "NUL",
        "a/b",
        "a\\b",
        "C:\\x",
        "~/.ssh/authorized_keys",
        "$(touch x)",
        "`touch x`",
        "; touch x",
        "| touch x",
        "-rf",
        "--output=/x",
        "%2e%2e%2f%2e%2e%2fetc",
        "%00",
        "\u{202e}txt.exe",
        "e\u{301}.dat",
        "\u{e9}.dat",
        "*",
        "?",
        "[a-z]*",
        "GOOD-BEFORE.dat",
        "GOOD-BEFORE.ctl",
        ".staging",
        ".meshd-output",
        "BAD.dat.part",
        "\t",
        "\ta\tb",
        "]]><!DOCTYPE x [<!ENTITY y SYSTEM \"file:///etc/passwd\">]>&y;",
        "<script>alert(1)</script>",
        "\"quoted\"",
        "'",
        "{\"a\":1}",
        "=cmd|' /C calc'!A0",
    ]
    .into_iter()
    .map(|name| format!("{name}{CANARY}").into_bytes())
    .collect();
    names.push(vec![b'x'; 300]);
    names.push((0x80..=0xff).collect());
    names.push(vec![0xff, 0xfe, b'/', 0xc0, 0xaf]);
    names
}

#[test]
fn no_text_of_a_sender_becomes_a_name_or_a_path() {
    let case = |name: Vec<u8>| {
        let fields = ["mex-filename", "mex-subject", "mex-localid", "mex-partnerid", "mex-statusdescription"];
        let headers: Vec<_> = fields.iter().map(|field| (*field, name.as_slice())).collect();
        Case::of(format!("named {:?}", String::from_utf8_lossy(&name)), with(&headers), End::Delivered)
    };
    Estate::prove(names().into_iter().map(case).collect());
}

#[test]
fn headers_outside_the_dictionary_are_refused_by_name() {
    let long = |length: usize| format!("{CANARY}{}", "x".repeat(length)).into_bytes();
    let mut cases = Vec::new();
    for (header, limit) in [
        ("mex-to", 100),
        ("mex-workflowid", 300),
        ("mex-localid", 300),
        ("mex-filename", 300),
        ("mex-subject", 500),
        ("mex-partnerid", 500),
        ("mex-content-checksum", 100),
        ("mex-content-type", 100),
        ("mex-linkedmsgid", 100),
        ("mex-statuscode", 100),
        ("mex-from", 100),
        ("mex-messagetype", 100),
        ("mex-content-encrypted", 20),
    ] {
        cases.push(Case::of(format!("{header} over {limit}"), with(&[(header, &long(limit))]), BAD_HEADERS));
        cases.push(Case::of(format!("{header} of 64 KiB"), with(&[(header, &long(64 << 10))]), BAD_HEADERS));
    }
    for (name, header, value) in [
        ("an unknown type", "mex-messagetype", CANARY.as_bytes()),
        ("an empty type", "mex-messagetype", b"".as_slice()),
        ("an 8-bit type", "mex-messagetype", b"DAT\xc1"),
        ("an 8-bit workflow", "mex-workflowid", b"WF\xe9"),
        ("a tab in the workflow", "mex-workflowid", b"WF\tX"),
        ("a path for a linked message", "mex-linkedmsgid", b"../../etc/passwd"),
        ("an 8-bit status", "mex-statuscode", b"\xff"),
        ("a tab in the content type", "mex-content-type", b"a\tb"),
    ] {
        cases.push(Case::of(name, with(&[(header, value)]), BAD_HEADERS));
    }
    for (name, header, value) in [
        ("no sender's mailbox", "mex-from", b"../../etc/passwd".as_slice()),
        ("a flag that is none", "mex-content-encrypted", b"perhaps"),
        ("an odd content type", "content-type", b"\xff/\xff"),
        ("an empty workflow", "mex-workflowid", b""),
        ("an 8-bit subject", "mex-subject", b"\xe9\xff\x80"),
    ] {
        let end = End::Delivered;
        cases.push(Case::of(name, with(&[(header, value)]), end));
    }
    for (name, lines, end) in [
        ("NUL", b"Mex-Subject: a\0b\r\n".to_vec(), BAD_HEADERS),
        ("a lone CR", b"Mex-Subject: a\rMex-To: b\r\n".to_vec(), BAD_HEADERS),
        ("an escape", b"Mex-Subject: \x1b[31m\r\n".to_vec(), BAD_HEADERS),
        ("DEL", b"Mex-Subject: \x7f\r\n".to_vec(), BAD_HEADERS),
        ("a folded line", b"Mex-Subject: a\r\n b\r\n".to_vec(), BAD_HEADERS),
        ("no colon", b"Mex-Subject\r\n".to_vec(), BAD_HEADERS),
        ("a space before the colon", b"Mex-Subject : a\r\n".to_vec(), BAD_HEADERS),
        ("twice, differing", b"Mex-Subject: a\r\nMex-Subject: b\r\n".to_vec(), BAD_HEADERS),
        ("a type twice", b"Mex-MessageType: REPORT\r\n".to_vec(), BAD_HEADERS),
        ("two lengths", b"Content-Length: 2\r\n".to_vec(), BAD_HEADERS),
        ("ten thousand headers", b"X-Y: z\r\n".repeat(10_000), BAD_HEADERS),
        ("another message", b"Mex-MessageID: OTHER\r\n".to_vec(), BAD_HEADERS),
        ("half a megabyte of one", [b"X: ".as_slice(), &vec![b'x'; 512 << 10], b"\r\n"].concat(), BAD_HEADERS),
    ] {
        cases.push(Case::fetch(name, raw(&lines), end));
    }
    let message = |id: &str| Fault::Headers(vec![("mex-messageid".into(), id.as_bytes().to_vec())]);
    let other = End::Waits(FaultCode::MeshProtocol);
    cases.push(Case::fetch("the answer of another message", message("GOOD-BEFORE"), other));
    cases.push(Case::fetch("a path for a message id", message("../../etc/passwd"), other));
    cases.push(Case::fetch("no message id", message(""), End::Delivered));
    let not_http =
        [b"\0\x16\x03\x01".as_slice(), b"HTTP/9.9 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 999999 X\r\n\r\n"];
    cases.extend(not_http.into_iter().map(|bytes| {
        Case::fetch(format!("no HTTP {bytes:?}"), Fault::Raw(Bytes::copy_from_slice(bytes)), BAD_HEADERS)
    }));
    let no_length = b"HTTP/1.1 200 OK\r\nMex-MessageID: BAD\r\nMex-MessageType: DATA\r\n\r\nx";
    let end = End::Refused(FaultCode::MsgBadLength);
    cases.push(Case::fetch("no length", Fault::Raw(Bytes::from_static(no_length)), end));
    Estate::prove(cases);
}
