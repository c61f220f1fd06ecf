//! The calls of the API (mesh-api 6.1), read from method and path, and counted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;

macro_rules! calls {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What a request asks for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Call {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Call {
            /// All of them.
            pub const ALL: &'static [Call] = &[$(Call::$name,)+];
        }
    };
}

calls! {
    /// POST (or GET) of the mailbox itself.
    Handshake,
    /// GET inbox.
    List,
    /// HEAD of a message.
    Head,
    /// GET of a message or a chunk.
    Fetch,
    /// PUT acknowledged.
    Acknowledge,
    /// GET count.
    Count,
    /// POST outbox: a message or its first chunk.
    Send,
    /// POST of a later chunk.
    SendChunk,
    /// GET of what became of a message that was sent.
    Track,
    /// Anything else.
    Other,
}

/// A request's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route<'a> {
    pub(super) call: Call,
    pub(super) mailbox: Cow<'a, str>,
    /// Empty where the call names none.
    pub(super) message: Cow<'a, str>,
    /// As written; `1` for a fetch that names none.
    pub(super) chunk: &'a str,
}

impl<'a> Route<'a> {
    /// `None` for a path outside `/messageexchange/{mailbox}`.
    pub(super) fn read(method: &Method, path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("/messageexchange/")?.split('/').collect();
        let (mailbox, rest) = parts.split_first()?;
        let (call, message, chunk) = match (method.as_str(), rest) {
            ("POST" | "GET", []) => (Call::Handshake, "", ""),
            ("GET", ["inbox"]) => (Call::List, "", ""),
            ("GET", ["count"]) => (Call::Count, "", ""),
            ("HEAD", ["inbox", id]) => (Call::Head, *id, "1"),
            ("GET", ["inbox", id]) => (Call::Fetch, *id, "1"),
            ("GET", ["inbox", id, chunk]) => (Call::Fetch, *id, *chunk),
            ("PUT", ["inbox", id, "status", "acknowledged"]) => (Call::Acknowledge, *id, ""),
            ("POST", ["outbox"]) => (Call::Send, "", "1"),
            ("POST", ["outbox", id, chunk]) => (Call::SendChunk, *id, *chunk),
            ("GET", ["outbox", "tracking"]) => (Call::Track, "", ""),
            ("GET", ["outbox", "tracking", local_id]) => (Call::Track, *local_id, ""),
            _ => (Call::Other, "", ""),
        };
        let mailbox = decode(mailbox);
        Some(Self { call, mailbox, message: decode(message), chunk })
    }

    /// The chunk number, when it is one.
    pub(super) fn chunk_number(&self) -> Option<u64> {
        self.chunk.parse().ok().filter(|number| *number >= 1)
    }
}

/// The value of a query parameter, decoded.
pub(super) fn query<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

/// Percent-decoding; what is not valid stays as it is.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, escaped.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Percent-encoding of all but letters, digits, `-`, `_`, `.` and `~`.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Running totals.
#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: [AtomicU64; Call::ALL.len()],
    statuses: [AtomicU64; 6],
    pub(super) connections: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) bytes_served: AtomicU64,
    pub(super) bytes_received: AtomicU64,
}

/// What the simulator has seen so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Statistics {
    /// Requests by call; calls that never came are left out.
    pub requests: BTreeMap<Call, u64>,
    /// Replies by the first digit of their status; a connection cut before a status is none.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests turned away with 403, by reason.
    pub refused: BTreeMap<super::tokens::Refusal, u64>,
    /// Requests that a fault was put into.
    pub faults: u64,
    /// Connections that completed mutual TLS.
    pub connections: u64,
    /// Connections that did not.
    pub tls_refused: u64,
    /// Encoded body bytes offered to the wire.
    pub bytes_served: u64,
    /// Encoded body bytes taken from senders.
    pub bytes_received: u64,
    /// Messages in all inboxes now.
    pub waiting: u64,
}

impl Counters {
    pub(super) fn request(&self, call: Call) {
        self.calls[call as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reply(&self, status: u16) {
        if let Some(counter) = self.statuses.get(usize::from(status / 100)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Statistics {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let requests = Call::ALL.iter().zip(&self.calls).map(|(call, count)| (*call, value(count)));
        let statuses = (0..).zip(&self.statuses).map(|(digit, count)| (digit, value(count)));
        Statistics {
            requests: requests.filter(|(_, count)| *count > 0).collect(),
            statuses: statuses.filter(|(_, count)| *count > 0).collect(),
            faults: value(&self.faults),
            connections: value(&self.connections),
            tls_refused: value(&self.handshakes_failed),
            bytes_served: value(&self.bytes_served),
            bytes_received: value(&self.bytes_received),
            ..Statistics::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_summary_is_read() {
        for (method, path, call, message, chunk) in [
            ("POST", "/messageexchange/A", Call::Handshake, "", ""),
            ("GET", "/messageexchange/A/inbox", Call::List, "", ""),
            ("GET", "/messageexchange/A/inbox/ID", Call::Fetch, "ID", "1"),
            ("GET", "/messageexchange/A/inbox/ID/7", Call::Fetch, "ID", "7"),
            ("HEAD", "/messageexchange/A/inbox/ID", Call::Head, "ID", "1"),
            ("PUT", "/messageexchange/A/inbox/ID/status/acknowledged", Call::Acknowledge, "ID", ""),
            ("GET", "/messageexchange/A/count", Call::Count, "", ""),
            ("POST", "/messageexchange/A/outbox", Call::Send, "", "1"),
            ("POST", "/messageexchange/A/outbox/I%44/2", Call::SendChunk, "ID", "2"),
            ("GET", "/messageexchange/A/outbox/tracking", Call::Track, "", ""),
            ("GET", "/messageexchange/A/outbox/tracking/A%20B", Call::Track, "A B", ""),
            ("POST", "/messageexchange/A/inbox/ID/status/acknowledged", Call::Other, "", ""),
            ("GET", "/messageexchange/A/inbox/ID/7/8", Call::Other, "", ""),
        ] {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let route = Route::read(&method, path).expect("a mailbox's path");
            assert_eq!((route.call, &*route.message, route.chunk), (call, message, chunk), "{path}");
        }
        assert_eq!(Route::read(&Method::GET, "/health"), None);
    }

    #[test]
    fn query_values_are_decoded_and_encode_reads_back() {
        let raw = format!("max_results=10&workflow_filter={}", encode("!*A B*"));
        assert_eq!(query(Some(&raw), "workflow_filter").as_deref(), Some("!*A B*"));
        assert_eq!(query(Some(&raw), "max_results").as_deref(), Some("10"));
        assert_eq!(query(None, "max_results"), None);
        assert_eq!(decode("100%"), "100%");
    }
}
