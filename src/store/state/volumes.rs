//! What of each volume lives, and which deliveries each of its groups holds.

use std::collections::BTreeSet;

use super::{GroupPlace, Index, IndexError, Order, PartsRow, State, VolumeRow, for_each, keys, kind};
use crate::domain::ids::DeliveryId;
use crate::ports::store::Location;
use crate::store::journal::event::Move;

impl State {
    /// All volumes that any record names, lowest first.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = (u64, VolumeRow)> + '_ {
        self.volumes.iter().map(|(volume, row)| (*volume, *row))
    }

    /// The first groups of a volume, by their offsets, with their live deliveries.
    pub(crate) fn groups_of(
        &mut self,
        index: &dyn Index,
        volume: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<DeliveryId>)>, IndexError> {
        self.note_groups()?;
        let prefix = keys::numbered(kind::GROUP, volume);
        let rows = self.scan(index, &prefix, &keys::after(&prefix), Order::Ascending, limit)?;
        let group = |(key, value): (Vec<u8>, Vec<u8>)| {
            let offset = keys::number_of(&key).ok_or_else(|| IndexError("a group's key".into()))?;
            Ok((offset, keys::decode(&value)?))
        };
        rows.into_iter().map(group).collect()
    }

    /// The live deliveries of one group.
    pub(crate) fn members_of(
        &mut self,
        index: &dyn Index,
        volume: u64,
        offset: u64,
    ) -> Result<Vec<DeliveryId>, IndexError> {
        self.members(index, GroupPlace { volume, offset }).map(|members| members.clone())
    }

    /// Whether a group holds a payload that someone had removed, or only such as were sealed again.
    pub(crate) fn is_unwanted(&self, place: GroupPlace) -> bool {
        self.unwanted.contains(&place)
    }

    /// Whether a volume has such a group.
    pub(crate) fn has_unwanted(&self, volume: u64) -> bool {
        let all = GroupPlace { volume, offset: 0 }..=GroupPlace { volume, offset: u64::MAX };
        self.unwanted.range(all).next().is_some()
    }

    pub(super) fn unwant(&mut self, place: GroupPlace) {
        self.unwanted.insert(place);
        self.set(keys::unwanted(place.volume, place.offset));
    }

    pub(super) fn forget_unwanted(&mut self, volume: u64) {
        let all = GroupPlace { volume, offset: 0 }..=GroupPlace { volume, offset: u64::MAX };
        for place in self.unwanted.range(all).copied().collect::<Vec<_>>() {
            self.unwanted.remove(&place);
            self.remove(keys::unwanted(place.volume, place.offset));
        }
    }

    pub(super) fn moved(
        &mut self,
        index: &dyn Index,
        ids: &[DeliveryId],
        from: GroupPlace,
        to: GroupPlace,
    ) -> Result<(), IndexError> {
        for id in ids {
            let mut row = self.expect(index, *id)?;
            self.leave_group(index, *id, &row.delivery.location)?;
            let Location::Group { volume, offset, .. } = &mut row.delivery.location else {
                return Err(IndexError(format!("delivery {id} moved, but is in no group")));
            };
            if (GroupPlace { volume: *volume, offset: *offset }) != from {
                return Err(IndexError(format!("delivery {id} moved from where it was not")));
            }
            (*volume, *offset) = (to.volume, to.offset);
            self.join_group(index, *id, &row.delivery.location)?;
            self.put(keys::delivery(kind::DELIVERY, *id), &row)?;
        }
        Ok(())
    }

    /// The payload lies elsewhere; `record` names what goes.
    pub(super) fn resealed(&mut self, index: &dyn Index, record: DeliveryId, moved: &Move) -> Result<(), IndexError> {
        let mut row = self.expect(index, moved.id)?;
        if row.payload() != Some(&moved.from) {
            return Err(IndexError(format!("delivery {} was sealed again from where it was not", moved.id)));
        }
        self.leave_group(index, moved.id, &moved.from)?;
        match moved.from {
            Location::Parts { life, .. } => {
                let parts = PartsRow { mailbox: moved.mailbox.clone(), message: moved.message.clone(), life };
                self.put(keys::delivery(kind::REMOVAL, record), &parts)?;
            }
            Location::Group { volume, offset, .. } => {
                let place = GroupPlace { volume, offset };
                if self.members(index, place)?.is_empty() {
                    self.unwant(place);
                }
            }
        }
        if let Location::Parts { life, .. } = moved.to {
            self.keep_parts(index, moved, life)?;
        }
        row.delivery.location = moved.to.clone();
        self.join_group(index, moved.id, &moved.to)?;
        self.put(keys::delivery(kind::DELIVERY, moved.id), &row)
    }

    /// A chunk directory that was to go is a payload again.
    fn keep_parts(&mut self, index: &dyn Index, moved: &Move, life: u64) -> Result<(), IndexError> {
        let rows = self.scan(index, &[kind::REMOVAL], &[kind::REMOVAL + 1], Order::Ascending, usize::MAX / 2)?;
        for (key, value) in rows {
            let row: PartsRow = keys::decode(&value)?;
            if (&row.mailbox, &row.message, row.life) == (&moved.mailbox, &moved.message, life) {
                self.remove(key);
            }
        }
        Ok(())
    }

    pub(super) fn join_group(&mut self, index: &dyn Index, id: DeliveryId, at: &Location) -> Result<(), IndexError> {
        let Location::Group { volume, offset, length, .. } = *at else { return Ok(()) };
        let members = self.members(index, GroupPlace { volume, offset })?;
        members.push(id);
        let is_first = members.len() == 1;
        let row = self.volumes.entry(volume).or_default();
        row.live += 1;
        row.bytes += if is_first { length } else { 0 };
        self.note_volume(volume)
    }

    pub(super) fn leave_group(&mut self, index: &dyn Index, id: DeliveryId, at: &Location) -> Result<(), IndexError> {
        let Location::Group { volume, offset, length, .. } = *at else { return Ok(()) };
        let members = self.members(index, GroupPlace { volume, offset })?;
        members.retain(|member| *member != id);
        let is_last = members.is_empty();
        let row = self.volumes.entry(volume).or_default();
        row.live = row.live.saturating_sub(1);
        row.bytes = row.bytes.saturating_sub(if is_last { length } else { 0 });
        self.note_volume(volume)
    }

    /// Puts what changed of groups among the rows that wait: once for all members that came or went together.
    pub(super) fn note_groups(&mut self) -> Result<(), IndexError> {
        for (GroupPlace { volume, offset }, members) in std::mem::take(&mut self.groups) {
            let key = keys::group(volume, offset);
            if members.is_empty() {
                self.remove(key);
            } else {
                self.put(key, &members)?;
            }
        }
        Ok(())
    }

    fn members(&mut self, index: &dyn Index, place: GroupPlace) -> Result<&mut Vec<DeliveryId>, IndexError> {
        if !self.groups.contains_key(&place) {
            let members = self.read(index, &keys::group(place.volume, place.offset))?.unwrap_or_default();
            self.groups.insert(place, members);
        }
        Ok(self.groups.entry(place).or_default())
    }

    fn note_volume(&mut self, volume: u64) -> Result<(), IndexError> {
        let row = self.volumes.get(&volume).copied().unwrap_or_default();
        self.put(keys::numbered(kind::VOLUME, volume), &row)
    }
}

/// Every unwanted group, as the index has it.
pub(super) fn unwanted(index: &dyn Index) -> Result<BTreeSet<GroupPlace>, IndexError> {
    let mut all = BTreeSet::new();
    for_each(index, kind::UNWANTED, |key, _| {
        let place = keys::volume_of(key).zip(keys::number_of(key));
        let (volume, offset) = place.ok_or_else(|| IndexError("an unwanted group's key".into()))?;
        all.insert(GroupPlace { volume, offset });
        Ok(())
    })?;
    Ok(all)
}
