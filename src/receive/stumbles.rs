//! Messages at which the world failed although it answered the list that named them.
//!
//! One failure tells nothing about the message: the pass ends, and the mailbox is left alone for a while. One message that
//! fails again and again is stuck: from then on it stands before no other mail (I6), and only its own clock runs.
//! With many on the list already, a pass goes on past as many new ones, so that a page full of them has an end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::MessageId;
use crate::domain::time::Timestamp;

use super::waiting::{Urgency, Wait};

/// Messages remembered of one mailbox. What is not remembered fails as if for the first time.
const MOST: usize = 10_000;
/// Failures after which a message is stuck.
const STUCK_AT: u32 = 3;
/// Failures that one page may meet, of new ones and of stuck ones each. It may be MESH after all: do not hammer.
const MOST_FAILURES: usize = 20;

#[derive(Debug)]
struct Stumble {
    times: u32,
    /// The poll that last failed at it.
    poll: u64,
    /// The pass that last listed it.
    pass: u64,
    wait: Wait,
}

/// The messages.
#[derive(Debug, Default)]
pub(super) struct Stumbles {
    of: BTreeMap<MessageId, Stumble>,
    poll: u64,
    pass: u64,
}

impl Stumbles {
    /// This pass lists these. Puts them by turns: those that never failed come first, then those that did longest ago.
    pub(super) fn listed(&mut self, ids: &mut [MessageId]) {
        for id in ids.iter() {
            if let Some(stumble) = self.of.get_mut(id) {
                stumble.pass = self.pass;
            }
        }
        ids.sort_by_key(|id| self.of.get(id).map_or(0, |stumble| stumble.poll));
    }

    /// Did the world fail at it?
    pub(super) fn has(&self, id: &MessageId) -> bool {
        self.of.contains_key(id)
    }

    /// How often the world failed at it.
    pub(super) fn times(&self, id: &MessageId) -> u32 {
        self.of.get(id).map_or(0, |stumble| stumble.times)
    }

    /// The world failed at it, `now`. Says whether it is stuck.
    pub(super) fn met(&mut self, id: MessageId, now: Timestamp) -> bool {
        if self.of.len() >= MOST && !self.has(&id) {
            return false;
        }
        let new = Stumble { times: 0, poll: 0, pass: self.pass, wait: Wait::begin(now) };
        let stumble = self.of.entry(id).or_insert(new);
        stumble.times = stumble.times.saturating_add(1);
        stumble.poll = self.poll;
        stumble.times >= STUCK_AT
    }

    /// Is it left alone on a page that met so many failures at stuck messages? One try in each poll is enough.
    pub(super) fn is_left(&self, id: &MessageId, failures: usize) -> bool {
        self.of.get(id).is_some_and(|stumble| {
            stumble.times >= STUCK_AT && (stumble.poll == self.poll || failures >= MOST_FAILURES)
        })
    }

    /// How many new failures a page goes past.
    pub(super) fn allowance(&self) -> usize {
        self.of.len().min(MOST_FAILURES)
    }

    /// It waits no more.
    pub(super) fn forget(&mut self, id: &MessageId) {
        self.of.remove(id);
    }

    /// What is to be said of it `now`.
    pub(super) fn alarm(&mut self, id: &MessageId, now: Timestamp) -> Option<(Urgency, Duration)> {
        self.of.get_mut(id)?.wait.alarm(now)
    }

    /// Since when the longest of the waits lasts.
    pub(super) fn waits_since(&self) -> Option<Timestamp> {
        self.of.values().map(|stumble| stumble.wait.since()).min()
    }

    /// A poll begins.
    pub(super) fn begin_poll(&mut self) {
        self.poll += 1;
    }

    /// A pass ended. One that saw the whole inbox tells what is no longer there.
    pub(super) fn end_pass(&mut self, is_whole: bool) {
        let ended = self.pass;
        self.of.retain(|_, stumble| stumble.pass == ended || !is_whole);
        self.pass += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> MessageId {
        MessageId::new(number.to_string()).expect("a message id")
    }

    #[test]
    fn it_holds_so_many_and_no_more() {
        let mut stumbles = Stumbles::default();
        (0..=MOST).for_each(|number| assert!(!stumbles.met(id(number), Timestamp(0))));
        assert_eq!((stumbles.of.len(), stumbles.has(&id(MOST))), (MOST, false));
        assert_eq!(stumbles.allowance(), MOST_FAILURES);
    }

    #[test]
    fn what_is_stuck_is_tried_once_a_poll_by_turns() {
        let mut stumbles = Stumbles::default();
        for poll in 1..=STUCK_AT {
            stumbles.begin_poll();
            assert!(!stumbles.is_left(&id(1), 0));
            assert_eq!(stumbles.met(id(1), Timestamp(0)), poll == STUCK_AT);
        }
        assert!(stumbles.is_left(&id(1), 0));
        stumbles.begin_poll();
        assert!(!stumbles.is_left(&id(1), MOST_FAILURES - 1) && stumbles.is_left(&id(1), MOST_FAILURES));
        stumbles.met(id(2), Timestamp(0));
        let mut ids = [2, 1, 4, 3].map(id);
        stumbles.listed(&mut ids);
        assert_eq!(ids, [4, 3, 1, 2].map(id));
    }

    #[test]
    fn what_a_whole_pass_did_not_list_is_forgotten() {
        let mut stumbles = Stumbles::default();
        stumbles.begin_poll();
        stumbles.met(id(1), Timestamp(5));
        stumbles.end_pass(true);
        stumbles.end_pass(false);
        assert_eq!(stumbles.waits_since(), Some(Timestamp(5)), "the pass may not have come to it");
        stumbles.listed(&mut [id(1)]);
        stumbles.end_pass(true);
        assert_eq!(stumbles.waits_since(), Some(Timestamp(5)));
        stumbles.end_pass(true);
        assert_eq!(stumbles.waits_since(), None);
    }
}
