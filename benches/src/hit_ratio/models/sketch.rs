/// Counts uses approximately: a count-min sketch of counters up to 15, all halved after ten times
/// as many uses as the cache has entries (G. Einziger et al., "TinyLFU: A Highly Efficient Cache
/// Admission Policy", 2017), in the size that Caffeine gives it: 16 counters for each entry, in
/// four rows.
pub(super) struct Sketch {
    rows: [Vec<u8>; ROWS],
    mask: u64,
    uses: usize,
    sample: usize,
}

const ROWS: usize = 4;
const MAX: u8 = 15;
const SEEDS: [u64; ROWS] = [
    0x9e37_79b9_7f4a_7c15,
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
];

impl Sketch {
    pub(super) fn of_entries(entries: usize) -> Self {
        let width = 4 * entries.next_power_of_two();
        Self {
            rows: std::array::from_fn(|_| vec![0; width]),
            mask: width as u64 - 1,
            uses: 0,
            sample: 10 * entries,
        }
    }

    pub(super) fn count(&self, key: u64) -> u8 {
        let counts = self.rows.iter().zip(SEEDS);
        counts
            .map(|(row, seed)| row[place(key, seed, self.mask)])
            .min()
            .unwrap_or(0)
    }

    pub(super) fn increment(&mut self, key: u64) {
        let mut counted = false;
        for (row, seed) in self.rows.iter_mut().zip(SEEDS) {
            let counter = &mut row[place(key, seed, self.mask)];
            if *counter < MAX {
                *counter += 1;
                counted = true;
            }
        }
        self.uses += usize::from(counted);
        if self.uses >= self.sample {
            self.halve();
        }
    }

    fn halve(&mut self) {
        for counter in self.rows.iter_mut().flatten() {
            *counter /= 2;
        }
        self.uses /= 2;
    }
}

/// The finalizer of `SplitMix64`.
#[expect(clippy::cast_possible_truncation, reason = "the mask is an index")]
fn place(key: u64, seed: u64, mask: u64) -> usize {
    let mut hash = key.wrapping_add(1).wrapping_mul(seed);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) & mask) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stop_at_fifteen() {
        let mut sketch = Sketch::of_entries(100);
        for _ in 0..20 {
            sketch.increment(7);
        }
        assert_eq!((sketch.count(7), sketch.count(8)), (15, 0));
    }

    #[test]
    fn counts_are_halved_after_ten_uses_for_each_entry() {
        let mut sketch = Sketch::of_entries(10);
        for use_ in 0..100 {
            sketch.increment(use_ % 10);
        }
        assert_eq!((0..10).map(|key| sketch.count(key)).max(), Some(5));
    }
}
