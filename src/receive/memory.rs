//! What a poller remembers of listed messages, so as not to ask MESH the same again. Forgetting costs a request, no more:
//! it is not kept across restarts, holds nothing that lists no longer name, and never more than [`MOST`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::MessageId;
use crate::domain::time::Timestamp;

use super::admission::Need;
use super::waiting::{Urgency, Wait};

/// Messages remembered of one mailbox: about a megabyte.
const MOST: usize = 10_000;

/// What is remembered of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembered {
    /// There was no room for it, and this is what it needs.
    Waits(Need),
    /// MESH heard our acknowledge, or said that it is gone: for the rest of this poll a list that names it is late.
    Settled,
}

#[derive(Debug)]
struct Entry {
    what: Remembered,
    /// The pass that last listed it.
    pass: u64,
    /// How long it waits for room, from the first list that named it as waiting.
    wait: Option<Wait>,
}

/// The messages.
#[derive(Debug, Default)]
pub(super) struct Memory {
    of: BTreeMap<MessageId, Entry>,
    pass: u64,
}

impl Memory {
    /// What is remembered of a message that this pass lists.
    pub(super) fn listed(&mut self, id: &MessageId) -> Option<Remembered> {
        let entry = self.of.get_mut(id)?;
        entry.pass = self.pass;
        Some(entry.what)
    }

    /// The same, of a message that was listed.
    pub(super) fn of(&self, id: &MessageId) -> Option<Remembered> {
        self.of.get(id).map(|entry| entry.what)
    }

    /// What is to be said `now` of a listed message that waits for room.
    pub(super) fn alarm(&mut self, id: &MessageId, now: Timestamp) -> Option<(Urgency, Duration)> {
        let entry = self.of.get_mut(id)?;
        match entry.what {
            Remembered::Waits(_) => entry.wait.get_or_insert(Wait::begin(now)).alarm(now),
            Remembered::Settled => None,
        }
    }

    /// Since when the longest of the waits lasts.
    pub(super) fn waits_since(&self) -> Option<Timestamp> {
        self.of.values().filter_map(|entry| entry.wait).map(|wait| wait.since()).min()
    }

    /// Remembers a message that this pass listed, if there is room.
    pub(super) fn remember(&mut self, id: MessageId, what: Remembered) {
        if self.of.len() < MOST || self.of.contains_key(&id) {
            let wait = self.of.get(&id).and_then(|entry| entry.wait).filter(|_| matches!(what, Remembered::Waits(_)));
            self.of.insert(id, Entry { what, pass: self.pass, wait });
        }
    }

    /// A fetch failed: what the message needs is less by what came of it. It waits since it did.
    pub(super) fn forget_need(&mut self, id: &MessageId) {
        if let Some(Entry { what: Remembered::Waits(need), .. }) = self.of.get_mut(id) {
            *need = Need { bytes: 1, landed: 0, ..*need };
        }
    }

    /// Nothing is to be remembered of it.
    pub(super) fn forget(&mut self, id: &MessageId) {
        self.of.remove(id);
    }

    /// A poll begins: what is still listed may have been put back.
    pub(super) fn begin_poll(&mut self) {
        self.of.retain(|_, entry| entry.what != Remembered::Settled);
    }

    /// A pass ended. One that saw the whole inbox tells what is no longer there; lists are not so late that what is
    /// settled comes up again after one that did not name it.
    pub(super) fn end_pass(&mut self, is_whole: bool) {
        let ended = self.pass;
        self.of.retain(|_, entry| entry.pass == ended || !(is_whole || entry.what == Remembered::Settled));
        self.pass += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::envelope::MessageKind;

    fn id(number: usize) -> MessageId {
        MessageId::new(number.to_string()).expect("a message id")
    }

    const GIANT: Remembered = Remembered::Waits(Need { kind: MessageKind::Data, bytes: 7, landed: 0 });

    #[test]
    fn what_a_whole_pass_did_not_list_is_forgotten() {
        let mut memory = Memory::default();
        memory.remember(id(1), GIANT);
        memory.remember(id(2), GIANT);
        memory.end_pass(true);
        assert_eq!(memory.listed(&id(1)), Some(GIANT));
        memory.end_pass(false);
        assert_eq!(memory.of(&id(2)), Some(GIANT), "the pass may not have come to it");
        memory.listed(&id(1));
        memory.end_pass(true);
        assert_eq!((memory.of(&id(1)), memory.of(&id(2))), (Some(GIANT), None));
    }

    #[test]
    fn what_is_settled_is_remembered_while_lists_name_it_and_until_the_next_poll() {
        let mut memory = Memory::default();
        memory.remember(id(1), Remembered::Settled);
        memory.remember(id(2), Remembered::Settled);
        memory.end_pass(false);
        memory.listed(&id(1));
        memory.end_pass(false);
        assert_eq!((memory.of(&id(1)), memory.of(&id(2))), (Some(Remembered::Settled), None));
        memory.begin_poll();
        assert_eq!(memory.of(&id(1)), None);
    }

    #[test]
    fn it_holds_so_many_and_no_more() {
        let mut memory = Memory::default();
        (0..=MOST).for_each(|number| memory.remember(id(number), GIANT));
        assert_eq!((memory.of.len(), memory.of(&id(MOST))), (MOST, None));
    }
}
