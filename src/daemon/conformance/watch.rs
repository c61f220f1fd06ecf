//! What was asked of MESH, as evidence: methods, masked paths, names of headers, statuses, times. No id of a message and
//! no value of a header gets past here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::adapters::mesh::{Exchange, Witness};

/// One request, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// When it began, UTC.
    pub at: String,
    /// The mailbox that made it.
    pub mailbox: String,
    /// Its method.
    pub method: String,
    /// Its path, ids masked.
    pub path: String,
    /// Which message it is about, counted in the order of their first requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<u32>,
    /// The headers that it set, by name.
    pub headers: Vec<String>,
    /// What MESH answered; none if it did not.
    pub status: Option<u16>,
}

/// Sees all requests of a run.
#[derive(Default)]
pub(super) struct Watch(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    /// The number of each message.
    messages: BTreeMap<String, u32>,
}

impl Watch {
    /// The requests since the last call of this.
    pub(super) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).requests)
    }

    /// The statuses of the requests since then, zero where there was no answer.
    pub(super) fn statuses(&self) -> Vec<u16> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.requests.iter().map(|request| request.status.unwrap_or_default()).collect()
    }
}

impl Witness for Watch {
    fn saw(&self, exchange: Exchange) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (path, id) = masked(&exchange.path);
        let message = id.map(|id| {
            let next = u32::try_from(seen.messages.len()).unwrap_or(u32::MAX).saturating_add(1);
            *seen.messages.entry(id).or_insert(next)
        });
        let mut headers: Vec<String> = exchange.headers.iter().map(|name| name.as_str().to_owned()).collect();
        headers.sort();
        seen.requests.push(Request {
            at: exchange.began.to_string(),
            mailbox: exchange.mailbox.to_string(),
            method: exchange.method.to_string(),
            path,
            message,
            headers,
            status: exchange.status.map(|status| status.as_u16()),
        });
    }
}

/// The path without its ids, and that of the message in it. What is not known to be harmless is masked.
fn masked(path: &str) -> (String, Option<String>) {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut message = None;
    let mut shown: Vec<&str> = Vec::new();
    for (place, part) in path.split('/').skip(1).enumerate() {
        shown.push(match (place, part) {
            (0 | 2, "messageexchange" | "inbox" | "outbox") | (3, "tracking") => part,
            (1, _) => "{mailbox}",
            (3, id) => {
                message = Some(id.to_owned());
                "{message}"
            }
            (4, "status") | (5, "acknowledged") => part,
            (4, number) if number.bytes().all(|byte| byte.is_ascii_digit()) => part,
            (_, _) => "{hidden}",
        });
    }
    let mut text = format!("/{}", shown.join("/"));
    for (place, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        text.push(if place == 0 { '?' } else { '&' });
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = match name {
            "max_results" => value,
            "messageID" => {
                message = Some(value.to_owned());
                "{message}"
            }
            _ => "{hidden}",
        };
        text += &format!("{name}={value}");
    }
    (text, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_is_shown() {
        for (path, shown, message) in [
            ("/messageexchange/X26ABC1", "/messageexchange/{mailbox}", None),
            (
                "/messageexchange/X26ABC1/inbox?max_results=500",
                "/messageexchange/{mailbox}/inbox?max_results=500",
                None,
            ),
            (
                "/messageexchange/X26ABC1/inbox?max_results=500&continue_from=M1",
                "/messageexchange/{mailbox}/inbox?max_results=500&continue_from={hidden}",
                None,
            ),
            ("/messageexchange/X26ABC1/inbox/M1", "/messageexchange/{mailbox}/inbox/{message}", Some("M1")),
            ("/messageexchange/X26ABC1/inbox/M1/2", "/messageexchange/{mailbox}/inbox/{message}/2", Some("M1")),
            (
                "/messageexchange/X26ABC1/inbox/M1/status/acknowledged",
                "/messageexchange/{mailbox}/inbox/{message}/status/acknowledged",
                Some("M1"),
            ),
            (
                "/messageexchange/X26ABC1/outbox/tracking?messageID=M1",
                "/messageexchange/{mailbox}/outbox/tracking?messageID={message}",
                Some("M1"),
            ),
            ("/messageexchange/X26ABC1/elsewhere", "/messageexchange/{mailbox}/{hidden}", None),
        ] {
            assert_eq!(masked(path), (shown.to_owned(), message.map(str::to_owned)), "{path}");
        }
    }
}
