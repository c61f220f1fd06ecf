//! One simulated mailbox: what waits, what was acknowledged, what is gone.
//!
//! Every call costs at most the logarithm of what waits, or the length of one page:
//! a million waiting messages are as fast as ten.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderValue;

use super::filter::Filter;
use super::lock;
use super::message::Mail;
use super::tokens::Door;

/// Where a message stands (mesh-api 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In the inbox.
    Accepted,
    /// Acknowledged, with the far side's monotonic time.
    Acknowledged,
    /// Expired or failed: not in the inbox, 410 on download.
    Gone,
}

/// What the far side knows about one message.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its id.
    pub id: Arc<str>,
    /// Its content.
    pub mail: Arc<Mail>,
    /// Where it stands.
    pub state: State,
    /// How often it was on a served inbox page.
    pub listed: u32,
    /// How often its first chunk, or the whole of it, was served.
    pub served: u32,
    /// When it was offered, since the simulator's start.
    pub offered_at: Duration,
    /// When it was last acknowledged.
    pub acknowledged_at: Option<Duration>,
}

/// What an id of this mailbox stands for when something is asked about it.
pub(super) enum Found {
    Waiting(Arc<Mail>),
    Acknowledged,
    Gone,
    Unknown,
}

/// What an acknowledge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledge {
    /// The message left the inbox.
    Done,
    /// It had left before, or is gone: the same answer, no change (mesh-api 6.5).
    Repeated,
    Unknown,
}

/// One page of an inbox.
pub(super) struct Listed {
    pub(super) ids: Vec<Arc<str>>,
    /// Where the next page starts, while more remain.
    pub(super) next: Option<u64>,
    pub(super) waiting: usize,
}

pub(super) struct Mailbox {
    pub(super) id: String,
    pub(super) to: HeaderValue,
    pub(super) door: Door,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// In the order they were offered; never removed, so a place is a lasting name.
    messages: Vec<Known>,
    places: HashMap<Arc<str>, usize>,
    waiting: BTreeSet<usize>,
}

impl Mailbox {
    pub(super) fn new(id: String, to: HeaderValue, door: Door) -> Self {
        Self { id, to, door, inner: Mutex::default() }
    }

    /// Puts a message into the inbox; an id that was there before is put back with this content (mesh-api 7.2).
    ///
    /// True if the inbox holds one more than before.
    pub(super) fn offer(&self, id: Arc<str>, mail: Arc<Mail>, now: Duration) -> bool {
        let mut inner = lock(&self.inner);
        let place = match inner.places.get(&id) {
            Some(place) => {
                let place = *place;
                let known = &mut inner.messages[place];
                (known.mail, known.state) = (mail, State::Accepted);
                place
            }
            None => {
                let place = inner.messages.len();
                inner.places.insert(Arc::clone(&id), place);
                let known = Known {
                    id,
                    mail,
                    state: State::Accepted,
                    listed: 0,
                    served: 0,
                    offered_at: now,
                    acknowledged_at: None,
                };
                inner.messages.push(known);
                place
            }
        };
        inner.waiting.insert(place)
    }

    /// Takes a message out of the inbox as expired or failed. True if it was waiting.
    pub(super) fn expire(&self, id: &str) -> bool {
        let mut inner = lock(&self.inner);
        let Some(place) = inner.places.get(id).copied() else { return false };
        inner.messages[place].state = State::Gone;
        inner.waiting.remove(&place)
    }

    pub(super) fn acknowledge(&self, id: &str, now: Duration) -> Acknowledge {
        let mut inner = lock(&self.inner);
        let Some(place) = inner.places.get(id).copied() else { return Acknowledge::Unknown };
        if !inner.waiting.remove(&place) {
            return Acknowledge::Repeated;
        }
        let known = &mut inner.messages[place];
        (known.state, known.acknowledged_at) = (State::Acknowledged, Some(now));
        Acknowledge::Done
    }

    pub(super) fn find(&self, id: &str, serving: Serving) -> Found {
        let mut inner = lock(&self.inner);
        let Some(place) = inner.places.get(id).copied() else { return Found::Unknown };
        let known = &mut inner.messages[place];
        match known.state {
            State::Accepted => {
                known.served += u32::from(serving == Serving::Body);
                Found::Waiting(Arc::clone(&known.mail))
            }
            State::Acknowledged => Found::Acknowledged,
            State::Gone => Found::Gone,
        }
    }

    /// One page. The filter is applied after the page is cut, as the national service may (mesh-api 6.3).
    pub(super) fn list(&self, from: u64, page: usize, filter: Option<&Filter>) -> Listed {
        let mut inner = lock(&self.inner);
        let Inner { messages, waiting, .. } = &mut *inner;
        let mut range = waiting.range(usize::try_from(from).unwrap_or(usize::MAX)..);
        let mut ids = Vec::with_capacity(page.min(waiting.len()));
        for place in range.by_ref().take(page) {
            let known = &mut messages[*place];
            if filter.is_none_or(|filter| filter.selects(&known.mail.workflow)) {
                known.listed += 1;
                ids.push(Arc::clone(&known.id));
            }
        }
        let next = range.next().map(|place| *place as u64);
        Listed { ids, next, waiting: waiting.len() }
    }

    pub(super) fn waiting(&self) -> usize {
        lock(&self.inner).waiting.len()
    }

    pub(super) fn is_known(&self, id: &str) -> bool {
        lock(&self.inner).places.contains_key(id)
    }

    pub(super) fn known(&self) -> Vec<Known> {
        lock(&self.inner).messages.clone()
    }
}

/// Whether a look-up counts as serving the message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Serving {
    Body,
    HeadersOrLaterChunk,
}
