//! Does the index agree with itself?
//!
//! A damaged sled can open well and lack rows. After an unclean end all rows are read once: every delivery must have
//! the one row its place asks for, and amounts, suspects and volumes must be what the counters say. Anything else
//! means that the index is made anew. It costs some microseconds for each delivery kept.

use std::collections::BTreeMap;

use super::{Index, IndexError, Place, Row, State, for_each, keys, kind};
use crate::domain::ids::MailboxId;
use crate::ports::store::{Amount, Location, MailboxOccupancy};

/// The kinds of rows that say where a delivery stands.
const PLACES: [u8; 5] = [kind::QUEUE, kind::WORKING, kind::SUSPECT, kind::ASIDE, kind::PURGE];

impl State {
    /// Reads all rows of `index`, which must contain all changes, and compares.
    pub(crate) fn audit(&self, index: &dyn Index) -> Result<(), IndexError> {
        let mut counted: BTreeMap<MailboxId, MailboxOccupancy> = BTreeMap::new();
        let mut volumes: BTreeMap<u64, u64> = BTreeMap::new();
        let mut expected = [0u64; PLACES.len()];
        let (mut working, mut suspects, mut refused) = (0, 0, 0);
        for_each(index, kind::DELIVERY, |key, value| {
            let Row { delivery, place, .. } = keys::decode(value)?;
            if keys::number_of(key) != Some(delivery.id.0) {
                return Err(differs("a delivery's key"));
            }
            if let Location::Group { volume, .. } = delivery.location {
                *volumes.entry(volume).or_default() += 1;
            }
            let counters = counted.entry(delivery.mailbox.clone()).or_default();
            let (has, amount, row): ([bool; PLACES.len()], &mut Amount, Vec<u8>) = match &place {
                Place::Queued { due } => {
                    let row = keys::queued(&delivery.mailbox, *due, delivery.id);
                    ([true, false, false, false, false], &mut counters.queued, row)
                }
                Place::Working { alone } => {
                    working += 1;
                    suspects += u64::from(*alone);
                    let row = keys::delivery(kind::WORKING, delivery.id);
                    ([false, true, false, false, false], &mut counters.queued, row)
                }
                Place::Suspect => {
                    suspects += 1;
                    let row = keys::suspect(&delivery.mailbox, delivery.id);
                    ([false, false, true, false, false], &mut counters.queued, row)
                }
                Place::Aside { kind: crate::ports::store::SetAsideKind::Held, .. } => {
                    let row = keys::delivery(kind::ASIDE, delivery.id);
                    ([false, false, false, true, false], &mut counters.held, row)
                }
                Place::Aside { keep, .. } => {
                    let row = keys::delivery(kind::ASIDE, delivery.id);
                    ([false, false, false, true, keep.is_some()], &mut counters.dead, row)
                }
                Place::Ended { keep, .. } => {
                    let row = keys::purge(*keep, delivery.id.0);
                    ([false, false, false, false, true], &mut counters.retained, row)
                }
            };
            amount.messages += 1;
            amount.bytes += delivery.length;
            expected.iter_mut().zip(has).for_each(|(count, has)| *count += u64::from(has));
            if index.get(&row)?.is_none() {
                return Err(differs("the place of a delivery"));
            }
            Ok(())
        })?;
        for_each(index, kind::REFUSED, |_, _| {
            refused += 1;
            Ok(())
        })?;
        // A refusal has a row among those that may go, too.
        expected[4] += refused;
        for (kind, expected) in PLACES.into_iter().zip(expected) {
            let mut found = 0;
            for_each(index, kind, |_, _| {
                found += 1;
                Ok(())
            })?;
            if found != expected {
                return Err(differs("the rows of one kind"));
            }
        }
        for_each(index, kind::VOLUME, |key, value| {
            let live: u64 = keys::decode(value)?;
            let volume = keys::number_of(key).ok_or_else(|| differs("a volume's key"))?;
            if volumes.remove(&volume).unwrap_or_default() == live { Ok(()) } else { Err(differs("a volume's count")) }
        })?;
        self.compare(counted, (working, suspects, refused), volumes.is_empty())
    }

    fn compare(
        &self,
        mut counted: BTreeMap<MailboxId, MailboxOccupancy>,
        (working, suspects, refused): (u64, u64, u64),
        no_volume_left: bool,
    ) -> Result<(), IndexError> {
        let amounts = |of: &MailboxOccupancy| [of.queued, of.held, of.dead, of.retained];
        for (mailbox, counters) in &self.mailboxes {
            if amounts(counters) != amounts(&counted.remove(mailbox).unwrap_or_default()) {
                return Err(differs("a mailbox's amounts"));
            }
        }
        let refusals: u64 = self.mailboxes.values().map(|counters| counters.refused).sum();
        let agrees = counted.is_empty()
            && no_volume_left
            && (working, suspects, refused) == (self.meta.working, self.meta.suspects, refusals);
        if agrees { Ok(()) } else { Err(differs("a count")) }
    }
}

fn differs(what: &str) -> IndexError {
    IndexError(format!("does not agree with itself: {what}"))
}
