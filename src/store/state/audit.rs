//! Does the index agree with itself?
//!
//! A damaged sled can open well and lack rows. After an unclean end all rows are read once: every delivery must have
//! the one row its place asks for, and amounts, suspects, volumes, groups, jobs, monitors and legal holds must be what
//! the counters say. Anything else means that the index is made anew. It costs some microseconds for each delivery kept.

use std::collections::BTreeMap;

use super::alike::AlikeRow;
use super::aside::AsideRow;
use super::{Index, IndexError, Place, Row, State, VolumeRow, for_each, keys, kind};
use crate::domain::ids::{DeliveryId, MailboxId};
use crate::ports::store::{Job, Location, MailboxOccupancy};

/// The kinds of rows that deliveries have beside their own.
const OF_DELIVERIES: [u8; 14] = [
    kind::QUEUE,
    kind::WORKING,
    kind::SUSPECT,
    kind::ASIDE,
    kind::PURGE,
    kind::SPARED,
    kind::STAGED,
    kind::WAITING,
    kind::SEND_QUEUE,
    kind::IN_SENDING,
    kind::SEND,
    kind::SENT,
    kind::LYING,
    kind::PAIR,
];

impl State {
    /// Reads all rows of `index`, which must contain all changes, and compares.
    pub(crate) fn audit(&self, index: &dyn Index) -> Result<(), IndexError> {
        let mut counted: BTreeMap<MailboxId, MailboxOccupancy> = BTreeMap::new();
        let mut volumes: BTreeMap<u64, Tally> = BTreeMap::new();
        let mut alike: BTreeMap<Vec<u8>, AlikeRow> = BTreeMap::new();
        let mut expected: BTreeMap<u8, u64> = BTreeMap::new();
        let (mut working, mut suspects, mut refused) = (0, 0, 0);
        for_each(index, kind::DELIVERY, |key, value| {
            let row: Row = keys::decode(value)?;
            for key in row.keys() {
                if index.get(&key)?.is_none() {
                    return Err(differs("what else is known of a delivery"));
                }
                *expected.entry(key[0]).or_default() += 1;
            }
            let bytes = row.bytes();
            if let Some(Location::Group { volume, .. }) = row.payload() {
                volumes.entry(*volume).or_default().count(row.delivery.id);
            }
            if let Some(aside) = AsideRow::of(&row) {
                let kept = index.get(&keys::delivery(kind::ASIDE, row.delivery.id))?;
                if kept != Some(keys::encode(&aside)?) {
                    return Err(differs("what is set aside"));
                }
            }
            if let Some((key, one)) = AlikeRow::of(&row) {
                alike.entry(key).and_modify(|others| others.add(&one)).or_insert(one);
            }
            if keys::number_of(key) != Some(row.delivery.id.0) {
                return Err(differs("a delivery's key"));
            }
            match (&row.place, row.delivery.outgoing.is_some()) {
                (Place::Working { alone }, false) => {
                    working += 1;
                    suspects += u64::from(*alone);
                }
                (Place::Suspect, _) => suspects += 1,
                (Place::Working { .. } | Place::Queued { .. } | Place::Aside { .. } | Place::Ended { .. }, _) => {}
            }
            let counters = counted.entry(row.delivery.mailbox.clone()).or_default();
            if row.is_spared {
                counters.spared.messages += 1;
                counters.spared.bytes += bytes;
            }
            let amount = row.amount_of(counters);
            amount.messages += 1;
            amount.bytes += bytes;
            Ok(())
        })?;
        for_each(index, kind::REFUSED, |_, _| {
            refused += 1;
            Ok(())
        })?;
        // A refusal has a row among those that may go, too.
        *expected.entry(kind::PURGE).or_default() += refused;
        for kind in OF_DELIVERIES {
            let mut found = 0;
            for_each(index, kind, |_, _| {
                found += 1;
                Ok(())
            })?;
            if found != expected.get(&kind).copied().unwrap_or_default() {
                return Err(differs("the rows of one kind"));
            }
        }
        audit_alike(index, alike)?;
        self.audit_volumes(index, volumes)?;
        let mut open_jobs = 0;
        for_each(index, kind::JOB, |_, value| {
            open_jobs += u64::from(keys::decode::<Job>(value)?.ended.is_none());
            Ok(())
        })?;
        if open_jobs != self.meta.open_jobs {
            return Err(differs("the bulk acts"));
        }
        if super::monitors::load(index)? != *self.monitors {
            return Err(differs("the monitors"));
        }
        if super::volumes::unwanted(index)? != self.unwanted {
            return Err(differs("the unwanted groups"));
        }
        if super::legal_holds::load(index)? != *self.legal_holds {
            return Err(differs("the legal holds"));
        }
        self.compare(counted, (working, suspects, refused))
    }

