//! A store, a spool and outputs that behave, in memory, with faults scripted per output or per delivery.

mod outputs;
mod post;
mod spool;
mod store;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub(super) use outputs::{Behaviour, FakeOutputs};
pub(super) use post::FakePost;
pub(super) use spool::FakeSpool;
pub(super) use store::FakeStore;

use crate::domain::digest::ContentDigest;
use crate::domain::envelope::MessageKind;
use crate::domain::ids::{DeliveryId, MailboxId, MessageId, WorkflowId};
use crate::domain::time::Timestamp;
use crate::ports::clock::{Chance, Clock};
use crate::ports::store::{Delivery, Location};

/// 2026-01-05, so that ages can be subtracted.
pub(in crate::work) const START: Timestamp = Timestamp(1_767_605_412_000);

/// Everything that was called, in order.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    pub(super) fn all(&self) -> Vec<String> {
        lock(&self.0).clone()
    }

    /// Calls that begin with one of `words`.
    pub(super) fn of(&self, words: &[&str]) -> Vec<String> {
        self.all().into_iter().filter(|call| words.iter().any(|word| call.starts_with(word))).collect()
    }

    pub(super) fn add(&self, call: String) {
        lock(&self.0).push(call);
    }
}

/// Real time from a fixed start: waits in these tests are a few milliseconds.
pub(super) struct FakeClock(Instant);

impl FakeClock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for FakeClock {
    fn wall(&self) -> Timestamp {
        START.plus(self.0.elapsed())
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Always the longest wait.
pub(super) struct Loaded;

impl Chance for Loaded {
    fn dice(&self) -> u64 {
        u64::MAX
    }
    fn uuid(&self) -> String {
        "00000000-0000-4000-8000-000000000000".into()
    }
}

/// A delivery of 9 bytes, accepted at [`START`], of workflow `GO`.
pub(in crate::work) fn delivery(id: u64, mailbox: &str) -> Delivery {
    Delivery {
        id: DeliveryId(id),
        mailbox: MailboxId::new(mailbox).expect("letters and digits"),
        message_id: MessageId::new(format!("M{id}")).expect("letters and digits"),
        workflow: WorkflowId::new("GO").expect("letters"),
        from: None,
        kind: MessageKind::Data,
        length: 9,
        digest: ContentDigest("00".into()),
        location: Location::Group { volume: 1, offset: 0, length: 300, member: 0 },
        accepted_at: START,
        attempts: 0,
        starts: 0,
        solo_deaths: 0,
        continues: None,
        outputs: Vec::new(),
        meant_for: None,
        outgoing: None,
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics with the lock")
}
