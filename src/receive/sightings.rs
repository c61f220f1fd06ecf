//! When each message that lists still name was first listed, for the journal. A restart begins it anew.

use std::collections::BTreeMap;

use crate::domain::ids::MessageId;
use crate::domain::time::Timestamp;

/// Messages remembered of one mailbox: about a megabyte. One that is not counts as listed when it is fetched.
const MOST: usize = 10_000;

#[derive(Debug)]
struct Sighting {
    first: Timestamp,
    /// The pass that last listed it.
    pass: u64,
}

/// The messages.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    of: BTreeMap<MessageId, Sighting>,
    pass: u64,
}

impl Sightings {
    /// This pass lists it, `now`.
    pub(super) fn listed(&mut self, id: &MessageId, now: Timestamp) {
        if let Some(sighting) = self.of.get_mut(id) {
            sighting.pass = self.pass;
        } else if self.of.len() < MOST {
            self.of.insert(id.clone(), Sighting { first: now, pass: self.pass });
        }
    }

    /// When it was first listed, if that is remembered.
    pub(super) fn first(&self, id: &MessageId) -> Option<Timestamp> {
        self.of.get(id).map(|sighting| sighting.first)
    }

    /// It waits no more.
    pub(super) fn forget(&mut self, id: &MessageId) {
        self.of.remove(id);
    }

    /// A pass ended. One that saw the whole inbox tells what is no longer there.
    pub(super) fn end_pass(&mut self, is_whole: bool) {
        let ended = self.pass;
        self.of.retain(|_, sighting| sighting.pass == ended || !is_whole);
        self.pass += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_list_counts_as_long_as_lists_name_it() {
        let id = |number: usize| MessageId::new(number.to_string()).expect("a message id");
        let mut sightings = Sightings::default();
        sightings.listed(&id(1), Timestamp(1));
        sightings.listed(&id(2), Timestamp(1));
        sightings.end_pass(true);
        sightings.listed(&id(1), Timestamp(2));
        assert_eq!(sightings.first(&id(1)), Some(Timestamp(1)));
        sightings.end_pass(true);
        assert_eq!(sightings.first(&id(2)), None, "MESH has it no more");
        sightings.forget(&id(1));
        assert_eq!(sightings.first(&id(1)), None);
        (0..=MOST).for_each(|number| sightings.listed(&id(number), Timestamp(3)));
        assert_eq!((sightings.of.len(), sightings.first(&id(MOST))), (MOST, None));
    }
}
