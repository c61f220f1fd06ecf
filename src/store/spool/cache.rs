//! The groups opened last, so that opening all members of one costs one decryption.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::group::OpenGroup;
use crate::ports::spool::SpoolError;

/// Plaintext kept, bytes. A commit's group is at most about 256 KB, so these are the groups of a few batches of work;
/// more would only make the process larger, since a group left behind is seldom asked for again.
pub(super) const BOUND: usize = 8 << 20;

/// Volume and offset.
pub(super) type Place = (u64, u64);

type Slot = Arc<Mutex<Option<Arc<OpenGroup>>>>;

/// The groups opened last, least recently used first.
#[derive(Default)]
pub(super) struct Cache(Mutex<VecDeque<Entry>>);

struct Entry {
    place: Place,
    slot: Slot,
    bytes: usize,
}

impl Cache {
    /// The group at `place`, opened by `open` if it is not here. Two who ask at once wait for one opening; others don't.
    pub(super) fn get(
        &self,
        place: Place,
        open: impl FnOnce() -> Result<OpenGroup, SpoolError>,
    ) -> Result<Arc<OpenGroup>, SpoolError> {
        let slot = self.slot(place);
        let mut filled = lock(&slot);
        if let Some(group) = filled.as_ref() {
            return Ok(group.clone());
        }
        match open() {
            Ok(group) => {
                let group = Arc::new(group);
                *filled = Some(group.clone());
                self.account(place, group.size());
                Ok(group)
            }
            Err(error) => {
                lock(&self.0).retain(|entry| entry.place != place);
                Err(error)
            }
        }
    }

    /// Forgets the groups of a volume that goes.
    pub(super) fn forget(&self, volume: u64) {
        lock(&self.0).retain(|entry| entry.place.0 != volume);
    }

    fn slot(&self, place: Place) -> Slot {
        let mut entries = lock(&self.0);
        let found = entries.iter().position(|entry| entry.place == place).and_then(|index| entries.remove(index));
        let entry = found.unwrap_or_else(|| Entry { place, slot: Slot::default(), bytes: 0 });
        let slot = entry.slot.clone();
        entries.push_back(entry);
        slot
    }

    fn account(&self, place: Place, bytes: usize) {
        let mut entries = lock(&self.0);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.place == place) {
            entry.bytes = bytes;
        }
        let mut total: usize = entries.iter().map(|entry| entry.bytes).sum();
        while total > BOUND
            && let Some(oldest) = entries.pop_front()
        {
            total -= oldest.bytes;
        }
    }
}

/// What the locks guard is whole at every moment, so a panic elsewhere while one is held leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::spool::group::GroupHeader;

    fn group(bytes: usize) -> OpenGroup {
        let header = GroupHeader {
            header_length: 0,
            ciphertext_length: 0,
            ciphertext_crc: 0,
            recipients: Vec::new(),
            members: Vec::new(),
        };
        let mut group = OpenGroup::parse(Vec::new().into(), &header).unwrap();
        group.pad(bytes);
        group
    }

    fn unexpected() -> Result<OpenGroup, SpoolError> {
        panic!("it is in the cache")
    }

    #[test]
    fn a_group_is_opened_once() {
        let cache = Cache::default();
        cache.get((1, 0), || Ok(group(10))).unwrap();
        cache.get((1, 0), unexpected).unwrap();
        cache.forget(1);
        assert!(cache.get((1, 0), || Err(SpoolError::Unreadable(String::new()))).is_err());
    }

    #[test]
    fn the_bound_holds_and_the_least_recently_used_goes_first() {
        let cache = Cache::default();
        for volume in 0..4 {
            cache.get((volume, 0), || Ok(group(BOUND / 4))).unwrap();
        }
        cache.get((0, 0), unexpected).unwrap();
        cache.get((9, 0), || Ok(group(BOUND / 4))).unwrap();
        cache.get((0, 0), unexpected).unwrap();
        let places: Vec<_> = lock(&cache.0).iter().map(|entry| entry.place.0).collect();
        assert_eq!(places, [2, 3, 9, 0]);
        cache.get((10, 0), || Ok(group(BOUND + 1))).unwrap();
        assert!(lock(&cache.0).is_empty());
    }

    #[test]
    fn a_group_that_does_not_open_leaves_nothing_behind() {
        let cache = Cache::default();
        assert!(cache.get((1, 0), || Err(SpoolError::Unreadable(String::new()))).is_err());
        assert!(lock(&cache.0).is_empty());
    }
}
