//! Chance by seed: the same seed crashes the same way.

/// SplitMix64 (Steele, Lea and Flood 2014): small, and good enough to choose crashes.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is at least 1.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `sides` times.
    pub(super) fn chance(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}
