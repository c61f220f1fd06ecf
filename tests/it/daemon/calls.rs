//! What the strict wrapper saw of the daemon, in words that tests compare.

use serde_json::Value;

use crate::place::MAILBOX;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    Handshake,
    List,
    /// Of a message, and which chunk; 1 also when the path names none.
    Get(String, u32),
    Acknowledge(String),
    Other(String),
}

/// The calls in a report of the wrapper, with their statuses, in order.
pub(super) fn calls(report: &Value) -> Vec<(Call, u64)> {
    let calls = report["calls"].as_array().expect("a list of calls");
    calls.iter().map(|call| (read(call), call["status"].as_u64().unwrap_or(0))).collect()
}

fn read(call: &Value) -> Call {
    let (method, path) = (call["method"].as_str().unwrap_or_default(), call["path"].as_str().unwrap_or_default());
    let parts: Vec<&str> = path.split('/').skip(2).collect();
    match (method, parts.as_slice()) {
        ("POST", [MAILBOX]) => Call::Handshake,
        ("GET", [MAILBOX, "inbox"]) => Call::List,
        ("GET", [MAILBOX, "inbox", id]) => Call::Get((*id).to_owned(), 1),
        ("GET", [MAILBOX, "inbox", id, number]) => Call::Get((*id).to_owned(), number.parse().unwrap_or(0)),
        ("PUT", [MAILBOX, "inbox", id, "status", "acknowledged"]) => Call::Acknowledge((*id).to_owned()),
        _ => Call::Other(format!("{method} {path}")),
    }
}

/// How many calls are such.
pub(super) fn count(report: &Value, call: &Call) -> usize {
    calls(report).iter().filter(|(other, _)| other == call).count()
}
