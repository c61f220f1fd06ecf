//! One file's bytes: what readers see, and what a power cut leaves.

use super::dice::Dice;

/// Bytes that a drive writes as one: a torn write may leave the last of them as anything.
const SECTOR: usize = 512;

/// One file's bytes.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What readers see.
    pub(super) live: Vec<u8>,
    /// What the last good sync wrote.
    durable: Vec<u8>,
    /// The shortest the file has been since then: below it, `live` and `durable` agree.
    low: usize,
    /// Ranges whose sync failed. The cache calls them clean, so no later sync writes them.
    lost: Vec<(usize, usize)>,
}

impl Content {
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.live.extend_from_slice(bytes);
    }

    pub(super) fn cut(&mut self, length: usize) {
        self.live.truncate(length);
        self.low = self.low.min(length);
        self.lost.retain_mut(|range| {
            range.1 = range.1.min(length);
            range.0 < range.1
        });
    }

    pub(super) fn sync(&mut self) {
        // A failed sync moved `low` beyond what was ever written.
        let agreed = self.low.min(self.durable.len());
        self.durable.truncate(agreed);
        self.durable.extend_from_slice(&self.live[agreed..]);
        for (from, to) in &self.lost {
            self.durable[*from..*to].fill(0);
        }
        self.low = self.live.len();
    }

    /// The data since the last good sync is lost for good, though it still reads back.
    pub(super) fn fail_sync(&mut self) {
        if self.low < self.live.len() {
            self.lost.push((self.low, self.live.len()));
        }
        self.low = self.live.len();
    }

    /// Power goes: what was synced stays, of the rest any prefix may, its last sector as anything.
    pub(super) fn crash(&mut self, dice: &mut Dice) {
        let agreed = self.low.min(self.durable.len());
        let unsynced_cut = agreed < self.durable.len();
        if unsynced_cut && dice.chance(2) {
            self.live = self.durable.clone();
        } else {
            let kept = agreed + dice.below(self.live.len() - agreed + 1);
            let mut bytes = self.durable[..agreed].to_vec();
            bytes.extend_from_slice(&self.live[agreed..kept]);
            for (from, to) in &self.lost {
                let (from, to) = ((*from).min(kept), (*to).min(kept));
                bytes[from..to].fill(0);
            }
            if dice.chance(2) {
                let torn = agreed.max(kept.saturating_sub(SECTOR));
                bytes[torn..].fill_with(|| dice.byte());
            }
            self.live = bytes;
        }
        self.durable.clone_from(&self.live);
        self.low = self.live.len();
        self.lost.clear();
    }
}
