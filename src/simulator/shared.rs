//! What all connections share: the mailboxes, the script, the ledger, the totals.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::HeaderValue;
use tokio::sync::Notify;

use super::calls::Counters;
use super::clock::FarClock;
use super::faults::Faults;
use super::ledger::{Event, Ledger, Line};
use super::mailbox::Mailbox;
use super::message::Mail;
use super::outbox::Uploads;
use super::payload::Payload;
use super::tokens::Refusal;
use super::{SimulatorError, lock};
use crate::ports::clock::Clock;

/// Content up to this length is hashed for the ledger when it is offered; a longer pattern is told by its seed.
const HASHED_BYTES: u64 = 64 * 1024 * 1024;

pub(super) struct Shared {
    pub(super) clock: FarClock,
    pub(super) mailboxes: HashMap<String, Arc<Mailbox>>,
    pub(super) faults: Faults,
    pub(super) counters: Counters,
    refused: Mutex<BTreeMap<Refusal, u64>>,
    pub(super) uploads: Uploads,
    pub(super) ledger: Option<Ledger>,
    pub(super) ledger_requests: bool,
    pub(super) transcode: bool,
    /// In all inboxes, counted down only when the ledger holds the acknowledge.
    pub(super) waiting: AtomicU64,
    /// Told after every request.
    pub(super) changed: Notify,
    pub(super) status_timestamp: HeaderValue,
    id_prefix: String,
    last_id: AtomicU64,
}

/// The parts that settings decide.
pub(super) struct Parts {
    pub(super) clock: FarClock,
    pub(super) mailboxes: HashMap<String, Arc<Mailbox>>,
    pub(super) ledger: Option<Ledger>,
    pub(super) ledger_requests: bool,
    pub(super) transcode: bool,
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Result<Self, SimulatorError> {
        let now = parts.clock.wall();
        let second = now.utc().format("%Y%m%d%H%M%S").to_string();
        Ok(Self {
            clock: parts.clock,
            mailboxes: parts.mailboxes,
            faults: Faults::default(),
            counters: Counters::default(),
            refused: Mutex::default(),
            uploads: Uploads::default(),
            ledger: parts.ledger,
            ledger_requests: parts.ledger_requests,
            transcode: parts.transcode,
            waiting: AtomicU64::new(0),
            changed: Notify::new(),
            status_timestamp: HeaderValue::try_from(&second)?,
            // Milliseconds keep the ids of a quickly restarted simulator apart from those before.
            id_prefix: format!("{second}{:03}", now.0.rem_euclid(1000)),
            last_id: AtomicU64::new(0),
        })
    }

    /// A fresh message id in the form of the specification's samples (mesh-api 6.4).
    pub(super) fn new_id(&self) -> String {
        let number = self.last_id.fetch_add(1, Ordering::Relaxed);
        format!("{}{:03}_{:06X}", self.id_prefix, number % 1000, number / 1000)
    }

    /// Writes an event, if there is a ledger; durable on return if the ledger is a synced one.
    pub(super) async fn record(&self, event: impl FnOnce() -> Event) -> Result<(), SimulatorError> {
        match &self.ledger {
            None => Ok(()),
            Some(ledger) => ledger.keep(&[Line::at(self.clock.monotonic(), event())]).await,
        }
    }

    /// Puts messages into an inbox, in this order, once the ledger holds them.
    pub(super) async fn offer(
        &self,
        mailbox: &str,
        messages: Vec<(Arc<str>, Arc<Mail>)>,
    ) -> Result<(), SimulatorError> {
        let now = self.clock.monotonic();
        let to = self.mailboxes.get(mailbox).ok_or_else(|| SimulatorError::UnknownMailbox(mailbox.to_owned()))?;
        if let Some(ledger) = &self.ledger {
            let lines: Vec<Line> =
                messages.iter().map(|(id, mail)| Line::at(now, offered(mailbox, id, mail))).collect();
            ledger.keep(&lines).await?;
        }
        for (id, mail) in messages {
            // Counted first: an acknowledge may come before this loop ends.
            self.waiting.fetch_add(1, Ordering::AcqRel);
            if !to.offer(id, mail, now) {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
            }
        }
        Ok(())
    }

    pub(super) fn refuse(&self, refusal: Refusal) {
        *lock(&self.refused).entry(refusal).or_default() += 1;
    }

    pub(super) fn refused(&self) -> BTreeMap<Refusal, u64> {
        lock(&self.refused).clone()
    }
}

fn offered(mailbox: &str, id: &str, mail: &Mail) -> Event {
    let length = mail.payload.length();
    let is_hashed = length.is_some_and(|length| length <= HASHED_BYTES);
    let seed = match &mail.payload {
        Payload::Generated { pattern, .. } => Some(pattern.seed),
        Payload::Nothing | Payload::Fixed(_) => None,
    };
    let sha256 = is_hashed.then(|| mail.sha256().map(str::to_owned)).flatten();
    Event::Offered { mailbox: mailbox.to_owned(), id: id.to_owned(), sha256, length, seed }
}