    /// `counted` is what the deliveries' rows say.
    fn audit_volumes(&self, index: &dyn Index, mut counted: BTreeMap<u64, Tally>) -> Result<(), IndexError> {
        let mut grouped: BTreeMap<u64, (Tally, u64)> = BTreeMap::new();
        for_each(index, kind::GROUP, |key, value| {
            let members: Vec<DeliveryId> = keys::decode(value)?;
            let first = members.first().ok_or_else(|| differs("an empty group"))?;
            let Some(Row { delivery, .. }) = self.row(index, *first)? else { return Err(differs("a group's member")) };
            let Location::Group { volume, offset, length, .. } = delivery.location else {
                return Err(differs("a group's member"));
            };
            if key != keys::group(volume, offset) {
                return Err(differs("a group's place"));
            }
            let (tally, bytes) = grouped.entry(volume).or_default();
            members.into_iter().for_each(|id| tally.count(id));
            *bytes += length;
            Ok(())
        })?;
        for (volume, row) in self.volumes() {
            let (tally, bytes) = grouped.remove(&volume).unwrap_or_default();
            let of_deliveries = counted.remove(&volume).unwrap_or_default();
            if (of_deliveries, VolumeRow { live: tally.live, bytes }) != (tally, row) {
                return Err(differs("a volume's count"));
            }
        }
        if counted.is_empty() && grouped.is_empty() { Ok(()) } else { Err(differs("the volumes")) }
    }

    fn compare(
        &self,
        mut counted: BTreeMap<MailboxId, MailboxOccupancy>,
        (working, suspects, refused): (u64, u64, u64),
    ) -> Result<(), IndexError> {
        let amounts = |of: &MailboxOccupancy| [of.queued, of.sending, of.held, of.dead, of.retained, of.spared];
        for (mailbox, counters) in &self.mailboxes {
            if amounts(counters) != amounts(&counted.remove(mailbox).unwrap_or_default()) {
                return Err(differs("a mailbox's amounts"));
            }
        }
        let refusals: u64 = self.mailboxes.values().map(|counters| counters.refused).sum();
        let agrees =
            counted.is_empty() && (working, suspects, refused) == (self.meta.working, self.meta.suspects, refusals);
        if agrees { Ok(()) } else { Err(differs("a count")) }
    }
}

/// `counted` is what the deliveries' rows say. Members that are gone may have been the first or the last of a group.
fn audit_alike(index: &dyn Index, mut counted: BTreeMap<Vec<u8>, AlikeRow>) -> Result<(), IndexError> {
    for_each(index, kind::ALIKE, |key, value| {
        let kept: AlikeRow = keys::decode(value)?;
        let counted = counted.remove(key).ok_or_else(|| differs("failures that are alike"))?;
        let times_fit = kept.first <= counted.first && kept.last >= counted.last;
        let (first, last) = (kept.first, kept.last);
        if times_fit && kept == (AlikeRow { first, last, ..counted }) {
            Ok(())
        } else {
            Err(differs("failures that are alike"))
        }
    })?;
    if counted.is_empty() { Ok(()) } else { Err(differs("failures that are alike")) }
}

/// Deliveries, counted so that two sets of them hardly look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    live: u64,
    ids: u64,
}

impl Tally {
    fn count(&mut self, id: DeliveryId) {
        self.live += 1;
        self.ids = self.ids.wrapping_add(id.0);
    }
}

fn differs(what: &str) -> IndexError {
    IndexError(format!("does not agree with itself: {what}"))
}
